//! What is stored of deliveries: positions, dead letters, and dead letters that are sent again.

use std::sync::Arc;

use tributary_flow::framed;
use tributary_runtime::{Headers, Output, TimestampMillis, append_header, dead_letter_header};
use tributary_schemas::Codec;
use tributary_schemas::records::aggregation::{Notification, NotificationProgress};

use super::queue::{End, Queue, Waiting};
use crate::configuration::TABLE;
use crate::topics;

/// What stands as the stage in a dead letter that no stage has written.
const STAGE: &str = "delivery";

/// A dead letter that holds a notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadNotification {
    /// Its offset among the dead letters.
    pub offset: i64,
    /// The notification, as it stood on the log.
    pub value: Arc<[u8]>,
}

/// Whether a record of the dead letters is a notification of this subscriber. Those of stages are there too.
pub fn dead_notification(codec: &Codec, subscriber: &str, key: &[u8], value: &[u8]) -> bool {
    let read = || codec.open(value).and_then(|framed| framed.read::<Notification>());
    key == subscriber.as_bytes() && read().is_ok_and(|notification| notification.subscriber.as_str() == subscriber)
}

impl Queue {
    /// Writes what has become of notifications: the position after them, and the dead letters if they are that,
    /// unchanged and with the reason in their headers. All of an output is in one transaction. Then [`Queue::finish`]
    /// may follow.
    pub fn write(&self, codec: &Codec, output: &mut Output, now: TimestampMillis, done: &[Waiting], end: &End) {
        if let End::Dead(reason) = end {
            for waiting in done {
                let headers = self.dead_letter_headers(waiting, reason.code(), &reason.to_string());
                output.inherit(waiting.timestamp, Headers::from_bytes(&headers));
                let key = self.progress.subscriber.as_str().as_bytes();
                output.send(&topics::DEAD_LETTER, key, |buffer| buffer.extend_from_slice(&waiting.value));
            }
        }
        output.inherit(now, Headers::default());
        write_progress(codec, output, &self.after(done, end));
    }

    fn dead_letter_headers(&self, waiting: &Waiting, code: &str, reason: &str) -> Vec<u8> {
        let partition = self.progress.partition.to_string();
        let mut headers = Vec::new();
        for (name, value) in [
            (dead_letter_header::TOPIC, topics::NOTIFICATION.name),
            (dead_letter_header::PARTITION, partition.as_str()),
            (dead_letter_header::OFFSET, &waiting.offset.to_string()),
            (dead_letter_header::FLOW, TABLE),
            (dead_letter_header::TASK, &partition),
            (dead_letter_header::STAGE, STAGE),
            (dead_letter_header::CODE, code),
            (dead_letter_header::MESSAGE, reason),
        ] {
            append_header(&mut headers, name, value.as_bytes());
        }
        headers
    }

    /// Writes how far the queue is, such as after several deliveries whose ends were not written one by one.
    pub fn write_progress(&self, codec: &Codec, output: &mut Output, now: TimestampMillis) {
        output.inherit(now, Headers::default());
        write_progress(codec, output, &self.progress);
    }

    /// The offset among the dead letters from which those are that were not sent again.
    pub fn replayed(&self) -> i64 {
        self.progress.replayed
    }

    /// Writes dead letters of this subscriber as new notifications, in their order, and how far it is then. They come
    /// after all that waits, so the subscriber may hear of an older change after a newer one. Those that were sent
    /// again already are passed over. Returns what [`Queue::finish_replay`] takes once the output is committed.
    pub fn write_replay(
        &self,
        codec: &Codec,
        output: &mut Output,
        now: TimestampMillis,
        dead: &[DeadNotification],
    ) -> Replay {
        let mut progress = self.progress.clone();
        let mut count = 0;
        output.inherit(now, Headers::default());
        for letter in dead {
            if letter.offset < progress.replayed {
                continue;
            }
            let key = progress.subscriber.as_str().as_bytes();
            output.send(&topics::NOTIFICATION, key, |buffer| buffer.extend_from_slice(&letter.value));
            progress.replayed = letter.offset.saturating_add(1);
            count += 1;
        }
        progress.dead = progress.dead.saturating_sub(count).max(0);
        write_progress(codec, output, &progress);
        Replay { replayed: progress.replayed, count }
    }

    /// Notes dead letters that were sent again, and says how many. They are fed like all notifications.
    pub fn finish_replay(&mut self, replay: Replay) -> u64 {
        self.progress.replayed = self.progress.replayed.max(replay.replayed);
        self.progress.dead = self.progress.dead.saturating_sub(replay.count).max(0);
        replay.count.max(0) as u64
    }
}

/// Dead letters that are sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Replay {
    replayed: i64,
    count: i64,
}

fn write_progress(codec: &Codec, output: &mut Output, progress: &NotificationProgress) {
    let key = progress.subscriber.as_str().as_bytes();
    framed::send(codec, output, &topics::NOTIFICATION_PROGRESS, key, progress);
}
