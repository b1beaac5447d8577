//! The `tributary` program: command line, configuration, and the wiring of flows to logs, HTTP and clocks.
//!
//! It knows no rule and no stage of any flow. [`flows`] lists the flows; their contract does everything else. The list
//! is an argument of [`main()`], so that tests run flows of their own with the same program.

mod cli;
mod commands;
mod configuration;
mod events;
pub mod flows;
pub mod http;
mod process;
mod runtime;
mod settings;
#[cfg(test)]
mod surface;

use std::io::IsTerminal;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;
use tributary_flow::{Failure, progress};

use cli::{Action, Typed};
use flows::Flows;

/// Executes the command line of a program that knows `flows`.
pub fn main(flows: Flows) -> ExitCode {
    match execute(flows, &cli::parse(flows)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            progress::clear();
            eprintln!("tributary: {failure}");
            failure.exit_code()
        }
    }
}

/// Libraries that log too much: the Kafka client reports every end of a partition as an error, and the embedded
/// database says each failed write four times. Important errors arrive as errors of the log. The client of RabbitMQ
/// writes whole messages.
const QUIET: &str = "rdkafka=off,librdkafka=off,fjall=off,lsm_tree=off,lapin=off";

fn execute(flows: Flows, typed: &Typed) -> Result<(), Failure> {
    let is_service = matches!(&typed.action, Action::Run(options, _) if !options.once);
    start_diagnostics(typed.line.log_level.as_deref().unwrap_or(if is_service { "info" } else { "warn" }))?;
    match &typed.action {
        Action::Run(options, matches) => commands::run::execute(flows, options, matches),
        Action::Demo(flow, options, matches) => commands::demo::execute(flows, *flow, options, matches),
        Action::Topics(command) => commands::topics::execute(flows, command),
        Action::Offsets(command) => commands::offsets::execute(flows, command),
        Action::Schemas(command) => commands::schemas::execute(flows, command),
        Action::Upgrade(command) => commands::upgrade::execute(flows, command),
        Action::Version(options) => commands::version::execute(options.output),
        Action::Config(command) => commands::config::execute(flows, command),
        Action::Clock(options) => commands::of_flow::confirm_clock(options),
        Action::OfFlow(flow, options, matches) => commands::of_flow::execute(flows, *flow, options, matches),
    }
}

/// Sends everything that is not data to standard error.
fn start_diagnostics(level: &str) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(format!("{QUIET},{level}"))
        .map_err(|error| Failure::refused(format!("--log-level {level}: {error}")))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
    Ok(())
}
