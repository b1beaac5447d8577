//! Notifications that a client is told again.

use tributary_runtime::{Output, ProcessError, Record, TableError};
use tributary_schemas::records::cases::{Notification, QueueEntry, RegistryAnswer, Replay};

use super::{ClientStage, entry_key};
use crate::permission::Grants;
use crate::topics;

/// Notifications that one record looks at, so that no transaction grows with the length of a queue.
const MOST_AT_ONCE: usize = 500;

/// Whether a replay is about a notification that was `made` at this time, in milliseconds since 1970. One that was told
/// again before stands in the queue more than once. Then only the first one that the queue keeps counts.
pub fn is_wanted(replay: &Replay, made: i64, notification: &Notification) -> bool {
    let made = made.saturating_mul(1_000);
    replay.case_id.is_none_or(|case| case == notification.id)
        && replay.from.is_none_or(|from| made >= from)
        && replay.to.is_none_or(|to| made < to)
}

impl ClientStage {
    /// One step of a replay. What is told again stands at the end of the queue, under the same message id.
    pub(super) fn replay(
        &mut self,
        record: &Record<'_>,
        mut replay: Replay,
        output: &mut Output,
    ) -> Result<(), ProcessError> {
        let client = replay.client.clone();
        let mut queue = self.queue(&client);
        let until = *replay.until.get_or_insert(queue.last);
        let first = replay.after.max(queue.begins) + 1;
        let (mut looked, mut last, mut wanted) = (0, replay.after, Vec::new());
        for entry in self.entries_of(&client, first, until).take(MOST_AT_ONCE) {
            let (position, entry) = entry?;
            (looked, last) = (looked + 1, position);
            if self.told_again(&replay, &entry)? {
                wanted.push((position, entry.into_owned()));
            }
        }
        let before = queue.last;
        for (position, entry) in wanted {
            queue.last += 1;
            queue.waiting += 1;
            let original = entry.original.or(Some(position));
            let again = QueueEntry { position: queue.last, made: record.timestamp, original, ..entry };
            self.send_row(output, &client, &entry_key(&client, queue.last), &again);
            self.copies.put((client.clone(), (again.original.unwrap_or(queue.last), queue.last)), ())?;
            self.entries.put((client.clone(), queue.last), again)?;
        }
        if queue.last > before {
            self.note(&client, queue);
        }
        if looked == MOST_AT_ONCE {
            replay.after = last;
            self.go_on(output, &client, &replay);
            return Ok(());
        }
        let answer = RegistryAnswer { request: replay.request, existed: true, ..RegistryAnswer::default() };
        self.context.send(output, &topics::REGISTRY_ANSWER, &answer.request, &answer);
        Ok(())
    }

    fn told_again(&self, replay: &Replay, entry: &QueueEntry) -> Result<bool, TableError> {
        let told = &entry.notification;
        let is_wanted = is_wanted(replay, entry.made, &entry.notification)
            && self.granted.cover(&entry.client, &told.origin_system, told.id);
        Ok(is_wanted && self.is_first(entry)?)
    }

    /// Whether the queue keeps none of the same notification at an earlier position.
    fn is_first(&self, entry: &QueueEntry) -> Result<bool, TableError> {
        let Some(original) = entry.original else { return Ok(true) };
        let key = |position| (entry.client.clone(), (original, position));
        let earlier = self.copies.range(key(original)..key(entry.position)).next().transpose()?;
        Ok(earlier.is_none() && self.entries.get(&(entry.client.clone(), original))?.is_none())
    }
}
