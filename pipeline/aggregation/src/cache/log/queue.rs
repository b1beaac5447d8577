//! What waits for the log, and what the log has.

use std::collections::{BTreeMap, HashMap};

use tokio::time::Instant;
use tributary_schemas::types::aggregation::PatientId;

use super::seal::EntryName;
use crate::cache::CacheKey;
use crate::cache::entry::Entry;

/// The most entries that wait for the log.
const MOST_WAITING: usize = 1_000;

/// What an entry is about.
#[derive(Clone)]
pub(super) struct About {
    pub(super) key: CacheKey,
    pub(super) patient: PatientId,
}

impl About {
    fn is_of(&self, service: Option<&str>, patient: Option<&PatientId>) -> bool {
        service.is_none_or(|service| service == self.key.service())
            && patient.is_none_or(|patient| *patient == self.patient)
    }
}

/// An entry that the log has, or will have soon.
pub(super) struct Known {
    /// When it is over, in milliseconds since 1970.
    pub(super) expires: i64,
    /// Whether this process has written it, so that it ends it as well.
    pub(super) is_own: bool,
    /// `None` if it cannot be read here.
    pub(super) about: Option<About>,
}

/// A change that waits.
pub(super) enum Change {
    Keeps(CacheKey, Entry),
    Ends,
}

impl Change {
    fn bytes(&self) -> usize {
        if let Self::Keeps(_, entry) = self { entry.bytes() } else { 0 }
    }
}

/// The changes in their order. Of an entry, only the last one waits.
pub(super) struct Queue {
    most_bytes: usize,
    /// The number of the last change.
    last: u64,
    waiting: BTreeMap<u64, (EntryName, Change)>,
    places: HashMap<EntryName, u64>,
    /// How many entries wait, and how many bytes they take. What ends takes next to nothing, and is never more than
    /// what is known.
    entries: usize,
    bytes: usize,
    pub(super) known: HashMap<EntryName, Known>,
    /// When it was last emptied, if only in part.
    cleared: Option<Instant>,
}

impl Queue {
    pub(super) fn new(most_bytes: usize) -> Self {
        let (waiting, places, known) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        Self { most_bytes, last: 0, waiting, places, entries: 0, bytes: 0, known, cleared: None }
    }

    /// The number of the last change.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// How many changes wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn push(&mut self, name: EntryName, change: Change) {
        self.remove(name);
        self.last += 1;
        self.entries += usize::from(matches!(change, Change::Keeps(..)));
        self.bytes += change.bytes();
        self.waiting.insert(self.last, (name, change));
        self.places.insert(name, self.last);
    }

    fn remove(&mut self, name: EntryName) {
        if let Some(place) = self.places.remove(&name) {
            self.take_out(place);
        }
    }

    fn take_out(&mut self, place: u64) -> Option<(EntryName, Change)> {
        let (name, change) = self.waiting.remove(&place)?;
        self.entries -= usize::from(matches!(change, Change::Keeps(..)));
        self.bytes -= change.bytes();
        Some((name, change))
    }

    /// An entry is to be kept. `false` if there is no room for it; an older one of the same question no longer waits.
    pub(super) fn keep(&mut self, name: EntryName, key: &CacheKey, entry: &Entry) -> bool {
        self.remove(name);
        let has_room = self.entries < MOST_WAITING && self.bytes + entry.bytes() <= self.most_bytes;
        if has_room {
            self.push(name, Change::Keeps(key.clone(), entry.clone()));
        }
        has_room
    }

    /// An entry is no longer kept in memory. If others have written it, they end it, or the process that leads.
    pub(super) fn leave(&mut self, name: EntryName) {
        self.remove(name);
        if self.known.get(&name).is_some_and(|known| known.is_own) {
            self.end(name);
        }
    }

    /// An entry ends, whoever has written it.
    pub(super) fn end(&mut self, name: EntryName) {
        self.known.remove(&name);
        self.push(name, Change::Ends);
    }

    /// All entries of that service and that patient end. `None` is any. What cannot be read here may be one of them.
    pub(super) fn clear(&mut self, service: Option<&str>, patient: Option<&PatientId>, now: Instant) {
        self.cleared = Some(now);
        let is_meant = |about: &Option<About>| about.as_ref().is_none_or(|about| about.is_of(service, patient));
        let known = self.known.iter().filter(|(_, known)| is_meant(&known.about));
        for name in known.map(|(name, _)| *name).collect::<Vec<_>>() {
            self.end(name);
        }
        let is_waiting = |change: &Change| {
            matches!(change, Change::Keeps(key, entry)
                if About { key: key.clone(), patient: entry.subject.patient().clone() }.is_of(service, patient))
        };
        let waiting = self.waiting.values().filter(|(_, change)| is_waiting(change));
        for name in waiting.map(|(name, _)| *name).collect::<Vec<_>>() {
            self.remove(name);
        }
    }

    /// Whether something was cleared after that.
    pub(super) fn is_cleared_since(&self, kept: Instant) -> bool {
        self.cleared.is_some_and(|cleared| kept <= cleared)
    }

    /// What is over ends: what this process has written, and if it leads, all.
    pub(super) fn sweep(&mut self, now: i64, leads: bool) {
        let is_over = |known: &Known| known.expires <= now && (leads || known.is_own);
        let over = self.known.iter().filter(|(_, known)| is_over(known));
        for name in over.map(|(name, _)| *name).collect::<Vec<_>>() {
            // A newer one may wait, which is not over.
            self.known.remove(&name);
            if !self.places.contains_key(&name) {
                self.push(name, Change::Ends);
            }
        }
    }

    /// Takes the oldest change.
    pub(super) fn pop(&mut self) -> Option<(EntryName, Change)> {
        let (place, _) = self.waiting.first_key_value()?;
        let taken = self.take_out(*place)?;
        self.places.remove(&taken.0);
        Some(taken)
    }

    /// All changes up to this number were taken.
    pub(super) fn taken(&self) -> u64 {
        self.waiting.first_key_value().map_or(self.last, |(first, _)| first - 1)
    }
}
