//! Errors of librdkafka in the terms of the runtime: what has to happen next.

use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use tributary_runtime::LogError;

/// Why a member with a fixed name is fenced, and what to do.
pub(super) const INSTANCE_NAME_TAKEN: &str = "a process has joined with the same instance name: this one, if the \
     broker did not answer for a while; otherwise another one, which needs an instance name of its own";

/// The error of a call to the broker. `what` says what the call does.
pub(super) fn from_call(what: &str, error: &KafkaError) -> LogError {
    let failed = match error.rdkafka_error_code() {
        Some(code) => by_code(what, code, error),
        None => LogError::unavailable(format!("{what}: {error}")),
    };
    failed.caused_by(error.clone())
}

/// The error of a client that could not be created: the configuration is wrong.
pub(super) fn from_creation(what: &str, error: &KafkaError) -> LogError {
    let text = format!("{what} could not be created; check the Kafka settings: {error}");
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
            "{what}: the broker refuses; check user, password and the access rights to topics, groups and \
             transactional ids ({error})"
        )),
        Code::FencedInstanceId => LogError::fenced(format!("{what}: {INSTANCE_NAME_TAKEN} ({error})")),
        Code::OffsetOutOfRange | Code::AutoOffsetReset => LogError::offset_out_of_range(format!("{what}: {error}")),
        Code::IllegalGeneration | Code::UnknownMemberId | Code::RebalanceInProgress | Code::StaleMemberEpoch => {
            LogError::abortable(format!("{what}: the partitions have moved to another member ({error})"))
        }
        _ => LogError::unavailable(format!("{what}: {error}")),
    }
}
