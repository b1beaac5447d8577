//! The stage at work on a memory log of its own, a caller that is killed now and then, and a register that answers as a
//! seed decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tributary_flow::configuration::Source;
use tributary_registry::caller::{CallName, Caller};
use tributary_registry::configuration::{Kind, RegistrySettings};
use tributary_registry::context::Context;
use tributary_registry::declaration::{DECLARATION, processor};
use tributary_registry::row_key::RowKey;
use tributary_registry::ticking::Ticking;
use tributary_registry::topics;
use tributary_registry_oracle::{Oracle, Outcome, Place, Rules, Run};
use tributary_runtime::conformance::{SimulatedWorkers, without_time};
use tributary_runtime::memory::{Broker, BrokerConfig, Faults, SimulationRng};
use tributary_runtime::{CommitLimits, Headers, Output, Producer as _, Topic, WorkerConfig, partition_for_key};
use tributary_schemas::records::registry::{
    Call, CallAnswer, CallError, CallOutcome, CommandAction, ErrorClass, JobCommand, JobRow, JobStatus, LookupRequest,
};
use tributary_schemas::records::tributary::Clock;
use tributary_schemas::types::registry::{CallId, ErrorCode, KindName, RowId, RunId, UserId};
use tributary_schemas::{AvroRecord, Codec, CodecBuilder, LocalRegistry};

/// When simulations begin, in milliseconds since 1970.
pub const BEGIN: i64 = 1_800_000_000_000;

/// How a simulation is configured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setting {
    /// When rows are purged, in milliseconds.
    pub purge_after: Option<i64>,
    /// Rows of a partition that may be pending. `None`: enough.
    pub max_pending: Option<usize>,
}

/// How the register answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// As the seed decides.
    Moody,
    /// Not at all.
    Down,
    /// With data.
    Good,
}

/// A call that is under way.
struct Flight {
    name: CallName,
    call: Call,
    number: u8,
}

/// The flow, its log, its caller and its oracle.
pub struct SimulatedFlow {
    /// Decides what happens.
    pub rng: SimulationRng,
    /// The time.
    pub time: i64,
    /// How the register answers.
    pub register: Register,
    /// What has to become of all rows.
    pub oracle: Oracle,
    /// Calls that the register has seen, by run and attempt.
    pub called: BTreeMap<(Run, i32), u32>,
    pub(crate) broker: Broker,
    pub(crate) codec: Codec,
    pub(crate) partitions: i32,
    /// The runs as the oracle names them.
    pub(crate) runs: BTreeMap<RunId, Run>,
    context: Context,
    kind: Kind,
    faults: Option<Faults>,
    workers: SimulatedWorkers,
    caller: Caller,
    flights: Vec<Flight>,
    ticking: Ticking,
    next: u32,
}

fn settings(setting: Setting) -> RegistrySettings {
    let purge = setting.purge_after.map_or_else(|| "off".to_owned(), |after| format!("{after}ms"));
    let pending = setting.max_pending.unwrap_or(10_000);
    let text = format!(
        "[registry]\npurge_after = \"{purge}\"\nmax_pending = {pending}\n[registry.calls]\njitter = 0.0\n\
         [registry.job.unzr]\nservice.member_code = \"00000001\"\n"
    );
    RegistrySettings::load(Some(&Source::new("simulation", text))).unwrap()
}

/// The same for the oracle.
fn rules(setting: Setting) -> Rules {
    Rules {
        attempts: 5,
        base: 15_000,
        factor: 1000,
        cap: 300_000,
        deadline: 900_000,
        restarts: 1,
        purge_after: setting.purge_after,
        max_pending: setting.max_pending.unwrap_or(10_000),
    }
}

fn guid(group: u8, number: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[0] = group;
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// The number that a GUID of these was made of.
pub(crate) fn number_of(bytes: &[u8; 16]) -> u32 {
    u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]])
}

fn row_key(number: u8) -> RowKey {
    RowKey::new([number; 32])
}

