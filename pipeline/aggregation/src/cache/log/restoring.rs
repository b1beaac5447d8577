//! Takes back what the log has: entries first, then the marks that they lack, and then into memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tributary_schemas::records::aggregation::Mark;

use super::contents::{Now, Passed, Reading};
use super::queue::{About, Known};
use super::seal::EntryName;
use super::{CacheLog, LONGEST_MS};
use crate::cache::entry::Entry;
use crate::cache::{Cache, CacheKey};
use crate::memory::MemoryBudget;
use crate::tak::Tak;

/// Entries of the log that are not in memory yet.
pub struct Restoring {
    cache: Arc<Cache>,
    log: Arc<CacheLog>,
    memory: MemoryBudget,
    tak: Option<Arc<Tak>>,
    now: Now,
    entries: HashMap<EntryName, (CacheKey, Entry)>,
    bytes: usize,
    most_bytes: usize,
}

impl Restoring {
    pub(crate) fn new(
        cache: &Arc<Cache>,
        log: &Arc<CacheLog>,
        memory: MemoryBudget,
        most_bytes: usize,
        tak: Option<Arc<Tak>>,
        now: Now,
    ) -> Self {
        let (cache, log, entries) = (Arc::clone(cache), Arc::clone(log), HashMap::new());
        Self { cache, log, memory, tak, now, entries, bytes: 0, most_bytes }
    }

    /// Takes a record that another process has written, or this one before its start. Without a value it ends an entry.
    pub fn take(&mut self, key: &[u8], value: Option<&[u8]>) {
        let Some(name) = EntryName::of_key(key) else {
            return self.log.note_unreadable("its key is not one of an entry");
        };
        self.remove(name);
        let Some(value) = value else { return self.end(name) };
        let (expires, contents) = self.log.open(name, value);
        let expires = expires.min(self.now.wall.as_millisecond().saturating_add(LONGEST_MS));
        let about = contents.as_ref().ok().map(|contents| About {
            key: CacheKey::of_digest(&contents.service, contents.question.as_slice().try_into().unwrap_or_default()),
            patient: contents.patient.clone(),
        });
        self.log.queue().known.insert(name, Known { expires, is_own: false, about });
        let contents = match contents {
            Ok(contents) => contents,
            Err(reason) => return self.log.note_unreadable(&reason),
        };
        if expires <= self.now.wall.as_millisecond() {
            return self.pass(1);
        }
        let read = match self.log.services.get(&contents.service) {
            None => Err(Passed::Basis),
            Some(service) => Reading {
                service,
                basis: self.log.basis(&service.descriptor, self.tak.as_deref()),
                partitions: self.log.partitions,
                settings: &self.log.settings,
                memory: &self.memory,
                max_answer_bytes: self.log.max_answer_bytes,
                now: self.now,
            }
            .read(contents),
        };
        match read {
            Ok((key, entry)) => self.add(name, key, entry),
            Err(Passed::Malformed) => {
                self.log.note_unreadable("it was opened, and its contents are not those of an entry");
            }
            Err(Passed::Time | Passed::Basis | Passed::Marks | Passed::Memory) => self.pass(1),
        }
    }

    fn pass(&self, entries: usize) {
        self.log.passed.fetch_add(entries as u64, Ordering::Relaxed);
    }

    fn end(&self, name: EntryName) {
        let mut queue = self.log.queue();
        let Some(known) = queue.known.get(&name) else { return };
        let key = known.about.as_ref().map(|about| about.key.clone());
        // An own one may be written again already.
        if !known.is_own {
            queue.known.remove(&name);
        }
        drop(queue);
        if let Some(key) = key {
            self.cache.remove(&key);
        }
    }

    fn remove(&mut self, name: EntryName) {
        if let Some((_, entry)) = self.entries.remove(&name) {
            self.bytes -= entry.bytes();
        }
    }

    /// Adds an entry. Those that were kept first make room.
    fn add(&mut self, name: EntryName, key: CacheKey, entry: Entry) {
        self.bytes += entry.bytes();
        self.entries.insert(name, (key, entry));
        while self.bytes > self.most_bytes || self.entries.len() > self.log.settings.max_entries {
            let oldest = self.entries.iter().min_by_key(|(_, (_, entry))| entry.kept).map(|(name, _)| *name);
            let Some(oldest) = oldest else { return };
            self.remove(oldest);
            self.pass(1);
        }
    }

    /// From which offset of which partition marks are lacking.
    pub fn marks_from(&self) -> Vec<(i32, i64)> {
        let mut lacking: HashMap<i32, i64> = HashMap::new();
        for (_, entry) in self.entries.values() {
            let Some(footing) = entry.footing else { continue };
            let offset = lacking.entry(entry.subject.patient().partition(footing.partitions)).or_insert(i64::MAX);
            *offset = footing.marks_from.min(*offset);
        }
        lacking.into_iter().collect()
    }

    /// Applies the marks of a record, if they came after an entry was written.
    pub fn mark(&mut self, partition: i32, offset: i64, marks: &[Mark]) {
        for (_, entry) in self.entries.values_mut() {
            let Some(footing) = entry.footing else { continue };
            if offset < footing.marks_from || entry.subject.patient().partition(footing.partitions) != partition {
                continue;
            }
            let subject = Arc::clone(&entry.subject);
            for address in marks.iter().filter_map(|mark| subject.marked_by(mark)) {
                entry.mark(address);
            }
        }
    }

    /// The marks that are lacking are gone, so nothing is sure.
    pub fn marks_are_lost(&mut self) {
        self.pass(self.entries.len());
        let mut queue = self.log.queue();
        for name in self.entries.drain().map(|(name, _)| name) {
            queue.end(name);
        }
        self.bytes = 0;
    }

    /// Puts all into memory. `read` says up to where the marks of each partition are taken in: an entry that claims to
    /// have more of them is from another life of the log.
    pub fn finish(mut self, read: &[i64]) {
        for (name, (key, entry)) in std::mem::take(&mut self.entries) {
            let Some(footing) = entry.footing else { continue };
            let partition = entry.subject.patient().partition(footing.partitions);
            let is_sure = usize::try_from(partition).ok().and_then(|partition| read.get(partition));
            if is_sure.is_none_or(|read| footing.marks_from > *read) {
                self.pass(1);
                self.log.queue().end(name);
            } else {
                self.cache.take_back(key, entry, |kept| self.log.is_cleared(name, kept));
            }
        }
        self.log.is_read.send_if_modified(|is_read| !std::mem::replace(is_read, true));
    }
}
