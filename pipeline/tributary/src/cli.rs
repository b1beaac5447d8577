//! The command line: the commands of the program, with the options and commands that the flows add.

mod offsets;
mod schemas;

use std::path::PathBuf;

use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use tributary_flow::Flow;

pub(crate) use offsets::{OffsetsCommand, ResetOptions};
pub(crate) use schemas::{RegistriesOptions, SchemasCommand, SchemasOptions};

use crate::flows::Flows;

const EXAMPLES: &str = "\
Examples:
  tributary demo
      The main job of a flow on invented data, and what came out. Needs no services.

  tributary run --help
      The service and the batch, with what each flow needs.

  tributary config show
      All settings and what they mean, as a file that can be changed and used.

Exit codes:
  0  done, also when lines were rejected or files parked or refused (see the summary)
  1  could not finish; the state is intact, and the same command continues where this one ended
  2  wrong usage or configuration, or refused; nothing was changed";

const RUN_HELP: &str = "\
  --state    the state that is kept between runs; one process uses it at a time

Exit codes: 0 done, 1 could not finish, 2 refused (usage, configuration, state folder, --now before the last run).";

const CONFIG_EXAMPLES: &str = "\
Examples:
  tributary config show                   all settings and what they mean, as a file that can be changed and used
  tributary config show --config my.toml  the settings in effect with that file; passwords are not shown
  tributary config check --config my.toml says which line is wrong and what is expected there";

const TOPICS_EXAMPLES: &str = "\
Examples:
  tributary topics plan --kafka localhost:9092
  tributary topics apply --kafka localhost:9092 --namespace dev --partitions 12";

const UPGRADE_EXAMPLES: &str = "\
Examples:
  tributary upgrade status --log kafka --kafka localhost:9092 --registry http://localhost:8081
  tributary upgrade finalize --log kafka --kafka localhost:9092 --registry http://localhost:8081";

/// Integrations as exactly-once streams.
#[derive(Debug, Parser)]
#[command(name = "tributary", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct CommandLine {
    /// What is logged on standard error: error, warn, info, debug or trace, or for one crate such as
    /// `tributary_esr=debug`
    #[arg(
        long,
        global = true,
        env = "TRIBUTARY_LOG_LEVEL",
        hide_env_values = true,
        value_name = "LEVEL",
        display_order = 900
    )]
    pub(crate) log_level: Option<String>,
}

/// A parsed command line.
pub(crate) struct Typed {
    /// The options of every command.
    pub(crate) line: CommandLine,
    /// The command.
    pub(crate) action: Action,
}

