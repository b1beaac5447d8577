//! `tributary cases registry apply`: makes the registry of a service like a file.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Value, json};
use tributary_flow::configuration::ConfigurationFile;
use tributary_flow::service_client::ServiceClient;
use tributary_flow::{Failure, table};
use tributary_schemas::records::cases::{Channel, Client, Format, Grant, Origin, RegistryFill};

use super::Answer;
use super::changes::grant_path;
use crate::differences::{self, Change};
use crate::settings::EdgeSettings;

const EXAMPLES: &str = "\
The file fills an empty registry when the service starts. Later the registry holds, and a restart does not undo what
operators have changed; the service warns of differences. Grants on single cases are not in the file: they stay.

Examples:
  tributary cases registry apply --config dis.toml        only lists the differences
  tributary cases registry apply --config dis.toml --yes  carries them out, revocations first";

/// How often the registry is read again when it changes meanwhile.
const ATTEMPTS: usize = 5;

/// The command.
pub(super) fn command() -> Command {
    let yes = Arg::new("yes").long("yes").action(ArgAction::SetTrue).help("Do it; without this it lists the changes");
    Command::new("registry").about("Origin systems, clients and grants as a whole").subcommand(
        Command::new("apply").about("Make the registry like the file of --config").after_help(EXAMPLES).arg(yes),
    )
}

/// Lists the differences between the file and the registry, or carries them out.
///
/// # Errors
/// [`Failure::Refused`] for a wrong file or a refused change, [`Failure::Unfinished`] when the service does not answer.
/// The same command goes on where it ended.
pub(super) fn applied(options: &ArgMatches, service: &ServiceClient) -> Result<Answer, Failure> {
    let wanted = wanted(options.try_get_one::<PathBuf>("config").ok().flatten())?;
    let changes = differences::between(&wanted, &registry(service)?);
    let is_done = options.get_flag("yes");
    if is_done {
        for (done, change) in changes.iter().enumerate() {
            carry_out(change, service).map_err(|failure| stopped(&failure, change, done, changes.len()))?;
        }
    }
    let document = json!({"changes": changes.iter().map(view).collect::<Vec<_>>(), "applied": is_done});
    let mut lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
    let counted = table::counted(changes.len() as u64, "change", "changes");
    lines.push(match (changes.len(), is_done) {
        (0, _) => "the registry is as in the file\n".to_owned(),
        (_, true) => format!("\n{counted} carried out\n"),
        (_, false) => format!("\n{counted}: add --yes to carry this out\n"),
    });
    Ok(Answer::new(document, lines.join("\n")))
}

fn wanted(path: Option<&PathBuf>) -> Result<RegistryFill, Failure> {
    let Some(path) = path else {
        return Err(Failure::refused("no file is named: add --config FILE"));
    };
    let file = ConfigurationFile::read(Some(path)).map_err(Failure::refused)?;
    let fill = EdgeSettings::load(file.source.as_ref()).map_err(Failure::refused)?.fill;
    if differences::is_empty(&fill) {
        let text = format!(
            "{} names no origin system and no client: an empty registry is not made from it; see `tributary cases \
             origins remove` and `clients remove`",
            path.display()
        );
        return Err(Failure::refused(text));
    }
    Ok(fill)
}

/// The registry of the service, read at one version.
fn registry(service: &ServiceClient) -> Result<RegistryFill, Failure> {
    for _ in 0..ATTEMPTS {
        let read = |name: &str| service.get(&format!("/api/admin/cases/{name}"), &[]);
        let (origins, clients, grants) = (read("origins")?, read("clients")?, read("grants")?);
        let version = |document: &Value| document.get("version").and_then(Value::as_i64);
        if version(&origins) == version(&clients) && version(&clients) == version(&grants) {
            return Ok(RegistryFill {
                origins: all(&origins, "origins", origin)?,
                clients: all(&clients, "clients", client)?,
                grants: all(&grants, "grants", grant)?,
                ..RegistryFill::default()
            });
        }
    }
    Err(Failure::unfinished("the registry changes all the time: try again"))
}

fn all<T>(document: &Value, name: &str, read: fn(&Value) -> Option<T>) -> Result<Vec<T>, Failure> {
    let items = document.get(name).and_then(Value::as_array);
    let read = items.and_then(|items| items.iter().map(read).collect());
    read.ok_or_else(|| {
        Failure::refused(format!("this program does not understand the {name} of the service: use its release"))
    })
}

fn text(item: &Value, entry: &str) -> Option<String> {
    item.get(entry)?.as_str().map(str::to_owned)
}

fn name<N: FromStr>(item: &Value, entry: &str) -> Option<N> {
    item.get(entry)?.as_str()?.parse().ok()
}

fn origin(item: &Value) -> Option<Origin> {
    let places = item.get("details")?.as_array()?.iter();
    let details: Option<Vec<String>> = places.map(|place| place.as_str().map(str::to_owned)).collect();
    Some(Origin { client_id: text(item, "clientId")?, details: details?, ..Origin::of(name(item, "name")?) })
}

fn client(item: &Value) -> Option<Client> {
    let channel = Channel::from_symbol(item.get("channel")?.as_str()?)?;
    let format = Format::from_symbol(item.get("format")?.as_str()?)?;
    Some(Client { client_id: text(item, "clientId")?, channel, format, ..Client::of(name(item, "name")?) })
}

fn grant(item: &Value) -> Option<Grant> {
    let case_id = match item.get("caseId") {
        None | Some(Value::Null) => None,
        Some(_) => Some(name(item, "caseId")?),
    };
    Some(Grant { case_id, ..Grant::of(name(item, "client")?, name(item, "origin")?) })
}

fn carry_out(change: &Change, service: &ServiceClient) -> Result<(), Failure> {
    let path = |group: &str, name: &str| format!("/api/admin/cases/{group}/{name}");
    match change {
        Change::Revoke(client, origin) => service.delete(&grant_path(client.as_str(), origin.as_str(), None)),
        Change::Grant(client, origin) => {
            service.put(&grant_path(client.as_str(), origin.as_str(), None), None).map(drop)
        }
        Change::RemoveClient(name) => service.delete(&path("clients", name.as_str())),
        Change::RemoveOrigin(name) => service.delete(&path("origins", name.as_str())),
        Change::PutOrigin(origin, _) => {
            let body = json!({"clientId": origin.client_id, "details": origin.details});
            service.put(&path("origins", origin.name.as_str()), Some(&body)).map(drop)
        }
        Change::PutClient(client, _) => {
            let (channel, format) = (client.channel.symbol(), client.format.symbol());
            let body = json!({"clientId": client.client_id, "channel": channel, "format": format});
            service.put(&path("clients", client.name.as_str()), Some(&body)).map(drop)
        }
    }
}

fn stopped(failure: &Failure, change: &Change, done: usize, all: usize) -> Failure {
    let text = format!("{done} of {all} changes are carried out; then, to {change}: {failure}");
    match failure {
        Failure::Refused(_) => Failure::refused(text),
        Failure::Unfinished(_) => Failure::unfinished(text),
    }
}

fn view(change: &Change) -> Value {
    let client = change.client().map(ToString::to_string);
    let origin = change.origin().map(ToString::to_string);
    json!({"action": change.action(), "client": client, "origin": origin, "text": change.to_string()})
}
