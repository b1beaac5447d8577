//! Whether every worker is at work. One that stands still would be hidden by those that take over its partitions.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tributary_harness::Services;

/// The groups of the processes.
pub struct Members {
    services: Services,
    /// The name of each group on the broker, and how many members each process has in it.
    groups: Vec<(String, usize)>,
}

impl Members {
    /// Groups by their names in the flow, each with the workers that a process has for it.
    pub fn new(services: &Services, namespace: &str, groups: &[(&str, usize)]) -> Self {
        let groups = groups.iter().map(|(group, workers)| (format!("{namespace}.{group}"), *workers)).collect();
        Self { services: services.clone(), groups }
    }

    /// Says which group is not at rest with as many members as that many processes have workers.
    pub fn wrong(&self, processes: usize) -> Option<String> {
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
