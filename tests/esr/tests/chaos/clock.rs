//! Three processes of one group, each with a clock of its own. Clocks jump by hours and years for seconds, and
//! processes die and start with a wrong clock, while files and snapshots come. Each true day has its runs, no other day
//! has any, and the files are those of the oracle.
//!
//! The true time is some days ago: the broker's clock is that of the machine, and refuses records from the future.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::civil::{Date, time};
use jiff::{Timestamp, ToSpan};
use tempfile::TempDir;
use tributary_esr::flow::DECLARATION;
use tributary_esr_oracle::{Batch, Oracle, scenario};
use tributary_esr_tests::comparison::{comparable, difference};
use tributary_harness::{FakeTime, Services, set_clock};
use tributary_tests::chaos::{Driver, Plan, Program, SmallDisk, Subject, alone, seed};

use crate::folders::Folders;
use crate::outbox::OutboxWatcher;

const MEMBERS: usize = 3;
/// Days with runs.
const DAYS: usize = 3;
/// How long ago the first of them is. After a week the broker may delete the records of inboxes.
const AGO: i64 = 5;
/// How long before the runs of a day its clock begins.
const BEFORE: i64 = 25;
/// How long a clock is wrong: shorter than the service takes to believe it.
const WRONG: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_mins(2);

const SETTINGS: &str = r#"
esr.inbound.settle_seconds = 1
esr.schedule.applicants = "14:00"
esr.schedule.notifications = "14:00"
esr.schedule.wait_seconds = 40
service.clock_seconds = 1
service.clock_steady_seconds = 8
"#;

const HOUR: i64 = 60 * 60;
const YEAR: i64 = 365 * 24 * HOUR;

/// A wrong clock: this number of seconds from the right one.
const FAULTS: [[i64; MEMBERS]; DAYS] =
    [[26 * HOUR; 3], [37 * YEAR, 26 * HOUR, 37 * YEAR], [-2 * HOUR, 26 * HOUR, 9 * HOUR]];
/// The clock with which a process that was killed on this day starts.
const STARTS: [Option<i64>; DAYS] = [None, Some(37 * YEAR), Some(-24 * HOUR)];

/// The clocks of the members, and the right one.
struct Clocks {
    folder: TempDir,
    time: FakeTime,
    /// The right time, in seconds after that of the machine.
    truth: i64,
}

impl Clocks {
    fn file(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("member-{number}"))
    }

    /// Sets the clock of a member, in seconds from the right one.
    fn set(&self, number: usize, wrong: i64) {
        set_clock(&self.file(number), self.truth + wrong);
    }

    /// Begins a day, shortly before its runs.
    fn begin(&mut self, day: Date) {
        let due = day.to_datetime(time(14, 0, 0, 0)).in_tz("Europe/London").unwrap().timestamp();
        self.truth = due.as_second() - BEFORE - Timestamp::now().as_second();
        (0..MEMBERS).for_each(|number| self.set(number, 0));
    }

    /// A program whose processes have these clocks.
    fn program(&self, program: Program) -> Program {
        let (folder, time) = (self.folder.path().to_owned(), self.time.clone());
        Box::new(move |state, instance| {
            let mut command = program(state, instance);
            time.give_to(&mut command, &folder.join(instance));
            command
        })
    }
}

/// The exchange with its clocks.
struct Clocked {
    clocks: Clocks,
    folders: Folders,
    // Dropped in this order: the reader of the outbox, its writers, the outbox.
    files: OutboxWatcher,
    driver: Driver,
    _outbox: SmallDisk,
    oracle: Oracle,
    expected: BTreeMap<String, String>,
}

impl Clocked {
    /// Starts the processes on the first day. A new log has no last time, so the first clock must be right.
    fn start(seed: u64, services: &Services, mut clocks: Clocks, first: Date, batch: &Batch) -> Self {
        let offices = scenario::offices(seed);
        let site = Subject::of_flow(&DECLARATION, 4).set_up(services);
        let outbox = SmallDisk::new();
        let mut folders = Folders::new(&site, &outbox.path(), &offices, SETTINGS);
        folders.put(batch);
        clocks.begin(first);
        let program = clocks.program(folders.service());
        let exchange = Self {
            files: OutboxWatcher::start(&outbox),
            driver: site.drive(seed, Plan::new(&[]), program, Some(&outbox)),
            clocks,
            folders,
            _outbox: outbox,
            oracle: Oracle::new(&offices),
            expected: BTreeMap::new(),
        };
        exchange.wait_until("all are ready", 0, |line| line.contains("ready: http"));
        exchange
    }

    /// Waits until each member has logged such a line, after what was said before.
    fn wait_until(&self, what: &str, said: usize, is_it: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        while self.driver.processes.log().get(said..).unwrap_or_default().lines().filter(|line| is_it(line)).count()
            < MEMBERS
        {
            assert!(begun.elapsed() < PATIENCE, "not so: {what}\n{}", self.driver.processes.last_lines());
            std::thread::sleep(Duration::from_millis(100));
        }
        self.driver.tell(what);
    }

    /// Begins the next day. Its inputs come once all members believe their clocks.
    fn next_day(&mut self, day: Date, batch: &Batch) {
        let said = self.driver.processes.log().len();
        self.clocks.begin(day);
        let is_believed = |line: &str| line.contains("after 8 steady seconds") && !line.contains("code=");
        self.wait_until(&format!("all believe that it is {day}"), said, is_believed);
        self.folders.put(batch);
    }

