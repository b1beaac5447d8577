//! The HTTP port of the service: its answers, and that the service ends in time whatever its clients do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../tests/esr/e2e/world/mod.rs"]
mod world;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;
use world::World;
use world::service::{PATIENCE, Service, wait_for};

/// How long the process may take to end (docs/guarantees.md).
const END: Duration = Duration::from_secs(15);

/// A service with its HTTP port on a free port, and its address.
fn listening(world: &World, more: &[&str]) -> (Service, String) {
    let mut service = Service::start(world, &[&["--http", "127.0.0.1:0"], more].concat());
    let line = service.wait_until_said(&["listening: http://127.0.0.1:"]);
    let address = line.strip_prefix("listening: http://").unwrap().to_owned();
    (service, address)
}

fn ready(world: &World) -> (Service, String) {
    let (mut service, address) = listening(world, &[]);
    assert_eq!(service.wait_until_said(&["ready: "]), format!("ready: http://{address}"));
    (service, address)
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends these bytes and reads until the service closes the connection.
fn exchange(address: &str, request: &[u8]) -> String {
    let mut stream = connect(address);
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    // A reset connection may or may not have an answer before it.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status and the body of an answer to `GET`.
fn get(address: &str, path: &str) -> (u16, String) {
    // With HTTP/1.0, the body has no chunks and the connection closes after it.
    let answer = exchange(address, format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{path}: {answer:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn document(address: &str, path: &str) -> Value {
    let (status, body) = get(address, path);
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
}

#[test]
fn a_service_that_is_ready_answers_probes_and_shows_its_counters_and_paths() {
    let world = World::of_service();
    let (service, address) = ready(&world);
    for probe in ["/livez", "/readyz", "/startupz"] {
        assert_eq!(get(&address, probe), (200, "ok\n".to_owned()), "{probe}");
    }
    wait_for(&world, "DE_EOE_RTC_20261121_00000001.DAT");
    let flows = document(&address, "/api/admin/flows");
    assert_eq!((&flows["items"][0]["name"], &flows["items"][0]["state"]), (&"esr".into(), &"running".into()));
    let stages = flows["items"][0]["stages"].as_array().unwrap();
    let inbound = stages.iter().find(|stage| stage["name"] == "inbound").unwrap();
    assert!(inbound["records_in"].as_u64().unwrap() > 0, "{inbound}");
    let lag = document(&address, "/api/admin/lag");
    assert_eq!(lag["items"][0]["flow"], "esr");
    assert!(lag["items"][0]["records"].is_u64(), "{lag}");
    let (status, metrics) = get(&address, "/metrics");
    assert_eq!(status, 200);
    assert!(metrics.contains("flow=\"esr\"") && metrics.contains("stage=\"inbound\""), "{metrics}");
    let paths = document(&address, "/openapi.json");
    for path in ["/livez", "/metrics", "/api/admin/flows", "/api/admin/lag"] {
        assert!(paths["paths"][path].is_object(), "{path}: {paths}");
    }
    let (status, page) = get(&address, "/swagger/");
    assert!(status == 200 && page.contains("<html"), "{status} {page}");
    let (code, said) = service.end("-TERM");
    assert_eq!(code, Some(0), "{said}");
    assert_eq!((said.matches("listening: ").count(), said.matches("ready: ").count()), (1, 1), "{said}");
}

#[test]
fn a_service_that_waits_for_kafka_lives_and_says_what_it_waits_for() {
    let world = World::of_service();
    let kafka = ["--log", "kafka", "--kafka", "127.0.0.1:1", "--registry", "http://127.0.0.1:1"];
    let (mut service, address) = listening(&world, &kafka);
    service.wait_until_said(&["waiting for Kafka"]);
    assert_eq!(get(&address, "/livez").0, 200);
    for (probe, code) in [("/readyz", "not_ready"), ("/startupz", "not_started")] {
        let (status, body) = get(&address, probe);
        assert!(
            status == 503 && body.contains(code) && body.contains("log is not available"),
            "{probe}: {status} {body}"
        );
    }
    assert_eq!(document(&address, "/api/admin/flows")["items"].as_array().unwrap().len(), 0);
    let asked = Instant::now();
    assert_eq!(service.end("-TERM").0, Some(0));
    assert!(asked.elapsed() < END, "{:?}", asked.elapsed());
}

#[test]
fn the_service_ends_in_time_while_clients_hold_connections_open() {
    let world = World::of_service();
    let (service, address) = ready(&world);
    let (_silent, mut idle) = (connect(&address), connect(&address));
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(idle.read(&mut [0; 1024]).unwrap() > 0);
    let (mut half_a_head, mut half_a_body) = (connect(&address), connect(&address));
    half_a_head.write_all(b"GET /livez HTTP/1.1\r\nHost:").unwrap();
    half_a_body.write_all(b"POST /api/admin/flows HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let asked = Instant::now();
    let (code, said) = service.end("-TERM");
    assert_eq!(code, Some(0), "{said}");
    assert!(asked.elapsed() < END, "{:?}: {said}", asked.elapsed());
    assert!(said.contains("ending: committing"), "{said}");
}

#[test]
fn the_second_sigterm_ends_the_process_at_once() {
    let world = World::of_service();
    let (mut service, address) = ready(&world);
    // An incomplete request keeps the port open until the server drops it.
    let mut half_a_head = connect(&address);
    half_a_head.write_all(b"GET /livez HTTP/1.1\r\nHost:").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    service.signal("-TERM");
    service.wait_until_said(&["ending: committing"]);
    let asked = Instant::now();
    assert_eq!(service.end("-TERM").0, Some(1));
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
}

#[test]
fn a_port_that_cannot_be_had_is_refused_and_nothing_is_changed() {
    let world = World::of_service();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let in_use = format!("cannot listen on {address}: ");
    for (http, parts) in [
        (address.as_str(), &[in_use.as_str(), "in use", "--http"][..]),
        ("0.0.0.0:0", &["auth.mode", "loopback", "0.0.0.0:0"]),
        ("nowhere", &["cannot listen on nowhere", "--http"]),
        ("127.0.0.1:99999", &["cannot listen on 127.0.0.1:99999", "--http"]),
    ] {
        let answer = world::answer(&mut world.command(&["--http", http]));
        assert_eq!((answer.code, answer.stdout.as_str()), (2, ""), "{http}: {answer:?}");
        assert!(parts.iter().all(|part| answer.stderr.contains(part)), "{http}: {}", answer.stderr);
    }
    assert!(!world.path("state").exists() && !world.path("outbox").exists());
}

#[test]
fn requests_that_are_no_http_do_no_harm() {
    let world = World::of_service();
    let (service, address) = ready(&world);
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1 << 20));
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"\r\n\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /livez HTTP/9.9\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        long.as_bytes(),
    ] {
        let mut stream = connect(&address);
        // The service may close the connection before this write ends.
        let _ = stream.write_all(garbage);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let is_refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4");
        assert!(is_refused, "{answer}");
        assert_eq!(get(&address, "/livez").0, 200);
    }
    for (path, status) in [("/nothing", 404), ("/api/admin/flows?limit=-1", 400), ("/api/admin/flows?cursor=%00", 400)]
    {
        let (found, body) = get(&address, path);
        assert_eq!(found, status, "{path}: {body}");
        assert!(body.contains("\"code\""), "{path}: {body}");
    }
    assert_eq!(service.end("-TERM").0, Some(0));
}

#[test]
fn a_second_service_on_the_same_state_ends_although_its_port_is_open() {
    let world = World::of_service();
    let (service, _) = ready(&world);
    let (second, _) = listening(&world, &[]);
    let (code, said) = second.wait();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("in use") && said.contains("--state"), "{said}");
    assert_eq!(service.end("-TERM").0, Some(0));
}
