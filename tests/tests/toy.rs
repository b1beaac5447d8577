//! What a flow of one stage gets through the contract alone.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use tower::ServiceExt;
use tributary_flow::{ConfiguredFlow, Process};
use tributary_runtime::memory::Faults;
use tributary_runtime::{Headers, Output};
use tributary_tests::simulated_process::{Simulation, Trouble};
use tributary_tests::toy::{COUNTS, DECLARATION, Toy, WORDS};

const TEXT: &str = "to be or not to be that is the question whether tis nobler in the mind to suffer";

fn open(seed: u64, trouble: Trouble) -> Simulation {
    let flow: &dyn ConfiguredFlow = &Toy;
    Simulation::open(seed, &DECLARATION, flow, trouble)
}

/// Publishes all words of the text, this many times.
fn publish(process: &dyn Process, times: usize) {
    for word in TEXT.split(' ').cycle().take(TEXT.split(' ').count() * times) {
        let mut output = Output::new(process.flow_partitions());
        output.inherit(0, Headers::default());
        output.send(&WORDS, word.as_bytes(), |_| {});
        process.publish(&output).unwrap();
    }
}

fn expected(times: u64) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    TEXT.split(' ').for_each(|word| *counts.entry(word.to_owned()).or_default() += times);
    counts
}

/// The newest count of each word that others see.
fn seen(simulation: &Simulation) -> BTreeMap<String, u64> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    // Markers of commits that are still in flight arrive.
    simulation.process.broker().stop_faults();
    let partitions = 0..simulation.process.flow_partitions();
    let records = partitions.flat_map(|partition| simulation.process.broker().read_committed(COUNTS.name, partition));
    records.map(|record| (text(record.key), text(record.value.unwrap()).parse().unwrap())).collect()
}

#[test]
fn topics_follow_from_the_declaration() {
    let names: Vec<&str> = DECLARATION.topics().iter().map(|topic| topic.name).collect();
    assert_eq!(names, ["toy.words", "toy.counts", "toy.dead-letter", "toy.control", "toy.count-changelog"]);
}

#[test]
fn the_flow_counts_each_word_once_whatever_fails_on_the_memory_log() {
    for seed in 0..40 {
        let simulation = open(seed, Trouble { faults: Some(Faults::all(seed)), scattered: false });
        let process: &dyn Process = &*simulation.process;
        publish(process, 5);
        process.settle(&|| None).unwrap();
        assert_eq!(seen(&simulation), expected(5), "seed {seed}");
    }
}

#[test]
fn lag_and_metrics_come_with_the_stage() {
    let simulation = open(1, Trouble::default());
    let process: &dyn Process = &*simulation.process;
    publish(process, 2);
    assert!(!process.is_idle().unwrap());
    process.settle(&|| None).unwrap();
    assert!(process.is_idle().unwrap());
    let stages: Vec<_> = process.metrics().iter().flat_map(|metrics| metrics.stages()).collect();
    let words = 2 * TEXT.split(' ').count() as u64;
    assert_eq!(stages.len(), 1);
    assert_eq!((stages[0].name, stages[0].records_in, stages[0].records_out), ("count", words, words));
}

#[tokio::test]
async fn its_http_path_answers_with_what_the_stage_holds() {
    let simulation = open(2, Trouble::default());
    publish(&*simulation.process, 3);
    simulation.process.settle(&|| None).unwrap();
    let router = simulation.flow.mounts().remove(0).router;
    let request = Request::get("/toy/counts").body(Body::empty()).unwrap();
    let answer = router.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let body = to_bytes(answer.into_body(), 10_000).await.unwrap();
    assert_eq!(serde_json::from_slice::<BTreeMap<String, u64>>(&body).unwrap(), expected(3));
}
