//! The producer of connectors that bring data in.

use tributary_runtime::{LogError, Output, Producer};

use super::configuration::KafkaConfiguration;
use super::transaction::Transactions;

/// Publishes records in transactions of its own.
///
/// If a commit is not answered, nobody knows whether the records are visible: [`LogError::Unavailable`]. A caller that
/// publishes them again must give them the same identity, so that their reader recognises them.
pub struct KafkaProducer {
    transactions: Transactions,
}

impl KafkaProducer {
    /// A producer called `name`. No other producer of this process and group may have that name.
    ///
    /// # Errors
    /// [`LogError`] when the broker cannot be reached or refuses.
    pub fn open(configuration: &KafkaConfiguration, group: &str, name: &str) -> Result<Self, LogError> {
        let id = configuration.transactional_id(group, name);
        Ok(Self { transactions: Transactions::open(configuration, id)? })
    }

    /// The only producer called `name` in all processes of the namespace. Opening it fences the previous one.
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