impl SimulatedFlow {
    /// Starts the flow.
    pub fn new(seed: u64, setting: Setting, faults: Option<Faults>) -> Self {
        let mut rng = SimulationRng::new(seed ^ 0x10b5);
        let partitions = 1 + rng.below(4) as i32;
        let settings = Arc::new(settings(setting));
        let name: KindName = "unzr".parse().unwrap();
        let kind = settings.kind(&name).unwrap().clone();
        let broker = Broker::new(BrokerConfig { faults, ..BrokerConfig::like_kafka() });
        let topics: Vec<&'static Topic> = DECLARATION.topics().into_iter().chain([kind.call_topic]).collect();
        broker.create_topics(&topics, partitions);
        let codec = CodecBuilder::new(Arc::new(LocalRegistry::in_memory())).topics(DECLARATION.topics());
        let codec = codec.build().unwrap();
        let context = Context::new(codec.clone(), settings);
        let of_stages = context.clone();
        let make = move |stage, _| processor(of_stages.clone(), stage);
        let topology = DECLARATION.groups[0].topology(DECLARATION.dead_letters, partitions, make);
        let limits = CommitLimits { records: 1 + rng.below(20) as usize, ..without_time().limits };
        let config = WorkerConfig { limits, poll_records: 1 + rng.below(10) as usize, ..without_time() };
        let workers = SimulatedWorkers::new(broker.clone(), Arc::new(topology), config, 1 + rng.below(3));
        Self {
            rng,
            time: BEGIN,
            register: Register::Moody,
            oracle: Oracle::new(rules(setting)),
            called: BTreeMap::new(),
            broker,
            codec,
            partitions,
            runs: BTreeMap::new(),
            caller: Caller::new(kind.calls),
            context,
            kind,
            faults,
            workers,
            flights: Vec::new(),
            ticking: Ticking::new(),
            next: 0,
        }
    }

    /// The row of a number in the oracle.
    pub fn place(&self, number: u8) -> Place {
        (partition_for_key(row_key(number).to_string().as_bytes(), self.partitions), number)
    }

    /// A new id for whatever begins a run. It is that of its row and its HTTP request, too.
    fn begin(&mut self) -> (u32, RunId) {
        self.next += 1;
        let run = RunId::from_bytes(guid(2, self.next));
        let (mut each, mut restarts) = (run, 0);
        while restarts < 4 {
            self.runs.insert(each, (self.next, restarts));
            (each, restarts) = (each.next(), restarts + 1);
        }
        (self.next, run)
    }

    /// A user asks for a number.
    pub fn ask(&mut self, number: u8, user: u32, now: i64) {
        let (request, run) = self.begin();
        let record = LookupRequest {
            now,
            number: vec![number],
            request_id: Some(format!("request-{request}")),
            ..LookupRequest::of(
                self.kind.name.clone(),
                RowId::from_bytes(guid(1, request)),
                run,
                UserId::from_bytes(guid(4, user)),
            )
        };
        self.publish(|context, output| context.ask(output, row_key(number), &record));
        self.oracle.ask(self.place(number), request, user, now);
    }

    /// An operator commands.
    pub fn command(&mut self, number: u8, action: CommandAction) {
        let (request, run) = self.begin();
        let by = UserId::from_bytes(guid(4, 9));
        let record =
            JobCommand { action, now: self.time, run_id: Some(run), ..JobCommand::of(self.kind.name.clone(), by) };
        self.publish(|context, output| context.command(output, row_key(number), &record));
        let (place, now) = (self.place(number), self.time);
        match action {
            CommandAction::Retry => self.oracle.retry(place, request, 9, now),
            CommandAction::Cancel => self.oracle.cancel(place, now),
            CommandAction::Purge => self.oracle.purge(place),
            CommandAction::Pause | CommandAction::Resume | CommandAction::Rekey => {}
        }
    }

    fn publish(&self, write: impl FnOnce(&Context, &mut Output)) {
        let mut output = Output::new(self.partitions);
        output.inherit(self.time, Headers::default());
        write(&self.context, &mut output);
        self.broker.producer("simulation").publish(&output).unwrap();
    }

    /// The newest committed record of each key, by partition.
    fn newest(&self, topic: &'static Topic) -> BTreeMap<(i32, RowKey), Option<Vec<u8>>> {
        let mut newest = BTreeMap::new();
        for partition in 0..self.partitions {
            for record in self.broker.read_committed(topic.name, partition) {
                newest.insert((partition, RowKey::read(&record.key).unwrap()), record.value);
            }
        }
        newest
    }

    fn read<R: AvroRecord>(&self, value: &[u8]) -> R {
        self.codec.open(value).unwrap().read().unwrap()
    }

    /// The rows as others see them.
    pub fn rows(&self) -> BTreeMap<(i32, RowKey), JobRow> {
        let newest = self.newest(&topics::ROW).into_iter();
        newest.filter_map(|(place, value)| Some((place, self.read(&value?)))).collect()
    }

    /// Partitions whose rows wait for the time learn it.
    pub fn tick(&mut self) {
        let settings = Arc::clone(&self.context.settings);
        for ((partition, row), value) in self.newest(&topics::ROW) {
            let read = value.map(|value| self.read::<JobRow>(&value));
            self.ticking.note(row, partition, read.as_ref(), &settings);
        }
        let told: BTreeSet<i32> = self.ticking.tell(self.time, &settings);
        for partition in told {
            let clock = Clock { now: self.time, ..Clock::default() };
            self.publish(|context, output| {
                let codec = &context.codec;
                output.send_to(&topics::JOB, partition, b"clock", |buffer| codec.encode(&clock, buffer).unwrap());
            });
            self.oracle.clock(partition, self.time);
        }
    }

