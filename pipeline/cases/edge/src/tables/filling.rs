//! Fills the tables from the log: a thread of its own, so that the rest of the flow does not wait for the database.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tributary_cases::topics::STATE;
use tributary_connectors::trouble::Troubles;
use tributary_connectors::views::{Change, Piece, ReadPosition, RowKey, ViewError, ViewStore};
use tributary_flow::Process;
use tributary_runtime::{LogError, Record, Shutdown, TopicFollower, TopicPartition};
use tributary_schemas::records::cases::CaseState;
use tributary_schemas::types::cases::CaseId;

use super::layout::{self, Stored};
use super::{Look, Shared};
use crate::events;

/// The pause between two looks, if nobody waits for one.
const PAUSE: Duration = Duration::from_millis(20);

/// The pause after a look that failed.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// After this time the positions in the tables are read again, also if the log has nothing new.
const CHECK: Duration = Duration::from_secs(5);

/// Records that are written together, and the bytes of their values.
const MOST_AT_ONCE: usize = 500;
const MOST_BYTES: usize = 4 << 20;

/// The subject of troubles.
const TABLES: &str = "tables";

pub(super) struct Filling {
    pub(super) process: Arc<dyn Process>,
    pub(super) store: Arc<dyn ViewStore>,
    pub(super) shared: Arc<Shared>,
    pub(super) stop: Shutdown,
    /// The ends of a log of this process alone before its workers started, until they are compared with the tables. A
    /// power cut may have taken the end of the log, and other records will stand there.
    pub(super) ends_at_start: Option<Vec<i64>>,
    /// The positions that the tables had at this time.
    pub(super) filled: Option<(Instant, Vec<i64>)>,
}

/// Why the tables are not filled for now.
#[derive(Debug, thiserror::Error)]
enum FillError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] ViewError),
    #[error("the tables have what the log has lost: they are filled again from the start")]
    Lost,
}

/// A record that is to be written.
struct Taken {
    id: CaseId,
    offset: i64,
    timestamp: i64,
    /// Time of the last update, and the value of the record.
    now: Option<(i64, Vec<u8>)>,
}

impl Filling {
    pub(super) fn run(mut self, follower: Box<dyn TopicFollower>) {
        let mut follower = Some(follower);
        let mut troubles = Troubles::new();
        while !self.stop.is_triggered() {
            let begun = Instant::now();
            let looked = self.look(&mut follower);
            if self.stop.is_triggered() {
                return;
            }
            match looked {
                Ok(filled) => {
                    troubles.end(TABLES, Instant::now()).iter().for_each(events::tables_trouble);
                    self.shared.looked(Look { begun, filled: Some(filled) });
                    self.shared.wanted.pause(PAUSE);
                }
                Err(error) => {
                    troubles.note(TABLES, error.to_string(), Instant::now()).iter().for_each(events::tables_trouble);
                    (follower, self.filled) = (None, None);
                    self.shared.looked(Look { begun, filled: None });
                    self.stop.wait(FAILURE_PAUSE);
                }
            }
        }
    }

    /// Writes what is new. Returns the positions up to which the tables have everything.
    fn look(&mut self, follower: &mut Option<Box<dyn TopicFollower>>) -> Result<Vec<i64>, FillError> {
        let follower = match follower {
            Some(follower) => follower,
            None => follower.insert(self.process.follower()?),
        };
        let ends = follower.ends(&STATE, self.process.flow_partitions())?;
        if let Some((read, filled)) = &self.filled
            && *filled == ends
            && read.elapsed() < CHECK
        {
            return Ok(ends);
        }
        let read = Instant::now();
        let positions = self.store.positions(STATE.name, ends.len() as i32)?;
        self.check(&**follower, &positions, &ends)?;
        let mut filled = Vec::new();
        for ((partition, end), position) in (0..).zip(&ends).zip(positions) {
            let at = TopicPartition { topic: STATE.name, partition };
            let from = position.map_or(0, |position| position.offset);
            filled.push(if from < *end { self.read(&**follower, at, position)? } else { from });
        }
        self.filled = Some((read, filled.clone()));
        Ok(filled)
    }

