//! Why a log could not do something.

use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::error_code;

/// Why the log could not do it, by what has to happen next. [`Error::source`] is the error of the library or the system
/// behind it, where there is one; the text of this error already includes that of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogError {
    /// The transaction must be aborted; afterwards the work is done again.
    Abortable(Reason),
    /// The broker is not reachable or not ready; the same call may succeed later.
    Unavailable(Reason),
    /// Another producer with this transactional id has taken over.
    Fenced(Reason),
    /// The requested offsets are no longer in the log.
    OffsetOutOfRange(Reason),
    /// Records of a changelog were deleted, so what is left of it is not the whole state.
    Truncated(Reason),
    /// Only an operator can help.
    Fatal(Reason),
}

/// What happened, in words, and the error behind it. Two reasons are equal when their words are.
#[derive(Debug, Clone)]
pub struct Reason {
    text: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl LogError {
    /// An error after which the transaction must be aborted.
    pub fn abortable(reason: impl Into<Reason>) -> Self {
        Self::Abortable(reason.into())
    }

    /// An error that may pass.
    pub fn unavailable(reason: impl Into<Reason>) -> Self {
        Self::Unavailable(reason.into())
    }

    /// An error of a producer whose transactional id was taken over.
    pub fn fenced(reason: impl Into<Reason>) -> Self {
        Self::Fenced(reason.into())
    }

    /// An error of a read from offsets that are not there.
    pub fn offset_out_of_range(reason: impl Into<Reason>) -> Self {
        Self::OffsetOutOfRange(reason.into())
    }

    /// An error of a changelog with deleted records.
    pub fn truncated(reason: impl Into<Reason>) -> Self {
        Self::Truncated(reason.into())
    }

    /// An error that does not pass by itself.
    pub fn fatal(reason: impl Into<Reason>) -> Self {
        Self::Fatal(reason.into())
    }

    /// The same error with the error behind it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.reason_mut().source = Some(Arc::new(source));
        self
    }

    /// The stable name of this kind of error; see [`error_code`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::Abortable(_) => error_code::TRANSACTION_ABORTED,
            Self::Unavailable(_) => error_code::LOG_UNAVAILABLE,
            Self::Fenced(_) => error_code::PRODUCER_FENCED,
            Self::OffsetOutOfRange(_) => error_code::OFFSET_OUT_OF_RANGE,
            Self::Truncated(_) => error_code::CHANGELOG_TRUNCATED,
            Self::Fatal(_) => error_code::LOG_FAILED,
        }
    }

    fn reason(&self) -> &Reason {
        match self {
            Self::Abortable(reason)
            | Self::Unavailable(reason)
            | Self::Fenced(reason)
            | Self::OffsetOutOfRange(reason)
            | Self::Truncated(reason)
            | Self::Fatal(reason) => reason,
        }
    }

    fn reason_mut(&mut self) -> &mut Reason {
        match self {
            Self::Abortable(reason)
            | Self::Unavailable(reason)
            | Self::Fenced(reason)
            | Self::OffsetOutOfRange(reason)
            | Self::Truncated(reason)
            | Self::Fatal(reason) => reason,
        }
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Abortable(_) => "transaction must be aborted",
            Self::Unavailable(_) => "log is not available",
            Self::Fenced(_) => "fenced by another process with the same transactional id",
            Self::OffsetOutOfRange(_) => "offset out of range",
            Self::Truncated(_) => "changelog truncated",
            Self::Fatal(_) => "log failed",
        };
        write!(formatter, "{kind}: {}", self.reason())
    }
}

impl Error for LogError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source: &(dyn Error + 'static) = &**self.reason().source.as_ref()?;
        Some(source)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl PartialEq for Reason {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Reason {}

impl Deref for Reason {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self { text, source: None }
    }
}

impl From<&str> for Reason {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_the_error_behind_it_through_clones() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = LogError::unavailable(format!("cannot write: {full}")).caused_by(full);
        let source = error.clone().source().unwrap().downcast_ref::<std::io::Error>().unwrap().kind();
        assert_eq!(source, std::io::ErrorKind::StorageFull);
        assert_eq!(error, LogError::unavailable("cannot write: no storage space"));
        assert!(LogError::fatal("alone").source().is_none());
    }
}
