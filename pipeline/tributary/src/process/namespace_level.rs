//! The level of the namespace on the control topic of a flow, and the processes that run it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tributary_flow::declaration::Declaration;
use tributary_flow::{Failure, LEVELS, framed, log_failure};
use tributary_runtime::{
    Headers, LEVEL_HEADER, Level, LogError, Output, Producer, Role, Topic, TopicPartition, append_header,
};
use tributary_schemas::records::tributary::{GroupMember, NamespaceLevel};
use tributary_schemas::{Codec, DecodeError};

use super::open_log::OpenLog;

/// This release.
pub(crate) const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// The producer that writes the control topic. Whoever has it is alone.
const PRODUCER: &str = "level";

const LEVEL_KEY: &[u8] = b"level";

const MEMBER_KEY: &str = "member/";

/// How often another process may take the producer away before this one gives up.
const ATTEMPTS: u32 = 30;

/// The pause after another process has taken the producer away.
const PAUSE: Duration = Duration::from_millis(200);

/// What stands on the control topic.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Control {
    /// The level, and who raised it. `None` in a namespace in which no process has started yet.
    pub(crate) raised: Option<NamespaceLevel>,
    /// The newest start of each process, by instance.
    pub(crate) members: BTreeMap<String, GroupMember>,
}

impl Control {
    /// The level of the namespace, if a process has started in it.
    pub(crate) fn level(&self) -> Option<Level> {
        self.raised.as_ref().map(level_of)
    }
}

fn level_of(raised: &NamespaceLevel) -> Level {
    Level(raised.level.unsigned_abs())
}

/// The control topic of one flow.
pub(crate) struct ControlTopic<'a> {
    pub(crate) log: &'a OpenLog,
    pub(crate) codec: &'a Codec,
    pub(crate) flow: &'static Declaration,
    pub(crate) flow_partitions: i32,
}

