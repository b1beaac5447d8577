//! The whole flow on the memory log: sources, stages and writer, one step at a time in an order that a seed decides.

mod delivery;
mod held;
mod snapshots;
mod stale;

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tributary_connectors::tis::snapshot::Snapshot;
use tributary_connectors::tis::{Deletions, Held as Ids, KnownLines, Load, Topics};
use tributary_esr::baseline::BASELINE_HEADER;
use tributary_esr::configuration::{EsrSettings, SnapshotContent};
use tributary_esr::context::Context;
use tributary_esr::flow::{DECLARATION, Processors};
use tributary_esr::inbound::Inbound;
use tributary_esr::inbox::{Fingerprint, Inbox};
use tributary_esr::report::{Event, Report};
use tributary_esr::topics;
use tributary_flow::whole_file::FileSink;
use tributary_oracle::Batch;
use tributary_runtime::memory::{Broker, BrokerConfig, Faults, SimulationRng};
use tributary_runtime::{
    CommitLimits, Headers, Lag, Log, Metrics, Output, Producer, Role, SnapshotConfig, Step, Topic, Topology, Worker,
    WorkerConfig,
};
use tributary_schemas::records::esr::{FileKind, RunRequested};
use tributary_schemas::{CodecBuilder, LocalRegistry};

use delivery::{Collector, scattered};
pub use held::{Held, OfficeFigures, Record};
use snapshots::Snapshots;

use crate::snapshot_folder;

const SETTLE_LIMIT: u32 = 2_000_000;

/// An outbox in memory. A file that is written again must have the same bytes.
#[derive(Default)]
pub struct Outbox {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    released: Mutex<Vec<String>>,
}

impl FileSink for Outbox {
    fn write(&self, name: &str, content: &[u8]) -> Result<(), String> {
        let mut files = self.files.lock().unwrap();
        if let Some(before) = files.get(name) {
            assert_eq!(before, content, "{name} was written again with other bytes");
            self.released.lock().unwrap().push(name.to_owned());
        }
        files.insert(name.to_owned(), content.to_owned());
        Ok(())
    }
}

/// What makes a run hard.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Trouble {
    /// Crashes, aborts, rebalances and the like.
    pub faults: Option<Faults>,
    /// The sources' records come in pieces and in any order that keeps the order of files.
    pub scattered: bool,
}

/// The flow, its log and its outbox.
pub struct SimulatedFlow {
    context: Context,
    broker: Broker,
    rng: SimulationRng,
    groups: Vec<(Arc<Topology>, Arc<Metrics>, WorkerConfig)>,
    /// Workers with the number of their group; `None` while a worker is down.
    workers: Vec<(usize, Option<Worker>)>,
    outbox: Arc<Outbox>,
    inbox: Inbox,
    baseline: bool,
    /// Lines of the last snapshot, which a process keeps until it ends.
    known_lines: KnownLines,
    /// How many events had been reported when the flow was last looked at.
    events_before: i64,
    /// Objects of TIS that were held then.
    ids: Ids,
    partitions: i32,
    trouble: Trouble,
    /// Whether the log is compacted now and then.
    compacted: bool,
    /// Snapshots of tasks, in some runs.
    snapshots: Option<Snapshots>,
    /// Whether each step is told on standard error.
    traced: bool,
}

