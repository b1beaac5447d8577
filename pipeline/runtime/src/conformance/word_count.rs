//! A small flow of two stages, and its expected results, computed by a plain loop.
//!
//! `split` keeps the lines and sends their words to `count`, which counts them. A word with `-` before it is forgotten.
//! The line `poison` can never be processed. A line that starts with `flaky` fails until something outside responds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::{Cleanup, Output, Partitions, ProcessError, Processor, Record, Role, Stage, StateStore, Store};
use crate::{Levels, Topic, Topology};

const WEEK: Cleanup = Cleanup::Delete(Duration::from_hours(7 * 24));

const fn topic(name: &'static str, cleanup: Cleanup, role: Role) -> Topic {
    Topic { name, partitions: Partitions::Flow, cleanup, role, records: &[] }
}

/// Inbox of `split`.
pub static LINES: Topic = topic("conformance.lines", WEEK, Role::Inbox);
/// Inbox of `count`.
pub static WORDS: Topic = topic("conformance.words", WEEK, Role::Inbox);
/// Every count that `count` reached.
pub static COUNTS: Topic = topic("conformance.counts", WEEK, Role::Output);
/// Lines that cannot be processed.
pub static DEAD_LETTERS: Topic = topic("conformance.dead-letter", WEEK, Role::Output);
/// Changelog of `split`.
pub static SPLIT_CHANGELOG: Topic = topic("conformance.split.changelog", Cleanup::Compact, Role::Changelog);
/// Changelog of `count`.
pub static COUNT_CHANGELOG: Topic = topic("conformance.count.changelog", Cleanup::Compact, Role::Changelog);

/// All topics of the flow.
pub static TOPICS: [&Topic; 6] = [&LINES, &WORDS, &COUNTS, &DEAD_LETTERS, &SPLIT_CHANGELOG, &COUNT_CHANGELOG];
/// The inboxes of the flow.
pub static INBOXES: [&Topic; 2] = [&LINES, &WORDS];
/// The group of the flow.
pub const GROUP: &str = "conformance";
/// Partitions of each topic.
pub const PARTITIONS: i32 = 3;

/// First stage: from lines to words.
pub struct Split {
    /// How often each line was seen.
    pub lines: Store<String, u32>,
    outside: Arc<AtomicU32>,
}

/// Second stage: counts words.
pub struct Count {
    /// The words.
    pub words: Store<String, u64>,
    /// The words by length: a second store.
    pub by_length: Store<(u32, String), ()>,
}

impl Split {
    fn new(outside: Arc<AtomicU32>) -> Self {
        Self { lines: Store::new(0, "lines"), outside }
    }
}

impl Default for Count {
    fn default() -> Self {
        Self { words: Store::new(0, "words"), by_length: Store::new(1, "by_length") }
    }
}

impl Processor for Split {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let line = text(record.key)?;
        let Some(value) = record.value else {
            self.lines.delete(line);
            return Ok(());
        };
        let value = text(value)?;
        let seen = self.lines.get(&line).copied().unwrap_or(0);
        self.lines.put(line, seen + 1);
        for word in value.split_whitespace() {
            // Words before it were already sent and must be dropped.
            if word == "poison" {
                return Err(ProcessError::dead_letter("POISON", format!("line {seen} is poison")));
            }
            if word == "flaky" && take_failure(&self.outside) {
                return Err(ProcessError::Retry("the outside does not answer".to_owned()));
            }
            match word.strip_prefix('-') {
                Some(word) => output.tombstone(&WORDS, word.as_bytes()),
                None => output.send(&WORDS, word.as_bytes(), |buffer| buffer.push(1)),
            }
        }
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.lines]
    }
}

impl Processor for Count {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let word = text(record.key)?;
        let length = word.len() as u32;
        if record.value.is_none() {
            self.words.delete(word.clone());
            self.by_length.delete((length, word));
            output.tombstone(&COUNTS, record.key);
            return Ok(());
        }
        let count = self.words.get(&word).copied().unwrap_or(0) + 1;
        self.words.put(word.clone(), count);
        self.by_length.put((length, word), ());
        output.send(&COUNTS, record.key, |buffer| buffer.extend_from_slice(&count.to_be_bytes()));
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.words, &mut self.by_length]
    }
}

fn text(bytes: &[u8]) -> Result<String, ProcessError> {
    String::from_utf8(bytes.to_vec()).map_err(|error| ProcessError::dead_letter("NOT_UTF8", error.to_string()))
}

fn take_failure(outside: &AtomicU32) -> bool {
    outside.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// The flow. `outside` is the number of times that a flaky line fails before it succeeds.
pub fn topology(outside: &Arc<AtomicU32>) -> Arc<Topology> {
    let outside = Arc::clone(outside);
    let split = Stage {
        name: "split",
        inbox: &LINES,
        changelog: Some(&SPLIT_CHANGELOG),
        processor: Box::new(move |_| Box::new(Split::new(Arc::clone(&outside)))),
    };
    let count = Stage {
        name: "count",
        inbox: &WORDS,
        changelog: Some(&COUNT_CHANGELOG),
        processor: Box::new(|_| Box::new(Count::default())),
    };
    let (stages, dead_letters) = (vec![split, count], &DEAD_LETTERS);
    Arc::new(Topology { flow: GROUP, stages, dead_letters, flow_partitions: PARTITIONS, levels: Levels::ONE })
}

/// The results, actual or expected: states, the full sequence of counts by word, and dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// State of `split`.
    pub lines: BTreeMap<String, u32>,
    /// State of `count`.
    pub words: BTreeMap<String, u64>,
    /// Counts sent by word, in order; `None` for a tombstone.
    pub counts: BTreeMap<String, Vec<Option<u64>>>,
    /// Keys of dead letters, sorted.
    pub dead_letters: Vec<String>,
}

impl Outcome {
    /// The expected results for lines (key and text, `None` for a tombstone), by a plain loop. A forgotten word must
    /// belong to one line only, since words of different lines may arrive in any order.
    pub fn expected<'a>(lines: impl Iterator<Item = &'a (String, Option<String>)>) -> Self {
        let mut outcome = Self::default();
        for (key, value) in lines {
            let Some(value) = value else {
                outcome.lines.remove(key);
                continue;
            };
            if value.split_whitespace().any(|word| word == "poison") {
                outcome.dead_letters.push(key.clone());
                continue;
            }
            *outcome.lines.entry(key.clone()).or_default() += 1;
            for word in value.split_whitespace() {
                if let Some(forgotten) = word.strip_prefix('-') {
                    outcome.words.remove(forgotten);
                    outcome.counts.entry(forgotten.to_owned()).or_default().push(None);
                    continue;
                }
                let count = outcome.words.entry(word.to_owned()).or_default();
                *count += 1;
                outcome.counts.entry(word.to_owned()).or_default().push(Some(*count));
            }
        }
        outcome.dead_letters.sort();
        outcome
    }
}
