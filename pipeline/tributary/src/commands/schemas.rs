//! `tributary schemas`: the schemas of the records, in this program, in folders and revisions, and in registries.

mod check;
mod list;
mod registries;
mod revision;
mod versions;

use serde::Serialize;
use tributary_flow::{Failure, Flow, json_text, print};
use tributary_schemas::contract::Contract;

use crate::cli::{OutputForm, SchemasCommand, SchemasOptions};
use crate::configuration::Configuration;
use crate::flows::Flows;

/// Executes the command.
pub(crate) fn execute(flows: Flows, command: &SchemasCommand) -> Result<(), Failure> {
    match command {
        SchemasCommand::List { registry, options } => list::execute(&Site::new(flows, options)?, registry.as_deref()),
        SchemasCommand::Show { record, version, options } => {
            versions::show(&Site::new(flows, options)?, record, version)
        }
        SchemasCommand::Diff { record, from, to, options } => {
            versions::diff(&Site::new(flows, options)?, record, from, to)
        }
        SchemasCommand::Check { folder, against, registry, options } => {
            check::execute(&Site::new(flows, options)?, folder.as_deref(), against, registry.as_deref())
        }
        SchemasCommand::Plan(options) => {
            registries::execute(&Site::new(flows, &options.options)?, options, registries::Action::Plan)
        }
        SchemasCommand::Apply(options) => {
            registries::execute(&Site::new(flows, &options.options)?, options, registries::Action::Apply)
        }
    }
}

/// What the commands have in common.
struct Site {
    /// The contract of this program.
    contract: Contract,
    /// All subjects of all flows.
    subjects: Vec<Subject>,
    /// `kafka.registry`; empty if there is none.
    configured_registry: String,
    form: OutputForm,
}

/// A record on a topic.
#[derive(Debug, Clone)]
struct Subject {
    /// The name in registries.
    name: String,
    /// The topic, with the namespace.
    topic: String,
    /// Full name of the record.
    record: &'static str,
}

impl Site {
    fn new(flows: Flows, options: &SchemasOptions) -> Result<Self, Failure> {
        let kafka = Configuration::load(flows, options.config.as_deref())?.process.kafka;
        let namespace = options.namespace.clone().unwrap_or(kafka.namespace);
        Ok(Self {
            contract: Contract::built_in().map_err(Failure::refused)?,
            subjects: subjects(flows, &namespace),
            configured_registry: kafka.registry,
            form: options.output,
        })
    }

    /// Prints a document, or the text for people.
    fn show(&self, document: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        match self.form {
            OutputForm::Text => print(&text()),
            OutputForm::Json => print(&json_text(document)?),
        }
    }
}

/// The subjects of all flows, each once, by topic and record.
fn subjects(flows: Flows, namespace: &str) -> Vec<Subject> {
    let prefix = if namespace.is_empty() { String::new() } else { format!("{namespace}.") };
    let topics = flows.iter().flat_map(|flow| Flow::declaration(flow).topics());
    let mut subjects: Vec<Subject> = topics
        .flat_map(|topic| topic.records.iter().map(move |record| (topic.name, *record)))
        .map(|(topic, record)| {
            let topic = format!("{prefix}{topic}");
            Subject { name: format!("{topic}-{record}"), topic, record }
        })
        .collect();
    subjects.sort_by(|a, b| a.name.cmp(&b.name));
    subjects.dedup_by(|a, b| a.name == b.name);
    subjects
}

/// `1 record`, `2 records`.
fn counted(count: usize, of: &str) -> String {
    if count == 1 { format!("1 {of}") } else { format!("{count} {of}s") }
}
