//! The contract of a flow, from the command line to its processors.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgMatches, Command};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tributary_runtime::{Output, Processor, Topic};
use tributary_schemas::Codec;

use crate::Failure;
use crate::clock::ClockReading;
use crate::configuration::{ConfigurationError, ConfigurationFile};
use crate::declaration::Declaration;
use crate::process::Process;

/// A flow as the program knows it: what it declares, its options and commands, and how it is configured.
pub trait Flow: Send + Sync {
    /// The flow as static data.
    fn declaration(&self) -> &'static Declaration;

    /// Adds the options of `tributary run` that only this flow has.
    fn run_options(&self, run: Command) -> Command {
        run
    }

    /// The help for these options: meanings and examples.
    fn run_help(&self) -> &'static str {
        ""
    }

    /// The commands of this flow: `tributary <flow> ...`.
    fn commands(&self) -> Vec<Command> {
        Vec::new()
    }

    /// Adds the options of `tributary demo <flow>`. `None` for a flow without a demo.
    fn demo_options(&self, _demo: Command) -> Option<Command> {
        None
    }

    /// The help for the demo: examples.
    fn demo_help(&self) -> &'static str {
        ""
    }

    /// The configuration in effect, as TOML with only the flow's table. For `config show` and `config check`.
    ///
    /// # Errors
    /// The first wrong entry, with file and line.
    fn effective_configuration(&self, file: &ConfigurationFile) -> Result<String, ConfigurationError>;

    /// Reads the configuration and the options of `tributary run`. It opens nothing.
    ///
    /// # Errors
    /// [`Failure::Refused`] for a wrong or missing setting.
    fn configure(&self, file: &ConfigurationFile, options: &ArgMatches) -> Result<Arc<dyn ConfiguredFlow>, Failure>;

    /// Runs `tributary demo <flow>`: the flow on invented data.
    ///
    /// # Errors
    /// The [`Failure`] of the demo.
    fn demo(&self, _options: &ArgMatches, _host: &dyn Host) -> Result<(), Failure> {
        Err(Failure::refused(format!("the flow {} has no demo", self.declaration().name)))
    }

    /// Runs `tributary <flow> ...`.
    ///
    /// # Errors
    /// The [`Failure`] of the command.
    fn run_command(&self, command: &str, _options: &ArgMatches, _site: &Site<'_>) -> Result<(), Failure> {
        Err(Failure::refused(format!("the flow {} has no command {command}", self.declaration().name)))
    }
}

/// A log that a command opens itself, because no service answers.
pub trait LogOfCommand {
    /// Publishes the records that `write` sends, with the time of the machine's clock. The processes of the log, or the
    /// next one, process them.
    ///
    /// # Errors
    /// [`Failure::Refused`] when the log is in use by another process, or is not there. [`Failure::Unfinished`] when it
    /// does not answer. The failure of `write`.
    fn publish(&self, write: &dyn Fn(&Codec, &mut Output) -> Result<(), Failure>) -> Result<(), Failure>;
}

/// How a command of a flow reaches the service, from the command line.
pub struct Site<'a> {
    /// The URL of a running service.
    pub server: Option<String>,
    /// The token for it.
    pub token: Option<String>,
    /// The configuration file that the command line names.
    pub config: Option<PathBuf>,
    /// Whether the command prints data as JSON.
    pub as_json: bool,
    /// The async runtime of the process.
    pub tokio: Handle,
    /// The log, for commands that act where no service answers.
    pub log: &'a dyn LogOfCommand,
}

/// A flow with its settings, before a log is open.
pub trait ConfiguredFlow: Send + Sync {
    /// Topics beside the declared ones, whose names follow from the configuration. A name always means the same topic.
    fn topics(&self) -> Vec<&'static Topic> {
        Vec::new()
    }

    /// Opens what the flow needs besides its workers. After that it can make processors. Called again after a failure
    /// that a retry may fix.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when a retry may succeed, else [`Failure::Refused`].
    fn open(&self, process: Arc<dyn Process>) -> Result<Arc<dyn RunningFlow>, Failure>;
}

