//! An answer on its way in: nothing is kept before there is space for it.

use std::fmt;
use std::future::Future;

use reqwest::Response;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};

use super::SoapCallError;
use super::unpack::Unpacking;

/// The first space that is taken if the size of an answer is not known, in bytes.
const FIRST_SPACE: usize = 4096;

/// What a header takes beside its name and its value, in bytes.
const AROUND_HEADER: usize = ": \r\n".len();

/// Where the bytes of an answer count before they are kept, so that many large answers cannot take all memory.
pub trait Space: Send {
    /// Waits until so many bytes may be kept in all. To drop the future ends the wait.
    fn grow_to(&mut self, bytes: usize) -> impl Future<Output = ()> + Send;
}

/// An answer.
pub struct SoapAnswer {
    /// The HTTP status, redirects and errors included.
    pub status: u16,
    /// `Content-Type`, if there is one.
    pub content_type: Option<String>,
    /// All bytes, unpacked.
    pub body: Vec<u8>,
}

/// Shows nothing of the message.
impl fmt::Debug for SoapAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SoapAnswer({}, {} bytes)", self.status, self.body.len())
    }
}

/// What is taken of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of the header.
    pub(super) header: usize,
    /// Bytes of the body, packed and unpacked.
    pub(super) body: usize,
}

/// Reads an answer to its end.
pub(super) async fn read<S: Space>(
    mut response: Response,
    limits: Limits,
    space: &mut S,
) -> Result<SoapAnswer, SoapCallError> {
    let headers = response.headers();
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + AROUND_HEADER).sum();
    if size > limits.header {
        return Err(SoapCallError::Lost(format!("the header of the answer is larger than {} bytes", limits.header)));
    }
    let is_packed = is_packed(headers)?;
    let content_type = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let status = response.status().as_u16();
    let announced = response.content_length().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced.is_some_and(|length| length > limits.body) {
        return Err(SoapCallError::TooLarge(limits.body));
    }
    let announced = announced.filter(|_| !is_packed);
    let mut kept = Kept { bytes: Vec::new(), announced, limit: limits.body, space };
    if is_packed {
        let mut unpacking = Unpacking::new(limits.body);
        while let Some(piece) = next(&mut response).await? {
            unpacking.take(piece, &mut kept).await?;
        }
        unpacking.end(&mut kept).await?;
    } else {
        while let Some(piece) = next(&mut response).await? {
            kept.push(&piece).await?;
        }
    }
    let body = kept.bytes;
    // The connection is free for the next call once its own task has run.
    tokio::task::yield_now().await;
    Ok(SoapAnswer { status, content_type, body })
}

async fn next(response: &mut Response) -> Result<Option<bytes::Bytes>, SoapCallError> {
    response.chunk().await.map_err(|error| SoapCallError::of_body(&error))
}

/// Whether the body is packed with gzip. No other encoding is asked for.
fn is_packed(headers: &HeaderMap) -> Result<bool, SoapCallError> {
    let unknown = SoapCallError::Packed("its encoding is not gzip");
    let mut encodings = Vec::new();
    for value in headers.get_all(CONTENT_ENCODING) {
        let Ok(value) = value.to_str() else { return Err(unknown) };
        let values = value.split(',').map(|encoding| encoding.trim().to_ascii_lowercase());
        encodings.extend(values.filter(|encoding| !matches!(encoding.as_str(), "" | "identity")));
    }
    match encodings.as_slice() {
        [] => Ok(false),
        [one] if matches!(one.as_str(), "gzip" | "x-gzip") => Ok(true),
        _ => Err(unknown),
    }
}

/// What is kept of a body.
pub(super) struct Kept<'s, S> {
    bytes: Vec<u8>,
    /// The size, if it is known.
    announced: Option<usize>,
    limit: usize,
    space: &'s mut S,
}

impl<S: Space> Kept<'_, S> {
    /// Keeps a piece, once there is space for it.
    pub(super) async fn push(&mut self, piece: &[u8]) -> Result<(), SoapCallError> {
        let size = self.bytes.len().saturating_add(piece.len());
        if size > self.limit {
            return Err(SoapCallError::TooLarge(self.limit));
        }
        let capacity = self.bytes.capacity();
        if size > capacity {
            // A known size is taken at once: calls that each hold a part and wait for the rest would stop each other.
            let known = self.announced.unwrap_or_else(|| FIRST_SPACE.max(capacity.saturating_add(capacity / 2)));
            let grown = known.clamp(size, self.limit);
            self.space.grow_to(grown).await;
            self.bytes.reserve_exact(grown - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }
}
