//! The exchange with ESR in a simulated process: the folders, batches and summaries of `tributary run --once`.

mod shown;
mod stale;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use clap::{Arg, ArgAction, Command};
use serde_json::Value;
use tempfile::TempDir;
use tributary_esr::flow::DECLARATION;
use tributary_esr::inbound::Inbound;
use tributary_esr::report::{Event, Report};
use tributary_esr::topics;
use tributary_esr_edge::Esr;
use tributary_esr_oracle::Batch;
use tributary_flow::configuration::ConfigurationFile;
use tributary_flow::{BatchRequest, ClockReading, ConfiguredFlow, Flow, Process, RunningFlow};
use tributary_runtime::{Headers, Output, Producer as _, Topic};
use tributary_schemas::AvroRecord;
use tributary_schemas::records::esr::{FileKind, RunRequested, RunsForgotten};
use tributary_schemas::records::tributary::Clock;

use crate::process::{decision_flags, outbox_files, put_batch};
use tributary_tests::simulated_process::{Simulation, Trouble, memory_folder};

/// The file in which a process keeps what was in the last snapshot.
const KNOWN_LINES: &str = "snapshot-lines";

/// The exchange, its log and its folders.
pub struct SimulatedExchange {
    simulation: Simulation,
    /// The offices that it serves.
    offices: String,
    /// The flow as it is for runs of some offices, and with decisions.
    of_runs: BTreeMap<(String, Vec<String>), Arc<dyn RunningFlow>>,
    folder: TempDir,
    /// Every file ever seen in the outbox.
    seen: BTreeMap<String, String>,
    /// The time of the last batch.
    last: Option<jiff::Timestamp>,
}

