//! The exchange with ESR as a service of several processes under chaos: its files are those of the oracle, however its
//! processes die.
//!
//! Inputs come through the folders of the services, in real time. So all inputs of a scenario come on one day, and the
//! runs of later days follow. A record in their topic requests the runs, as the clock of the service does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::civil::DateTime;
use jiff::{Timestamp, ToSpan};
use tributary_connectors::kafka::{KafkaConfiguration, KafkaProducer};
use tributary_esr::flow::DECLARATION;
use tributary_esr::format::Office;
use tributary_esr::topics;
use tributary_esr_oracle::{Batch, Oracle, Snapshot, scenario};
use tributary_esr_tests::comparison::{comparable, difference};
use tributary_esr_tests::summary::records;
use tributary_harness::Services;
use tributary_runtime::{Headers, Output, Producer as _, Topic};
use tributary_schemas::records::esr::{FileKind, RunRequested};
use tributary_schemas::{Codec, CodecBuilder, ConfluentRegistry, ConfluentSettings};
use tributary_tests::chaos::{Driver, Fault, Plan, SmallDisk, Subject, Watcher, alone, duration, seed};

use crate::folders::{Folders, WITHOUT_CLOCK};
use crate::outbox::{OutboxWatcher, left_over};

const PARTITIONS: i32 = 4;
/// Inputs count as taken in once nothing is left to read and no process has logged anything for this time: longer
/// than a look into the folders and the time that files have to settle.
const CALM: Duration = Duration::from_secs(5);
const CALM_LIMIT: Duration = Duration::from_mins(3);
/// Faults while the inputs of a batch are taken in.
const FAULTS_OF_INPUT: usize = 3;
/// Days after that of the inputs on which there are runs too.
const LATER_DAYS: [i64; 4] = [1, 2, 30, 90];
/// What is watched: what drives the exporters, and what leads from there to files.
const WATCHED: [&Topic; 4] = [&topics::EXPORTS, &topics::SCHEDULE, &topics::WRITER, &topics::EVENT];

/// In a short run the order puts an export at the full outbox, and new input at the expiry.
const FAULTS: [Fault; 19] = [
    Fault::Kill,
    Fault::Cut,
    Fault::Lose,
    Fault::RestartBroker,
    Fault::FillDisk,
    Fault::Expire,
    Fault::FreezeBroker,
    Fault::Pause,
    Fault::RestartRegistry,
    Fault::Add,
    Fault::Delay,
    Fault::End,
    Fault::Remove,
    Fault::Kill,
    Fault::Kill,
    Fault::Pause,
    Fault::Cut,
    Fault::Lose,
    Fault::FillDisk,
];

/// What the scenarios have met.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) scenarios: u64,
    inputs: usize,
    files: usize,
    rows: usize,
    records_seen: usize,
    files_written_again: usize,
    partitions_lost: usize,
    transactions_expired: usize,
    fenced: usize,
    writes_refused_by_full_disk: usize,
}

/// One scenario at work, in a namespace of its own.
pub(crate) struct Exchange {
    place: String,
    pub(crate) configuration: KafkaConfiguration,
    offices: Vec<Office>,
    pub(crate) folders: Folders,
    // Dropped in this order: the reader of the outbox, its writers, the outbox.
    files: OutboxWatcher,
    pub(crate) driver: Driver,
    outbox: SmallDisk,
    watcher: Watcher,
    codec: Codec,
    requests: KafkaProducer,
    oracle: Oracle,
    expected: BTreeMap<String, String>,
    /// When faults end.
    deadline: Instant,
}

impl Exchange {
    /// Starts the services on folders that hold the first batch.
    pub(crate) fn start(seed: u64, services: &Services, first: &Batch, plan: Plan, deadline: Instant) -> Self {
        let offices = scenario::offices(seed);
        let site = Subject::of_flow(&DECLARATION, PARTITIONS).set_up(services);
        let registry = Arc::new(ConfluentRegistry::connect(ConfluentSettings::new(&services.registry)).unwrap());
        let codec = CodecBuilder::new(registry).namespace(&site.configuration.name("")).topics(DECLARATION.topics());
        let outbox = SmallDisk::new();
        let mut folders = Folders::new(&site, &outbox.path(), &offices, WITHOUT_CLOCK);
        folders.put(first);
        Self {
            place: format!("seed {seed}"),
            configuration: site.configuration.clone(),
            files: OutboxWatcher::start(&outbox),
            watcher: site.watch(&WATCHED),
            driver: site.drive(seed, plan, folders.service(), Some(&outbox)),
            folders,
            outbox,
            codec: codec.build().unwrap(),
            requests: site.producer(),
            oracle: Oracle::new(&offices),
            offices: offices.into_iter().map(|office| office.parse().unwrap()).collect(),
            expected: BTreeMap::new(),
            deadline,
        }
    }

