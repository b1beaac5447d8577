//! The contract of a flow, from the command line to its processors.

use std::any::Any;
use std::path::Path;
use std::sync::Arc;

use clap::{ArgMatches, Command};
use jiff::Timestamp;
use tributary_runtime::Processor;

use crate::Failure;
use crate::configuration::{ConfigurationError, ConfigurationFile};
use crate::declaration::Declaration;
use crate::process::Process;

/// A flow as the program knows it: what it declares, what can be typed for it, how it is configured.
pub trait Flow: Send + Sync {
    /// The flow as static data.
    fn declaration(&self) -> &'static Declaration;

    /// Adds the options of `tributary run` that only this flow has.
    fn run_options(&self, run: Command) -> Command {
        run
    }

    /// What people should know about these options: meanings and examples.
    fn run_help(&self) -> &'static str {
        ""
    }

    /// What only this flow has, as `tributary <flow> ...`.
    fn commands(&self) -> Vec<Command> {
        Vec::new()
    }

    /// Adds the options of `tributary demo <flow>`; `None` for a flow without a demo.
    fn demo_options(&self, _demo: Command) -> Option<Command> {
        None
    }

    /// What people should know about the demo: examples.
    fn demo_help(&self) -> &'static str {
        ""
    }

    /// The configuration in effect, as TOML with the flow's table alone. For `config show` and `config check`.
    ///
    /// # Errors
    /// The first wrong entry, with file and line.
    fn effective_configuration(&self, file: &ConfigurationFile) -> Result<String, ConfigurationError>;

    /// The flow with its configuration and the options of `tributary run`. Nothing is opened yet.
    ///
    /// # Errors
    /// [`Failure::Refused`] for what is wrong or missing.
    fn configure(&self, file: &ConfigurationFile, options: &ArgMatches) -> Result<Arc<dyn ConfiguredFlow>, Failure>;

    /// `tributary demo <flow>`: the main job on invented data.
    ///
    /// # Errors
    /// As the work says.
    fn demo(&self, _options: &ArgMatches, _host: &dyn Host) -> Result<(), Failure> {
        Err(Failure::refused(format!("the flow {} has no demo", self.declaration().name)))
    }

    /// `tributary <flow> ...`.
    ///
    /// # Errors
    /// As the command says.
    fn run_command(&self, command: &str, _options: &ArgMatches, _site: &Site) -> Result<(), Failure> {
        Err(Failure::refused(format!("the flow {} has no command {command}", self.declaration().name)))
    }
}

/// Where a command of a flow finds the service: what the program has read from the command line.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// The URL of a running service.
    pub server: Option<String>,
    /// The token for it.
    pub token: Option<String>,
    /// Whether data is printed as JSON.
    pub as_json: bool,
}

/// A flow with everything that it is told, before a log is open.
pub trait ConfiguredFlow: Send + Sync {
    /// Opens what the flow needs beside its workers, and makes it ready to make processors. Called again after a
    /// failure that may pass.
    ///
    /// # Errors
    /// [`Failure`], by whether it may pass.
    fn open(&self, process: Arc<dyn Process>) -> Result<Arc<dyn RunningFlow>, Failure>;
}

/// A flow at work in one process.
pub trait RunningFlow: Any + Send + Sync {
    /// The processor of a declared stage and a partition, without state yet.
    fn processor(&self, stage: &'static str, partition: i32) -> Box<dyn Processor>;

    /// A round of the process that owns partition 0 of the leader topic: brings in what is there, and the time.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] for what may pass, which is tried again in the next round; others end the process.
    fn round(&self, _round: Round) -> Result<(), Failure> {
        Ok(())
    }

    /// The service has all partitions restored, in a process that shares its log with no other. Called once.
    ///
    /// # Errors
    /// [`Failure::Unfinished`].
    fn ready(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// Reports what happened since the last time, in every process, after each round.
    ///
    /// # Errors
    /// As [`RunningFlow::round`].
    fn report(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// `tributary run --once`: does everything that is there to do, and prints what came of it.
    ///
    /// # Errors
    /// [`Failure`], by whether anything was changed.
    fn batch(&self, _request: &BatchRequest<'_>) -> Result<(), Failure> {
        Err(Failure::refused("this flow has no batch: leave --once away"))
    }

    /// Its HTTP paths.
    fn mounts(&self) -> Vec<crate::http::Mount> {
        Vec::new()
    }
}

/// One round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// The time.
    pub now: Timestamp,
    /// Whether another process, or none, ran the rounds before: nothing of what this one remembers still counts.
    pub is_first: bool,
    /// Whether the time is to be published: what is due takes place.
    pub is_clock_due: bool,
}

/// What a batch is asked for.
pub struct BatchRequest<'a> {
    /// The moment as of which it runs.
    pub now: Timestamp,
    /// Whether the summary is printed as JSON instead of text.
    pub as_json: bool,
    /// Whether the time of each step and the work of each stage are printed on standard error.
    pub statistics: bool,
    /// Hears what is being done.
    pub progress: &'a dyn Fn(&str),
    /// Prints the summary. Until it has succeeded, the same request continues the same batch.
    pub print: &'a dyn Fn(&str) -> Result<(), Failure>,
}

/// Runs flows for a demo.
pub trait Host {
    /// Opens a log in the folder `state` (or on Kafka, where the command line says so), starts the workers, calls
    /// `work`, and ends them.
    ///
    /// # Errors
    /// As the log and `work` say.
    fn run(
        &self,
        flow: &Arc<dyn ConfiguredFlow>,
        state: &Path,
        work: &mut dyn FnMut(&dyn RunningFlow) -> Result<(), Failure>,
    ) -> Result<(), Failure>;

    /// The log in words, and the options that select it again.
    fn log(&self) -> LogInWords;
}

/// The log of a host, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogInWords {
    /// Where the records travel.
    pub description: String,
    /// Options of `tributary run` that choose this log.
    pub options: String,
}
