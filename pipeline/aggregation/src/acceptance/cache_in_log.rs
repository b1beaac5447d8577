//! The cache in the log: what survives a restart, and what does not.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::sleep;
use tributary_flow::configuration::Source;
use tributary_schemas::records::aggregation::Mark;

use super::cache::{self, CATEGORY, PATIENT, mark};
use super::world::*;
use crate::cache::StoreKind;
use crate::cache::log::{CacheLog, CacheLogParts, CacheLogStatus, NONCE_BYTES};
use crate::tak::Tak;

/// The partitions of the flow's topics.
const PARTITIONS: i32 = 4;

/// A flow, with the cache in the log if its settings say so.
pub(super) fn flow(
    settings: FlowSettings,
    connections: Connections,
    key: [u8; 32],
    services: &HashMap<String, Arc<Service>>,
) -> Arc<Flow> {
    let parts = CacheLogParts {
        key,
        codec: crate::harness::context().codec,
        partitions: PARTITIONS,
        services: services.values().cloned().collect(),
        index: "SE-EI".to_owned(),
    };
    let log = CacheLog::new(parts, &settings);
    let is_in_log = settings.cache.store == StoreKind::Log;
    let flow = Flow::new(settings, connections);
    Arc::new(if is_in_log { flow.with_cache_log(Arc::new(log)) } else { flow })
}

/// The topics `aggregation.cache` and `aggregation.invalidation`.
#[derive(Default)]
struct Log {
    entries: Vec<(String, Option<Vec<u8>>)>,
    marks: Vec<Mark>,
    /// Marks before this one are gone.
    first_mark: usize,
    nonces: u8,
}

impl Log {
    /// Writes what waits.
    fn write(&mut self, world: &World) {
        let log = world.flow.cache_log().unwrap();
        loop {
            let piece = log.piece(world.flow.now(), || {
                self.nonces += 1;
                Some([self.nonces; NONCE_BYTES])
            });
            for (key, record) in &piece.records {
                let value = record.as_ref().map(|record| {
                    let mut value = Vec::new();
                    crate::harness::context().codec.encode(record, &mut value).unwrap();
                    value
                });
                self.entries.push((key.clone(), value));
            }
            log.note_written(&piece);
            if piece.records.is_empty() {
                return;
            }
        }
    }

    /// Where the marks end, in each partition.
    fn ends(&self) -> Vec<i64> {
        vec![self.marks.len() as i64; PARTITIONS as usize]
    }

    /// A change that a running process learns of.
    fn mark(&mut self, world: &World, marks: &[Mark]) {
        self.marks.extend_from_slice(marks);
        world.flow.mark(marks);
        world.flow.note_marks_read(self.ends());
    }

    /// A process reads the entries from this one on.
    fn read_from(&self, world: &World, first: usize) {
        let mut restoring = world.flow.restoring().unwrap();
        for (key, value) in &self.entries[first..] {
            restoring.take(key.as_bytes(), value.as_deref());
        }
        let lacking = restoring.marks_from();
        if lacking.iter().any(|(_, from)| *from < self.first_mark as i64) {
            restoring.marks_are_lost();
        }
        for (partition, from) in lacking {
            for (offset, mark) in (0..).zip(&self.marks).filter(|(offset, _)| *offset >= from) {
                restoring.mark(partition, offset, std::slice::from_ref(mark));
            }
        }
        restoring.finish(&self.ends());
    }

    /// A process begins on this log.
    fn start(&self, setup: Setup) -> World {
        let world = setup.build();
        world.producers.set("SYS-3", 100, What::Fault(500, "VP009".to_owned()));
        world.flow.note_marks_read(self.ends());
        self.read_from(&world, 0);
        world
    }

    /// The last record of each entry.
    fn compacted(&self) -> Vec<&Vec<u8>> {
        let last = |key: &String| self.entries.iter().rev().find(|(other, _)| other == key).unwrap();
        let mut keys: Vec<&String> = self.entries.iter().map(|(key, _)| key).collect();
        keys.sort();
        keys.dedup();
        keys.into_iter().filter_map(|key| last(key).1.as_ref()).collect()
    }
}

