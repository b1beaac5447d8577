//! The stages of the flow at work on a memory log of their own, and what sends to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tributary_cases::configuration::{CasesSettings, Ordering, UpdatedPolicy};
use tributary_cases::context::Context;
use tributary_cases::flow::{DECLARATION, Processors};
use tributary_cases::intake::{SenderError, Senders};
use tributary_cases::topics;
use tributary_cases_oracle::{Consumers, Kind, Replay, Rules, Sent};
use tributary_runtime::conformance::{SimulatedWorkers, without_time};
use tributary_runtime::memory::{Broker, BrokerConfig, Faults, SimulationRng};
use tributary_runtime::{
    CommitLimits, Headers, MemoryTables, Output, Producer as _, TableFaults, Tables, Topic, WorkerConfig,
};
use tributary_schemas::records::cases;
use tributary_schemas::records::cases::{
    Acknowledged, Channel, Client, Command, Grant, Origin, Queue, RegistryAction, RegistryFill, RegistryRequest,
};
use tributary_schemas::records::tributary::Clock;
use tributary_schemas::types::cases::{MessageId, OriginName};
use tributary_schemas::{AvroRecord, Codec, CodecBuilder, LocalRegistry};

/// The origin systems. Their case details may be at `https://NAME.example`.
pub const ORIGINS: [&str; 2] = ["esdh-a", "esdh-b"];

/// The clients.
pub const CLIENTS: [&str; 4] = ["archive", "journal-1", "journal-2", "portal"];

/// When simulations begin, in milliseconds since 1970.
pub const BEGIN: i64 = 1_800_000_000_000;

/// One day in milliseconds.
pub const DAY: i64 = 24 * 60 * 60 * 1000;

/// No record of another program comes.
struct NoSenders;

impl Senders for NoSenders {
    fn sender(&self, _: Headers<'_>, _: i64) -> Result<OriginName, SenderError> {
        Err(SenderError::Unavailable("nobody sends in this simulation".to_owned()))
    }
}

/// The flow and its log.
pub struct SimulatedFlow {
    /// Decides what happens.
    pub rng: SimulationRng,
    /// The time of the records that are sent.
    pub time: i64,
    /// Whether the log is compacted now and then.
    pub is_compacted: bool,
    /// The command of each message id.
    messages: BTreeMap<String, u32>,
    pub(crate) broker: Broker,
    pub(crate) codec: Codec,
    pub(crate) partitions: i32,
    context: Context,
    faults: Option<Faults>,
    workers: SimulatedWorkers,
}

impl SimulatedFlow {
    /// Starts the flow with a registry of [`ORIGINS`] and [`CLIENTS`] and these grants: client and origin.
    pub fn new(
        seed: u64,
        (ordering, updated): (Ordering, UpdatedPolicy),
        faults: Option<Faults>,
        grants: &[(&str, &str)],
    ) -> Self {
        let mut rng = SimulationRng::new(seed ^ 0xca5e);
        let partitions = 1 + rng.below(4) as i32;
        let broker = Broker::new(BrokerConfig { faults, ..BrokerConfig::like_kafka() });
        broker.create_topics(&DECLARATION.topics(), partitions);
        let codec = CodecBuilder::new(Arc::new(LocalRegistry::in_memory())).topics(DECLARATION.topics());
        let codec = codec.build().unwrap();
        let settings = CasesSettings { ordering, updated, ..CasesSettings::default() };
        let context = Context::new(codec.clone(), Arc::new(settings));
        // A third of the seeds keep notifications in tables, which fail now and then if other things do.
        let tables = MemoryTables::default();
        tables.set_faults(faults.map(|faults| TableFaults { seed: faults.seed, read: 0.01, write: 0.1 }));
        let tables = seed.is_multiple_of(3).then(|| Arc::new(tables) as Arc<dyn Tables>);
        let processors = Processors::new(context.clone(), Arc::new(NoSenders)).with_tables(tables);
        let make = move |stage, partition| processors.processor(stage, partition);
        let topology = DECLARATION.groups[0].topology(DECLARATION.dead_letters, partitions, make);
        let limits = CommitLimits { records: 1 + rng.below(60) as usize, ..without_time().limits };
        let config = WorkerConfig { limits, poll_records: 1 + rng.below(30) as usize, ..without_time() };
        let workers = SimulatedWorkers::new(broker.clone(), Arc::new(topology), config, 1 + rng.below(3));
        let mut flow = Self {
            rng,
            time: BEGIN,
            is_compacted: true,
            messages: BTreeMap::new(),
            broker,
            codec,
            partitions,
            context,
            faults,
            workers,
        };
        flow.fill(grants);
        flow.settle();
        flow
    }

