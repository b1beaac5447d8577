//! The edge of the exchange: files, snapshots, clocks and people. The rules are in `tributary-esr`.

mod admin;
mod baseline;
mod batch;
mod commands;
mod configured;
mod continuation;
mod demo;
mod due;
mod events;
mod exchange;
mod inbox_folder;
mod intake;
mod new_state;
mod options;
mod outbox;
mod rounds;
mod sign_of_life;
mod snapshot_watch;
mod sources;
mod summary;
mod text;
mod views;

use std::sync::Arc;

use clap::{ArgMatches, Args, Command, FromArgMatches};
use jiff::Timestamp;
use tributary_esr::configuration::EsrSettings;
use tributary_esr::flow::DECLARATION;
use tributary_flow::configuration::{ConfigurationError, ConfigurationFile};
use tributary_flow::declaration::Declaration;
use tributary_flow::{ConfiguredFlow, Failure, Flow, Host, Site};

use configured::Configured;
use options::{DEMO_HELP, DemoOptions, RUN_HELP, RunOptions};

/// The exchange between TIS and ESR.
pub struct Esr;

impl Flow for Esr {
    fn declaration(&self) -> &'static Declaration {
        &DECLARATION
    }

    fn run_options(&self, run: Command) -> Command {
        RunOptions::augment_args(run)
    }

    fn commands(&self) -> Vec<Command> {
        commands::all()
    }

    fn run_command(&self, command: &str, options: &ArgMatches, site: &Site<'_>) -> Result<(), Failure> {
        commands::run(command, options, site)
    }

    fn demo_options(&self, demo: Command) -> Option<Command> {
        Some(DemoOptions::augment_args(demo))
    }

    fn run_help(&self) -> &'static str {
        RUN_HELP
    }

    fn demo_help(&self) -> &'static str {
        DEMO_HELP
    }

    fn effective_configuration(&self, file: &ConfigurationFile) -> Result<String, ConfigurationError> {
        Ok(settings(file)?.configuration.to_toml())
    }

    fn configure(&self, file: &ConfigurationFile, options: &ArgMatches) -> Result<Arc<dyn ConfiguredFlow>, Failure> {
        let named = RunOptions::from_arg_matches(options).map_err(Failure::refused)?;
        // An option of the program, so that leftovers of an interrupted batch are judged as of its time.
        let now = options.try_get_one::<Timestamp>("now").ok().flatten().copied();
        Ok(Arc::new(Configured { now, ..Configured::new(settings(file).map_err(Failure::refused)?, named)? }))
    }

    fn demo(&self, options: &ArgMatches, host: &dyn Host) -> Result<(), Failure> {
        let options = DemoOptions::from_arg_matches(options).map_err(Failure::refused)?;
        demo::run(&options, host, &mut std::io::stdout().lock())
    }
}

fn settings(file: &ConfigurationFile) -> Result<EsrSettings, ConfigurationError> {
    EsrSettings::load(file.source.as_ref(), &|name| file.text_of(name))
}
