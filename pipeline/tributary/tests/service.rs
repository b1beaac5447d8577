//! `tributary run` as a service: it takes in what comes, and ends cleanly when it is asked to.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use world::{DAY_2, POST_NUMBER, World, position};

const PATIENCE: Duration = Duration::from_mins(1);

fn service_world() -> World {
    let mut world = World::small();
    fs::write(world.path("my.toml"), "[inbound]\nsettle_seconds = 0\n").unwrap();
    world.flags.extend(["--config".into(), world.path("my.toml").display().to_string()]);
    world
}

fn wait_for(world: &World, file: &str) {
    let begun = Instant::now();
    while !world.path("outbox").join(file).exists() {
        assert!(begun.elapsed() < PATIENCE, "{file} does not appear; there are {:?}", world.outbox_names());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What a service writes to its standard error from now on.
fn said_by(service: &mut Child) -> Receiver<String> {
    let (sender, lines) = channel();
    let stderr = BufReader::new(service.stderr.take().unwrap());
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            // The service can go on writing after the test has heard what it waited for.
            let _ = sender.send(line);
        }
    });
    lines
}

fn wait_until_said(lines: &Receiver<String>, parts: &[&str]) {
    let mut before = Vec::new();
    loop {
        let Ok(line) = lines.recv_timeout(PATIENCE) else { panic!("{parts:?} is not said, but {before:?}") };
        if parts.iter().all(|part| line.contains(part)) {
            return;
        }
        before.push(line);
    }
}

/// Sends a signal and waits for the end.
fn end(mut service: Child, signal: &str) -> (Option<i32>, String) {
    assert!(Command::new("kill").args([signal, &service.id().to_string()]).status().unwrap().success());
    let begun = Instant::now();
    while service.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < PATIENCE, "the service does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = service.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_service_takes_in_what_comes_and_ends_cleanly_on_sigterm_and_sigint() {
    let world = service_world();
    let service = world.service();
    wait_for(&world, "DE_EOE_RTC_20261121_00000001.DAT");
    world.file("DE_EOE_RMC_20261121_00000002.DAT", &[&position(7_000_002, "", POST_NUMBER)]);
    wait_for(&world, "DE_EOE_RTC_20261121_00000002.DAT");
    let (code, stderr) = end(service, "-TERM");
    assert_eq!(code, Some(0), "{stderr}");
    let again = world.service();
    std::thread::sleep(Duration::from_secs(2));
    let (code, stderr) = end(again, "-INT");
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(world.outbox_names().iter().filter(|name| name.contains("_RTC_")).count(), 2);
}

#[test]
fn a_second_process_on_the_same_state_is_refused() {
    let world = service_world();
    let service = world.service();
    wait_for(&world, "DE_EOE_RTC_20261121_00000001.DAT");
    let answer = world.once(DAY_2, &[]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("in use") && answer.stderr.contains("--state"), "{}", answer.stderr);
    let (code, stderr) = end(service, "-TERM");
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn a_file_that_cannot_be_written_is_written_once_it_can_be() {
    let world = service_world();
    let outbox = world.path("outbox");
    // A file in place of the folder: nothing can be written there, whoever the user is.
    fs::write(&outbox, "in the way").unwrap();
    let mut service = world.service();
    let said = said_by(&mut service);
    wait_until_said(&said, &["trying again until it succeeds", "the outbox: cannot"]);
    fs::remove_file(&outbox).unwrap();
    wait_for(&world, "DE_EOE_RTC_20261121_00000001.DAT");
    let lines = world.outgoing("DE_EOE_RTC_20261121_00000001.DAT");
    assert!(lines.last().unwrap().starts_with("TRL"), "{lines:?}");
    assert_eq!(end(service, "-TERM").0, Some(0));
    assert_eq!(world.outbox_names(), ["DE_EOE_RTC_20261121_00000001.DAT"]);
}

#[test]
fn what_a_killed_process_left_of_a_file_is_removed() {
    let world = service_world();
    let left = [
        "outbox/.DE_EOE_RTC_20261121_00000001.DAT.0123456789abcdef.part",
        "state/.snapshot-lines.0123456789abcdef.part",
        "state/snapshots/.esr.post-1.snapshot.0123456789abcdef.part",
    ];
    for path in left.map(|left| world.path(left)) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "HDR").unwrap();
    }
    let service = world.service();
    wait_for(&world, "DE_EOE_RTC_20261121_00000001.DAT");
    assert_eq!(end(service, "-TERM").0, Some(0));
    assert_eq!(world.outbox_names(), ["DE_EOE_RTC_20261121_00000001.DAT"]);
    assert!(left.iter().all(|left| !world.path(left).exists()));
}

#[test]
fn a_killed_service_goes_on_where_it_was() {
    let world = service_world();
    let service = world.service();
    wait_for(&world, "DE_EOE_RTC_20261121_00000001.DAT");
    end(service, "-KILL");
    let document = world.once("2030-01-01T12:00:00Z", &[]).document();
    assert_eq!(document["offices"]["EOE"]["positions"], 1);
    assert_eq!(document["inbound"].as_array().unwrap().len(), 0);
}
