//! The limits of a request: body, time, places.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tributary::http::{AuthSettings, HttpSettings};

use crate::world::{ENDLESS, PATIENCE, World, problem, settings};

fn world(change: impl FnOnce(&mut HttpSettings)) -> World {
    let mut settings = settings();
    change(&mut settings);
    World::open(&settings, &AuthSettings::default())
}

/// All bytes that the server sends until it closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // If the server closes a connection with unread data, the client sees a reset.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("closed by the server");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_body_above_the_limit_is_413_whether_announced_or_not() {
    let world = world(|settings| settings.max_body = ByteSize::b(100));
    assert_eq!(world.post("/toy/echo").body("x".repeat(100)).send().await.unwrap().status(), 200);
    problem(world.post("/toy/echo").body("x".repeat(101)), 413, "body_too_large").await;
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    let head = "POST /toy/echo HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(format!("{head}65\r\n{}\r\n0\r\n\r\n", "x".repeat(101)).as_bytes()).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("body_too_large"), "{answer}");
}

#[tokio::test]
async fn a_flow_writes_problems_of_the_server_in_its_own_protocol() {
    let world = World::plain();
    let answer = world.post("/soap").body("x".repeat(11)).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["content-type"]), (413, &"text/xml".parse().unwrap()));
    assert_eq!(answer.headers()["x-correlation-id"].len(), 32);
    assert_eq!(answer.text().await.unwrap(), "<fault code=\"body_too_large\"/>");
}

#[tokio::test]
async fn a_request_ends_at_its_deadline() {
    let world = world(|settings| settings.deadline = Duration::from_millis(200));
    problem(world.get("/toy/slow"), 504, "deadline_exceeded").await;
}

#[tokio::test]
async fn a_body_that_never_comes_to_its_end_is_cut_at_the_deadline() {
    let world = world(|settings| settings.deadline = Duration::from_millis(200));
    let mut stream = TcpStream::connect(world.address()).await.unwrap();
    let head = "POST /toy/echo HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 10\r\n\r\nabc";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 504"));
}

#[tokio::test]
async fn a_client_that_sends_no_head_or_half_of_one_is_let_go() {
    let world = world(|settings| settings.idle = Duration::from_millis(300));
    for sent in ["", "GET /livez HT", "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n"] {
        let mut stream = TcpStream::connect(world.address()).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let started = Instant::now();
        rest(&mut stream).await;
        assert!(started.elapsed() < PATIENCE, "{sent}");
    }
}

#[tokio::test]
async fn a_full_server_answers_503_at_once_and_still_answers_probes() {
    let world = world(|settings| settings.max_requests = 1);
    let slow = tokio::spawn(world.get("/toy/slow").send());
    let busy = async {
        while world.status("/toy/who").await != 503 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, busy).await.unwrap();
    problem(world.get("/toy/who"), 503, "overloaded").await;
    let soap = world.post("/soap").send().await.unwrap();
    assert_eq!((soap.status().as_u16(), soap.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    assert_eq!(soap.text().await.unwrap(), "<fault code=\"overloaded\"/>");
    assert_eq!(world.status("/livez").await, 200);
    // A client that goes away frees its place.
    slow.abort();
    let free = async {
        while world.status("/toy/who").await != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, free).await.unwrap();
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let world = world(|settings| {
        settings.max_connections = 1;
        settings.idle = Duration::from_millis(500);
    });
    let silent = TcpStream::connect(world.address()).await.unwrap();
    // The server answers once it has closed the silent connection.
    assert_eq!(world.status("/livez").await, 200);
    drop(silent);
}

#[tokio::test]
async fn looks_that_hang_do_not_take_all_threads() {
    let world = world(|settings| settings.deadline = Duration::from_millis(300));
    world.status.lag_hangs.store(true, Ordering::Relaxed);
    for _ in 0..4 {
        problem(world.get("/api/admin/lag"), 504, "deadline_exceeded").await;
    }
    problem(world.get("/api/admin/lag"), 503, "busy").await;
    world.status.lag_hangs.store(false, Ordering::Relaxed);
    let again = async {
        while world.status("/api/admin/lag").await != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn a_body_without_an_end_outlives_the_deadline_and_takes_no_place() {
    let world = world(|settings| {
        settings.deadline = Duration::from_millis(100);
        settings.max_requests = 1;
    });
    let mut answer = world.get("/toy/endless").send().await.unwrap();
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(500) {
        assert!(answer.chunk().await.unwrap().is_some());
        assert_eq!(world.status("/toy/who").await, 200);
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_let_go_and_others_feel_nothing() {
    let world = world(|settings| settings.idle = Duration::from_secs(1));
    let mut silent = TcpStream::connect(world.address()).await.unwrap();
    silent.write_all(b"GET /toy/flood HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let becomes = async |expected: &str| {
        let line = format!("tributary_http_connections {expected}\n");
        while !world.get("/metrics").send().await.unwrap().text().await.unwrap().contains(&line) {
            assert_eq!(world.status("/toy/who").await, 200);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // That of the client of this test counts too.
    tokio::time::timeout(PATIENCE, becomes("2")).await.expect("it is open");
    tokio::time::timeout(PATIENCE, becomes("1")).await.expect("it is closed, though it was never read");
    let dropped = async {
        while ENDLESS.load(Ordering::SeqCst) > 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, dropped).await.expect("its body is dropped");
}
