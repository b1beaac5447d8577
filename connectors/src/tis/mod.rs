//! Loads a snapshot of TIS into the `tis.*` topics: a record for each object, a tombstone for each object that is gone.
//!
//! [`snapshot`] reads the files. The caller decides the topics of the objects, the header of their records, and how
//! many objects a snapshot may delete.

mod known_lines;
mod record;
mod report;
pub mod snapshot;

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::ScopedJoinHandle;

use rustc_hash::FxHashSet;
use tributary_runtime::{Headers, LogError, Output, Producer, TimestampMillis, Topic, append_header};
use tributary_schemas::{AvroRecord, Codec, EncodeError};

use known_lines::{Comparison, Seen};
use snapshot::{Kind, KindReport, SnapshotError, TisSnapshot};

pub use known_lines::KnownLines;
pub use report::{Absent, LoadReport};

/// The kinds in the order in which they are published.
const ORDER: [Kind; 3] = [Kind::People, Kind::Posts, Kind::Placements];

/// The size at which a publication ends.
const PUBLICATION_BYTES: usize = 4 << 20;

/// The number of publications that may wait for the log while the next one is read.
const PUBLICATIONS_AHEAD: usize = 2;

/// The topics of the objects. Keys are ids as decimal text.
#[derive(Debug, Clone, Copy)]
pub struct Topics {
    /// The topic of posts.
    pub posts: &'static Topic,
    /// The topic of placements.
    pub placements: &'static Topic,
    /// The topic of people.
    pub people: &'static Topic,
}

impl Topics {
    fn of(&self, kind: Kind) -> &'static Topic {
        match kind {
            Kind::Posts => self.posts,
            Kind::Placements => self.placements,
            Kind::People => self.people,
        }
    }
}

/// Which objects a snapshot deletes, and when it would delete too many.
#[derive(Debug, Clone, Copy)]
pub struct Deletions {
    /// Whether a complete file deletes the objects of its kind that it does not name.
    pub from_full_snapshots: bool,
    /// The share of a kind, in percent. More deletions are refused if they also exceed the count.
    pub refuse_percent: u32,
    /// The number of objects of a kind. More deletions are refused if they also exceed the share.
    pub refuse_count: u64,
    /// The setting that raises the limits, for messages.
    pub setting: &'static str,
}

impl Deletions {
    /// A full snapshot that names no object of a held kind deletes none of them.
    fn absent(&self, kind: Kind, held: usize, has_file: bool) -> Option<Absent> {
        (self.from_full_snapshots && held > 0).then_some(Absent { kind, held, has_file })
    }

    fn are_refused(&self, deleted: usize, held: usize) -> bool {
        let share = deleted as u128 * 100 > held as u128 * u128::from(self.refuse_percent);
        share && deleted as u64 > self.refuse_count
    }
}

/// Ids of the objects that the topics hold.
#[derive(Debug, Default)]
pub struct Held {
    /// Posts.
    pub posts: FxHashSet<i64>,
    /// Placements.
    pub placements: FxHashSet<i64>,
    /// People.
    pub people: FxHashSet<i64>,
}

impl Held {
    /// Whether the topics hold no object.
    pub fn is_empty(&self) -> bool {
        self.posts.is_empty() && self.placements.is_empty() && self.people.is_empty()
    }

    fn of(&self, kind: Kind) -> &FxHashSet<i64> {
        match kind {
            Kind::Posts => &self.posts,
            Kind::Placements => &self.placements,
            Kind::People => &self.people,
        }
    }
}

/// How a snapshot is loaded.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    /// Encodes the records.
    pub codec: &'a Codec,
    /// The topics of the objects.
    pub topics: Topics,
    /// Which objects a snapshot deletes.
    pub deletions: Deletions,
    /// Number of partitions of the flow.
    pub flow_partitions: i32,
    /// The header of each record, if there is one.
    pub header: Option<&'static str>,
    /// The time of the records.
    pub now: TimestampMillis,
    /// The lines of the previous snapshot whose objects the topics hold unchanged.
    pub known: &'a KnownLines,
}

