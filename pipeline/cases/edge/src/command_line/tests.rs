//! The command line against a service that answers with documents of the contract.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use clap::Command;
use serde_json::json;
use tokio::runtime::Runtime;
use tributary_flow::LogOfCommand;
use tributary_runtime::Output;
use tributary_schemas::Codec;

use super::*;

const CASE: &str = "6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e";

struct NoLog;

impl LogOfCommand for NoLog {
    fn publish(&self, _: &dyn Fn(&Codec, &mut Output) -> Result<(), Failure>) -> Result<(), Failure> {
        Err(Failure::refused("no command writes the log"))
    }
}

/// A service that answers everything with one status and one document, and notes what it is asked.
struct Stub {
    runtime: Runtime,
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
struct Answering {
    status: u16,
    document: Value,
    asked: Arc<Mutex<Vec<String>>>,
}

async fn respond(State(answering): State<Answering>, method: Method, uri: Uri, body: Bytes) -> Response {
    let asked = format!("{method} {uri} {}", String::from_utf8_lossy(&body));
    answering.asked.lock().unwrap().push(asked.trim_end().to_owned());
    (StatusCode::from_u16(answering.status).unwrap(), axum::Json(answering.document)).into_response()
}

impl Stub {
    fn new(status: u16, document: Value) -> Self {
        let runtime = Runtime::new().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answering = Answering { status, document, asked: Arc::clone(&asked) };
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(respond).with_state(answering);
        runtime.spawn(async { axum::serve(listener, router).await });
        Self { runtime, url, asked }
    }

