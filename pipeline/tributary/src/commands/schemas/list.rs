//! `tributary schemas list`.

use serde::Serialize;
use tributary_flow::{Failure, table};
use tributary_schemas::registry::{LEVEL, without_credentials};

use super::registries::Client;
use super::{Site, Subject};
use crate::runtime::Runtime;

/// A record of this program.
#[derive(Debug, Serialize)]
struct Listed {
    record: String,
    /// Topics with the namespace; none for a record of a store.
    topics: Vec<String>,
    /// Released versions.
    versions: Vec<u32>,
    /// Whether today's schema differs from the newest released version.
    unreleased: bool,
    /// What is registered. Absent without a registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    registry: Option<Vec<Registered>>,
}

/// A subject in the registry.
#[derive(Debug, Serialize)]
struct Registered {
    subject: String,
    versions: Vec<RegisteredId>,
    /// The level in effect.
    level: String,
    level_wanted: String,
}

/// A version with its id.
#[derive(Debug, Serialize)]
struct RegisteredId {
    version: u32,
    id: u32,
}

/// Lists the records.
pub(super) fn execute(site: &Site, registry: Option<&str>) -> Result<(), Failure> {
    let runtime = Runtime::start()?;
    let client = registry.map(|url| Client::new(url, runtime.handle())).transpose()?;
    let records: Result<Vec<Listed>, Failure> =
        site.contract.records().keys().map(|record| describe(site, record, client.as_ref())).collect();
    drop(client);
    runtime.end();
    let records = records?;
    site.show(&serde_json::json!({ "records": records }), || text(&records, registry))
}

fn describe(site: &Site, record: &str, client: Option<&Client>) -> Result<Listed, Failure> {
    let subjects: Vec<&Subject> = site.subjects.iter().filter(|subject| subject.record == record).collect();
    let registry = client
        .map(|client| subjects.iter().map(|subject| registered(client, &subject.name)).collect::<Result<Vec<_>, _>>())
        .transpose()?;
    Ok(Listed {
        record: record.to_owned(),
        topics: subjects.iter().map(|subject| subject.topic.clone()).collect(),
        versions: site.contract.versions(record).map(|version| version.version).collect(),
        unreleased: site.contract.is_unreleased(record),
        registry,
    })
}

fn registered(client: &Client, subject: &str) -> Result<Registered, Failure> {
    let versions = client.versions(subject)?;
    let versions = versions.into_iter().map(|one| RegisteredId { version: one.version, id: one.id }).collect();
    let level = client.level(subject)?;
    Ok(Registered { subject: subject.to_owned(), versions, level, level_wanted: LEVEL.to_owned() })
}

fn text(records: &[Listed], registry: Option<&str>) -> String {
    let row = |record: &Listed| {
        let topics = if record.topics.is_empty() { "(no topic)".to_owned() } else { record.topics.join(", ") };
        vec![record.record.clone(), versions(record), topics]
    };
    let mut lines = table::lines(&["record", "versions", "topics"], &records.iter().map(row).collect::<Vec<_>>(), 3);
    if let Some(url) = registry {
        let row = |one: &Registered| {
            let versions: Vec<String> =
                one.versions.iter().map(|one| format!("{} (id {})", one.version, one.id)).collect();
            let versions = if versions.is_empty() { "none".to_owned() } else { versions.join(", ") };
            vec![one.subject.clone(), versions, one.level.clone()]
        };
        let rows: Vec<Vec<String>> = records.iter().flat_map(|record| &record.registry).flatten().map(row).collect();
        let url = without_credentials(url);
        lines.extend([String::new(), format!("in {url}, which needs the level {LEVEL}:")]);
        lines.extend(table::lines(&["subject", "versions", "level"], &rows, 3));
    }
    lines.join("\n") + "\n"
}

fn versions(record: &Listed) -> String {
    let mut versions: Vec<String> = record.versions.iter().map(u32::to_string).collect();
    if record.unreleased {
        versions.push("current".to_owned());
    }
    versions.join(", ")
}
