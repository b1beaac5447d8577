//! Bodies of requests and answers, read to their end.

use std::future::poll_fn;
use std::pin::pin;

use bytes::Bytes;
use http_body::Body;

use crate::Failure;

/// A whole body as text.
pub(crate) async fn text<B: Body<Data = Bytes>>(body: B) -> Result<String, Failure>
where
    B::Error: Into<Failure>,
{
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        if let Ok(piece) = frame.map_err(Into::<Failure>::into)?.into_data() {
            bytes.extend_from_slice(&piece);
        }
    }
    Ok(String::from_utf8(bytes)?)
}