impl ControlTopic<'_> {
    /// Reads the topic.
    ///
    /// # Errors
    /// [`Failure`] when the log does not answer, or a record is not one of Tributary.
    pub(crate) fn read(&self) -> Result<Control, Failure> {
        let follower = self.log.follower(self.flow.name).map_err(log_failure)?;
        let partition = TopicPartition { topic: self.flow.control.name, partition: 0 };
        let (mut control, mut unreadable) = (Control::default(), None);
        let read = follower.read_from(partition, 0, &mut |record| {
            if let Err(error) = self.take(record.key, record.value, &mut control) {
                unreadable.get_or_insert((record.offset, error));
            }
            Ok(())
        });
        read.map_err(log_failure)?;
        let Some((offset, error)) = unreadable else { return Ok(control) };
        let text = format!("the record at offset {offset} of {partition} cannot be read: {error}");
        Err(if error.is_transient() { Failure::unfinished(text) } else { Failure::refused(text) })
    }

    /// Applies a record. Other keys belong to later releases.
    fn take(&self, key: &[u8], value: Option<&[u8]>, control: &mut Control) -> Result<(), DecodeError> {
        if key == LEVEL_KEY {
            control.raised = value.map(|value| self.codec.open(value)?.read()).transpose()?;
        }
        if let Some(instance) = key.strip_prefix(MEMBER_KEY.as_bytes()) {
            let instance = String::from_utf8_lossy(instance).into_owned();
            match value {
                Some(value) => drop(control.members.insert(instance, self.codec.open(value)?.read()?)),
                None => drop(control.members.remove(&instance)),
            }
        }
        Ok(())
    }

    /// A process of this release starts: a new namespace gets the newest level, and the process says what it can run.
    ///
    /// # Errors
    /// [`Failure::Refused`] when this release cannot run the level of the namespace.
    pub(crate) fn enter(&self, instance: &str) -> Result<(), Failure> {
        // Most starts have nothing to write, and must not disturb each other.
        if self.entry_of(instance)?.is_empty() {
            return Ok(());
        }
        self.exclusively(|producer| {
            let output = self.entry_of(instance)?;
            Ok(if output.is_empty() { Ok(()) } else { producer.publish(&output) })
        })
    }

    /// What a process has to write before it starts.
    fn entry_of(&self, instance: &str) -> Result<Output, Failure> {
        let control = self.read()?;
        let mut output = Output::new(self.flow_partitions);
        match &control.raised {
            Some(found) => check(found)?,
            None => self.raise(LEVELS.max, &mut output),
        }
        let member = GroupMember {
            instance: instance.to_owned(),
            release: RELEASE.to_owned(),
            lowest_level: LEVELS.min.0 as i32,
            highest_level: LEVELS.max.0 as i32,
        };
        if !instance.is_empty() && control.members.get(instance) != Some(&member) {
            framed::send(self.codec, &mut output, self.flow.control, &member_key(instance), &member);
        }
        Ok(output)
    }

    /// Raises the namespace to `level`, in one transaction: the control topic, and every partition of every inbox.
    /// `may_raise` sees the control topic while no other process can write it, and returns the names of the processes
    /// that are there. Others are forgotten.
    ///
    /// A level that is reached already is sent again: an inbox may have lost the record to retention, or a reset of
    /// offsets may have passed it.
    ///
    /// # Errors
    /// That of `may_raise`. [`Failure::Unfinished`] when the log is not available.
    pub(crate) fn finalize(
        &self,
        level: Level,
        may_raise: impl Fn(&Control) -> Result<BTreeSet<String>, Failure>,
    ) -> Result<(), Failure> {
        self.exclusively(|producer| {
            let control = self.read()?;
            let there = may_raise(&control)?;
            let mut output = Output::new(self.flow_partitions);
            for instance in control.members.keys().filter(|instance| !there.contains(*instance)) {
                output.tombstone(self.flow.control, &member_key(instance));
            }
            self.raise(level, &mut output);
            Ok(producer.publish(&output))
        })
    }

    /// Does `work` with the producer of the control topic. Another process may take it away: then once more.
    fn exclusively(
        &self,
        work: impl Fn(&mut dyn Producer) -> Result<Result<(), LogError>, Failure>,
    ) -> Result<(), Failure> {
        // Processes that start at once must not meet again and again.
        let pause = PAUSE + Duration::from_millis(u64::from(std::process::id()) % PAUSE.as_millis() as u64);
        let mut attempt = 1;
        loop {
            let done = match self.log.producer(self.flow.name, PRODUCER) {
                Ok(mut producer) => work(&mut *producer)?,
                Err(error) => Err(error),
            };
            match done {
                Err(LogError::Fenced(_)) if attempt < ATTEMPTS => std::thread::sleep(pause),
                done => return done.map_err(log_failure),
            }
            attempt += 1;
        }
    }

    /// The records that raise the level. In an inbox it is a tombstone with a header, so that programs that read the
    /// topic need no schema for it. A task without it is at the first level.
    fn raise(&self, level: Level, output: &mut Output) {
        let record = NamespaceLevel { level: level.0 as i32, release: RELEASE.to_owned() };
        framed::send(self.codec, output, self.flow.control, LEVEL_KEY, &record);
        if level == Level::FIRST {
            return;
        }
        let mut headers = Vec::new();
        append_header(&mut headers, LEVEL_HEADER, level.to_string().as_bytes());
        output.set_headers(Headers::from_bytes(&headers));
        for inbox in self.inboxes() {
            for partition in 0..inbox.partition_count(self.flow_partitions) {
                output.tombstone_to(inbox, partition, LEVEL_HEADER.as_bytes());
            }
        }
    }

    fn inboxes(&self) -> impl Iterator<Item = &'static Topic> {
        self.flow.stages().map(|stage| stage.inbox).filter(|inbox| inbox.role == Role::Inbox)
    }
}

fn member_key(instance: &str) -> Vec<u8> {
    format!("{MEMBER_KEY}{instance}").into_bytes()
}

/// Refuses a level that this release cannot run.
fn check(found: &NamespaceLevel) -> Result<(), Failure> {
    let level = level_of(found);
    if LEVELS.contains(level) {
        return Ok(());
    }
    let (min, max) = (LEVELS.min, LEVELS.max);
    let advice = if level > max {
        format!("start release {} or a later one", found.release)
    } else {
        format!("start a release that still runs level {level}, and then `tributary upgrade finalize`")
    };
    Err(Failure::refused(format!(
        "the namespace is at level {level}, raised by release {}, and this release ({RELEASE}) runs the levels {min} to \
         {max}: {advice}",
        found.release
    )))
}
