//! The edge of registry lookups: its settings, GraphQL, the calls of registers, and what operators need. What becomes
//! of a lookup is decided in `tributary-registry`.

mod api;
mod calling;
pub mod clients;
mod command_line;
mod demo;
mod events;
mod following;
pub mod graphql;
pub mod lookups;
mod metrics;
mod partitions;
mod platform;
mod rows;
mod service;
pub mod settings;
mod vault;
mod waiting;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgMatches, Args, Command, FromArgMatches};
use tributary_flow::configuration::{ConfigurationError, ConfigurationFile};
use tributary_flow::declaration::Declaration;
use tributary_flow::{ConfiguredFlow, Failure, Flow, Host, Process, RunningFlow, Site};
use tributary_registry::declaration::DECLARATION;
use tributary_runtime::Topic;

use platform::Platform;
use settings::EdgeSettings;

/// Registry lookups.
pub struct Registry;

impl Flow for Registry {
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
        settings::effective(file)
    }

    fn configure(&self, file: &ConfigurationFile, _options: &ArgMatches) -> Result<Arc<dyn ConfiguredFlow>, Failure> {
        if file.source.is_none() {
            return Err(Failure::refused(NEEDS_A_FILE));
        }
        let settings = EdgeSettings::load(file).map_err(Failure::refused)?;
        Ok(Arc::new(Configured { settings }))
    }
}

const NEEDS_A_FILE: &str = "the flow registry needs --config FILE: at least with `encryption_keys` and `lookup_key` in \
    [registry], `url` in [registry.trembita], and `member_code` in [registry.job.unzr.service]; docs/registry.md has \
    an example";

/// Options of the demo.
#[derive(Debug, Args)]
struct DemoOptions {
    /// Folder for all files; it must have no state of another demo [default: a new temporary folder, which is kept]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

const DEMO_HELP: &str = "\
A person asks a register for invented numbers. The demo plays the register: it finds, finds nothing, fails, answers
late, goes away and comes back. It prints the statuses of the jobs as they change; numbers are masked.

Example:
  tributary demo registry";

/// The flow with its settings, before a log is open.
struct Configured {
    settings: EdgeSettings,
}

impl ConfiguredFlow for Configured {
    fn topics(&self) -> Vec<&'static Topic> {
        self.settings.flow.kinds.values().map(|kind| kind.call_topic).collect()
    }

    fn open(&self, process: Arc<dyn Process>) -> Result<Arc<dyn RunningFlow>, Failure> {
        Ok(Arc::new(Platform::open(&self.settings, process)?))
    }
}
