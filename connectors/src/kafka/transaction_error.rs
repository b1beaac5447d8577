//! The error of a transactional call, and what librdkafka allows after it.

use rdkafka::error::{KafkaError, RDKafkaError};
use rdkafka::types::RDKafkaErrorCode as Code;
use tributary_runtime::LogError;

/// An error of a transactional call.
#[derive(Debug, thiserror::Error)]
#[error("{text} ({code:?})")]
pub(super) struct TransactionError {
    pub(super) code: Code,
    pub(super) text: String,
    /// Whether the call may be repeated.
    pub(super) retriable: bool,
    /// Whether the transaction has to be aborted, and can be.
    pub(super) abortable: bool,
}

impl TransactionError {
    /// Whether another producer has, or had, a newer epoch of the same transactional id.
    pub(super) fn is_fenced(&self) -> bool {
        matches!(self.code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
    }

    /// Whether the error comes from the client and not from the broker. Then nobody knows whether the broker got the
    /// request, or still gets it.
    fn is_local(&self) -> bool {
        (self.code as i32) < 0
    }

    /// Whether this producer can abort the transaction, and none of its requests arrives later.
    pub(super) fn is_answered_and_abortable(&self) -> bool {
        self.abortable && !self.is_local()
    }

    /// The error for the runtime, of the kind that `kind` makes of a text.
    pub(super) fn of_call(self, call: &str, kind: fn(String) -> LogError) -> LogError {
        kind(format!("{call}: {self}")).caused_by(self)
    }
}

impl From<KafkaError> for TransactionError {
    fn from(error: KafkaError) -> Self {
        match error {
            KafkaError::Transaction(error) => Self::from(error),
            error => Self {
                code: error.rdkafka_error_code().unwrap_or(Code::Fail),
                text: error.to_string(),
                retriable: false,
                abortable: false,
            },
        }
    }
}

impl From<RDKafkaError> for TransactionError {
    fn from(error: RDKafkaError) -> Self {
        Self {
            code: error.code(),
            text: error.string(),
            retriable: error.is_retriable(),
            abortable: error.txn_requires_abort(),
        }
    }
}
