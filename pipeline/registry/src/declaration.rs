//! The declaration of the flow, and the processor of its stage.

use tributary_flow::declaration::{Declaration, Group, StageDeclaration, Workers};
use tributary_runtime::Processor;

use crate::configuration::{DEFAULTS, TABLE};
use crate::context::Context;
use crate::job::JobStage;
use crate::topics;

/// The name of the consumer group of the stage.
pub const GROUP: &str = "registry";

/// Registry lookups as static data.
pub static DECLARATION: Declaration = Declaration {
    name: TABLE,
    about: "One number, one job and one honest status: lookups in registers of the state",
    groups: &[JOBS],
    outputs: &[&topics::ROW, &topics::KIND, &topics::REPLY, &topics::EVENT, &topics::AUDIT, &topics::CALL],
    dead_letters: &topics::DEAD_LETTER,
    control: &topics::CONTROL,
    leader: Some(&topics::JOB),
    // The edge keeps the rows that it is asked for itself: it needs them by number, and sealed.
    views: &[],
    defaults: DEFAULTS,
    former_tables: &[],
    serves_requests: true,
};

const JOBS: Group = Group {
    name: GROUP,
    workers: Workers::Configured,
    stages: &[StageDeclaration { name: "job", inbox: &topics::JOB, changelog: Some(&topics::JOB_CHANGELOG) }],
};

/// Creates the processor of a declared stage, with empty state.
///
/// # Panics
/// If [`DECLARATION`] does not name the stage.
pub fn processor(context: Context, stage: &str) -> Box<dyn Processor> {
    match stage {
        "job" => Box::new(JobStage::new(context)),
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
            let mut processor = processor(harness::context(), stage.name);
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
        assert_eq!((names.len(), count), (10, 10));
    }
}