    /// Faults end when their time is over, but not before each kind was injected.
    fn has_faults(&self) -> bool {
        Instant::now() < self.deadline || !self.driver.plan.missing().is_empty()
    }

    /// The inputs of a batch, taken in while faults happen. The first ones exist before the services start.
    pub(crate) fn take_in(&mut self, mut batch: Option<&Batch>) {
        let said = self.driver.processes.log().len();
        for _ in 0..FAULTS_OF_INPUT {
            if self.has_faults() {
                let folders = &mut self.folders;
                self.driver.inject(&mut || {
                    if let Some(batch) = batch.take() {
                        folders.put(batch);
                    }
                });
            }
        }
        if let Some(batch) = batch {
            self.folders.put(batch);
        }
        self.wait_for_calm(said);
        self.driver.tell("inputs are taken in");
    }

    /// Waits, without faults, until the folders are taken in.
    pub(crate) fn wait_for_calm(&mut self, said_before: usize) {
        let deadline = Instant::now() + CALM_LIMIT;
        let (mut said, mut since) = (0, Instant::now());
        while since.elapsed() < CALM {
            self.driver.settle();
            let log = self.driver.processes.log();
            let news = log.get(said_before..).unwrap_or_default();
            let has_looked = news.contains("snapshot taken in") || news.contains("snapshot is not taken in");
            if log.len() != said || !has_looked {
                (said, since) = (log.len(), Instant::now());
            }
            assert!(Instant::now() < deadline, "{}: no calm\n{}", self.place, self.driver.processes.last_lines());
        }
    }

    /// The runs of a batch, each while faults happen.
    pub(crate) fn export(&mut self, now: Timestamp) {
        for kind in [FileKind::App, FileKind::Dnc] {
            let request =
                RunRequested { now: now.as_millisecond(), kind, offices: self.offices.clone(), include_late: false };
            let mut value = Vec::new();
            self.codec.encode(&request, &mut value).unwrap();
            let mut output = Output::new(PARTITIONS);
            output.inherit(request.now, Headers::default());
            output.send(&topics::SCHEDULE, b"", |buffer| buffer.extend_from_slice(&value));
            if self.has_faults() {
                let requests = &mut self.requests;
                self.driver.inject(&mut || requests.publish(&output).unwrap());
            } else {
                self.requests.publish(&output).unwrap();
            }
            self.driver.settle();
        }
    }

    /// Compares the outbox with what the oracle says of all batches so far.
    pub(crate) fn check(&mut self, batch: &Batch) {
        self.expected.extend(without_times(&comparable(&self.oracle.run(batch).files)));
        let found = without_times(&comparable(&self.files.files()));
        if let Some(text) = difference(&self.expected, &found) {
            let log = self.driver.processes.last_lines();
            panic!("{} as of {}: files differ\n{text}\n{log}", self.place, batch.now);
        }
        self.driver.tell(&format!("{}: all is well as of {}", self.place, batch.now));
    }

    /// Ends the services; a batch then finds every applicant record as the oracle has it. Adds to the statistics.
    pub(crate) fn finish(mut self, last: Timestamp, figures: &mut Figures) -> Plan {
        self.driver.finish();
        let batch = without_inputs(last, 1 + LATER_DAYS[LATER_DAYS.len() - 1]);
        let summary = self.folders.batch(&batch.now.to_string());
        let expected = self.oracle.run(&batch);
        assert_eq!(records(&summary), expected.records, "{}: records differ", self.place);
        self.expected.extend(without_times(&comparable(&expected.files)));
        let files = self.files.files();
        assert_eq!(difference(&self.expected, &without_times(&comparable(&files))), None, "{}", self.place);
        check_numbers(&files);
        assert_eq!(left_over(&self.outbox), Vec::<String>::new(), "{}", self.place);
        figures.scenarios += 1;
        figures.files += files.len();
        figures.rows += files.values().map(|content| content.lines().count() - 2).sum::<usize>();
        figures.records_seen += self.watcher.finish();
        figures.files_written_again += self.files.finish();
        let zombies = self.driver.zombies();
        figures.partitions_lost += zombies.partitions_lost;
        figures.transactions_expired += zombies.transactions_expired;
        figures.fenced += zombies.fenced;
        figures.writes_refused_by_full_disk += self.driver.processes.log().matches("the outbox: cannot").count();
        self.driver.plan
    }
}

