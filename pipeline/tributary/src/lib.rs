//! The `tributary` program: command line, configuration, and the wiring of the flow to logs, files and clocks.
//!
//! Nothing here knows a rule of the exchange: those are in `tributary-esr`.

pub mod base_line;
pub mod batch;
pub mod command_line;
pub mod configuration;
pub mod continuation;
pub mod demo;
pub mod failure;
mod figures;
pub mod http;
pub mod log;
pub mod outbox;
mod progress;
pub mod running;
pub mod service;
pub mod settings;
pub mod sources;
mod starting;
pub mod summary;
mod table;
mod text;
mod worker_log;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use jiff::Timestamp;
use tracing_subscriber::EnvFilter;
use tributary_schemas::records::esr::Decision;

use batch::BatchRequest;
use command_line::{Command, CommandLine, ConfigCommand, OutputForm, RunArguments, TopicsCommand};
use configuration::Configuration;
use failure::Failure;
use settings::{Registry, Settings};

/// Does what the command line asks for.
pub fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    match execute(&command_line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            progress::clear();
            eprintln!("tributary: {failure}");
            failure.exit_code()
        }
    }
}

/// Libraries that tell more than anybody wants to know: the Kafka client reports every end of a partition as an error. What
/// matters comes as an error of the log.
const QUIET: &str = "rdkafka=off,librdkafka=off,fjall=warn,lsm_tree=warn";

fn execute(command_line: &CommandLine) -> Result<(), Failure> {
    let is_service = matches!(&command_line.command, Command::Run(arguments) if !arguments.once);
    start_diagnostics(command_line.log_level.as_deref().unwrap_or(if is_service { "info" } else { "warn" }))?;
    match &command_line.command {
        Command::Demo(arguments) => demo::run(arguments, &interruption()?, &mut std::io::stdout().lock()),
        Command::Run(arguments) => run(arguments),
        Command::Topics { command } => topics(command),
        Command::Config { command } => config(command),
    }
}

/// Everything that is not data goes to standard error.
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

/// A flag that SIGINT and SIGTERM set; the second signal ends the process at once.
fn interruption() -> Result<Arc<AtomicBool>, Failure> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&flag))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)))
            .map_err(|error| Failure::unfinished(format!("cannot listen to signals: {error}")))?;
    }
    Ok(flag)
}

fn run(arguments: &RunArguments) -> Result<(), Failure> {
    let settings = Settings::of_run(arguments)?;
    let interrupted = interruption()?;
    let decisions = decisions(arguments);
    if !arguments.once {
        return service::run(&settings, &decisions, &interrupted);
    }
    let request = BatchRequest {
        now: arguments.now.unwrap_or_else(Timestamp::now),
        include_late: arguments.include_late,
        records: arguments.records,
        figures: arguments.figures,
        decisions,
    };
    let summary = batch::run(&settings, &request, &interrupted, &progress::show)?;
    progress::clear();
    match arguments.output {
        OutputForm::Text => print(&text::summary(&summary))?,
        OutputForm::Json => {
            let document = serde_json::to_string_pretty(&summary).map_err(Failure::unfinished)?;
            print(&format!("{document}\n"))?;
        }
    }
    batch::finish(&settings)
}

fn decisions(arguments: &RunArguments) -> Vec<(String, Decision)> {
    let lists = [
        (&arguments.accept, Decision::Accept),
        (&arguments.refuse, Decision::Refuse),
        (&arguments.release, Decision::Release),
    ];
    lists.into_iter().flat_map(|(names, decision)| names.iter().map(move |name| (name.clone(), decision))).collect()
}

fn topics(command: &TopicsCommand) -> Result<(), Failure> {
    let (TopicsCommand::Plan(arguments) | TopicsCommand::Apply(arguments)) = command;
    let configuration = Configuration::load(arguments.config.as_deref())?;
    let kafka = settings::kafka_settings(&arguments.kafka, &configuration.process.kafka, Registry::NotNeeded)?;
    let partitions = settings::partitions(arguments.partitions.unwrap_or(configuration.process.log.partitions), true);
    let mut plan = log::compare_topics(&kafka, partitions)?;
    let (compatibility, levels) = log::compare_compatibility(&kafka)?.unzip();
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
    plan.apply().map_err(log::log_failure)?;
    if let Some(compatibility) = compatibility {
        compatibility.apply(&levels).map_err(Failure::unfinished)?;
    }
    print("applied\n")
}

fn config(command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Show(arguments) => match &arguments.config {
            None => print(&configuration::explained_defaults()),
            file => print(&Configuration::load(file.as_deref())?.to_toml()),
        },
        ConfigCommand::Check(arguments) => {
            Configuration::load(arguments.config.as_deref())?;
            let file = arguments.config.as_ref().map(|file| file.display().to_string());
            print(&format!("{}: all entries are right\n", file.as_deref().unwrap_or("built-in settings")))
        }
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let printed = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    match printed {
        // Who closes the output early does not want the rest.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| Failure::unfinished(format!("cannot print: {error}"))),
    }
}
