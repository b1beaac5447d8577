//! Every path of the process, and the form of errors.

use serde_json::{Value, json};
use tributary::http::AuthSettings;
use tributary_flow::http::Mount;

use crate::world::{World, problem, settings};

#[tokio::test]
async fn probes_say_why_not() {
    let world = World::plain();
    for path in ["/livez", "/readyz", "/startupz"] {
        assert_eq!(world.status(path).await, 200);
    }
    *world.status.reason.lock().unwrap() = Some("the registry is away".to_owned());
    for (path, code) in [("/livez", "not_live"), ("/readyz", "not_ready"), ("/startupz", "not_started")] {
        let problem = problem(world.get(path), 503, code).await;
        assert_eq!(problem["detail"], "the registry is away");
    }
}

#[tokio::test]
async fn paths_of_flows_answer_503_until_they_are_there() {
    let world = World::starting(&settings(), &AuthSettings::default());
    problem(world.get("/toy/who"), 503, "starting").await;
    assert_eq!(world.status("/livez").await, 200);
    world.site.mount(Vec::new()).unwrap();
    problem(world.get("/toy/who"), 404, "not_found").await;
}

#[tokio::test]
async fn metrics_begin_with_tributary() {
    let world = World::plain();
    world.status("/livez").await;
    world.status("/toy/items/4711?secret=1").await;
    let answer = world.get("/metrics").send().await.unwrap();
    assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let text = answer.text().await.unwrap();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("tributary_"), "{line}");
    }
    assert!(text.contains(r#"route="/toy/items/{id}",status="404"} 1"#), "{text}");
    assert!(!text.contains("4711") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn administration_shows_flows_and_lag_in_pieces() {
    let world = World::plain();
    let flows: Value = world.get("/api/admin/flows").send().await.unwrap().json().await.unwrap();
    assert_eq!(flows["items"][0], json!({"name": "esr", "state": "running", "stages": []}));
    let lag: Value = world.get("/api/admin/lag?limit=2").send().await.unwrap().json().await.unwrap();
    assert_eq!((&lag["items"][0]["flow"], &lag["items"][1]["flow"]), (&json!("esr"), &json!("other")));
    let next = lag["next"].as_str().unwrap();
    let rest: Value = world.get(&format!("/api/admin/lag?cursor={next}")).send().await.unwrap().json().await.unwrap();
    let last = json!({"flow": "toy", "records": 7});
    assert_eq!(rest, json!({"items": [last]}));
    problem(world.get("/api/admin/lag?limit=0"), 400, "bad_request").await;
}

#[tokio::test]
async fn the_description_covers_process_and_flows_and_can_be_read_in_a_browser() {
    let world = World::plain();
    let document: Value = world.get("/openapi.json").send().await.unwrap().json().await.unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    for path in ["/livez", "/readyz", "/startupz", "/metrics", "/api/admin/flows", "/api/admin/lag", "/toy/names"] {
        assert!(document["paths"][path]["get"].is_object(), "{path}: {document}");
    }
    assert!(document["components"]["schemas"]["Problem"].is_object());
    for path in ["/swagger", "/swagger/", "/swagger/index.html"] {
        let page = world.get(path).send().await.unwrap();
        assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
        let page = page.text().await.unwrap();
        assert!(page.contains("swagger-ui") && page.contains("<base href=\"/swagger/\">"), "{page}");
        assert!(!page.contains("http://") && !page.contains("https://"), "{page}");
    }
    let start = world.get("/swagger/swagger-initializer.js").send().await.unwrap().text().await.unwrap();
    assert!(start.contains("/openapi.json"), "{start}");
    assert_eq!(world.status("/swagger/swagger-ui-bundle.js").await, 200);
    assert_eq!(world.status("/swagger/swagger-ui.css").await, 200);
    problem(world.get("/swagger/absent.js"), 404, "not_found").await;
}

#[tokio::test]
async fn errors_without_a_form_become_problems() {
    let world = World::plain();
    let missing = problem(world.get("/absent/anna@example.org?token=x"), 404, "not_found").await;
    assert!(!missing.to_string().contains("anna"), "{missing}");
    problem(world.get("/toy/items/7"), 404, "not_found").await;
    let answer = world.get("/toy/act").send().await.unwrap();
    assert_eq!(answer.headers()["allow"], "POST");
    problem(world.get("/toy/act"), 405, "method_not_allowed").await;
    problem(world.get("/toy/panic"), 500, "panic").await;
    problem(world.post("/toy/notes").body("{}"), 415, "unsupported_media_type").await;
    let wrong = problem(world.post("/toy/notes").json(&json!({"text": 7})), 400, "bad_request").await;
    assert_eq!(wrong["errors"][0]["field"], "text");
    let missing = problem(world.post("/toy/notes").json(&json!({})), 400, "bad_request").await;
    assert!(missing["errors"][0]["reason"].as_str().unwrap().contains("text"), "{missing}");
    let page = problem(world.get("/toy/names?limit=x"), 400, "bad_request").await;
    assert_eq!(page["errors"][0]["field"], "limit");
}

#[tokio::test]
async fn a_view_says_how_old_it_is() {
    let world = World::plain();
    let answer = world.get("/toy/names?limit=2").send().await.unwrap();
    assert_eq!(answer.headers()["x-as-of"], "1970-01-01T00:00:00.000Z");
    let list: Value = answer.json().await.unwrap();
    assert_eq!(list, json!({"items": ["a", "b"], "next": "2"}));
}

#[tokio::test]
async fn a_request_keeps_its_trace() {
    let world = World::plain();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let answer = world.get("/toy/trace").header("traceparent", &parent).send().await.unwrap();
    assert_eq!(answer.headers()["x-correlation-id"], trace);
    let caused = answer.text().await.unwrap();
    assert!(caused.contains(trace) && caused != parent, "{caused}");
    let other = world.get("/toy/trace").header("traceparent", "nonsense").send().await.unwrap();
    assert_eq!(other.headers()["x-correlation-id"].len(), 32);
}

#[tokio::test]
async fn two_flows_with_one_path_are_refused() {
    let world = World::plain();
    let mount = || Mount::new(axum::Router::new().route("/same", axum::routing::get(async || "x")));
    let error = world.site.mount(vec![mount(), mount()]).unwrap_err().to_string();
    assert!(error.contains("/same"), "{error}");
    // The mounted paths stay.
    assert_eq!(world.status("/toy/who").await, 200);
}
