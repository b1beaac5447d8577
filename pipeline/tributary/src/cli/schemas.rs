//! `tributary schemas ...`

use std::path::PathBuf;

use clap::{Args, Command, Subcommand};

use super::OutputForm;

const EXAMPLES: &str = "\
Examples:
  tributary schemas list
  tributary schemas diff esr.Position 1 current
  tributary schemas check --against released
  tributary schemas check schemas --against git:v0.1.0
  tributary schemas plan --registry http://localhost:8081/apis/ccompat/v7 --namespace dev
  tributary schemas apply --registry http://localhost:8081/apis/ccompat/v7 --namespace dev

list, show, diff and check need no service; list and check ask a registry only if it is named.

Exit codes: 0 done or compatible, 1 not compatible or not finished, 2 refused (usage, an unknown record, a contract
that cannot be read, an apply of what check objects to).";

/// `schemas ...`
#[derive(Debug, Subcommand)]
pub(crate) enum SchemasCommand {
    /// List the records with their topics and versions; with --registry also what is registered
    List {
        /// URL of a schema registry
        #[arg(long, visible_alias = "schema-registry", value_name = "URL")]
        registry: Option<String>,
        /// Options of every command.
        #[command(flatten)]
        options: SchemasOptions,
    },
    /// Print the schema of a record
    Show {
        /// Full name of the record, such as esr.Position
        record: String,
        /// Released version, or `current`
        #[arg(long, value_name = "N", default_value = "current")]
        version: String,
        /// Options of every command.
        #[command(flatten)]
        options: SchemasOptions,
    },
    /// Say in words what differs between two versions of a record
    Diff {
        /// Full name of the record, such as esr.Position
        record: String,
        /// Older version: a number, or `current`
        from: String,
        /// Newer version: a number, or `current`
        to: String,
        /// Options of every command.
        #[command(flatten)]
        options: SchemasOptions,
    },
    /// Compare every record with all its older versions, in both directions, and say what does not fit and why
    Check {
        /// Folder of the contract, as `schemas` or `schemas/avro` of the source tree [default: that of this program]
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
        /// Older versions: `released` for those in this program, a folder, or `git:REV` for a revision of the
        /// repository of the current folder
        #[arg(long, value_name = "released|DIR|git:REV")]
        against: String,
        /// URL of a schema registry that is asked too
        #[arg(long, visible_alias = "schema-registry", value_name = "URL")]
        registry: Option<String>,
        /// Options of every command.
        #[command(flatten)]
        options: SchemasOptions,
    },
    /// Show what `apply` would change, and change nothing
    Plan(RegistriesOptions),
    /// Set the compatibility level of every subject, and register the schemas that a registry lacks
    Apply(RegistriesOptions),
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct SchemasOptions {
    /// Configuration file that overrides built-in settings
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Prefix of the names of topics, and so of subjects
    #[arg(long, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// Form of the output
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) output: OutputForm,
}

/// Options of `plan` and `apply`.
#[derive(Debug, Args)]
pub(crate) struct RegistriesOptions {
    /// URL of a schema registry; repeat it for several [default: kafka.registry of the configuration]
    #[arg(long, visible_alias = "schema-registry", value_name = "URL")]
    pub(crate) registry: Vec<String>,
    /// Options of every command.
    #[command(flatten)]
    pub(crate) options: SchemasOptions,
}

/// `schemas` with its commands.
pub(super) fn command() -> Command {
    SchemasCommand::augment_subcommands(Command::new("schemas"))
        .about("List, compare, check and register the schemas of the records")
        .after_help(EXAMPLES)
        .subcommand_required(true)
        .arg_required_else_help(true)
}
