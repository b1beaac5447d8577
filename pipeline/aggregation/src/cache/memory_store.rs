//! Entries in the memory of the process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;

use super::entry::Entry;
use super::key::CacheKey;

/// What becomes of an entry that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays, as it is now.
    Stays,
    /// It ends.
    Ends,
}

/// What a unit of weight stands for, in bytes.
const UNIT: usize = 1024;

/// Keeps the entries that were used last, within a number of entries and of bytes. Ages are not its affair. Writers
/// come one at a time, readers at any time. An entry may go at any time, to make space.
pub(crate) struct MemoryStore {
    entries: moka::sync::Cache<CacheKey, Arc<Slot>>,
    lightest: u64,
    capacity: u64,
}

/// The place of an entry. The map may hold on to a place for a while after it was removed, so the entry is taken out of
/// it at once: the space of its answers is free, and no row stays behind.
struct Slot {
    weight: u32,
    entry: Mutex<Option<Entry>>,
}

impl Slot {
    fn entry(&self) -> MutexGuard<'_, Option<Entry>> {
        self.entry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryStore {
    /// A store for so many entries that take so many bytes. An entry weighs what it takes, but at least its part of the
    /// capacity, so that one sum keeps both limits. `leave` is told of each entry that goes without another in its
    /// place.
    pub(crate) fn new(max_entries: usize, bytes: usize, leave: impl Fn(&CacheKey) + Send + Sync + 'static) -> Self {
        let (most, units) = (max_entries.max(1) as u64, (bytes / UNIT).max(1) as u64);
        let lightest = (units / most).max(1);
        let capacity = units.min(lightest.saturating_mul(most));
        let entries = moka::sync::Cache::builder()
            .max_capacity(capacity)
            .weigher(|_, slot: &Arc<Slot>| slot.weight)
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(move |key: Arc<CacheKey>, slot: Arc<Slot>, cause| {
                drop(slot.entry().take());
                if cause != RemovalCause::Replaced {
                    leave(&key);
                }
            })
            .build();
        Self { entries, lightest, capacity }
    }

    /// The entry of a question.
    pub(crate) fn get(&self, key: &CacheKey) -> Option<Entry> {
        self.entries.get(key)?.entry().clone()
    }

    /// Keeps an entry in the place of an older one. If it is too large, neither is kept. Returns whether it is.
    pub(crate) fn put(&self, key: CacheKey, entry: Entry) -> bool {
        let weight = (entry.bytes().div_ceil(UNIT) as u64).max(self.lightest);
        let weight = u32::try_from(weight).ok().filter(|weight| u64::from(*weight) <= self.capacity);
        match weight {
            Some(weight) => self.entries.insert(key, Arc::new(Slot { weight, entry: Mutex::new(Some(entry)) })),
            None => self.entries.invalidate(&key),
        }
        // What has to make space goes now, not some time later.
        self.entries.run_pending_tasks();
        weight.is_some()
    }

    /// Lets go an entry.
    pub(crate) fn remove(&self, key: &CacheKey) {
        self.entries.invalidate(key);
        self.entries.run_pending_tasks();
    }

    /// Goes through all entries.
    pub(crate) fn revise(&self, revision: &mut dyn FnMut(&mut Entry) -> Fate) {
        let mut ended = Vec::new();
        for (key, slot) in &self.entries {
            let fate = slot.entry().as_mut().map(&mut *revision);
            if fate == Some(Fate::Ends) {
                ended.push(key);
            }
        }
        for key in &ended {
            self.entries.invalidate(key.as_ref());
        }
        self.entries.run_pending_tasks();
    }

    /// How many entries there are.
    pub(crate) fn count(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.entry_count()
    }
}
