//! Stages and topologies: which processor reads which inbox.

use crate::level::Levels;
use crate::processor::Processor;
use crate::topic::Topic;

/// A processor with its one inbox and its changelog.
pub struct Stage {
    /// The stage's name, as in metrics and dead letters.
    pub name: &'static str,
    /// The one topic it reads.
    pub inbox: &'static Topic,
    /// Where the changes of its state go; `None` for a stage without state.
    pub changelog: Option<&'static Topic>,
    /// Makes the processor of one partition.
    pub processor: Box<dyn Fn(i32) -> Box<dyn Processor> + Send + Sync>,
}

/// The stages that share one consumer group and run in the same workers.
pub struct Topology {
    /// The name of the flow: consumer group and transactional ids start with it.
    pub flow: &'static str,
    /// All stages.
    pub stages: Vec<Stage>,
    /// The topic for records that can never be processed.
    pub dead_letters: &'static Topic,
    /// Number of partitions of topics declared with [`crate::Partitions::Flow`].
    pub flow_partitions: i32,
    /// The levels that this release can run.
    pub levels: Levels,
}