    fn run(&self, line: &str) -> Result<Answer, Failure> {
        let log = NoLog;
        let site = Site {
            config: None,
            server: Some(self.url.clone()),
            token: None,
            as_json: false,
            tokio: self.runtime.handle().clone(),
            log: &log,
        };
        let matches = parsed_line(line).unwrap();
        let (command, own) = matches.subcommand().unwrap();
        answer(command, own, &ServiceClient::of(&site)?)
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn parsed_line(line: &str) -> Result<ArgMatches, clap::Error> {
    let config = Arg::new("config").long("config").global(true).value_parser(clap::value_parser!(std::path::PathBuf));
    let words = std::iter::once("cases").chain(line.split_whitespace());
    Command::new("cases").arg(config).subcommands(all()).try_get_matches_from(words)
}

#[test]
fn each_change_asks_for_its_path() {
    let stub = Stub::new(201, json!({"count": 2}));
    let lines = [
        (
            "origins put esdh-a --client-id a --details https://a.example https://b.example",
            r#"PUT /api/admin/cases/origins/esdh-a {"clientId":"a","details":["https://a.example","https://b.example"]}"#,
            "the origin esdh-a is added\n",
        ),
        ("origins remove esdh-a", "DELETE /api/admin/cases/origins/esdh-a", "its cases stay\n"),
        (
            "clients put j --client-id j-id --channel kafka",
            r#"PUT /api/admin/cases/clients/j {"channel":"kafka","clientId":"j-id","format":"masstransit"}"#,
            "the client j is added\n",
        ),
        ("clients remove j", "DELETE /api/admin/cases/clients/j", "is removed, its grants and its queue\n"),
        ("grants add j esdh-a", "PUT /api/admin/cases/grants/j/esdh-a", "j now sees all cases of esdh-a\n"),
        (
            "grants revoke j esdh-a 6B1F3C1E-0F5B-4A53-9D0C-1D2A3B4C5D6E",
            "DELETE /api/admin/cases/grants/j/esdh-a/6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e",
            "is revoked\n",
        ),
        ("queues pause delete", r#"PUT /api/admin/cases/queues/delete {"paused":true}"#, "the queue delete is held"),
        ("queues resume delete", r#"PUT /api/admin/cases/queues/delete {"paused":false}"#, "delete goes on\n"),
        (
            "replay --client j --from 2026-11-20T00:00:00Z",
            r#"POST /api/admin/cases/replay {"client":"j","dryRun":true,"from":"2026-11-20T00:00:00Z"}"#,
            "2 notifications would be told to j again: add --yes\n",
        ),
        (
            "replay --client j --yes",
            r#"POST /api/admin/cases/replay {"client":"j","dryRun":false}"#,
            "2 notifications told to j again",
        ),
        ("audit list --limit 3", "GET /api/admin/cases/audit?limit=3", ""),
    ];
    for (line, asked, said) in lines {
        let answered = stub.run(line);
        assert_eq!(stub.asked(), [asked], "{line}");
        if !said.is_empty() {
            let text = answered.unwrap().text;
            assert!(text.contains(said), "{line}: {text}");
        }
    }
}

#[test]
fn a_refusal_is_exit_2_and_a_service_that_cannot_or_is_away_exit_1() {
    let problem = |status| Stub::new(status, json!({"detail": "there is no such client"}));
    let refused = problem(404).run("clients remove j").unwrap_err();
    assert!(matches!(&refused, Failure::Refused(_)), "{refused}");
    assert!(refused.to_string().contains("answers 404: there is no such client"), "{refused}");
    assert!(matches!(problem(503).run("clients list"), Err(Failure::Unfinished(_))));
    // Port 0 takes no connection.
    let away = Stub { url: "http://127.0.0.1:0".to_owned(), ..problem(200) };
    assert!(matches!(away.run("clients list"), Err(Failure::Unfinished(_))));
}

#[test]
fn a_wrong_command_line_is_refused_before_anything_is_asked() {
    for line in [
        "clients put a/b --client-id x",
        "clients put j --client-id x --channel fax",
        "clients put j",
        "origins put esdh-a --client-id x",
        "grants add j esdh-a 4711",
        "queues pause all",
        "replay",
        "replay --client j --from yesterday",
        "show 4711",
        "try esdh-a --pause 6",
        "audit list --limit 0",
        "clients",
    ] {
        assert!(parsed_line(line).is_err(), "{line}");
    }
}

#[test]
fn deliveries_are_a_line_about_the_broker_and_a_table() {
    let client = json!({"client": "j", "channel": "rabbitmq", "acknowledged": 1000, "last": 1002, "waiting": 2,
        "delayed": 2, "lastError": "the queue is full"});
    let external = json!({"configured": true, "up": false, "delayed": 2, "oldestDelayedSeconds": 61});
    let answer = Stub::new(200, json!({"external": external, "clients": [client]})).run("deliveries list").unwrap();
    assert_eq!(
        answer.text,
        "external broker: down; 2 notifications delayed, the oldest for 61 seconds\n\n\
         client  channel   acknowledged   last  waiting  delayed         last error\n\
         j       rabbitmq         1,000  1,002        2        2  the queue is full\n"
    );
}

#[test]
fn delayed_ones_are_listed_with_those_still_to_be_told() {
    let item = json!({"messageId": "m", "id": CASE, "notificationType": 3, "clients": ["a", "b"], "attempts": 4,
        "notBefore": "2026-11-20T14:30:00Z"});
    let answer = Stub::new(200, json!({"items": [item]})).run("delayed list").unwrap();
    assert!(answer.text.contains("deleted  a, b"), "{}", answer.text);
    let none = Stub::new(200, json!({"items": []})).run("delayed list").unwrap();
    assert_eq!(none.text.lines().count(), 1, "only the heading: {}", none.text);
}

#[test]
fn a_case_is_shown_with_who_can_see_it_and_what_they_were_told() {
    let case = json!({"id": CASE, "originSystem": "esdh-a", "status": "Open", "created": "2026-11-20T10:00:00Z",
        "updated": "2026-11-20T11:00:00Z", "caseDetailsUri": "https://esdh.example/1"});
    let told = json!({"client": "j", "position": 7, "messageId": "m", "notificationType": 1, "eventTime": null,
        "made": "2026-11-20T11:00:01Z", "acknowledged": true});
    let document = json!({"case": case, "consumers": null, "clients": ["j"], "deleted": [], "notifications": [told]});
    let text = Stub::new(200, document).run(&format!("show {CASE}")).unwrap().text;
    for line in [
        "origin     esdh-a",
        "consumers  all that have a grant",
        "seen by    j",
        "2026-11-20T11:00:01Z  j       updated  yes                  7",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
    }
    let deleted = json!([{"originSystem": "esdh-a", "deleted": "2026-11-20T12:00:00Z"}]);
    let document = json!({"case": null, "consumers": null, "clients": [], "deleted": deleted, "notifications": []});
    let text = Stub::new(200, document).run(&format!("show {CASE}")).unwrap().text;
    assert!(text.contains("deleted    2026-11-20T12:00:00Z by esdh-a\nseen by    no client\n"), "{text}");
}

#[test]
fn apply_needs_a_file_that_names_someone() {
    let stub = Stub::new(200, json!({}));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[cases]\nlist_limit = 5\n").unwrap();
    let of_file = format!("registry apply --config {}", file.path().display());
    for (line, said) in [("registry apply", "--config FILE"), (&of_file, "no origin system and no client")] {
        let refused = stub.run(line).unwrap_err();
        assert!(matches!(&refused, Failure::Refused(_)) && refused.to_string().contains(said), "{line}: {refused}");
    }
    assert_eq!(stub.asked(), Vec::<String>::new());
}
