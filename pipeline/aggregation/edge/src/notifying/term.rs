//! The time for which this process notifies.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tributary_aggregation::delivery::{Fed, Queue};
use tributary_aggregation::topics;
use tributary_runtime::{LogError, OffsetRange, Output, Producer, Record, TopicFollower, TopicPartition};
use tributary_schemas::Codec;
use tributary_schemas::records::aggregation::NotificationProgress;
use tributary_schemas::types::aggregation::Address;

use super::lane::Lane;
use super::{Office, ReplayWanted};
use crate::events;

/// The name of the producer, which fences that of the process that notified before.
const PRODUCER: &str = "notifications";

/// The pause between two looks at the log.
const PAUSE: Duration = Duration::from_millis(20);

/// The pause before what was not stored is stored again.
const RETRY: Duration = Duration::from_millis(500);

/// How long calls that are under way at the end of a term may take to end.
const LAST: Duration = Duration::from_secs(6);

/// Stores what has become of notifications.
pub(super) struct Ledger {
    producer: Mutex<Box<dyn Producer>>,
    codec: Codec,
    partitions: i32,
    /// Why nothing can be stored any more.
    failure: Mutex<Option<LogError>>,
    has_failed: AtomicBool,
}

impl Ledger {
    pub(super) fn codec(&self) -> &Codec {
        &self.codec
    }

    pub(super) fn output(&self) -> Output {
        Output::new(self.partitions)
    }

    pub(super) fn publish(&self, output: &Output) -> Result<(), LogError> {
        let published = self.producer.lock().unwrap_or_else(PoisonError::into_inner).publish(output);
        if let Err(error) = &published {
            // A producer that has failed cannot be used again, so the term is over.
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.clone());
            self.has_failed.store(true, Ordering::Relaxed);
        }
        published
    }

    fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Stores an output. `false` if that has failed, and the term is over: what was delivered comes again.
    pub(super) async fn store(self: &Arc<Self>, output: Output, over: &watch::Receiver<bool>) -> bool {
        if self.has_failed() {
            return false;
        }
        let ledger = Arc::clone(self);
        let stored = tokio::task::spawn_blocking(move || ledger.publish(&output)).await;
        match stored {
            Ok(Ok(())) => true,
            Ok(Err(error)) if !*over.borrow() => {
                events::delivery_not_stored(&error);
                tokio::time::sleep(RETRY).await;
                false
            }
            _ => false,
        }
    }
}

/// A term. Its end ends the tasks of the subscribers.
pub(super) struct Term<'o> {
    office: &'o Office,
    pub(super) ledger: Arc<Ledger>,
    pub(super) follower: Box<dyn TopicFollower>,
    pub(super) lanes: HashMap<Address, Arc<Lane>>,
    /// Up to where each partition of the notifications is read.
    offsets: Vec<i64>,
    over: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Term<'_> {
    fn drop(&mut self) {
        self.over.send_replace(true);
        let tasks = std::mem::take(&mut self.tasks);
        self.office.process.tokio().block_on(async {
            let end = tokio::time::Instant::now() + LAST;
            for mut task in tasks {
                if tokio::time::timeout_at(end, &mut task).await.is_err() {
                    task.abort();
                }
            }
        });
    }
}

impl<'o> Term<'o> {
    /// Takes over from the process that notified before.
    ///
    /// # Errors
    /// The error of the log.
    pub(super) fn begin(office: &'o Office) -> Result<Self, LogError> {
        let process = &office.process;
        // First the fence: after it, no position changes any more.
        let producer = process.producer(PRODUCER)?;
        let partitions = process.flow_partitions();
        let ledger = Ledger {
            producer: Mutex::new(producer),
            codec: process.codec().clone(),
            partitions,
            failure: Mutex::default(),
            has_failed: AtomicBool::new(false),
        };
        let mut term = Self {
            office,
            ledger: Arc::new(ledger),
            follower: process.follower()?,
            lanes: HashMap::new(),
            offsets: vec![0; topics::NOTIFICATION.partition_count(partitions).max(0) as usize],
            over: watch::Sender::new(false),
            tasks: Vec::new(),
        };
        term.resume()?;
        Ok(term)
    }

    /// Reads how far each subscriber is.
    fn resume(&mut self) -> Result<(), LogError> {
        let (codec, mut stored) = (&self.ledger.codec, HashMap::<Vec<u8>, NotificationProgress>::new());
        let progress = TopicPartition { topic: topics::NOTIFICATION_PROGRESS.name, partition: 0 };
        self.follower.read_from(progress, 0, &mut |record| {
            let read = record.value.map(|value| codec.open(value).and_then(|framed| framed.read()));
            match read {
                Some(Ok(progress)) => drop(stored.insert(record.key.to_vec(), progress)),
                Some(Err(error)) => events::progress_unreadable(&error),
                None => drop(stored.remove(record.key)),
            }
            Ok(())
        })?;
        for progress in stored.into_values() {
            let subscriber = progress.subscriber.clone();
            let partition = self.partition_of(&subscriber);
            self.open(subscriber, Queue::resume(progress, partition));
        }
        Ok(())
    }

