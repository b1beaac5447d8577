//! What the process gives to the flow, on the memory log.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tributary_flow::http::{Caller, Problem, Roles};
use tributary_flow::process::Visit;
use tributary_flow::{Authenticator, Failure, Process};
use tributary_runtime::memory::Broker;
use tributary_runtime::{
    EachChange, EachRecord, LogError, Metrics, Output, Producer, Record, Shutdown, Topic, TopicFollower,
    TopicPartition, TopicReader,
};
use tributary_schemas::Codec;

use super::world::PARTITIONS;

/// A process on the memory log.
pub(crate) struct MemoryProcess {
    pub(crate) broker: Broker,
    pub(crate) codec: Codec,
    pub(crate) state: Arc<TempDir>,
    pub(crate) shutdown: Shutdown,
    pub(crate) tokio: Handle,
    pub(crate) is_shared: bool,
}

/// Knows tokens of the form `good CLIENT-ID`, and an issuer that is away.
struct Tokens;

impl Authenticator for Tokens {
    fn is_open(&self) -> bool {
        false
    }

    fn caller(&self, authorization: &str, _: Timestamp) -> Result<Caller, Problem> {
        match authorization.strip_prefix("good ") {
            Some(name) => Ok(Caller::new(name, Roles::from_iter([""; 0]))),
            None if authorization == "away" => Err(Problem::unavailable("away", "away", Duration::from_secs(1))),
            None => Err(Problem::unauthenticated("the token is not known")),
        }
    }
}

/// Reads the memory log.
struct Follower(Broker);

impl TopicFollower for Follower {
    fn ends(&self, topic: &'static Topic, flow_partitions: i32) -> Result<Vec<i64>, LogError> {
        let partitions = 0..topic.partition_count(flow_partitions);
        partitions.map(|partition| self.0.stable_end(TopicPartition { topic: topic.name, partition })).collect()
    }

    fn read_from(&self, at: TopicPartition, from: i64, each: EachRecord<'_>) -> Result<i64, LogError> {
        let end = self.0.stable_end(at)?;
        for record in self.0.read_committed(at.topic, at.partition) {
            if (from..end).contains(&record.offset) {
                each(&Record {
                    origin: at,
                    offset: record.offset,
                    timestamp: record.timestamp,
                    key: &record.key,
                    value: record.value.as_deref(),
                    headers: record.headers(),
                })?;
            }
        }
        Ok(end)
    }
}

impl TopicReader for Follower {
    fn read(&self, topic: &Topic, flow_partitions: i32, each: EachChange<'_>) -> Result<(), LogError> {
        for partition in 0..topic.partition_count(flow_partitions) {
            for record in self.0.read_committed(topic.name, partition) {
                each(&record.key, record.value.as_deref());
            }
        }
        Ok(())
    }

    fn ends(&self, _: &Topic, _: i32) -> Result<Vec<i64>, LogError> {
        Err(LogError::unavailable("no flow of this test asks for these ends"))
    }
}

impl Process for MemoryProcess {
    fn flow_partitions(&self) -> i32 {
        PARTITIONS
    }

    fn codec(&self) -> &Codec {
        &self.codec
    }

    fn state(&self) -> &Path {
        self.state.path()
    }

    fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    fn tokio(&self) -> &Handle {
        &self.tokio
    }

    fn is_shared(&self) -> bool {
        self.is_shared
    }

    fn authenticator(&self) -> Option<Arc<dyn Authenticator>> {
        Some(Arc::new(Tokens))
    }

    /// The client `forbidden` has no topic.
    fn provide_topic(&self, topic: &'static Topic) -> Result<(), LogError> {
        if topic.name.ends_with("forbidden") {
            return Err(LogError::fatal("not authorised"));
        }
        self.broker.create_topics(&[topic], PARTITIONS);
        Ok(())
    }

    fn publish(&self, output: &Output) -> Result<(), LogError> {
        self.broker.producer("sources").publish(output)
    }

    fn producer(&self, name: &str) -> Result<Box<dyn Producer>, LogError> {
        Ok(Box::new(self.broker.producer(name)))
    }

    fn reader(&self) -> Result<Box<dyn TopicReader>, LogError> {
        Ok(Box::new(Follower(self.broker.clone())))
    }

    fn follower(&self) -> Result<Box<dyn TopicFollower>, LogError> {
        Ok(Box::new(Follower(self.broker.clone())))
    }

    fn sync(&self) -> Result<(), LogError> {
        Ok(())
    }

    fn is_idle(&self) -> Result<bool, LogError> {
        Ok(false)
    }

    fn settle(&self, _: &dyn Fn() -> Option<String>) -> Result<(), Failure> {
        Ok(())
    }

    fn wait_until_ready(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn demand_all_partitions(&self) {}

    fn check(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn visit(&self, _: Visit) -> Result<Vec<Box<dyn Any + Send>>, Failure> {
        Ok(Vec::new())
    }

    fn metrics(&self) -> Vec<Arc<Metrics>> {
        Vec::new()
    }
}
