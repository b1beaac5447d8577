//! A task: one stage on one partition, with its processor, its state and its position in the inbox.

use std::any::Any;
use std::time::Instant;

use crate::level::{LEVEL_ENTRY, TaskLevel};
use crate::output::Output;
use crate::processor::{ProcessError, Processor};
use crate::record::{Headers, Record, append_header};
use crate::stage::{Stage, Topology};
use crate::state::{SCHEMA_ENTRY, Schemas, StateError};
use crate::store::StateStore;
use crate::topic::{Role, TopicPartition};

/// The headers that a dead letter carries besides those of the record: the names of Kafka Connect, and the stage.
pub mod dead_letter_header {
    /// Topic that the record was read from.
    pub const TOPIC: &str = "__connect.errors.topic";
    /// Partition that the record was read from.
    pub const PARTITION: &str = "__connect.errors.partition";
    /// Offset of the record.
    pub const OFFSET: &str = "__connect.errors.offset";
    /// Name of the flow.
    pub const FLOW: &str = "__connect.errors.connector.name";
    /// Number of the task, which is its partition.
    pub const TASK: &str = "__connect.errors.task.id";
    /// Name of the stage.
    pub const STAGE: &str = "__connect.errors.stage";
    /// Stable code of the error.
    pub const CODE: &str = "__connect.errors.exception.class.name";
    /// What happened, in words.
    pub const MESSAGE: &str = "__connect.errors.exception.message";
}

/// The first byte of the changelog key under which a task keeps the inbox offset up to which its state goes. The first
/// byte of the other keys is the number of a store.
pub const INPUT_OFFSET_KEY: u8 = 0xFD;

/// The inbox offset in a changelog record, if it is one of the key [`INPUT_OFFSET_KEY`]: the next to process.
pub fn input_offset(key: &[u8], value: Option<&[u8]>) -> Option<i64> {
    let bytes = value.filter(|_| key == [INPUT_OFFSET_KEY])?;
    Some(i64::from_be_bytes(bytes.try_into().ok()?))
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processed {
    Done,
    DeadLetter,
    /// It was processed before: a redelivery.
    Skipped,
}

/// Why a task cannot get past a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Halt {
    Retry(String),
    Stop(String),
}

/// What restored state says about the offsets of its inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RestoredState {
    /// Nothing was processed yet, or without any effect.
    Empty,
    /// The next offset to process.
    UpTo(i64),
    /// It was written before states kept their offset.
    OfUnknownOffset,
}

/// Where the state of a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Memory,
    /// At least one of its stores is on a table, which no snapshot has.
    Tables,
}

impl Place {
    fn of(stores: &[&mut dyn StateStore]) -> Self {
        if stores.iter().any(|store| store.is_on_table()) { Self::Tables } else { Self::Memory }
    }
}

/// The header with the credentials of a sender. No dead letter carries its value.
const CREDENTIALS: &str = "authorization";

/// Called with the store's number, key and value of each entry.
pub(crate) type EachEntry<'a> = &'a mut dyn FnMut(u8, &[u8], &[u8]);

/// A stage on one partition.
pub(crate) struct Task {
    /// Number of the stage in the topology.
    pub(crate) stage: usize,
    pub(crate) inbox: TopicPartition,
    pub(crate) changelog: Option<TopicPartition>,
    processor: Box<dyn Processor>,
    pub(crate) place: Place,
    /// The schemas in its changelog.
    schemas: Schemas,
    level: TaskLevel,
    /// Records of a foreign inbox do not set the level.
    inbox_role: Role,
    /// The next offset to process; unknown before the first record.
    next: Option<i64>,
    /// The next offset in the last commit that was begun.
    sealed: Option<i64>,
    committed: Option<i64>,
    /// What the restored state says about the offsets of the inbox.
    pub(crate) restored_state: RestoredState,
    /// Whether a record of the open transaction caused output.
    has_output: bool,
    pub(crate) restored: bool,
    /// When the last snapshot was written, or the task was restored.
    pub(crate) snapshot_at: Instant,
    /// The offset of the changelog to which the state was restored.
    pub(crate) restored_to: i64,
    /// Whether the committed state differs from the last snapshot.
    pub(crate) changed_since_snapshot: bool,
}

impl Task {
    pub(crate) fn new(number: usize, stage: &Stage, inbox: TopicPartition) -> Self {
        let partition = inbox.partition;
        let mut processor = (stage.processor)(partition);
        Self {
            stage: number,
            inbox,
            changelog: stage.changelog.map(|topic| TopicPartition { topic: topic.name, partition }),
            place: Place::of(&processor.stores()),
            processor,
            schemas: Schemas::default(),
            level: TaskLevel::default(),
            inbox_role: stage.inbox.role,
            next: None,
            sealed: None,
            committed: None,
            restored_state: RestoredState::Empty,
            has_output: false,
            restored: false,
            snapshot_at: Instant::now(),
            restored_to: 0,
            changed_since_snapshot: false,
        }
    }

