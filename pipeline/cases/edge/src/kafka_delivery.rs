//! Copies the queues of clients on Kafka to topics of their own, in the process that leads.
//!
//! The copies, the position up to which a queue is copied, and its acknowledgement are one transaction. A process that
//! takes over first opens the producer, which ends the transaction of the former one for good, and then reads the
//! positions. So each notification is there once for those who read committed records.

mod client_topics;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tributary_cases::context::Context;
use tributary_cases::topics;
use tributary_flow::{Failure, Process, framed};
use tributary_runtime::trouble::Troubles;
use tributary_runtime::{Headers, LogError, Output, Producer, Shutdown, Topic, TopicPartition};
use tributary_schemas::records::cases::{Channel, Delivered};
use tributary_schemas::types::cases::ClientName;

use crate::kept_queues::Entry;
use crate::rows::folded;
use crate::service::Service;
use crate::{cloud_events, events};
use client_topics::ClientTopics;

/// The name of the producer in all processes.
const PRODUCER: &str = "kafka-delivery";

/// The type of the values: Avro with the frame of the registry.
const CONTENT_TYPE: &str = "application/avro";

/// Notifications in one transaction.
const MOST_AT_ONCE: usize = 1_000;

/// The pause when there is nothing to copy.
const PAUSE: Duration = Duration::from_millis(20);

/// The pause after the log has failed, and the first one after a client has.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest pause after a client has failed.
const LONGEST_RETRY: Duration = Duration::from_mins(1);

/// The pause after another process has taken over. By then this one knows that it does not lead, if so it is.
const FENCED_PAUSE: Duration = Duration::from_secs(6);

/// The subject of troubles that are not of one client.
const ALL: &str = "all clients on Kafka";

/// The thread that copies.
pub(crate) struct KafkaDelivery {
    stop: Shutdown,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl KafkaDelivery {
    /// Starts the thread. It ends with this value.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when there is no thread.
    pub(crate) fn start(
        process: &Arc<dyn Process>,
        context: &Context,
        service: &Arc<Service>,
    ) -> Result<Self, Failure> {
        let stop = process.shutdown().child();
        let copying = Copying {
            process: Arc::clone(process),
            context: context.clone(),
            service: Arc::clone(service),
            stop: stop.clone(),
            topics: ClientTopics::new(&context.settings),
            term: None,
            held_back: HashMap::new(),
            troubles: Troubles::new(),
        };
        let thread = std::thread::Builder::new().name("cases-kafka".to_owned());
        let thread = thread.spawn(move || copying.run()).map_err(Failure::unfinished)?;
        Ok(Self { stop, thread: Mutex::new(Some(thread)) })
    }
}

impl Drop for KafkaDelivery {
    fn drop(&mut self) {
        self.stop.trigger();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            events::kafka_delivery_panicked();
        }
    }
}

/// What the leading process has.
struct Term {
    producer: Box<dyn Producer>,
    /// Up to where queues are copied, by name of the client in lower case.
    delivered: HashMap<String, i64>,
    /// Topics that are known to be there.
    provided: HashSet<&'static str>,
}

/// A client that has failed.
struct HeldBack {
    until: Instant,
    pause: Duration,
}

struct Copying {
    process: Arc<dyn Process>,
    context: Context,
    service: Arc<Service>,
    stop: Shutdown,
    topics: ClientTopics,
    /// `None` while another process leads.
    term: Option<Term>,
    /// Clients that have failed, by name in lower case. They delay nobody else.
    held_back: HashMap<String, HeldBack>,
    troubles: Troubles,
}

impl Copying {
    fn run(mut self) {
        while !self.stop.is_triggered() {
            if !self.service.leading.is_here() {
                self.term = None;
                self.stop.wait(PAUSE);
                continue;
            }
            match self.copy_all() {
                Ok(copied) => {
                    self.troubles.end(ALL, Instant::now()).iter().for_each(events::kafka_delivery_trouble);
                    if copied == 0 {
                        self.stop.wait(PAUSE);
                    }
                }
                Err(_) if self.stop.is_triggered() => return,
                Err(LogError::Fenced(_)) => {
                    self.term = None;
                    events::kafka_delivery_taken_over();
                    self.stop.wait(FENCED_PAUSE);
                }
                Err(error) => {
                    self.term = None;
                    let report = self.troubles.note(ALL, error.to_string(), Instant::now());
                    report.iter().for_each(events::kafka_delivery_trouble);
                    self.stop.wait(FIRST_RETRY);
                }
            }
        }
    }

