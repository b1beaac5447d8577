//! `tributary registry ...`: what operators ask and do, at a running service, and the schema of GraphQL.

use clap::{Arg, ArgMatches, Command};
use serde_json::{Value, json};
use tributary_flow::configuration::{ConfigurationFile, Source};
use tributary_flow::service_client::ServiceClient;
use tributary_flow::{Failure, Site, json_text, print, table};
use tributary_registry::configuration::RegistrySettings;

use crate::graphql::schema_text;

/// Entries of one page.
const PAGE: usize = 1_000;

/// What a command answers: as JSON, and for people.
struct Answer {
    document: Value,
    text: String,
}

/// The commands.
pub(crate) fn all() -> Vec<Command> {
    let id = || Arg::new("id").value_name("ID").help("The id of a job");
    let status = || Arg::new("status").long("status").value_name("STATUS").help("Only jobs of this status");
    let kind = || Arg::new("kind").long("kind").value_name("KIND").help("Only jobs of this kind");
    let limit = Arg::new("limit").long("limit").value_name("N").help("At most this many [default: all]");
    let limit = limit.value_parser(clap::value_parser!(u64).range(1..));
    let yes = Arg::new("yes").long("yes").num_args(0).help("Do it; without it, jobs are only counted");
    let jobs =
        Command::new("jobs").about("Jobs: one number, one run").subcommand_required(true).arg_required_else_help(true);
    let jobs = jobs.subcommands([
        Command::new("list").about("List jobs").args([kind(), status(), limit.clone()]),
        Command::new("show").about("Show a job").arg(id().required(true)),
        Command::new("retry").about("Begin a new run of a job, or of all jobs of a status").args([
            id().required_unless_present("status"),
            status().conflicts_with("id"),
            kind(),
            yes,
        ]),
        Command::new("cancel").about("End a run").arg(id().required(true)),
        Command::new("purge").about("Remove a row as a whole; what was audited stays").arg(id().required(true)),
    ]);
    let of_kind = |name: &'static str, about: &'static str| {
        Command::new(name).about(about).arg(Arg::new("kind").value_name("KIND").required(true).help("The kind"))
    };
    let audit = Command::new("audit").about("Who has done what, from the oldest").args([
        Arg::new("resource").long("resource-id").value_name("ID").help("Only entries about this row"),
        Arg::new("actor").long("actor").value_name("USER").help("Only entries of this user, or of `system`"),
        Arg::new("action").long("action").value_name("ACTION").help("Only entries of this action"),
        limit,
    ]);
    vec![
        jobs,
        Command::new("kinds").about("The kinds of jobs, and their calls"),
        of_kind("pause", "Make no further call of a kind"),
        of_kind("resume", "Call again"),
        audit,
        Command::new("rekey").about("Seal every row with the first of the keys"),
        Command::new("schema").about("Print the schema of GraphQL, with the kinds of --config; needs no service"),
    ]
}

/// Does one of them.
///
/// # Errors
/// [`Failure::Refused`] when the command line or the service refuses it (4xx), [`Failure::Unfinished`] when the service
/// does not answer or cannot.
pub(crate) fn run(command: &str, options: &ArgMatches, site: &Site<'_>) -> Result<(), Failure> {
    if command == "schema" {
        return schema(site);
    }
    let answer = answer(command, options, &ServiceClient::of(site)?)?;
    if site.as_json {
        return print(&json_text(&answer.document)?);
    }
    print(&format!("{}\n", answer.text.trim_end()))
}

fn schema(site: &Site<'_>) -> Result<(), Failure> {
    let file = ConfigurationFile::read(site.config.as_deref()).map_err(Failure::refused)?;
    // The schema does not depend on which organisation is called.
    let built_in = Source::new("the built-in settings", "[registry.job.unzr.service]\nmember_code = \"-\"\n");
    let settings = RegistrySettings::load(Some(file.source.as_ref().unwrap_or(&built_in))).map_err(Failure::refused)?;
    let text = schema_text(&settings).map_err(Failure::refused)?;
    if site.as_json { print(&json_text(&json!({"schema": text}))?) } else { print(&text) }
}

fn path(name: &str) -> String {
    format!("/api/admin/registry/{name}")
}

fn answer(command: &str, options: &ArgMatches, service: &ServiceClient) -> Result<Answer, Failure> {
    match (command, options.subcommand()) {
        ("jobs", Some(("list", own))) => listed(own, service),
        ("jobs", Some(("retry", own))) if own.contains_id("status") => retried_all(own, service),
        ("jobs", Some((verb, own))) => one(verb, own, service),
        ("kinds", _) => kinds(service),
        ("pause" | "resume", _) => switched(command, options, service),
        ("audit", _) => audited(options, service),
        ("rekey", _) => {
            let document = service.post(&path("rekey"), &json!({}))?;
            let text = format!("{} rows are to be sealed with the first key; done when this says 0", document["count"]);
            Ok(Answer { document, text })
        }
        (name, _) => Err(Failure::refused(format!("the flow registry has no command {name}"))),
    }
}

fn required<'a>(options: &'a ArgMatches, id: &str) -> Result<&'a str, Failure> {
    let given = options.get_one::<String>(id).map(String::as_str);
    given.ok_or_else(|| Failure::refused(format!("no {id} is given: see --help")))
}

