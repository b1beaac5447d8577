//! `tributary aggregation ...`: what operators ask and change, at a running service.

mod asking;
mod index;
mod services;

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::{Value, json};
use tributary_flow::service_client::ServiceClient;
use tributary_flow::{Failure, Site, json_text, print};

/// What a command answers: as JSON, and for people.
#[derive(Debug)]
struct Answer {
    document: Value,
    text: String,
}

/// The commands.
pub(crate) fn all() -> Vec<Command> {
    let group = |command: Command| command.subcommand_required(true).arg_required_else_help(true);
    let cache = Command::new("cache").about("The cache of answers of a process");
    let clear = Command::new("clear").about("Let go what is kept: of a service, of a patient, or all of it");
    let clear = clear.args([
        Arg::new("service").long("service").value_name("NAME").help("The name of a service"),
        Arg::new("patient").long("patient").value_name("ID").help("A patient"),
    ]);
    let tak = Command::new("tak").about("Permissions and routes").subcommands([
        Command::new("show").about("Show what is loaded, and since when"),
        Command::new("reload").about("Read them again; an error keeps what was loaded before"),
    ]);
    vec![
        asking::ask(),
        asking::why(),
        group(services::command()),
        group(index::command()),
        group(cache.subcommand(clear)),
        group(tak),
    ]
}

/// Does one of them.
///
/// # Errors
/// [`Failure::Refused`] when the command line or the service refuses it (4xx), [`Failure::Unfinished`] when the service
/// does not answer or cannot.
pub(crate) fn run(command: &str, options: &ArgMatches, site: &Site<'_>) -> Result<(), Failure> {
    let answer = answer(command, options, site)?;
    if site.as_json {
        return print(&json_text(&answer.document)?);
    }
    print(&format!("{}\n", answer.text.trim_end()))
}

fn answer(command: &str, options: &ArgMatches, site: &Site<'_>) -> Result<Answer, Failure> {
    // It needs no service.
    if let ("services", Some(("check", own))) = (command, options.subcommand()) {
        return services::checked(own);
    }
    let service = &ServiceClient::of(site)?;
    match (command, options.subcommand()) {
        ("ask", _) => asking::asked(options, service),
        ("why", _) => asking::explained(options, service),
        ("services", _) => services::listed(service),
        ("index", Some((verb, own))) => index::done(verb, own, service),
        ("cache", Some((_, own))) => cleared(own, service),
        ("tak", Some((verb, _))) => tak(verb, service),
        (name, _) => Err(Failure::refused(format!("the flow aggregation has no command {name}"))),
    }
}

fn cleared(options: &ArgMatches, service: &ServiceClient) -> Result<Answer, Failure> {
    let mut which = json!({});
    for name in ["service", "patient"] {
        if let Some(value) = options.get_one::<String>(name) {
            which[name] = json!(value);
        }
    }
    let document = service.post("/api/aggregation/cache/clear", &which)?;
    let text = format!("{} entries are gone from the cache", document["cleared"]);
    Ok(Answer { document, text })
}

fn tak(verb: &str, service: &ServiceClient) -> Result<Answer, Failure> {
    let document = match verb {
        "reload" => service.post("/api/aggregation/tak/reload", &json!({}))?,
        _ => service.get("/api/aggregation/tak", &[])?,
    };
    let text = match document["loaded"].as_str() {
        None => "permissions and routes are not checked".to_owned(),
        Some(loaded) => format!(
            "loaded {loaded}: {} routes, {} permissions, {} subscribers",
            document["routes"], document["permissions"], document["subscribers"]
        ),
    };
    Ok(Answer { document, text })
}

/// A required value of the command line.
fn required<'a>(options: &'a ArgMatches, id: &str) -> Result<&'a String, Failure> {
    options.get_one::<String>(id).ok_or_else(|| Failure::refused(format!("no {id} is given: see --help")))
}

/// An argument with a file.
fn file(id: &'static str) -> Arg {
    Arg::new(id).value_name("FILE").value_parser(value_parser!(PathBuf))
}

/// The text of a value in a document.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
