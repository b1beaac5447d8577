//! Views in tables of a CQL database such as Apache Cassandra, which several processes may share.
//!
//! `view_rows` has a partition for each of `BUCKETS` parts of a topic, in which rows stand in the order of their
//! keys. All rows of a record's key are in the same partition, so one batch changes them at once, and readers see all
//! of it or nothing. `view_positions` has the position of each partition.
//!
//! Each process may write what it reads. All write the same: a write carries the offset of its record as its CQL
//! timestamp, also a deletion, so an older record never overwrites a newer one. A position is written after the rows up
//! to it. Reads and writes are quorums, so what a position stands for is seen by whoever has read that position.
//!
//! Offsets begin again where a log has lost its end. Then [`ViewStore::clear`] begins a new generation, in partitions
//! of its own.

mod connection;
mod error;
mod merge;
mod schema;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use scylla::response::query_result::QueryResult;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchType};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tributary_runtime::Shutdown;

use super::{Change, Piece, Range, ReadPosition, RowKey, StoredRow, ViewError, ViewStore};
use connection::Connection;
pub use error::CqlError;
use merge::Merge;

/// The partitions of a topic. The number is part of the layout.
const BUCKETS: i32 = 32;

/// Requests of one call that are on their way at the same time.
const CONCURRENT: usize = 64;

/// Rows that are read from a bucket at once.
const MOST_AT_ONCE: usize = 500;

/// How the database is reached, and where the tables are.
#[derive(Clone)]
pub struct CqlConfig {
    /// `host:port` of some nodes.
    pub nodes: Vec<String>,
    /// The keyspace of the tables.
    pub keyspace: String,
    /// Replicas of a keyspace that is created. `None`: keyspace and tables must be there.
    pub create: Option<u16>,
    /// User and password.
    pub user: Option<(String, String)>,
    /// PEM of the certification authorities of the nodes. `None`: no encryption.
    pub ca: Option<String>,
    /// The data centre whose nodes are asked.
    pub datacenter: Option<String>,
    /// Whether a quorum spans all data centres, and not only that of the node that is asked.
    pub spans_datacenters: bool,
    /// How long a request may take.
    pub timeout: Duration,
    /// What tells the log from others that have tables in the same keyspace.
    pub log: String,
}

/// The views of one log.
pub struct CqlViews {
    log: String,
    connection: Connection,
    tokio: Handle,
    is_ending: watch::Receiver<bool>,
    /// The generation of each topic, as it was read last.
    generations: Mutex<HashMap<String, i32>>,
}

/// A row of the positions: current generation, generation, partition, offset, time. A topic without positions has only
/// the first.
type StoredPosition = (Option<i32>, Option<i32>, Option<i32>, Option<i64>, Option<i64>);

/// The positions of a topic, and the generation that they belong to.
struct Positions {
    generation: i32,
    positions: Vec<Option<ReadPosition>>,
}

impl CqlViews {
    /// Checks the configuration. Nothing is connected: the first call does that, and each one after a failure. After
    /// `end` is triggered, no call waits for the database any more.
    ///
    /// # Errors
    /// [`CqlError::Setting`] for what can never work.
    pub fn new(config: CqlConfig, tokio: Handle, end: &Shutdown) -> Result<Self, CqlError> {
        let log = config.log.clone();
        let connection = Connection::new(config)?;
        let (sender, is_ending) = watch::channel(false);
        end.on_trigger(move || {
            sender.send_replace(true);
        });
        Ok(Self { log, connection, tokio, is_ending, generations: Mutex::default() })
    }

