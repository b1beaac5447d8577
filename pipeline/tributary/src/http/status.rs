//! What the HTTP port shows of the process.

use serde::Serialize;
use utoipa::ToSchema;

/// The port through which the HTTP side looks at the process. The probes and `flows` answer at once; `lag` may wait for
/// the log, on a thread for blocking calls.
pub trait ProcessStatus: Send + Sync + 'static {
    /// Whether the process works; else why it has to be restarted.
    ///
    /// # Errors
    /// The reason.
    fn live(&self) -> Result<(), String>;

    /// Whether all flows have been opened; else what is being waited for.
    ///
    /// # Errors
    /// The reason.
    fn started(&self) -> Result<(), String>;

    /// Whether requests can be served: all is assigned and restored; else what is missing.
    ///
    /// # Errors
    /// The reason.
    fn ready(&self) -> Result<(), String>;

    /// The flows of this process, with their stages.
    fn flows(&self) -> Vec<FlowStatus>;

    /// How far the flows are behind the ends of their inboxes.
    ///
    /// # Errors
    /// Why the log does not say.
    fn lag(&self) -> Result<Vec<FlowLag>, String>;
}

/// A flow of this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FlowStatus {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub state: FlowState,
    /// What it waits for or why it has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its stages, with what this process did since its start.
    pub stages: Vec<StageStatus>,
}

/// What a flow is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FlowState {
    /// It waits for what it needs, or for its partitions.
    Starting,
    /// It works.
    Running,
    /// It has ended with an error.
    Failed,
}

/// A stage of a flow in this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StageStatus {
    /// The group of workers that runs it.
    pub group: String,
    /// Its name.
    pub name: String,
    /// Records processed.
    pub records_in: u64,
    /// Records sent, dead letters included.
    pub records_out: u64,
    /// Records dead-lettered.
    pub dead_letters: u64,
}

/// How far a flow is behind the ends of its inboxes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FlowLag {
    /// The flow.
    pub flow: String,
    /// Records that are committed and not yet processed, over all its inboxes.
    pub records: u64,
}
