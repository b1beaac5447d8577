//! The edge of the distribution of cases: its settings, and commands, queries, notifications and registry over HTTP.
//! The rules are in `tributary-cases`.

mod accepted;
mod admin;
mod canary;
mod cloud_events;
mod command_line;
mod commands;
mod delivery;
mod demo;
mod details;
mod differences;
mod events;
mod following;
mod intake;
mod kafka_delivery;
mod kept_cases;
mod kept_on_disk;
mod kept_queues;
mod metrics;
mod notifications;
mod places;
mod problems;
mod queries;
mod query;
mod rows;
mod senders;
mod service;
mod settings;
mod tables;
#[cfg(test)]
mod tests;
mod waiting;
mod wanted;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgMatches, Args, Command, FromArgMatches};
use tributary_cases::flow::DECLARATION;
use tributary_connectors::rabbitmq::Broker;
use tributary_connectors::views::cql::CqlConfig;
use tributary_flow::configuration::{ConfigurationError, ConfigurationFile};
use tributary_flow::declaration::Declaration;
use tributary_flow::{ConfiguredFlow, Failure, Flow, Host, Process, RunningFlow, Site};

use service::Distribution;
use settings::EdgeSettings;

/// The distribution of cases.
pub struct Cases;

impl Flow for Cases {
    fn declaration(&self) -> &'static Declaration {
        &DECLARATION
    }

    fn commands(&self) -> Vec<Command> {
        command_line::all()
    }

    fn run_command(&self, command: &str, options: &ArgMatches, site: &Site<'_>) -> Result<(), Failure> {
        command_line::run(command, options, site)
    }

    fn demo_options(&self, demo: Command) -> Option<Command> {
        Some(DemoOptions::augment_args(demo))
    }

    fn demo_help(&self) -> &'static str {
        DEMO_HELP
    }

    fn demo(&self, options: &ArgMatches, host: &dyn Host) -> Result<(), Failure> {
        let options = DemoOptions::from_arg_matches(options).map_err(Failure::refused)?;
        demo::run(options.dir.as_deref(), host, &mut std::io::stdout())
    }

    fn effective_configuration(&self, file: &ConfigurationFile) -> Result<String, ConfigurationError> {
        Ok(EdgeSettings::load(file.source.as_ref())?.effective)
    }

    fn configure(&self, file: &ConfigurationFile, _options: &ArgMatches) -> Result<Arc<dyn ConfiguredFlow>, Failure> {
        let settings = EdgeSettings::load(file.source.as_ref()).map_err(Failure::refused)?;
        let broker =
            settings.broker.as_ref().map(|broker| broker.client(file)).transpose().map_err(Failure::refused)?;
        let broker = broker.map(|broker| Arc::new(broker) as Arc<dyn Broker>);
        let tables = settings.tables(file).map_err(Failure::refused)?;
        Ok(Arc::new(Configured { settings: Arc::new(settings), broker, tables }))
    }
}

/// Options of the demo.
#[derive(Debug, Args)]
struct DemoOptions {
    /// Folder for all files; it must have no state of another demo [default: a new temporary folder, which is kept]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

const DEMO_HELP: &str = "\
Two origin systems, three clients, and an outage of the external broker, which the demo plays. It prints who was
notified of what, and when.

Example:
  tributary demo cases";

/// The flow with its settings, before a log is open.
struct Configured {
    settings: Arc<EdgeSettings>,
    broker: Option<Arc<dyn Broker>>,
    /// Where the tables of cases are.
    tables: Option<CqlConfig>,
}

impl ConfiguredFlow for Configured {
    fn open(&self, process: Arc<dyn Process>) -> Result<Arc<dyn RunningFlow>, Failure> {
        let tables = self.tables.clone().map(|config| tables::open(config, &*process)).transpose()?;
        Ok(Arc::new(Distribution::open(&self.settings, process, self.broker.clone(), tables)?))
    }
}