/// The processes of a test have the same clock.
#[derive(Clone, Copy)]
struct Clock(tokio::time::Instant);

impl Clock {
    fn start() -> Self {
        Self(tokio::time::Instant::now())
    }

    fn setup(self) -> Setup {
        let mut setup = cache::setup();
        setup.settings.cache.store = StoreKind::Log;
        setup.midday = self.0;
        setup
    }
}

fn status(world: &World) -> CacheLogStatus {
    world.flow.cache_log().unwrap().status()
}

fn statuses(answered: &Answered) -> Vec<String> {
    answered.records.iter().map(|record| record.status.clone()).collect()
}

const FRESH: [&str; 3] = ["DataFromSource", "DataFromSource", "NoDataSynchFailed"];
const CACHED: [&str; 3] = ["DataFromCache", "DataFromCache", "NoDataSynchFailed"];

/// A log with one answer, written by a process that has ended.
async fn asked(clock: Clock) -> (Log, Answered) {
    let mut log = Log::default();
    let world = log.start(clock.setup());
    let answered = world.ask(LABORATORY, PATIENT).await;
    assert_eq!(status(&world).waiting, 1);
    log.write(&world);
    assert_eq!((log.compacted().len(), status(&world).entries, status(&world).waiting), (1, 1, 0));
    (log, answered)
}

async fn sorted_statuses(world: &World) -> Vec<String> {
    let mut found = statuses(&world.ask(LABORATORY, PATIENT).await);
    found.sort();
    found
}

