//! Reads the state of partitions that other members own, before this worker joins their group.
//!
//! A partition that moves is not processed from the moment its owner releases it until its new owner has the state. No
//! member knows beforehand which partitions it will be assigned. A newcomer therefore reads the state of all of them,
//! up to a limit, and then what was written in the meantime. A partition that moves to it lacks only the last changes.

use std::time::{Duration, Instant};

use super::Worker;
use super::restore::Source;
use crate::events;
use crate::task::Task;
use crate::topic::TopicPartition;

/// A newcomer reads the changes written while it was reading, again and again until there are no more than this.
const FEW_ENTRIES: u64 = 10_000;

/// The most rounds of reading: others may write faster than a newcomer reads.
const MOST_ROUNDS: u32 = 5;

/// A newcomer joins after this time, however much it has read: if an owner ends in the meantime, nobody else has its
/// partitions.
const LONGEST: Duration = Duration::from_mins(1);

/// How long the state of partitions that were not assigned is kept.
const KEPT: Duration = Duration::from_secs(30);

/// State of partitions that others own.
#[derive(Default)]
pub(super) struct WarmUp {
    progress: Progress,
    tasks: Vec<Task>,
}

#[derive(Default)]
enum Progress {
    /// The log has not been asked what others own.
    #[default]
    NotBegun,
    Reading(Reading),
    /// Reading has ended.
    Read {
        at: Instant,
    },
    /// The state was used or dropped.
    Over,
}

/// The progress of reading.
struct Reading {
    since: Instant,
    /// Number of the task to read next.
    next: usize,
    round: u32,
    /// Entries of this round.
    entries: u64,
    /// Entries of all rounds.
    all: u64,
}

impl Worker {
    /// Reads the state of one partition that others own. Whether there is more to read before joining the group.
    pub(super) fn warm_up(&mut self) -> bool {
        match &mut self.warm_up.progress {
            Progress::NotBegun => self.begin_warm_up(),
            Progress::Reading(_) => self.read_on(),
            Progress::Read { .. } | Progress::Over => false,
        }
    }

    /// The task of a partition that was assigned: with its state, if that was read before.
    pub(super) fn task_for(&mut self, stage: usize, inbox: TopicPartition) -> Task {
        let found = self.warm_up.tasks.iter().position(|task| task.inbox == inbox);
        let warm = found.map(|place| self.warm_up.tasks.swap_remove(place));
        warm.unwrap_or_else(|| Task::new(stage, &self.topology.stages[stage], inbox))
    }

    /// Forgets the state of partitions that were not assigned, once the assigned ones are restored.
    pub(super) fn end_warm_up(&mut self) {
        if let Progress::Read { at } = self.warm_up.progress
            && (!self.tasks.is_empty() || at.elapsed() > KEPT)
        {
            self.warm_up = WarmUp { progress: Progress::Over, tasks: Vec::new() };
        }
    }

    fn begin_warm_up(&mut self) -> bool {
        self.warm_up.progress = Progress::Over;
        if self.config.warm_up_entries == 0 {
            return false;
        }
        let held = self.log.held_by_others().unwrap_or_else(|error| {
            events::warm_up_skipped(&error);
            Vec::new()
        });
        for inbox in held {
            let found = self.topology.stages.iter().position(|stage| stage.inbox.name == inbox.topic);
            let Some(number) = found.filter(|number| self.topology.stages[*number].changelog.is_some()) else {
                continue;
            };
            self.warm_up.tasks.push(Task::new(number, &self.topology.stages[number], inbox));
        }
        if self.warm_up.tasks.is_empty() {
            return false;
        }
        let reading = Reading { since: Instant::now(), next: 0, round: 1, entries: 0, all: 0 };
        self.warm_up.progress = Progress::Reading(reading);
        true
    }

    fn read_on(&mut self) -> bool {
        let Progress::Reading(reading) = &mut self.warm_up.progress else { return false };
        let task = &mut self.warm_up.tasks[reading.next];
        let snapshots = self.config.snapshots.as_ref();
        let read = Source { log: &mut *self.log, topology: &self.topology, snapshots, unusable: &mut self.unusable }
            .restore(task);
        match read {
            Ok(entries) => reading.count(entries),
            Err(error) => {
                // If the partition is assigned to this worker, its restore meets the same error and reports it.
                events::warm_up_of_task_skipped(task.inbox, &error);
                self.warm_up.tasks.remove(reading.next);
            }
        }
        let more = reading.turn_to_next(self.warm_up.tasks.len(), self.config.warm_up_entries);
        if !more {
            let (entries, time) = (reading.all, reading.since.elapsed());
            let partitions = self.warm_up.tasks.len();
            events::warm_up_done(partitions, entries, time);
            self.warm_up.progress = Progress::Read { at: Instant::now() };
        }
        more
    }
}

impl Reading {
    fn count(&mut self, entries: u64) {
        self.entries += entries;
        self.all += entries;
        self.next += 1;
    }

