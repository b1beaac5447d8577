//! `tributary schemas show|diff`: versions of one record.

use serde_json::{Value, json};
use tributary_flow::Failure;
use tributary_flow::configuration::nearest;
use tributary_schemas::compatibility::{Verdict, changes, compare};

use super::Site;

/// Today's schema, which need not be released.
const CURRENT: &str = "current";

/// The most names that a message suggests.
const MOST_SUGGESTED: usize = 3;

/// Prints the schema of a version.
pub(super) fn show(site: &Site, record: &str, version: &str) -> Result<(), Failure> {
    let schema: Value = serde_json::from_str(schema(site, record, version)?).map_err(Failure::refused)?;
    let document = json!({ "record": record, "version": version, "schema": schema });
    site.show(&document, || format!("{schema:#}\n"))
}

/// Says what differs between two versions, and whether they can be used side by side.
pub(super) fn diff(site: &Site, record: &str, from: &str, to: &str) -> Result<(), Failure> {
    let (old, new) = (schema(site, record, from)?, schema(site, record, to)?);
    let changes = changes(old, new).map_err(Failure::refused)?;
    let (verdict, problems) = compare(old, new).map_err(Failure::refused)?;
    let document = json!({
        "record": record, "from": from, "to": to, "verdict": verdict, "changes": changes, "problems": problems,
    });
    site.show(&document, || {
        let mut text = format!("{record} from {from} to {to}: {verdict}\n");
        for change in &changes {
            let field = if change.field.is_empty() { record } else { &change.field };
            text.push_str(&format!("  {field}: {}\n", change.change));
        }
        for problem in &problems {
            text.push_str(&format!("  not compatible: {problem}\n    instead: {}\n", problem.instead));
        }
        if verdict == Verdict::Same {
            text.push_str("  no difference\n");
        }
        text
    })
}

/// The schema of a version of a record.
fn schema<'a>(site: &'a Site, record: &str, version: &str) -> Result<&'a str, Failure> {
    let contract = &site.contract;
    let Some(current) = contract.records().get(record) else { return Err(unknown(site, record)) };
    if version == CURRENT {
        return Ok(current);
    }
    let released =
        version.parse().ok().and_then(|number: u32| contract.versions(record).find(|one| one.version == number));
    released.map(|released| released.schema.as_str()).ok_or_else(|| {
        let known: Vec<String> = contract.versions(record).map(|one| one.version.to_string()).collect();
        let known = known.into_iter().chain([CURRENT.to_owned()]).collect::<Vec<_>>().join(", ");
        Failure::refused(format!("{record} has no version {version} in this program: it has {known}"))
    })
}

/// The names that the user probably means: with another spelling, or without the namespace.
fn unknown(site: &Site, record: &str) -> Failure {
    let names: Vec<&str> = site.contract.records().keys().map(String::as_str).collect();
    let short = |name: &str| name.rsplit('.').next().unwrap_or_default().to_lowercase();
    let mut suggested: Vec<&str> = names.iter().copied().filter(|name| short(name) == short(record)).collect();
    while suggested.len() < MOST_SUGGESTED {
        let Some(next) = nearest(record, names.iter().copied().filter(|name| !suggested.contains(name))) else { break };
        suggested.push(next);
    }
    let suggested = if suggested.is_empty() {
        "`tributary schemas list` names all".to_owned()
    } else {
        format!("the nearest are {}", suggested.join(", "))
    };
    Failure::refused(format!("there is no record {record}; {suggested}"))
}
