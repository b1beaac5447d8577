//! Reading topics outside any group: their records and their ends.

use tributary_runtime::{EachChange, LogError, Topic};

use super::configuration::KafkaConfiguration;
use super::offsets::BrokerPartition;
use super::restore::ChangelogReader;

/// Reads the committed records of topics from the start.
pub struct KafkaReader {
    reader: ChangelogReader,
    configuration: KafkaConfiguration,
}

impl KafkaReader {
    /// A reader. `group` is only a name for access rights: nothing joins it.
    ///
    /// # Errors
    /// [`LogError::Fatal`] when the configuration is wrong.
    pub fn open(configuration: &KafkaConfiguration, group: &str) -> Result<Self, LogError> {
        Ok(Self { reader: ChangelogReader::new(configuration, group)?, configuration: configuration.clone() })
    }

    /// Calls `each` with key and value of every committed record of a topic, one partition after another.
    ///
    /// # Errors
    /// [`LogError`] when the broker cannot be asked.
    pub fn read(&self, topic: &Topic, flow_partitions: i32, each: EachChange<'_>) -> Result<(), LogError> {
        for partition in self.partitions(topic, flow_partitions) {
            self.reader.restore(&partition, 0, each)?;
        }
        Ok(())
    }

    /// The end of each partition of a topic, in order.
    ///
    /// # Errors
    /// [`LogError`] when the broker cannot be asked.
    pub fn ends(&self, topic: &Topic, flow_partitions: i32) -> Result<Vec<i64>, LogError> {
        self.reader.ends(&self.partitions(topic, flow_partitions))
    }

    fn partitions(&self, topic: &Topic, flow_partitions: i32) -> Vec<BrokerPartition> {
        let name = self.configuration.name(topic.name);
        (0..topic.partition_count(flow_partitions)).map(|partition| (name.clone(), partition)).collect()
    }
}