    /// Processes one record. Afterwards the stores and `output` hold all of its effects, or none.
    pub(crate) fn process(
        &mut self,
        record: &Record<'_>,
        topology: &Topology,
        output: &mut Output,
    ) -> Result<Processed, Halt> {
        if self.next.is_some_and(|next| record.offset < next) {
            return Ok(Processed::Skipped);
        }
        if self.inbox_role != Role::ForeignInbox && self.level.take(record) {
            self.next = Some(record.offset + 1);
            return Ok(Processed::Done);
        }
        if let Err(error) = self.level.check(topology.levels) {
            return Err(Halt::Stop(error.to_string()));
        }
        let mark = output.mark();
        output.set_level(self.level.now());
        output.inherit(record.timestamp, record.headers);
        for store in self.processor.stores() {
            store.begin_record();
        }
        let before = output.len();
        let result = self.processor.process(record, output);
        let Err(error) = result else {
            self.has_output |= output.len() > before;
            self.next = Some(record.offset + 1);
            return Ok(Processed::Done);
        };
        for store in self.processor.stores() {
            store.undo_record();
        }
        output.truncate(mark);
        match error {
            ProcessError::Retry(text) => Err(Halt::Retry(text)),
            ProcessError::Stop(text) => Err(Halt::Stop(text)),
            ProcessError::DeadLetter { code, text } => {
                send_dead_letter(record, topology, self.stage, (code, &text), output);
                self.has_output = true;
                self.next = Some(record.offset + 1);
                Ok(Processed::DeadLetter)
            }
        }
    }

    /// The next offset to read, if it has moved since the last commit was begun.
    pub(crate) fn progress(&self) -> Option<(TopicPartition, i64)> {
        let next = self.next?;
        (self.sealed != Some(next)).then_some((self.inbox, next))
    }

    /// The committed next offset to read; `None` before the first commit.
    pub(crate) fn committed(&self) -> Option<(TopicPartition, i64)> {
        Some((self.inbox, self.committed?))
    }

    /// Whether the record at `offset` has been processed.
    pub(crate) fn has_passed(&self, offset: i64) -> bool {
        self.next.is_some_and(|next| next > offset)
    }

    pub(crate) fn has_changes(&mut self) -> bool {
        self.level.has_changed() || self.processor.stores().iter().any(|store| store.has_changes())
    }

    /// Sets the next offset to process after a restore: the committed one, if there is one.
    pub(crate) fn begin_at(&mut self, committed: Option<i64>) {
        self.next = committed;
        self.sealed = committed;
        self.committed = committed;
    }

    /// Nothing is left to process before `offset`, because the inbox holds no record there. The next commit says so.
    pub(crate) fn pass_to(&mut self, offset: i64) {
        self.next = Some(offset);
        self.has_output = true;
    }

    /// Adds what the processor sends once for each transaction, if it has processed anything in this one.
    pub(crate) fn flush(&mut self, output: &mut Output) {
        if self.progress().is_none() {
            return;
        }
        output.set_level(self.level.now());
        let before = output.len();
        self.processor.flush(output);
        self.has_output |= output.len() > before;
    }

    /// Adds the open transaction's state changes to `output`, one record per changed key: the store's number and the
    /// entry's key, and the entry's value. A schema that is not in the changelog yet comes before the first value.
    /// If the transaction has an effect, the inbox offset follows.
    pub(crate) fn write_changes(&mut self, stage: &Stage, output: &mut Output) {
        let Some(changelog) = stage.changelog else { return };
        let partition = self.inbox.partition;
        let has_effect = self.has_output || self.has_changes();
        if self.level.has_changed() {
            let level = self.level.now().to_string();
            output.send_to(changelog, partition, &[LEVEL_ENTRY], |buffer| buffer.extend_from_slice(level.as_bytes()));
        }
        let mut key_bytes = Vec::new();
        for store in self.processor.stores() {
            if !store.has_changes() {
                continue;
            }
            if let Some((key, value)) = store.schema().and_then(|schema| self.schemas.add(&schema)) {
                replace_key(&mut key_bytes, SCHEMA_ENTRY, &key);
                output.send_to(changelog, partition, &key_bytes, |buffer| buffer.extend_from_slice(&value));
            }
            store.changes(&mut |key, value| {
                replace_key(&mut key_bytes, store.number(), key);
                match value {
                    Some(value) => {
                        output.send_to(changelog, partition, &key_bytes, |buffer| buffer.extend_from_slice(value));
                    }
                    None => output.tombstone_to(changelog, partition, &key_bytes),
                }
            });
        }
        if let Some(next) = self.next.filter(|_| has_effect) {
            let bytes = next.to_be_bytes();
            output.send_to(changelog, partition, &[INPUT_OFFSET_KEY], |buffer| buffer.extend_from_slice(&bytes));
        }
    }

