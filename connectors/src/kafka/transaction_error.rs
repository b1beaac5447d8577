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
        let hint = match self.code {
            Code::InvalidTimestamp => "; compare the clock of this machine with that of the broker",
            _ => "",
        };
        kind(format!("{call}: {self}{hint}")).caused_by(self)
    }
}

impl From<KafkaError> for TransactionError {
    fn from(error: KafkaError) -> Self {
        match error {
            KafkaError::Transaction(error) => Self::from(error),
            error => Self {
                code: error.rdkafka_error_code().unwrap_or(Code::Fail),
                text: lasting(&error.to_string()),
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
            text: lasting(&error.string()),
            retriable: error.is_retriable(),
            abortable: error.txn_requires_abort(),
        }
    }
}

/// The text without what librdkafka counts at each attempt, so that a failure that lasts is one trouble.
pub(super) fn lasting(text: &str) -> String {
    let cut = text.split_once(" (broker ").and_then(|(before, rest)| Some((before, rest.split_once(')')?.1)));
    cut.map_or_else(|| text.to_owned(), |(before, after)| format!("{before}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_failure_is_the_same_at_each_attempt() {
        let of = |epoch: u32| {
            lasting(&format!(
                "ProduceRequest for esr.event [0] with 1 message(s) failed: Broker: Invalid timestamp (broker 1 \
                 PID{{Id:31,Epoch:{epoch}}}, base seq 0): current transaction must be aborted"
            ))
        };
        assert_eq!(of(26), of(27));
        assert!(of(26).ends_with("Invalid timestamp: current transaction must be aborted"), "{}", of(26));
        assert_eq!(lasting("Local: Timed out"), "Local: Timed out");
    }
}
