//! What operators change in the schedule: over HTTP, or by commands. A command asks a running service. Where none
//! answers, it puts the request into the log itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use clap::{Arg, ArgMatches, Command, value_parser};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tributary_esr::format::{FileKind, FileName};
use tributary_esr::schedule::Schedule;
use tributary_esr::topics;
use tributary_flow::http::{Caller, FieldError, JsonBody, Mount, Problem, Role, require};
use tributary_flow::service_client::ServiceClient;
use tributary_flow::{Failure, Process, Site, json_text, print};
use tributary_runtime::{Headers, Output};
use tributary_schemas::records::esr::{CounterSet, RunsForgotten};
use tributary_schemas::{AvroRecord, Codec};
use utoipa::{OpenApi, ToSchema};

/// The name of the producer of these requests.
const PRODUCER: &str = "commands";

/// How long a request waits until the schedule has done it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pause between two looks at the schedule.
const PAUSE: Duration = Duration::from_millis(20);

/// When to ask again while the log does not answer.
const RETRY: Duration = Duration::from_secs(5);

/// The types of files that have a counter.
const TYPES: [&str; 2] = ["APP", "DNC"];

/// Which runs are forgotten.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ForgetRuns {
    /// The last time that was right: RFC 3339. Later runs are forgotten.
    #[schema(value_type = String, format = DateTime)]
    after: Timestamp,
}

/// The next number of a counter.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetCounter {
    /// The next number, from 1 to 99999999.
    number: u64,
}

/// What was changed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct ActionView {
    /// Who has changed it.
    by: String,
    /// What was changed. If the schedule did not answer in time, what was asked.
    text: String,
    /// Whether the schedule has done it. If not, it does it as soon as it can.
    done: bool,
}

#[derive(OpenApi)]
#[openapi(paths(forget_runs, set_counter), components(schemas(ForgetRuns, SetCounter, ActionView)))]
struct AdminApi;

/// The paths.
pub(crate) fn mount(process: Arc<dyn Process>) -> Mount {
    let router = Router::new()
        .route("/esr/runs/forget", post(forget_runs))
        .route("/esr/counters/{type}", post(set_counter))
        .route_layer(require(Role::OPERATOR))
        .with_state(process);
    Mount::new(router).described(AdminApi::openapi())
}

/// Forgets the runs after a time, which were made with a wrong clock. File numbers are not given out again.
#[utoipa::path(post, path = "/esr/runs/forget", tag = "esr", request_body = ForgetRuns,
    responses((status = 200, description = "What was changed", body = ActionView),
        (status = 400, description = "No such time", body = Problem),
        (status = 503, description = "The log does not answer", body = Problem)))]
async fn forget_runs(
    State(process): State<Arc<dyn Process>>,
    caller: Caller,
    JsonBody(ForgetRuns { after }): JsonBody<ForgetRuns>,
) -> Result<Json<ActionView>, Problem> {
    let now = Timestamp::now().as_millisecond();
    let by = caller.name().to_owned();
    let record = RunsForgotten { after: after.as_millisecond(), now, by: by.clone() };
    request(process, record, by, now, format!("runs after {after} are forgotten")).await
}

/// Sets the next file number of a type.
#[utoipa::path(post, path = "/esr/counters/{type}", tag = "esr", request_body = SetCounter,
    params(("type" = String, Path, description = "APP or DNC")),
    responses((status = 200, description = "What was changed", body = ActionView),
        (status = 400, description = "No such type or number", body = Problem),
        (status = 503, description = "The log does not answer", body = Problem)))]
async fn set_counter(
    State(process): State<Arc<dyn Process>>,
    Path(kind): Path<String>,
    caller: Caller,
    JsonBody(SetCounter { number }): JsonBody<SetCounter>,
) -> Result<Json<ActionView>, Problem> {
    let wrong = |field: &str, reason: String| Problem::bad_request(vec![FieldError::new(field, reason)]);
    let Some(kind) = counted(&kind) else {
        return Err(wrong("type", format!("{kind} has no counter; there are {}", TYPES.join(", "))));
    };
    if !(1..=FileName::MAX_NUMBER).contains(&number) {
        return Err(wrong("number", format!("expected a number from 1 to {}, found {number}", FileName::MAX_NUMBER)));
    }
    let (now, by) = (Timestamp::now().as_millisecond(), caller.name().to_owned());
    let record = CounterSet { kind, number: number as i64, now, by: by.clone() };
    request(process, record, by, now, format!("the next number of {kind} files is {number}")).await
}

/// The type of files, if it has a counter.
fn counted(kind: &str) -> Option<FileKind> {
    TYPES.contains(&kind).then(|| FileKind::from_symbol(kind)).flatten()
}

/// Publishes a request, and waits for a short time until the schedule has done it.
async fn request<R: AvroRecord + Send + 'static>(
    process: Arc<dyn Process>,
    record: R,
    by: String,
    now: i64,
    asked: String,
) -> Result<Json<ActionView>, Problem> {
    let act = move || {
        let mut output = Output::new(process.flow_partitions());
        output.inherit(now, Headers::default());
        let unavailable = |error: &dyn std::fmt::Display| {
            Problem::unavailable("log_unavailable", format!("the request is not published: {error}"), RETRY)
        };
        send(process.codec(), &record, &mut output).map_err(|error| unavailable(&error))?;
        let published = process.producer(PRODUCER).and_then(|mut producer| producer.publish(&output));
        published.map_err(|error| unavailable(&error))?;
        let done = done(&process, &by, now);
        Ok(Json(ActionView { by, done: done.is_some(), text: done.unwrap_or(asked) }))
    };
    let panicked = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "panic", "the request failed");
    tokio::task::spawn_blocking(act).await.map_err(panicked)?
}

