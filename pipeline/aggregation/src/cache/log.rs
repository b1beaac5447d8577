//! Entries of the cache that survive restarts: what of them is written to the log, and what is taken back from it.
//!
//! No question waits for the log, but the first ones after a start, for a short time, until it was read. An entry is
//! queued when it is kept, and written behind the answer. Memory decides what is served. The log only fills it again
//! after a restart, and with what other processes have asked.
//!
//! An entry in the log says up to which offset of `aggregation.invalidation` marks were taken in. Whoever reads it
//! applies those that came later, so no mark is lost however long no process ran.

mod contents;
mod queue;
mod restoring;
mod seal;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};
use tributary_schemas::Codec;
use tributary_schemas::records::aggregation::{CacheContents, CacheEntry};
use tributary_schemas::types::aggregation::PatientId;

use super::entry::{Basis, Entry};
use super::{CacheKey, CacheSettings};
use crate::descriptor::Descriptor;
use crate::events;
use crate::flow::{FlowSettings, Service};
use crate::tak::Tak;
pub use contents::Now;
use queue::{About, Change, Known, Queue};
pub use restoring::Restoring;
use seal::{EntryName, Seal};
pub use seal::{NONCE_BYTES, digits};

/// The largest sealed entry, in bytes. Brokers take records of a megabyte, with key, headers and frame.
const LARGEST: usize = 960 * 1024;

/// The most changes of a piece, and the bytes after which it has no more.
const MOST_IN_PIECE: usize = 100;
const PIECE_BYTES: usize = 4 << 20;

/// How long the first questions of a process wait until the log was read.
const FIRST_READ: Duration = Duration::from_millis(500);

/// What waits for the log takes at most this part of the memory for answers.
const QUEUE_PART: usize = 16;

/// No entry is served for longer, in milliseconds. So none of another process, or a damaged one, stays for longer.
const LONGEST_MS: i64 = 24 * 3600 * 1000;

/// What the cache in the log needs beside the settings of the flow.
pub struct CacheLogParts {
    /// The key that seals entries.
    pub key: [u8; 32],
    /// Writes and reads records.
    pub codec: Codec,
    /// The number of partitions of the flow's topics.
    pub partitions: i32,
    /// The services that are offered.
    pub services: Vec<Arc<Service>>,
    /// Which index is asked. An entry that another one has led to is not served.
    pub index: String,
}

/// What an operator sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheLogStatus {
    /// Entries that the log has.
    pub entries: u64,
    /// Changes that wait for the log.
    pub waiting: u64,
    /// Entries that were not written: the queue was full, or the log did not take them.
    pub dropped: u64,
    /// Entries that were not written because they are too large for a record.
    pub too_large: u64,
    /// Entries of the log that could not be read: sealed with another key, or damaged.
    pub unreadable: u64,
    /// Entries of the log that could be read and are not served: too old, or of other settings, or of another TAK; or
    /// the marks that they lack are gone; or there was no memory for them.
    pub passed: u64,
}

/// The cache in the log.
pub struct CacheLog {
    seal: Seal,
    codec: Codec,
    partitions: i32,
    services: HashMap<String, Arc<Service>>,
    settings: CacheSettings,
    max_answer_bytes: usize,
    /// The digest of what answers depend on that is the same for all services.
    platform: [u8; 32],
    queue: Mutex<Queue>,
    wake: Notify,
    written: watch::Sender<u64>,
    /// Whether all was read that the log had at the start.
    is_read: watch::Sender<bool>,
    dropped: AtomicU64,
    too_large: AtomicU64,
    unreadable: AtomicU64,
    passed: AtomicU64,
    has_told: AtomicBool,
}

impl fmt::Debug for CacheLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "CacheLog({:?})", self.status())
    }
}

/// Changes that are written in one piece. `Debug` shows nothing of them.
pub struct Piece {
    /// For each entry the key of its record, and its record. `None` ends it.
    pub records: Vec<(String, Option<CacheEntry>)>,
    /// The number of its last change.
    up_to: u64,
}

