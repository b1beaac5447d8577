//! `tributary cases ...`: what operators read and change, at a running service.

mod applying;
mod changes;
mod listings;
mod one_case;
#[cfg(test)]
mod tests;

use std::str::FromStr;

use clap::{Arg, ArgMatches, Command};
use serde_json::Value;
use tributary_flow::service_client::ServiceClient;
use tributary_flow::{Failure, Site, json_text, print};

/// What a command answers: as JSON, and for people.
#[derive(Debug)]
struct Answer {
    document: Value,
    text: String,
    /// What people are told besides the data.
    note: Option<String>,
}

impl Answer {
    fn new(document: Value, text: String) -> Self {
        Self { document, text, note: None }
    }
}

/// The commands.
pub(crate) fn all() -> Vec<Command> {
    let group = |command: Command| command.subcommand_required(true).arg_required_else_help(true);
    let [origins, clients, grants, queues] = changes::groups();
    let with_list = |command: Command, name| group(command.subcommand(listings::command(name)));
    let mut commands = vec![
        with_list(origins, "origins"),
        with_list(clients, "clients"),
        with_list(grants, "grants"),
        with_list(queues, "queues"),
    ];
    commands.extend(listings::ALONE.iter().map(|(name, about)| with_list(Command::new(*name).about(*about), name)));
    commands.push(changes::replay());
    commands.extend(one_case::commands());
    commands.push(group(applying::command()));
    commands
}

/// Does one of them.
///
/// # Errors
/// [`Failure::Refused`] when the command line or the service refuses it (4xx), [`Failure::Unfinished`] when the service
/// does not answer or cannot.
pub(crate) fn run(command: &str, options: &ArgMatches, site: &Site<'_>) -> Result<(), Failure> {
    let answer = answer(command, options, &ServiceClient::of(site)?)?;
    if site.as_json {
        return print(&json_text(&answer.document)?);
    }
    print(&answer.text)?;
    if let Some(note) = answer.note {
        eprintln!("{note}");
    }
    Ok(())
}

fn answer(command: &str, options: &ArgMatches, service: &ServiceClient) -> Result<Answer, Failure> {
    match (command, options.subcommand()) {
        ("replay", _) => changes::replayed(options, service),
        ("show", _) => one_case::shown(options, service),
        ("try", _) => one_case::tried(options, service),
        ("registry", Some(("apply", own))) => applying::applied(own, service),
        (name, Some(("list", own))) => listings::listed(name, own, service),
        (name, Some((verb, own))) => changes::changed(name, verb, own, service),
        (name, None) => Err(Failure::refused(format!("the flow cases has no command {name}"))),
    }
}

/// A value that must stand on the command line.
fn argument<T: FromStr<Err: ToString> + Clone + Send + Sync + 'static>(id: &'static str, name: &'static str) -> Arg {
    Arg::new(id).value_name(name).required(true).value_parser(parsed::<T>)
}

fn parsed<T: FromStr<Err: ToString>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// A value that the parser has checked, as text.
fn text_of<T: ToString + Clone + Send + Sync + 'static>(options: &ArgMatches, id: &str) -> Option<String> {
    options.get_one::<T>(id).map(ToString::to_string)
}

/// As [`text_of`], of a value that the parser requires.
fn required<T: ToString + Clone + Send + Sync + 'static>(options: &ArgMatches, id: &str) -> Result<String, Failure> {
    text_of::<T>(options, id).ok_or_else(|| Failure::refused(format!("no {id} is given: see --help")))
}