/// An id in a path. What is none is refused here, so that nothing else gets into an address.
fn id_of(options: &ArgMatches) -> Result<String, Failure> {
    let id = required(options, "id")?;
    let parsed: Result<uuid::Uuid, _> = id.parse();
    parsed.map(|id| id.to_string()).map_err(|_| Failure::refused("expected the id of a job, a UUID: see `jobs list`"))
}

/// All pages of a list, or the first `limit` entries of it.
fn pages(
    service: &ServiceClient,
    name: &str,
    (member, query): (&str, &[(&str, Option<&str>)]),
    limit: Option<u64>,
) -> Result<Vec<Value>, Failure> {
    let most = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let (mut items, mut cursor): (Vec<Value>, Option<String>) = (Vec::new(), None);
    loop {
        let page = PAGE.min(most - items.len()).to_string();
        let mut query: Vec<(&str, &str)> = query.iter().filter_map(|(name, value)| Some((*name, (*value)?))).collect();
        query.push(("limit", &page));
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let mut document = service.get(&path(name), &query)?;
        if let Value::Array(found) = document[member].take() {
            items.extend(found);
        }
        cursor = document["next"].as_str().map(str::to_owned);
        if cursor.is_none() || items.len() >= most {
            items.truncate(most);
            return Ok(items);
        }
    }
}

fn in_table(columns: &[&str], items: &[Value]) -> String {
    let cell = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let rows: Vec<Vec<String>> =
        items.iter().map(|item| columns.iter().map(|column| cell(&item[*column])).collect()).collect();
    table::lines(columns, &rows, columns.len()).join("\n")
}

fn listed(options: &ArgMatches, service: &ServiceClient) -> Result<Answer, Failure> {
    let text_of = |id: &str| options.get_one::<String>(id).map(String::as_str);
    let query = [("kind", text_of("kind")), ("status", text_of("status"))];
    let jobs = pages(service, "jobs", ("jobs", &query), options.get_one::<u64>("limit").copied())?;
    let text = in_table(&["id", "kind", "status", "attempt", "updated_at", "next_attempt_at"], &jobs);
    Ok(Answer { document: json!({"jobs": jobs}), text })
}

fn one(verb: &str, options: &ArgMatches, service: &ServiceClient) -> Result<Answer, Failure> {
    let id = id_of(options)?;
    let document = match verb {
        "retry" | "cancel" => service.post(&path(&format!("jobs/{id}/{verb}")), &json!({}))?,
        "purge" => {
            service.delete(&path(&format!("jobs/{id}")))?;
            return Ok(Answer { document: json!({"purged": id}), text: format!("{id} is gone") });
        }
        _ => service.get(&path(&format!("jobs/{id}")), &[])?,
    };
    let object = document.as_object().into_iter().flatten();
    let lines: Vec<String> = object
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| format!("{name:<16} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect();
    Ok(Answer { text: lines.join("\n"), document })
}

fn retried_all(options: &ArgMatches, service: &ServiceClient) -> Result<Answer, Failure> {
    let status = required(options, "status")?;
    let kind = options.get_one::<String>("kind").map(String::as_str);
    if !options.get_flag("yes") {
        let query = [("kind", kind), ("status", Some(status))];
        let count = pages(service, "jobs", ("jobs", &query), None)?.len();
        let text = format!("{count} jobs are {status}; add --yes to begin a new run of each");
        return Ok(Answer { document: json!({"count": count}), text });
    }
    let document = service.post(&path("jobs/retry"), &json!({"kind": kind, "status": status}))?;
    let text = format!("a new run of {} jobs is asked for", document["count"]);
    Ok(Answer { document, text })
}

fn kinds(service: &ServiceClient) -> Result<Answer, Failure> {
    let document = service.get(&path("kinds"), &[])?;
    let kinds: Vec<Value> = document.as_array().cloned().unwrap_or_default();
    Ok(Answer { text: in_table(&["kind", "paused", "breaker", "in_flight", "pending"], &kinds), document })
}

fn switched(verb: &str, options: &ArgMatches, service: &ServiceClient) -> Result<Answer, Failure> {
    let kind = required(options, "kind")?;
    // A kind that is none would be another path.
    kind.parse::<tributary_schemas::types::registry::KindName>()
        .map_err(|_| Failure::refused("expected the name of a kind: see `kinds`"))?;
    let document = service.post(&path(&format!("kinds/{kind}/{verb}")), &json!({}))?;
    let word = if document["paused"] == true { "is paused" } else { "is called" };
    Ok(Answer { text: format!("{kind} {word}, {} jobs are pending", document["pending"]), document })
}

fn audited(options: &ArgMatches, service: &ServiceClient) -> Result<Answer, Failure> {
    let text_of = |id: &str| options.get_one::<String>(id).map(String::as_str);
    let query = [("resource_id", text_of("resource")), ("actor", text_of("actor")), ("action", text_of("action"))];
    let entries = pages(service, "audit", ("entries", &query), options.get_one::<u64>("limit").copied())?;
    let text = in_table(&["at", "actor", "client", "action", "resource_id", "outcome"], &entries);
    Ok(Answer { document: json!({"entries": entries}), text })
}
