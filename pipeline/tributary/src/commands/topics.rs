//! `tributary topics`: compares the topics on Kafka with what the flows declare.

use tributary_flow::declaration::Declaration;
use tributary_flow::{Failure, Flow, log_failure, print};

use crate::cli::TopicsCommand;
use crate::configuration::Configuration;
use crate::flows::Flows;
use crate::process::{compare_compatibility, compare_topics};
use crate::runtime::Runtime;
use crate::settings::{self, Registry};

/// Executes the command.
pub(crate) fn execute(flows: Flows, command: &TopicsCommand) -> Result<(), Failure> {
    let (TopicsCommand::Plan(options) | TopicsCommand::Apply(options)) = command;
    let configuration = Configuration::load(flows, options.config.as_deref())?;
    let kafka = settings::kafka_settings(&options.kafka, &configuration.process.kafka, Registry::NotNeeded)?;
    let partitions = settings::partitions(options.partitions.unwrap_or(configuration.process.log.partitions), true);
    let flows: Vec<&'static Declaration> = flows.iter().map(Flow::declaration).collect();
    let runtime = Runtime::start()?;
    let mut plan = compare_topics(&kafka, &flows, partitions)?;
    let (compatibility, levels) = compare_compatibility(&kafka, &flows, runtime.handle())?.unzip();
    let levels = levels.unwrap_or_default();
    if plan.changes().is_empty() && levels.is_empty() {
        return print("all topics are as they should be\n");
    }
    for change in plan.changes() {
        print(&format!("{change}\n"))?;
    }
    for change in &levels {
        print(&format!("{change}\n"))?;
    }
    if matches!(command, TopicsCommand::Plan(_)) {
        return Ok(());
    }
    plan.apply().map_err(log_failure)?;
    if let Some(compatibility) = compatibility {
        compatibility.apply(&levels).map_err(Failure::unfinished)?;
    }
    print("applied\n")
}
