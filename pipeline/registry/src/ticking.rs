//! When the stage needs the time. It follows from rows, so that a service in which nothing waits writes no record of
//! the clock.

use std::collections::{BTreeMap, BTreeSet};

use tributary_schemas::records::registry::{JobRow, JobStatus};

use crate::configuration::RegistrySettings;
use crate::row_key::RowKey;

/// When something happens to a row by itself, in milliseconds since 1970. `None`: nothing does.
pub fn due_at(row: &JobRow, settings: &RegistrySettings) -> Option<i64> {
    if row.status == JobStatus::Pending {
        return [row.next_attempt_at, row.deadline_at].into_iter().flatten().min();
    }
    settings.purge_after.map(|after| row.updated_at.saturating_add(after))
}

/// The partitions whose rows wait for the time.
#[derive(Debug, Default)]
pub struct Ticking {
    due: BTreeSet<(i64, RowKey)>,
    rows: BTreeMap<RowKey, (i64, i32)>,
    /// When each partition was last told the time.
    told: BTreeMap<i32, i64>,
}

impl Ticking {
    /// Nothing waits yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A row has changed, or is gone. `partition` is the one that it was read from.
    pub fn note(&mut self, key: RowKey, partition: i32, row: Option<&JobRow>, settings: &RegistrySettings) {
        if let Some((at, _)) = self.rows.remove(&key) {
            self.due.remove(&(at, key));
        }
        if let Some(at) = row.and_then(|row| due_at(row, settings)) {
            self.rows.insert(key, (at, partition));
            self.due.insert((at, key));
        }
    }

    /// When the next row is due. `None`: nothing waits, and nobody has to be told the time.
    pub fn next(&self) -> Option<i64> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The partitions that have to be told that it is `now`. Each is told at most once in a tick: what is still due
    /// then has not been done yet.
    pub fn tell(&mut self, now: i64, settings: &RegistrySettings) -> BTreeSet<i32> {
        let due = self.due.iter().take_while(|(at, _)| *at <= now);
        let partitions = due.filter_map(|(_, key)| self.rows.get(key)).map(|(_, partition)| *partition);
        let is_new = |partition: &i32| {
            // A clock that was set back tells the time again.
            self.told.get(partition).is_none_or(|told| now < *told || now - told >= settings.tick)
        };
        let told: BTreeSet<i32> = partitions.collect::<BTreeSet<i32>>().into_iter().filter(is_new).collect();
        self.told.extend(told.iter().map(|partition| (*partition, now)));
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness;

    fn pending(next: Option<i64>, deadline: i64) -> JobRow {
        JobRow { next_attempt_at: next, deadline_at: Some(deadline), ..harness::row(1) }
    }

    fn key(number: u8) -> RowKey {
        RowKey::new([number; 32])
    }

    #[test]
    fn only_rows_that_wait_need_the_time() {
        let settings = harness::settings();
        let mut ticking = Ticking::new();
        assert_eq!((ticking.next(), ticking.tell(i64::MAX, &settings).len()), (None, 0));
        let done = JobRow { status: JobStatus::Processed, updated_at: 5, ..harness::row(1) };
        ticking.note(key(1), 0, Some(&done), &settings);
        assert_eq!(ticking.next(), None, "an idle service writes none");
        ticking.note(key(1), 0, Some(&pending(Some(20_000), 90_000)), &settings);
        ticking.note(key(2), 3, Some(&pending(None, 50_000)), &settings);
        assert_eq!((ticking.next(), ticking.tell(19_999, &settings).len()), (Some(20_000), 0));
        assert_eq!(ticking.tell(20_000, &settings), BTreeSet::from([0]));
        assert_eq!(ticking.tell(20_999, &settings), BTreeSet::new(), "once in a tick");
        assert_eq!(ticking.tell(21_000, &settings), BTreeSet::from([0]), "it was not done yet");
        ticking.note(key(1), 0, Some(&pending(None, 90_000)), &settings);
        assert_eq!(ticking.tell(60_000, &settings), BTreeSet::from([3]));
        ticking.note(key(1), 0, None, &settings);
        ticking.note(key(2), 3, Some(&done), &settings);
        assert_eq!(ticking.next(), None);
    }

    #[test]
    fn rows_that_are_purged_wait_if_they_are() {
        let settings = harness::settings_with("[registry]\npurge_after = \"1h\"\n");
        let done = JobRow { status: JobStatus::Failed, updated_at: 5, ..harness::row(1) };
        assert_eq!(due_at(&done, &settings), Some(3_600_005));
        assert_eq!(due_at(&done, &harness::settings()), None);
    }
}
