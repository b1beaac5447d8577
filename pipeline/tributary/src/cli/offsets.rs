//! `tributary offsets ...`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tributary_connectors::kafka::ResetTo;

use super::{KafkaOptions, LogKind, OutputForm};

pub(super) const EXAMPLES: &str = "\
Examples:
  tributary offsets reset --kafka localhost:9092 --to state
      Where each group is, up to where its state goes, and what would be set. Changes nothing.

  tributary offsets reset --kafka localhost:9092 --group esr --topic esr.post --partition 3 --to earliest --yes
      Continues one partition with the first record that is still there.

Exit codes: 0 done, 1 could not finish, 2 refused (the group has members, or an offset is not in the topic).";

/// `offsets ...`
#[derive(Debug, Subcommand)]
pub(crate) enum OffsetsCommand {
    /// Show what would become of the offsets of groups, or set them with --yes
    Reset(ResetOptions),
}

/// Options of `offsets reset`.
#[derive(Debug, Args)]
pub(crate) struct ResetOptions {
    /// Where to continue: `state` (after the last record that the state holds), `earliest`, `latest` or an offset
    #[arg(long, value_name = "TO", value_parser = reset_to)]
    pub(crate) to: ResetTo,
    /// Only this flow
    #[arg(long, value_name = "NAME")]
    pub(crate) flow: Option<String>,
    /// Only this consumer group, without the namespace
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
    /// Only this inbox
    #[arg(long, value_name = "TOPIC")]
    pub(crate) topic: Option<String>,
    /// Only this partition
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i32).range(0..))]
    pub(crate) partition: Option<i32>,
    /// Set the offsets; the groups must have no members
    #[arg(long)]
    pub(crate) yes: bool,
    /// Form of the plan
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) output: OutputForm,
    /// Log that holds the offsets [default: the configured one, or kafka with --kafka]
    #[arg(long, value_name = "LOG")]
    pub(crate) log: Option<LogKind>,
    /// Configuration file that overrides built-in settings
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Options of Kafka.
    #[command(flatten)]
    pub(crate) kafka: KafkaOptions,
}

fn reset_to(text: &str) -> Result<ResetTo, String> {
    match text {
        "state" => Ok(ResetTo::State),
        "earliest" => Ok(ResetTo::Earliest),
        "latest" => Ok(ResetTo::Latest),
        number => match number.parse() {
            Ok(offset) if offset >= 0 => Ok(ResetTo::Offset(offset)),
            _ => Err("it must be state, earliest, latest or an offset".to_owned()),
        },
    }
}
