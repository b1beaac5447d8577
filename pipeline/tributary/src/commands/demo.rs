//! `tributary demo`: the main job of a flow on invented data.

use clap::ArgMatches;
use jiff::Timestamp;
use tributary_flow::statistics::Statistics;
use tributary_flow::{Failure, Flow};

use crate::cli::{LogKind, LogOptions};
use crate::configuration::Configuration;
use crate::flows::Flows;
use crate::process::{ProcessHost, Surroundings};
use crate::runtime::Runtime;
use crate::settings::Settings;

/// Runs the demo of a flow.
pub(crate) fn execute(
    flows: Flows,
    flow: &dyn Flow,
    options: &LogOptions,
    matches: &ArgMatches,
) -> Result<(), Failure> {
    let configuration = Configuration::load(flows, None)?;
    let mut options = options.clone();
    if options.kafka.kafka.is_some() {
        options.log.get_or_insert(LogKind::Kafka);
        // Each demo has its own namespace, so that a second demo does not continue with the state of the first.
        options
            .kafka
            .namespace
            .get_or_insert_with(|| format!("demo-{}-{}", Timestamp::now().as_second(), std::process::id()));
    }
    let runtime = Runtime::start()?;
    // The demo itself chooses the folder.
    let settings = Settings::new(&configuration.process, &options, std::path::PathBuf::new())?;
    let surroundings =
        Surroundings { settings, shutdown: runtime.shutdown(), tokio: runtime.handle(), authenticator: None };
    let host = ProcessHost { surroundings, declaration: flow.declaration(), statistics: &Statistics::begin() };
    let outcome = flow.demo(matches, &host);
    runtime.end();
    outcome
}
