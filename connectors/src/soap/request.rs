//! A message on its way out.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use reqwest::Url;
use reqwest::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};

use super::SoapCallError;

/// Headers that are those of the connection.
const OF_CONNECTION: [HeaderName; 4] = [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING];

/// A call.
#[derive(Clone)]
pub struct SoapRequest<'a> {
    /// Where to: http or https, without a user part.
    pub url: &'a str,
    /// Names and values.
    pub headers: &'a [(String, String)],
    /// The message, in pieces, so that a piece can be shared by several calls.
    pub body: Vec<Bytes>,
    /// How many bytes of an answer are taken, unpacked.
    pub limit: usize,
}

/// Shows nothing of the message.
impl fmt::Debug for SoapRequest<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size: usize = self.body.iter().map(Bytes::len).sum();
        write!(formatter, "SoapRequest({} headers, {size} bytes)", self.headers.len())
    }
}

impl SoapRequest<'_> {
    /// Where to. A user part would become a header with a password.
    pub(super) fn checked_url(&self) -> Result<Url, SoapCallError> {
        let bad = || SoapCallError::NotMade("the URL is not one of http or https with a host and no user part".into());
        let url = Url::parse(self.url).map_err(|_| bad())?;
        let has_user = !url.username().is_empty() || url.password().is_some();
        let is_good = matches!(url.scheme(), "http" | "https") && url.has_host() && !has_user;
        if is_good { Ok(url) } else { Err(bad()) }
    }

    pub(super) fn checked_headers(&self) -> Result<HeaderMap, SoapCallError> {
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (index, (name, value)) in self.headers.iter().enumerate() {
            let bad = |what: &str| SoapCallError::NotMade(format!("header {index} {what}"));
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("has a bad name"))?;
            if OF_CONNECTION.contains(&name) {
                return Err(bad("is one of the connection"));
            }
            // The values of headers have no encoding, so UTF-8 goes on as it came.
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad("has a bad value"))?;
            headers.append(name, value);
        }
        Ok(headers)
    }
}

/// The pieces of a message. Their sizes are known, so the message is not chunked.
pub(super) struct Pieces {
    pieces: VecDeque<Bytes>,
    left: u64,
}

impl Pieces {
    pub(super) fn new(pieces: Vec<Bytes>) -> Self {
        let pieces: VecDeque<Bytes> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { pieces, left }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.pieces.pop_front();
        self.left -= piece.as_ref().map_or(0, |piece| piece.len() as u64);
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
