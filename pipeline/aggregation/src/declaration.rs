//! The declaration of the flow, and the processors of its stages.

use tributary_flow::declaration::{Declaration, Group, StageDeclaration, Workers};
use tributary_runtime::{Processor, Topic};

use crate::collect::CollectStage;
use crate::configuration::{DEFAULTS, TABLE};
use crate::index::{IndexContext, IndexStage};
use crate::topics;

/// The name of the consumer group of the stages.
pub const GROUP: &str = "aggregation";

/// Clinical aggregation as static data.
pub static DECLARATION: Declaration = Declaration {
    name: TABLE,
    about: "One clinical question to every source system that has data, and the index of who has data",
    groups: &[INDEX],
    outputs: &[
        &topics::ENGAGEMENT,
        &topics::INDEX_STATE,
        &topics::NOTIFICATION,
        &topics::NOTIFICATION_PROGRESS,
        &topics::INVALIDATION,
        &topics::CACHE,
        &topics::CALL,
        &topics::ALERT,
    ],
    dead_letters: &topics::DEAD_LETTER,
    control: &topics::CONTROL,
    leader: Some(&topics::INDEX_INBOX),
    // The edge keeps the index in memory itself: a question needs it by patient.
    views: &[],
    defaults: DEFAULTS,
    former_tables: &[],
    serves_requests: true,
};

const INDEX: Group = Group {
    name: GROUP,
    workers: Workers::Configured,
    stages: &[
        stage("collect", &topics::INDEX_INBOX, &topics::COLLECT_CHANGELOG),
        stage("index", &topics::INDEX_COLLECTED, &topics::INDEX_CHANGELOG),
    ],
};

const fn stage(name: &'static str, inbox: &'static Topic, changelog: &'static Topic) -> StageDeclaration {
    StageDeclaration { name, inbox, changelog: Some(changelog) }
}

/// Creates the processor of a declared stage and a partition, with empty state.
///
/// # Panics
/// If [`DECLARATION`] does not name the stage.
pub fn processor(context: IndexContext, stage: &str, partition: i32) -> Box<dyn Processor> {
    match stage {
        "collect" => Box::new(CollectStage::new(context, partition)),
        "index" => Box::new(IndexStage::new(context)),
        other => unreachable!("the flow declares no stage {other}"),
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
        let mut found = String::new();
        for stage in DECLARATION.stages() {
            let mut processor = processor(harness::context(), stage.name, 0);
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
        assert_eq!((names.len(), count), (14, 14));
    }
}
