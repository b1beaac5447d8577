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
use tributary_flow::{BatchRequest, ConfiguredFlow, Flow, Process, RunningFlow};
use tributary_runtime::{Headers, Output, Producer as _};
use tributary_schemas::records::tributary::Clock;

use crate::process::{outbox_files, put_batch};
use tributary_tests::simulated_process::{Simulation, Trouble, memory_folder};

/// The file in which a process keeps what was in the last snapshot.
const KNOWN_LINES: &str = "snapshot-lines";

/// The exchange, its log and its folders.
pub struct SimulatedExchange {
    simulation: Simulation,
    /// The offices that it serves.
    offices: String,
    /// The flow as it is for runs of some offices only (D118).
    of_offices: BTreeMap<String, Arc<dyn RunningFlow>>,
    folder: TempDir,
    /// Every file ever seen in the outbox.
    seen: BTreeMap<String, String>,
}

impl SimulatedExchange {
    /// An exchange that serves `offices`.
    pub fn new(seed: u64, offices: &[&str], trouble: Trouble) -> Self {
        let folder = memory_folder();
        for name in ["inbox", "tis"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let offices = offices.join(",");
        let simulation = Simulation::open(seed, &DECLARATION, &*configured(folder.path(), &offices), trouble);
        Self { simulation, offices, of_offices: BTreeMap::new(), folder, seen: BTreeMap::new() }
    }

    /// The flow for a run of the offices of a batch.
    fn flow_of(&mut self, batch: &Batch) -> Arc<dyn RunningFlow> {
        let offices = batch.offices.join(",");
        if offices.is_empty() || offices == self.offices {
            return Arc::clone(&self.simulation.flow);
        }
        let open = || {
            let process = Arc::clone(&self.simulation.process) as Arc<dyn Process>;
            configured(self.folder.path(), &offices).open(process).unwrap()
        };
        Arc::clone(self.of_offices.entry(offices.clone()).or_insert_with(open))
    }

    /// Writes each step of the run to standard error.
    pub fn trace(&self) {
        self.simulation.process.trace();
    }

    /// One batch, as `run --once` does it; its summary.
    pub fn run(&mut self, batch: &Batch) -> Value {
        put_batch(self.folder.path(), batch);
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
        self.flow_of(batch).batch(&request).unwrap();
        let summary = summary.into_inner().unwrap();
        serde_json::from_str(&summary).unwrap()
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
        let now = summary["now"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let mut output = Output::new(process.flow_partitions());
        output.inherit(now, Headers::default());
        // The exporters show their counts when the clock ticks; the schedule must not start a run.
        let mut value = Vec::new();
        process.codec().encode(&Clock { now }, &mut value).unwrap();
        output.broadcast(&topics::EXPORTS, b"clock", |buffer| buffer.extend_from_slice(&value));
        // Not through the process: it may deliver what is published in another order, and later.
        let broker = self.simulation.process.broker();
        let mut tries = (0..1_000).map(|_| broker.producer("clock").publish(&output));
        assert!(tries.any(|published| published.is_ok()), "the clock cannot be published");
        process.settle(&|| None).unwrap();
        // Markers of commits that are still on their way arrive.
        broker.stop_faults();
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

/// The exchange with its folders below `folder`, for these offices.
fn configured(folder: &Path, offices: &str) -> Arc<dyn ConfiguredFlow> {
    let path = |name: &str| folder.join(name).display().to_string();
    let once = Arg::new("once").long("once").action(ArgAction::SetTrue);
    let (inbox, tis, outbox) = (path("inbox"), path("tis"), path("outbox"));
    let typed = ["run", "--once", "--records", "--inbox", &inbox, "--tis", &tis, "--outbox", &outbox];
    let options = Esr.run_options(Command::new("run").arg(once));
    let options = options.get_matches_from(typed.into_iter().chain(["--offices", offices]));
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
