//! The own index: what it knows of a patient, the write lock, and all of it as a file.
//!
//! A file has an engagement on each line, as JSON, by the names of its elements. Times and owner are those of the index
//! that takes it in.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command};
use serde_json::{Value, json};
use tributary_aggregation::ei_soap::{IndexInteraction, MOST_IN_CALL, read_update_receipt, write_update};
use tributary_aggregation::engagement::Field;
use tributary_aggregation::transaction::SentEngagement;
use tributary_flow::service_client::ServiceClient;
use tributary_flow::{Failure, table};
use uuid::Uuid;

use super::{Answer, file, required, text_of};

/// Engagements of one page.
const PAGE: &str = "1000";

/// The columns that a person sees.
const COLUMNS: [&str; 6] = [
    "serviceDomain",
    "categorization",
    "logicalAddress",
    "businessObjectInstanceIdentifier",
    "mostRecentContent",
    "updateTime",
];

pub(super) fn command() -> Command {
    let patient = Arg::new("patient").long("patient").value_name("ID").required(true).help("The patient");
    let domain = Arg::new("domain").long("domain").value_name("DOMAIN").help("Only this service domain");
    Command::new("index").about("The own engagement index").subcommands([
        Command::new("find").about("Show the engagements of a patient").args([patient, domain]),
        Command::new("import").about("Take in the engagements of a file").arg(file("file").required(true)).arg(
            Arg::new("address")
                .long("address")
                .value_name("HSA-ID")
                .help("The address of the index [default: asked for]"),
        ),
        Command::new("export").about("Write all engagements to a file").arg(file("file").required(true)),
        Command::new("lock").about("Let updates wait, until the index is unlocked"),
        Command::new("unlock").about("Apply what waits"),
    ])
}

pub(super) fn done(verb: &str, options: &ArgMatches, service: &ServiceClient) -> Result<Answer, Failure> {
    match verb {
        "find" => found(options, service),
        "import" => imported(options, service),
        "export" => exported(options, service),
        "lock" | "unlock" => locked(verb, service),
        other => Err(Failure::refused(format!("the index has no command {other}"))),
    }
}

fn locked(verb: &str, service: &ServiceClient) -> Result<Answer, Failure> {
    let document = service.post(&format!("/api/aggregation/index/{verb}"), &json!({}))?;
    let text = match document["locked"].as_bool() {
        Some(true) => "the index is locked: updates are accepted and wait",
        _ => "the index is open: what has waited is applied",
    };
    Ok(Answer { document, text: text.to_owned() })
}

fn found(options: &ArgMatches, service: &ServiceClient) -> Result<Answer, Failure> {
    let mut wanted = json!({"patient": required(options, "patient")?});
    if let Some(domain) = options.get_one::<String>("domain") {
        wanted["domain"] = json!(domain);
    }
    let document = service.post("/api/aggregation/index/find", &wanted)?;
    let cell = |value: &Value| if value.is_null() { "-".to_owned() } else { text_of(value) };
    let row = |one: &Value| COLUMNS.map(|column| cell(&one[column])).to_vec();
    let rows: Vec<Vec<String>> = document.as_array().into_iter().flatten().map(row).collect();
    let text = table::lines(&COLUMNS, &rows, COLUMNS.len()).join("\n");
    Ok(Answer { document, text })
}

fn path_of(options: &ArgMatches) -> Result<&PathBuf, Failure> {
    options.get_one::<PathBuf>("file").ok_or_else(|| Failure::refused("no file is given: see --help"))
}