impl SimulatedExchange {
    /// An exchange that serves `offices`.
    pub fn new(seed: u64, offices: &[&str], trouble: Trouble) -> Self {
        let folder = memory_folder();
        for name in ["inbox", "tis"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let offices = offices.join(",");
        let simulation = Simulation::open(seed, &DECLARATION, &*configured(folder.path(), &offices, &[]), trouble);
        Self { simulation, offices, of_runs: BTreeMap::new(), folder, seen: BTreeMap::new(), last: None }
    }

    /// The flow for a batch: with its offices (D118) and its decisions. The workers stay those of the simulation.
    fn flow_of(&mut self, batch: &Batch) -> Arc<dyn RunningFlow> {
        let offices = if batch.offices.is_empty() { self.offices.clone() } else { batch.offices.join(",") };
        let decisions = decision_flags(batch);
        if offices == self.offices && decisions.is_empty() {
            return Arc::clone(&self.simulation.flow);
        }
        let open = || {
            let process = Arc::clone(&self.simulation.process) as Arc<dyn Process>;
            configured(self.folder.path(), &offices, &decisions).open(process).unwrap()
        };
        Arc::clone(self.of_runs.entry((offices.clone(), decisions.clone())).or_insert_with(open))
    }

    /// Writes each step of the run to standard error.
    pub fn trace(&self) {
        self.simulation.process.trace();
    }

    /// One batch, as `run --once` does it; its summary.
    pub fn run(&mut self, batch: &Batch) -> Value {
        put_batch(self.folder.path(), batch);
        if let Some(last) = self.last.replace(batch.now)
            && self.simulation.process.chance(0.3)
        {
            self.err_and_forget(last);
        }
        let known_lines = self.simulation.process.state().join(KNOWN_LINES);
        if self.simulation.process.chance(0.5) && known_lines.exists() {
            fs::remove_file(known_lines).unwrap();
        }
        let summary = Mutex::new(String::new());
        let request = BatchRequest {
            now: batch.now,
            as_json: true,
            progress: &|_, _| {},
            print: &|text| {
                summary.lock().unwrap().push_str(text);
                Ok(())
            },
        };
        let flow = self.flow_of(batch);
        if !Arc::ptr_eq(&flow, &self.simulation.flow) {
            // The workers are those of the simulation's own flow, and need the time of this batch (D104).
            let clock = ClockReading { now: batch.now, doubt: None, believed: None };
            self.simulation.flow.report(&clock).unwrap();
        }
        flow.batch(&request).unwrap();
        let summary = summary.into_inner().unwrap();
        serde_json::from_str(&summary).unwrap()
    }

    /// A run of a wrong clock, decades ahead and without offices, and the operator who has it forgotten, with the
    /// machine's clock somewhere else (D103). The next batch must be as if nothing had happened.
    fn err_and_forget(&self, last: jiff::Timestamp) {
        let ahead = jiff::SignedDuration::from_hours(24 * 365 * 30);
        let wrong =
            RunRequested { now: (last + ahead).as_millisecond(), kind: FileKind::App, ..RunRequested::default() };
        self.publish(&topics::SCHEDULE, &wrong, last);
        let forgotten =
            RunsForgotten { after: last.as_millisecond(), now: last.as_millisecond(), by: "simulation".to_owned() };
        self.publish(&topics::SCHEDULE, &forgotten, last);
    }

    /// Publishes a record to every partition of a topic. Not through the process: it may deliver what is published in
    /// another order, and later.
    fn publish<R: AvroRecord>(&self, topic: &'static Topic, record: &R, at: jiff::Timestamp) {
        let process: &dyn Process = &*self.simulation.process;
        let mut output = Output::new(process.flow_partitions());
        output.inherit(at.as_millisecond(), Headers::default());
        let mut value = Vec::new();
        process.codec().encode(record, &mut value).unwrap();
        output.broadcast(topic, b"", |buffer| buffer.extend_from_slice(&value));
        let broker = self.simulation.process.broker();
        let mut tries = (0..1_000).map(|_| broker.producer("operator").publish(&output));
        assert!(tries.any(|published| published.is_ok()), "a record of {} cannot be published", topic.name);
    }

    /// The files written so far. One that was there before must be there with the same bytes.
    pub fn files(&mut self) -> BTreeMap<String, String> {
        let files = outbox_files(&self.folder.path().join("outbox"));
        for (name, content) in &self.seen {
            assert_eq!(files.get(name), Some(content), "{name} has changed or gone");
        }
        self.seen.clone_from(&files);
        files
    }

    /// How the views differ from what the stages hold, after a batch with this summary. Faults end before.
    pub fn difference_of_views(&self, summary: &Value) -> Option<String> {
        let process: &dyn Process = &*self.simulation.process;
        let now = summary["now"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        // The exporters show their counts when the clock ticks; the schedule must not start a run.
        let clock = Clock { now: now.as_millisecond(), ..Clock::default() };
        self.publish(&topics::EXPORTS, &clock, now);
        process.settle(&|| None).unwrap();
        // Markers of commits that are still on their way arrive.
        self.simulation.process.broker().stop_faults();
        shown::difference(&self.simulation, self.seen.keys().cloned(), summary)
    }

    /// How many moments there were at which a process could die; see [`tributary_runtime::memory::Faults::die_at`].
    pub fn moments(&self) -> u64 {
        self.simulation.process.broker().moments()
    }

    /// What was happening when a process died of [`tributary_runtime::memory::Faults::die_at`].
    pub fn death(&self) -> Option<String> {
        self.simulation.process.broker().death()
    }

    /// How many answers reached a position after answers to a later subscription of it.
    pub fn stale_answers(&self) -> usize {
        let process = &self.simulation.process;
        stale::answers(process.broker(), process.codec(), process.flow_partitions())
    }

    /// Everything that was reported, and the ledger, as text: for the message of a failed test.
    pub fn report(&self) -> String {
        let process: &dyn Process = &*self.simulation.process;
        let mut text = process.inspect(reported).unwrap();
        text.extend(process.inspect(ledger).unwrap());
        for partition in 0..process.flow_partitions() {
            for letter in self.simulation.process.broker().read_committed(topics::DEAD_LETTER.name, partition) {
                let headers = letter.headers();
                let headers = headers.iter().map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)));
                text.push(format!("dead letter {}\n", headers.collect::<Vec<_>>().join(" ")));
            }
        }
        text.concat()
    }
}

/// The exchange with its folders below `folder`, for these offices and decisions.
fn configured(folder: &Path, offices: &str, decisions: &[String]) -> Arc<dyn ConfiguredFlow> {
    let path = |name: &str| folder.join(name).display().to_string();
    let once = Arg::new("once").long("once").action(ArgAction::SetTrue);
    let (inbox, tis, outbox) = (path("inbox"), path("tis"), path("outbox"));
    let typed = ["run", "--once", "--records", "--inbox", &inbox, "--tis", &tis, "--outbox", &outbox];
    let options = Esr.run_options(Command::new("run").arg(once));
    let typed = typed.into_iter().chain(["--offices", offices]).chain(decisions.iter().map(String::as_str));
    let options = options.get_matches_from(typed);
    Esr.configure(&ConfigurationFile::read(None).unwrap(), &options).unwrap()
}

fn reported(report: &Report) -> String {
    let line = |event: &Event| match event {
        Event::File(file) => format!("{} {:?} {}\n", file.file_name, file.status, file.note),
        Event::Alert(alert) if alert.code == "left-blank" => String::new(),
        Event::Alert(alert) => format!("alert {}: {}\n", alert.code, alert.text),
    };
    report.events_since(0).map(line).collect()
}

fn ledger(inbound: &Inbound) -> String {
    let lines: Vec<String> =
        inbound.ledger().map(|(name, entry)| format!("ledger {name} {:?}\n", entry.status)).collect();
    lines.concat()
}
