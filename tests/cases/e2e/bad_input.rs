//! What the distribution of cases answers to input that is not as it should be, row by row of what is promised.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod service;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use service::{Answer, Folder, PATIENCE, Service, problem};

const CASE: &str = "6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e";
const URI: &str = "https://esdh-a.example/cases/1";

const CASES: &str = r#"
[cases]
list_limit = 2
[cases.origins.esdh-a]
client_id = "esdh-a"
details = ["https://esdh-a.example"]
[cases.clients.journal-1]
client_id = "journal-1"
sees = ["esdh-a"]
"#;

/// The changes of the registry that `CASES` makes.
const FILLED: usize = 3;

struct World {
    service: Service,
    /// The header that names the caller, and what precedes the name.
    header: (&'static str, &'static str),
}

impl World {
    /// Anyone on this machine may call, under any name.
    async fn open() -> Self {
        Self::start(Folder::new(CASES), ("tributary-client", "")).await
    }

    /// The token of each caller is its name. Only `operator-1` has a role.
    async fn with_tokens() -> Self {
        let folder = Folder::new(&format!("[auth]\nmode = \"tokens\"\ntokens_file = \"tokens.txt\"\n{CASES}"));
        // From: printf NAME | sha256sum
        let tokens = [
            "esdh-a - 183eaeb02c8f5d00f1aeda7a899c952a7de8e614ed467b23895978af96a5674a",
            "journal-1 - 0915b0773a08030bc1713d7e304a5e07b5c9abbc36eca6fbbfc324a744e473b8",
            "nobody-1 - 05eb374f88a30d9f9aa383997d7bac774d8857fecf566b786a8c18626627a249",
            "operator-1 operator 99b6333569c2e999985f7a44f7e3b1fa295062a2d0aff5a1cbdc1a59ed3b324a",
            "viewer-1 viewer 63a9e8a8c2d8dae19cffc606f5c788cbc639cd7994b6d38943f6cb321cac75e7",
        ];
        folder.write("tokens.txt", &tokens.join("\n"));
        Self::start(folder, ("authorization", "Bearer ")).await
    }

    async fn start(folder: Folder, header: (&'static str, &'static str)) -> Self {
        let world = Self { service: Service::start(folder), header };
        let audit = || world.request(Method::GET, "/api/admin/cases/audit", "operator-1");
        let is_filled = |answer: &Answer| answer.body["entries"].as_array().is_some_and(|all| all.len() == FILLED);
        world.service.wait_until("the registry is filled", audit, is_filled).await;
        world
    }

    fn request(&self, method: Method, path: &str, caller: &str) -> RequestBuilder {
        let (name, before) = self.header;
        self.service.request(method, path).header(name, format!("{before}{caller}"))
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path, "journal-1")
    }

    fn command(&self, kind: &str, body: &impl ToString) -> RequestBuilder {
        let request = self.request(Method::POST, &format!("/api/Commands/{kind}"), "esdh-a");
        request.header("content-type", "application/json").header("prefer", "wait=10").body(body.to_string())
    }

    fn acknowledge(&self, body: &Value) -> RequestBuilder {
        let request = self.request(Method::PUT, "/api/Notifications/Acknowledged", "journal-1");
        request.header("content-type", "application/json").body(body.to_string())
    }

    fn put(&self, path: &str, body: &Value) -> RequestBuilder {
        let request = self.request(Method::PUT, &format!("/api/admin/cases/{path}"), "operator-1");
        request.header("content-type", "application/json").body(body.to_string())
    }

    fn delete(&self, path: &str) -> RequestBuilder {
        self.request(Method::DELETE, &format!("/api/admin/cases/{path}"), "operator-1")
    }

    async fn create(&self, case: &str, created: &str) {
        let body = json!({"caseId": case, "created": created, "caseDetailsUri": URI});
        let answer = Answer::of(self.command("CreateCase", &body)).await;
        assert_eq!((answer.status, &answer.body["status"]), (200, &json!("applied")), "{}", answer.body);
    }
}