    /// The clock of one member is wrong for seconds.
    fn jump(&mut self, number: usize, wrong: i64) {
        self.driver.tell(&format!("the clock of member {number} is wrong by {} hours", wrong / HOUR));
        self.clocks.set(number, wrong);
        std::thread::sleep(WRONG);
        self.clocks.set(number, 0);
        std::thread::sleep(Duration::from_secs(1));
        self.driver.processes.check();
    }

    /// One member is killed (-9) and starts with a wrong clock.
    fn start_wrong(&mut self, number: usize, wrong: i64) {
        self.driver.processes.kill(number);
        self.driver
            .tell(&format!("member {number} is killed, and starts with a clock wrong by {} hours", wrong / HOUR));
        self.clocks.set(number, wrong);
        self.driver.processes.start(number);
        std::thread::sleep(WRONG + Duration::from_secs(2));
        self.clocks.set(number, 0);
    }

    /// Waits for the files of a day. There are no others.
    fn check(&mut self, batch: &Batch) {
        self.expected.extend(without_headers(&self.oracle.run(batch).files));
        let begun = Instant::now();
        loop {
            let found = self.files.files();
            assert!(
                found.values().all(|content| !content.contains(&wrong_year())),
                "a file has the wrong year: {found:#?}"
            );
            let found = without_headers(&found);
            let differs = difference(&self.expected, &found);
            let Some(text) = differs else { break };
            let is_over = begun.elapsed() > PATIENCE || found.keys().any(|name| !self.expected.contains_key(name));
            assert!(!is_over, "as of {}: files differ\n{text}\n{}", batch.now, self.driver.processes.last_lines());
            std::thread::sleep(Duration::from_millis(200));
        }
        self.driver.tell(&format!("all is well as of {}", batch.now));
    }
}

/// The year of clocks that are wrong by years.
fn wrong_year() -> String {
    Timestamp::now().saturating_add(jiff::SignedDuration::from_secs(37 * YEAR)).unwrap().strftime("%Y").to_string()
}

/// Files without their headers, which have times of writing.
fn without_headers(files: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let rows = |content: &str| content.split_once('\n').map(|(_, rows)| rows.to_owned()).unwrap_or_default();
    comparable(files).iter().map(|(name, content)| (name.clone(), rows(content))).collect()
}

/// The inputs of the days, each with the time of its runs.
fn batches(seed: u64, first: Date) -> Vec<Batch> {
    let due = |day: usize| {
        let date = first + i64::try_from(day).unwrap().days();
        date.to_datetime(time(14, 0, 0, 0)).in_tz("Europe/London").unwrap().timestamp()
    };
    let of_one_day = scenario::scenario_of_one_day(seed, due(0));
    let of = |day: usize| {
        let last = &of_one_day[of_one_day.len() - 1];
        let batch = of_one_day.get(day).cloned().unwrap_or_else(|| Batch { files: Vec::new(), ..last.clone() });
        Batch { now: due(day), ..batch }
    };
    (0..DAYS).map(of).collect()
}

/// Whether runs that are lost or made twice would show: each day has rows, and an applicant is exported.
fn shows_each_run(seed: u64, first: Date) -> bool {
    let mut oracle = Oracle::new(&scenario::offices(seed));
    let days: Vec<_> = batches(seed, first).iter().map(|batch| oracle.run(batch).files).collect();
    let has_rows = |kind: &str, files: &BTreeMap<String, String>| {
        files.iter().any(|(name, content)| name.contains(kind) && content.lines().count() > 2)
    };
    days.iter().all(|files| has_rows("_APP_", files) || has_rows("_DNC_", files))
        && days.iter().any(|files| has_rows("_APP_", files))
}

#[test]
fn no_clock_of_one_process_makes_or_loses_a_run_of_all() {
    let Some(services) = Services::find() else { return };
    let Some(time) = FakeTime::find() else { return };
    let _alone = alone();
    let begun = Instant::now();
    let first = Timestamp::now().in_tz("Europe/London").unwrap().date() - AGO.days();
    let seeds = seed() * 1_000..(seed() + 1) * 1_000;
    let seed = seeds.into_iter().find(|seed| shows_each_run(*seed, first)).unwrap();
    let batches = batches(seed, first);
    let clocks = Clocks { folder: tempfile::tempdir().unwrap(), time, truth: 0 };
    let mut exchange = Clocked::start(seed, &services, clocks, first, &batches[0]);
    for (day, batch) in batches.iter().enumerate() {
        if day > 0 {
            exchange.next_day(first + i64::try_from(day).unwrap().days(), batch);
        }
        if let Some(wrong) = STARTS[day] {
            exchange.start_wrong((day + usize::try_from(seed).unwrap()) % MEMBERS, wrong);
        }
        for (number, wrong) in FAULTS[day].into_iter().enumerate() {
            exchange.jump(number, wrong);
        }
        exchange.check(batch);
    }
    exchange.driver.finish();
    let log = exchange.driver.processes.log();
    let (rows, files) =
        (exchange.expected.values().map(|rows| rows.lines().count()).sum::<usize>(), exchange.files.files());
    assert_eq!(difference(&exchange.expected, &without_headers(&files)), None);
    assert!(log.contains("but the last time in the log is"), "no process has noticed its wrong clock at the start");
    println!(
        "clocks, seed {seed}: {} jumps noticed, {} files, {rows} rows, in {} s; every file is as expected",
        log.matches("the clock jumped to").count(),
        files.len(),
        begun.elapsed().as_secs()
    );
}
