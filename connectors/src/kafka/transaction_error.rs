//! The error of a transactional call, and what librdkafka allows after it.

use rdkafka::error::{KafkaError, RDKafkaError};
use rdkafka::types::RDKafkaErrorCode as Code;

/// An error of a transactional call.
#[derive(Debug)]
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

    /// The text for the runtime: the call, and what librdkafka said.
    pub(super) fn describe(&self, call: &str) -> String {
        format!("{call}: {} ({:?})", self.text, self.code)
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