    /// Copies what is new, one transaction for each client, and says how much it was.
    fn copy_all(&mut self) -> Result<usize, LogError> {
        if self.term.is_none() {
            self.term = Some(self.take_over()?);
        }
        let clients: Vec<ClientName> = {
            let rows = self.service.following.rows();
            let on_kafka = rows.clients.values().filter(|client| client.channel == Channel::Kafka);
            on_kafka.map(|client| client.name.clone()).collect()
        };
        let mut copied = 0;
        for client in clients {
            let key = folded(&client);
            if self.stop.is_triggered() || !self.service.leading.is_here() {
                break;
            }
            if self.held_back.get(&key).is_some_and(|held| held.until > Instant::now()) {
                continue;
            }
            match self.copy(&client) {
                Ok(count) => {
                    copied += count;
                    self.held_back.remove(&key);
                    self.troubles.end(&key, Instant::now()).iter().for_each(events::kafka_delivery_trouble);
                }
                Err(error @ (LogError::Abortable(_) | LogError::Fatal(_))) => self.hold_back(&key, &error),
                Err(error) => return Err(error),
            }
        }
        Ok(copied)
    }

    /// Fences the former producer, and then reads how far it came.
    fn take_over(&self) -> Result<Term, LogError> {
        let producer = self.process.producer(PRODUCER)?;
        let mut delivered = HashMap::new();
        let at = TopicPartition { topic: topics::DELIVERED.name, partition: 0 };
        self.process.follower()?.read_from(at, 0, &mut |record| {
            let Some(value) = record.value else { return Ok(()) };
            let read = self.context.codec.open(value).and_then(|framed| framed.read::<Delivered>());
            // A position that cannot be read must not look as if nothing was copied.
            let row = read.map_err(|error| LogError::unavailable(format!("{at} at {}: {error}", record.offset)))?;
            delivered.insert(folded(&row.client), row.position);
            Ok(())
        })?;
        Ok(Term { producer, delivered, provided: HashSet::new() })
    }

    fn copy(&mut self, client: &ClientName) -> Result<usize, LogError> {
        let topic = self.topics.of(client)?;
        let Some(term) = &mut self.term else { return Ok(0) };
        if !term.provided.contains(topic.name) {
            self.process.provide_topic(topic)?;
            term.provided.insert(topic.name);
        }
        let delivered = term.delivered.get(&folded(client)).copied().unwrap_or(0);
        if self.entries(client, delivered)?.is_none() {
            return Ok(0);
        }
        // What is sent must be permitted as of now, not as of the last look.
        let caught_up = self.service.following.catch_up_blocking(self.process.tokio());
        caught_up.map_err(|problem| LogError::unavailable(problem.detail().to_owned()))?;
        let Some((entries, last)) = self.entries(client, delivered)? else { return Ok(0) };
        let output = self.output(client, topic, &entries, last);
        let Some(term) = &mut self.term else { return Ok(0) };
        if let Err(error) = term.producer.publish(&output) {
            // The topic may be gone.
            term.provided.remove(topic.name);
            return Err(error);
        }
        term.delivered.insert(folded(client), last);
        Ok(entries.len())
    }

    /// The next notifications that the client may see, and the position of the last one that was looked at. `None`
    /// when there is nothing new, or the client is not on Kafka any more.
    fn entries(&self, client: &ClientName, delivered: i64) -> Result<Option<(Vec<Entry>, i64)>, LogError> {
        let rows = self.service.following.rows();
        if rows.clients.get(&folded(client)).is_none_or(|known| known.channel != Channel::Kafka) {
            return Ok(None);
        }
        let after = delivered.max(rows.position(client).acknowledged);
        let look = rows.look(client, (after, i64::MAX), MOST_AT_ONCE);
        let look = look.map_err(|error| LogError::unavailable(error.to_string()).caused_by(error))?;
        let has_any = look.has_hidden || !look.entries.is_empty();
        Ok(has_any.then_some((look.entries, look.looked)))
    }

    fn output(&self, client: &ClientName, topic: &'static Topic, entries: &[Entry], last: i64) -> Output {
        let codec = &self.context.codec;
        let mut output = Output::new(self.process.flow_partitions());
        for entry in entries {
            let headers = cloud_events::headers(&entry.notification, CONTENT_TYPE);
            output.inherit(entry.made, Headers::from_bytes(&headers));
            let key = entry.notification.id.to_string();
            framed::send(codec, &mut output, topic, key.as_bytes(), &*entry.notification);
        }
        output.inherit(Timestamp::now().as_millisecond(), Headers::default());
        let row = Delivered { position: last, ..Delivered::of(client.clone()) };
        framed::send(codec, &mut output, &topics::DELIVERED, client.as_str().as_bytes(), &row);
        self.context.acknowledge_for(&mut output, client, last);
        output
    }

    fn hold_back(&mut self, client: &str, error: &LogError) {
        let before = self.held_back.get(client).map(|held| held.pause * 2);
        let pause = before.unwrap_or(FIRST_RETRY).min(LONGEST_RETRY);
        self.held_back.insert(client.to_owned(), HeldBack { until: Instant::now() + pause, pause });
        let report = self.troubles.note(client, error.to_string(), Instant::now());
        report.iter().for_each(events::kafka_delivery_trouble);
    }
}