impl SimulatedFlow {
    /// A flow that serves `offices`.
    pub fn new(seed: u64, offices: &[&str], trouble: Trouble) -> Self {
        let mut rng = SimulationRng::new(seed ^ 0xf10e);
        let partitions = 1 + rng.below(4) as i32;
        let broker = Broker::new(BrokerConfig { faults: trouble.faults, ..BrokerConfig::like_kafka() });
        broker.create_topics(&DECLARATION.topics(), partitions);
        let registry = Arc::new(LocalRegistry::in_memory());
        let codec = CodecBuilder::new(registry).topics(DECLARATION.topics()).build().unwrap();
        let settings = Arc::new(EsrSettings::load(None, &|_| Err("no files here".to_owned())).unwrap());
        let served: Vec<_> = offices.iter().map(|office| office.parse().unwrap()).collect();
        let configured = settings.configuration.offices.keys().copied().collect();
        let context = Context::new(codec, settings, offices.iter().map(|&office| office.to_owned()).collect());
        let outbox = Arc::new(Outbox::default());
        let sink: Arc<dyn FileSink> = Arc::clone(&outbox) as Arc<dyn FileSink>;
        let processors = Processors::new(context.clone(), sink);
        let compacted = rng.chance(0.5);
        let snapshots = rng.chance(0.1).then(Snapshots::new);
        let groups = DECLARATION
            .groups
            .iter()
            .map(|group| {
                let processors = processors.clone();
                let processor = move |stage, partition| processors.processor(stage, partition);
                let topology = Arc::new(group.topology(DECLARATION.dead_letters, partitions, processor));
                let metrics = Arc::new(Metrics::new(&topology));
                (topology, metrics, worker_config(&mut rng, snapshots.as_ref()))
            })
            .collect();
        let mut workers: Vec<(usize, Option<Worker>)> = (0..=rng.below(3)).map(|_| (0, None)).collect();
        workers.push((1, None));
        let inbox = Inbox::new(served, configured);
        Self {
            context,
            broker,
            rng,
            groups,
            workers,
            outbox,
            inbox,
            baseline: true,
            known_lines: KnownLines::default(),
            events_before: 0,
            ids: Ids::default(),
            partitions,
            trouble,
            compacted,
            snapshots,
            traced: false,
        }
    }

    /// Tells each step of the run on standard error.
    pub fn trace(&mut self) {
        self.traced = true;
    }

    /// One batch, as `run --once` does it.
    pub fn run(&mut self, batch: &Batch) {
        let now = batch.now.as_millisecond();
        let (mut files, mut snapshot) = (Collector::default(), Collector::default());
        self.read_files(batch, now, &mut files);
        self.read_snapshot(batch, now, &mut snapshot);
        let pieces = if self.trouble.scattered {
            scattered(files, snapshot, &mut self.rng, self.partitions)
        } else {
            vec![files.at_once(self.partitions), snapshot.at_once(self.partitions)]
        };
        for piece in pieces {
            self.publish(&piece);
            if self.trouble.scattered {
                (0..self.rng.below(40)).for_each(|_| self.turn());
            } else {
                self.settle();
            }
        }
        self.settle();
        for kind in [FileKind::App, FileKind::Dnc] {
            let request = RunRequested { now, kind, offices: self.context.offices.to_vec(), include_late: false };
            let mut output = self.output(now);
            output.send(&topics::SCHEDULE, b"run", |buffer| self.context.codec.encode(&request, buffer).unwrap());
            self.publish(&output);
            self.settle();
        }
    }

    fn read_files(&mut self, batch: &Batch, now: i64, sink: &mut Collector) {
        let contents: HashMap<&str, &[u8]> =
            batch.files.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
        // Every file of a batch is new or changed, so nothing of it is known by size and time.
        let entries = batch
            .files
            .iter()
            .map(|(name, content)| (name.clone(), Fingerprint { size: content.len() as u64, modified: now }));
        for file in self.inbox.look(entries, &HashMap::new()).files {
            let mut output = self.output(now);
            let content = contents[file.name.original().as_str()];
            file.write(content, &self.context.codec, &mut output).unwrap();
            sink.publish(&output).unwrap();
        }
    }

