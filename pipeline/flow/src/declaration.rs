//! What a flow declares before a log is open, as static data. Topologies, topic plans, lag and metrics are made from
//! it.

use std::sync::Arc;

use tributary_runtime::{Processor, Stage, Topic, Topology};

/// A flow as static data.
#[derive(Debug)]
pub struct Declaration {
    /// Consumer groups, configuration table, URL prefix and sub-command start with it.
    pub name: &'static str,
    /// What it does, in one sentence without a full stop.
    pub about: &'static str,
    /// Its consumer groups with their stages.
    pub groups: &'static [Group],
    /// Topics that it writes for other programs and that no stage of it reads.
    pub outputs: &'static [&'static Topic],
    /// Where records go that can never be processed.
    pub dead_letters: &'static Topic,
    /// The process that owns partition 0 of this topic runs the rounds; `None` for a flow without sources and clock.
    pub leader: Option<&'static Topic>,
    /// What can be asked of it in every process, over HTTP and on the command line.
    pub views: &'static [&'static View],
    /// Its built-in configuration, a TOML table of its name with an explanation of each entry.
    pub defaults: &'static str,
    /// Top-level configuration tables that stand in the flow's table now, for the message to whoever still uses them.
    pub former_tables: &'static [&'static str],
    /// Whether it serves requests, so that the HTTP port is open unless it is configured away.
    pub serves_requests: bool,
}

/// Stages that share a consumer group and workers.
#[derive(Debug)]
pub struct Group {
    /// The name of the group.
    pub name: &'static str,
    /// Its worker threads in each process.
    pub workers: Workers,
    /// Its stages.
    pub stages: &'static [StageDeclaration],
}

/// How many worker threads a group has in each process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// As many as are configured: one for each core, unless said otherwise.
    Configured,
    /// This many, because its stages wait for the outside instead of computing.
    Fixed(usize),
}

impl Workers {
    /// The number of threads, where `configured` are.
    pub fn count(self, configured: usize) -> usize {
        match self {
            Self::Configured => configured,
            Self::Fixed(count) => count,
        }
    }
}

/// A stage: one inbox, and where the changes of its state go.
#[derive(Debug)]
pub struct StageDeclaration {
    /// Its name, as in metrics and dead letters.
    pub name: &'static str,
    /// The one topic that it reads.
    pub inbox: &'static Topic,
    /// Its changelog; `None` for a stage without state.
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

    /// All topics: what stages read, their changelogs, and what is written for others.
    pub fn topics(&self) -> Vec<&'static Topic> {
        let inboxes = self.stages().map(|stage| stage.inbox);
        let changelogs = self.stages().filter_map(|stage| stage.changelog);
        let outputs = self.outputs.iter().copied().chain([self.dead_letters]);
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
    /// The inboxes of its stages.
    pub fn inboxes(&self) -> Vec<&'static Topic> {
        self.stages.iter().map(|stage| stage.inbox).collect()
    }

    /// The group as the runtime runs it; `processor` makes the processor of a stage and partition.
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
        Topology { flow: self.name, stages, dead_letters, flow_partitions }
    }
}
