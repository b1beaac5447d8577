//! The declaration of the flow, and the processors of its stages.

use std::sync::Arc;

use tributary_flow::declaration::{Declaration, Group, StageDeclaration, Workers};
use tributary_runtime::{Processor, Table, Tables, Topic};
use tributary_schemas::records::cases::Queue;

use crate::case::CaseStage;
use crate::client::{ClientStage, ClientTables};
use crate::configuration::DEFAULTS;
use crate::context::Context;
use crate::intake::{IntakeStage, Senders};
use crate::queue::QueueStage;
use crate::registry::RegistryStage;
use crate::topics;

/// The name of the consumer group of the stages.
pub const GROUP: &str = "cases";

/// The distribution of cases as static data.
pub static DECLARATION: Declaration = Declaration {
    name: "cases",
    about: "The distribution of cases from origin systems to clients",
    groups: &[MAIN, INTAKE],
    outputs: &[
        &topics::STATE,
        &topics::DELETED,
        &topics::OUTCOME,
        &topics::QUEUE,
        &topics::REGISTRY_ROWS,
        &topics::REGISTRY_ANSWER,
        &topics::DELIVERED,
        &topics::ALERT,
    ],
    dead_letters: &topics::DEAD_LETTER,
    control: &topics::CONTROL,
    leader: Some(&topics::REGISTRY),
    // The edge keeps the rows that it is asked for itself: it needs them by time and by permission.
    views: &[],
    defaults: DEFAULTS,
    former_tables: &[],
    serves_requests: true,
};

const MAIN: Group = Group {
    name: GROUP,
    workers: Workers::Configured,
    stages: &[
        stage("create", &topics::CREATE, &topics::CREATE_CHANGELOG),
        stage("update", &topics::UPDATE, &topics::UPDATE_CHANGELOG),
        stage("close", &topics::CLOSE, &topics::CLOSE_CHANGELOG),
        stage("delete", &topics::DELETE, &topics::DELETE_CHANGELOG),
        stage("registry", &topics::REGISTRY, &topics::REGISTRY_CHANGELOG),
        stage("case", &topics::CASE, &topics::CASE_CHANGELOG),
        stage("client", &topics::CLIENT, &topics::CLIENT_CHANGELOG),
    ],
};

/// These stages may wait for an issuer of tokens, so they have a group and workers of their own.
const INTAKE: Group = Group {
    name: "cases-intake",
    workers: Workers::Fixed(2),
    stages: &[
        stateless("create-intake", &topics::CREATE_COMMANDS),
        stateless("update-intake", &topics::UPDATE_COMMANDS),
        stateless("close-intake", &topics::CLOSE_COMMANDS),
        stateless("delete-intake", &topics::DELETE_COMMANDS),
    ],
};

const fn stateless(name: &'static str, inbox: &'static Topic) -> StageDeclaration {
    StageDeclaration { name, inbox, changelog: None }
}

const fn stage(name: &'static str, inbox: &'static Topic, changelog: &'static Topic) -> StageDeclaration {
    StageDeclaration { name, inbox, changelog: Some(changelog) }
}

/// Makes the processors of all stages.
#[derive(Clone)]
pub struct Processors {
    context: Context,
    senders: Arc<dyn Senders>,
    tables: Option<Arc<dyn Tables>>,
}

impl Processors {
    /// Creates stages with these settings, which ask this port who sends records of other programs.
    pub fn new(context: Context, senders: Arc<dyn Senders>) -> Self {
        Self { context, senders, tables: None }
    }

    /// Keeps notifications and the commands of held queues in these tables. Without them, they are in memory.
    #[must_use]
    pub fn with_tables(self, tables: Option<Arc<dyn Tables>>) -> Self {
        Self { tables, ..self }
    }

    /// Creates the processor of a declared stage and a partition, with empty state.
    ///
    /// # Panics
    /// If [`DECLARATION`] does not name the stage.
    pub fn processor(&self, stage: &str, partition: i32) -> Box<dyn Processor> {
        let context = self.context.clone();
        let queue = |queue: Queue| -> Box<dyn Processor> {
            let held = self.table(stage, partition, "held");
            Box::new(QueueStage::new(self.context.clone(), queue, partition, held))
        };
        match stage {
            "create" => queue(Queue::Create),
            "update" => queue(Queue::Update),
            "close" => queue(Queue::Close),
            "delete" => queue(Queue::Delete),
            "registry" => Box::new(RegistryStage::new(context)),
            "case" => Box::new(CaseStage::new(context)),
            "client" => {
                let [entries, copies] = ["entries", "copies"].map(|store| self.table(stage, partition, store));
                Box::new(ClientStage::new(context, ClientTables { entries, copies }))
            }
            "create-intake" => self.intake(Queue::Create),
            "update-intake" => self.intake(Queue::Update),
            "close-intake" => self.intake(Queue::Close),
            "delete-intake" => self.intake(Queue::Delete),
            other => unreachable!("the flow declares no stage {other}"),
        }
    }
}

impl Processors {
    /// A table for a store, if there are tables.
    fn table(&self, stage: &str, partition: i32, store: &str) -> Option<Box<dyn Table>> {
        Some(self.tables.as_ref()?.create(&format!("{stage}-{partition}.{store}")))
    }

    fn intake(&self, queue: Queue) -> Box<dyn Processor> {
        Box::new(IntakeStage::new(self.context.clone(), queue, Arc::clone(&self.senders)))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::harness;

    /// Numbers and records stand in changelogs, so a line may come, and none may change or go.
    #[test]
    fn stores_keep_their_numbers_and_records() {
        let processors = Processors::new(harness::context(), Arc::new(harness::NoSenders));
        let mut found = String::new();
        for stage in DECLARATION.stages() {
            let mut processor = processors.processor(stage.name, 0);
            let mut stores = processor.stores();
            stores.sort_by_key(|store| store.number());
            for store in &stores {
                let record = store.schema().map_or("none", |schema| schema.name);
                writeln!(found, "{} {} {} {record}", stage.name, store.number(), store.name()).unwrap();
            }
            let count = stores.len();
            stores.dedup_by_key(|store| store.number());
            assert_eq!(stores.len(), count, "two stores of {} have the same number", stage.name);
            assert!(stores.iter().all(|store| store.number() < 240), "numbers from 240 are those of the runtime");
        }
        assert_eq!(found, include_str!("stores.txt"));
    }

    #[test]
    fn topics_are_declared_once() {
        let mut names: Vec<&str> = DECLARATION.topics().iter().map(|topic| topic.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!((names.len(), count), (28, 28));
    }
}
