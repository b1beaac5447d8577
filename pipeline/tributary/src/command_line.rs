//! What can be typed: commands, flags and their help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;
use tributary_esr::format::Office;

const EXAMPLES: &str = "\
Examples:
  tributary demo
      Generates a small region, runs two days of exchange and shows what came out. Needs no services.

  tributary run --inbox in --tis snapshot --outbox out --once --now 2026-11-21T14:30:00Z
      One batch: takes in all files and the snapshot, then writes the files for ESR as of that moment.

  tributary run --inbox in --tis snapshot --outbox out
      The service: watches both folders and exports on schedule, until it is interrupted.

Exit codes:
  0  done, also when lines were rejected or files parked or refused (see the summary)
  1  could not finish; the state is intact, and the same command goes on where this one ended
  2  wrong usage or configuration, or refused; nothing was changed";

const RUN_EXAMPLES: &str = "\
Folders:
  --inbox    files from ESR: DE_EOE_RMF_20261121_00000001.DAT and so on; they stay where they are
  --tis      snapshot of TIS: posts.jsonl, placements.jsonl, people.jsonl (or .jsonl.gz), one object a line
  --outbox   files for ESR (RTC, APP, DNC) appear here, whole or not at all
  --state    what is remembered between runs; one process uses it at a time

Examples:
  tributary run --inbox in --tis snapshot --outbox out --once
      One batch as of now. Run twice on the same input, it exports nothing twice.

  tributary run --inbox in --tis snapshot --outbox out --once --output json --records
      The same; prints one JSON document, with a line for each applicant record.

  tributary run --inbox in --tis snapshot --outbox out --once --accept DE_EOE_RMC_20261121_00000002.DAT
      Also takes in a file that was parked because its trailer does not fit.

  tributary run --inbox in --tis snapshot --outbox out --log kafka --kafka localhost:9092 \\
      --registry http://localhost:8081 --namespace dev
      The service on Kafka, with names of topics and groups that start with `dev.`.

Exit codes: 0 done, 1 could not finish, 2 refused (usage, configuration, state folder, --now before the last run).";

const DEMO_EXAMPLES: &str = "\
Examples:
  tributary demo                          three offices with 6,000 positions, in a few seconds
  tributary demo --scale office --seed 7  one office with 300 positions, other people
  tributary demo --dir /tmp/region        keeps all files in that folder
  tributary demo --kafka localhost:9092 --registry http://localhost:8081
                                          the same exchange through Kafka";

const CONFIG_EXAMPLES: &str = "\
Examples:
  tributary config show                   all settings and what they mean, as a file that can be changed and given back
  tributary config show --config my.toml  the settings in effect with that file; passwords are not shown
  tributary config check --config my.toml says which line is wrong and what is expected there";

const TOPICS_EXAMPLES: &str = "\
Examples:
  tributary topics plan --kafka localhost:9092
  tributary topics apply --kafka localhost:9092 --namespace dev --partitions 12";

/// Joins files of ESR with the data of TIS, exactly once.
#[derive(Debug, Parser)]
#[command(name = "tributary", version, about, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct CommandLine {
    /// How much is told on standard error: error, warn, info, debug or trace, or `tributary_esr=debug` and the like
    #[arg(
        long,
        global = true,
        env = "TRIBUTARY_LOG_LEVEL",
        hide_env_values = true,
        value_name = "LEVEL",
        display_order = 900
    )]
    pub log_level: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Generate a region, run two days of exchange, show what came out
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(DemoArguments),
    /// Run the exchange: as a service, or as one batch with --once
    #[command(after_help = RUN_EXAMPLES)]
    Run(Box<RunArguments>),
    /// Compare the Kafka topics with what the flow needs, or create them
    #[command(after_help = TOPICS_EXAMPLES)]
    Topics {
        /// Plan or apply.
        #[command(subcommand)]
        command: TopicsCommand,
    },
    /// Show or check the configuration
    #[command(after_help = CONFIG_EXAMPLES)]
    Config {
        /// Show or check.
        #[command(subcommand)]
        command: ConfigCommand,
    },
}

/// `topics ...`
#[derive(Debug, Subcommand)]
pub enum TopicsCommand {
    /// Say what `apply` would do; changes nothing
    Plan(TopicsArguments),
    /// Create missing topics and set what differs
    Apply(TopicsArguments),
}

/// `config ...`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the settings in effect
    Show(ConfigArguments),
    /// Say whether the file can be used, and if not, which line is wrong
    Check(ConfigArguments),
}

