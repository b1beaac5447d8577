//! Compares a contract with older versions of itself: every record against every older version, in both directions.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::compatibility::{self, Found, Place, Problem, Reader, Rule, Verdict};
use crate::contract::Contract;

/// What a check says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether nothing objects.
    pub compatible: bool,
    /// Each record against each older version. Problems at several places are several entries.
    pub records: Vec<RecordVerdict>,
    /// Each subject in a registry.
    pub registry: Vec<SubjectVerdict>,
}

/// A record against one older version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordVerdict {
    /// Full name of the record.
    pub record: String,
    /// The file where the problem stands. A type that a record holds has a file of its own.
    pub file: String,
    /// The line of the field, or of the type.
    pub line: u32,
    /// The older version. `None` for a record without one.
    pub against: Option<String>,
    /// The verdict.
    pub verdict: Verdict,
    /// What does not fit.
    pub problems: Vec<Problem>,
}

/// A subject in a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubjectVerdict {
    /// The subject.
    pub subject: String,
    /// `same`: it is registered; `compatible` or `incompatible`: what the registry answers; `missing`: no version is.
    pub verdict: String,
    /// The compatibility level in effect. `None` for a missing subject.
    pub level: Option<String>,
    /// The level that every subject needs.
    pub level_wanted: String,
}

/// Why a check is not possible.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// An older schema is not Avro, or a schema is not JSON.
    #[error("{record} cannot be compared with {against}: {reason}")]
    Schema {
        /// The record.
        record: String,
        /// The older version.
        against: String,
        /// Why not.
        reason: String,
    },
}

/// Compares `new` with all versions in `older`, which is called `name`: its records and its released versions.
///
/// # Errors
/// [`CheckError`] when an older schema is not Avro.
pub fn check(new: &Contract, older: &Contract, name: &str) -> Result<Report, CheckError> {
    let versions = versions(older, name);
    let mut records = Vec::new();
    for (record, schema) in new.records() {
        let against = versions.get(record.as_str()).map(Vec::as_slice).unwrap_or_default();
        records.extend(of_record(new, record, schema, against)?);
    }
    for (record, against) in versions.iter().filter(|(record, _)| !new.records().contains_key(**record)) {
        if let (false, Some(last)) = (new.records().is_empty(), against.last()) {
            records.push(removed(new, older, record, &last.label));
        }
    }
    records.extend(edited(new, older, name));
    let compatible = records.iter().all(|record| record.verdict != Verdict::Incompatible);
    Ok(Report { compatible, records, registry: Vec::new() })
}

/// An older version of a record.
struct Older<'a> {
    label: String,
    schema: &'a str,
}

/// The older versions by record, the oldest first.
fn versions<'a>(older: &'a Contract, name: &str) -> BTreeMap<&'a str, Vec<Older<'a>>> {
    let mut versions: BTreeMap<&str, Vec<Older<'_>>> = BTreeMap::new();
    for version in older.released() {
        let label = released_label(older, name, version.version);
        versions.entry(&version.record).or_default().push(Older { label, schema: &version.schema });
    }
    for (record, schema) in older.records() {
        versions.entry(record).or_default().push(Older { label: name.to_owned(), schema });
    }
    versions
}

/// The name of a released version: `released 1`, `git:v1 released 1`.
fn released_label(older: &Contract, name: &str, version: u32) -> String {
    match (older.records().is_empty(), name) {
        (true, "released") => format!("released {version}"),
        _ => format!("{name} released {version}"),
    }
}

