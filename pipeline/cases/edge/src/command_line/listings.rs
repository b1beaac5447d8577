//! Commands that list: a document of the service, as a table.

use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::Value;
use tributary_flow::service_client::ServiceClient;
use tributary_flow::{Failure, table};

use super::Answer;

/// A list of the service.
struct Listing {
    /// The command, and the end of the path.
    name: &'static str,
    about: &'static str,
    /// The entry of the document with the list.
    items: &'static str,
    /// Headings and entries of the columns; the first `left` are texts.
    columns: &'static [(&'static str, &'static str)],
    left: usize,
    /// Whether it takes `--limit`.
    is_limited: bool,
}

const LISTINGS: [Listing; 7] = [
    Listing {
        name: "origins",
        about: "Show all origin systems",
        items: "origins",
        columns: &[("origin", "name"), ("client id", "clientId"), ("details", "details")],
        left: 3,
        is_limited: false,
    },
    Listing {
        name: "clients",
        about: "Show all clients",
        items: "clients",
        columns: &[("client", "name"), ("client id", "clientId"), ("channel", "channel"), ("format", "format")],
        left: 4,
        is_limited: false,
    },
    Listing {
        name: "grants",
        about: "Show who may see the cases of whom",
        items: "grants",
        columns: &[("client", "client"), ("origin", "origin"), ("case", "caseId")],
        left: 3,
        is_limited: false,
    },
    Listing {
        name: "audit",
        about: "Show who has changed what, the newest first",
        items: "entries",
        columns: &[
            ("version", "version"),
            ("time", "time"),
            ("by", "by"),
            ("action", "action"),
            ("client", "client"),
            ("origin", "origin"),
            ("case", "caseId"),
            ("queue", "queue"),
        ],
        left: 8,
        is_limited: true,
    },
    Listing {
        name: "queues",
        about: "Show the queues of commands, and how many commands each keeps",
        items: "queues",
        columns: &[("queue", "queue"), ("paused", "paused"), ("waiting", "waiting")],
        left: 2,
        is_limited: false,
    },
    Listing {
        name: "deliveries",
        about: "Show the external broker, and how far each client is",
        items: "clients",
        columns: &[
            ("client", "client"),
            ("channel", "channel"),
            ("acknowledged", "acknowledged"),
            ("last", "last"),
            ("waiting", "waiting"),
            ("delayed", "delayed"),
            ("last error", "lastError"),
        ],
        left: 2,
        is_limited: false,
    },
    Listing {
        name: "delayed",
        about: "Show notifications that wait for the external broker",
        items: "items",
        columns: &[
            ("message", "messageId"),
            ("case", "id"),
            ("type", "notificationType"),
            ("still to be told", "clients"),
            ("not before", "notBefore"),
            ("attempts", "attempts"),
        ],
        left: 5,
        is_limited: true,
    },
];

/// Groups that only list.
pub(super) const ALONE: [(&str, &str); 3] = [
    ("audit", "Who has changed what in the registry"),
    ("deliveries", "How far each client is"),
    ("delayed", "Notifications that wait for the external broker"),
];

/// The command `list` of a group.
pub(super) fn command(name: &str) -> Command {
    let command = Command::new("list");
    let Some(listing) = LISTINGS.iter().find(|listing| listing.name == name) else { return command };
    let limit = || {
        Arg::new("limit")
            .long("limit")
            .value_name("NUMBER")
            .value_parser(value_parser!(u32).range(1..))
            .help("At most this number of entries [default: 100]")
    };
    command.about(listing.about).args(listing.is_limited.then(limit))
}