/// Flags of `config`.
#[derive(Debug, Args)]
pub struct ConfigArguments {
    /// Configuration file, laid over the built-in settings
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Flags of `topics`.
#[derive(Debug, Args)]
pub struct TopicsArguments {
    /// Configuration file, laid over the built-in settings
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where Kafka is.
    #[command(flatten)]
    pub kafka: KafkaArguments,
    /// Partitions of the flow's topics
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub partitions: Option<u16>,
}

/// Where Kafka is.
#[derive(Debug, Clone, Default, Args)]
pub struct KafkaArguments {
    /// Brokers to start from
    #[arg(long, help_heading = "Kafka", value_name = "HOST:PORT")]
    pub kafka: Option<String>,
    /// URL of the schema registry
    #[arg(long, help_heading = "Kafka", value_name = "URL")]
    pub registry: Option<String>,
    /// Prefix of the names of topics, groups and transactional ids
    #[arg(long, help_heading = "Kafka", value_name = "NAME")]
    pub namespace: Option<String>,
    /// What tells this process from others of the same groups; the same after each restart
    #[arg(long, help_heading = "Kafka", value_name = "NAME")]
    pub instance: Option<String>,
    /// Do not create topics that are missing
    #[arg(long, help_heading = "Kafka")]
    pub no_create_topics: bool,
}

/// Flags of `run`.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Debug, Clone, Args)]
pub struct RunArguments {
    /// Folder with the files from ESR
    #[arg(long, value_name = "DIR")]
    pub inbox: PathBuf,
    /// Folder with the snapshot of TIS
    #[arg(long, value_name = "DIR")]
    pub tis: PathBuf,
    /// Folder for the files to ESR; created when missing
    #[arg(long, value_name = "DIR")]
    pub outbox: PathBuf,
    /// Folder for what is remembered between runs; created when missing
    #[arg(long, value_name = "DIR", default_value = "tributary-state")]
    pub state: PathBuf,
    /// Configuration file, laid over the built-in settings
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Offices to serve, in the order in which they take file numbers [default: all]
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    pub offices: Vec<Office>,
    /// Where the records travel [default: embedded]
    #[arg(long, value_name = "LOG")]
    pub log: Option<LogKind>,
    /// Where Kafka is.
    #[command(flatten)]
    pub kafka: KafkaArguments,
    /// Partitions of the flow's topics; fixed once they exist [default: 4 embedded, 8 Kafka]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub partitions: Option<u16>,
    /// Worker threads [default: one for each core]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,
    /// Take in all there is, export once, print a summary and end
    #[arg(long, help_heading = "One batch")]
    pub once: bool,
    /// The moment as of which a batch runs [default: now]
    #[arg(long, help_heading = "One batch", value_name = "TIME", requires = "once")]
    pub now: Option<Timestamp>,
    /// The form of the summary of a batch
    #[arg(long, help_heading = "One batch", value_name = "FORM", default_value = "text", requires = "once")]
    pub output: OutputForm,
    /// Name every applicant record in the summary
    #[arg(long, help_heading = "One batch", requires = "once")]
    pub records: bool,
    /// Say on standard error how long each step took and what each stage did
    #[arg(long, help_heading = "One batch", requires = "once")]
    pub figures: bool,
    /// Also send applicants whose window has passed
    #[arg(long, help_heading = "One batch", requires = "once")]
    pub include_late: bool,
    /// Take in this parked file although it is suspect; may be repeated
    #[arg(long, help_heading = "Decisions about files", value_name = "NAME")]
    pub accept: Vec<String>,
    /// Refuse this parked file: its confirmation says so; may be repeated
    #[arg(long, help_heading = "Decisions about files", value_name = "NAME")]
    pub refuse: Vec<String>,
    /// Write the confirmation of this file that was held back; may be repeated
    #[arg(long, help_heading = "Decisions about files", value_name = "NAME")]
    pub release: Vec<String>,
    /// A batch that does not get on for so many seconds ends with exit code 1 [default: 60]
    #[arg(long, help_heading = "One batch", value_name = "SECONDS")]
    pub give_up_after: Option<u64>,
}

/// Flags of `demo`.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// How large the region is
    #[arg(long, value_name = "SCALE", default_value = "region")]
    pub scale: DemoScale,
    /// Another number gives other people
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// Folder for all files; it must be empty or missing [default: a new temporary folder, which is kept]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Where Kafka is; without, the embedded log is used.
    #[command(flatten)]
    pub kafka: KafkaArguments,
    /// Worker threads [default: one for each core]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,
}

/// Where the records travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    /// In a folder on this machine; one process
    Embedded,
    /// In Apache Kafka; many processes
    Kafka,
}

/// The form of the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputForm {
    /// For people
    Text,
    /// For programs: one JSON document
    Json,
}

/// How large the region of the demo is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DemoScale {
    /// One office with 300 positions
    Office,
    /// Three offices with 6,000 positions
    Region,
    /// All 13 offices with 150,000 positions
    National,
}