    fn read_snapshot(&mut self, batch: &Batch, now: i64, sink: &mut Collector) {
        let folder = tempfile::tempdir().unwrap();
        snapshot_folder::lay_out(folder.path(), &batch.snapshot);
        let snapshot = Snapshot::open(folder.path()).unwrap();
        if snapshot.is_empty() {
            return;
        }
        let settings = self.context.settings.configuration.snapshot.clone();
        if self.rng.chance(0.5) {
            self.known_lines = KnownLines::default();
        }
        let load = Load {
            codec: &self.context.codec,
            topics: Topics { posts: &topics::TIS_POST, placements: &topics::TIS_PLACEMENT, people: &topics::TIS_PERSON },
            deletions: Deletions {
                from_full_snapshots: settings.content == SnapshotContent::Full,
                refuse_percent: settings.refuse_deletions_percent,
                refuse_count: settings.refuse_deletions_count,
                setting: "esr.snapshot.refuse_deletions_percent",
            },
            flow_partitions: self.partitions,
            header: self.baseline.then_some(BASELINE_HEADER),
            now,
            known: &self.known_lines,
        };
        let report = load.run(&snapshot, &self.ids, sink).unwrap();
        self.known_lines = report.known;
        self.baseline = false;
    }

    /// The files written so far.
    pub fn files(&self) -> BTreeMap<String, String> {
        let files = self.outbox.files.lock().unwrap();
        files.iter().map(|(name, content)| (name.clone(), String::from_utf8(content.clone()).unwrap())).collect()
    }

    /// How many moments there were at which a process could die; see [`Faults::die_at`].
    pub fn moments(&self) -> u64 {
        self.broker.moments()
    }

    /// What was happening when a process died of [`Faults::die_at`].
    pub fn death(&self) -> Option<String> {
        self.broker.death()
    }

    /// How many answers reached a position after answers to a later subscription of it.
    pub fn stale_answers(&self) -> usize {
        stale::answers(&self.broker, &self.context.codec, self.partitions)
    }

    /// What the stages hold now.
    pub fn look(&mut self) -> Held {
        let mut held = Held::default();
        let mut ids = Ids::default();
        let first = self.events_before;
        self.inspect(&mut |processor| held.add(processor, &mut ids, first));
        held.records.sort();
        self.ids = ids;
        self.events_before = held.events;
        held
    }