    /// The same rules for the oracle.
    pub fn rules(updated: UpdatedPolicy) -> Rules {
        let CasesSettings { tombstones, park_for, retention, unread, .. } = CasesSettings::default();
        Rules { tombstones, park_for, retention, unread, overwrites: updated == UpdatedPolicy::Overwrite }
    }

    fn fill(&mut self, grants: &[(&str, &str)]) {
        let origin = |name: &str| Origin {
            client_id: name.to_owned(),
            details: details(name),
            ..Origin::of(name.parse().unwrap())
        };
        let client = |name: &str| Client { client_id: name.to_owned(), ..Client::of(name.parse().unwrap()) };
        let grant = |(client, origin): &(&str, &str)| Grant::of(client.parse().unwrap(), origin.parse().unwrap());
        let fill = RegistryFill {
            by: "simulation".to_owned(),
            origins: ORIGINS.map(origin).to_vec(),
            clients: CLIENTS.map(client).to_vec(),
            grants: grants.iter().map(grant).collect(),
        };
        self.ask(&fill);
    }

    /// Sends a command to its queue.
    pub fn send(&mut self, sent: &Sent) {
        let command = command(sent);
        let message = MessageId::of(&command.origin, command.case_id, command.command_id);
        self.messages.insert(message.to_string(), sent.id);
        let mut output = self.output();
        self.context.submit(&mut output, &command);
        self.publish(&output);
    }

    /// The command whose notification has this message id.
    pub(crate) fn command_of(&self, message: &str) -> u32 {
        self.messages[message]
    }

    /// Gives or revokes a grant.
    pub fn grant(&mut self, is_given: bool, client: &str, origin: &str, case: Option<u32>) {
        let action = if is_given { RegistryAction::GrantAdd } else { RegistryAction::GrantRevoke };
        self.ask(&RegistryRequest {
            action,
            client: Some(client.parse().unwrap()),
            origin: Some(origin.parse().unwrap()),
            case_id: case.map(|case| guid(case).parse().unwrap()),
            ..RegistryRequest::default()
        });
    }

    /// Adds an origin system.
    pub fn put_origin(&mut self, name: &str) {
        self.ask(&RegistryRequest {
            action: RegistryAction::OriginPut,
            origin: Some(name.parse().unwrap()),
            client_id: Some(name.to_owned()),
            details: details(name),
            ..RegistryRequest::default()
        });
    }

    /// Adds or changes a client.
    pub fn put_client(&mut self, name: &str, is_on_broker: bool) {
        self.ask(&RegistryRequest {
            action: RegistryAction::ClientPut,
            client: Some(name.parse().unwrap()),
            client_id: Some(name.to_owned()),
            channel: if is_on_broker { Channel::Rabbitmq } else { Channel::Api },
            ..RegistryRequest::default()
        });
    }

    /// Removes an origin system.
    pub fn delete_origin(&mut self, name: &str) {
        let origin = Some(name.parse().unwrap());
        self.ask(&RegistryRequest { action: RegistryAction::OriginDelete, origin, ..RegistryRequest::default() });
    }

    /// Removes a client.
    pub fn delete_client(&mut self, name: &str) {
        let client = Some(name.parse().unwrap());
        self.ask(&RegistryRequest { action: RegistryAction::ClientDelete, client, ..RegistryRequest::default() });
    }

