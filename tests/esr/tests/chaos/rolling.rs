//! A rolling upgrade and its rollback: two releases in one group on real Kafka, while records come and processes die.
//!
//! The next release is this tree with `tests/upgrade/next.patch`: fields in records of topics and of state, a symbol of
//! an enum, a record type on an inbox, a store and a rule, those that need it from level 2 on. `tests/upgrade/build`
//! builds it as `tributary-next`, version 0.2.0.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tributary_connectors::kafka::KafkaReader;
use tributary_esr::topics;
use tributary_esr_oracle::{Batch, scenario};
use tributary_harness::Services;
use tributary_harness::process::{built, program};
use tributary_runtime::{TopicFollower, TopicPartition, dead_letter_header};
use tributary_tests::chaos::{Plan, alone, seed};

use crate::exchange::{Exchange, Figures, start_of_scenario, without_inputs};

const MEMBERS: usize = 3;

/// How long the members of ended processes may stay in their groups.
const PATIENCE: Duration = Duration::from_mins(1);

/// A process of the other release needs a moment to join, before the next one is replaced.
const PAUSE: Duration = Duration::from_secs(3);

/// Codes of dead letters that one release would write about records of the other.
const OF_OTHER_RELEASES: [&str; 6] = [
    "not-framed",
    "unknown-schema",
    "unresolvable-schema",
    "unexpected-record",
    "unexpected-record-type",
    "damaged-record",
];

/// Both releases.
struct Releases {
    this: PathBuf,
    next: PathBuf,
}

impl Releases {
    fn found() -> Option<Self> {
        let next = built("tributary-next", "run `tests/upgrade/build` first");
        match next {
            Ok(next) => Some(Self { this: program().unwrap(), next }),
            Err(reason) => {
                tributary_harness::skip(&reason);
                None
            }
        }
    }
}

fn upgrade(services: &Services, exchange: &Exchange, program: &Path, command: &str) -> Output {
    let mut upgrade = Command::new(program);
    upgrade.args(["upgrade", command, "--log", "kafka", "--partitions", "4", "--kafka", &services.kafka]);
    upgrade.args(["--registry", &services.registry, "--namespace", &exchange.configuration.namespace]);
    upgrade.output().unwrap()
}

/// Replaces the processes one after the other while the records of a batch come. The one in the middle is killed (-9).
fn replace(exchange: &mut Exchange, program: &Path, batch: &Batch, mut after_first: impl FnMut(&Exchange)) {
    exchange.folders.release().choose(program);
    let said = exchange.driver.processes.log().len();
    exchange.folders.put(batch);
    for number in 0..MEMBERS {
        if number == 1 {
            exchange.driver.processes.kill(number);
        } else {
            exchange.driver.processes.end(number);
        }
        exchange.driver.processes.start(number);
        std::thread::sleep(PAUSE);
        exchange.driver.processes.check();
        if number == 0 {
            after_first(exchange);
        }
    }
    exchange.driver.tell(&format!("all processes are {}", program.file_name().unwrap().display()));
    exchange.wait_for_calm(said);
    exchange.export(batch.now);
    exchange.check(batch);
}

/// The level rises once every process of this release has left its groups.
fn finalize(services: &Services, exchange: &Exchange, next: &Path) {
    let begun = Instant::now();
    loop {
        let answer = upgrade(services, exchange, next, "finalize");
        if answer.status.success() {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{answer:?}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Dead letters that one release wrote about records of the other.
fn dead_letters(exchange: &Exchange) -> Vec<String> {
    let reader = KafkaReader::open(&exchange.configuration, "esr").unwrap();
    let mut found = Vec::new();
    for partition in 0..4 {
        let partition = TopicPartition { topic: topics::DEAD_LETTER.name, partition };
        let read = reader.read_from(partition, 0, &mut |record| {
            let code = String::from_utf8_lossy(record.headers.get(dead_letter_header::CODE).unwrap_or_default());
            if OF_OTHER_RELEASES.contains(&&*code) {
                let text = record.headers.get(dead_letter_header::MESSAGE).unwrap_or_default();
                found.push(format!("{code}: {}", String::from_utf8_lossy(text)));
            }
            Ok(())
        });
        read.unwrap();
    }
    found
}

#[test]
fn two_releases_run_side_by_side_and_the_older_comes_back_until_the_level_is_raised() {
    let Some(services) = Services::find() else { return };
    let Some(releases) = Releases::found() else { return };
    let _alone = alone();
    let batches = scenario::scenario_of_one_day(seed() * 1_000 + 7, start_of_scenario());
    let batch = |number: usize| {
        let last = &batches[batches.len() - 1];
        batches.get(number).cloned().unwrap_or_else(|| Batch { files: Vec::new(), ..last.clone() })
    };
    let mut exchange = Exchange::start(seed() * 1_000 + 7, &services, &batch(0), Plan::new(&[]), Instant::now());
    exchange.take_in(None);
    exchange.export(batch(0).now);
    exchange.check(&batch(0));

    replace(&mut exchange, &releases.next, &batch(1), |exchange| {
        let early = upgrade(&services, exchange, &releases.next, "finalize");
        let stderr = String::from_utf8_lossy(&early.stderr);
        assert_eq!(early.status.code(), Some(2), "{early:?}");
        assert!(stderr.contains("runs release 0.1.0 with the levels 1 to 1"), "{stderr}");
    });
    replace(&mut exchange, &releases.this, &batch(2), |_| {});
    replace(&mut exchange, &releases.next, &batch(3), |_| {});
    finalize(&services, &exchange, &releases.next);
    exchange.driver.tell("the namespace is at level 2");

    let late = exchange.folders.with_release(&releases.this);
    assert_eq!(late.status.code(), Some(2), "{late:?}");
    let stderr = String::from_utf8_lossy(&late.stderr);
    assert!(stderr.contains("at level 2") && stderr.contains("start release 0.2.0 or a later one"), "{stderr}");

    let said = exchange.driver.processes.log().len();
    exchange.folders.put(&batch(4));
    exchange.driver.processes.kill(2);
    exchange.driver.processes.start(2);
    exchange.wait_for_calm(said);
    exchange.export(batch(4).now);
    exchange.check(&batch(4));
    let next_day = without_inputs(batch(4).now, 1);
    exchange.export(next_day.now);
    exchange.check(&next_day);
    assert_eq!(dead_letters(&exchange), Vec::<String>::new());
    let log = exchange.driver.processes.log();
    // Alerts have a subject. They are what the oracle expects, or do not matter here.
    let errors: Vec<&str> = log.lines().filter(|line| line.contains(" ERROR ") && !line.contains("subject=")).collect();
    assert_eq!(errors, Vec::<&str>::new());
    let mut figures = Figures::default();
    exchange.finish(batch(4).now, &mut figures);
    println!("two releases: {figures:?}; every file is as expected");
}
