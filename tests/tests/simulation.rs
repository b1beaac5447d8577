//! The whole flow on the memory log under a seeded random schedule, with and without faults, against the oracle.

use std::collections::BTreeMap;

use tributary_oracle::{Oracle, scenario};
use tributary_tests::comparison::{comparable, difference};
use tributary_tests::simulated_flow::{Record, SimulatedFlow};

fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("TRIBUTARY_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => {
            let count = std::env::var("TRIBUTARY_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(count);
            (0..count).collect()
        }
    }
}

fn check(seed: u64, with_faults: bool) -> Result<(), String> {
    let offices = scenario::offices(seed);
    let mut oracle = Oracle::new(&offices);
    let mut flow = SimulatedFlow::new(seed, &offices, with_faults);
    let mut expected_files = BTreeMap::new();
    for (at, batch) in scenario::scenario(seed).iter().enumerate() {
        let expected = oracle.run(batch);
        flow.run(batch);
        expected_files.extend(comparable(&expected.files));
        if let Some(text) = difference(&expected_files, &comparable(&flow.files())) {
            return Err(format!("seed {seed}, batch {at} at {}: files differ\n{text}\n{}", batch.now, flow.report()));
        }
        if with_faults {
            continue;
        }
        let mut records: Vec<Record> = expected
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
        let found = flow.records();
        if records != found {
            let missing: Vec<_> = records.iter().filter(|record| !found.contains(record)).collect();
            let surplus: Vec<_> = found.iter().filter(|record| !records.contains(record)).collect();
            return Err(format!(
                "seed {seed}, batch {at} at {}: records differ\nexpected {missing:#?}\nfound {surplus:#?}",
                batch.now
            ));
        }
    }
    Ok(())
}

fn check_all(count: u64, with_faults: bool) {
    let mut failures = Vec::new();
    for seed in seeds(count) {
        if let Err(text) = check(seed, with_faults) {
            let start: Vec<&str> = text.lines().take(12).collect();
            eprintln!("{}", start.join("\n"));
            failures.push((seed, text));
        }
    }
    if let Some((_, text)) = failures.first() {
        let all: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
        panic!("{} seeds fail: {all:?}; replay one with TRIBUTARY_SEED\n{text}", all.len());
    }
}

#[test]
fn the_flow_writes_what_the_oracle_says() {
    check_all(200, false);
}

#[test]
fn crashes_aborts_and_rebalances_change_nothing() {
    check_all(200, true);
}
