//! Limits of the cache of answers, and its operation.

use std::sync::Arc;

use tokio::time::{Instant, sleep, timeout};

use super::cache::setup;
use super::world::*;

const PATIENTS: [&str; 3] = ["191212121212", "202002020202", "198611062384"];

/// Three patients with data in one system.
fn three(change: impl FnOnce(&mut FlowSettings)) -> World {
    let mut setup = setup();
    change(&mut setup.settings);
    let setup =
        PATIENTS.into_iter().fold(setup, |setup, patient| setup.patient(patient, &[engagement("SYS", "c", "1")]));
    setup.build()
}

async fn status(world: &World, patient: &str) -> String {
    world.ask(LABORATORY, patient).await.record("SYS").status.clone()
}

#[tokio::test(start_paused = true)]
async fn the_questions_that_were_asked_last_are_kept() {
    let world = three(|settings| settings.cache.max_entries = 2);
    for patient in [PATIENTS[0], PATIENTS[1], PATIENTS[0], PATIENTS[2]] {
        world.ask(LABORATORY, patient).await;
    }
    assert_eq!(world.flow.cache_status().entries, 2);
    assert_eq!(status(&world, PATIENTS[0]).await, "DataFromCache");
    assert_eq!(status(&world, PATIENTS[2]).await, "DataFromCache");
    assert_eq!(status(&world, PATIENTS[1]).await, "DataFromSource");
}

#[tokio::test(start_paused = true)]
async fn kept_answers_count_into_the_memory_and_take_a_part_of_it() {
    const KIB: usize = 1024;
    let world = three(|settings| settings.memory_bytes = 1000 * KIB);
    let row = row("laboratoryOrderOutcome", "SYS", "", "1");
    world.producers.set("SYS", 10, What::Inside(row.repeat(100 * KIB / row.len())));
    let ask = async |patient: &str| world.reply(LABORATORY, patient).await;
    for (patient, entries) in [(PATIENTS[0], 1), (PATIENTS[1], 2), (PATIENTS[2], 2)] {
        ask(patient).await;
        assert_eq!(world.flow.cache_status().entries, entries);
        let held = 1000 - world.flow.free_memory() / KIB;
        assert!((100 * entries as usize..105 * entries as usize).contains(&held), "{held}");
    }
    // Too large for the cache, not for an answer.
    assert_eq!(world.flow.clear_cache(None, None), 2);
    assert_eq!(world.flow.free_memory(), 1000 * KIB);
    world.producers.set("SYS", 10, What::Inside(row.repeat(300 * KIB / row.len())));
    assert_eq!(ask(PATIENTS[0]).await.kind, ReplyKind::Answer);
    assert_eq!((world.flow.cache_status().entries, world.flow.free_memory()), (0, 1000 * KIB));
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_is_let_go() {
    let world = three(|settings| settings.cache.failure_ttl = ms(10_000));
    world.ask(LABORATORY, PATIENTS[0]).await;
    world.producers.set("SYS", 10, What::Refused);
    world.ask(LABORATORY, PATIENTS[1]).await;
    assert_eq!(world.flow.cache_status().entries, 2);
    assert!(timeout(ms(11_000), world.flow.expire_cache()).await.is_err());
    assert_eq!(world.flow.cache_status().entries, 1);
    assert!(timeout(ms(50_000), world.flow.expire_cache()).await.is_err());
    let (cache, settings) = (world.flow.cache_status(), FlowSettings::default());
    assert_eq!((cache.entries, world.flow.free_memory()), (0, settings.memory_bytes));
}

#[tokio::test(start_paused = true)]
async fn entries_of_a_service_or_a_patient_can_be_cleared() {
    let world = three(|_| {});
    let other = "GetAggregatedCareDocumentation.v3";
    let fill = async || {
        world.flow.clear_cache(None, None);
        for patient in PATIENTS {
            world.ask(LABORATORY, patient).await;
        }
        world.ask(other, PATIENTS[0]).await;
    };
    let one = PATIENTS[0].parse().unwrap();
    for (service, patient, cleared) in [
        (None, None, 4),
        (Some(LABORATORY), None, 3),
        (None, Some(&one), 2),
        (Some(other), Some(&one), 1),
        (Some("Unknown"), None, 0),
    ] {
        fill().await;
        assert_eq!(world.flow.clear_cache(service, patient), cleared);
        assert_eq!(world.flow.cache_status().entries, 4 - cleared as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_under_way_is_not_kept_if_it_was_cleared_or_abandoned() {
    let world = Arc::new(three(|_| {}));
    let ask = |patient: &'static str| {
        let world = world.clone();
        tokio::spawn(async move { world.ask(LABORATORY, patient).await })
    };
    let questions = PATIENTS.map(ask);
    sleep(ms(300)).await;
    world.flow.clear_cache(None, Some(&PATIENTS[0].parse().unwrap()));
    questions[1].abort();
    sleep(ms(300)).await;
    assert_eq!(world.flow.cache_status().entries, 1);
    assert_eq!(status(&world, PATIENTS[2]).await, "DataFromCache");
    assert_eq!(status(&world, PATIENTS[0]).await, "DataFromSource");
}

#[tokio::test(start_paused = true)]
async fn the_text_of_kept_answers_takes_its_own_space() {
    const KIB: usize = 1024;
    // An answer from the cache waits for its space. What has become too old meanwhile is called.
    for (ttl, end, hits, held) in [(60_000, 1910, 1, 150), (1500, 1930, 0, 60)] {
        let world = Arc::new(three(|settings| {
            settings.memory_bytes = 1000 * KIB;
            settings.index_timeout = None;
            settings.cache.ttl = ms(ttl);
        }));
        let row = row("laboratoryOrderOutcome", "SYS", "", "1");
        let answer = |kib: usize| What::Inside(row.repeat(kib * KIB / row.len()));
        world.change(PATIENTS[1], &["LARGE", "SLOW"].map(|address| engagement(address, "c", "1")));
        world.producers.set("SYS", 10, answer(150));
        world.producers.set("LARGE", 10, answer(750));
        world.producers.set("SLOW", 2000, What::Refused);
        world.reply(LABORATORY, PATIENTS[0]).await;
        let asking = world.clone();
        // Its reader takes it at once.
        let large = tokio::spawn(async move { drop(asking.reply(LABORATORY, PATIENTS[1]).await) });
        sleep(ms(100)).await;
        // There is space for this answer, but not also for its text beside the answer: it is not kept.
        world.producers.set("SYS", 10, answer(60));
        let begin = Instant::now();
        assert_eq!(world.reply(LABORATORY, PATIENTS[2]).await.kind, ReplyKind::Answer);
        assert_eq!((begin.elapsed(), world.flow.cache_status().entries), (ms(20), 1));
        assert_eq!(world.reply(LABORATORY, PATIENTS[0]).await.kind, ReplyKind::Answer);
        large.await.unwrap();
        assert_eq!((begin.elapsed(), world.flow.cache_status().hits), (ms(end), hits));
        let found = 1000 - world.flow.free_memory() / KIB;
        assert!((held - 1..held + 3).contains(&found), "{found}");
    }
}