    fn wait<T, E: From<CqlError>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let mut is_ending = self.is_ending.clone();
        self.tokio.block_on(async {
            tokio::select! {
                done = work => done,
                Ok(_) = is_ending.wait_for(|is_ending| *is_ending) => Err(CqlError::Ending.into()),
            }
        })
    }

    async fn read_positions(&self, topic: &str, partitions: i32) -> Result<Positions, CqlError> {
        let ready = self.connection.ready().await?;
        let result = self.connection.execute(&ready, &ready.positions, (&self.log, topic)).await?;
        let rows = result.into_rows_result().map_err(CqlError::answer)?;
        let rows: Vec<StoredPosition> =
            rows.rows().map_err(CqlError::answer)?.collect::<Result<_, _>>().map_err(CqlError::answer)?;
        let generation = rows.first().and_then(|row| row.0).unwrap_or(0);
        self.generations().insert(topic.to_owned(), generation);
        let mut positions = vec![None; usize::try_from(partitions).unwrap_or(0)];
        for (_, of_generation, partition, offset, timestamp) in rows {
            let place = partition.and_then(|partition| positions.get_mut(usize::try_from(partition).ok()?));
            if let (Some(place), Some(offset), Some(timestamp)) = (place, offset, timestamp)
                && of_generation == Some(generation)
            {
                *place = Some(ReadPosition { offset, timestamp });
            }
        }
        Ok(Positions { generation, positions })
    }

    /// The generation that was read last.
    async fn generation(&self, topic: &str) -> Result<i32, CqlError> {
        let known = self.generations().get(topic).copied();
        if let Some(known) = known {
            return Ok(known);
        }
        Ok(self.read_positions(topic, 0).await?.generation)
    }

    fn generations(&self) -> std::sync::MutexGuard<'_, HashMap<String, i32>> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(&self, topic: &str, partition: i32, changes: Vec<Change>, piece: Piece) -> Result<(), ViewError> {
        // Another process, or another thread of this one, may have noticed a new generation since the caller began.
        let positions = self.read_positions(topic, partition + 1).await?;
        piece.check(topic, positions.positions.last().copied().flatten())?;
        let generation = positions.generation;
        let changes = changes.iter().map(|change| self.write_change(topic, generation, change));
        stream::iter(changes.collect::<Vec<_>>()).buffer_unordered(CONCURRENT).try_collect::<()>().await?;
        let ready = self.connection.ready().await?;
        let ReadPosition { offset, timestamp } = piece.to;
        let values = (&self.log, topic, generation, partition, offset, timestamp, written_at(offset));
        self.connection.execute(&ready, &ready.put_position, values).await?;
        Ok(())
    }

    /// One batch in one partition of the table: it is not logged, and atomic and isolated all the same.
    async fn write_change(&self, topic: &str, generation: i32, change: &Change) -> Result<(), CqlError> {
        let ready = self.connection.ready().await?;
        let bucket = bucket(&change.of);
        let at = written_at(change.offset);
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_is_idempotent(true);
        let mut values: Vec<Box<dyn SerializeRow + Send + Sync + '_>> = Vec::new();
        for (key, value) in &change.put {
            batch.append_statement(ready.put.clone());
            values.push(Box::new((&self.log, topic, generation, bucket, key, change.timestamp, value, at)));
        }
        for key in &change.delete {
            batch.append_statement(ready.delete.clone());
            values.push(Box::new((at, &self.log, topic, generation, bucket, key)));
        }
        if values.is_empty() {
            return Ok(());
        }
        self.connection.answer(&ready, ready.session.batch(&batch, values).await).await?;
        Ok(())
    }

    /// Begins a new generation, unless another process has just done so. What is left of the old one is removed.
    async fn begin_generation(&self, topic: &str) -> Result<(), CqlError> {
        let old = self.read_positions(topic, 0).await?.generation;
        let ready = self.connection.ready().await?;
        // A topic without a generation has the first one, 0.
        let expected = (old != 0).then_some(old);
        let values = (old + 1, &self.log, topic, expected);
        self.connection.execute(&ready, &ready.begin_generation, values).await?;
        self.read_positions(topic, 0).await?;
        self.connection.execute(&ready, &ready.forget_positions, (&self.log, topic, old)).await?;
        let forget = (0..BUCKETS)
            .map(|bucket| self.connection.execute(&ready, &ready.forget_rows, (&self.log, topic, old, bucket)));
        stream::iter(forget.collect::<Vec<_>>()).buffer_unordered(CONCURRENT).try_collect::<Vec<_>>().await?;
        Ok(())
    }

    async fn read_rows(&self, topic: &str, keys: &[RowKey]) -> Result<Vec<Option<StoredRow>>, CqlError> {
        let generation = self.generation(topic).await?;
        let read = keys.iter().map(|wanted| self.read_row(topic, generation, wanted));
        stream::iter(read.collect::<Vec<_>>()).buffered(CONCURRENT).try_collect().await
    }

    async fn read_row(&self, topic: &str, generation: i32, wanted: &RowKey) -> Result<Option<StoredRow>, CqlError> {
        let ready = self.connection.ready().await?;
        let values = (&self.log, topic, generation, bucket(&wanted.of), &wanted.key);
        Ok(rows_of(self.connection.execute(&ready, &ready.row, values).await?)?.pop())
    }

    async fn read_range(&self, range: Range<'_>) -> Result<Vec<StoredRow>, CqlError> {
        let generation = self.generation(range.topic).await?;
        let first = match range.after {
            Some(after) if after >= range.prefix => after,
            _ => range.prefix,
        };
        // A key that is the prefix itself belongs to the range, the one after which it begins does not.
        let excluded = range.after.filter(|after| *after >= range.prefix);
        let end = end_of(range.prefix);
        // Mostly the rows of a range are spread evenly.
        let at_once = (range.limit.div_ceil(BUCKETS as usize) * 2 + 8).min(MOST_AT_ONCE);
        let read = |bucket: i32, from: Vec<u8>| {
            let end = end.clone();
            async move { self.read_bucket((range.topic, generation, bucket), &from, end.as_deref(), at_once).await }
        };
        let begun = (0..BUCKETS).map(|bucket| read(bucket, first.to_vec()));
        let pieces: Vec<Vec<StoredRow>> =
            stream::iter(begun.collect::<Vec<_>>()).buffered(CONCURRENT).try_collect().await?;
        let mut merge = Merge::new(pieces, at_once, excluded);
        let mut rows = Vec::new();
        while rows.len() < range.limit {
            if let Some((bucket, last)) = merge.wants_more() {
                let after = [last.as_slice(), &[0]].concat();
                merge.add(bucket, read(bucket as i32, after).await?);
                continue;
            }
            let Some(row) = merge.next() else { break };
            rows.push(row);
        }
        Ok(rows)
    }

    /// Rows of a bucket whose keys are not less than `from`, and less than `end`.
    async fn read_bucket(
        &self,
        (topic, generation, bucket): (&str, i32, i32),
        from: &[u8],
        end: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<StoredRow>, CqlError> {
        let ready = self.connection.ready().await?;
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let result = if let Some(end) = end {
            let values = (&self.log, topic, generation, bucket, from, end, limit);
            self.connection.execute(&ready, &ready.range, values).await?
        } else {
            let values = (&self.log, topic, generation, bucket, from, limit);
            self.connection.execute(&ready, &ready.open_range, values).await?
        };
        rows_of(result)
    }
}

