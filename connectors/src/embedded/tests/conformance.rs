//! The suite that every log passes, on the embedded log.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tributary_runtime::conformance::word_count::{GROUP, INBOXES, PARTITIONS, TOPICS};
use tributary_runtime::conformance::{self, Killer, LogFactory, all};
use tributary_runtime::memory::{MemoryLog, OwnedRecord};
use tributary_runtime::{Lag, LogError, Producer};

use super::*;
use crate::embedded::tests::restart::compact;

/// The current log. A power cut replaces it.
type Current = Arc<Mutex<Option<EmbeddedLog>>>;

struct Embedded {
    current: Current,
    state: tempfile::TempDir,
    killer: Killer,
    folders: Vec<tempfile::TempDir>,
}

impl Embedded {
    fn reopen(&mut self) {
        let mut current = self.current.lock().unwrap();
        drop(current.take());
        let readers = [GroupInboxes { group: GROUP, inboxes: &INBOXES }];
        let log = EmbeddedLog::open(self.state.path(), Fsync::default(), &TOPICS, PARTITIONS, &readers);
        *current = Some(log.unwrap());
    }

    fn with<T>(&self, act: impl FnOnce(&EmbeddedLog) -> T) -> T {
        act(self.current.lock().unwrap().as_ref().unwrap())
    }
}

impl LogFactory for Embedded {
    fn reset(&mut self) {
        drop(self.current.lock().unwrap().take());
        self.state = tempfile::tempdir().unwrap();
        self.reopen();
    }

    fn create_topics(&mut self, topics: &[&'static Topic], flow_partitions: i32) {
        assert_eq!((topics.len(), flow_partitions), (TOPICS.len(), PARTITIONS));
    }

    fn open(&mut self, group: &str, id: &str, inboxes: &[&'static Topic]) -> Box<dyn Log> {
        let log = self.with(|log| log.worker(group, id, inboxes).unwrap());
        self.killer.watch(id, log, MemoryLog::kill)
    }

    fn producer(&mut self, id: &str) -> Box<dyn Producer> {
        Box::new(Surviving { current: Arc::clone(&self.current), id: id.to_owned() })
    }

    fn lag(&mut self, group: &str, inboxes: &[&'static Topic]) -> Box<dyn Lag> {
        let inboxes = inboxes.iter().map(|inbox| (group.to_owned(), *inbox)).collect();
        Box::new(SurvivingLag { current: Arc::clone(&self.current), inboxes })
    }

    fn read_committed(&mut self, topic: &'static Topic, partition: i32) -> Vec<OwnedRecord> {
        self.with(|log| log.read_committed(topic, partition).unwrap())
    }

    fn kill(&mut self, _group: &str, id: &str) {
        self.killer.kill(id);
    }

    fn expire(&mut self, group: &str, id: &str) {
        self.with(|log| log.broker().expire(group, id));
    }

    fn power_cut(&mut self) {
        self.reopen();
    }

    fn compact(&mut self) {
        self.with(|log| {
            for topic in TOPICS.iter().filter(|topic| topic.cleanup == Cleanup::Compact) {
                compact(log, topic, PARTITIONS);
            }
        });
    }

    fn folder(&mut self) -> PathBuf {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        self.folders.push(folder);
        path
    }
}

/// A producer that survives a power cut.
struct Surviving {
    current: Current,
    id: String,
}

impl Producer for Surviving {
    fn publish(&mut self, output: &Output) -> Result<(), LogError> {
        let mut producer = self.current.lock().unwrap().as_ref().unwrap().producer(&self.id);
        producer.publish(output)
    }
}

struct SurvivingLag {
    current: Current,
    inboxes: Vec<(String, &'static Topic)>,
}

impl Lag for SurvivingLag {
    fn lag(&self) -> Result<u64, LogError> {
        self.current.lock().unwrap().as_ref().unwrap().lag(self.inboxes.clone()).lag()
    }
}

impl Embedded {
    fn new() -> Self {
        Self {
            current: Arc::default(),
            state: tempfile::tempdir().unwrap(),
            killer: Killer::default(),
            folders: Vec::new(),
        }
    }
}

#[test]
fn the_embedded_log_conforms() {
    let mut embedded = Embedded::new();
    for (name, test) in all() {
        println!("{name}");
        test(&mut embedded);
    }
}

#[test]
fn a_topic_of_the_embedded_log_is_followed_from_positions_of_the_reader() {
    conformance::a_follower_reads_what_is_committed_once(&mut Embedded::new(), |embedded| {
        Box::new(embedded.with(EmbeddedLog::follower))
    });
}

#[test]
fn ranges_of_the_embedded_log_are_read_up_to_their_ends() {
    conformance::a_follower_reads_ranges_up_to_their_ends(&mut Embedded::new(), |embedded| {
        Box::new(embedded.with(EmbeddedLog::follower))
    });
}
