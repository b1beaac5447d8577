//! What the HTTP port shows about the process.

use serde::Serialize;
use utoipa::ToSchema;

/// The port through which HTTP shows the process. The probes and `flows` answer at once. `lag` may wait for the log, on
/// a thread for blocking calls.
pub trait ProcessStatus: Send + Sync + 'static {
    /// Whether the process works. If not, an orchestrator should restart it.
    ///
    /// # Errors
    /// The reason.
    fn live(&self) -> Result<(), String>;

    /// Whether all flows are open.
    ///
    /// # Errors
    /// What the process waits for.
    fn started(&self) -> Result<(), String>;

    /// Whether requests can be served: all partitions are assigned and restored.
    ///
    /// # Errors
    /// What is missing.
    fn ready(&self) -> Result<(), String>;

    /// Notes that an operator has confirmed the clock of this process.
    ///
    /// # Errors
    /// Why there is nothing to confirm.
    fn confirm_clock(&self, by: &str) -> Result<(), String>;

    /// The flows of this process, with their stages.
    fn flows(&self) -> Vec<FlowStatus>;

    /// The lag of the flows behind the ends of their inboxes.
    ///
    /// # Errors
    /// Why the log does not answer.
    fn lag(&self) -> Result<Vec<FlowLag>, String>;
}

/// A flow of this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FlowStatus {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: FlowState,
    /// What it waits for, or why it has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its stages, with their counts since the start of this process.
    pub stages: Vec<StageStatus>,
}

/// The state of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FlowState {
    /// It waits for Kafka, the registry or its partitions.
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
    /// The number of processed records.
    pub records_in: u64,
    /// The number of sent records, dead letters included.
    pub records_out: u64,
    /// The number of dead letters.
    pub dead_letters: u64,
}

/// The lag of a flow behind the ends of its inboxes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FlowLag {
    /// The flow's name.
    pub flow: String,
    /// The number of records in all its inboxes that are committed and not yet processed.
    pub records: u64,
}