/// Without the header of confirmations, which has the time of writing.
fn without_times(files: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let header_of = |content: &str| content.split_once('\n').map(|(_, rows)| rows.to_owned()).unwrap_or_default();
    let without = |(name, content): (&String, &String)| {
        (name.clone(), if name.contains("_RTC_") { header_of(content) } else { content.clone() })
    };
    files.iter().map(without).collect()
}

/// The numbers of each type are 1, 2, 3 and so on, over all offices.
fn check_numbers(files: &BTreeMap<String, String>) {
    for kind in ["_APP_", "_DNC_"] {
        let number = |name: &String| name.trim_end_matches(".DAT").rsplit('_').next()?.parse::<usize>().ok();
        let mut numbers: Vec<usize> = files.keys().filter(|name| name.contains(kind)).filter_map(number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>(), "numbers of {kind}");
    }
}

/// A run this number of days later, without input since.
pub(crate) fn without_inputs(now: Timestamp, days: i64) -> Batch {
    let now = now.checked_add((days * 24).hours()).unwrap();
    let (files, decisions, offices) = (Vec::new(), Vec::new(), Vec::new());
    Batch { now, files, snapshot: Snapshot::default(), decisions, offices }
}

/// Now, but not shortly before midnight: all inputs of a scenario come on one day.
pub(crate) fn start_of_scenario() -> Timestamp {
    let london = || -> DateTime { Timestamp::now().in_tz("Europe/London").unwrap().datetime() };
    while (london() + 15.minutes()).date() != london().date() {
        std::thread::sleep(Duration::from_secs(10));
    }
    Timestamp::now().round(jiff::Unit::Second).unwrap()
}

/// One scenario, with faults until `deadline`.
fn run(seed: u64, services: &Services, plan: Plan, deadline: Instant, figures: &mut Figures) -> Plan {
    let batches = scenario::scenario_of_one_day(seed, start_of_scenario());
    let mut exchange = Exchange::start(seed, services, &batches[0], plan, deadline);
    let mut last = batches[0].now;
    for (at, batch) in batches.iter().enumerate() {
        // A short run does without the end of a scenario.
        if at > 0 && !exchange.has_faults() {
            break;
        }
        last = batch.now;
        figures.inputs += batch.files.len();
        exchange.take_in((at > 0).then_some(batch));
        exchange.export(batch.now);
        exchange.check(batch);
    }
    for days in LATER_DAYS {
        let batch = without_inputs(last, days);
        exchange.export(batch.now);
        exchange.check(&batch);
    }
    exchange.finish(last, figures)
}

#[test]
fn files_are_those_of_the_oracle_whatever_dies() {
    let Some(services) = Services::find() else { return };
    let _alone = alone();
    let (seed, started) = (seed(), Instant::now());
    let deadline = started + duration(Duration::from_mins(1));
    let (mut figures, mut plan) = (Figures::default(), Plan::new(&FAULTS));
    // Not the scenarios of the other tests.
    let mut seeds = (seed * 1_000)..;
    while figures.scenarios == 0 || Instant::now() < deadline {
        plan = run(seeds.next().unwrap(), &services, plan, deadline, &mut figures);
    }
    println!(
        "exchange, seed {seed}: {} in {} s; {figures:?}; every file is as expected",
        plan.figures(),
        started.elapsed().as_secs()
    );
    assert_eq!(plan.missing(), [], "every kind of fault must be injected");
    // Whether a paused process is inside a transaction is luck here: the exchange has few records, and many of its
    // faults strike while nothing is to be done. The position join is always at work, and asserts it.
    assert!(figures.partitions_lost > 0, "no pause was long enough");
    assert!(figures.writes_refused_by_full_disk > 0, "no file has met the full disk");
}
