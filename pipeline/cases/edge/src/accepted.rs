//! Commands that are in the log and have no outcome yet, whichever process has taken them. The queues are read for them
//! only when somebody asks for a command without outcome.
//!
//! A command moves from its queue to the inbox of `case`, and then has its outcome. The embedded log forgets what an
//! inbox has passed on. So the inbox of `case` is read after the queues, and whoever asks looks at the outcomes last.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tributary_cases::topics;
use tributary_flow::Process;
use tributary_flow::http::Problem;
use tributary_runtime::{LogError, Topic, TopicFollower, TopicPartition};
use tributary_schemas::records::cases::{CheckedCommand, Command, CommandStatus, Outcome, Queue};
use tributary_schemas::types::cases::{CaseId, CommandId, OriginName};
use tributary_schemas::{Codec, Framed, RecordType};

use crate::events;

/// Commands that are remembered, and records of a partition that one look reads.
const MOST: usize = 100_000;

/// When to ask again if the log does not answer.
const RETRY: Duration = Duration::from_secs(1);

type Key = (OriginName, CommandId);

/// The commands.
pub(crate) struct Accepted {
    process: Arc<dyn Process>,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    /// `None` before the first look, and after one that failed.
    follower: Option<Box<dyn TopicFollower>>,
    /// Up to where each partition is read.
    offsets: HashMap<(&'static str, i32), i64>,
    commands: HashMap<Key, (Queue, CaseId)>,
    order: VecDeque<Key>,
}

impl Accepted {
    /// Nothing is read yet.
    pub(crate) fn new(process: &Arc<dyn Process>) -> Self {
        Self { process: Arc::clone(process), known: Arc::default() }
    }

    /// A command of the log, with the status `accepted`. It may have its outcome by then, also if it is not found.
    ///
    /// # Errors
    /// A [`Problem`] with status 503 when the log does not answer.
    pub(crate) async fn find(&self, origin: &OriginName, command: CommandId) -> Result<Option<Outcome>, Problem> {
        let (process, known) = (Arc::clone(&self.process), Arc::clone(&self.known));
        let key = (origin.clone(), command);
        let looking = self.process.tokio().spawn_blocking(move || {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            known.look(&*process).map(|()| known.find(&key))
        });
        match looking.await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(unavailable(&error)),
            Err(error) => Err(unavailable(&error)),
        }
    }
}

/// The command in a record of a queue, or of the inbox of `case`.
fn command(framed: &Framed<'_>) -> Option<Command> {
    match framed.record_type() {
        RecordType::CasesCommand => framed.read().ok(),
        RecordType::CasesCheckedCommand => framed.read::<CheckedCommand>().ok().map(|checked| checked.command),
        _ => None,
    }
}

fn unavailable(error: &dyn std::fmt::Display) -> Problem {
    events::queues_not_read(error);
    Problem::unavailable("LogUnavailable", "the queues of commands cannot be read now", RETRY)
}

impl Known {
    fn find(&self, (origin, command): &Key) -> Option<Outcome> {
        let (queue, case) = *self.commands.get(&(origin.clone(), *command))?;
        let outcome = Outcome::of(origin.clone(), case, *command);
        Some(Outcome { queue, status: CommandStatus::Accepted, ..outcome })
    }

    /// Reads what is new, in the order in which commands move.
    fn look(&mut self, process: &dyn Process) -> Result<(), LogError> {
        let follower = match self.follower.take() {
            Some(follower) => follower,
            None => process.follower()?,
        };
        let queues = Queue::ALL.iter().map(|queue| topics::inbox_of(*queue));
        for topic in queues.chain(std::iter::once(&topics::CASE)) {
            let ends = follower.ends(topic, process.flow_partitions())?;
            for (partition, end) in (0..).zip(ends) {
                self.read(&*follower, process.codec(), (topic, partition), end)?;
            }
        }
        self.follower = Some(follower);
        Ok(())
    }

    fn read(
        &mut self,
        follower: &dyn TopicFollower,
        codec: &Codec,
        (topic, partition): (&'static Topic, i32),
        end: i64,
    ) -> Result<(), LogError> {
        let key = (topic.name, partition);
        let oldest = (end - MOST as i64).max(0);
        let from = self.offsets.get(&key).copied().unwrap_or(oldest);
        if from < oldest {
            // What is remembered may have had its outcome so long ago that it is forgotten.
            (self.commands, self.order) = (HashMap::new(), VecDeque::new());
        }
        let from = from.max(oldest);
        if from == end {
            return Ok(());
        }
        let at = TopicPartition { topic: topic.name, partition };
        let mut each = |record: &tributary_runtime::Record<'_>| {
            let framed = record.value.and_then(|value| codec.open(value).ok());
            // A stage reports what it cannot read.
            if let Some(command) = framed.and_then(|framed| command(&framed)) {
                self.remember(&command);
            }
            Ok(())
        };
        let read = match follower.read_from(at, from, &mut each) {
            // The first records are gone from the log.
            Err(LogError::OffsetOutOfRange(_) | LogError::Truncated(_)) => follower.read_from(at, 0, &mut each),
            read => read,
        };
        self.offsets.insert(key, read?);
        Ok(())
    }

    fn remember(&mut self, command: &Command) {
        let key = (command.origin.clone(), command.command_id);
        if self.commands.insert(key.clone(), (command.queue, command.case_id)).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.commands.remove(&oldest);
        }
    }
}
