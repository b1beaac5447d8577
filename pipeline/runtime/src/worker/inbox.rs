//! Whether a task may read its inbox: the offset of its group must fit its state, and the next record must be there.

use std::fmt;
use std::time::{Duration, Instant};

use super::{Worker, WorkerError};
use crate::events;
use crate::log::InboxOffsets;
use crate::log_error::LogError;
use crate::task::{RestoredState, Task};
use crate::topic::TopicPartition;

/// How often an idle worker looks for offsets that hold no record. Retention must not delete them earlier.
const PASS_EVERY: Duration = Duration::from_mins(10);

/// Why a task must not read its inbox. Offsets are the next to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetFault {
    /// There is state, but the group has no offset.
    Missing {
        /// The offset up to which the state goes; `None` for state that was written before states kept it.
        state: Option<i64>,
    },
    /// The group would read records again that the state holds already.
    BehindState {
        /// The offset of the group.
        committed: i64,
        /// The offset up to which the state goes.
        state: i64,
    },
    /// Records were deleted before the group has read them.
    Deleted {
        /// The offset of the group.
        committed: i64,
        /// The first offset that is still there.
        start: i64,
    },
    /// The inbox ends before the offset of the group: it has lost its end, or was created again.
    BeyondEnd {
        /// The offset of the group.
        committed: i64,
        /// The offset after the last record.
        end: i64,
    },
}

impl OffsetFault {
    /// What is wrong with the offsets of a task that has restored its state, if something is.
    fn find(offsets: InboxOffsets, state: RestoredState) -> Option<Self> {
        let InboxOffsets { committed, start, end } = offsets;
        let Some(committed) = committed else {
            return match state {
                RestoredState::Empty => None,
                RestoredState::UpTo(offset) => Some(Self::Missing { state: Some(offset) }),
                RestoredState::OfUnknownOffset => Some(Self::Missing { state: None }),
            };
        };
        match state {
            _ if committed > end => Some(Self::BeyondEnd { committed, end }),
            RestoredState::UpTo(state) if committed < state => Some(Self::BehindState { committed, state }),
            _ if committed < start => Some(Self::Deleted { committed, start }),
            _ => None,
        }
    }

    /// The value of `--to` that fits best, and what it does.
    fn advice(self) -> (&'static str, &'static str) {
        match self {
            Self::Missing { state: Some(_) } | Self::BehindState { .. } => {
                ("state", "continues after the last record that the state holds")
            }
            Self::Missing { state: None } => {
                ("earliest", "reads again what is still there; `latest` skips it, a number continues from that offset")
            }
            Self::Deleted { .. } => {
                ("earliest", "continues with the first record that is still there; load what was lost again")
            }
            Self::BeyondEnd { .. } => {
                ("latest", "continues with the next new record; `earliest` reads a topic that was created again")
            }
        }
    }
}

impl fmt::Display for OffsetFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { state: Some(state) } => {
                write!(formatter, "its group has no committed offset, and the state goes up to offset {state}")
            }
            Self::Missing { state: None } => {
                write!(formatter, "its group has no committed offset, and there is state of an unknown offset")
            }
            Self::BehindState { committed, state } => {
                write!(formatter, "its group is at offset {committed}, and the state goes up to offset {state}")
            }
            Self::Deleted { committed, start } => write!(
                formatter,
                "its group is at offset {committed}, and the records below offset {start} were deleted before they \
                 were read"
            ),
            Self::BeyondEnd { committed, end } => {
                write!(formatter, "its group is at offset {committed}, and the inbox ends at offset {end}")
            }
        }
    }
}

/// What to do about a fault. `command` is that of [`super::WorkerConfig::offsets_reset`].
pub(super) fn advice(fault: OffsetFault, command: Option<&str>, group: &str, inbox: TopicPartition) -> String {
    let Some(command) = command else {
        return "This log keeps offsets and state together, so it is damaged: restore it from a backup".to_owned();
    };
    let (to, effect) = fault.advice();
    let TopicPartition { topic, partition } = inbox;
    format!(
        "No record was read. To decide, end all processes of the group and type `{command} --group {group} \
         --topic {topic} --partition {partition} --to {to} --yes`, which {effect}"
    )
}

impl Worker {
    /// Checks tasks that have restored their state, before they read a record.
    pub(super) fn check_inboxes(&mut self, restored: &[usize]) -> Result<(), WorkerError> {
        if restored.is_empty() {
            return Ok(());
        }
        let inboxes: Vec<TopicPartition> = restored.iter().map(|number| self.tasks[*number].inbox).collect();
        let offsets = self.log.inbox_offsets(&inboxes)?;
        for (&number, offsets) in restored.iter().zip(offsets) {
            let task = &mut self.tasks[number];
            if let Some(fault) = OffsetFault::find(offsets, task.restored_state) {
                return Err(self.refusal(number, fault));
            }
            task.begin_at(offsets.committed);
        }
        Ok(())
    }

