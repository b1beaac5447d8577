//! Reading topics outside any group: their records and their ends.

use tributary_runtime::{EachChange, LogError, Topic, TopicReader};

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

    fn partitions(&self, topic: &Topic, flow_partitions: i32) -> Vec<BrokerPartition> {
        let name = self.configuration.name(topic.name);
        (0..topic.partition_count(flow_partitions)).map(|partition| (name.clone(), partition)).collect()
    }
}

impl TopicReader for KafkaReader {
    fn read(&self, topic: &Topic, flow_partitions: i32, each: EachChange<'_>) -> Result<(), LogError> {
        for partition in self.partitions(topic, flow_partitions) {
            self.reader.restore(&partition, 0, each)?;
        }
        Ok(())
    }

    fn ends(&self, topic: &Topic, flow_partitions: i32) -> Result<Vec<i64>, LogError> {
        self.reader.ends(&self.partitions(topic, flow_partitions))
    }
}
