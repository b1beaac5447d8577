//! What a flow declares before a log is open, as static data. The program makes topologies, topic plans, lag and
//! metrics from it.

use std::sync::Arc;

use tributary_runtime::{Processor, Stage, Topic, Topology};

use crate::levels::LEVELS;

/// A flow as static data.
#[derive(Debug)]
pub struct Declaration {
    /// The start of the names of its consumer groups, configuration table, URLs and sub-command.
    pub name: &'static str,
    /// What the flow does, in one sentence without a full stop.
    pub about: &'static str,
    /// The consumer groups with their stages.
    pub groups: &'static [Group],
    /// The topics that the flow writes for other programs. No stage of the flow reads them.
    pub outputs: &'static [&'static Topic],
    /// The topic of records that can never be processed.
    pub dead_letters: &'static Topic,
    /// The topic of the level of the namespace, with one partition, which keeps the newest record of each key. It holds
    /// `tributary.NamespaceLevel` and `tributary.GroupMember`.
    pub control: &'static Topic,
    /// The process that owns partition 0 of this topic runs the rounds. `None` for a flow without sources and clock.
    pub leader: Option<&'static Topic>,
    /// What can be asked of the flow in every process, over HTTP and on the command line.
    pub views: &'static [&'static View],
    /// The built-in configuration: a TOML table of its name that explains each entry.
    pub defaults: &'static str,
    /// Top-level configuration tables of earlier versions, now in the flow's table. A message names the new table.
    pub former_tables: &'static [&'static str],
    /// Whether it serves requests. If it does, the HTTP port is open unless the configuration closes it.
    pub serves_requests: bool,
}

/// Stages that share a consumer group and its workers.
#[derive(Debug)]
pub struct Group {
    /// The name of the group.
    pub name: &'static str,
    /// Its worker threads in each process.
    pub workers: Workers,
    /// Its stages.
    pub stages: &'static [StageDeclaration],
}

/// The number of worker threads of a group in each process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// The configured number. The default is one for each core.
    Configured,
    /// This number, because the stages wait for the outside instead of computing.
    Fixed(usize),
}

impl Workers {
    /// The number of threads, if `configured` is the configured number.
    pub fn count(self, configured: usize) -> usize {
        match self {
            Self::Configured => configured,
            Self::Fixed(count) => count,
        }
    }
}

/// A stage: its inbox and its changelog.
#[derive(Debug)]
pub struct StageDeclaration {
    /// Its name, in metrics and dead letters.
    pub name: &'static str,
    /// The only topic that it reads.
    pub inbox: &'static Topic,
    /// Its changelog. `None` for a stage without state.
    pub changelog: Option<&'static Topic>,
}

/// Rows that every process can be asked for: the newest record of each key of a topic.
#[derive(Debug, PartialEq, Eq)]
pub struct View {
    /// Its name, the last part of its path and of its command.
    pub name: &'static str,
    /// Where its rows are written: an output of the flow that keeps the newest record of each key. A key always goes to
    /// the same partition.
    pub topic: &'static Topic,
    /// What the keys of its rows begin with. The rest is text.
    pub prefix: &'static str,
}

impl Declaration {
    /// All stages, by group.
    pub fn stages(&self) -> impl Iterator<Item = &'static StageDeclaration> {
        self.groups.iter().flat_map(|group| group.stages)
    }

    /// All topics: inboxes, changelogs, and topics for other programs.
    pub fn topics(&self) -> Vec<&'static Topic> {
        let inboxes = self.stages().map(|stage| stage.inbox);
        let changelogs = self.stages().filter_map(|stage| stage.changelog);
        let outputs = self.outputs.iter().copied().chain([self.dead_letters, self.control]);
        inboxes.chain(outputs).chain(changelogs).collect()
    }

    /// The topics of its views, each once.
    pub fn view_topics(&self) -> Vec<&'static Topic> {
        let mut topics: Vec<&'static Topic> = Vec::new();
        for view in self.views {
            if !topics.contains(&view.topic) {
                topics.push(view.topic);
            }
        }
        topics
    }
}

impl Group {
    /// The inboxes of the stages.
    pub fn inboxes(&self) -> Vec<&'static Topic> {
        self.stages.iter().map(|stage| stage.inbox).collect()
    }

    /// The group for the runtime. `processor` makes the processor of a stage and a partition.
    pub fn topology(
        &self,
        dead_letters: &'static Topic,
        flow_partitions: i32,
        processor: impl Fn(&'static str, i32) -> Box<dyn Processor> + Send + Sync + 'static,
    ) -> Topology {
        let processor = Arc::new(processor);
        let stage = |stage: &'static StageDeclaration| {
            let (name, processor) = (stage.name, Arc::clone(&processor));
            let make = Box::new(move |partition| processor(name, partition));
            Stage { name, inbox: stage.inbox, changelog: stage.changelog, processor: make }
        };
        let stages = self.stages.iter().map(stage).collect();
        Topology { flow: self.name, stages, dead_letters, flow_partitions, levels: LEVELS }
    }
}
