//! The embedded log: the broker of one process, with its commits stored in a state folder.
//!
//! It needs no service. Records that a stage has not read yet are in memory and in the folder. Changelogs and outputs
//! are only in the folder.
//!
//! Guarantees: a commit is stored whole or not at all, before it becomes visible. If the process is killed, no commit
//! is lost. If the machine loses power, commits of the last [`Fsync::Interval`] (200 ms by default) may be lost: the
//! newest ones, each together with everything that followed from it. With [`Fsync::Always`] no commit is lost, but each
//! waits for the disk. Only one process uses a folder at a time.

mod compaction;
mod database;
mod folder;
mod follower;
mod keys;
mod record_batch;
mod stored_log;
mod upkeep;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tributary_runtime::memory::{Broker, BrokerConfig, MemoryLag, MemoryLog, MemoryProducer, OwnedRecord, Retention};
use tributary_runtime::{LogError, Topic};

use database::Database;
use stored_log::{Shared, StoredLog};
use upkeep::Upkeep;

pub(crate) use folder::take_lock;
pub use folder::{FORMAT_VERSION, StateFolder, StateFolderError, is_in_use};
pub use follower::EmbeddedFollower;

/// When commits are synced from the memory of the operating system to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// At each commit.
    Always,
    /// At most this long after a commit.
    Interval(Duration),
}

impl Default for Fsync {
    fn default() -> Self {
        Self::Interval(Duration::from_millis(200))
    }
}

/// A consumer group and the inboxes it reads. A record leaves an inbox when every group that reads it has committed it.
#[derive(Debug, Clone, Copy)]
pub struct GroupInboxes<'a> {
    /// The group.
    pub group: &'a str,
    /// The inboxes it reads.
    pub inboxes: &'a [&'static Topic],
}

/// Why the embedded log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The state folder cannot be used.
    #[error(transparent)]
    Folder(#[from] StateFolderError),
    /// The stored records cannot be loaded.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// The log of one state folder. Dropping it syncs everything to the disk and frees the folder. Its workers, producers
/// and lags must not be used after that.
pub struct EmbeddedLog {
    broker: Broker,
    /// Dropped before `folder`, so that the folder is freed only when everything is on the disk.
    upkeep: Upkeep,
    folder: StateFolder,
}

impl EmbeddedLog {
    /// Opens the state folder at `path`, creates it if it is missing, and loads unread records.
    ///
    /// # Errors
    /// [`OpenError`], which says what to do.
    pub fn open(
        path: &Path,
        fsync: Fsync,
        topics: &[&'static Topic],
        flow_partitions: i32,
        readers: &[GroupInboxes<'_>],
    ) -> Result<Self, OpenError> {
        let folder = StateFolder::open(path)?;
        let database = Database::open(&folder, fsync == Fsync::Always)?;
        let stored = Arc::new(StoredLog::open(database, topics, flow_partitions, readers)?);
        stored.drop_expired(upkeep::now_millis())?;
        let config = BrokerConfig::embedded(Retention::Unread);
        let broker = Broker::durable(config, Box::new(Shared(Arc::clone(&stored))));
        broker.create_topics(topics, flow_partitions);
        stored.load_into(&broker)?;
        Ok(Self { broker, upkeep: Upkeep::start(stored, fsync)?, folder })
    }

    /// The state folder, which may hold other files beside the log.
    pub fn folder(&self) -> &StateFolder {
        &self.folder
    }

    /// The broker, to expel members in tests.
    #[cfg(test)]
    fn broker(&self) -> &Broker {
        &self.broker
    }

    /// The log of one worker of `group`, which must be one of the declared readers.
    ///
    /// # Errors
    /// [`LogError::Fatal`] when a topic or the group is not declared.
    pub fn worker(
        &self,
        group: &str,
        transactional_id: &str,
        inboxes: &[&'static Topic],
    ) -> Result<MemoryLog, LogError> {
        self.upkeep.stored().check_reader(group, inboxes)?;
        self.broker.open(group, transactional_id, inboxes)
    }

    /// A producer for connectors.
    pub fn producer(&self, transactional_id: &str) -> MemoryProducer {
        self.broker.producer(transactional_id)
    }

    /// Follows topics outside any group. It must not be used after the log is dropped.
    pub fn follower(&self) -> EmbeddedFollower {
        EmbeddedFollower::new(self.broker.clone(), Arc::clone(self.upkeep.stored()))
    }

    /// The records that the declared readers have not read yet.
    pub fn lag(&self, inboxes: Vec<(String, &'static Topic)>) -> MemoryLag {
        self.broker.lag(inboxes)
    }

    /// The stored records of a partition: the unread ones of an inbox, at least the newest of each key of a compacted
    /// topic, and those of other topics that are within the retention time.
    ///
    /// # Errors
    /// [`LogError`] when they cannot be read.
    pub fn read_committed(&self, topic: &Topic, partition: i32) -> Result<Vec<OwnedRecord>, LogError> {
        self.upkeep.stored().read(topic.name, partition)
    }

    /// Syncs all commits so far to the disk.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] when the disk does not accept them.
    pub fn sync(&self) -> Result<(), LogError> {
        self.upkeep.stored().database.sync()
    }
}

#[cfg(test)]
mod tests;
