//! The producer of connectors that bring data in.

use tributary_runtime::{LogError, Output, Producer};

use super::configuration::KafkaConfiguration;
use super::transaction::Transactions;

/// Publishes records in transactions of its own.
///
/// When the answer to a commit does not come, nobody can say whether the records are visible: [`LogError::Unavailable`].
/// Who publishes them again must do so under the identity they had, so that their reader recognises them.
pub struct KafkaProducer {
    transactions: Transactions,
}

impl KafkaProducer {
    /// A producer called `name`, which no other producer of this process and group may be called.
    ///
    /// # Errors
    /// [`LogError`] when the broker cannot be reached or refuses.
    pub fn open(configuration: &KafkaConfiguration, group: &str, name: &str) -> Result<Self, LogError> {
        let id = configuration.transactional_id(group, name);
        Ok(Self { transactions: Transactions::open(configuration, id)? })
    }

    /// The one producer called `name` of all processes of the namespace: whoever opens it fences the one before.
    ///
    /// # Errors
    /// [`LogError`] when the broker cannot be reached or refuses.
    pub fn open_shared(configuration: &KafkaConfiguration, group: &str, name: &str) -> Result<Self, LogError> {
        let id = configuration.name(&format!("{group}.{name}"));
        Ok(Self { transactions: Transactions::open(configuration, id)? })
    }
}

impl Producer for KafkaProducer {
    fn publish(&mut self, output: &Output) -> Result<(), LogError> {
        if output.is_empty() {
            return Ok(());
        }
        if self.transactions.is_broken() {
            self.transactions.renew()?;
        }
        match self.transactions.send_and_commit(output, None) {
            Err(LogError::Abortable(text)) => {
                self.transactions.abort()?;
                Err(LogError::Abortable(text))
            }
            other => other,
        }
    }
}
