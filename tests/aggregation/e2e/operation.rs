//! What operators and runbooks ask, and the command line.

use reqwest::Method;
use serde_json::{Value, json};

use crate::messages::Engaged;
use crate::systems::Systems;
use crate::world::{Platform, configuration, folder};

const PATIENT: &str = "191212121212";

const TAK: &str = "{\"routes\": [{\"contract\": \"c\", \"receiver\": \"*\"}], \"permissions\": [
    {\"contract\": \"c\", \"receiver\": \"*\", \"sender\": \"s\"}, {\"contract\": \"c\", \"receiver\": \"a\", \"sender\": \"s\"}]}";

#[tokio::test]
async fn the_api_shows_services_and_what_became_of_a_question() {
    let systems = Systems::start().await;
    let platform = Platform::start(&configuration(&systems.url, ""));
    let services = platform.get("/api/aggregation/services").await;
    assert_eq!(services.as_array().map(Vec::len), Some(5));
    assert_eq!(services[4]["path"], "/GetAggregatedSubjectOfCareSchedule/service/v1");
    platform.update(&[Engaged::laboratory(PATIENT, "SE-UNIT", "1")]).await;
    platform.ask(PATIENT).await;
    platform
        .wait_until("the audit has the question", async || {
            !platform.get("/api/aggregation/calls?correlation=test-corr-id").await[0].is_null()
        })
        .await;
    let platform = platform.restart();
    let calls = platform.get("/api/aggregation/calls?correlation=test-corr-id").await;
    let call = &calls[0];
    assert_eq!((call["outcome"].as_str(), call["sender"].as_str()), (Some("answered"), Some("sample-sender-id")));
    assert_eq!(call["service"], "GetAggregatedLaboratoryOrderOutcome.v4");
    assert_eq!(call["addresses"][0]["status"], "DataFromSource");
    assert_eq!(call["patient"].as_str().map(str::len), Some(64), "{call}");
    assert_eq!(platform.get("/api/aggregation/calls?correlation=unknown").await, json!([]));
    let (status, _) = platform.json(platform.request(Method::GET, "/api/aggregation/calls")).await;
    assert_eq!(status, 400);
    let document = platform.get("/openapi.json").await;
    assert!(document["paths"]["/api/aggregation/calls"].is_object(), "{}", document["paths"]);
    let metrics = platform.send(platform.request(Method::GET, "/metrics")).await.body;
    for name in ["tributary_aggregation_engagements 1", "tributary_aggregation_cache_entries 0"] {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
}

#[tokio::test]
async fn tak_is_read_again_on_request_and_a_wrong_file_changes_nothing() {
    let folder = folder(&configuration("http://127.0.0.1:1/vp", "[aggregation.tak]\nfile = \"tak.json\"\n"));
    let path = folder.path().join("tak.json");
    std::fs::write(&path, "{}").unwrap();
    let platform = Platform::start_in(folder);
    let counts = |tak: &Value| (tak["routes"].as_u64(), tak["permissions"].as_u64());
    assert_eq!(counts(&platform.get("/api/aggregation/tak").await), (Some(0), Some(0)));
    std::fs::write(&path, TAK).unwrap();
    let answered = platform.send(platform.request(Method::GET, "/resetcache")).await;
    assert_eq!(answered.status, 200);
    assert!(answered.body.contains("Init done, was successful: true"), "{}", answered.body);
    assert_eq!(counts(&platform.get("/api/aggregation/tak").await), (Some(1), Some(2)));
    let status = platform.get("/status").await;
    assert_eq!(status["TakCacheInitialized"], true);
    let info = status["TakCacheResetInfo"].as_str().unwrap();
    assert!(info.starts_with("Date:") && info.ends_with("vagval:1 behorigheter:2"), "{info}");
    std::fs::write(&path, "{\"routes\": 5}").unwrap();
    let (code, problem) = platform.post("/api/aggregation/tak/reload", &json!({})).await;
    assert_eq!(code, 502);
    assert!(problem["detail"].as_str().unwrap().contains("tak.json"), "{problem}");
    let answered = platform.send(platform.request(Method::GET, "/resetcache")).await;
    assert!(answered.body.contains("Init done, was successful: false"), "{}", answered.body);
    assert_eq!(counts(&platform.get("/api/aggregation/tak").await), (Some(1), Some(2)));
    assert_eq!(platform.get("/skltp-ei/subscriber/status").await, json!([]));
    let reset = platform.send(platform.request(Method::GET, "/skltp-ei/resetcache")).await;
    assert_eq!(reset.status, 502);
    std::fs::write(&path, TAK).unwrap();
    let reset = platform.send(platform.request(Method::GET, "/skltp-ei/resetcache")).await;
    assert_eq!((reset.status, reset.body.as_str()), (200, "Subscriber cache reset"));
}

#[tokio::test]
async fn roles_decide_who_asks_and_who_changes() {
    let hash = |token: &str| {
        use sha2::Digest;
        sha2::Sha256::digest(token).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    };
    let auth = "[auth]\nmode = \"tokens\"\ntokens_file = \"tokens.txt\"\n";
    let folder = folder(&configuration("http://127.0.0.1:1/vp", auth));
    let tokens = [("vp", "consumer"), ("ei", "source"), ("anna", "operator"), ("eva", "viewer")]
        .map(|(name, role)| format!("{name} {role} {}\n", hash(name)));
    std::fs::write(folder.path().join("tokens.txt"), tokens.concat()).unwrap();
    let platform = Platform::start_in(folder);
    let question = || platform.soap(crate::messages::LABORATORY_PATH, crate::messages::laboratory_question(PATIENT));
    let update = || platform.soap("/skltp-ei/update-service/v1", "<x/>");
    let get = |path: &str| platform.request(Method::GET, path);
    let lock = || platform.request(Method::POST, "/api/aggregation/index/lock");
    for (request, token, status) in [
        (question(), "", 401),
        (question(), "ei", 403),
        (question(), "vp", 200),
        (update(), "vp", 403),
        (update(), "ei", 500),
        (get("/api/aggregation/services"), "vp", 403),
        (get("/api/aggregation/services"), "eva", 200),
        (lock(), "eva", 403),
        (lock(), "anna", 200),
        (get("/skltp-ei/writelock/disable"), "eva", 403),
        (get("/skltp-ei/writelock/disable"), "anna", 200),
        (get("/resetcache"), "eva", 403),
        (get("/status"), "eva", 200),
    ] {
        let request = if token.is_empty() { request } else { request.bearer_auth(token) };
        let answered = platform.send(request).await;
        assert_eq!(answered.status, status, "{token}: {}", answered.body);
        if matches!(status, 401 | 403) {
            assert_eq!(answered.header("content-type"), "application/problem+json");
        }
    }
}

/// No patient and no contents in logs, metrics, problems and the audit.
#[tokio::test]
async fn no_patient_in_logs_metrics_or_errors() {
    let systems = Systems::start().await;
    systems.set("SE-FAULT", crate::systems::Answer::Fault(500, format!("Invalid Id: {PATIENT}")));
    let mut platform = Platform::start(&configuration(&systems.url, ""));
    platform.update(&[Engaged::laboratory(PATIENT, "SE-FAULT", "1"), Engaged::laboratory(PATIENT, "SE-OK", "2")]).await;
    platform.ask(PATIENT).await;
    let refused = crate::messages::update(
        "SE-EI",
        &[Engaged { category: String::new(), ..Engaged::laboratory(PATIENT, "x", "3") }],
    );
    platform.send(platform.soap("/skltp-ei/update-service/v1", refused)).await;
    let (_, problem) = platform.post("/api/aggregation/index/find", &json!({"patient": PATIENT, "domian": "x"})).await;
    let metrics = platform.send(platform.request(Method::GET, "/metrics")).await.body;
    platform
        .wait_until("the audit has the question", async || {
            !platform.get("/api/aggregation/calls?correlation=test-corr-id").await[0].is_null()
        })
        .await;
    let calls = platform.get("/api/aggregation/calls?correlation=test-corr-id").await;
    let said = platform.process.said();
    for (what, text) in
        [("log", said.clone()), ("metrics", metrics), ("problem", problem.to_string()), ("audit", calls.to_string())]
    {
        assert!(!text.contains(PATIENT), "{what}: {text}");
    }
    for event in ["req-in", "resp-out"] {
        assert!(said.contains(event), "{event}: {said}");
    }
}

fn out(output: &std::process::Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_ask_explain_and_move_the_index() {
    let systems = Systems::start().await;
    systems.set("SE-FAULT", crate::systems::Answer::Fault(500, "VP009 no contact".to_owned()));
    let platform = Platform::start(&configuration(&systems.url, ""));
    let engagements = ["SE-OK", "SE-FAULT", "5565594230"].map(|address| Engaged::laboratory(PATIENT, address, "1"));
    platform.update(&engagements).await;
    let service = "GetAggregatedLaboratoryOrderOutcome.v4";
    let (code, stdout, stderr) = out(&platform.command(&["ask", "--service", service, "--patient", PATIENT]));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("system=SE-OK") && stdout.contains("1 rows, 2 source systems"), "{stdout}");
    assert!(stdout.contains("VP009 no contact"), "{stdout}");
    let correlation = stdout.split("correlation id ").nth(1).unwrap().lines().next().unwrap().to_owned();
    platform
        .wait_until("the audit explains it", async || platform.command(&["why", &correlation]).status.success())
        .await;
    let (_, stdout, _) = out(&platform.command(&["why", &correlation]));
    for words in [
        "SE-OK: in the index, called, its rows",
        "SE-FAULT: in the index, called in vain",
        "code 500",
        "5565594230: in the index, not called: it is the own address",
    ] {
        assert!(stdout.contains(words), "{words}: {stdout}");
    }
    let (_, stdout, _) = out(&platform.command(&["why", &correlation, "SE-NOBODY"]));
    assert!(stdout.contains("SE-NOBODY: the index had no engagement"), "{stdout}");
    assert_eq!(platform.command(&["why", "unknown"]).status.code(), Some(2));
    assert_eq!(platform.command(&["ask", "--service", "GetNothing", "--patient", PATIENT]).status.code(), Some(2));
    let (code, stdout, _) = out(&platform.command(&["index", "find", "--patient", PATIENT, "--output", "json"]));
    let found: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, found.as_array().map(Vec::len)), (Some(0), Some(3)));
    for (arguments, words) in [
        (vec!["services", "list"], service),
        (vec!["cache", "clear"], "0 entries"),
        (vec!["tak", "show"], "not checked"),
        (vec!["index", "lock"], "is locked"),
        (vec!["index", "unlock"], "is open"),
    ] {
        let (code, stdout, stderr) = out(&platform.command(&arguments));
        assert!(code == Some(0) && stdout.contains(words), "{arguments:?}: {stdout} {stderr}");
    }
    let file = platform.folder.path().join("index.jsonl");
    let file = file.to_str().unwrap();
    assert_eq!(platform.command(&["index", "export", file]).status.code(), Some(0));
    let other = Platform::start(&configuration(&systems.url, ""));
    let (code, stdout, stderr) = out(&other.command(&["index", "import", file]));
    assert!(code == Some(0) && stdout.contains("3 engagements"), "{stdout} {stderr}");
    other
        .wait_until("the other index has them", async || other.get("/api/aggregation/index").await["engagements"] == 3)
        .await;
    std::fs::write(file, "{\"serviceDomain\": 5}\n").unwrap();
    let (code, _, stderr) = out(&other.command(&["index", "import", file]));
    assert!(code == Some(2) && stderr.contains("index.jsonl:1: "), "{stderr}");
    std::fs::write(file, "name = 5\n").unwrap();
    let (code, _, stderr) = out(&other.command(&["services", "check", file]));
    assert!(code == Some(2) && stderr.contains("index.jsonl:1: "), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_under_way_at_sigterm_is_answered_and_in_the_audit() {
    let systems = Systems::start().await;
    systems.set("SE-SLOW", crate::systems::Answer::Late(1_000, 1));
    let platform = Platform::start(&configuration(&systems.url, ""));
    platform.update(&[Engaged::laboratory(PATIENT, "SE-SLOW", "1")]).await;
    let question = crate::messages::laboratory_question(PATIENT);
    let asked = tokio::spawn(platform.soap(crate::messages::LABORATORY_PATH, question).send());
    platform.wait_until("it is called", async || !systems.called().is_empty()).await;
    let began = std::time::Instant::now();
    let platform = platform.restart();
    assert!(began.elapsed().as_secs() < 15, "{:?}", began.elapsed());
    let body = asked.await.unwrap().unwrap().text().await.unwrap();
    assert_eq!(crate::messages::texts(&body, "system"), ["SE-SLOW"]);
    let calls = platform.get("/api/aggregation/calls?correlation=test-corr-id").await;
    assert_eq!(calls[0]["outcome"], "answered", "{calls}");
}
