//! The cache of answers: for each question a part per address, and the marks that say which of them may have changed
//! (A 4.4, A 4.5).
//!
//! Two equal questions at once both ask and call. Each keeps what it has got, and the one that ends last stays. That is
//! never wrong: a mark that comes meanwhile marks the parts of both.

mod entry;
mod key;
pub mod log;
mod memory_store;
mod refresh;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;
use tributary_schemas::records::aggregation::Mark;
use tributary_schemas::types::aggregation::PatientId;

use crate::descriptor::Descriptor;
use crate::find_content::MOST_ENGAGEMENTS;
use crate::question::Part;
pub(crate) use entry::{Basis, CachedPart, Entry};
use entry::{Footing, Subject};
pub(crate) use key::CacheKey;
use log::CacheLog;
use memory_store::{Fate, MemoryStore};
pub(crate) use refresh::Refresh;

/// What an operator sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// Whether answers are kept.
    pub enabled: bool,
    /// Where.
    pub store: StoreKind,
    /// How long parts are served, if the service does not set its own time.
    pub ttl: Duration,
    /// How many questions are kept.
    pub max_entries: usize,
    /// How often what is too old is let go.
    pub expiration_interval: Duration,
    /// How long failed parts are served. Not longer than good ones.
    pub failure_ttl: Duration,
}

/// Where answers are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// In the memory of the process.
    #[default]
    Memory,
    /// There, and sealed in the log, so that they survive restarts.
    Log,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            store: StoreKind::Memory,
            ttl: Duration::from_secs(5),
            max_entries: 1000,
            expiration_interval: Duration::from_secs(1),
            failure_ttl: Duration::from_secs(5),
        }
    }
}

/// What an operator sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// Whether answers are kept.
    pub enabled: bool,
    /// How many questions are kept.
    pub entries: u64,
    /// How many questions were answered without the index and without calls.
    pub hits: u64,
    /// How many were not.
    pub misses: u64,
}

/// The cache.
pub(crate) struct Cache {
    settings: CacheSettings,
    store: MemoryStore,
    /// `None` if entries end with the process.
    log: Option<Arc<CacheLog>>,
    /// The questions that are being answered. Whoever changes entries holds this lock.
    open: Mutex<OpenQuestions>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Cache({:?})", self.status())
    }
}

#[derive(Default)]
struct OpenQuestions {
    next: u64,
    questions: HashMap<u64, OpenQuestion>,
    /// Up to where marks are taken in, by partition. Empty as long as nobody knows.
    marks_read: Vec<i64>,
}

impl OpenQuestions {
    /// On what an entry stands that is kept now.
    fn footing(&self, basis: Basis, patient: &PatientId) -> Option<Footing> {
        let partitions = i32::try_from(self.marks_read.len()).ok().filter(|count| *count > 0)?;
        let marks_from = *self.marks_read.get(usize::try_from(patient.partition(partitions)).ok()?)?;
        Some(Footing { basis, partitions, marks_from })
    }
}

/// A question that is being answered: its index answer and its parts are no older than this.
struct OpenQuestion {
    subject: Arc<Subject>,
    /// The addresses that were marked since it began.
    marked: HashSet<String>,
    /// Whether its answer may be kept.
    keeps: bool,
}

impl OpenQuestion {
    fn mark(&mut self, address: &str) {
        if self.marked.len() < MOST_ENGAGEMENTS {
            self.marked.insert(address.to_owned());
        } else {
            self.keeps = false;
        }
    }
}