    /// The process of the caller is killed, and another one starts: all that it had not written to the log is gone.
    pub fn kill_caller(&mut self) {
        self.caller = Caller::new(self.kind.calls);
        self.flights.clear();
    }

    /// The caller reads the topic of its calls and begins those that may begin.
    pub fn begin_calls(&mut self) {
        for ((partition, row), value) in self.newest(self.kind.call_topic) {
            let call = value.map(|value| self.read::<Call>(&value));
            self.caller.note(row, partition, call);
        }
        while let Some((name, call)) = self.caller.begin(self.time) {
            let run = self.runs[&name.run];
            *self.called.entry((run, name.attempt)).or_default() += 1;
            let number = call.number[0];
            self.flights.push(Flight { name, call, number });
        }
    }

    /// Lets workers work until a call has begun. What they commit may be visible late: behind a transaction of a worker
    /// that died.
    pub fn wait_for_call(&mut self) {
        for _ in 0..1000 {
            self.turn(20);
            self.begin_calls();
            if !self.flights.is_empty() {
                return;
            }
        }
        panic!("no call begins");
    }

    /// One call that is under way ends, and the log has its answer.
    pub fn end_call(&mut self) {
        if self.flights.is_empty() {
            return;
        }
        let at = self.rng.below(self.flights.len() as u64) as usize;
        let Flight { name, call, number } = self.flights.swap_remove(at);
        let outcome = self.outcome();
        let is_technical = matches!(outcome, Outcome::Again(_));
        let record = answer(&call, outcome, self.time);
        self.publish(|context, output| context.answer(output, name.row, &record));
        let (place, run) = (self.place(number), self.runs[&name.run]);
        self.oracle.answer(place, run, name.attempt.unsigned_abs(), outcome, self.time);
        self.caller.ended(name, is_technical, self.time);
    }

    fn outcome(&mut self) -> Outcome {
        match (self.register, self.rng.below(10)) {
            (Register::Good, _) | (Register::Moody, 0..=2) => Outcome::Found(self.rng.below(1000) as u32),
            (Register::Down, _) | (Register::Moody, 5..=6) => Outcome::Again(None),
            (Register::Moody, 3..=4) => Outcome::Empty,
            (Register::Moody, 7) => Outcome::Again(Some(self.rng.below(400_000) as i64)),
            (Register::Moody, 8) => Outcome::Unreadable,
            (Register::Moody, _) => Outcome::Final,
        }
    }

    /// Lets workers do a few things.
    pub fn turn(&mut self, most: u64) {
        for _ in 0..self.rng.below(most + 1) {
            self.workers.turn(&mut self.rng);
        }
        if self.rng.chance(0.05) {
            self.broker.compact();
        }
    }

    /// Lets workers do all that is left. What they have committed is visible afterwards.
    pub fn settle(&mut self) {
        self.workers.settle(&mut self.rng);
        self.broker.stop_faults();
        if let Some(faults) = self.faults {
            self.broker.start_faults(faults);
        }
    }

    /// Lets the register answer and the time pass until no row is pending.
    pub fn finish(&mut self) {
        for _ in 0..500 {
            self.settle();
            if self.rows().values().all(|row| row.status != JobStatus::Pending) {
                return;
            }
            self.begin_calls();
            while !self.flights.is_empty() {
                self.end_call();
            }
            self.settle();
            self.time += 5000;
            self.tick();
        }
        panic!("rows stay pending: {:?}", self.rows());
    }

    /// Ends all workers and faults.
    pub fn end(&mut self) {
        self.settle();
        self.workers.end();
    }

    /// Workers that died, and transactions that were aborted.
    pub fn trouble(&self) -> (u64, u64) {
        (u64::from(self.workers.deaths()), self.workers.metrics().workers().aborts)
    }
}

/// The record of an outcome.
fn answer(call: &Call, outcome: Outcome, now: i64) -> CallAnswer {
    let error = |error_class, code: &str, retryable| {
        Some(CallError { error_class, code: ErrorCode::of(code), retryable, id: None })
    };
    let failed = |error, retry_after| (CallOutcome::Failed, None, error, retry_after);
    let (outcome, info, error, retry_after) = match outcome {
        Outcome::Found(data) => (CallOutcome::Found, Some(data.to_be_bytes().to_vec()), None, None),
        Outcome::Empty => (CallOutcome::Empty, None, None, None),
        Outcome::Again(pause) => failed(error(ErrorClass::Transport, "timeout", true), pause),
        Outcome::Unreadable => failed(error(ErrorClass::Decode, "not_xml", true), None),
        Outcome::Final => failed(error(ErrorClass::Fault, "Client", false), None),
    };
    CallAnswer {
        attempt: call.attempt,
        now,
        outcome,
        info,
        error,
        retry_after,
        call_id: Some(CallId::from_bytes(guid(3, 1))),
        ..CallAnswer::of(call.kind.clone(), call.run_id)
    }
}