    /// Whether there is more to read; begins another round when there is.
    fn turn_to_next(&mut self, tasks: usize, most_entries: u64) -> bool {
        if tasks == 0 || self.all >= most_entries || self.since.elapsed() >= LONGEST {
            return false;
        }
        if self.next < tasks {
            return true;
        }
        if self.entries <= FEW_ENTRIES || self.round == MOST_ROUNDS {
            return false;
        }
        (self.next, self.entries, self.round) = (0, 0, self.round + 1);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use crate::conformance::word_count::{self, Count, GROUP, INBOXES, LINES};
    use crate::memory::{Broker, BrokerConfig};
    use crate::{Lag, Metrics, Output, Producer, Step, Worker, WorkerConfig};

    const PARTITIONS: i32 = 4;

    fn publish(broker: &Broker, words: std::ops::Range<u32>) {
        let mut output = Output::new(PARTITIONS);
        for number in words {
            let line = format!("line{number}");
            output.send(&LINES, line.as_bytes(), |buffer| buffer.extend_from_slice(format!("word{number}").as_bytes()));
        }
        broker.producer("lines").publish(&output).unwrap();
    }

    fn broker_with_words(words: u32) -> Broker {
        let broker = Broker::new(BrokerConfig::like_kafka());
        broker.create_topics(&word_count::TOPICS, PARTITIONS);
        publish(&broker, 0..words);
        broker
    }

    fn worker(broker: &Broker, id: &str, warm_up_entries: u64) -> (Worker, Arc<Metrics>) {
        let mut topology = word_count::topology(&Arc::default());
        Arc::get_mut(&mut topology).unwrap().flow_partitions = PARTITIONS;
        let log = Box::new(broker.open(GROUP, id, &INBOXES).unwrap());
        let config = WorkerConfig { poll_timeout: Duration::ZERO, warm_up_entries, ..WorkerConfig::default() };
        let metrics = Arc::new(Metrics::new(&topology));
        (Worker::new(topology, config, log, Arc::clone(&metrics)), metrics)
    }

    /// Steps until nothing is left to do, and each worker has partitions with their state.
    fn settle(broker: &Broker, workers: &mut [&mut Worker]) {
        let lag = broker.lag(INBOXES.iter().map(|inbox| (GROUP.to_owned(), *inbox)).collect());
        loop {
            let idle = workers.iter_mut().filter_map(|worker| (worker.step().unwrap() == Step::Idle).then_some(()));
            let idle = idle.count() == workers.len() && lag.lag().unwrap() == 0;
            let is_ready =
                |worker: &&mut Worker| !worker.tasks.is_empty() && worker.tasks.iter().all(|task| task.restored);
            if idle && workers.iter().all(is_ready) {
                return;
            }
        }
    }

    fn words(worker: &mut Worker) -> BTreeMap<String, u64> {
        let mut words = BTreeMap::new();
        let mut collect = |_: &str, _, processor: &dyn std::any::Any| {
            if let Some(count) = processor.downcast_ref::<Count>() {
                words.extend(count.words.iter().map(|(word, count)| (word.clone(), *count)));
            }
        };
        worker.inspect(&mut collect).unwrap();
        words
    }

    /// A newcomer joins a worker with 400 words. 40 more words are counted after it has begun to read. Returns how many
    /// entries it still had to read after partitions were assigned to it.
    fn entries_after_joining(warm_up_entries: u64) -> u64 {
        let broker = broker_with_words(400);
        let (mut old, _) = worker(&broker, "old", 0);
        settle(&broker, &mut [&mut old]);
        let (mut newcomer, metrics) = worker(&broker, "newcomer", warm_up_entries);
        assert_eq!(newcomer.step().unwrap() == Step::Rebalanced, warm_up_entries > 0);
        publish(&broker, 400..440);
        settle(&broker, &mut [&mut old, &mut newcomer]);
        let (kept, moved) = (words(&mut old), words(&mut newcomer));
        assert!(!moved.is_empty(), "nothing has moved");
        let all: BTreeMap<String, u64> = kept.into_iter().chain(moved).collect();
        assert_eq!(all, (0..440).map(|number| (format!("word{number}"), 1)).collect());
        metrics.restored_entries.load(Ordering::Relaxed)
    }

    #[test]
    fn a_newcomer_reads_after_joining_only_what_was_written_since_it_read_the_state() {
        let cold = entries_after_joining(0);
        let warm = entries_after_joining(1_000_000);
        assert!(cold > 100 && warm < cold / 4, "{warm} of {cold}");
    }

    #[test]
    fn no_more_state_is_read_before_joining_than_the_limit_allows() {
        let (cold, warm) = (entries_after_joining(0), entries_after_joining(1));
        assert!(warm < cold && warm > cold / 4, "{warm} of {cold}");
    }

    #[test]
    fn state_of_partitions_that_were_not_assigned_is_forgotten() {
        let broker = broker_with_words(40);
        let (mut old, _) = worker(&broker, "old", 0);
        settle(&broker, &mut [&mut old]);
        let (mut newcomer, _) = worker(&broker, "newcomer", 1_000_000);
        while newcomer.warm_up() {}
        let read = newcomer.warm_up.tasks.len();
        settle(&broker, &mut [&mut old, &mut newcomer]);
        newcomer.step().unwrap();
        assert!(read > 0 && newcomer.warm_up.tasks.is_empty());
    }
}