    /// The commit has begun.
    pub(crate) fn seal(&mut self) {
        self.changed_since_snapshot |= self.has_output;
        self.has_output = false;
        for store in self.processor.stores() {
            self.changed_since_snapshot |= store.has_changes();
            store.seal();
        }
        self.schemas.seal();
        self.changed_since_snapshot |= self.level.has_changed();
        self.level.seal();
        self.sealed = self.next;
    }

    /// The commit has succeeded.
    pub(crate) fn settle(&mut self) {
        self.processor.stores().into_iter().for_each(StateStore::settle);
        self.schemas.settle();
        self.level.settle();
        self.committed = self.sealed;
    }

    /// The open transaction was aborted, and so was the one whose commit was under way.
    pub(crate) fn discard(&mut self) {
        for store in self.processor.stores() {
            store.discard();
        }
        self.schemas.discard();
        self.has_output = false;
        self.level.discard();
        self.next = self.committed;
        self.sealed = self.committed;
    }

    /// Forgets everything. After an error the task must be cleared again before it is restored.
    pub(crate) fn clear(&mut self) -> Result<(), StateError> {
        self.restored_to = 0;
        self.schemas.clear();
        self.restored_state = RestoredState::Empty;
        self.level = TaskLevel::default();
        self.processor.stores().into_iter().try_for_each(StateStore::clear)
    }

    /// Applies one record of the changelog.
    pub(crate) fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        let Some((&number, rest)) = key.split_first() else {
            return Err(StateError::Entry { key: String::new(), reason: "it has no key" });
        };
        match number {
            SCHEMA_ENTRY => return self.schemas.restore(rest, value),
            LEVEL_ENTRY => return self.level.restore(value),
            _ => {}
        }
        if key == [INPUT_OFFSET_KEY] {
            self.restored_state = input_offset(key, value).map_or(RestoredState::OfUnknownOffset, RestoredState::UpTo);
            return Ok(());
        }
        if self.restored_state == RestoredState::Empty {
            self.restored_state = RestoredState::OfUnknownOffset;
        }
        match self.processor.stores().into_iter().find(|store| store.number() == number) {
            Some(store) => store.restore(rest, value, &self.schemas),
            None => Err(StateError::UnknownStore { number, key: StateError::printable(rest) }),
        }
    }

    /// Calls `each` with every entry: the store's number, key and value. Schemas come first, then the level and the
    /// inbox offset. Between two transactions these are the committed ones.
    pub(crate) fn entries(&mut self, each: EachEntry<'_>) {
        for (key, value) in self.schemas.entries() {
            each(SCHEMA_ENTRY, &key, &value);
        }
        if let Some(level) = self.level.entry() {
            each(LEVEL_ENTRY, &[], level.as_bytes());
        }
        let restored = match self.restored_state {
            RestoredState::UpTo(offset) => Some(offset),
            RestoredState::Empty | RestoredState::OfUnknownOffset => None,
        };
        if let Some(offset) = self.committed.or(restored) {
            each(INPUT_OFFSET_KEY, &[], &offset.to_be_bytes());
        }
        for store in self.processor.stores() {
            store.entries(&mut |key, value| each(store.number(), key, value));
        }
    }

    pub(crate) fn processor(&self) -> &dyn Any {
        let processor: &dyn Processor = &*self.processor;
        processor
    }
}

fn replace_key(bytes: &mut Vec<u8>, number: u8, key: &[u8]) {
    bytes.clear();
    bytes.push(number);
    bytes.extend_from_slice(key);
}

fn send_dead_letter(
    record: &Record<'_>,
    topology: &Topology,
    stage: usize,
    (code, text): (&str, &str),
    output: &mut Output,
) {
    let mut headers = Vec::with_capacity(record.headers.as_bytes().len());
    for (name, value) in record.headers.iter() {
        let value = if name.eq_ignore_ascii_case(CREDENTIALS) { b"***" } else { value };
        append_header(&mut headers, name, value);
    }
    let partition = record.origin.partition.to_string();
    let named = [
        (dead_letter_header::TOPIC, record.origin.topic),
        (dead_letter_header::PARTITION, &partition),
        (dead_letter_header::OFFSET, &record.offset.to_string()),
        (dead_letter_header::FLOW, topology.flow),
        (dead_letter_header::TASK, &partition),
        (dead_letter_header::STAGE, topology.stages[stage].name),
        (dead_letter_header::CODE, code),
        (dead_letter_header::MESSAGE, text),
    ];
    for (name, value) in named {
        append_header(&mut headers, name, value.as_bytes());
    }
    output.inherit(record.timestamp, Headers::from_bytes(&headers));
    match record.value {
        Some(value) => output.send(topology.dead_letters, record.key, |buffer| buffer.extend_from_slice(value)),
        None => output.tombstone(topology.dead_letters, record.key),
    }
}