    /// Clears the tables if they have what the log has lost.
    fn check(
        &mut self,
        follower: &dyn TopicFollower,
        positions: &[Option<ReadPosition>],
        ends: &[i64],
    ) -> Result<(), FillError> {
        let are_beyond = |ends: &[i64]| {
            positions.iter().zip(ends).any(|(position, end)| position.is_some_and(|it| it.offset > *end))
        };
        let is_lost = match &self.ends_at_start {
            Some(at_start) => are_beyond(at_start),
            // Another process may have written what came after this process asked for the ends.
            None => are_beyond(ends) && are_beyond(&follower.ends(&STATE, self.process.flow_partitions())?),
        };
        if is_lost {
            self.store.clear(STATE.name)?;
        }
        self.ends_at_start = None;
        if is_lost { Err(FillError::Lost) } else { Ok(()) }
    }

    /// Writes what is new in a partition. Returns the position after it.
    fn read(
        &self,
        follower: &dyn TopicFollower,
        at: TopicPartition,
        position: Option<ReadPosition>,
    ) -> Result<i64, FillError> {
        let mut last = position.unwrap_or(ReadPosition { offset: 0, timestamp: 0 });
        let mut from = last.offset;
        let mut batch = Vec::new();
        let mut bytes = 0;
        let mut failed = None;
        let read = follower.read_from(at, last.offset, &mut |record| {
            if self.stop.is_triggered() {
                return Err(LogError::unavailable("the process ends"));
            }
            last = ReadPosition { offset: record.offset + 1, timestamp: record.timestamp };
            bytes += record.value.map_or(0, <[u8]>::len);
            batch.extend(self.taken(record)?);
            if batch.len() < MOST_AT_ONCE && bytes < MOST_BYTES {
                return Ok(());
            }
            let piece = Piece { from, to: last };
            (from, bytes) = (last.offset, 0);
            self.write(at, &std::mem::take(&mut batch), piece).map_err(|error| {
                let text = error.to_string();
                failed = Some(error);
                LogError::unavailable(text)
            })
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        match read {
            Ok(offset) => {
                self.write(at, &batch, Piece { from, to: ReadPosition { offset, ..last } })?;
                Ok(offset)
            }
            Err(LogError::OffsetOutOfRange(_) | LogError::Truncated(_)) => {
                self.store.clear(STATE.name)?;
                Err(FillError::Lost)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A record as it is written. One that can never be read is left out.
    fn taken(&self, record: &Record<'_>) -> Result<Option<Taken>, LogError> {
        let key = String::from_utf8_lossy(record.key);
        let Ok(id) = key.parse() else {
            events::row_unreadable(STATE.name, &key, &"its key is no id of a case");
            return Ok(None);
        };
        let taken = |now| Some(Taken { id, offset: record.offset, timestamp: record.timestamp, now });
        let Some(value) = record.value else { return Ok(taken(None)) };
        match self.process.codec().open(value).and_then(|framed| framed.read::<CaseState>()) {
            Ok(case) => Ok(taken(Some((case.updated, value.to_vec())))),
            Err(error) if error.is_transient() => Err(LogError::unavailable(error.to_string())),
            Err(error) => {
                events::row_unreadable(STATE.name, &key, &error);
                Ok(None)
            }
        }
    }

    fn write(&self, at: TopicPartition, batch: &[Taken], piece: Piece) -> Result<(), ViewError> {
        let mut known = self.known(batch)?;
        let mut changes: Vec<Change> = Vec::with_capacity(batch.len());
        for Taken { id, offset, timestamp, now } in batch {
            // If another process is ahead, this record writes rows that are older than what is there: nothing.
            let before = known.remove(id).filter(|(written, _)| written <= offset).map(|(_, updated)| updated);
            let stored = now.as_ref().map(|(updated, record)| Stored { offset: *offset, updated: *updated, record });
            changes.push(layout::change(*id, *timestamp, *offset, stored.as_ref(), before));
            if let Some(stored) = stored {
                known.insert(*id, (*offset, stored.updated));
            }
        }
        self.store.apply(at.topic, at.partition, changes, piece)
    }

    /// Offset and time of the last update of the cases of a batch, as the tables have them.
    fn known(&self, batch: &[Taken]) -> Result<HashMap<CaseId, (i64, i64)>, ViewError> {
        let mut ids: Vec<CaseId> = batch.iter().map(|taken| taken.id).collect();
        ids.sort_unstable();
        ids.dedup();
        let keys: Vec<RowKey> = ids.iter().map(|id| layout::by_id(*id)).collect();
        let rows = self.store.get(STATE.name, &keys)?;
        let known = |(id, row): (CaseId, Option<_>)| {
            let row: tributary_connectors::views::StoredRow = row?;
            Stored::read(&row.value).map(|stored| (id, (stored.offset, stored.updated)))
        };
        Ok(ids.into_iter().zip(rows).filter_map(known).collect())
    }
}
