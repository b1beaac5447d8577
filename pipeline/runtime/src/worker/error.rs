//! Why a worker ended, and what has to happen next.

use super::OffsetFault;
use crate::error_code;
use crate::log_error::LogError;
use crate::state::StateError;
use crate::topic::TopicPartition;

/// Why a worker ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkerError {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Another process uses the instance name of this one: the two have fenced each other again and again.
    #[error(
        "another process of this namespace runs with --instance {instance}: end it, or give this one a name of its own \
         ({source})"
    )]
    InstanceTaken {
        /// The name.
        instance: String,
        /// The last fencing.
        source: LogError,
    },
    /// A processor asked to stop.
    #[error("stage {stage} stopped at {origin} offset {offset}: {text}")]
    Stopped {
        /// The stage.
        stage: &'static str,
        /// The partition of the record.
        origin: TopicPartition,
        /// The offset of the record.
        offset: i64,
        /// The processor's reason.
        text: String,
    },
    /// State could not be written or restored.
    #[error("state of stage {stage}, partition {partition}: {error}")]
    State {
        /// The stage.
        stage: &'static str,
        /// The partition.
        partition: i32,
        /// What is wrong.
        #[source]
        error: Box<StateError>,
    },
    /// Records of the changelog were deleted, and no snapshot covers them. Processing with the rest would give wrong
    /// outputs.
    #[error(
        "state of stage {stage}, partition {partition}, cannot be restored: {text}. Records were deleted, by retention \
         or by hand; compaction does not do that. Restore the folder of snapshots or the topic from a backup, or load the \
         data again into another namespace"
    )]
    Truncated {
        /// The stage.
        stage: &'static str,
        /// The partition.
        partition: i32,
        /// What the changelog holds.
        text: String,
    },
    /// The offset of the group in an inbox does not fit the state, or the next record is gone. To go on would process
    /// records twice or not at all.
    #[error("stage {stage} does not read {inbox}: {fault}. {advice}")]
    Offsets {
        /// The stage.
        stage: &'static str,
        /// Its inbox.
        inbox: TopicPartition,
        /// What is wrong.
        fault: OffsetFault,
        /// What to do.
        advice: String,
    },
    /// A processor panicked.
    #[error("a worker panicked: {0}")]
    Panicked(String),
}

impl WorkerError {
    /// The stable name of this kind of error; see [`error_code`].
    pub fn code(&self) -> &'static str {
        match self {
            Self::Log(error) => error.code(),
            Self::InstanceTaken { .. } => error_code::INSTANCE_NAME_TAKEN,
            Self::Stopped { .. } => error_code::STAGE_STOPPED,
            Self::State { .. } => error_code::STATE_INVALID,
            Self::Truncated { .. } => error_code::STATE_LOST,
            Self::Offsets { .. } => error_code::OFFSETS_DO_NOT_FIT,
            Self::Panicked(_) => error_code::WORKER_PANICKED,
        }
    }

    /// Whether somebody has to decide before any worker may continue. Nothing was changed.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Offsets { .. } | Self::Truncated { .. })
    }

    /// Whether a worker with a new log and restored tasks may continue from the last commit.
    pub fn can_restart(&self) -> bool {
        matches!(self, Self::Log(LogError::Abortable(_) | LogError::Unavailable(_) | LogError::Fenced(_)))
    }
}
