//! Bodies of requests and answers.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A body of pieces, which are sent as they are.
#[derive(Debug, Default)]
pub(crate) struct Pieces(VecDeque<Bytes>);

impl Pieces {
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.0.push_back(piece);
    }
}

impl From<String> for Pieces {
    fn from(text: String) -> Self {
        Self(VecDeque::from([Bytes::from(text)]))
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}

/// Gives each piece of a body to `take`, as it comes.
pub(crate) async fn read<B: Body<Data = Bytes>>(body: B, mut take: impl FnMut(Bytes)) -> Result<(), B::Error> {
    let mut body = pin!(body);
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        if let Ok(piece) = frame?.into_data() {
            take(piece);
        }
    }
    Ok(())
}

/// A whole body as text.
pub(crate) async fn text<B: Body<Data = Bytes>>(body: B) -> Result<String, crate::Failure>
where
    B::Error: Into<crate::Failure>,
{
    let mut bytes = Vec::new();
    read(body, |piece| bytes.extend_from_slice(&piece)).await.map_err(Into::into)?;
    Ok(String::from_utf8(bytes)?)
}