impl CacheLog {
    /// A cache in the log of which nothing was read yet.
    pub fn new(parts: CacheLogParts, settings: &FlowSettings) -> Self {
        let CacheLogParts { key, codec, partitions, services, index } = parts;
        let mut platform = Sha256::new();
        for field in [&settings.logical_address, settings.platform_url.as_ref().unwrap_or(&String::new()), &index] {
            platform.update((field.len() as u64).to_be_bytes());
            platform.update(field.as_bytes());
        }
        let by_name = services.into_iter().map(|service| (service.descriptor.name.clone(), service));
        Self {
            seal: Seal::new(key),
            codec,
            partitions,
            services: by_name.collect(),
            settings: settings.cache,
            max_answer_bytes: settings.max_answer_bytes,
            platform: platform.finalize().into(),
            queue: Mutex::new(Queue::new(settings.memory_bytes / QUEUE_PART)),
            wake: Notify::new(),
            written: watch::Sender::new(0),
            is_read: watch::Sender::new(false),
            dropped: AtomicU64::default(),
            too_large: AtomicU64::default(),
            unreadable: AtomicU64::default(),
            passed: AtomicU64::default(),
            has_told: AtomicBool::default(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What answers of a service depend on beside the question.
    pub(crate) fn basis(&self, descriptor: &Descriptor, tak: Option<&Tak>) -> Basis {
        let digest = Sha256::new().chain_update(self.platform).chain_update(descriptor.digest());
        let digest = match tak {
            Some(tak) => digest.chain_update(tak.digest()),
            None => digest,
        };
        Basis(digest.finalize().into())
    }

    /// An entry is kept.
    pub(super) fn keep(&self, key: &CacheKey, entry: &Entry) {
        let name = self.seal.name(key);
        if entry.footing.is_some() && self.queue().keep(name, key, entry) {
            self.wake.notify_one();
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// An entry is no longer in memory.
    pub(super) fn leave(&self, key: &CacheKey) {
        self.queue().leave(self.seal.name(key));
        self.wake.notify_one();
    }

    /// All entries of that service and that patient end, those of other processes too.
    pub(super) fn clear(&self, service: Option<&str>, patient: Option<&PatientId>) {
        self.queue().clear(service, patient, Instant::now());
        self.wake.notify_one();
    }

    /// Whether an entry was cleared after it was kept, before it was read here. Then it ends.
    fn is_cleared(&self, name: EntryName, kept: Instant) -> bool {
        let mut queue = self.queue();
        let is_cleared = queue.is_cleared_since(kept);
        if is_cleared {
            queue.end(name);
            self.wake.notify_one();
        }
        is_cleared
    }

    /// What is over ends in the log: what this process has written, and if it leads, all.
    pub fn sweep(&self, now: Now, leads: bool) {
        let mut queue = self.queue();
        queue.sweep(now.wall.as_millisecond(), leads);
        if queue.len() > 0 {
            self.wake.notify_one();
        }
    }

    /// Waits until something is to be written.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }

    /// Takes the oldest changes that wait. `nonce` draws random bytes. If it has none, an entry is not written.
    pub fn piece(&self, now: Now, mut nonce: impl FnMut() -> Option<[u8; NONCE_BYTES]>) -> Piece {
        let (mut records, mut bytes) = (Vec::new(), 0);
        while records.len() < MOST_IN_PIECE && bytes < PIECE_BYTES {
            let Some((name, change)) = self.next(now) else { break };
            let record = match change {
                Change::Ends => None,
                Change::Keeps(key, entry) => self.record(name, &key, &entry, now, nonce()),
            };
            bytes += record.as_ref().map_or(0, |record| record.sealed.len());
            records.push((name.to_key(), record));
        }
        Piece { records, up_to: self.queue().taken() }
    }

    /// Takes a change. From now on, the log has it.
    fn next(&self, now: Now) -> Option<(EntryName, Change)> {
        let mut queue = self.queue();
        let (name, change) = queue.pop()?;
        if let Change::Keeps(key, entry) = &change {
            let about = About { key: key.clone(), patient: entry.subject.patient().clone() };
            let known = Known { expires: contents::expires(entry, now), is_own: true, about: Some(about) };
            queue.known.insert(name, known);
        }
        Some((name, change))
    }

    /// The record of an entry. One that is not written has none: that ends an older one of the same question.
    fn record(
        &self,
        name: EntryName,
        key: &CacheKey,
        entry: &Entry,
        now: Now,
        nonce: Option<[u8; NONCE_BYTES]>,
    ) -> Option<CacheEntry> {
        let record = match nonce {
            Some(nonce) => self.sealed(name, key, entry, now, nonce),
            None => Err(&self.dropped),
        };
        if let Err(count) = &record {
            count.fetch_add(1, Ordering::Relaxed);
            self.queue().known.remove(&name);
        }
        record.ok()
    }

    /// Seals an entry. The error is what counts it.
    fn sealed(
        &self,
        name: EntryName,
        key: &CacheKey,
        entry: &Entry,
        now: Now,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<CacheEntry, &AtomicU64> {
        if entry.answer_bytes() > LARGEST {
            return Err(&self.too_large);
        }
        let contents = contents::write(key, entry, now).ok_or(&self.dropped)?;
        let mut plain = Vec::new();
        self.codec.encode(&contents, &mut plain).map_err(|_| &self.dropped)?;
        let expires = contents::expires(entry, now);
        let sealed = self.seal.close(&name, expires, nonce, &plain).filter(|sealed| sealed.len() <= LARGEST);
        Ok(CacheEntry { expires, sealed: sealed.ok_or(&self.too_large)? })
    }

    /// A piece is in the log.
    pub fn note_written(&self, piece: &Piece) {
        self.written.send_replace(piece.up_to);
        if self.queue().len() > 0 {
            self.wake.notify_one();
        }
    }

    /// The log does not take so many entries.
    pub fn note_lost(&self, entries: usize) {
        self.dropped.fetch_add(entries as u64, Ordering::Relaxed);
    }

    /// Waits until everything that has changed up to now is in the log.
    pub async fn flushed(&self) {
        let last = self.queue().last();
        self.wake.notify_one();
        // The sender lives as long as this.
        let _ = self.written.subscribe().wait_for(|written| *written >= last).await;
    }

    /// Waits until all was read that the log had when the process started, but not long.
    pub(crate) async fn read_once(&self) {
        let mut is_read = self.is_read.subscribe();
        let _ = timeout(FIRST_READ, is_read.wait_for(|is_read| *is_read)).await;
    }

    /// What an operator sees.
    pub fn status(&self) -> CacheLogStatus {
        let number = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let queue = self.queue();
        CacheLogStatus {
            entries: queue.known.len() as u64,
            waiting: queue.len() as u64,
            dropped: number(&self.dropped),
            too_large: number(&self.too_large),
            unreadable: number(&self.unreadable),
            passed: number(&self.passed),
        }
    }

    /// What a record holds, and its end. An error shows nothing of it.
    fn open(&self, name: EntryName, value: &[u8]) -> (i64, Result<CacheContents, String>) {
        let framed = self.codec.open(value).and_then(|framed| framed.read::<CacheEntry>());
        let record = match framed {
            Ok(record) => record,
            // Perhaps the registry is away. It stays for a while.
            Err(error) => return (i64::MAX, Err(error.to_string())),
        };
        let plain = self.seal.open(&name, record.expires, &record.sealed).map_err(|error| error.to_string());
        let contents = plain.and_then(|plain| {
            let framed = self.codec.open(&plain).and_then(|framed| framed.read::<CacheContents>());
            framed.map_err(|error| error.to_string())
        });
        (record.expires, contents)
    }

    /// Counts an entry that cannot be read. The first one is told.
    fn note_unreadable(&self, reason: &str) {
        self.unreadable.fetch_add(1, Ordering::Relaxed);
        if !self.has_told.swap(true, Ordering::Relaxed) {
            events::cache_entry_unreadable(reason);
        }
    }
}
