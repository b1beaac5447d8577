//! The toy flow under chaos, run as the program runs every flow: each word is counted as often as it was sent.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tributary_connectors::kafka::KafkaReader;
use tributary_harness::Services;
use tributary_runtime::TopicReader as _;
use tributary_runtime::memory::SimulationRng;
use tributary_tests::chaos::{Feeder, OF_EVERY_FLOW, Plan, ServiceCommand, Site, Subject, alone, duration, seed};
use tributary_tests::toy::{COUNTS, DECLARATION, WORDS};

const PARTITIONS: i32 = 4;
const WORDS_PER_SECOND: f64 = 400.0;
/// How many different words there are.
const VOCABULARY: u64 = 300;

/// Sends random words until `is_over`; gives how often each was sent.
fn send_words(site: &Site, seed: u64, is_over: &AtomicBool) -> BTreeMap<String, u64> {
    let (mut feeder, mut rng) = (Feeder::start(site, WORDS_PER_SECOND), SimulationRng::new(seed));
    let mut sent = BTreeMap::new();
    while !is_over.load(Ordering::Relaxed) {
        let word = format!("word-{}", rng.below(VOCABULARY));
        feeder.send(&WORDS, word.as_bytes(), Some(b""));
        *sent.entry(word).or_default() += 1;
    }
    feeder.finish();
    sent
}

/// The last count of each word that others see.
fn committed_counts(site: &Site) -> BTreeMap<String, u64> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut counts = BTreeMap::new();
    let reader = KafkaReader::open(&site.configuration, DECLARATION.name).unwrap();
    let mut note = |word: &[u8], count: Option<&[u8]>| {
        counts.insert(text(word), text(count.unwrap()).parse().unwrap());
    };
    reader.read(&COUNTS, PARTITIONS, &mut note).unwrap();
    counts
}

#[test]
fn each_word_is_counted_once_whatever_dies() {
    let Some(services) = Services::find() else { return };
    let _alone = alone();
    let (seed, during) = (seed(), duration(Duration::from_secs(30)));
    let site = Subject::of_flow(&DECLARATION, PARTITIONS).set_up(&services);
    let watcher = site.watch(&[&COUNTS]);
    let program = ServiceCommand::new(&site, Path::new(env!("CARGO_BIN_EXE_toy")), "", &[]);
    let (started, is_over) = (Instant::now(), AtomicBool::new(false));
    let mut driver = site.drive(seed, Plan::new(&OF_EVERY_FLOW), program.service(), None);
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| send_words(&site, seed, &is_over));
        driver.run(during, &mut || {});
        is_over.store(true, Ordering::Relaxed);
        sender.join().unwrap()
    });
    driver.finish();
    let (seen, words) = (watcher.finish(), sent.values().sum::<u64>());
    println!(
        "toy, seed {seed}: {} in {} s, {:?}; {words} words in, {seen} counts seen",
        driver.plan.figures(),
        started.elapsed().as_secs(),
        driver.zombies()
    );
    assert_eq!(committed_counts(&site), sent);
    let zombies = driver.zombies();
    assert!(zombies.partitions_lost + zombies.without_transaction() > 0, "no pause was long enough");
}
