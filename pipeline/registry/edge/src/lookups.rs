//! The port through which requests reach rows and jobs.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tributary_registry::configuration::Kind;
use tributary_registry::number::Number;
use tributary_schemas::records::registry::JobStatus;
use tributary_schemas::types::registry::{RowId, UserId};
use uuid::Uuid;

/// Who asks, with which request: what the audit says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The user.
    pub user: UserId,
    /// The client that the user works with.
    pub client: String,
    /// The id of the request, new for each.
    pub request: Uuid,
}

/// A row in the clear. `Debug` shows neither its number nor what the register has answered.
#[derive(Clone, PartialEq)]
pub struct Row {
    /// Its id.
    pub id: RowId,
    /// Its number.
    pub number: Number,
    /// The status of its job.
    pub status: JobStatus,
    /// The whole answer of the register, as `tributary_registry::info` makes it. `None`: there is none.
    pub info: Option<Value>,
    /// When the register has answered last.
    pub synced_at: Option<Timestamp>,
    /// When the row was made.
    pub inserted_at: Timestamp,
    /// By whom.
    pub inserted_by: UserId,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// By whom.
    pub updated_by: UserId,
}

impl fmt::Debug for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Row").field("id", &self.id).field("status", &self.status).finish_non_exhaustive()
    }
}

/// Why a lookup is not made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// As many rows of the kind are pending as may be. No row was made.
    #[error("too many lookups are pending")]
    Full {
        /// When it is worth to ask again.
        retry_after: Duration,
    },
    /// Rows cannot be reached.
    #[error("lookups are not available")]
    Unavailable,
}

/// Why a caller was refused, for the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenialCode {
    /// A scope is missing, or the client may not look anything up.
    Forbidden,
    /// The client's legal entity is not active.
    Conflict,
}

impl DenialCode {
    /// The code, as the caller sees it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forbidden => "FORBIDDEN",
            Self::Conflict => "CONFLICT",
        }
    }
}

/// The answer of a lookup, later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Rows and jobs. Whoever calls has checked the caller's rights and the number. Reads and refusals are answered once
/// their entry in the audit is committed.
pub trait Lookups: Send + Sync {
    /// The row of a number. `None`: there is none.
    fn find<'a>(
        &'a self,
        asker: &'a Asker,
        kind: &'a Kind,
        number: &'a Number,
    ) -> Later<'a, Result<Option<Row>, LookupError>>;

    /// The row of this kind with this id.
    fn find_by_id<'a>(
        &'a self,
        asker: &'a Asker,
        kind: &'a Kind,
        id: RowId,
    ) -> Later<'a, Result<Option<Row>, LookupError>>;

    /// Starts a job for a number, or joins the one that runs. The row is answered once it is committed, or, with a time
    /// to wait, once the job has ended or the time is over.
    fn sync<'a>(
        &'a self,
        asker: &'a Asker,
        kind: &'a Kind,
        number: &'a Number,
        wait: Option<Duration>,
    ) -> Later<'a, Result<Row, LookupError>>;

    /// Writes into the audit that a caller was refused.
    fn denied<'a>(&'a self, asker: &'a Asker, kind: Option<&'a Kind>, code: DenialCode) -> Later<'a, ()>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::world;

    #[test]
    fn a_row_is_shown_without_number_and_answer() {
        let row = Row { info: Some(serde_json::json!({"firstName": "Oksana"})), ..world::row("19910824-00026") };
        let shown = format!("{row:?}");
        assert!(!shown.contains("1991") && !shown.contains("Oksana"), "{shown}");
    }
}
