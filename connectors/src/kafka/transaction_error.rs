//! The error of a transactional call, and what librdkafka allows after it.

use rdkafka::error::{KafkaError, RDKafkaError};
use rdkafka::types::RDKafkaErrorCode as Code;

/// An error of a transactional call. librdkafka says what it allows next.
#[derive(Debug)]
pub(super) struct TransactionError {
    pub(super) code: Code,
    pub(super) text: String,
    pub(super) retriable: bool,
    pub(super) abortable: bool,
}

impl TransactionError {
    /// Another producer has, or had, a newer epoch of the same transactional id.
    pub(super) fn is_fenced(&self) -> bool {
        matches!(self.code, Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)
    }

    /// The client says so itself; whether the broker has got the request, or still gets it, is not known.
    fn is_local(&self) -> bool {
        (self.code as i32) < 0
    }

    /// Whether the transaction can be aborted by this producer, and nothing of it arrives later.
    pub(super) fn is_answered_and_abortable(&self) -> bool {
        self.abortable && !self.is_local()
    }

    /// What a failure of a call other than the commit itself says to the runtime, when the producer lives on.
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
