//! Several processes of one namespace on Kafka.

use std::time::Duration;

use crate::group::{Member, PATIENCE, Services, join_namespace, names_of, wait_for};
use crate::world::{POST_NUMBER, World, placement, position};
use jiff::civil::{Date, DateTime};
use jiff::{Timestamp, ToSpan};
use tributary_harness::wait_until;

fn london() -> DateTime {
    Timestamp::now().in_tz("Europe/London").unwrap().datetime()
}

/// A minute that begins in 60 to 120 seconds, and not on another day.
fn soon() -> DateTime {
    while (london() + 3.minutes()).date() != london().date() {
        std::thread::sleep(Duration::from_secs(10));
    }
    let soon = london() + 2.minutes();
    soon.date().at(soon.hour(), soon.minute(), 0, 0)
}

/// The small world, with the placement in the window of the real day.
fn world_of(today: Date) -> World {
    let world = World::small();
    let (from, to) = (today + 30.days(), today + 200.days());
    world.jsonl("placements", &[placement(101, 11, &from.to_string(), &to.to_string())]);
    world
}

#[test]
fn two_processes_share_the_work_and_one_takes_over_from_the_other_also_at_the_time_of_export() {
    let Some(services) = Services::found() else { return };
    let run_time = soon();
    let mut world = world_of(run_time.date());
    let time = run_time.strftime("%H:%M");
    let schedule = format!("[esr.schedule]\napplicants = \"{time}\"\nnotifications = \"{time}\"");
    join_namespace(&mut world, &services, &schedule);
    let mut members = vec![Member::start(&world, "a", "a")];
    members[0].wait_to_log("this process reads the inbox");
    wait_for(&world, "DE_EOE_RTC_20261121_00000001.DAT");
    // It comes to a group at rest, and reads what the first has before it joins it.
    std::thread::sleep(Duration::from_secs(1));
    members.push(Member::start(&world, "b", "b"));
    members[1].wait_to_log("read the state of partitions that others have");

    let reader =
        members.iter().position(|member| !member.has_logged("another process reads") && member.reads_folders());
    members.remove(reader.unwrap()).end("KILL");
    world.file("DE_EOE_RMC_20261121_00000002.DAT", &[&position(7_000_002, "", POST_NUMBER)]);
    wait_for(&world, "DE_EOE_RTC_20261121_00000002.DAT");
    assert!(members[0].reads_folders());
    assert!(london() < run_time, "the machine is too slow for this test: the run was due before the files were there");
    assert!(names_of(&world, "APP").is_empty() && names_of(&world, "DNC").is_empty());

    wait_until("both files are exported at their time", PATIENCE, || {
        names_of(&world, "APP").len() + names_of(&world, "DNC").len() == 2
    });
    assert!(london() >= run_time);
    std::thread::sleep(Duration::from_secs(5));
    let day = run_time.strftime("%Y%m%d");
    let expected = ["APP", "DNC"].map(|kind| format!("DE_EOE_{kind}_{day}_00000001.DAT"));
    assert_eq!([names_of(&world, "APP"), names_of(&world, "DNC")], expected.clone().map(|name| vec![name]));
    let rows = world.outgoing(&expected[0]);
    let applicants = rows.iter().filter(|row| row.starts_with("APP")).count();
    assert!(applicants > 0 && rows.iter().any(|row| row.contains("7000001")), "{rows:?}");
    assert_eq!(names_of(&world, "RTC").len(), 2);
    assert_eq!(members[0].end("TERM"), Some(0), "{}", members[0].logged());
}

#[test]
fn a_second_process_with_the_same_instance_name_says_so_and_ends_and_the_first_goes_on() {
    let Some(services) = Services::found() else { return };
    let mut world = world_of(london().date());
    join_namespace(&mut world, &services, "");
    let mut first = Member::start(&world, "first", "same");
    wait_for(&world, "DE_EOE_RTC_20261121_00000001.DAT");
    // A process that has been there for a while outlasts the newcomer.
    std::thread::sleep(Duration::from_secs(1));
    let mut second = Member::start(&world, "second", "same");
    wait_until("one of the two ends", PATIENCE, || !second.is_running() || !first.is_running());
    let (mut ended, mut other) = if first.is_running() { (second, first) } else { (first, second) };
    assert_ne!(ended.exit_code(), Some(0));
    assert!(ended.has_logged("--instance same"), "{}", ended.logged());
    world.file("DE_EOE_RMC_20261121_00000002.DAT", &[&position(7_000_002, "", POST_NUMBER)]);
    wait_for(&world, "DE_EOE_RTC_20261121_00000002.DAT");
    assert_eq!(other.end("TERM"), Some(0));
    assert_eq!(names_of(&world, "RTC").len(), 2);
}
