//! The process is killed (kill -9) at the moments that matter.

use std::time::Duration;

use tributary_registry_sample::Answer;

use crate::world::{NUMBER, PATIENCE, World};

async fn until_called(world: &World, count: usize) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while world.register.calls_of(NUMBER) < count {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The row is there, and its call was not made.
#[tokio::test]
async fn kill_between_insert_and_call() {
    let world = World::start().await;
    world.admin(reqwest::Method::POST, "kinds/unzr/pause", None).await;
    let row = world.sync(NUMBER, None).await;
    let world = world.kill();
    assert_eq!(world.row(NUMBER).await, row);
    assert_eq!(world.register.calls_of(NUMBER), 0);
    world.admin(reqwest::Method::POST, "kinds/unzr/resume", None).await;
    assert_eq!(world.row_with(NUMBER, "processed").await["id"], row["id"]);
    assert_eq!(world.register.calls_of(NUMBER), 1);
}

/// The register has been called, and its answer is lost.
#[tokio::test]
async fn kill_between_call_and_update() {
    let world = World::start().await;
    world.register.set(NUMBER, [Answer::Hanging, Answer::Found]);
    let row = world.sync(NUMBER, None).await;
    until_called(&world, 1).await;
    let world = world.kill();
    let done = world.row_with(NUMBER, "processed").await;
    assert_eq!((&done["id"], done["info"].is_object()), (&row["id"], true));
    assert_eq!(world.register.calls_of(NUMBER), 2, "called again, and no third time");
}

/// What was committed is not asked for again.
#[tokio::test]
async fn kill_after_update() {
    let world = World::start().await;
    let done = world.sync(NUMBER, Some(20)).await;
    let world = world.kill();
    assert_eq!(world.row(NUMBER).await, done);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.register.calls_of(NUMBER), 1);
}

/// A call that hangs does not hold up the end.
#[tokio::test]
async fn a_process_ends_although_a_call_hangs() {
    let calls = "calls = { timeout = \"5m\" }";
    let world = World::start_with(calls, "").await;
    world.register.set(NUMBER, Answer::Hanging);
    world.sync(NUMBER, None).await;
    until_called(&world, 1).await;
    let begun = std::time::Instant::now();
    let (code, said) = world.process.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

/// Killed again and again under load: every number that was accepted comes to its end.
#[tokio::test]
async fn kills_lose_no_accepted_request() {
    let mut world = World::start().await;
    world.register.delay(Duration::from_millis(5));
    let mut accepted = Vec::new();
    for round in 0..10 {
        for number in 0..8 {
            let number = format!("19930101-{:05}", round * 10 + number);
            world.sync(&number, None).await;
            accepted.push(number);
        }
        world = world.kill();
    }
    for number in &accepted {
        world.row_with(number, "processed").await;
    }
    let most = accepted.iter().map(|number| world.register.calls_of(number)).max();
    assert!(most <= Some(1 + 10), "{most:?}");
}
