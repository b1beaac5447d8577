//! The register, or the way to it, fails (R 7): what is asked again, and what is not.

use std::time::Duration;

use serde_json::json;
use tributary_registry_sample::{Answer, Change};

use crate::world::{NUMBER, World};

/// The class and the code of the error of a number, after its job has failed, and how often the register was called.
async fn failed(world: &World, number: &str, answer: Answer) -> (String, String, usize) {
    world.register.set(number, answer);
    world.sync(number, None).await;
    let row = world.row_with(number, "failed").await;
    let error = world.job(&row).await["error"].take();
    let text = |name: &str| error[name].as_str().unwrap().to_owned();
    (text("class"), text("code"), world.register.calls_of(number))
}

#[tokio::test]
async fn each_row_of_the_table_has_its_class_its_code_and_its_calls() {
    let world = World::start_with("", "").await;
    let fault = |code: &str| Answer::Fault(500, code.to_owned(), None);
    let cases = [
        (Answer::CutOff(40), "transport", "closed", 5),
        (Answer::Status(503, None), "http", "503", 5),
        (Answer::Status(429, None), "http", "429", 5),
        (Answer::Status(404, None), "http", "404", 1),
        (Answer::Redirect("http://127.0.0.1:9/".to_owned()), "http", "302", 1),
        (fault("Server.ServerProxy.NetworkError"), "fault", "Server.ServerProxy.NetworkError", 5),
        (fault("server.serverproxy.access_denied"), "fault", "server.serverproxy.access_denied", 1),
        (fault("Server.ServerProxy.UnknownService"), "fault", "Server.ServerProxy.UnknownService", 1),
        (fault("Client.Other"), "fault", "Client.Other", 1),
        (Answer::Service("-2".to_owned()), "service", "-2", 5),
        (Answer::Service("7".to_owned()), "service", "7", 1),
        (Answer::Raw(b"not xml".to_vec()), "decode", "", 2),
        (Answer::Raw(Vec::new()), "decode", "", 2),
        (Answer::Endless(2 << 20), "decode", "", 2),
        (Answer::Changed(Change::NoId), "decode", "", 2),
        (Answer::Changed(Change::Number("19910824-00099".to_owned())), "decode", "", 2),
    ];
    for (index, (answer, class, code, calls)) in cases.into_iter().enumerate() {
        let number = format!("19920101-{index:05}");
        let shown = format!("{answer:?}");
        let (found_class, found_code, found_calls) = failed(&world, &number, answer).await;
        assert_eq!((found_class.as_str(), found_calls), (class, calls), "{shown}");
        assert!(code.is_empty() || found_code == code, "{shown}: {found_code}");
    }
    let metrics = world.metrics().await;
    for outcome in ["transport", "http", "fault", "service", "decode"] {
        let sample = format!("tributary_registry_calls_total{{kind=\"unzr\",outcome=\"{outcome}\"}}");
        assert!(metrics.contains(&sample), "{metrics}");
    }
}

/// A register that is down: jobs are pending as long as attempts and breaker allow, and go on when it is back.
#[tokio::test]
async fn a_register_that_comes_back_answers_what_has_waited() {
    let calls = "calls = { timeout = \"2s\", attempts = 50, wait_base = \"100ms\", wait_factor = \"1ms\", \
        breaker_pause = \"300ms\" }";
    let world = World::start_with(calls, "").await;
    world.register.down();
    let row = world.sync(NUMBER, Some(1)).await;
    assert_eq!(row["jobStatus"], "pending");
    let job = world.job(&row).await;
    assert_eq!((&job["error"]["class"], &job["error"]["code"]), (&json!("transport"), &json!("connect")));
    world.register.up().await.unwrap();
    world.row_with(NUMBER, "processed").await;
}

/// An answer of a run that is over changes nothing, and is counted.
#[tokio::test]
async fn late_answer_is_dropped() {
    let world = World::start().await;
    world.register.set(NUMBER, [Answer::Late(Duration::from_secs(1), Box::new(Answer::Found)), Answer::Empty]);
    let row = world.sync(NUMBER, None).await;
    let path = format!("jobs/{}", row["databaseId"].as_str().unwrap());
    // The call is under way before the run is cancelled.
    while world.register.calls_of(NUMBER) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (status, job) = world.admin(reqwest::Method::POST, &format!("{path}/cancel"), None).await;
    assert_eq!((status, &job["status"], &job["error"]["class"]), (200, &json!("failed"), &json!("cancelled")));
    let second = world.sync(NUMBER, Some(20)).await;
    assert_eq!(second["jobStatus"], "processed");
    let late = "tributary_registry_late_answers_total{kind=\"unzr\"} 1";
    for _ in 0..200 {
        if world.metrics().await.contains(late) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(world.metrics().await.contains(late));
    let row = world.row(NUMBER).await;
    assert_eq!((&row["jobStatus"], &row["info"]), (&json!("processed"), &serde_json::Value::Null));
}
