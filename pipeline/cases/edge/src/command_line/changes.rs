//! Commands that change the registry, hold queues, and tell clients again.

use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tributary_flow::service_client::ServiceClient;
use tributary_flow::{Failure, table};
use tributary_schemas::types::cases::{CaseId, ClientName, OriginName};

use super::{Answer, argument, parsed, required, text_of};

const ORIGINS_EXAMPLES: &str = "\
Examples:
  tributary cases origins list
  tributary cases origins put esdh-a --client-id esdh-a --details https://esdh.example https://files.esdh.example
  tributary cases origins remove esdh-a     its grants end; its cases stay";

const CLIENTS_EXAMPLES: &str = "\
Examples:
  tributary cases clients list
  tributary cases clients put journal-1 --client-id journal-1
  tributary cases clients put journal-2 --client-id journal-2 --channel rabbitmq --format cloudevents
  tributary cases clients remove journal-1  its grants and its queue go with it";

const GRANTS_EXAMPLES: &str = "\
Examples:
  tributary cases grants list
  tributary cases grants add journal-1 esdh-a
      journal-1 sees all cases of esdh-a
  tributary cases grants add journal-1 esdh-b 6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e
      and this one case of esdh-b
  tributary cases grants revoke journal-1 esdh-a
      in force everywhere when the command ends; what journal-1 has not been given yet is dropped";

const QUEUES_EXAMPLES: &str = "\
Examples:
  tributary cases queues list
  tributary cases queues pause delete       it takes commands and processes none, also after a restart
  tributary cases queues resume delete";

const REPLAY_EXAMPLES: &str = "\
Examples:
  tributary cases replay --client journal-1 --from 2026-11-20T00:00:00Z --to 2026-11-21T00:00:00Z
      only says how many notifications would be told again
  tributary cases replay --client journal-1 --case 6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e --yes";

const QUEUES: [&str; 4] = ["create", "update", "close", "delete"];

/// The groups with commands that change something: origins, clients, grants, queues.
pub(super) fn groups() -> [Command; 4] {
    let origin = || argument::<OriginName>("origin", "ORIGIN").help("Its name");
    let client = || argument::<ClientName>("client", "CLIENT").help("Its name");
    let put_origin =
        Command::new("put").about("Add an origin system, or change it").arg(origin()).arg(client_id()).arg(
            Arg::new("details")
                .long("details")
                .value_name("URI")
                .required(true)
                .num_args(1..)
                .action(ArgAction::Append)
                .help("Where its case details may be: scheme, host and port"),
        );
    let put_client = Command::new("put")
        .about("Add a client, or change it; what is not given gets its default")
        .arg(client())
        .arg(client_id())
        .arg(choice("channel", "CHANNEL", ["api", "kafka", "rabbitmq"]).help("How it gets its notifications"))
        .arg(
            choice("format", "FORMAT", ["masstransit", "raw_json", "cloudevents"])
                .help("Form of its messages on the external broker"),
        );
    let queue = || Arg::new("queue").value_name("QUEUE").required(true).value_parser(QUEUES).help("The queue");
    [
        Command::new("origins")
            .about("Origin systems, which own cases")
            .after_help(ORIGINS_EXAMPLES)
            .subcommand(put_origin)
            .subcommand(Command::new("remove").about("Remove an origin system and its grants").arg(origin())),
        Command::new("clients")
            .about("Clients, which are notified of cases")
            .after_help(CLIENTS_EXAMPLES)
            .subcommand(put_client)
            .subcommand(Command::new("remove").about("Remove a client, its grants and its queue").arg(client())),
        Command::new("grants")
            .about("Which client sees the cases of which origin system")
            .after_help(GRANTS_EXAMPLES)
            .subcommand(granted(Command::new("add").about("Let a client see an origin system, or one case of it")))
            .subcommand(granted(Command::new("revoke").about("Revoke such a grant"))),
        Command::new("queues")
            .about("The queues of commands")
            .after_help(QUEUES_EXAMPLES)
            .subcommand(Command::new("pause").about("Hold a queue").arg(queue()))
            .subcommand(Command::new("resume").about("Let a queue go on").arg(queue())),
    ]
}

/// The command `replay`.
pub(super) fn replay() -> Command {
    let time = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("TIME").value_parser(parsed::<Timestamp>).help(help)
    };
    Command::new("replay")
        .about("Tell a client notifications again, at the end of its queue, under the same message ids")
        .after_help(REPLAY_EXAMPLES)
        .arg(argument::<ClientName>("client", "NAME").long("client").help("The client"))
        .arg(Arg::new("case").long("case").value_name("ID").value_parser(parsed::<CaseId>).help("Only of this case"))
        .arg(time("from", "Only those from this time on, such as 2026-11-20T21:00:00Z"))
        .arg(time("to", "Only those before this time"))
        .arg(Arg::new("yes").long("yes").action(ArgAction::SetTrue).help("Do it; without this it says how many"))
}

fn client_id() -> Arg {
    Arg::new("client-id")
        .long("client-id")
        .value_name("ID")
        .required(true)
        .value_parser(NonEmptyStringValueParser::new())
        .help("The client id of its token")
}

