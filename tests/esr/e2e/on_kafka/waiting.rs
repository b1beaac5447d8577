//! Starting while Kafka and the registry are away.

use std::time::{Duration, Instant};

use crate::group::{Member, Services, join_namespace};
use crate::world::{DAY_1, World};

#[test]
fn the_service_waits_for_kafka_says_so_and_ends_at_once_when_asked() {
    let mut world = World::small();
    join_namespace(&mut world, &Services::nowhere(), "");
    let mut service = Member::start(&world, "service", "a");
    service.wait_to_log("waiting for Kafka");
    std::thread::sleep(Duration::from_secs(2));
    assert!(service.is_running());
    let asked = Instant::now();
    assert_eq!(service.end("TERM"), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    assert_eq!(service.logged().matches("waiting for Kafka").count(), 1, "{}", service.logged());
}

#[test]
fn a_batch_gives_up_after_the_time_given() {
    let mut world = World::small();
    join_namespace(&mut world, &Services::nowhere(), "");
    let begun = Instant::now();
    let answer = world.once(DAY_1, &["--give-up-after", "3"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stderr.contains("gave up"), "{}", answer.stderr);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
