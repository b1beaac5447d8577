//! The edge of the distribution of cases: its settings, and commands, queries, notifications and registry over HTTP.
//! The rules are in `tributary-cases`.

mod admin;
mod canary;
mod command_line;
mod commands;
mod delivery;
mod details;
mod differences;
mod events;
mod following;
mod intake;
mod leading;
mod metrics;
mod notifications;
mod places;
mod problems;
mod queries;
mod query;
mod rows;
mod service;
mod settings;
#[cfg(test)]
mod tests;
mod waiting;

use std::sync::Arc;

use clap::{ArgMatches, Command};
use tributary_cases::flow::DECLARATION;
use tributary_connectors::rabbitmq::Broker;
use tributary_flow::configuration::{ConfigurationError, ConfigurationFile};
use tributary_flow::declaration::Declaration;
use tributary_flow::{ConfiguredFlow, Failure, Flow, Process, RunningFlow, Site};

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

    fn effective_configuration(&self, file: &ConfigurationFile) -> Result<String, ConfigurationError> {
        Ok(EdgeSettings::load(file.source.as_ref())?.effective)
    }

    fn configure(&self, file: &ConfigurationFile, _options: &ArgMatches) -> Result<Arc<dyn ConfiguredFlow>, Failure> {
        let settings = EdgeSettings::load(file.source.as_ref()).map_err(Failure::refused)?;
        let broker =
            settings.broker.as_ref().map(|broker| broker.client(file)).transpose().map_err(Failure::refused)?;
        let broker = broker.map(|broker| Arc::new(broker) as Arc<dyn Broker>);
        Ok(Arc::new(Configured { settings: Arc::new(settings), broker }))
    }
}

/// The flow with its settings, before a log is open.
struct Configured {
    settings: Arc<EdgeSettings>,
    broker: Option<Arc<dyn Broker>>,
}

impl ConfiguredFlow for Configured {
    fn open(&self, process: Arc<dyn Process>) -> Result<Arc<dyn RunningFlow>, Failure> {
        Ok(Arc::new(Distribution::open(&self.settings, process, self.broker.clone())?))
    }
}