fn create_with(field: &str, value: Value) -> Value {
    let mut body = json!({"caseId": CASE, "created": "2026-11-20T10:00:00Z", "caseDetailsUri": URI});
    body[field] = value;
    body
}

fn fields(answer: &Answer) -> Vec<&str> {
    answer.body["errors"].as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_token_that_is_unknown_or_lacks_a_role_is_401_or_403() {
    let world = World::with_tokens().await;
    for path in ["/api/Cases", "/api/Notifications", "/api/Commands/x", "/api/admin/cases/grants"] {
        problem(world.service.request(Method::GET, path), 401, "Unauthenticated", path).await;
        problem(world.request(Method::GET, path, "unknown-1"), 401, "Unauthenticated", path).await;
    }
    for path in ["/api/Cases", "/api/Notifications", &format!("/api/Commands/{CASE}")] {
        problem(world.request(Method::GET, path, "nobody-1"), 403, "UnknownClient", path).await;
    }
    let delete = |caller| {
        let request = world.request(Method::POST, "/api/Commands/DeleteCase", caller);
        request.header("content-type", "application/json").body(json!({"caseId": CASE}).to_string())
    };
    problem(delete("nobody-1"), 403, "UnknownClient", "a command of nobody").await;
    problem(delete("journal-1"), 403, "NotAnOrigin", "a command of a consumer").await;
    let of_origin = world.request(Method::GET, "/api/Notifications", "esdh-a");
    problem(of_origin, 403, "NotAClient", "notifications of an origin").await;
    let grant = "/api/admin/cases/grants/journal-1/esdh-a";
    for caller in ["esdh-a", "journal-1", "nobody-1"] {
        let read = world.request(Method::GET, "/api/admin/cases/grants", caller);
        problem(read, 403, "Forbidden", caller).await;
    }
    problem(world.request(Method::DELETE, grant, "viewer-1"), 403, "Forbidden", "a viewer acts").await;
    let read = world.request(Method::GET, "/api/admin/cases/grants", "viewer-1");
    assert_eq!(Answer::of(read).await.body["grants"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_command_that_is_wrong_is_400_and_nothing_is_taken_in() {
    let world = World::open().await;
    for body in ["", "x", "[]", "7", "null", "\"{}\"", "{\"caseId\":", "{} {}", &"[".repeat(10_000)] {
        let about = &body[..body.len().min(20)];
        problem(world.command("CreateCase", &body), 400, "InvalidCommand", about).await;
    }
    let wrong = [
        ("caseId", json!(7)),
        ("caseId", json!("6b1f3c1e0f5b4a539d0c1d2a3b4c5d6e")),
        ("caseId", json!("{6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e}")),
        ("caseId", Value::Null),
        ("commandId", json!("x")),
        ("created", json!("2026-11-20T10:00:00")),
        ("created", json!("2026-11-20")),
        ("created", json!("2026-02-30T10:00:00Z")),
        ("created", json!("99999-11-20T10:00:00Z")),
        ("created", json!(1_700_000_000)),
        ("created", Value::Null),
        ("caseDetailsUri", json!("esdh-a.example/1")),
        ("caseDetailsUri", json!(format!("{URI}{}", "x".repeat(2_048)))),
        ("caseDetailsUri", Value::Null),
        ("consumers", json!("journal-1")),
        ("consumers", json!([1])),
        ("consumers", json!(["a b"])),
        ("consumers", json!(vec!["journal-1"; 1_001])),
        ("eventTime", json!("soon")),
        ("correlationId", json!("x".repeat(257))),
        ("correlationId", json!("a\nb")),
    ];
    for (field, value) in wrong {
        let about = format!("{field} {}", value.to_string().chars().take(60).collect::<String>());
        let request = world.command("CreateCase", &create_with(field, value));
        let answer = problem(request, 400, "InvalidCommand", &about).await;
        assert_eq!(fields(&answer), [field], "{about}: {}", answer.body);
    }
    problem(world.command("UpdateCase", &json!({"caseId": CASE})), 400, "InvalidCommand", "no `updated`").await;
    for kind in ["CloseCase", "DeleteCase"] {
        problem(world.command(kind, &json!({})), 400, "InvalidCommand", kind).await;
    }
    problem(world.get(&format!("/api/Cases/{CASE}")), 404, "CaseNotFound", "nothing was taken in").await;
    let notifications = Answer::of(world.get("/api/Notifications")).await;
    assert_eq!(notifications.body, json!({"items": [], "acknowledged": 0}));
}

#[tokio::test]
async fn case_details_elsewhere_are_not_allowed_whatever_their_spelling() {
    let world = World::open().await;
    let elsewhere = [
        "https://evil.example/",
        "http://esdh-a.example/",
        "https://esdh-a.example:8443/",
        "https://esdh-a.example@evil.example/",
        "https://esdh-a.example:pw@esdh-a.example/",
        "https://esdh-a.example.evil.example/",
        "https://evil.example/#https://esdh-a.example/",
        "https://evil.example\\@esdh-a.example/",
        "https:\\\\esdh-a.example/",
        "https://esdh-a.example/a b",
        "https://esdh-a.example./",
        "https://127.0.0.1/",
        "https://0x7f.1/",
    ];
    for uri in elsewhere {
        for (kind, body) in [
            ("CreateCase", create_with("caseDetailsUri", json!(uri))),
            ("UpdateCase", json!({"caseId": CASE, "updated": "2026-11-20T10:00:00Z", "caseDetailsUri": uri})),
        ] {
            let answer = problem(world.command(kind, &body), 400, "UriNotAllowed", uri).await;
            assert_eq!(fields(&answer), ["caseDetailsUri"], "{uri}");
        }
    }
    let same_place = create_with("caseDetailsUri", json!("HTTPS://ESDH-A.example:443/cases/%31"));
    assert_eq!(Answer::of(world.command("CreateCase", &same_place)).await.body["status"], "applied");
}

#[tokio::test]
async fn bodies_of_other_types_and_sizes_are_415_and_413() {
    let world = World::open().await;
    let body = create_with("padding", json!("")).to_string();
    let of_length = |length: usize| body.replace("\"\"", &format!("\"{}\"", "x".repeat(length - body.len())));
    let largest = of_length(64 * 1024);
    assert_eq!(largest.len(), 64 * 1024);
    problem(world.command("CreateCase", &format!("{largest} ")), 413, "TooLarge", "a byte more").await;
    assert_eq!(Answer::of(world.command("CreateCase", &largest)).await.body["status"], "applied");
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/xml", "text/json", ""] {
        let request = world.request(Method::POST, "/api/Commands/DeleteCase", "esdh-a");
        let request = request.header("content-type", content_type).body(json!({"caseId": CASE}).to_string());
        problem(request, 415, "UnsupportedMediaType", content_type).await;
    }
    let without = world.request(Method::POST, "/api/Commands/DeleteCase", "esdh-a");
    problem(without.body(json!({"caseId": CASE}).to_string()), 415, "UnsupportedMediaType", "no type").await;
    let client = json!({"clientId": "x".repeat(64 * 1024)});
    problem(world.put("clients/journal-2", &client), 413, "TooLarge", "a large client").await;
    let position = json!({"position": 0, "padding": "x".repeat(5_000)});
    problem(world.acknowledge(&position), 413, "TooLarge", "a large position").await;
    assert_eq!(Answer::of(world.get(&format!("/api/Cases/{CASE}"))).await.status, 200);
}

#[tokio::test]
async fn a_query_that_is_wrong_is_400_and_never_404() {
    let world = World::open().await;
    let other = CASE.replace('6', "7");
    world.create(CASE, "2026-11-20T10:00:00Z").await;
    world.create(&other, "2026-11-21T10:00:00Z").await;
    let wrong = [
        "/api/Cases?updatedFrom=yesterday",
        "/api/Cases?updatedFrom=2026-11-20T10:00:00",
        "/api/Cases?updatedFrom=2026-11-20T10:00:00+01:00",
        "/api/Cases?updatedTo=2026-13-01T00:00:00Z",
        "/api/Cases?updatedFrom=",
        "/api/Cases?updatedFrom=%00",
        "/api/Cases?updatedFrom=2026-11-21T00:00:00Z&updatedTo=2026-11-20T00:00:00Z",
        "/api/Cases?updatedFrom=2026-11-20T00:00:00Z&updatedFrom=2026-11-20T00:00:00Z",
        "/api/Cases?status=open",
        "/api/Cases?status=Open&status=Closed",
        "/api/Cases?limit=0",
        "/api/Cases?limit=-1",
        "/api/Cases?limit=3",
        "/api/Cases?limit=1.5",
        "/api/Cases?limit=99999999999999999999999",
        "/api/Cases?limit=",
        "/api/Cases?cursor=x",
        "/api/Cases?limit=1&cursor=",
        "/api/Cases?limit=1&cursor=x",
        "/api/Cases?limit=1&cursor=1.x",
        "/api/Cases?limit=1&cursor=99999999999999999999.6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e",
        "/api/Cases?limit=1&updatedFrom=2026-11-20T00:00:00Z&cursor=1.6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e",
        "/api/Cases/Deleted?deletedFrom=x",
        "/api/Cases/Deleted?deletedFrom=2026-11-21T00:00:00Z&deletedTo=2026-11-20T00:00:00Z",
        "/api/Cases/Deleted?deletedTo=2026-11-20T00:00:00Z&deletedTo=2026-11-20T00:00:00Z",
        "/api/Cases/x",
        "/api/Cases/6b1f3c1e0f5b4a539d0c1d2a3b4c5d6e",
        "/api/Cases/%7B6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e%7D",
        "/api/Cases/6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e%2F",
        "/api/Cases/%FF",
        "/api/Commands/x",
        "/api/Commands/%FF",
        "/api/Notifications?after=-1",
        "/api/Notifications?after=x",
        "/api/Notifications?after=9223372036854775808",
        "/api/Notifications?after=1&after=2",
        "/api/Notifications?limit=0",
        "/api/Notifications?limit=1001",
        "/api/Notifications?wait=31",
        "/api/Notifications?wait=1.5",
        "/api/admin/cases/audit?limit=0",
        "/api/admin/cases/audit?limit=10001",
        "/api/admin/cases/audit?limit=1&limit=2",
    ];
    for path in wrong {
        problem(world.request(Method::GET, path, "journal-1"), 400, "InvalidQuery", path).await;
    }
    for body in [json!({}), json!({"position": "1"}), json!({"position": 1.5}), json!({"position": 1e30}), json!([])] {
        problem(world.acknowledge(&body), 400, "InvalidQuery", &body.to_string()).await;
    }
    for position in [-1, 3, i64::MAX] {
        let request = world.acknowledge(&json!({"position": position}));
        problem(request, 400, "PositionUnknown", &position.to_string()).await;
    }
    let upper = format!("/api/Cases/{}", CASE.to_uppercase());
    assert_eq!(Answer::of(world.get(&upper)).await.body["id"], CASE);
    assert_eq!(Answer::of(world.get("/api/Notifications?after=9223372036854775807")).await.body["items"], json!([]));
    assert_eq!(Answer::of(world.get("/api/Cases?originSystem=none")).await.body, json!([]));
    let page = Answer::of(world.get("/api/Cases?limit=1")).await;
    let next = page.header("link").strip_prefix('<').and_then(|link| link.split_once('>')).unwrap().0.to_owned();
    let second = Answer::of(world.get(&next)).await;
    assert_eq!((&page.body[0]["id"], &second.body[0]["id"]), (&json!(CASE), &json!(other)), "{next}");
    world.create(&CASE.replace('6', "8"), "2026-11-22T10:00:00Z").await;
    problem(world.get("/api/Cases"), 404, "ResultTooLarge", "more than list_limit").await;
}

#[tokio::test]
async fn what_the_registry_cannot_take_is_refused() {
    let world = World::open().await;
    let client = |id: &str| json!({"clientId": id});
    let origin = |id: &str| json!({"clientId": id, "details": ["https://x.example"]});
    let long = "x".repeat(65);
    for name in ["a%20b", "a%2Fb", "%C3%A6", "%00", "a%0D%0Ab", "*", &long] {
        problem(world.put(&format!("clients/{name}"), &client("x")), 400, "InvalidName", name).await;
        problem(world.put(&format!("origins/{name}"), &origin("x")), 400, "InvalidName", name).await;
        problem(world.delete(&format!("clients/{name}")), 400, "InvalidName", name).await;
        problem(world.put(&format!("grants/{name}/esdh-a"), &Value::Null), 400, "InvalidName", name).await;
    }
    for id in ["", " ", "a\nb", &"x".repeat(201)] {
        problem(world.put("clients/journal-2", &client(id)), 400, "InvalidName", id).await;
        problem(world.put("origins/esdh-b", &origin(id)), 400, "InvalidName", id).await;
    }
    problem(world.put("clients/Journal-1", &client("x")), 409, "NameTaken", "taken but for case").await;
    problem(world.put("clients/journal-2", &client("journal-1")), 409, "NameTaken", "taken client id").await;
    problem(world.put("origins/ESDH-A", &origin("x")), 409, "NameTaken", "taken but for case").await;
    problem(world.put("origins/esdh-b", &origin("esdh-a")), 409, "NameTaken", "taken client id").await;
    for place in ["x", "ftp://x.example", "https://me@x.example", "https://x.example/#x"] {
        let body = json!({"clientId": "x", "details": [place]});
        problem(world.put("origins/esdh-b", &body), 400, "InvalidDetails", place).await;
    }
    let on_broker = json!({"clientId": "x", "channel": "rabbitmq"});
    problem(world.put("clients/journal-2", &on_broker), 400, "NoExternalBroker", "no broker").await;
    for body in [json!({}), json!([]), json!({"clientId": 1}), json!({"clientId": "x", "more": 1})] {
        problem(world.put("clients/journal-2", &body), 400, "InvalidQuery", &body.to_string()).await;
    }
    for body in [json!({"clientId": "x", "channel": "fax"}), json!({"clientId": "x", "format": "xml"})] {
        problem(world.put("clients/journal-2", &body), 400, "InvalidQuery", &body.to_string()).await;
    }
    for (path, code) in [
        ("grants/none/esdh-a".to_owned(), "UnknownClient"),
        ("grants/journal-1/none".to_owned(), "UnknownOrigin"),
        (format!("grants/none/esdh-a/{CASE}"), "UnknownClient"),
    ] {
        problem(world.put(&path, &Value::Null), 404, code, &path).await;
        problem(world.delete(&path), 404, code, &path).await;
    }
    let of_case = format!("grants/journal-1/esdh-a/{CASE}");
    problem(world.delete(&of_case), 404, "UnknownGrant", "no such grant").await;
    problem(world.put("grants/journal-1/esdh-a/x", &Value::Null), 400, "InvalidQuery", "no GUID").await;
    problem(world.delete("clients/none"), 404, "UnknownClient", "no such client").await;
    problem(world.delete("origins/none"), 404, "UnknownOrigin", "no such origin").await;
    problem(world.put("queues/none", &json!({"paused": true})), 404, "UnknownQueue", "no such queue").await;
    problem(world.put("queues/create", &json!({"paused": 1})), 400, "InvalidQuery", "no boolean").await;
    let audit = Answer::of(world.request(Method::GET, "/api/admin/cases/audit", "operator-1")).await;
    assert_eq!(audit.body["entries"].as_array().map(Vec::len), Some(FILLED), "{}", audit.body);
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there_are_404_and_405() {
    let world = World::open().await;
    for path in ["/api/Case", "/api/Cases/", "/api/Cases/Deleted/x", "/api/Commands", "//api/Cases", "/api%2FCases"] {
        problem(world.get(path), 404, "not_found", path).await;
    }
    for (method, path, allowed) in [
        (Method::DELETE, "/api/Cases", "GET,HEAD"),
        (Method::GET, "/api/Commands/CreateCase", "POST"),
        (Method::POST, "/api/Commands/CREATECASE", "GET,HEAD"),
        (Method::POST, "/api/Notifications/Acknowledged", "PUT"),
        (Method::POST, "/api/admin/cases/grants/journal-1/esdh-a", "PUT,DELETE"),
    ] {
        let answer = problem(world.request(method, path, "esdh-a"), 405, "MethodNotAllowed", path).await;
        assert_eq!(answer.header("allow"), allowed, "{path}");
    }
}

#[tokio::test]
async fn requests_beyond_the_limits_of_the_server_are_refused_under_names_of_the_flow() {
    let http = "[http]\nmax_requests = 1\n";
    let world = World::start(Folder::new(&format!("{http}{CASES}")), ("tributary-client", "")).await;
    let wait = || tokio::spawn(world.get("/api/Notifications?wait=30").send());
    let taken = async {
        let mut waiting = wait();
        while Answer::of(world.get("/api/Cases")).await.status != 503 {
            // The query was first, so the other one was refused.
            if waiting.is_finished() {
                waiting = wait();
            }
        }
        // A task could be awaited, too, and is not meant to be.
        Some(waiting)
    };
    let waiting = tokio::time::timeout(PATIENCE, taken).await.unwrap().expect("the place is taken");
    problem(world.get("/api/Cases"), 503, "Overloaded", "a query").await;
    problem(world.command("DeleteCase", &json!({"caseId": CASE})), 503, "Overloaded", "a command").await;
    problem(world.delete("clients/none"), 503, "Overloaded", "a change of the registry").await;
    waiting.abort();
    let is_free = |answer: &Answer| answer.status == 200;
    world.service.wait_until("the place is free", || world.get("/api/Cases"), is_free).await;
}

#[tokio::test]
async fn a_configuration_that_is_wrong_ends_with_2_and_its_line() {
    let wrong = [
        ("[cases.origins.\"a b\"]\nclient_id = \"x\"\ndetails = []\n", 9, "InvalidName"),
        ("[cases.clients.Journal-1]\nclient_id = \"x\"\n", 6, "NameTaken"),
        ("[cases.clients.journal-2]\nclient_id = \"journal-1\"\n", 9, "NameTaken"),
        ("[cases.clients.journal-2]\nclient_id = \"a\\nb\"\n", 9, "InvalidName"),
        ("[cases.clients.journal-2]\nclient_id = \"x\"\nchannel = \"rabbitmq\"\n", 9, "NoExternalBroker"),
        ("[cases.clients.journal-2]\nclient_id = \"x\"\nsees = [\"esdh-b\"]\n", 9, "UnknownOrigin"),
        ("[cases.clients.journal-2]\nclient_id = \"x\"\nchanel = \"api\"\n", 11, "chanel"),
        ("[cases.clients.journal-2]\nclient_id = \"x\"\nchannel = \"fax\"\n", 11, "fax"),
        ("[cases.origins.esdh-b]\nclient_id = \"x\"\ndetails = [\"ftp://x.example\"]\n", 11, "a URI"),
    ];
    for (more, line, reason) in wrong {
        let (code, said) = Folder::new(&format!("{}{more}", CASES.trim_start())).refusal();
        assert_eq!(code, Some(2), "{more}: {said}");
        assert!(said.contains(&format!("dis.toml:{line}")) && said.contains(reason), "{more}: {said}");
    }
}

#[tokio::test]
async fn another_ordering_on_state_that_is_there_is_refused_before_it_is_ready() {
    let service = Service::start(Folder::new(CASES));
    let filled = |answer: &Answer| answer.body["grants"].as_array().is_some_and(|grants| !grants.is_empty());
    let grants = || service.request(Method::GET, "/api/admin/cases/grants");
    service.wait_until("the registry is filled", grants, filled).await;
    let folder = service.stop();
    folder.write("dis.toml", &CASES.replace("list_limit", "ordering = \"per_case\"\nlist_limit"));
    let (code, said) = folder.refusal();
    assert!(code == Some(2) && said.contains("the state has the ordering \"strict\""), "{said}");
    assert!(!said.contains("ready: "), "{said}");
}