impl ViewStore for CqlViews {
    fn positions(&self, topic: &str, partitions: i32) -> Result<Vec<Option<ReadPosition>>, ViewError> {
        Ok(self.wait(self.read_positions(topic, partitions))?.positions)
    }

    fn apply(&self, topic: &str, partition: i32, changes: Vec<Change>, piece: Piece) -> Result<(), ViewError> {
        self.wait(self.write(topic, partition, changes, piece))
    }

    fn clear(&self, topic: &str) -> Result<(), ViewError> {
        Ok(self.wait(self.begin_generation(topic))?)
    }

    fn get(&self, topic: &str, keys: &[RowKey]) -> Result<Vec<Option<StoredRow>>, ViewError> {
        Ok(self.wait(self.read_rows(topic, keys))?)
    }

    fn rows(&self, range: Range<'_>) -> Result<Vec<StoredRow>, ViewError> {
        Ok(self.wait(self.read_range(range))?)
    }
}

fn rows_of(result: QueryResult) -> Result<Vec<StoredRow>, CqlError> {
    let rows = result.into_rows_result().map_err(CqlError::answer)?;
    let rows = rows.rows::<(Vec<u8>, i64, Vec<u8>)>().map_err(CqlError::answer)?;
    let row = |row: Result<(Vec<u8>, i64, Vec<u8>), _>| {
        let (key, timestamp, value) = row.map_err(CqlError::answer)?;
        Ok(StoredRow { key, timestamp, value })
    };
    rows.map(row).collect()
}

/// The CQL timestamp of what a record writes. Zero is left free.
fn written_at(offset: i64) -> i64 {
    offset.saturating_add(1)
}

/// The bucket of the rows of a record's key. It is part of the layout.
fn bucket(of: &[u8]) -> i32 {
    let [first, ..] = <[u8; 32]>::from(Sha256::digest(of));
    i32::from(first) % BUCKETS
}

/// The least key that is greater than all with this prefix, if there is one.
fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}
