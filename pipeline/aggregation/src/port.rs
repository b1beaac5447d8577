//! What the flow waits for: the index and the producers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::caller::Header;
use crate::find_content::{FindContent, Found, IndexError};
use crate::memory::Share;
use crate::request_list::RequestBody;

/// An answer to come. To drop it cancels what is under way.
pub type Answering<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The engagement index, our own or another one.
pub trait Index: Send + Sync {
    /// Asks where data of a patient is.
    fn find(&self, question: IndexQuestion) -> Answering<Result<Found, IndexError>>;
}

/// A question to the index.
#[derive(Clone, Debug)]
pub struct IndexQuestion {
    /// The question.
    pub find: FindContent,
    /// The HTTP headers, if it is asked over HTTP.
    pub headers: Vec<Header>,
}

/// The source systems, through the platform.
pub trait Producers: Send + Sync {
    /// Makes a call. An implementation reserves space in `call.share` before it keeps bytes of the answer, follows no
    /// redirect, and never keeps more than `call.limit` bytes, unpacked.
    fn call(&self, call: OutgoingCall) -> Answering<Result<ProducerAnswer, TransportError>>;
}

/// A call.
pub struct OutgoingCall {
    /// The address that is called, for messages.
    pub address: String,
    /// Where to.
    pub url: String,
    /// The HTTP headers, those of SOAP included.
    pub headers: Vec<Header>,
    /// The message.
    pub body: RequestBody,
    /// How many bytes of an answer are taken.
    pub limit: usize,
    /// Space for the answer.
    pub share: Share,
}

impl fmt::Debug for OutgoingCall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "OutgoingCall({}, {:?})", self.address, self.body)
    }
}

/// The answer to a call.
pub struct ProducerAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The content type, if there was one.
    pub content_type: Option<String>,
    /// All bytes, unpacked.
    pub body: Vec<u8>,
    /// The space that they take.
    pub share: Share,
}

impl fmt::Debug for ProducerAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ProducerAnswer({}, {} bytes)", self.status, self.body.len())
    }
}

/// Why there is no answer. The texts hold nothing of a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The connection was refused, or not made in time.
    #[error("the connection was refused: {0}")]
    Refused(String),
    /// The connection broke.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The answer is larger than is taken.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The packed bytes cannot be unpacked.
    #[error("the answer cannot be unpacked: {0}")]
    Packed(String),
    /// The call could not be made at all.
    #[error("the call could not be made: {0}")]
    NotMade(String),
}

impl TransportError {
    /// Whether the address cannot be reached.
    pub fn is_unreached(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}
