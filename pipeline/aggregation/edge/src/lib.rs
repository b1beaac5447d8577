//! The edge of clinical aggregation: its settings, the services and the index over HTTP, the calls of others, and what
//! operators need. What becomes of a question is decided in `tributary-aggregation`.

mod api;
mod audit;
mod cache_writer;
mod calls;
mod command_line;
mod demo;
mod events;
mod following;
mod index_services;
mod index_states;
mod metrics;
mod notifying;
mod outside;
mod platform;
mod roles;
mod runbooks;
mod schema_files;
mod services;
mod settings;
mod soap_http;
mod tak_source;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgMatches, Args, Command, FromArgMatches};
use tokio::sync::Notify;
use tributary_aggregation::declaration::DECLARATION;
use tributary_flow::configuration::{ConfigurationError, ConfigurationFile};
use tributary_flow::declaration::Declaration;
use tributary_flow::{ConfiguredFlow, Failure, Flow, Host, Process, RunningFlow, Site};

use outside::Outside;
use platform::Platform;
use settings::EdgeSettings;
use tak_source::TakSource;

/// Clinical aggregation.
pub struct Aggregation;

impl Flow for Aggregation {
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
        let client = outside::client(&settings).map_err(Failure::refused)?;
        settings.tak.check().map_err(Failure::refused)?;
        let outside = Outside::over_http(&settings, &client);
        let tak = Arc::new(TakSource::new(settings.tak.clone(), client));
        Ok(Arc::new(Configured { settings: Arc::new(settings), outside, tak }))
    }
}

const NEEDS_A_FILE: &str = "the flow aggregation needs --config FILE: at least with `hsa_id` in [aggregation.ei], and \
    with [aggregation.tak]; docs/aggregation.md has an example";

/// Options of the demo.
#[derive(Debug, Args)]
struct DemoOptions {
    /// Folder for all files; it must have no state of another demo [default: a new temporary folder, which is kept]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

const DEMO_HELP: &str = "\
A consumer asks about an invented patient. The demo plays the index and six source systems: fast, slow, dead, faulting,
empty, and one without permission. It prints the answers and what became of each source system.

Example:
  tributary demo aggregation";

/// The flow with its settings, before a log is open.
struct Configured {
    settings: Arc<EdgeSettings>,
    outside: Outside,
    tak: Arc<TakSource>,
}

impl ConfiguredFlow for Configured {
    fn open(&self, process: Arc<dyn Process>) -> Result<Arc<dyn RunningFlow>, Failure> {
        let ending = Arc::new(Notify::new());
        let told = Arc::clone(&ending);
        process.shutdown().on_trigger(move || told.notify_one());
        let loaded = process.tokio().block_on(async {
            tokio::select! {
                loaded = self.tak.load() => loaded.map(drop),
                () = ending.notified() => Err("the process ends before TAK has answered".to_owned()),
            }
        });
        loaded.map_err(Failure::unfinished)?;
        Ok(Arc::new(Platform::open(&self.settings, process, self.outside.clone(), Arc::clone(&self.tak))?))
    }
}