fn of_record(
    new: &Contract,
    record: &str,
    schema: &str,
    against: &[Older<'_>],
) -> Result<Vec<RecordVerdict>, CheckError> {
    let failed =
        |against: &str, reason| CheckError::Schema { record: record.to_owned(), against: against.to_owned(), reason };
    let json = compatibility::json(schema).map_err(|reason| failed("itself", reason))?;
    let within = compatibility::problems_within(&json);
    if !within.is_empty() {
        return Ok(entries(new, record, None, Verdict::Incompatible, within));
    }
    if against.is_empty() {
        return Ok(entries(new, record, None, Verdict::Compatible, Vec::new()));
    }
    let mut verdicts = Vec::new();
    for older in against {
        let old: Value = compatibility::json(older.schema).map_err(|reason| failed(&older.label, reason))?;
        let (verdict, found) = compatibility::find(&old, &json).map_err(|reason| failed(&older.label, reason))?;
        verdicts.extend(entries(new, record, Some(&older.label), verdict, found));
    }
    Ok(verdicts)
}

/// An entry for each place with problems, or one for the record.
fn entries(
    contract: &Contract,
    record: &str,
    against: Option<&str>,
    verdict: Verdict,
    found: Vec<Found>,
) -> Vec<RecordVerdict> {
    let mut places: BTreeMap<(String, u32), Vec<Problem>> = BTreeMap::new();
    if found.is_empty() {
        let place = Place { named: record.to_owned(), part: String::new() };
        places.insert(contract.location(&place), Vec::new());
    }
    for Found { problem, place } in found {
        places.entry(contract.location(&place)).or_default().push(problem);
    }
    let entry = |((file, line), problems)| RecordVerdict {
        record: record.to_owned(),
        file,
        line,
        against: against.map(str::to_owned),
        verdict,
        problems,
    };
    places.into_iter().map(entry).collect()
}

/// A record that is gone.
fn removed(new: &Contract, older: &Contract, record: &str, against: &str) -> RecordVerdict {
    let short = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let is_new = |name: &String| older.versions(name).next().is_none() && !older.records().contains_key(name);
    let renamed = new.records().keys().filter(|name| is_new(name)).find(|name| {
        let is_alias = |schema: &String| {
            let aliases = compatibility::json(schema).ok().and_then(|json| json.get("aliases").cloned());
            aliases.is_some_and(|list| list.to_string().contains(&format!("{:?}", short(record))))
        };
        short(name) == short(record) || new.records().get(*name).is_some_and(is_alias)
    });
    let now = renamed.map(|name| format!(" (it may be called {name} now)")).unwrap_or_default();
    let problem = Problem {
        field: String::new(),
        rule: Rule::RecordRemoved,
        reader: Reader::New,
        why: format!("does not know {record}{now}: what topics and stores hold of it becomes unreadable"),
        instead: format!(
            "Keep the file of {record} for good. Release 1: read and write its successor beside it. Release 2: stop \
             writing it."
        ),
    };
    let (file, line) = new.location(&Place { named: record.to_owned(), part: String::new() });
    RecordVerdict {
        record: record.to_owned(),
        file,
        line,
        against: Some(against.to_owned()),
        verdict: Verdict::Incompatible,
        problems: vec![problem],
    }
}

/// Released versions that are not what they were.
fn edited(new: &Contract, older: &Contract, name: &str) -> Vec<RecordVerdict> {
    let mut edited = Vec::new();
    // Some contracts come without their released versions.
    if !new.should_have_released() {
        return edited;
    }
    for version in older.released() {
        let now = new.versions(&version.record).find(|other| other.version == version.version);
        let json = |text: &str| compatibility::json(text).ok();
        let why = match now {
            Some(now) if json(&now.schema) == json(&version.schema) => continue,
            Some(_) => format!("has another version {} of {} than was released", version.version, version.record),
            None => format!("misses version {} of {}, which was released", version.version, version.record),
        };
        let problem = Problem {
            field: String::new(),
            rule: Rule::ReleasedVersionEdited,
            reader: Reader::New,
            why,
            instead: "Restore the file. Change the schema in its own file, and add a version with release-schemas."
                .to_owned(),
        };
        edited.push(RecordVerdict {
            record: version.record.clone(),
            file: now.map_or_else(|| version.path.clone(), |now| now.path.clone()),
            line: 1,
            against: Some(released_label(older, name, version.version)),
            verdict: Verdict::Incompatible,
            problems: vec![problem],
        });
    }
    edited
}