#[tokio::test(start_paused = true)]
async fn a_restart_serves_from_the_cache_with_the_times_of_the_real_calls() {
    let clock = Clock::start();
    let (log, first) = asked(clock).await;
    sleep(ms(10_000)).await;
    let world = log.start(clock.setup());
    let second = world.ask(LABORATORY, PATIENT).await;
    let as_fresh = second.text.replace("DataFromCache", "DataFromSource");
    let as_fresh = as_fresh.replace("<h:isResponseFromCache>true<", "<h:isResponseFromCache>false<");
    assert_eq!(as_fresh, first.text);
    assert_eq!(second.text.matches("<h:isResponseFromCache>true<").count(), 2);
    assert!(world.seen().is_empty());
    assert_eq!((status(&world).entries, status(&world).passed, status(&world).unreadable), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_first_question_waits_a_short_time_until_the_log_was_read() {
    let clock = Clock::start();
    let (log, _) = asked(clock).await;
    let world = Arc::new(clock.setup().build());
    let asking = world.clone();
    let question = tokio::spawn(async move { asking.ask(LABORATORY, PATIENT).await });
    sleep(ms(400)).await;
    world.flow.note_marks_read(log.ends());
    log.read_from(&world, 0);
    assert_eq!((question.await.unwrap().records.len(), world.seen().len()), (3, 0));
    // A log that does not answer holds nothing up.
    let world = clock.setup().build();
    let begin = tokio::time::Instant::now();
    world.ask(LABORATORY, PATIENT).await;
    assert_eq!((begin.elapsed(), world.seen().len()), (ms(500 + 10 + 500), 3));
}

#[tokio::test(start_paused = true)]
async fn the_time_without_a_process_counts() {
    let clock = Clock::start();
    // The failed call ended after 110 ms, the last one after 510 ms.
    let (log, _) = asked(clock).await;
    sleep(ms(59_700)).await;
    let world = log.start(clock.setup());
    assert_eq!((sorted_statuses(&world).await, world.called()), (strings(&CACHED), strings(&["SYS-3"])));
    sleep(ms(200)).await;
    assert_eq!((sorted_statuses(&world).await, world.called().len()), (strings(&FRESH), 3));
    let world = log.start(clock.setup());
    assert_eq!((status(&world).passed, sorted_statuses(&world).await), (1, strings(&FRESH)));
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn marks_that_came_while_no_process_ran_are_applied() {
    let clock = Clock::start();
    let mut log = Log::default();
    let world = log.start(clock.setup());
    // What is marked before the question is not lacking.
    log.mark(&world, &mark("SYS-1"));
    world.ask(LABORATORY, PATIENT).await;
    log.write(&world);
    drop(world);
    log.marks.extend(mark("SYS-2"));
    let world = log.start(clock.setup());
    assert_eq!(world.ask(LABORATORY, PATIENT).await.record("SYS-2").status, "DataFromSource");
    assert_eq!(world.called(), ["SYS-2"]);
    log.write(&world);
    let world = log.start(clock.setup());
    assert_eq!((sorted_statuses(&world).await, world.called()), (strings(&CACHED), vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_came_to_the_process_after_the_entry_was_written_counts_after_a_restart() {
    let clock = Clock::start();
    let mut log = Log::default();
    let world = log.start(clock.setup());
    world.ask(LABORATORY, PATIENT).await;
    log.write(&world);
    let entries = log.entries.len();
    log.mark(&world, &mark("NEW"));
    log.write(&world);
    // The mark itself is in the log: the entry is not written again.
    assert_eq!(log.entries.len(), entries);
    let world = log.start(clock.setup().patient(PATIENT, &[engagement("SYS-1", CATEGORY, "1002")]));
    assert_eq!(statuses(&world.ask(LABORATORY, PATIENT).await), ["DataFromCache"]);
    assert!(world.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_the_marks_that_it_lacks_an_entry_ends() {
    let clock = Clock::start();
    let (mut log, _) = asked(clock).await;
    log.marks = vec![mark("SYS-1")[0].clone(); 3];
    log.first_mark = 1;
    let world = log.start(clock.setup());
    assert_eq!((status(&world).passed, sorted_statuses(&world).await), (1, strings(&FRESH)));
    log.write(&world);
    assert_eq!(log.entries.iter().filter(|(_, value)| value.is_none()).count(), 0, "it is written again at once");
    // An entry that claims more marks than there are is from another life of the log.
    log.marks.truncate(2);
    let world = log.start(clock.setup());
    assert_eq!(status(&world).passed, 1);
    log.write(&world);
    assert!(log.compacted().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_entry_of_another_key_is_counted_and_ends_when_it_is_over() {
    let clock = Clock::start();
    let (mut log, _) = asked(clock).await;
    let world = log.start(Setup { cache_key: [8; 32], ..clock.setup() });
    assert_eq!((status(&world).unreadable, status(&world).entries), (1, 1));
    assert_eq!(sorted_statuses(&world).await, FRESH);
    log.write(&world);
    assert_eq!(log.compacted().len(), 2);
    sleep(ms(60_600)).await;
    let cache_log = world.flow.cache_log().unwrap();
    // A process that does not lead ends its own.
    cache_log.sweep(world.flow.now(), false);
    log.write(&world);
    assert_eq!(log.compacted().len(), 1);
    cache_log.sweep(world.flow.now(), true);
    log.write(&world);
    assert_eq!((log.compacted().len(), status(&world).entries), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_damaged_is_counted_and_stops_nothing() {
    let clock = Clock::start();
    let (log, _) = asked(clock).await;
    let (key, value) = (log.entries[0].0.clone(), log.entries[0].1.clone().unwrap());
    for place in (0..value.len()).step_by(7).chain([value.len() - 1]) {
        let mut changed = value.clone();
        changed[place] ^= 0x10;
        let entries = vec![(key.clone(), Some(changed)), ("no entry".to_owned(), Some(value.clone()))];
        let world = Log { entries, ..Log::default() }.start(clock.setup());
        assert_eq!((status(&world).unreadable, world.flow.cache_status().entries), (2, 0), "{place}");
    }
    for value in [vec![], vec![0; 5], value[..value.len() / 2].to_vec()] {
        let world = Log { entries: vec![(key.clone(), Some(value))], ..Log::default() }.start(clock.setup());
        assert_eq!((status(&world).unreadable, world.flow.cache_status().entries), (1, 0));
    }
    // An entry under the name of another one.
    let other = format!("{}{}", &key[1..], &key[..1]);
    let world = Log { entries: vec![(other, Some(value))], ..Log::default() }.start(clock.setup());
    assert_eq!((status(&world).unreadable, world.flow.cache_status().entries), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_entry_of_other_settings_or_of_another_catalogue_is_not_served() {
    let clock = Clock::start();
    let (log, _) = asked(clock).await;
    let changed = |change: &dyn Fn(&mut Setup)| {
        let mut setup = clock.setup();
        change(&mut setup);
        log.start(setup)
    };
    let text = include_str!("../../config/services/GetAggregatedLaboratoryOrderOutcome.v4.toml");
    let same = changed(&|setup| setup.descriptors = vec![Source::new("own.toml", text)]);
    assert_eq!((status(&same).passed, same.flow.cache_status().entries), (0, 1));
    for world in [
        changed(&|setup| setup.tak = Some(Tak::read(b"{}").unwrap())),
        changed(&|setup| setup.settings.platform_url = Some("http://other.example/vp".to_owned())),
        changed(&|setup| setup.settings.logical_address = "SYS-1".to_owned()),
        changed(&|setup| setup.descriptors = vec![Source::new("own.toml", format!("{text}# another text\n"))]),
    ] {
        assert_eq!((status(&world).passed, world.flow.cache_status().entries), (1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_whose_time_is_still_to_come_is_not_served() {
    let clock = Clock::start();
    sleep(ms(5_000)).await;
    let (log, _) = asked(clock).await;
    // The clock was set back by three seconds.
    let world = log.start(Clock(clock.0 + ms(3_000)).setup());
    assert_eq!((status(&world).passed, world.flow.cache_status().entries), (1, 0));
}

/// What is done, and how many entries it leaves.
type Way<'w> = (&'w dyn Fn(&World), usize);

#[tokio::test(start_paused = true)]
async fn clearing_and_a_reload_of_tak_empty_the_log() {
    let clock = Clock::start();
    let clear = |world: &World, service: Option<&str>, patient: Option<&str>| {
        world.flow.clear_cache(service, patient.map(|patient| patient.parse().unwrap()).as_ref());
    };
    let ways: [Way<'_>; 6] = [
        (&|world| clear(world, None, None), 0),
        (&|world| world.flow.set_tak(Tak::read(b"{}").unwrap().into()), 0),
        (&|world| clear(world, Some(LABORATORY), Some(PATIENT)), 0),
        (&|world| clear(world, Some("GetAggregatedSubjectOfCareSchedule.v1"), None), 1),
        (&|world| clear(world, None, Some("202002020202")), 1),
        (&|_| (), 1),
    ];
    for (clear, left) in ways {
        // What it has written itself, and what it has taken back.
        for is_restarted in [false, true] {
            let mut log = Log::default();
            let mut world = log.start(clock.setup());
            world.ask(LABORATORY, PATIENT).await;
            log.write(&world);
            if is_restarted {
                world = log.start(clock.setup());
            }
            clear(&world);
            log.write(&world);
            assert_eq!((log.compacted().len(), status(&world).entries as usize), (left, left));
        }
        // What waits is not written, and what cannot be read here may be meant.
        let (mut log, _) = asked(clock).await;
        let world = log.start(Setup { cache_key: [8; 32], ..clock.setup() });
        world.ask(LABORATORY, PATIENT).await;
        clear(&world);
        log.write(&world);
        assert!(log.compacted().len() <= 2 * left);
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_process_kept_before_it_was_cleared_does_not_come_back() {
    let clock = Clock::start();
    let (mut log, _) = asked(clock).await;
    let world = clock.setup().build();
    world.flow.note_marks_read(log.ends());
    sleep(ms(10)).await;
    world.flow.clear_cache(None, None);
    log.read_from(&world, 0);
    log.write(&world);
    assert_eq!((world.flow.cache_status().entries, log.compacted().len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn processes_read_what_others_have_asked_and_ended() {
    let clock = Clock::start();
    let mut log = Log::default();
    let (one, two) = (log.start(clock.setup()), log.start(clock.setup()));
    one.ask(LABORATORY, PATIENT).await;
    log.write(&one);
    log.read_from(&two, 0);
    assert_eq!((sorted_statuses(&two).await, two.called()), (strings(&CACHED), vec![]));
    // The newer one stays, in whatever order they are read.
    log.mark(&two, &mark("SYS-1"));
    let before = log.entries.len();
    assert!(sorted_statuses(&two).await.contains(&"DataFromSource".to_owned()));
    log.read_from(&two, 0);
    assert_eq!(sorted_statuses(&two).await, CACHED);
    log.write(&two);
    log.read_from(&one, before);
    assert_eq!((sorted_statuses(&one).await, one.called().len()), (strings(&CACHED), 3));
    let before = log.entries.len();
    one.flow.clear_cache(None, None);
    log.write(&one);
    log.read_from(&two, before);
    assert_eq!((two.flow.cache_status().entries, status(&two).passed), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_has_to_make_room_and_what_is_over_ends_in_the_log() {
    let clock = Clock::start();
    let mut log = Log::default();
    let mut setup = clock.setup();
    setup.settings.cache.max_entries = 2;
    let world = log.start(setup);
    for patient in ["191212121212", "192012121212", "201212121212", "202012121212"] {
        world.ask(LABORATORY, patient).await;
        log.write(&world);
    }
    assert_eq!((log.compacted().len(), log.entries.len(), status(&world).entries), (2, 6, 2));
    sleep(ms(60_000)).await;
    let cache = world.flow.clone();
    let expiring = tokio::spawn(async move { cache.expire_cache().await });
    sleep(ms(1000)).await;
    expiring.abort();
    log.write(&world);
    assert_eq!((log.compacted().len(), status(&world).entries), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_place_in_the_queue_or_in_a_record_is_counted() {
    let clock = Clock::start();
    let mut log = Log::default();
    let mut setup = clock.setup();
    // A sixteenth may wait: 64 KiB.
    setup.settings.memory_bytes = 1 << 20;
    let world = log.start(setup);
    world.producers.set("SYS-1", 100, What::Inside("x".repeat(70_000)));
    world.ask(LABORATORY, PATIENT).await;
    assert_eq!((status(&world).dropped, status(&world).waiting, world.flow.cache_status().entries), (1, 0, 1));
    let world = log.start(clock.setup());
    world.producers.set("SYS-1", 100, What::Inside("x".repeat(1 << 20)));
    world.ask(LABORATORY, PATIENT).await;
    log.write(&world);
    assert_eq!((status(&world).too_large, status(&world).entries), (1, 0));
    assert_eq!((log.compacted().len(), world.flow.cache_status().entries), (0, 1));
    // Nobody knows which marks are taken in.
    let world = clock.setup().build();
    world.ask(LABORATORY, PATIENT).await;
    assert_eq!((status(&world).dropped, status(&world).waiting), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn without_random_bytes_nothing_is_written() {
    let clock = Clock::start();
    let world = Log::default().start(clock.setup());
    world.ask(LABORATORY, PATIENT).await;
    let piece = world.flow.cache_log().unwrap().piece(world.flow.now(), || None);
    assert!(piece.records.iter().all(|(_, record)| record.is_none()));
    assert_eq!((status(&world).dropped, status(&world).entries), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_clears_can_wait_for_the_log() {
    let clock = Clock::start();
    let (mut log, _) = asked(clock).await;
    let world = log.start(clock.setup());
    world.flow.clear_cache(None, None);
    let cache_log = world.flow.cache_log().unwrap();
    assert!(tokio::time::timeout(ms(1000), cache_log.flushed()).await.is_err());
    log.write(&world);
    assert!(tokio::time::timeout(ms(1000), cache_log.flushed()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_log_and_debug_show_nothing_of_a_patient() {
    let clock = Clock::start();
    let (log, answered) = asked(clock).await;
    assert!(answered.text.contains(PATIENT));
    for (key, value) in &log.entries {
        let value = value.as_ref().unwrap();
        for secret in [PATIENT.as_bytes(), b"laboratory", b"SYS-1", b"VP009"] {
            assert!(!value.windows(secret.len()).any(|bytes| bytes == secret));
        }
        assert!(key.len() == 64 && !key.contains(PATIENT));
    }
    let world = log.start(clock.setup());
    for shown in [format!("{:?}", world.flow), format!("{:?}", world.flow.cache_log())] {
        assert!(!shown.contains(PATIENT) && !shown.contains("7, 7"), "{shown}");
    }
}