/// The command to execute.
pub(crate) enum Action {
    /// `run`, with the options of the flows.
    Run(Box<RunOptions>, ArgMatches),
    /// `demo` of a flow.
    Demo(&'static dyn Flow, Box<LogOptions>, ArgMatches),
    /// `topics ...`
    Topics(TopicsCommand),
    /// `offsets ...`
    Offsets(OffsetsCommand),
    /// `schemas ...`
    Schemas(SchemasCommand),
    /// `upgrade ...`
    Upgrade(Box<UpgradeCommand>),
    /// `version`
    Version(VersionOptions),
    /// `config ...`
    Config(ConfigCommand),
    /// `clock ...`
    Clock(ServerOptions),
    /// A command that only one flow has.
    OfFlow(&'static dyn Flow, Box<FlowCommandOptions>, ArgMatches),
}

/// Parses the command line. Help and usage errors end the process.
pub(crate) fn parse(flows: Flows) -> Typed {
    let matches = command(flows).get_matches();
    match typed(flows, &matches) {
        Ok(typed) => typed,
        Err(error) => error.exit(),
    }
}

fn typed(flows: Flows, matches: &ArgMatches) -> Result<Typed, clap::Error> {
    let line = CommandLine::from_arg_matches(matches)?;
    let action = match matches.subcommand() {
        Some(("run", options)) => Action::Run(Box::new(RunOptions::from_arg_matches(options)?), options.clone()),
        Some(("demo", options)) => demo(flows, options)?,
        Some(("topics", options)) => Action::Topics(TopicsCommand::from_arg_matches(options)?),
        Some(("offsets", options)) => Action::Offsets(OffsetsCommand::from_arg_matches(options)?),
        Some(("schemas", options)) => Action::Schemas(SchemasCommand::from_arg_matches(options)?),
        Some(("upgrade", options)) => Action::Upgrade(Box::new(UpgradeCommand::from_arg_matches(options)?)),
        Some(("version", options)) => Action::Version(VersionOptions::from_arg_matches(options)?),
        Some(("config", options)) => Action::Config(ConfigCommand::from_arg_matches(options)?),
        Some(("clock", options)) => Action::Clock(ServerOptions::from_arg_matches(options)?),
        Some((name, options)) => match flows.named(name) {
            Some(flow) => {
                let own = FlowCommandOptions::from_arg_matches(options)?;
                Action::OfFlow(flow, Box::new(own), options.clone())
            }
            None => return Err(command(flows).error(clap::error::ErrorKind::InvalidSubcommand, name)),
        },
        None => return Err(command(flows).error(clap::error::ErrorKind::MissingSubcommand, "no command is given")),
    };
    Ok(Typed { line, action })
}

fn demo(flows: Flows, options: &ArgMatches) -> Result<Action, clap::Error> {
    let (name, options) = options.subcommand().unwrap_or((flows.default_name(), options));
    let flow = flows
        .named(name)
        .ok_or_else(|| command(flows).error(clap::error::ErrorKind::InvalidSubcommand, format!("no flow {name}")))?;
    Ok(Action::Demo(flow, Box::new(LogOptions::from_arg_matches(options)?), options.clone()))
}

/// The whole command line.
pub(crate) fn command(flows: Flows) -> Command {
    let flow_name = move |text: &str| flow_name(flows, text);
    let mut run = RunOptions::augment_args(Command::new("run"))
        .mut_arg("flow", |option| option.default_value(flows.default_name()).value_parser(flow_name));
    for flow in flows.iter() {
        run = flow.run_options(run);
    }
    let help: Vec<&str> = flows.iter().map(Flow::run_help).chain([RUN_HELP]).collect();
    // The help texts are set last, because the options of a flow set their own.
    let run = run
        .about("Run the flows: as a service, or one flow as one batch with --once")
        .long_about(None)
        .after_help(help.join("\n"));
    let mut command = CommandLine::command()
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(demo_command(flows))
        .subcommand(run)
        .subcommand(
            TopicsCommand::augment_subcommands(Command::new("topics"))
                .about("Compare the Kafka topics with what the flows need, or create them")
                .after_help(TOPICS_EXAMPLES)
                .subcommand_required(true),
        )
        .subcommand(schemas::command())
        .subcommand(
            OffsetsCommand::augment_subcommands(Command::new("offsets"))
                .about("Decide where groups on Kafka continue in their inboxes")
                .after_help(offsets::EXAMPLES)
                .subcommand_required(true),
        )
        .subcommand(
            UpgradeCommand::augment_subcommands(Command::new("upgrade"))
                .about("Show or raise the level of the namespace, after all processes have a newer release")
                .after_help(UPGRADE_EXAMPLES)
                .subcommand_required(true),
        )
        .subcommand(
            ServerOptions::augment_args(Command::new("clock"))
                .about("Decide about a clock that a service does not believe")
                .subcommand_required(true)
                .subcommand(Command::new("confirm").about("Say that the clock of the service is right")),
        )
        .subcommand(
            VersionOptions::augment_args(Command::new("version"))
                .about("Show the release, and with --output json the levels and schemas that it knows"),
        )
        .subcommand(
            ConfigCommand::augment_subcommands(Command::new("config"))
                .about("Show or check the configuration")
                .after_help(CONFIG_EXAMPLES)
                .subcommand_required(true),
        );
    for flow in flows.iter().filter(|flow| !flow.commands().is_empty()) {
        let declaration = flow.declaration();
        let own = FlowCommandOptions::augment_args(Command::new(declaration.name))
            .mut_args(|option| option.global(true))
            .about(declaration.about)
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommands(flow.commands());
        command = command.subcommand(own);
    }
    command
}

fn demo_command(flows: Flows) -> Command {
    let mut demo = Command::new("demo").args_conflicts_with_subcommands(true);
    for flow in flows.iter() {
        let declaration = flow.declaration();
        let own = LogOptions::augment_args(Command::new(declaration.name));
        let Some(own) = flow.demo_options(own) else { continue };
        if declaration.name == flows.default_name() {
            demo = flow.demo_options(LogOptions::augment_args(demo.clone())).unwrap_or(demo);
        }
        demo = demo.subcommand(own.about(declaration.about).long_about(None).after_help(flow.demo_help()));
    }
    let help: Vec<&str> = flows.iter().map(Flow::demo_help).collect();
    demo.about("Run the main job of a flow on invented data, without services, and show what came out")
        .long_about(None)
        .after_help(help.join("\n"))
}

/// `topics ...`
#[derive(Debug, Subcommand)]
pub(crate) enum TopicsCommand {
    /// Show what `apply` would change, and change nothing
    Plan(TopicsOptions),
    /// Create missing topics and change those that differ
    Apply(TopicsOptions),
}

/// `upgrade ...`
#[derive(Debug, Subcommand)]
pub(crate) enum UpgradeCommand {
    /// Show the level of the namespace, the processes in it, and what blocks the next level
    Status(UpgradeOptions),
    /// Raise the namespace to a level; releases that cannot run it cannot come back
    Finalize {
        /// Level [default: the newest of this release]
        #[arg(long, value_name = "NUMBER")]
        level: Option<u32>,
        /// Options of the log.
        #[command(flatten)]
        options: UpgradeOptions,
    },
}

/// Options of `upgrade`.
#[derive(Debug, Args)]
pub(crate) struct UpgradeOptions {
    /// Folder of the embedded log; no service may use it
    #[arg(long, value_name = "DIR", default_value = "tributary-state")]
    pub(crate) state: PathBuf,
    /// Configuration file that overrides built-in settings
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Options of the log.
    #[command(flatten)]
    pub(crate) log: LogOptions,
    /// Form of the output
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) output: OutputForm,
}

/// Options of `version`.
#[derive(Debug, Args)]
pub(crate) struct VersionOptions {
    /// Form of the output
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) output: OutputForm,
}