    /// The error for records that were not there when the log wanted to read them. If they are there now, the log may
    /// have asked a broker that lags behind: the worker restarts.
    pub(super) fn records_not_found(&mut self, text: &str) -> WorkerError {
        let inboxes: Vec<TopicPartition> = self.tasks.iter().map(|task| task.inbox).collect();
        let offsets = match self.log.inbox_offsets(&inboxes) {
            Ok(offsets) => offsets,
            Err(error) => return error.into(),
        };
        // What was read is part of the state, so the state cannot be ahead of the group.
        let fault = |offsets| OffsetFault::find(offsets, RestoredState::Empty);
        match offsets.into_iter().enumerate().find_map(|(number, offsets)| Some((number, fault(offsets)?))) {
            Some((number, fault)) => self.refusal(number, fault),
            None => LogError::unavailable(text.to_owned()).into(),
        }
    }

    fn refusal(&self, number: usize, fault: OffsetFault) -> WorkerError {
        let task = &self.tasks[number];
        let command = self.config.offsets_reset.as_deref();
        WorkerError::Offsets {
            stage: self.topology.stages[task.stage].name,
            inbox: task.inbox,
            fault,
            advice: advice(fault, command, self.topology.flow, task.inbox),
        }
    }

    /// Whether an idle worker should look again for offsets that hold no record.
    pub(super) fn is_pass_due(&self) -> bool {
        self.passed_at.elapsed() >= PASS_EVERY
    }

    /// Moves tasks past offsets that hold no record, such as the marker of the last transaction. Otherwise nobody could
    /// tell, once retention has deleted these offsets, that no record was lost. Must be called between two
    /// transactions; the next commit includes it.
    pub(super) fn pass_empty_offsets(&mut self) {
        self.passed_at = Instant::now();
        let offsets: Vec<(TopicPartition, i64)> = self.tasks.iter().filter_map(Task::committed).collect();
        if offsets.is_empty() {
            return;
        }
        let ends = match self.log.pass_empty(&offsets) {
            Ok(ends) => ends,
            Err(error) => return events::empty_offsets_not_passed(&error),
        };
        for ((inbox, _), end) in offsets.into_iter().zip(ends).filter(|((_, offset), end)| end > offset) {
            if let Some(task) = self.tasks.iter_mut().find(|task| task.inbox == inbox) {
                task.pass_to(end);
                self.uncommitted.since.get_or_insert_with(Instant::now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::conformance::word_count::{self, GROUP, INBOXES, LINES};
    use crate::memory::{Broker, BrokerConfig};
    use crate::{Metrics, Output, Producer, Step, WorkerConfig};

    #[test]
    fn an_offset_must_fit_the_state_and_what_the_inbox_holds() {
        let find = |committed, state| OffsetFault::find(InboxOffsets { committed, start: 10, end: 20 }, state);
        assert_eq!(find(None, RestoredState::Empty), None);
        assert_eq!(find(None, RestoredState::UpTo(12)), Some(OffsetFault::Missing { state: Some(12) }));
        assert_eq!(find(None, RestoredState::OfUnknownOffset), Some(OffsetFault::Missing { state: None }));
        assert_eq!(find(Some(12), RestoredState::UpTo(12)), None);
        assert_eq!(find(Some(13), RestoredState::UpTo(12)), None, "a record without effect");
        assert_eq!(find(Some(12), RestoredState::OfUnknownOffset), None, "state of an earlier build");
        let behind = OffsetFault::BehindState { committed: 11, state: 12 };
        assert_eq!(find(Some(11), RestoredState::UpTo(12)), Some(behind));
        let deleted = OffsetFault::Deleted { committed: 9, start: 10 };
        assert_eq!(find(Some(9), RestoredState::Empty), Some(deleted));
        assert_eq!(find(Some(10), RestoredState::Empty), None);
        assert_eq!(find(Some(20), RestoredState::Empty), None);
        let beyond = OffsetFault::BeyondEnd { committed: 21, end: 20 };
        assert_eq!(find(Some(21), RestoredState::Empty), Some(beyond));
    }

    #[test]
    fn records_that_are_deleted_while_a_worker_runs_stop_it() {
        let broker = Broker::new(BrokerConfig::like_kafka());
        broker.create_topics(&word_count::TOPICS, 1);
        let publish = || {
            let mut output = Output::new(1);
            output.send(&LINES, b"line", |buffer| buffer.extend_from_slice(b"a b"));
            broker.producer("lines").publish(&output).unwrap();
        };
        let mut topology = word_count::topology(&Arc::default());
        Arc::get_mut(&mut topology).unwrap().flow_partitions = 1;
        let metrics = Arc::new(Metrics::new(&topology));
        let offsets_reset = Some("tributary offsets reset".to_owned());
        let config = WorkerConfig { poll_timeout: Duration::ZERO, offsets_reset, ..WorkerConfig::default() };
        let log = Box::new(broker.open(GROUP, "worker", &INBOXES).unwrap());
        let mut worker = Worker::new(topology, config, log, metrics);
        publish();
        while worker.step().unwrap() != Step::Idle {}
        publish();
        broker.delete_records(TopicPartition { topic: LINES.name, partition: 0 }, i64::MAX).unwrap();
        let error = worker.step().unwrap_err();
        assert!(matches!(error, WorkerError::Offsets { fault: OffsetFault::Deleted { .. }, .. }), "{error}");
        assert!(error.is_refusal() && !error.can_restart());
        let text = error.to_string();
        assert!(text.starts_with("stage split does not read conformance.lines-0: its group is at offset"), "{text}");
        let command =
            "`tributary offsets reset --group conformance --topic conformance.lines --partition 0 --to earliest";
        assert!(text.contains(command), "{text}");
    }
}
