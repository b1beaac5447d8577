//! `tributary run` as a service: it takes in what comes, and ends cleanly when it is asked to.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::fs;
use std::time::Duration;

use world::service::{Service, wait_for};
use world::{DAY_2, POST_NUMBER, World, position};

#[test]
fn the_service_takes_in_what_comes_and_ends_cleanly_on_sigterm_and_sigint() {
    let world = World::of_service();
    let service = Service::start(&world, &[]);
    wait_for(&world, "DE_EOE_RTC_20261121_00000001.DAT");
    world.file("DE_EOE_RMC_20261121_00000002.DAT", &[&position(7_000_002, "", POST_NUMBER)]);
    wait_for(&world, "DE_EOE_RTC_20261121_00000002.DAT");
    let (code, stderr) = service.end("-TERM");
    assert_eq!(code, Some(0), "{stderr}");
    let again = Service::start(&world, &[]);
    std::thread::sleep(Duration::from_secs(2));
    let (code, stderr) = again.end("-INT");
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(world.outbox_names().iter().filter(|name| name.contains("_RTC_")).count(), 2);
}

#[test]
fn a_second_process_on_the_same_state_is_refused() {
    let world = World::of_service();
    let service = Service::start(&world, &[]);
    wait_for(&world, "DE_EOE_RTC_20261121_00000001.DAT");
    let answer = world.once(DAY_2, &[]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("in use") && answer.stderr.contains("--state"), "{}", answer.stderr);
    let (code, stderr) = service.end("-TERM");
    assert_eq!(code, Some(0), "{stderr}");
}

#[test]
fn a_file_that_cannot_be_written_is_written_once_it_can_be() {
    let world = World::of_service();
    let outbox = world.path("outbox");
    // A file in place of the folder: no user can write there, not even root.
    fs::write(&outbox, "in the way").unwrap();
    let mut service = Service::start(&world, &[]);
    service.wait_until_said(&["trying again until it succeeds", "the outbox: cannot"]);
    fs::remove_file(&outbox).unwrap();
    wait_for(&world, "DE_EOE_RTC_20261121_00000001.DAT");
    let lines = world.outgoing("DE_EOE_RTC_20261121_00000001.DAT");
    assert!(lines.last().unwrap().starts_with("TRL"), "{lines:?}");
    assert_eq!(service.end("-TERM").0, Some(0));
    assert_eq!(world.outbox_names(), ["DE_EOE_RTC_20261121_00000001.DAT"]);
}

#[test]
fn what_a_killed_process_left_of_a_file_is_removed() {
    let world = World::of_service();
    let left = [
        "outbox/.DE_EOE_RTC_20261121_00000001.DAT.0123456789abcdef.part",
        "state/esr/.snapshot-lines.0123456789abcdef.part",
        "state/snapshots/.esr.post-1.snapshot.0123456789abcdef.part",
    ];
    for path in left.map(|left| world.path(left)) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "HDR").unwrap();
    }
    let service = Service::start(&world, &[]);
    wait_for(&world, "DE_EOE_RTC_20261121_00000001.DAT");
    assert_eq!(service.end("-TERM").0, Some(0));
    assert_eq!(world.outbox_names(), ["DE_EOE_RTC_20261121_00000001.DAT"]);
    assert!(left.iter().all(|left| !world.path(left).exists()));
}

#[test]
fn a_killed_service_goes_on_where_it_was() {
    let world = World::of_service();
    let service = Service::start(&world, &[]);
    wait_for(&world, "DE_EOE_RTC_20261121_00000001.DAT");
    service.end("-KILL");
    let document = world.once("2030-01-01T12:00:00Z", &["--confirm-now"]).document();
    assert_eq!(document["offices"]["EOE"]["positions"], 1);
    assert_eq!(document["inbound"].as_array().unwrap().len(), 0);
}