fn choice<const N: usize>(name: &'static str, value: &'static str, values: [&'static str; N]) -> Arg {
    Arg::new(name).long(name).value_name(value).value_parser(values).default_value(values[0])
}

fn granted(command: Command) -> Command {
    command
        .arg(argument::<ClientName>("client", "CLIENT").help("The client"))
        .arg(argument::<OriginName>("origin", "ORIGIN").help("The origin system"))
        .arg(
            argument::<CaseId>("case", "CASE")
                .required(false)
                .help("Only this case [default: all cases of the origin system]"),
        )
}

/// Changes the registry or a queue.
///
/// # Errors
/// As [`ServiceClient::put`].
pub(super) fn changed(
    group: &str,
    verb: &str,
    options: &ArgMatches,
    service: &ServiceClient,
) -> Result<Answer, Failure> {
    match (group, verb) {
        ("origins", "put") => {
            let name = required::<OriginName>(options, "origin")?;
            let details: Vec<&String> = options.get_many("details").into_iter().flatten().collect();
            let body = json!({"clientId": required::<String>(options, "client-id")?, "details": details});
            put(service, "origins", &format!("the origin {name}"), &name, Some(&body))
        }
        ("clients", "put") => {
            let name = required::<ClientName>(options, "client")?;
            let [id, channel, format] = ["client-id", "channel", "format"].map(|id| required::<String>(options, id));
            let body = json!({"clientId": id?, "channel": channel?, "format": format?});
            put(service, "clients", &format!("the client {name}"), &name, Some(&body))
        }
        ("origins", _) => {
            let name = required::<OriginName>(options, "origin")?;
            delete(service, "origins", &name, &format!("the origin {name} is removed, and its grants; its cases stay"))
        }
        ("clients", _) => {
            let name = required::<ClientName>(options, "client")?;
            delete(service, "clients", &name, &format!("the client {name} is removed, its grants and its queue"))
        }
        ("grants", _) => change_grant(verb, options, service),
        ("queues", _) => hold(verb, options, service),
        _ => Err(Failure::refused(format!("the flow cases has no command {group} {verb}"))),
    }
}

fn put(
    service: &ServiceClient,
    group: &str,
    subject: &str,
    name: &str,
    body: Option<&Value>,
) -> Result<Answer, Failure> {
    let created = service.put(&format!("/api/admin/cases/{group}/{name}"), body)?;
    let became = if created { "is added" } else { "was there, and is now as given" };
    Ok(Answer::new(json!({"name": name, "created": created}), format!("{subject} {became}\n")))
}

fn delete(service: &ServiceClient, group: &str, name: &str, text: &str) -> Result<Answer, Failure> {
    service.delete(&format!("/api/admin/cases/{group}/{name}"))?;
    Ok(Answer::new(json!({"name": name, "removed": true}), format!("{text}\n")))
}

fn change_grant(verb: &str, options: &ArgMatches, service: &ServiceClient) -> Result<Answer, Failure> {
    let (client, origin) = (required::<ClientName>(options, "client")?, required::<OriginName>(options, "origin")?);
    let case = text_of::<CaseId>(options, "case");
    let cases = case.as_ref().map_or_else(|| "all cases".to_owned(), |case| format!("the case {case}"));
    let path = grant_path(&client, &origin, case.as_deref());
    let mut document = json!({"client": client, "origin": origin, "caseId": case});
    let text = if verb == "add" {
        let created = service.put(&path, None)?;
        document["created"] = created.into();
        format!("{client} {} {cases} of {origin}\n", if created { "now sees" } else { "saw already" })
    } else {
        service.delete(&path)?;
        document["removed"] = true.into();
        format!("the grant of {client} on {cases} of {origin} is revoked\n")
    };
    Ok(Answer::new(document, text))
}

/// The path of a grant.
pub(super) fn grant_path(client: &str, origin: &str, case: Option<&str>) -> String {
    let case = case.map(|case| format!("/{case}")).unwrap_or_default();
    format!("/api/admin/cases/grants/{client}/{origin}{case}")
}

fn hold(verb: &str, options: &ArgMatches, service: &ServiceClient) -> Result<Answer, Failure> {
    let queue = required::<String>(options, "queue")?;
    let paused = verb == "pause";
    service.put(&format!("/api/admin/cases/queues/{queue}"), Some(&json!({"paused": paused})))?;
    let text = if paused {
        format!("the queue {queue} is held: it takes commands and processes none\n")
    } else {
        format!("the queue {queue} goes on\n")
    };
    Ok(Answer::new(json!({"queue": queue, "paused": paused}), text))
}

/// Tells a client again, or says how many notifications that would be.
///
/// # Errors
/// As [`ServiceClient::post`].
pub(super) fn replayed(options: &ArgMatches, service: &ServiceClient) -> Result<Answer, Failure> {
    let client = required::<ClientName>(options, "client")?;
    let is_dry = !options.get_flag("yes");
    let mut body = Map::from_iter([("client".to_owned(), json!(client)), ("dryRun".to_owned(), json!(is_dry))]);
    let wanted = [
        ("caseId", text_of::<CaseId>(options, "case")),
        ("from", text_of::<Timestamp>(options, "from")),
        ("to", text_of::<Timestamp>(options, "to")),
    ];
    body.extend(wanted.into_iter().filter_map(|(field, value)| Some((field.to_owned(), json!(value?)))));
    let document = service.post("/api/admin/cases/replay", &Value::Object(body))?;
    let count = document.get("count").and_then(Value::as_u64).unwrap_or(0);
    let counted = table::counted(count, "notification", "notifications");
    let text = match (count, is_dry) {
        (0, _) => format!("no such notification of {client} is kept\n"),
        (_, true) => format!("{counted} would be told to {client} again: add --yes\n"),
        (_, false) => format!("{counted} told to {client} again, at the end of its queue\n"),
    };
    Ok(Answer::new(document, text))
}
