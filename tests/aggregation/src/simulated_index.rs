//! The stages of the index at work on a memory log of their own, and what sends to them.

use std::sync::Arc;

use tributary_aggregation::declaration::{DECLARATION, processor};
use tributary_aggregation::ei_settings::IndexSettings;
use tributary_aggregation::index::IndexContext;
use tributary_aggregation::transaction::{SentEngagement, SentTransaction};
use tributary_aggregation::{process_notification, topics, update};
use tributary_aggregation_oracle::{Request, Rules, Subscriber, Transaction};
use tributary_runtime::conformance::{SimulatedWorkers, without_time};
use tributary_runtime::memory::{Broker, BrokerConfig, Faults, SimulationRng};
use tributary_runtime::{CommitLimits, Headers, Output, Producer as _, WorkerConfig};
use tributary_schemas::records::aggregation::{Interaction, SubscriberFilter, SubscriberList};
use tributary_schemas::records::tributary::Clock;
use tributary_schemas::types::aggregation::PatientId;
use tributary_schemas::{Codec, CodecBuilder, LocalRegistry, records};

/// The address of the index.
pub const OWN: &str = "SE-EI";

/// When simulations begin, in milliseconds since 1970: 2027-01-15T08:00:00Z.
pub const BEGIN: i64 = 1_800_000_000_000;

/// The number of patients.
pub const PATIENTS: usize = 5;

/// The index and its log.
pub struct SimulatedIndex {
    /// Decides what happens.
    pub rng: SimulationRng,
    /// The time of the records that are sent.
    pub time: i64,
    pub(crate) broker: Broker,
    pub(crate) codec: Codec,
    pub(crate) partitions: i32,
    context: IndexContext,
    faults: Option<Faults>,
    workers: SimulatedWorkers,
}

impl SimulatedIndex {
    /// Starts the index with these settings.
    pub fn new(seed: u64, settings: IndexSettings, faults: Option<Faults>) -> Self {
        let mut rng = SimulationRng::new(seed ^ 0xa99);
        let partitions = 1 + rng.below(4) as i32;
        let broker = Broker::new(BrokerConfig { faults, ..BrokerConfig::like_kafka() });
        broker.create_topics(&DECLARATION.topics(), partitions);
        let codec = CodecBuilder::new(Arc::new(LocalRegistry::in_memory())).topics(DECLARATION.topics());
        let codec = codec.build().unwrap();
        let context = IndexContext::new(codec.clone(), Arc::new(settings)).unwrap();
        let of_stages = context.clone();
        let make = move |stage, partition| processor(of_stages.clone(), stage, partition);
        let topology = DECLARATION.groups[0].topology(DECLARATION.dead_letters, partitions, make);
        let limits = CommitLimits { records: 1 + rng.below(60) as usize, ..without_time().limits };
        let config = WorkerConfig { limits, poll_records: 1 + rng.below(30) as usize, ..without_time() };
        let workers = SimulatedWorkers::new(broker.clone(), Arc::new(topology), config, 1 + rng.below(3));
        Self { rng, time: BEGIN, broker, codec, partitions, context, faults, workers }
    }

    /// The same settings for the oracle, and where each patient is.
    pub fn rules(&self) -> Rules {
        let settings = &self.context.settings;
        let home = |number| patient(number).partition(self.partitions) as usize;
        Rules {
            own: OWN.to_owned(),
            window: settings.collect_window_ms,
            messages: settings.collect_messages as usize,
            delete_wins: settings.delete_wins,
            homes: (0..PATIENTS).map(home).collect(),
        }
    }

    /// Sends a request. Returns whether it is accepted.
    pub fn send(&mut self, request: &Request) -> bool {
        let sent: Vec<SentTransaction> = request.transactions.iter().map(sent).collect();
        let settings = &self.context.settings;
        let (interaction, accepted) = if request.is_notification {
            (Interaction::ProcessNotification, process_notification::accept(&sent, settings))
        } else {
            (Interaction::Update, update::accept(OWN, &sent, settings))
        };
        let Ok(accepted) = accepted else { return false };
        let mut output = self.output();
        self.context.submit(&mut output, interaction, accepted);
        self.publish(&output);
        true
    }

    /// Replaces the subscribers.
    pub fn subscribe(&mut self, subscribers: &[Subscriber]) {
        self.settle();
        let filter = |(domain, categories): &(String, Vec<String>)| SubscriberFilter {
            service_domain: domain.clone(),
            categories: categories.clone(),
        };
        let subscribers = subscribers.iter().map(|subscriber| records::aggregation::Subscriber {
            filters: subscriber.filters.iter().map(filter).collect(),
            address: subscriber.address.parse().unwrap(),
        });
        let list = SubscriberList { subscribers: subscribers.collect() };
        let mut output = self.output();
        self.context.set_subscribers(&mut output, &list);
        self.publish(&output);
    }

    /// Closes or opens the write lock. When it is opened, what waited goes on before more is sent.
    pub fn lock(&mut self, is_locked: bool) {
        let mut output = self.output();
        self.context.lock(&mut output, is_locked);
        self.publish(&output);
        self.settle();
    }

    /// Moves the time on. What was sent before has its effect before.
    pub fn pass(&mut self, time: i64) {
        self.settle();
        self.time = time;
        let clock = Clock { now: time, ..Clock::default() };
        let mut output = self.output();
        output.broadcast(&topics::INDEX_INBOX, b"", |buffer| self.codec.encode(&clock, buffer).unwrap());
        self.publish(&output);
        self.settle();
    }

    fn output(&self) -> Output {
        let mut output = Output::new(self.partitions);
        output.inherit(self.time, Headers::default());
        output
    }

    fn publish(&mut self, output: &Output) {
        self.broker.producer("simulation").publish(output).unwrap();
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

    /// Ends all workers. Others restore the state when work goes on.
    pub fn restart(&mut self) {
        self.workers.end();
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

/// The id of a patient.
pub fn patient(number: usize) -> PatientId {
    format!("patient-{number}").parse().unwrap()
}

/// A time of the content: whole minutes of an hour.
pub fn content(minute: u64) -> String {
    format!("2026112014{minute:02}00")
}

fn sent(transaction: &Transaction) -> SentTransaction {
    let text = |text: &str| Some(text.to_owned());
    let engagement = &transaction.engagement;
    let sent = SentEngagement {
        registered_resident_identification: text(patient(engagement.patient).as_str()),
        service_domain: text(&engagement.domain),
        categorization: text(&engagement.category),
        logical_address: text("SE-UNIT"),
        business_object_instance_identifier: text(&format!("visit-{}", engagement.object)),
        clinical_process_interest_id: text("NA"),
        most_recent_content: transaction.content.map(content),
        source_system: text("SE-SYSTEM"),
        creation_time: text("20200101000000"),
        update_time: None,
        data_controller: text("SE-CONTROLLER"),
        owner: text(&engagement.owner),
    };
    SentTransaction { delete_flag: transaction.is_delete, engagement: sent }
}