    /// Everything that was reported, and the ledger, as text: for the message of a failed test.
    pub fn report(&mut self) -> String {
        let mut text = String::new();
        self.inspect(&mut |processor| {
            if let Some(report) = processor.downcast_ref::<Report>() {
                for event in report.events_since(0) {
                    match event {
                        Event::File(file) => {
                            text.push_str(&format!("{} {:?} {}\n", file.file_name, file.status, file.note));
                        }
                        Event::Alert(alert) if alert.code == "left-blank" => {}
                        Event::Alert(alert) => text.push_str(&format!("alert {}: {}\n", alert.code, alert.text)),
                    }
                }
            }
            if let Some(inbound) = processor.downcast_ref::<Inbound>() {
                for (name, entry) in inbound.ledger() {
                    text.push_str(&format!("ledger {name} {:?}\n", entry.status));
                }
            }
        });
        for partition in 0..self.partitions {
            for letter in self.broker.read_committed(topics::DEAD_LETTER.name, partition) {
                let headers: Vec<String> = letter
                    .headers()
                    .iter()
                    .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)))
                    .collect();
                text.push_str(&format!("dead letter {}\n", headers.join(" ")));
            }
        }
        text
    }

    /// Inspects every processor of a state that nobody is changing: with all partitions assigned.
    fn inspect(&mut self, each: &mut dyn FnMut(&dyn Any)) {
        self.broker.stop_faults();
        for (_, worker) in &mut self.workers {
            if let Some(mut worker) = worker.take() {
                let _ = worker.close();
            }
        }
        let (topology, metrics, config) = &self.groups[0];
        for slot in 0..self.workers.len() {
            self.broker.expire(topology.flow, &format!("{}-{slot}", topology.flow));
        }
        let log: Box<dyn Log> = Box::new(self.broker.open(topology.flow, "inspector", &inboxes(topology)).unwrap());
        let mut worker = Worker::new(Arc::clone(topology), config.clone(), log, Arc::clone(metrics));
        for _ in 0..50 {
            worker.step().unwrap();
        }
        worker.inspect(&mut |_, _, processor| each(processor)).unwrap();
        worker.close().unwrap();
        if let Some(faults) = self.trouble.faults {
            self.broker.start_faults(faults);
        }
    }

    fn output(&self, now: i64) -> Output {
        let mut output = Output::new(self.partitions);
        output.inherit(now, Headers::default());
        output
    }

    fn publish(&self, output: &Output) {
        self.broker.producer("sources").publish(output).unwrap();
    }

    /// Lets workers go on in a random order until nothing is left to do.
    fn settle(&mut self) {
        let inboxes: Vec<(String, &'static Topic)> = self
            .groups
            .iter()
            .flat_map(|(topology, ..)| inboxes(topology).into_iter().map(|inbox| (topology.flow.to_owned(), inbox)))
            .collect();
        let lag = self.broker.lag(inboxes);
        let mut turns = 0;
        while lag.lag().unwrap() > 0 {
            self.turn();
            turns += 1;
            assert!(turns < SETTLE_LIMIT, "does not settle: {:?} records are left", lag.lag());
        }
    }

    fn turn(&mut self) {
        if self.compacted && self.rng.chance(0.002) {
            self.tell(|| "the log is compacted".to_owned());
            self.broker.compact();
        }
        let slot = self.rng.below(self.workers.len() as u64) as usize;
        let group = self.workers[slot].0;
        let Some(mut worker) = self.workers[slot].1.take() else {
            let (topology, metrics, config) = &self.groups[group];
            let id = format!("{}-{slot}", topology.flow);
            let log: Box<dyn Log> = Box::new(self.broker.open(topology.flow, &id, &inboxes(topology)).unwrap());
            let worker = Worker::new(Arc::clone(topology), config.clone(), log, Arc::clone(metrics));
            self.workers[slot].1 = Some(worker);
            self.tell(|| format!("{id} starts"));
            return;
        };
        let step = worker.step();
        self.tell(|| format!("{}-{slot}: {step:?}", self.groups[group].0.flow));
        match step {
            Ok(Step::Unavailable(_)) if self.rng.chance(0.2) => self.worker_is_gone(),
            Ok(_) => self.workers[slot].1 = Some(worker),
            Err(error) => {
                assert!(error.can_restart(), "{error}");
                self.worker_is_gone();
            }
        }
    }

    fn worker_is_gone(&mut self) {
        let Some(snapshots) = &mut self.snapshots else { return };
        for text in snapshots.disturb(&mut self.rng) {
            self.tell(|| text.clone());
        }
    }

    fn tell(&self, text: impl Fn() -> String) {
        if self.traced {
            eprintln!("{}", text());
        }
    }
}

fn inboxes(topology: &Topology) -> Vec<&'static Topic> {
    let inboxes: Vec<&'static Topic> = topology.stages.iter().map(|stage| stage.inbox).collect();
    debug_assert!(inboxes.iter().all(|inbox| inbox.role == Role::Inbox));
    inboxes
}

/// Time must not decide anything.
fn worker_config(rng: &mut SimulationRng, snapshots: Option<&Snapshots>) -> WorkerConfig {
    let limits = CommitLimits { time: Duration::from_hours(1), records: 1 + rng.below(200) as usize, bytes: 1 << 20 };
    WorkerConfig {
        limits,
        poll_timeout: Duration::ZERO,
        linger: Duration::ZERO,
        poll_records: 1 + rng.below(100) as usize,
        unavailable: Duration::from_hours(1),
        snapshots: snapshots.map(|folder| SnapshotConfig {
            every: Duration::ZERO,
            ..SnapshotConfig::new(folder.folder().to_owned(), "simulation")
        }),
        ..WorkerConfig::default()
    }
}
