//! Whether every worker is at work. Other workers take over the partitions of a frozen one, and would hide it.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tributary_harness::Services;

use super::subject::Group;

/// The groups of the processes.
pub(super) struct Members {
    services: Services,
    /// The name of each group on the broker, and how many members each process has in it.
    groups: Vec<(String, usize)>,
}

impl Members {
    pub(super) fn new(services: &Services, namespace: &str, groups: &[Group]) -> Self {
        let groups = groups.iter().map(|group| (format!("{namespace}.{}", group.name), group.workers)).collect();
        Self { services: services.clone(), groups }
    }

    /// Says which group is not at rest with as many members as that many processes have workers.
    pub(super) fn wrong(&self, processes: usize) -> Option<String> {
        let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &self.services.kafka).create().unwrap();
        self.groups.iter().find_map(|(name, workers)| {
            let found = client.fetch_group_list(Some(name), Duration::from_secs(5)).ok();
            let group = found.as_ref().and_then(|list| list.groups().first());
            let (state, members) = group.map_or(("unknown", 0), |group| (group.state(), group.members().len()));
            let expected = processes * workers;
            let is_right = state == "Stable" && members == expected;
            (!is_right).then(|| format!("{name} is {state} and has {members} members, not {expected}"))
        })
    }
}