/// Writes the file under another name first, so that a broken export is not taken for a whole one.
fn exported(options: &ArgMatches, service: &ServiceClient) -> Result<Answer, Failure> {
    let path = path_of(options)?;
    let failed = |error: std::io::Error| Failure::unfinished(format!("cannot write {}: {error}", path.display()));
    let part = path.with_extension("part");
    let mut out = BufWriter::new(std::fs::File::create(&part).map_err(failed)?);
    let (mut count, mut cursor) = (0, None::<String>);
    loop {
        let mut query = vec![("limit", PAGE)];
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = service.get("/api/aggregation/index/engagements", &query)?;
        for engagement in page["items"].as_array().into_iter().flatten() {
            writeln!(out, "{engagement}").map_err(failed)?;
            count += 1;
        }
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    out.into_inner().map_err(|error| failed(error.into_error()))?.sync_all().map_err(failed)?;
    std::fs::rename(&part, path).map_err(failed)?;
    let text = format!("{count} engagements are in {}", path.display());
    Ok(Answer { document: json!({"exported": count}), text })
}

/// Sends the engagements of a file as updates. One that breaks off is repeated from the start: what is there stays.
fn imported(options: &ArgMatches, service: &ServiceClient) -> Result<Answer, Failure> {
    let path = path_of(options)?;
    let address = match options.get_one::<String>("address") {
        Some(address) => address.clone(),
        None => text_of(&service.get("/skltp-ei/status", &[])?["HsaId"]),
    };
    let unreadable =
        |error: &dyn std::fmt::Display| Failure::refused(format!("cannot read {}: {error}", path.display()));
    let lines = BufReader::new(std::fs::File::open(path).map_err(|error| unreadable(&error))?).lines();
    let (mut piece, mut keys, mut count) = (Vec::new(), HashSet::new(), 0);
    for (number, line) in (1..).zip(lines) {
        let line = line.map_err(|error| unreadable(&error))?;
        if line.trim().is_empty() {
            continue;
        }
        let engagement = engagement_of(&line).map_err(|reason| wrong_line(path, number, &reason))?;
        // An update names no engagement twice.
        let is_new = keys.insert(key_of(&engagement));
        if !is_new || piece.len() == MOST_IN_CALL {
            send(service, &address, &piece).map_err(|failure| at_line(&failure, path, number))?;
            piece.clear();
            keys.clear();
            keys.insert(key_of(&engagement));
        }
        piece.push(engagement);
        count += 1;
    }
    send(service, &address, &piece)?;
    let text = format!("{count} engagements of {} are accepted", path.display());
    Ok(Answer { document: json!({"imported": count}), text })
}

/// The message names no contents.
fn wrong_line(path: &Path, number: usize, reason: &str) -> Failure {
    Failure::refused(format!("{}:{number}: {reason}", path.display()))
}

fn at_line(failure: &Failure, path: &Path, number: usize) -> Failure {
    let text = format!("before {}:{number}: {failure}", path.display());
    match failure {
        Failure::Refused(_) => Failure::refused(text),
        Failure::Unfinished(_) => Failure::unfinished(text),
    }
}

fn engagement_of(line: &str) -> Result<SentEngagement, String> {
    let value: Value = serde_json::from_str(line).map_err(|_| "expected an engagement as a JSON object".to_owned())?;
    let object = value.as_object().ok_or("expected an engagement as a JSON object")?;
    let mut engagement = SentEngagement::default();
    for (name, value) in object {
        let Some(field) = Field::named(name) else { continue };
        match value {
            Value::Null => {}
            Value::String(text) => *engagement.place(field) = Some(text.clone()),
            _ => return Err(format!("expected a text as `{name}`")),
        }
    }
    Ok(engagement)
}

/// All that may make two engagements one.
fn key_of(engagement: &SentEngagement) -> [String; 8] {
    Field::MANDATORY.map(|field| engagement.text(field).to_owned())
}

fn send(service: &ServiceClient, address: &str, piece: &[SentEngagement]) -> Result<(), Failure> {
    if piece.is_empty() {
        return Ok(());
    }
    let correlation = Uuid::new_v4().to_string();
    let headers = [("content-type", "text/xml; charset=UTF-8"), ("x-skltp-correlation-id", correlation.as_str())];
    let message = write_update(address, piece);
    let (_, answer) = service.post_text(IndexInteraction::Update.path(), &headers, message.into_bytes())?;
    read_update_receipt(answer.into_bytes()).map_err(Failure::refused)
}
