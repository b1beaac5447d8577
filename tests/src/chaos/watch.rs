//! A reader of what is committed, which watches all the time, and what must be true of what it saw.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use tributary_harness::Services;
use tributary_runtime::{Cleanup, Topic};

/// How long it may take to read to the end.
const END_LIMIT: Duration = Duration::from_mins(2);

/// Topic, partition and offset.
type Place = (String, i32, i64);

/// Hashes of key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sighting {
    key: u64,
    value: u64,
}

/// What is watched.
#[derive(Clone)]
pub(super) struct Watched {
    pub(super) services: Services,
    pub(super) namespace: String,
    pub(super) topics: Vec<&'static Topic>,
    pub(super) partitions: i32,
}

/// A reader at work.
pub struct Watcher {
    watched: Watched,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Reading>,
}

impl Watcher {
    /// Reads from the beginning of the topics, which must exist.
    pub(super) fn start(watched: &Watched) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (reader, is_over) = (watched.clone(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut reading = Reading::begin(&reader);
            while !is_over.load(Ordering::Relaxed) {
                reading.read_next();
            }
            reading.read_to_end();
            reading
        });
        Self { watched: watched.clone(), stop, thread }
    }

    /// Reads to the end, then compares with what the log holds; gives the number of records that were seen.
    pub fn finish(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.thread.join().unwrap().seen;
        let mut reading = Reading::begin(&self.watched);
        reading.read_to_end();
        compare(&self.watched, &seen, &reading.seen);
        seen.len()
    }
}

/// Nothing that was seen may have disappeared or changed, except by compaction; and everything in the log was seen.
fn compare(watched: &Watched, seen: &HashMap<Place, Sighting>, in_the_end: &HashMap<Place, Sighting>) {
    for (place, sighting) in in_the_end {
        assert_eq!(seen.get(place), Some(sighting), "{place:?} was not seen like that");
    }
    let mut newest: HashMap<(&str, i32, u64), i64> = HashMap::new();
    for ((topic, partition, offset), sighting) in seen {
        let last = newest.entry((topic, *partition, sighting.key)).or_default();
        *last = (*last).max(*offset);
    }
    let is_compacted = |name: &str| {
        let topic = watched.topics.iter().find(|topic| watched.name(topic) == name);
        topic.is_some_and(|topic| topic.cleanup == Cleanup::Compact)
    };
    for (place, sighting) in seen.iter().filter(|(place, _)| !in_the_end.contains_key(*place)) {
        let (topic, partition, offset) = place;
        let is_old = newest[&(topic.as_str(), *partition, sighting.key)] > *offset;
        assert!(is_compacted(topic) && is_old, "{place:?} was seen and is gone");
    }
}

impl Watched {
    fn name(&self, topic: &Topic) -> String {
        format!("{}.{}", self.namespace, topic.name)
    }

    fn consumer(&self) -> BaseConsumer {
        consumer(&self.services, &format!("{}-watch", self.namespace))
    }

    /// Every partition, from the first offset that `from` gives.
    fn assignment(&self, from: impl Fn(&str, i32) -> Offset) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for topic in &self.topics {
            let name = self.name(topic);
            for partition in 0..topic.partition_count(self.partitions) {
                list.add_partition_offset(&name, partition, from(&name, partition)).unwrap();
            }
        }
        list
    }
}

/// What one step of reading came to.
enum Step {
    /// A partition is at its end.
    AtEnd,
    /// There is a new client, which reports all ends again.
    Renewed,
    Other,
}

struct Reading {
    watched: Watched,
    consumer: BaseConsumer,
    seen: HashMap<Place, Sighting>,
    next: HashMap<(String, i32), i64>,
}

impl Reading {
    fn begin(watched: &Watched) -> Self {
        let consumer = watched.consumer();
        consumer.assign(&watched.assignment(|_, _| Offset::Beginning)).unwrap();
        Self { watched: watched.clone(), consumer, seen: HashMap::new(), next: HashMap::new() }
    }

    /// Reads a record, if there is one.
    fn read_next(&mut self) -> Step {
        match self.consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                let place = (message.topic().to_owned(), message.partition(), message.offset());
                let found = Sighting { key: hash(message.key()), value: hash(message.payload()) };
                let before = *self.seen.entry(place.clone()).or_insert(found);
                assert_eq!(before, found, "{place:?} has changed");
                self.next.insert((place.0, place.1), place.2 + 1);
                Step::Other
            }
            Some(Err(KafkaError::PartitionEOF(_))) => Step::AtEnd,
            // Once the client has reported that no broker is up, it may not look again (librdkafka issue 5301).
            Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown))) => {
                std::thread::sleep(Duration::from_millis(300));
                self.consumer = self.watched.consumer();
                self.consumer.assign(&self.rest()).unwrap();
                Step::Renewed
            }
            Some(Err(_)) | None => Step::Other,
        }
    }

    /// Reads to the end of each partition, with a new client, which reports each end again.
    fn read_to_end(&mut self) {
        let assignment = self.rest();
        self.consumer = self.watched.consumer();
        self.consumer.assign(&assignment).unwrap();
        let (mut ends, deadline) = (0, Instant::now() + END_LIMIT);
        while ends < assignment.count() {
            assert!(Instant::now() < deadline, "only {ends} of {} partitions have an end", assignment.count());
            match self.read_next() {
                Step::AtEnd => ends += 1,
                Step::Renewed => ends = 0,
                Step::Other => {}
            }
        }
    }

    /// Every partition, from the first offset that was not read yet.
    fn rest(&self) -> TopicPartitionList {
        self.watched.assignment(|topic, partition| {
            self.next.get(&(topic.to_owned(), partition)).map_or(Offset::Beginning, |next| Offset::Offset(*next))
        })
    }
}

/// A client that reads what is committed, without joining `group`.
pub fn consumer(services: &Services, group: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", &services.kafka)
        .set("log.connection.close", "false")
        .set("group.id", group)
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap()
}

fn hash(bytes: Option<&[u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
