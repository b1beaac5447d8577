//! The whole flow on the memory log under a seeded random schedule, with and without faults, against the oracle.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends where it cannot go on")]

use std::collections::BTreeMap;

use tributary_oracle::{Oracle, Outcome, scenario};
use tributary_tests::comparison::{comparable, difference};
use tributary_tests::simulated_flow::{OfficeFigures, Record, SimulatedFlow, Trouble};

fn seeds(count: u64) -> Vec<u64> {
    if let Ok(seed) = std::env::var("TRIBUTARY_SEED") {
        return vec![seed.parse().unwrap()];
    }
    let count = std::env::var("TRIBUTARY_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(count);
    (0..count).collect()
}

fn check(seed: u64, trouble: Trouble) -> Result<(), String> {
    let offices = scenario::offices(seed);
    let mut oracle = Oracle::new(&offices);
    let mut flow = SimulatedFlow::new(seed, &offices, trouble);
    if std::env::var("TRIBUTARY_SEED").is_ok() {
        flow.trace();
    }
    let mut expected_files = BTreeMap::new();
    for (at, batch) in scenario::scenario(seed).iter().enumerate() {
        let expected = oracle.run(batch);
        flow.run(batch);
        let failed = |text: String| Err(format!("seed {seed}, batch {at} at {}: {text}", batch.now));
        expected_files.extend(comparable(&expected.files));
        if let Some(text) = difference(&expected_files, &comparable(&flow.files())) {
            return failed(format!("files differ\n{text}\n{}", flow.report()));
        }
        let held = flow.look();
        let (expected_records, records) = (records_of(&expected), held.records);
        if expected_records != records {
            let missing: Vec<_> = expected_records.iter().filter(|record| !records.contains(record)).collect();
            let surplus: Vec<_> = records.iter().filter(|record| !expected_records.contains(record)).collect();
            return failed(format!("records differ\nexpected {missing:#?}\nfound {surplus:#?}"));
        }
        for (office, counts) in &expected.offices {
            let found = held.offices.get(office).copied().unwrap_or_default();
            let wanted = OfficeFigures { positions: counts.positions, live: counts.live, matched: counts.matched };
            if found != wanted || counts.matched + counts.unmatched != counts.live {
                return failed(format!("positions of {office} differ: expected {counts:?}, found {found:?}"));
            }
        }
        let inbound: BTreeMap<String, &str> =
            expected.inbound.iter().map(|file| (file.name.clone(), file.status.as_str())).collect();
        if inbound != held.inbound {
            return failed(format!("inbound files differ: expected {inbound:?}, found {:?}", held.inbound));
        }
    }
    Ok(())
}

fn records_of(outcome: &Outcome) -> Vec<Record> {
    let mut records: Vec<Record> = outcome
        .records
        .iter()
        .map(|record| Record {
            office: record.office.clone(),
            placement_id: record.placement_id as i64,
            position_id: record.position_id as i64,
            trainee_id: record.trainee_id as i64,
            status: record.status.clone(),
            file: record.file.clone(),
        })
        .collect();
    records.sort();
    records
}

fn check_all(count: u64, trouble: Trouble) {
    let mut failures = Vec::new();
    for seed in seeds(count) {
        if let Err(text) = check(seed, trouble) {
            let start: Vec<&str> = text.lines().take(12).collect();
            eprintln!("{}", start.join("\n"));
            failures.push((seed, text));
        }
    }
    if let Some((_, text)) = failures.first() {
        let all: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
        panic!("{} seeds fail: {all:?}; tests/simulate --seed {} replays the first\n{text}", all.len(), all[0]);
    }
}

#[test]
fn the_flow_writes_what_the_oracle_says() {
    check_all(200, Trouble::default());
}

#[test]
fn crashes_aborts_and_rebalances_change_nothing() {
    check_all(200, Trouble { faults: true, scattered: false });
}

#[test]
fn d9_the_order_in_which_facts_arrive_changes_nothing() {
    check_all(200, Trouble { faults: false, scattered: true });
}

#[test]
fn d9_nor_does_it_with_crashes_between() {
    check_all(100, Trouble { faults: true, scattered: true });
}