/// Why a load ended early.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The snapshot cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A record could not be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The log did not accept a publication.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Load<'_> {
    /// Publishes the objects of `snapshot`, people first, then tombstones for the objects of `held` that it no longer
    /// names.
    ///
    /// # Errors
    /// [`LoadError`]. What was published before the error stays published, and a second load continues from there.
    pub fn run(
        &self,
        snapshot: &TisSnapshot,
        held: &Held,
        producer: &mut dyn Producer,
    ) -> Result<LoadReport, LoadError> {
        let (sender, receiver) = sync_channel(PUBLICATIONS_AHEAD);
        std::thread::scope(|scope| {
            let publisher = scope.spawn(move || publish_all(&receiver, producer));
            let read = self.read(snapshot, held, &sender);
            drop(sender);
            // If the log fails, the reader fails too, because nobody receives its records. The log's error says more.
            join(publisher)?;
            read
        })
    }

    fn read(&self, snapshot: &TisSnapshot, held: &Held, sender: &SyncSender<Output>) -> Result<LoadReport, LoadError> {
        // Only the complete snapshot shows how much it deletes, and it may then be refused as a whole. It also shows
        // which line of an id is the last one (D113). So nothing is published before all of it is read.
        let loaded = self.read_side_by_side(snapshot, held);
        let mut report = LoadReport::default();
        let mut publications = Vec::new();
        let mut gone = Vec::new();
        for loaded in loaded? {
            let (kind, held) = (loaded.kind, held.of(loaded.kind));
            if let Some(missing) = loaded.missing {
                if self.deletions.are_refused(missing.len(), held.len()) {
                    report.refused = Some(refusal(kind, missing.len(), held.len(), self.deletions.setting));
                }
                report.deleted.push((kind, missing.len() as u64));
                gone.push((kind, missing));
            }
            let is_absent = loaded.file.loaded == 0 && loaded.file.bad == 0;
            if is_absent {
                report.absent.extend(self.deletions.absent(kind, held.len(), loaded.file.is_present));
            }
            report.files.push((kind, loaded.file));
            let contradicted = loaded.seen.contradicted();
            let mut waiting = loaded.publications;
            if !contradicted.is_empty() {
                let is_held = |line: &(Kind, u128)| self.known.id(line.0, line.1).is_some_and(|id| held.contains(&id));
                waiting.keep_last(kind, &contradicted, is_held);
                report.contradicted.push((kind, contradicted.into_keys().collect()));
            }
            loaded.seen.remember(&mut report.known);
            publications.push(waiting);
        }
        if report.refused.is_some() {
            return Ok(LoadReport { deleted: Vec::new(), known: KnownLines::default(), ..report });
        }
        for mut waiting in publications {
            waiting.release(sender)?;
        }
        let mut tombstones = Publications::new(self, Some(sender));
        for (kind, ids) in gone {
            for id in ids {
                tombstones.tombstone(kind, id)?;
            }
        }
        tombstones.turn()?;
        Ok(report)
    }

    /// Reads all kinds, each on its own thread.
    fn read_side_by_side(&self, snapshot: &TisSnapshot, held: &Held) -> Result<Vec<Loaded<'_>>, LoadError> {
        std::thread::scope(|scope| {
            let readers = ORDER.map(|kind| scope.spawn(move || self.read_kind(kind, snapshot, held)));
            readers.into_iter().map(join).collect()
        })
    }

    fn read_kind(&self, kind: Kind, snapshot: &TisSnapshot, held: &Held) -> Result<Loaded<'_>, LoadError> {
        let held = held.of(kind);
        let mut publications = Publications::new(self, None);
        let mut seen = Seen::expecting(held.len());
        let file = publications.load(snapshot, &Comparison::new(kind, self.known, held), kind, &mut seen)?;
        publications.turn()?;
        let is_complete = self.deletions.from_full_snapshots && file.allows_deletions();
        let missing = is_complete.then(|| {
            let mut missing: Vec<i64> = held.difference(&seen.ids).copied().collect();
            missing.sort_unstable();
            missing
        });
        Ok(Loaded { kind, file, missing, seen, publications })
    }

    fn output(&self) -> Output {
        let mut headers = Vec::new();
        if let Some(header) = self.header {
            append_header(&mut headers, header, b"1");
        }
        let mut output = Output::new(self.flow_partitions);
        output.inherit(self.now, Headers::from_bytes(&headers));
        output
    }
}

fn refusal(kind: Kind, gone: usize, held: usize, setting: &str) -> String {
    format!(
        "the snapshot is refused as a whole: {} no longer names {gone} of {held} objects, which is more than it may \
         delete; if that is right, raise {setting} for one run",
        kind.file_name()
    )
}

/// The result of a thread. A panic of the thread continues here.
fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn publish_all(receiver: &Receiver<Output>, producer: &mut dyn Producer) -> Result<(), LogError> {
    for output in receiver {
        producer.publish(&output)?;
    }
    Ok(())
}

/// What one file held.
struct Loaded<'a> {
    kind: Kind,
    file: KindReport,
    /// The objects that are held and that the file does not name. `None` if the file may not name all.
    missing: Option<Vec<i64>>,
    seen: Seen,
    publications: Publications<'a>,
}

