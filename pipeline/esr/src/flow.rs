//! The flow as topologies: which stage reads which inbox.

use std::sync::Arc;

use tributary_runtime::{Processor, Stage, Topic, Topology};

use crate::context::Context;
use crate::exporter::Exporter;
use crate::inbound::Inbound;
use crate::position::Positions;
use crate::post::Posts;
use crate::report::Report;
use crate::schedule::Schedule;
use crate::tis;
use crate::topics;
use crate::trainee::Trainee;
use crate::writer::{FileSink, Writer};

/// Name of the flow: the consumer group of its stages.
pub const FLOW: &str = "esr";

/// Name of the writer's group: it waits for the outside, so it has workers of its own.
pub const WRITER_FLOW: &str = "esr-writer";

/// The stages of the flow.
pub fn topology(context: &Context, flow_partitions: i32) -> Topology {
    let c = context;
    let stages = vec![
        stage("tis-post", &topics::TIS_POST, &topics::TIS_POST_CHANGELOG, c, |c, _| Box::new(tis::Posts::new(c))),
        stage("tis-placement", &topics::TIS_PLACEMENT, &topics::TIS_PLACEMENT_CHANGELOG, c, |c, _| {
            Box::new(tis::Placements::new(c))
        }),
        stage("tis-person", &topics::TIS_PERSON, &topics::TIS_PERSON_CHANGELOG, c, |c, _| {
            Box::new(tis::People::new(c))
        }),
        stage("inbound", &topics::INBOUND, &topics::INBOUND_CHANGELOG, c, |c, _| Box::new(Inbound::new(c))),
        stage("trainee", &topics::TRAINEE, &topics::TRAINEE_CHANGELOG, c, |c, _| Box::new(Trainee::new(c))),
        stage("position", &topics::POSITION_INBOX, &topics::POSITION_CHANGELOG, c, |c, partition| {
            Box::new(Positions::new(c, partition))
        }),
        stage("post", &topics::POST, &topics::POST_CHANGELOG, c, |c, partition| Box::new(Posts::new(c, partition))),
        stage("schedule", &topics::SCHEDULE, &topics::SCHEDULE_CHANGELOG, c, |c, _| Box::new(Schedule::new(c))),
        stage("exporter", &topics::EXPORTS, &topics::EXPORTER_CHANGELOG, c, |c, _| Box::new(Exporter::new(c))),
        stage("report", &topics::EVENT, &topics::REPORT_CHANGELOG, c, |c, _| Box::new(Report::new(c))),
    ];
    Topology { flow: FLOW, stages, dead_letters: &topics::DEAD_LETTER, flow_partitions }
}

/// The writer, with the place where files go.
pub fn writer_topology(context: &Context, sink: &Arc<dyn FileSink>, flow_partitions: i32) -> Topology {
    let sink = Arc::clone(sink);
    let writer = stage("writer", &topics::WRITER, &topics::WRITER_CHANGELOG, context, move |context, _| {
        Box::new(Writer::new(context, Arc::clone(&sink)))
    });
    Topology { flow: WRITER_FLOW, stages: vec![writer], dead_letters: &topics::DEAD_LETTER, flow_partitions }
}

fn stage(
    name: &'static str,
    inbox: &'static Topic,
    changelog: &'static Topic,
    context: &Context,
    make: impl Fn(Context, i32) -> Box<dyn Processor> + Send + Sync + 'static,
) -> Stage {
    let context = context.clone();
    let processor = Box::new(move |partition| make(context.clone(), partition));
    Stage { name, inbox, changelog: Some(changelog), processor }
}