/// What the schedule says that it has done. `None` if it has not said so in time, or belongs to another process.
fn done(process: &Arc<dyn Process>, by: &str, now: i64) -> Option<String> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let by = by.to_owned();
        let found = process.inspect(move |schedule: &Schedule| {
            let mine = schedule.actions().find(|action| action.at == now && action.by == by);
            mine.map(|action| action.text.clone())
        });
        match found {
            Ok(found) if found.is_empty() => return None,
            Ok(found) => {
                if let Some(text) = found.into_iter().flatten().next() {
                    return Some(text);
                }
            }
            Err(_) => {}
        }
        std::thread::sleep(PAUSE);
    }
    None
}

fn send<R: AvroRecord>(codec: &Codec, record: &R, output: &mut Output) -> Result<(), Failure> {
    let mut value = Vec::new();
    codec.encode(record, &mut value).map_err(Failure::unfinished)?;
    output.send(&topics::SCHEDULE, b"", |buffer| buffer.extend_from_slice(&value));
    Ok(())
}

/// The commands.
pub(crate) fn commands() -> Vec<Command> {
    let after = Arg::new("after")
        .long("after")
        .value_name("TIME")
        .required(true)
        .value_parser(value_parser!(Timestamp))
        .help("The last time that was right, such as 2026-11-20T21:00:00Z");
    let set = Command::new("set")
        .about("Set the next number of a type of file")
        .arg(Arg::new("type").value_name("TYPE").required(true).value_parser(TYPES).help("The type"))
        .arg(
            Arg::new("number")
                .value_name("NUMBER")
                .required(true)
                .value_parser(value_parser!(u64).range(1..=FileName::MAX_NUMBER))
                .help("The next number"),
        );
    vec![
        Command::new("forget-runs")
            .about("Forget the runs of a wrong clock, so that runs are due again; file numbers are not given out again")
            .arg(after),
        Command::new("counter").about("The numbers of the files for ESR").subcommand_required(true).subcommand(set),
    ]
}

/// Does one of the commands. `None` if it is not one of them.
pub(crate) fn run(command: &str, options: &ArgMatches, site: &Site<'_>) -> Option<Result<(), Failure>> {
    match command {
        "forget-runs" => Some(forget_runs_command(options, site)),
        "counter" => Some(counter_command(options, site)),
        _ => None,
    }
}

fn forget_runs_command(options: &ArgMatches, site: &Site<'_>) -> Result<(), Failure> {
    let Some(after) = options.get_one::<Timestamp>("after").copied() else {
        return Err(Failure::refused("no time is given: add --after TIME"));
    };
    let record = |now, by| RunsForgotten { after: after.as_millisecond(), now, by };
    act(site, "/esr/runs/forget", &json!({ "after": after }), &record)
}

fn counter_command(options: &ArgMatches, site: &Site<'_>) -> Result<(), Failure> {
    let given =
        options.subcommand().and_then(|(_, set)| Some((set.get_one::<String>("type")?, set.get_one("number")?)));
    let Some((kind, number)) = given.map(|(kind, number): (&String, &u64)| (kind.clone(), *number)) else {
        return Err(Failure::refused("no counter is named: tributary esr counter set TYPE NUMBER"));
    };
    let of_kind = counted(&kind).ok_or_else(|| Failure::refused(format!("{kind} has no counter")))?;
    let record = |now, by| CounterSet { kind: of_kind, number: number as i64, now, by };
    act(site, &format!("/esr/counters/{kind}"), &json!({ "number": number }), &record)
}

/// Asks the service. If none is known or none answers, puts the record into the log.
fn act<R: AvroRecord>(
    site: &Site<'_>,
    path: &str,
    body: &Value,
    record: &dyn Fn(i64, String) -> R,
) -> Result<(), Failure> {
    let asked = site.server.as_ref().map(|_| ServiceClient::of(site)?.post(path, body));
    let answer = match asked {
        Some(Ok(answer)) => answer,
        Some(Err(refused @ Failure::Refused(_))) => return Err(refused),
        Some(Err(Failure::Unfinished(_))) | None => {
            let by = person();
            let record = record(Timestamp::now().as_millisecond(), by.clone());
            site.log.publish(&|codec, output| send(codec, &record, output))?;
            let text = "the request is in the log: the running service, or the next service or batch, does it";
            json!({ "by": by, "done": false, "text": text })
        }
    };
    if site.as_json {
        return print(&json_text(&answer)?);
    }
    print(&format!("{}\n", answer.get("text").and_then(Value::as_str).unwrap_or("done")))
}

/// Who types, for the audit.
fn person() -> String {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()).filter(|name| !name.is_empty());
    named.map_or_else(|| "the command line".to_owned(), |name| format!("{name} at the command line"))
}
