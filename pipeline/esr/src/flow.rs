//! The declaration of the flow, and the processors of its stages.

use std::sync::Arc;

use tributary_flow::declaration::{Declaration, Group, StageDeclaration, Workers};
use tributary_flow::whole_file::{FileSink, Writer, WriterSettings};
use tributary_runtime::{Processor, Topic};

use crate::configuration::DEFAULTS;
use crate::context::Context;
use crate::exporter::Exporter;
use crate::inbound::Inbound;
use crate::position::PositionStage;
use crate::post::PostStage;
use crate::report::Report;
use crate::schedule::Schedule;
use crate::tis;
use crate::topics;
use crate::trainee::Trainee;
use crate::views;

/// The exchange as static data.
pub static DECLARATION: Declaration = Declaration {
    name: "esr",
    about: "The exchange between TIS and ESR",
    groups: &[MAIN, WRITER],
    outputs: &[&topics::POSITION, &topics::POSITION_RECONCILED, &topics::BASELINE, &topics::VIEW],
    dead_letters: &topics::DEAD_LETTER,
    control: &topics::CONTROL,
    leader: Some(&topics::INBOUND),
    views: views::ALL,
    defaults: DEFAULTS,
    former_tables: &[
        "version",
        "layouts",
        "value_maps",
        "applicants",
        "notifications",
        "inbound",
        "snapshot",
        "outbound",
        "schedule",
        "office",
    ],
    serves_requests: false,
};

const MAIN: Group = Group {
    name: "esr",
    workers: Workers::Configured,
    stages: &[
        stage("tis-post", &topics::TIS_POST, &topics::TIS_POST_CHANGELOG),
        stage("tis-placement", &topics::TIS_PLACEMENT, &topics::TIS_PLACEMENT_CHANGELOG),
        stage("tis-person", &topics::TIS_PERSON, &topics::TIS_PERSON_CHANGELOG),
        stage("inbound", &topics::INBOUND, &topics::INBOUND_CHANGELOG),
        stage("trainee", &topics::TRAINEE, &topics::TRAINEE_CHANGELOG),
        stage("position", &topics::POSITION_INBOX, &topics::POSITION_CHANGELOG),
        stage("post", &topics::POST, &topics::POST_CHANGELOG),
        stage("schedule", &topics::SCHEDULE, &topics::SCHEDULE_CHANGELOG),
        stage("exporter", &topics::EXPORTS, &topics::EXPORTER_CHANGELOG),
        stage("report", &topics::EVENT, &topics::REPORT_CHANGELOG),
    ],
};

/// The writer waits for the file system, so it has a group and a worker of its own.
const WRITER: Group = Group {
    name: "esr-writer",
    workers: Workers::Fixed(1),
    stages: &[stage("writer", &topics::WRITER, &topics::WRITER_CHANGELOG)],
};

const fn stage(name: &'static str, inbox: &'static Topic, changelog: &'static Topic) -> StageDeclaration {
    StageDeclaration { name, inbox, changelog: Some(changelog) }
}

/// Makes the processors of all stages.
#[derive(Clone)]
pub struct Processors {
    context: Context,
    sink: Arc<dyn FileSink>,
}

impl Processors {
    /// Creates stages with these settings. Their files go to `sink`.
    pub fn new(context: Context, sink: Arc<dyn FileSink>) -> Self {
        Self { context, sink }
    }

    /// Creates the processor of a declared stage and a partition, with empty state.
    ///
    /// # Panics
    /// If [`DECLARATION`] does not name the stage.
    pub fn processor(&self, stage: &str, partition: i32) -> Box<dyn Processor> {
        let context = self.context.clone();
        match stage {
            "tis-post" => Box::new(tis::TisPosts::new(context)),
            "tis-placement" => Box::new(tis::TisPlacements::new(context)),
            "tis-person" => Box::new(tis::TisPeople::new(context)),
            "inbound" => Box::new(Inbound::new(context)),
            "trainee" => Box::new(Trainee::new(context)),
            "position" => Box::new(PositionStage::new(context, partition)),
            "post" => Box::new(PostStage::new(context, partition)),
            "schedule" => Box::new(Schedule::new(context)),
            "exporter" => Box::new(Exporter::new(context, partition)),
            "report" => Box::new(Report::new(context)),
            "writer" => Box::new(self.writer()),
            other => unreachable!("the exchange declares no stage {other}"),
        }
    }

    fn writer(&self) -> Writer {
        let settings = WriterSettings {
            line_end: self.context.templates.line_end.as_str(),
            // The header and the trailer.
            frame_lines: 2,
            events: &topics::EVENT,
            acknowledgements: &topics::EXPORTS,
            retries: &topics::SCHEDULE,
        };
        Writer::new(self.context.codec.clone(), settings, Arc::clone(&self.sink))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use tributary_flow::whole_file::NotWritten;

    use super::*;
    use crate::harness;

    /// An outbox that discards every file.
    struct Nowhere;

    impl FileSink for Nowhere {
        fn write(&self, _: &str, _: &[u8]) -> Result<(), NotWritten> {
            Ok(())
        }
    }

    #[test]
    fn each_declared_stage_has_a_processor() {
        let processors = Processors::new(harness::context(), Arc::new(Nowhere));
        for stage in DECLARATION.stages() {
            processors.processor(stage.name, 0);
        }
    }

    /// Numbers and records stand in changelogs, so a line may come, and none may change or go.
    #[test]
    fn stores_keep_their_numbers_and_records() {
        let processors = Processors::new(harness::context(), Arc::new(Nowhere));
        let mut found = String::new();
        for stage in DECLARATION.stages() {
            let mut processor = processors.processor(stage.name, 0);
            let mut stores = processor.stores();
            stores.sort_by_key(|store| store.number());
            for store in &stores {
                let record = store.schema().map_or("none", |schema| schema.name);
                writeln!(found, "{} {} {} {record}", stage.name, store.number(), store.name()).unwrap();
            }
            stores.dedup_by_key(|store| store.number());
            let count = processors.processor(stage.name, 0).stores().len();
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