impl Cache {
    /// A cache that takes at most so many bytes. With a log, entries are written there too.
    pub(crate) fn new(settings: CacheSettings, bytes: usize, log: Option<Arc<CacheLog>>) -> Self {
        let told = log.clone();
        let leave = move |key: &CacheKey| told.iter().for_each(|log| log.leave(key));
        Self {
            settings,
            store: MemoryStore::new(settings.max_entries, bytes, leave),
            log,
            open: Mutex::default(),
            hits: AtomicU64::default(),
            misses: AtomicU64::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, OpenQuestions> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entry that answers a question as it is.
    pub(crate) fn answer(&self, key: &CacheKey, now: Instant) -> Option<Entry> {
        self.store.get(key).filter(|entry| entry.answers(now))
    }

    /// Counts a question that an entry has answered.
    pub(crate) fn count_hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// Begins to answer a question that no entry answers. From now on, marks reach it.
    pub(crate) fn begin(self: &Arc<Self>, key: CacheKey, descriptor: &Descriptor, patient: &PatientId) -> Ticket {
        let subject = Arc::new(Subject::new(descriptor, patient, &self.settings));
        self.misses.fetch_add(1, Ordering::Relaxed);
        let question = OpenQuestion { subject, marked: HashSet::new(), keeps: true };
        let mut open = self.lock();
        let id = open.next;
        open.next = open.next.wrapping_add(1);
        open.questions.insert(id, question);
        Ticket { cache: self.clone(), id, key }
    }

    fn keep(&self, ticket: &Ticket, parts: &[Part], kept: Instant, basis: Option<Basis>) {
        let mut open = self.lock();
        let Some(question) = open.questions.remove(&ticket.id).filter(|question| question.keeps) else { return };
        // The data of an address that was marked during its call may be from before or after the change.
        let is_marked = |part: &Part| question.marked.contains(&part.address);
        let parts = parts.iter().map(|part| CachedPart::of(part, is_marked(part))).collect();
        let changed = !question.marked.is_empty();
        let footing = basis.and_then(|basis| open.footing(basis, question.subject.patient()));
        let entry = Entry { subject: question.subject, parts, kept, changed, footing };
        // Before it is put, so that it ends in the log too if it has to go at once.
        if let Some(log) = &self.log {
            log.keep(&ticket.key, &entry);
        }
        if let (false, Some(log)) = (self.store.put(ticket.key.clone(), entry), &self.log) {
            log.leave(&ticket.key);
        }
    }

    /// Marks are taken in up to these offsets, by partition.
    pub(crate) fn note_marks_read(&self, offsets: Vec<i64>) {
        self.lock().marks_read = offsets;
    }

    /// Takes an entry back from the log, unless there is a newer one, or `is_cleared` says that it must not come back.
    pub(crate) fn take_back(&self, key: CacheKey, entry: Entry, is_cleared: impl FnOnce(Instant) -> bool) {
        // Nothing is cleared meanwhile.
        let _open = self.lock();
        let is_older = self.store.get(&key).is_some_and(|known| known.kept >= entry.kept);
        if !is_older && !is_cleared(entry.kept) {
            self.store.put(key, entry);
        }
    }

    /// Lets go an entry that another process has ended.
    pub(crate) fn remove(&self, key: &CacheKey) {
        let _open = self.lock();
        self.store.remove(key);
    }

    /// Marks addresses, of entries and of questions under way.
    pub(crate) fn mark(&self, marks: &[Mark]) {
        let mut of_patient: HashMap<&PatientId, Vec<&Mark>> = HashMap::new();
        for mark in marks {
            of_patient.entry(&mark.patient).or_default().push(mark);
        }
        let marked_in = |subject: &Subject| -> Vec<&str> {
            let marks = of_patient.get(subject.patient());
            marks.into_iter().flatten().filter_map(|mark| subject.marked_by(mark)).collect()
        };
        let mut open = self.lock();
        for question in open.questions.values_mut() {
            for address in marked_in(&question.subject) {
                question.mark(address);
            }
        }
        self.store.revise(&mut |entry| {
            let addresses = marked_in(&entry.subject);
            for address in &addresses {
                entry.mark(address);
            }
            Fate::Stays
        });
    }

    /// Lets go entries of that service and that patient. `None` is any. What is under way now is not kept either.
    /// Returns the number of entries.
    pub(crate) fn clear(&self, service: Option<&str>, patient: Option<&PatientId>) -> usize {
        let mut open = self.lock();
        for question in open.questions.values_mut().filter(|one| one.subject.is_of(service, patient)) {
            question.keeps = false;
        }
        let mut cleared = 0;
        self.store.revise(&mut |entry| {
            let is_cleared = entry.subject.is_of(service, patient);
            cleared += usize::from(is_cleared);
            if is_cleared { Fate::Ends } else { Fate::Stays }
        });
        if let Some(log) = &self.log {
            log.clear(service, patient);
        }
        cleared
    }

    /// Lets go what is too old.
    pub(crate) fn expire(&self, now: Instant) {
        let _open = self.lock();
        self.store.revise(&mut |entry| {
            entry.expire(now);
            if entry.is_over(now) { Fate::Ends } else { Fate::Stays }
        });
    }

    /// How often [`Self::expire`] is due.
    pub(crate) fn expiration_interval(&self) -> Duration {
        self.settings.expiration_interval
    }

    pub(crate) fn status(&self) -> CacheStatus {
        CacheStatus {
            enabled: true,
            entries: self.store.count(),
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }
}

/// A question that is being answered. If it is dropped, nothing is kept of it.
pub(crate) struct Ticket {
    cache: Arc<Cache>,
    id: u64,
    key: CacheKey,
}

impl Ticket {
    /// What the cache has for it, up to date or not.
    pub(crate) fn entry(&self) -> Option<Entry> {
        self.cache.store.get(&self.key)
    }

    /// Keeps its answer. `basis` is what it depends on, if it goes to the log too.
    pub(crate) fn keep(self, parts: &[Part], now: Instant, basis: Option<Basis>) {
        self.cache.keep(&self, parts, now, basis);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.cache.lock().questions.remove(&self.id);
    }
}