/// A flow that runs in one process.
pub trait RunningFlow: Any + Send + Sync {
    /// The processor of a declared stage and a partition, with empty state.
    fn processor(&self, stage: &'static str, partition: i32) -> Box<dyn Processor>;

    /// The last time at which a process was at work, as the log says, whichever partitions this process has. A clock
    /// that is far from it is in doubt at the start, and when this process begins to run the rounds.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the workers or the log do not answer. It is asked again then, before any round.
    fn last_sign_of_life(&self) -> Result<Option<Timestamp>, Failure> {
        Ok(None)
    }

    /// Runs one round, in the process that owns partition 0 of the leader topic: publishes new input and the time.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the next round may succeed. Any other failure ends the process.
    fn round(&self, _round: &Round) -> Result<(), Failure> {
        Ok(())
    }

    /// Called once, when the service has restored all partitions in a process that shares its log with no other.
    ///
    /// # Errors
    /// [`Failure::Unfinished`].
    fn ready(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// Reports what happened since the last report. Called in every process, after each round.
    ///
    /// # Errors
    /// As [`RunningFlow::round`].
    fn report(&self, _clock: &ClockReading) -> Result<(), Failure> {
        Ok(())
    }

    /// Runs `tributary run --once`: does all the work that is there, and prints a summary.
    ///
    /// # Errors
    /// [`Failure::Refused`] when nothing was changed, else [`Failure::Unfinished`].
    fn batch(&self, _request: &BatchRequest<'_>) -> Result<(), Failure> {
        Err(Failure::refused("this flow has no batch: omit --once"))
    }

    /// What the flow shows at `/metrics` besides the counters of its workers. The names have no `tributary_`: the port
    /// adds it. In a namespace of several processes a number must not be shown by two, because sums would hold it twice.
    ///
    /// # Errors
    /// When a name is not valid for Prometheus.
    fn collectors(&self) -> prometheus::Result<Vec<Box<dyn prometheus::core::Collector>>> {
        Ok(Vec::new())
    }

    /// The HTTP paths of the flow.
    fn mounts(&self) -> Vec<crate::http::Mount> {
        Vec::new()
    }
}

/// One round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// The time, and whether it is in doubt. While it is, nothing that is due takes place.
    pub clock: ClockReading,
    /// Whether another process, or none, ran the previous round. Then this process must forget what it remembers.
    pub is_first: bool,
    /// Whether this round publishes the time, which makes due work happen.
    pub is_clock_due: bool,
}

/// The request for a batch.
pub struct BatchRequest<'a> {
    /// The time as of which the batch runs.
    pub now: Timestamp,
    /// Whether the summary is printed as JSON instead of text.
    pub as_json: bool,
    /// Receives the progress: the name of the step, and a text for people, which may say how far the step is.
    pub progress: &'a dyn Fn(&str, &str),
    /// Prints the summary. Until it succeeds, the same request continues the same batch.
    pub print: &'a dyn Fn(&str) -> Result<(), Failure>,
}

/// Runs flows for a demo.
pub trait Host {
    /// Opens a log in the folder `state`, or on Kafka if the command line says so. Starts the workers, calls `work`,
    /// and ends the workers.
    ///
    /// # Errors
    /// The failure of the log or of `work`.
    fn run(
        &self,
        flow: &Arc<dyn ConfiguredFlow>,
        state: &Path,
        work: &mut dyn FnMut(&dyn RunningFlow) -> Result<(), Failure>,
    ) -> Result<(), Failure>;

    /// The description of the log, and the options that select it again.
    fn log(&self) -> LogInWords;
}

/// The log of a host, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogInWords {
    /// The log that holds the records.
    pub description: String,
    /// The options of `tributary run` that select this log.
    pub options: String,
}
