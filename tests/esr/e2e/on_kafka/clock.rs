//! Clocks that are wrong at the start of a process on Kafka (D103).

use std::time::Duration;

use jiff::Timestamp;
use tributary_connectors::kafka::{KafkaConfiguration, KafkaProducer};
use tributary_esr::topics;
use tributary_harness::{FakeTime, set_clock};
use tributary_runtime::{Output, Producer as _};

use crate::group::{Member, Services, join_namespace, names_of, wait_for};
use crate::world::{POST_NUMBER, World, position};

const DAY: i64 = 24 * 60 * 60;
/// What a process says whose clock is far from the last time in the log.
const IN_DOUBT: &str = "but the last time in the log is";

/// A process without any state of its own, and without the port that shows views.
fn start(world: &World, time: &FakeTime, name: &str, seconds: i64) -> Member {
    set_clock(&world.path(&format!("clock-{name}")), seconds);
    Member::start_with(world, name, name, |command| time.give_to(command, &world.path(&format!("clock-{name}"))))
}

/// Notes in the log that the last process was at work this number of seconds ago.
fn note_last_process(services: &Services, namespace: &str, seconds: i64) {
    let cluster = KafkaConfiguration::new(&services.kafka, namespace, "another");
    let mut producer = KafkaProducer::open(&cluster, "another", "program").unwrap();
    let time = Timestamp::now().as_millisecond() - seconds * 1000;
    let mut output = Output::new(4);
    output.send(&topics::BASELINE, b"alive", |buffer| buffer.extend_from_slice(time.to_string().as_bytes()));
    producer.publish(&output).unwrap();
}

#[test]
fn d103_each_process_compares_its_clock_with_the_log_whatever_it_has_of_it() {
    let Some(services) = Services::found() else { return };
    let Some(time) = FakeTime::find() else { return };
    let mut world = World::small();
    let namespace = join_namespace(&mut world, &services, "");
    let mut first = start(&world, &time, "first", 0);
    wait_for(&world, "DE_EOE_RTC_20261121_00000001.DAT");
    first.wait_to_log("snapshot taken in");
    // It shares the work, so it has some partitions, and not the rounds.
    let mut second = start(&world, &time, "second", -2 * DAY);
    second.wait_to_log(IN_DOUBT);
    assert_eq!(second.end("KILL"), None);
    assert_eq!(first.end("KILL"), None);

    let mut third = start(&world, &time, "third", -2 * DAY);
    third.wait_to_log(IN_DOUBT);
    third.wait_to_log("this process reads the inbox");
    world.file("DE_EOE_RMC_20261121_00000002.DAT", &[&position(7_000_002, "", POST_NUMBER)]);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(names_of(&world, "RTC").len(), 1, "nothing is taken in with a time that is in doubt");
    set_clock(&world.path("clock-third"), 0);
    third.wait_to_log("the clock is believed again: it was corrected");
    wait_for(&world, "DE_EOE_RTC_20261121_00000002.DAT");
    assert_eq!(third.end("KILL"), None);

    // The broker refuses records of a process whose clock is more than an hour ahead.
    let mut ahead = start(&world, &time, "ahead", 100 * DAY);
    ahead.wait_to_log("compare the clock of this machine with that of the broker");
    assert_eq!(ahead.end("KILL"), None);
    note_last_process(&services, &namespace, 31 * DAY);
    let fourth = start(&world, &time, "fourth", 0);
    fourth.wait_to_log(IN_DOUBT);
}
