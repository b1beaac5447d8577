//! The topics of clients. Their names are known only at run time.

use std::collections::HashMap;
use std::time::Duration;

use tributary_cases::configuration::{CasesSettings, Ordering};
use tributary_runtime::{Cleanup, LogError, Partitions, Role, Topic};
use tributary_schemas::types::cases::ClientName;

/// The log names topics by reference, so those of clients are never given back. Nobody registers as many.
const MOST: usize = 10_000;

/// The topics that this process has named so far.
pub(super) struct ClientTopics {
    by_client: HashMap<String, &'static Topic>,
    partitions: Partitions,
    retention: Duration,
}

impl ClientTopics {
    pub(super) fn new(settings: &CasesSettings) -> Self {
        // With strict ordering, the topic has the order of the whole queue, else that of each case.
        let partitions = match settings.ordering {
            Ordering::Strict => Partitions::Fixed(1),
            Ordering::PerCase => Partitions::Flow,
        };
        let retention = Duration::from_millis(settings.retention.unsigned_abs());
        Self { by_client: HashMap::new(), partitions, retention }
    }

    /// The topic of a client.
    ///
    /// # Errors
    /// [`LogError::Fatal`] after too many clients.
    pub(super) fn of(&mut self, client: &ClientName) -> Result<&'static Topic, LogError> {
        if let Some(topic) = self.by_client.get(client.as_str()) {
            return Ok(topic);
        }
        if self.by_client.len() >= MOST {
            let text = format!("this process has named {MOST} topics of clients: restart it to name more");
            return Err(LogError::fatal(text));
        }
        let topic: &'static Topic = Box::leak(Box::new(Topic {
            name: Box::leak(format!("dis_notifications_{client}").into_boxed_str()),
            partitions: self.partitions,
            cleanup: Cleanup::Delete(self.retention),
            role: Role::Output,
            records: &["cases.Notification"],
        }));
        self.by_client.insert(client.as_str().to_owned(), topic);
        Ok(topic)
    }
}