/// `config ...`
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print the settings in effect
    Show(ConfigOptions),
    /// Check the file, and name the line of the first error
    Check(ConfigOptions),
}

/// Options of `config`.
#[derive(Debug, Args)]
pub(crate) struct ConfigOptions {
    /// Configuration file that overrides built-in settings
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// Options of `topics`.
#[derive(Debug, Args)]
pub(crate) struct TopicsOptions {
    /// Configuration file that overrides built-in settings
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Options of Kafka.
    #[command(flatten)]
    pub(crate) kafka: KafkaOptions,
    /// Partitions of the flow's topics
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) partitions: Option<u16>,
}

/// Options of Kafka.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct KafkaOptions {
    /// Bootstrap brokers
    #[arg(long, help_heading = "Kafka", value_name = "HOST:PORT")]
    pub(crate) kafka: Option<String>,
    /// URL of the schema registry
    #[arg(long, visible_alias = "schema-registry", help_heading = "Kafka", value_name = "URL")]
    pub(crate) registry: Option<String>,
    /// Prefix of the names of topics, groups and transactional ids
    #[arg(long, help_heading = "Kafka", value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Name of this process in its groups; the same after each restart, different for each process
    #[arg(long, help_heading = "Kafka", value_name = "NAME")]
    pub(crate) instance: Option<String>,
    /// Do not create missing topics
    #[arg(long, help_heading = "Kafka")]
    pub(crate) no_create_topics: bool,
    /// Do not register missing schemas: only `tributary schemas apply` does
    #[arg(long, help_heading = "Kafka")]
    pub(crate) no_register_schemas: bool,
}