    /// Tells a client again what its queue keeps.
    pub fn replay(&mut self, client: &str, wanted: Replay) {
        let name = client.parse().unwrap();
        let mut output = self.output();
        let partition = Context::partition_of_client(&output, &topics::CLIENT, &name);
        let record = cases::Replay {
            request: "simulation".to_owned(),
            case_id: wanted.case.map(|case| guid(case).parse().unwrap()),
            from: wanted.from.map(|from| from * 1_000),
            to: wanted.to.map(|to| to * 1_000),
            ..cases::Replay::of(name)
        };
        self.write(&mut output, &topics::CLIENT, partition, &record);
        self.publish(&output);
    }

    /// Holds or resumes a queue.
    pub fn hold(&mut self, is_held: bool, kind: Kind) {
        let action = if is_held { RegistryAction::QueuePause } else { RegistryAction::QueueResume };
        self.ask(&RegistryRequest { action, queue: Some(queue(kind)), ..RegistryRequest::default() });
    }

    /// Moves the time on.
    pub fn pass(&mut self, time: i64) {
        self.time = time;
        self.ask(&Clock { now: time, ..Clock::default() });
    }

    /// A client acknowledges all that it has.
    pub fn acknowledge(&mut self, client: &str, position: i64) {
        let name = client.parse().unwrap();
        let mut output = self.output();
        let partition = Context::partition_of_client(&output, &topics::CLIENT, &name);
        let record = Acknowledged { position, ..Acknowledged::of(name) };
        self.write(&mut output, &topics::CLIENT, partition, &record);
        self.publish(&output);
    }

    fn ask<R: AvroRecord>(&mut self, record: &R) {
        let mut output = self.output();
        self.write(&mut output, &topics::REGISTRY, 0, record);
        self.publish(&output);
    }

    fn output(&self) -> Output {
        let mut output = Output::new(self.partitions);
        output.inherit(self.time, Headers::default());
        output
    }

    fn write<R: AvroRecord>(&self, output: &mut Output, topic: &'static Topic, partition: i32, record: &R) {
        output.send_to(topic, partition, b"simulation", |buffer| self.codec.encode(record, buffer).unwrap());
    }

    fn publish(&mut self, output: &Output) {
        self.broker.producer("simulation").publish(output).unwrap();
    }

    /// Lets workers do a few things.
    pub fn turn(&mut self, most: u64) {
        for _ in 0..self.rng.below(most + 1) {
            self.workers.turn(&mut self.rng);
        }
        if self.is_compacted && self.rng.chance(0.05) {
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

    /// Does all that is left, and ends all workers and faults.
    pub fn end(&mut self) {
        self.settle();
        self.workers.end();
    }

    /// Workers that died, and transactions that were aborted.
    pub fn trouble(&self) -> (u64, u64) {
        (u64::from(self.workers.deaths()), self.workers.metrics().workers().aborts)
    }
}

/// The GUID of a number.
pub fn guid(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// The number of a GUID.
pub fn number(guid: &str) -> u32 {
    guid.rsplit('-').next().unwrap().parse().unwrap()
}

/// The queue of a type of command.
pub fn queue(kind: Kind) -> Queue {
    match kind {
        Kind::Create => Queue::Create,
        Kind::Update => Queue::Update,
        Kind::Close => Queue::Close,
        Kind::Delete => Queue::Delete,
    }
}

fn details(origin: &str) -> Vec<String> {
    vec![format!("https://{origin}.example")]
}

fn command(sent: &Sent) -> Command {
    let host = if sent.is_allowed { &sent.origin } else { "evil" };
    let uri = format!("https://{host}.example/{}", sent.case);
    let (is_create, is_update) = (sent.kind == Kind::Create, sent.kind == Kind::Update);
    let (case, id) = (guid(sent.case).parse().unwrap(), guid(sent.id).parse().unwrap());
    Command {
        queue: queue(sent.kind),
        created: sent.time.filter(|_| is_create),
        updated: sent.time.filter(|_| !is_create),
        case_details_uri: (is_create || (is_update && !sent.is_allowed)).then_some(uri),
        consumers: match &sent.consumers {
            Consumers::Only(names) => Some(names.iter().map(|name| name.parse().unwrap()).collect()),
            _ => None,
        },
        any_consumer: sent.consumers == Consumers::Anyone,
        ..Command::of(sent.origin.parse().unwrap(), case, id)
    }
}
