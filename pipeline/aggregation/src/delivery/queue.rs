//! What a subscriber is still to be told, in the order of the log.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use tributary_runtime::TimestampMillis;
use tributary_schemas::records::aggregation::NotificationProgress;
use tributary_schemas::types::aggregation::Address;

use super::Undelivered;

/// How many notifications of a subscriber are held. The others are counted, and read again when these are done.
pub(super) const MOST_HELD: usize = 100;

/// How many bytes of them are held, if it is more than one.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// A notification that waits. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its offset on the log.
    pub offset: i64,
    /// The time of its record.
    pub timestamp: TimestampMillis,
    /// Its record, as it stands on the log.
    pub value: Arc<[u8]>,
}

impl fmt::Debug for Waiting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Waiting({}, {} bytes)", self.offset, self.value.len())
    }
}

/// What became of a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The subscriber has taken it.
    Delivered,
    /// It becomes a dead letter.
    Dead(Undelivered),
}

/// What a queue did with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fed {
    /// It is held.
    Held,
    /// It is counted, and must be read again later.
    Counted,
    /// It is done, or held already.
    Known,
}

/// The state of a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriberStatus {
    /// Its address.
    pub address: Address,
    /// Notifications that wait.
    pub waiting: u64,
    /// Notifications that were delivered.
    pub delivered: u64,
    /// Notifications that are dead letters.
    pub dead: u64,
}

/// Notifications that are not held.
#[derive(Clone, Copy, Debug)]
struct Counted {
    /// The offset that the first of them has at least.
    from: i64,
    count: u64,
}

/// The queue of a subscriber.
#[derive(Debug)]
pub struct Queue {
    pub(super) progress: NotificationProgress,
    held: VecDeque<Waiting>,
    bytes: usize,
    /// The offset after the last record that was fed.
    seen: i64,
    counted: Option<Counted>,
}

impl Queue {
    /// The queue of a subscriber without a position, whose notifications are in this partition.
    pub fn new(subscriber: Address, partition: i32) -> Self {
        Self::resume(NotificationProgress { partition, ..NotificationProgress::of(subscriber) }, partition)
    }

    /// The queue of a subscriber from where it was stored. Offsets of another partition say nothing about this one, so
    /// it begins from the start there.
    pub fn resume(stored: NotificationProgress, partition: i32) -> Self {
        let progress = if stored.partition == partition {
            stored
        } else {
            NotificationProgress { partition, position: 0, replayed: 0, ..stored }
        };
        let seen = progress.position;
        Self { progress, held: VecDeque::new(), bytes: 0, seen, counted: None }
    }

    /// The offset from which this queue must be fed.
    pub fn position(&self) -> i64 {
        self.progress.position
    }

    /// How far it is, to be stored.
    pub fn progress(&self) -> &NotificationProgress {
        &self.progress
    }

    /// Takes a record of this subscriber. Records come in the order of their offsets, except those that are read again.
    pub fn feed(&mut self, offset: i64, timestamp: TimestampMillis, value: &[u8]) -> Fed {
        let is_new = offset >= self.seen;
        self.seen = self.seen.max(offset.saturating_add(1));
        let has_room = self.held.len() < MOST_HELD
            && (self.held.is_empty() || self.bytes.saturating_add(value.len()) <= MOST_BYTES);
        match &mut self.counted {
            None if !is_new => Fed::Known,
            None if has_room => self.hold(offset, timestamp, value),
            None => {
                self.counted = Some(Counted { from: offset, count: 1 });
                Fed::Counted
            }
            // Those before it come first.
            Some(counted) if is_new => {
                counted.count += 1;
                Fed::Counted
            }
            Some(counted) if offset < counted.from => Fed::Known,
            Some(_) if !has_room => Fed::Counted,
            Some(counted) => {
                *counted = Counted { from: offset.saturating_add(1), count: counted.count.saturating_sub(1) };
                if counted.count == 0 {
                    self.counted = None;
                }
                self.hold(offset, timestamp, value)
            }
        }
    }

    fn hold(&mut self, offset: i64, timestamp: TimestampMillis, value: &[u8]) -> Fed {
        self.bytes = self.bytes.saturating_add(value.len());
        self.held.push_back(Waiting { offset, timestamp, value: value.into() });
        Fed::Held
    }

    /// The offset from which the log must be read again, once nothing is held: until [`Queue::feed`] says that a record
    /// is only counted, or to the end of the log.
    pub fn read_again_from(&self) -> Option<i64> {
        self.counted.filter(|_| self.held.is_empty()).map(|counted| counted.from)
    }

    /// The log was read again to its end. What has not come is not there any more: the time of the topic has run out.
    /// Returns how many that are.
    pub fn end_of_log(&mut self) -> u64 {
        self.counted.take().map_or(0, |counted| counted.count)
    }

    /// The next notifications in their order, at most so many.
    pub fn next(&self, most: usize) -> Vec<Waiting> {
        self.held.iter().take(most).cloned().collect()
    }

    /// Takes notifications from the queue, once what has become of them is stored or may be forgotten.
    pub fn finish(&mut self, done: &[Waiting], end: &End) {
        self.progress = self.after(done, end);
        let position = self.progress.position;
        while let Some(first) = self.held.pop_front_if(|first| first.offset < position) {
            self.bytes = self.bytes.saturating_sub(first.value.len());
        }
    }

    /// How far this queue is when these notifications are done.
    pub(super) fn after(&self, done: &[Waiting], end: &End) -> NotificationProgress {
        let mut progress = self.progress.clone();
        for waiting in done {
            progress.position = progress.position.max(waiting.offset.saturating_add(1));
            match end {
                End::Delivered => progress.delivered += 1,
                End::Dead(_) => progress.dead += 1,
            }
        }
        progress
    }

    /// Its state.
    pub fn status(&self) -> SubscriberStatus {
        let counted = self.counted.map_or(0, |counted| counted.count);
        SubscriberStatus {
            address: self.progress.subscriber.clone(),
            waiting: counted.saturating_add(self.held.len() as u64),
            delivered: self.progress.delivered.max(0) as u64,
            dead: self.progress.dead.max(0) as u64,
        }
    }
}