    fn partition_of(&self, subscriber: &Address) -> i32 {
        tributary_runtime::partition_for_key(subscriber.as_str().as_bytes(), self.offsets.len() as i32)
    }

    /// Begins to empty the queue of a subscriber.
    fn open(&mut self, subscriber: Address, queue: Queue) -> Arc<Lane> {
        let lane = Arc::new(Lane::new(queue));
        let task =
            Arc::clone(&lane).empty(self.office.courier.clone(), Arc::clone(&self.ledger), self.over.subscribe());
        self.tasks.push(self.office.process.tokio().spawn(task));
        self.lanes.insert(subscriber, Arc::clone(&lane));
        lane
    }

    /// Feeds the queues until this process does not lead any more.
    ///
    /// # Errors
    /// The error of the log.
    pub(super) fn serve(&mut self, wanted: &mut mpsc::Receiver<ReplayWanted>) -> Result<(), LogError> {
        let is_over = |term: &Self| {
            let office = term.office;
            office.stop.is_triggered() || !office.leading.is_here() || term.ledger.has_failed()
        };
        while !is_over(self) {
            self.read_new()?;
            self.read_again()?;
            while let Ok(ReplayWanted { subscriber, done }) = wanted.try_recv() {
                // Who asked may have left.
                let _ = done.send(self.replay(&subscriber).map_err(|error| error.to_string()));
            }
            self.tell();
            self.office.stop.wait(PAUSE);
        }
        let failure = self.ledger.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.map_or(Ok(()), Err)
    }

    fn read_new(&mut self) -> Result<(), LogError> {
        let ends = self.follower.ends(&topics::NOTIFICATION, self.ledger.partitions)?;
        for (number, end) in (0..).zip(ends) {
            let from = self.offsets.get(number as usize).copied().unwrap_or_default();
            if from >= end {
                continue;
            }
            let mut records = Vec::new();
            let range = OffsetRange { partition: partition(number), from, end };
            let read = self.follower.read_ranges(&[range], &mut |record| {
                records.push(Kept::of(record));
                if records.len() < MOST_AT_ONCE { Ok(()) } else { Err(LogError::unavailable("the end of this piece")) }
            });
            let is_whole = records.len() < MOST_AT_ONCE;
            if is_whole {
                read?;
            }
            let last = records.last().map(|record| record.offset + 1);
            for record in records {
                self.feed(number, &record);
            }
            if let Some(offset) = self.offsets.get_mut(number as usize) {
                *offset = if is_whole { end } else { last.unwrap_or(end) };
            }
        }
        Ok(())
    }

    fn feed(&mut self, partition: i32, record: &Kept) {
        let Ok(subscriber) = String::from_utf8_lossy(&record.key).parse::<Address>() else {
            events::notification_without_subscriber(partition, record.offset);
            return;
        };
        let lane = match self.lanes.get(&subscriber) {
            Some(lane) => Arc::clone(lane),
            None => self.open(subscriber.clone(), Queue::new(subscriber, partition)),
        };
        if lane.queue().feed(record.offset, record.timestamp, &record.value) == Fed::Held {
            lane.wake();
        }
    }

    /// Reads what was only counted, for queues that are empty now.
    fn read_again(&mut self) -> Result<(), LogError> {
        for (subscriber, lane) in &self.lanes {
            let Some(from) = lane.queue().read_again_from() else { continue };
            let end = self.offsets.get(lane.partition() as usize).copied().unwrap_or_default();
            let range = OffsetRange { partition: partition(lane.partition()), from, end };
            let mut is_full = false;
            let read = self.follower.read_ranges(&[range], &mut |record| {
                if record.key != subscriber.as_str().as_bytes() {
                    return Ok(());
                }
                let value = record.value.unwrap_or_default();
                is_full = lane.queue().feed(record.offset, record.timestamp, value) == Fed::Counted;
                if is_full { Err(LogError::unavailable("the queue is full")) } else { Ok(()) }
            });
            if !is_full {
                read?;
                let lost = lane.queue().end_of_log();
                if lost > 0 {
                    events::notifications_expired(subscriber, lost);
                }
            }
            lane.wake();
        }
        Ok(())
    }

    /// Shows how far the subscribers are.
    fn tell(&self) {
        let statuses = self.lanes.iter().map(|(address, lane)| (address.clone(), lane.queue().status())).collect();
        *self.office.statuses.lock().unwrap_or_else(PoisonError::into_inner) = Some(statuses);
    }
}

/// Records that are read before the queues are fed with them.
const MOST_AT_ONCE: usize = 1_000;

fn partition(number: i32) -> TopicPartition {
    TopicPartition { topic: topics::NOTIFICATION.name, partition: number }
}

/// A record of the notifications.
struct Kept {
    offset: i64,
    timestamp: i64,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Kept {
    fn of(record: &Record<'_>) -> Self {
        let (key, value) = (record.key.to_vec(), record.value.unwrap_or_default().to_vec());
        Self { offset: record.offset, timestamp: record.timestamp, key, value }
    }
}
