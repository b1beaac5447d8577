//! What is put under chaos: a flow with its topics and consumer groups, in a namespace of its own.

use std::time::{Duration, Instant};

use tributary_connectors::kafka::{KafkaConfiguration, KafkaLag, KafkaProducer, TopicPlan};
use tributary_flow::declaration::Declaration;
use tributary_harness::{Services, fresh_namespace};
use tributary_runtime::Topic;

use super::SmallDisk;
use super::driver::{Driver, Work};
use super::fault::Plan;
use super::members::Members;
use super::processes::{Processes, Program};
use super::watch::{Watched, Watcher};

/// How long a broker that has just been started may take until it has transactions.
const PRODUCER_LIMIT: Duration = Duration::from_mins(1);

/// A consumer group of the subject.
#[derive(Debug)]
pub struct Group {
    /// Its name, without namespace.
    pub name: &'static str,
    /// What its workers read.
    pub inboxes: Vec<&'static Topic>,
    /// How many workers each process has in it.
    pub workers: usize,
}

/// Topics and groups, each topic with `partitions` partitions unless it is declared with one.
#[derive(Debug)]
pub struct Subject {
    /// The name, as part of the namespace.
    pub name: &'static str,
    /// The topics that exist before the processes start.
    pub topics: Vec<&'static Topic>,
    /// The consumer groups.
    pub groups: Vec<Group>,
    /// Partitions of topics that have as many as the flow.
    pub partitions: i32,
}

impl Subject {
    /// A flow as it declares itself, with one configured worker in each process.
    pub fn of_flow(declaration: &'static Declaration, partitions: i32) -> Self {
        let group = |group: &'static tributary_flow::declaration::Group| Group {
            name: group.name,
            inboxes: group.inboxes(),
            workers: group.workers.count(1),
        };
        let groups = declaration.groups.iter().map(group).collect();
        Self { name: declaration.name, topics: declaration.topics(), groups, partitions }
    }

    /// Creates the topics in a namespace that nobody has used.
    pub fn set_up(self, services: &Services) -> Site {
        let namespace = fresh_namespace(&format!("chaos-{}", self.name));
        let configuration = KafkaConfiguration::new(&services.kafka, &namespace, "chaos");
        TopicPlan::compare(&configuration, &self.topics, self.partitions, 1).unwrap().apply().unwrap();
        Site { services: services.clone(), namespace, configuration, subject: self }
    }
}

/// Where a subject works.
#[derive(Debug)]
pub struct Site {
    /// The broker and the registry.
    pub services: Services,
    /// What all names of the subject begin with.
    pub namespace: String,
    /// How the test itself reaches the broker: not through the proxy.
    pub configuration: KafkaConfiguration,
    /// Topics and groups.
    pub subject: Subject,
}

impl Site {
    /// Starts processes behind a proxy. `disk` is the one that [`super::Fault::FillDisk`] fills.
    pub fn drive(&self, seed: u64, plan: Plan, program: Program, disk: Option<&SmallDisk>) -> Driver {
        let groups = &self.subject.groups;
        let inboxes: Vec<_> = groups.iter().map(|group| (group.name, group.inboxes.clone())).collect();
        let work = Work {
            processes: Processes::new(program),
            disk: disk.cloned(),
            lag: KafkaLag::open(&self.configuration, &inboxes, self.subject.partitions).unwrap(),
            members: Members::new(&self.services, &self.namespace, groups),
        };
        Driver::start(seed, &self.services, &self.namespace, plan, work)
    }

    /// Watches what is committed to these topics.
    pub fn watch(&self, topics: &[&'static Topic]) -> Watcher {
        Watcher::start(&Watched {
            services: self.services.clone(),
            namespace: self.namespace.clone(),
            topics: topics.to_vec(),
            partitions: self.subject.partitions,
        })
    }

    /// A producer of the test itself.
    pub fn producer(&self) -> KafkaProducer {
        producer(&self.configuration)
    }
}

/// A producer of the test itself. A broker that has just been started needs a moment before it has transactions.
pub fn producer(configuration: &KafkaConfiguration) -> KafkaProducer {
    let deadline = Instant::now() + PRODUCER_LIMIT;
    loop {
        match KafkaProducer::open(configuration, "chaos", "requests") {
            Ok(producer) => return producer,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
}