/// Lists.
///
/// # Errors
/// As [`ServiceClient::get`].
pub(super) fn listed(name: &str, options: &ArgMatches, service: &ServiceClient) -> Result<Answer, Failure> {
    let Some(listing) = LISTINGS.iter().find(|listing| listing.name == name) else {
        return Err(Failure::refused(format!("there is no list of {name}")));
    };
    let limit = options.try_get_one::<u32>("limit").ok().flatten().map(ToString::to_string);
    let query: Vec<(&str, &str)> = limit.iter().map(|limit| ("limit", limit.as_str())).collect();
    let document = service.get(&format!("/api/admin/cases/{name}"), &query)?;
    let mut text = external(&document).unwrap_or_default();
    text.push_str(&table(listing, &document)?);
    let version = document.get("version").and_then(Value::as_u64);
    let note = version.map(|version| format!("version {version} of the registry"));
    Ok(Answer { document, text, note })
}

fn table(listing: &Listing, document: &Value) -> Result<String, Failure> {
    let Some(items) = document.get(listing.items).and_then(Value::as_array) else {
        return Err(Failure::unfinished(format!("the service answers without a list of {}", listing.name)));
    };
    let cells = |item: &Value| listing.columns.iter().map(|(_, entry)| cell(listing, entry, item)).collect();
    let heading: Vec<&str> = listing.columns.iter().map(|(heading, _)| *heading).collect();
    let rows: Vec<Vec<String>> = items.iter().map(cells).collect();
    Ok(lines(&heading, &rows, listing.left))
}

/// The lines of a table, without columns that are empty in every row.
pub(super) fn lines(heading: &[&str], rows: &[Vec<String>], left: usize) -> String {
    let is_used = |column: &usize| rows.is_empty() || rows.iter().any(|row| row[*column] != NOTHING);
    let used: Vec<usize> = (0..heading.len()).filter(is_used).collect();
    let heading: Vec<&str> = used.iter().map(|column| heading[*column]).collect();
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| used.iter().map(|column| row[*column].clone()).collect()).collect();
    let left = used.iter().filter(|column| **column < left).count();
    table::lines(&heading, &rows, left).join("\n") + "\n"
}

/// What stands for nothing.
pub(super) const NOTHING: &str = "-";

fn cell(listing: &Listing, entry: &str, item: &Value) -> String {
    match (listing.name, entry, item.get(entry)) {
        ("grants", "caseId", None | Some(Value::Null)) => "all".to_owned(),
        (_, "notificationType", Some(number)) => notification_type(number),
        (_, _, value) => shown(value),
    }
}

/// A value for people.
pub(super) fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => NOTHING.to_owned(),
        Some(Value::Bool(yes)) => if *yes { "yes" } else { "no" }.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.as_u64().map_or_else(|| number.to_string(), table::number),
        Some(Value::Array(values)) if values.is_empty() => NOTHING.to_owned(),
        Some(Value::Array(values)) => values.iter().map(|value| shown(Some(value))).collect::<Vec<_>>().join(", "),
        Some(other) => other.to_string(),
    }
}

/// The name of a type of notification.
pub(super) fn notification_type(number: &Value) -> String {
    let name = match number.as_u64() {
        Some(0) => "created",
        Some(1) => "updated",
        Some(2) => "closed",
        Some(3) => "deleted",
        _ => return shown(Some(number)),
    };
    name.to_owned()
}

/// The line about the external broker, if the document says something about it.
fn external(document: &Value) -> Option<String> {
    let external = document.get("external")?;
    let is = |entry: &str| external.get(entry).and_then(Value::as_bool).unwrap_or(false);
    let number = |entry: &str| external.get(entry).and_then(Value::as_u64).unwrap_or(0);
    if !is("configured") {
        return Some("external broker: none is configured\n\n".to_owned());
    }
    let state = if is("up") { "up" } else { "down" };
    let delayed = match number("delayed") {
        0 => "nothing is delayed".to_owned(),
        delayed => {
            let oldest = table::counted(number("oldestDelayedSeconds"), "second", "seconds");
            format!("{} delayed, the oldest for {oldest}", table::counted(delayed, "notification", "notifications"))
        }
    };
    Some(format!("external broker: {state}; {delayed}\n\n"))
}