/// Options of the log.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct LogOptions {
    /// Log that holds the records [default: embedded]
    #[arg(long, value_name = "LOG")]
    pub(crate) log: Option<LogKind>,
    /// Options of Kafka.
    #[command(flatten)]
    pub(crate) kafka: KafkaOptions,
    /// Partitions of the flow's topics; fixed once they exist [default: 4 embedded, 8 Kafka]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) partitions: Option<u16>,
    /// Worker threads [default: one for each core]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) workers: Option<u16>,
    /// A batch that makes no progress for this number of seconds ends with exit code 1 [default: 60]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) give_up_after: Option<u64>,
}

/// Options of `run`. The flows add theirs.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunOptions {
    /// Flows to run
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) flow: Vec<String>,
    /// Folder for the state that is kept between runs; created if missing
    #[arg(long, value_name = "DIR", default_value = "tributary-state")]
    pub(crate) state: PathBuf,
    /// Configuration file that overrides built-in settings
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Address and port of the HTTP port; port 0 takes a free one [default: none, or 127.0.0.1:8080 for flows that
    /// serve requests]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) http: Option<String>,
    /// Options of the log.
    #[command(flatten)]
    pub(crate) log: LogOptions,
    /// Do all the work that is there, print a summary and end
    #[arg(long, help_heading = "One batch")]
    pub(crate) once: bool,
    /// Time as of which a batch runs [default: now]
    #[arg(long, help_heading = "One batch", value_name = "TIME", requires = "once")]
    pub(crate) now: Option<Timestamp>,
    /// Times that an operator confirms.
    #[command(flatten)]
    pub(crate) confirmed: ConfirmedTimes,
    /// Form of the summary of a batch
    #[arg(long, help_heading = "One batch", value_name = "FORM", default_value = "text", requires = "once")]
    pub(crate) output: OutputForm,
    /// Print on standard error how long each step took and what each stage did
    #[arg(long, help_heading = "One batch", requires = "once")]
    pub(crate) statistics: bool,
}

/// Times that an operator confirms, because they are far from what is expected.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfirmedTimes {
    /// Believe a time more than 400 days after the machine's clock
    #[arg(long, help_heading = "One batch", requires = "now")]
    pub(crate) confirm_now: bool,
    /// Believe the clock at the start, also if it is far from the last time in the log
    #[arg(long, help_heading = "Service", conflicts_with = "once")]
    pub(crate) confirm_clock: bool,
}

fn flow_name(flows: Flows, text: &str) -> Result<String, String> {
    if flows.named(text).is_some() {
        return Ok(text.to_owned());
    }
    Err(format!("there is no flow {text}; there are {}", flows.names().collect::<Vec<_>>().join(", ")))
}

/// How to reach a running service.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerOptions {
    /// URL of the service
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// State folder of a service on this machine: names the URL, if --server does not
    #[arg(long, global = true, value_name = "DIR", default_value = "tributary-state")]
    pub(crate) state: PathBuf,
    /// Token for the service
    #[arg(long, global = true, env = "TRIBUTARY_TOKEN", hide_env_values = true, hide = true)]
    pub(crate) token: Option<String>,
    /// Form of the output
    #[arg(long, global = true, value_name = "FORM", default_value = "text")]
    pub(crate) output: OutputForm,
}

/// Options of the commands of a flow: how to reach a running service, and the log where none answers.
#[derive(Debug, Clone, Args)]
pub(crate) struct FlowCommandOptions {
    /// How to reach a running service.
    #[command(flatten)]
    pub(crate) server: ServerOptions,
    /// Configuration file that overrides built-in settings
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Options of the log.
    #[command(flatten)]
    pub(crate) log: LogOptions,
}

/// The log that holds the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogKind {
    /// A folder on this machine; for one process
    Embedded,
    /// Apache Kafka; for many processes
    Kafka,
}

/// The form of the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputForm {
    /// For people
    Text,
    /// For programs: one JSON document
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::FLOWS;

    #[test]
    fn options_of_program_and_flows_fit_together() {
        command(FLOWS).debug_assert();
    }

    #[test]
    fn a_flow_that_does_not_exist_is_refused_with_those_that_do() {
        let error = command(FLOWS).try_get_matches_from(["tributary", "run", "--flow", "ers"]).unwrap_err().to_string();
        assert!(error.contains("there is no flow ers; there are esr"), "{error}");
    }
}
