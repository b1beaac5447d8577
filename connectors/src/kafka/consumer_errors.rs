//! The errors that a consumer reports besides records. librdkafka handles most of them by itself, and repeats them many
//! times each second while a broker is away.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;
use tributary_runtime::LogError;
use tributary_runtime::trouble::Troubles;

use super::log_error;
use super::rebalance::MemberConsumer;
use crate::events;

/// After this long without an error, the trouble is over.
const QUIET: Duration = Duration::from_secs(30);

/// The errors of one consumer.
#[derive(Default)]
pub(super) struct ConsumerErrors {
    troubles: Troubles,
    last: Option<Instant>,
}

impl ConsumerErrors {
    /// What an error event of the consumer means.
    ///
    /// # Errors
    /// The error, if the consumer cannot continue.
    pub(super) fn take(&mut self, consumer: &MemberConsumer, group: &str, error: &KafkaError) -> Result<(), LogError> {
        if let Some((code, text)) = consumer.client().fatal_error() {
            let text = format!("the consumer of group {group}: {text}");
            return Err(match code {
                Code::FencedInstanceId => LogError::fenced(format!("{text}; {}", log_error::INSTANCE_NAME_TAKEN)),
                _ => LogError::unavailable(text),
            });
        }
        if let Some(Code::AutoOffsetReset | Code::LogTruncation | Code::OffsetOutOfRange) = error.rdkafka_error_code() {
            return Err(LogError::offset_out_of_range(format!("the consumer of group {group}: {error}")));
        }
        match log_error::from_call("reading", error) {
            fatal @ LogError::Fatal(_) => Err(fatal),
            passing => {
                let now = Instant::now();
                self.last = Some(now);
                if let Some(report) = self.troubles.note(group, passing.to_string(), now) {
                    events::consumer_reported_error(group, &passing, &report);
                }
                Ok(())
            }
        }
    }

    /// Ends the trouble if there was no error for some time.
    pub(super) fn look(&mut self, group: &str) {
        if self.last.is_none_or(|last| last.elapsed() < QUIET) {
            return;
        }
        self.last = None;
        if let Some(report) = self.troubles.end(group, Instant::now()) {
            events::consumer_is_quiet(group, &report);
        }
    }
}
