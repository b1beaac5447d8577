//! `tributary cases show` and `tributary cases try`: one case, and an invented one.

use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::{Value, json};
use tributary_flow::Failure;
use tributary_flow::service_client::ServiceClient;
use tributary_schemas::types::cases::{CaseId, OriginName};

use super::listings::{NOTHING, lines, notification_type, shown as cell};
use super::{Answer, argument, required};
use crate::admin::LONGEST_PAUSE;

const SHOW_EXAMPLES: &str = "\
Example:
  tributary cases show 6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e";

const TRY_EXAMPLES: &str = "\
The origin system needs `test = true` in the configuration of the service. The case is created, updated, closed and
deleted; every client with a grant on the origin system is told of each. Its details do not exist.

Examples:
  tributary cases try esdh-test
  tributary cases try esdh-test --pause 5   time for a consumer to read the case between two commands";

/// The commands.
pub(super) fn commands() -> [Command; 2] {
    let pause = Arg::new("pause")
        .long("pause")
        .value_name("SECONDS")
        .value_parser(value_parser!(u64).range(0..=LONGEST_PAUSE))
        .default_value("0")
        .help(format!("Pause between two commands, at most {LONGEST_PAUSE}"));
    [
        Command::new("show")
            .about("Show a case: its metadata, who can see it, and its last notifications")
            .after_help(SHOW_EXAMPLES)
            .arg(argument::<CaseId>("case", "CASE").help("The id of the case")),
        Command::new("try")
            .about("Play an invented case of a test origin through its life, so that a consumer can test its side")
            .after_help(TRY_EXAMPLES)
            .arg(argument::<OriginName>("origin", "ORIGIN").help("The origin system"))
            .arg(pause),
    ]
}

/// Shows a case.
///
/// # Errors
/// As [`ServiceClient::get`].
pub(super) fn shown(options: &ArgMatches, service: &ServiceClient) -> Result<Answer, Failure> {
    let id = required::<CaseId>(options, "case")?;
    let document = service.get(&format!("/api/admin/cases/cases/{id}"), &[])?;
    let mut text = metadata(&id, &document);
    let told = entries(&document, "notifications");
    if told.is_empty() {
        text.push_str("\nno notifications of it are kept\n");
    } else {
        let row = |told: &Value| {
            let entry = |name: &str| cell(told.get(name));
            let kind = notification_type(told.get("notificationType").unwrap_or(&Value::Null));
            vec![entry("made"), entry("client"), kind, entry("acknowledged"), entry("position")]
        };
        let rows: Vec<Vec<String>> = told.iter().map(row).collect();
        text.push_str("\nlast notifications, the newest first:\n");
        text.push_str(&lines(&["made", "client", "type", "acknowledged", "position"], &rows, 4));
    }
    Ok(Answer::new(document, text))
}

fn metadata(id: &str, document: &Value) -> String {
    let mut lines = vec![("case", id.to_owned())];
    if let Some(case) = document.get("case").filter(|case| !case.is_null()) {
        let entries = ["originSystem", "status", "created", "updated", "caseDetailsUri"];
        let names = ["origin", "status", "created", "updated", "details"];
        lines.extend(names.into_iter().zip(entries.map(|entry| cell(case.get(entry)))));
        let consumers = document.get("consumers").filter(|consumers| !consumers.is_null());
        let consumers = consumers.map_or_else(|| "all that have a grant".to_owned(), |names| cell(Some(names)));
        lines.push(("consumers", consumers));
    }
    for deleted in entries(document, "deleted") {
        lines.push(("deleted", format!("{} by {}", cell(deleted.get("deleted")), cell(deleted.get("originSystem")))));
    }
    let clients = Some(cell(document.get("clients"))).filter(|clients| clients != NOTHING);
    lines.push(("seen by", clients.unwrap_or_else(|| "no client".to_owned())));
    let lines: Vec<String> = lines.into_iter().map(|(name, value)| format!("{name:<9}  {value}\n")).collect();
    lines.concat()
}

fn entries<'a>(document: &'a Value, name: &str) -> &'a [Value] {
    document.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Plays an invented case.
///
/// # Errors
/// As [`ServiceClient::post`].
pub(super) fn tried(options: &ArgMatches, service: &ServiceClient) -> Result<Answer, Failure> {
    let origin = required::<OriginName>(options, "origin")?;
    let pause = options.get_one::<u64>("pause").copied().unwrap_or(0);
    let document = service.post("/api/admin/cases/try", &json!({"origin": origin, "pauseSeconds": pause}))?;
    let row = |command: &Value| ["type", "status", "code", "commandId"].map(|entry| cell(command.get(entry))).to_vec();
    let commands = entries(&document, "commands");
    let rows: Vec<Vec<String>> = commands.iter().map(row).collect();
    let mut text = format!("case {} of {}\n\n", cell(document.get("caseId")), cell(document.get("origin")));
    text.push_str(&lines(&["command", "status", "code", "command id"], &rows, 4));
    text.push_str(&match cell(document.get("clients")).as_str() {
        NOTHING => "\nno client may see it: nobody is told\n".to_owned(),
        clients => format!("\ntold of each command that is applied: {clients}\n"),
    });
    let is_applied = |command: &Value| command.get("status").and_then(Value::as_str) == Some("applied");
    let note = (!commands.iter().all(is_applied)).then(|| {
        "not all commands are applied: `tributary cases queues list` shows whether a queue is held".to_owned()
    });
    Ok(Answer { document, text, note })
}
