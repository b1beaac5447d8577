//! What went wrong at the client, in the terms of the runtime: what has to happen next.

use rdkafka::error::{KafkaError, RDKafkaError};
use rdkafka::types::RDKafkaErrorCode as Code;
use tributary_runtime::LogError;

/// Who it was that joined when a member with a fixed name is fenced, and what to do.
pub(super) const INSTANCE_NAME_TAKEN: &str = "somebody has joined with the same instance name: this process, if the \
     broker did not answer for a while, else another, which needs a name of its own";

/// An error of a transactional call. librdkafka says what it allows next.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) code: Code,
    pub(super) text: String,
    pub(super) retriable: bool,
    pub(super) abortable: bool,
}

impl Fault {
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

impl From<KafkaError> for Fault {
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

impl From<RDKafkaError> for Fault {
    fn from(error: RDKafkaError) -> Self {
        Self {
            code: error.code(),
            text: error.string(),
            retriable: error.is_retriable(),
            abortable: error.txn_requires_abort(),
        }
    }
}

/// The error of a call that asks the broker for something, `what`.
pub(super) fn asked(what: &str, error: &KafkaError) -> LogError {
    let failed = match error.rdkafka_error_code() {
        Some(code) => by_code(what, code, error),
        None => LogError::unavailable(format!("{what}: {error}")),
    };
    failed.caused_by(error.clone())
}

/// The error of a client that could not be made: the configuration is wrong.
pub(super) fn not_created(what: &str, error: &KafkaError) -> LogError {
    let text = format!("{what} could not be set up, check the Kafka settings: {error}");
    LogError::fatal(text).caused_by(error.clone())
}

fn by_code(what: &str, code: Code, error: &KafkaError) -> LogError {
    match code {
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => LogError::unavailable(format!(
            "{what}: the topic or partition does not exist; create it with `tributary topics apply` ({error})"
        )),
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::Authentication => LogError::fatal(format!(
            "{what}: the broker refuses; check user, password and access rights of topics, groups and transactional \
             ids ({error})"
        )),
        Code::FencedInstanceId => LogError::fenced(format!("{what}: {INSTANCE_NAME_TAKEN} ({error})")),
        Code::OffsetOutOfRange | Code::AutoOffsetReset => LogError::offset_out_of_range(format!("{what}: {error}")),
        Code::IllegalGeneration | Code::UnknownMemberId | Code::RebalanceInProgress | Code::StaleMemberEpoch => {
            LogError::abortable(format!("{what}: the partitions have moved to another member ({error})"))
        }
        _ => LogError::unavailable(format!("{what}: {error}")),
    }
}