/// Records for the log, in the order of the file.
struct Publications<'a> {
    load: &'a Load<'a>,
    current: Output,
    /// Full publications that may not be sent yet.
    waiting: Vec<Output>,
    sender: Option<SyncSender<Output>>,
    value: Vec<u8>,
}

impl<'a> Publications<'a> {
    /// Without a sender, nothing is sent before [`Publications::release`].
    fn new(load: &'a Load<'a>, sender: Option<&SyncSender<Output>>) -> Self {
        Self { load, current: load.output(), waiting: Vec::new(), sender: sender.cloned(), value: Vec::new() }
    }

    fn load(
        &mut self,
        snapshot: &TisSnapshot,
        comparison: &Comparison<'_>,
        kind: Kind,
        seen: &mut Seen,
    ) -> Result<KindReport, LoadError> {
        let topic = self.load.topics.of(kind);
        let seen = std::cell::RefCell::new(seen);
        let is_unchanged = |line: &[u8]| {
            let Some(id) = comparison.unchanged(line) else { return false };
            seen.borrow_mut().add(id, comparison.key());
            true
        };
        match kind {
            Kind::Posts => snapshot.changed_posts(is_unchanged, |post| {
                seen.borrow_mut().add(post.id, comparison.key());
                self.put(topic, post.id, &record::post(post))
            }),
            Kind::Placements => snapshot.changed_placements(is_unchanged, |placement| {
                seen.borrow_mut().add(placement.id, comparison.key());
                self.put(topic, placement.id, &record::placement(placement))
            }),
            Kind::People => snapshot.changed_people(is_unchanged, |person| {
                seen.borrow_mut().add(person.id, comparison.key());
                self.put(topic, person.id, &record::person(person))
            }),
        }
    }

    fn put<R: AvroRecord>(&mut self, topic: &'static Topic, id: i64, record: &R) -> Result<(), LoadError> {
        self.value.clear();
        self.load.codec.encode(record, &mut self.value)?;
        let value = &self.value;
        self.current.send(topic, id.to_string().as_bytes(), |buffer| buffer.extend_from_slice(value));
        self.turn_when_full()
    }

    fn tombstone(&mut self, kind: Kind, id: i64) -> Result<(), LoadError> {
        let topic = self.load.topics.of(kind);
        self.current.tombstone(topic, id.to_string().as_bytes());
        self.turn_when_full()
    }

    fn turn_when_full(&mut self) -> Result<(), LoadError> {
        if self.current.byte_size() < PUBLICATION_BYTES {
            return Ok(());
        }
        self.turn()
    }

    fn turn(&mut self) -> Result<(), LoadError> {
        if !self.current.is_empty() {
            self.waiting.push(std::mem::replace(&mut self.current, self.load.output()));
        }
        let Some(sender) = &self.sender else { return Ok(()) };
        for output in self.waiting.drain(..) {
            // The publisher ends early only with an error of its own, which is then reported instead.
            sender.send(output).map_err(|_| LogError::unavailable("the log does not take records"))?;
        }
        Ok(())
    }

    /// Of the waiting records of each of these ids, keeps the one of its last line. If the object is held as that line
    /// has it, keeps none: the line was not read. Otherwise a post with two numbers would be renumbered by each
    /// snapshot.
    fn keep_last(
        &mut self,
        kind: Kind,
        last_lines: &BTreeMap<i64, (Kind, u128)>,
        is_held: impl Fn(&(Kind, u128)) -> bool,
    ) {
        let mut decided: FxHashSet<Vec<u8>> = FxHashSet::default();
        let mut left: FxHashSet<Vec<u8>> = FxHashSet::default();
        for (id, line) in last_lines {
            let key = id.to_string().into_bytes();
            if is_held(line) {
                decided.insert(key.clone());
            }
            left.insert(key);
        }
        let topic = self.load.topics.of(kind);
        for output in self.waiting.iter_mut().rev() {
            let records: Vec<_> = output.records().collect();
            let mut kept: Vec<_> = Vec::with_capacity(records.len());
            for record in records.into_iter().rev() {
                if !left.contains(record.key) || decided.insert(record.key.to_vec()) {
                    kept.push(record);
                }
            }
            let mut replacement = self.load.output();
            for record in kept.iter().rev() {
                let value = record.value.unwrap_or_default();
                replacement.send(topic, record.key, |buffer| buffer.extend_from_slice(value));
            }
            drop(kept);
            *output = replacement;
        }
    }

    /// Sends the waiting publications.
    fn release(&mut self, sender: &SyncSender<Output>) -> Result<(), LoadError> {
        self.sender = Some(sender.clone());
        self.turn()
    }
}

#[cfg(test)]
mod tests;
