//! Lookups on the log: a request goes through the inbox, and its reply and its row come back from the outputs.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, timeout, timeout_at};
use tributary_flow::http::Problem;
use tributary_flow::{Intake, framed};
use tributary_registry::configuration::Kind;
use tributary_registry::context::Context;
use tributary_registry::number::Number;
use tributary_registry::row_key::RowKey;
use tributary_registry::topics;
use tributary_schemas::records::registry::{
    AuditAction, AuditEntry, JobRow, JobStatus, LookupRequest, Reply, ReplyOutcome,
};
use tributary_schemas::types::registry::{RowId, RunId};
use uuid::Uuid;

use crate::events;
use crate::following::Following;
use crate::lookups::{Asker, DenialCode, Later, LookupError, Lookups, Row};
use crate::vault::Vault;
use crate::waiting::{AwaitedReply, Replied, Subject, Waiting};

/// How long the stage may take to reply.
const PATIENCE: Duration = Duration::from_secs(20);

/// What requests work with.
pub(crate) struct Service {
    pub(crate) context: Context,
    pub(crate) intake: Arc<Intake>,
    pub(crate) waiting: Arc<Waiting>,
    pub(crate) following: Arc<Following>,
    pub(crate) vault: Arc<Vault>,
    /// Whether other processes may have changed rows.
    pub(crate) is_shared: bool,
}

impl Service {
    /// A row as the log has it now.
    pub(crate) async fn current(&self, key: impl FnOnce(&Following) -> Option<RowKey>) -> Result<Current, LookupError> {
        let is_ready = if self.is_shared { self.following.catch_up().await } else { self.following.first_look().await };
        if !is_ready {
            return Err(LookupError::Unavailable);
        }
        let Some(key) = key(&self.following) else { return Ok(None) };
        Ok(self.kept(key)?.map(|row| (key, row)))
    }

    fn kept(&self, key: RowKey) -> Result<Option<JobRow>, LookupError> {
        self.following.look(|views| views.rows.get(&self.context.codec, key)).map_err(|error| {
            events::row_not_shown(&error);
            LookupError::Unavailable
        })
    }

    fn open(&self, key: RowKey, row: &JobRow) -> Result<Row, LookupError> {
        self.vault.open(key, row).map_err(|error| {
            events::row_not_shown(&error);
            LookupError::Unavailable
        })
    }

    /// Whether there is no room for a further run of a kind, over all partitions.
    pub(crate) fn is_full(&self, kind: &Kind) -> bool {
        let pending = self.following.look(|views| views.rows.count(&kind.name, JobStatus::Pending));
        i64::try_from(pending).unwrap_or(i64::MAX) >= self.context.settings.max_pending
    }

    /// Waits for the reply to what was sent.
    pub(crate) async fn reply(&self, awaited: &mut AwaitedReply) -> Option<Replied> {
        self.following.hurry();
        timeout(PATIENCE, awaited.reply()).await.ok().flatten()
    }

    async fn found(&self, asker: &Asker, kind: &Kind, current: Current) -> Result<Option<Row>, LookupError> {
        let row = current.map(|(key, row)| self.open(key, &row)).transpose()?;
        let outcome = if row.is_some() { "found" } else { "absent" };
        let entry = entry(asker, AuditAction::Read, Some(kind), outcome);
        self.audit(AuditEntry { resource_id: row.as_ref().map(|row| row.id), ..entry }).await?;
        Ok(row)
    }

    /// Writes an entry of the audit. Once this returns, it is in the log.
    async fn audit(&self, entry: AuditEntry) -> Result<(), Problem> {
        let context = self.context.clone();
        let key = entry.resource_id.map_or_else(|| entry.request_id.clone().unwrap_or_default(), |id| id.to_string());
        let write = move |output: &mut tributary_runtime::Output| {
            framed::send(&context.codec, output, &topics::AUDIT, key.as_bytes(), &entry);
        };
        self.intake.publish(write).await
    }

    async fn sync_now(
        &self,
        asker: &Asker,
        kind: &Kind,
        number: &Number,
        until: Option<Instant>,
    ) -> Result<Row, LookupError> {
        if !self.following.first_look().await {
            return Err(LookupError::Unavailable);
        }
        let key = self.vault.key(&kind.name, number);
        let sealed = self.vault.seal_number(&kind.name, key, number).map_err(|error| {
            events::number_not_sealed(&error);
            LookupError::Unavailable
        })?;
        let request = LookupRequest {
            now: Timestamp::now().as_millisecond(),
            number: sealed,
            is_full: self.is_full(kind),
            client: Some(asker.client.clone()),
            request_id: Some(asker.request.to_string()),
            ..LookupRequest::of(kind.name.clone(), new_row(), new_run(), asker.user)
        };
        let mut awaited = self.waiting.for_reply(asker.request.to_string(), Subject::Row(key));
        let context = self.context.clone();
        self.intake.publish(move |output| context.ask(output, key, &request)).await?;
        let replied = self.reply(&mut awaited).await.ok_or(LookupError::Unavailable)?;
        check(&replied.reply)?;
        let row = match (until, replied.row) {
            (None, Some(row)) => row,
            (until, _) => self.ended(key, until).await?,
        };
        self.open(key, &row)
    }

    /// The row at the end of its job, or when the time is over.
    async fn ended(&self, key: RowKey, until: Option<Instant>) -> Result<JobRow, LookupError> {
        loop {
            // Asked for before the row is looked at, so that no end is missed.
            let mut end = self.waiting.for_end(key);
            let row = self.kept(key)?.ok_or(LookupError::Unavailable)?;
            let Some(until) = until.filter(|_| row.status == JobStatus::Pending) else { return Ok(row) };
            self.following.hurry();
            if timeout_at(until, end.end()).await.is_err() {
                return self.kept(key)?.ok_or(LookupError::Unavailable);
            }
        }
    }
}

/// A row and its key. `None`: there is none.
pub(crate) type Current = Option<(RowKey, JobRow)>;

impl From<Problem> for LookupError {
    fn from(problem: Problem) -> Self {
        events::log_unavailable(problem.detail());
        Self::Unavailable
    }
}

fn check(reply: &Reply) -> Result<(), LookupError> {
    match reply.outcome {
        ReplyOutcome::Accepted | ReplyOutcome::Joined => Ok(()),
        ReplyOutcome::Refused => Err(full(reply)),
        _ => Err(LookupError::Unavailable),
    }
}

/// There is no room for a further run.
pub(crate) fn full(refused: &Reply) -> LookupError {
    let seconds = refused.retry_after.and_then(|seconds| u64::try_from(seconds).ok());
    LookupError::Full { retry_after: Duration::from_secs(seconds.unwrap_or(1)) }
}

/// The id of a new row.
fn new_row() -> RowId {
    RowId::from_bytes(*Uuid::new_v4().as_bytes())
}

/// The id of a new run.
pub(crate) fn new_run() -> RunId {
    RunId::from_bytes(*Uuid::new_v4().as_bytes())
}

fn entry(asker: &Asker, action: AuditAction, kind: Option<&Kind>, outcome: &str) -> AuditEntry {
    AuditEntry {
        at: Timestamp::now().as_millisecond(),
        actor: asker.user.to_string(),
        client: Some(asker.client.clone()),
        action,
        resource: kind.map_or_else(|| "node".to_owned(), |kind| format!("{}_info", kind.name)),
        resource_id: None,
        outcome: outcome.to_owned(),
        request_id: Some(asker.request.to_string()),
    }
}

impl Lookups for Service {
    fn find<'a>(
        &'a self,
        asker: &'a Asker,
        kind: &'a Kind,
        number: &'a Number,
    ) -> Later<'a, Result<Option<Row>, LookupError>> {
        Box::pin(async move {
            let current = self.current(|_| Some(self.vault.key(&kind.name, number))).await?;
            self.found(asker, kind, current).await
        })
    }

    fn find_by_id<'a>(
        &'a self,
        asker: &'a Asker,
        kind: &'a Kind,
        id: RowId,
    ) -> Later<'a, Result<Option<Row>, LookupError>> {
        Box::pin(async move {
            let current = self.current(|following| following.look(|views| views.rows.key(id))).await?;
            self.found(asker, kind, current.filter(|(_, row)| row.kind == kind.name)).await
        })
    }

    fn sync<'a>(
        &'a self,
        asker: &'a Asker,
        kind: &'a Kind,
        number: &'a Number,
        wait: Option<Duration>,
    ) -> Later<'a, Result<Row, LookupError>> {
        let until = wait.map(|wait| Instant::now() + wait);
        Box::pin(self.sync_now(asker, kind, number, until))
    }

    fn denied<'a>(&'a self, asker: &'a Asker, kind: Option<&'a Kind>, code: DenialCode) -> Later<'a, ()> {
        Box::pin(async move {
            if let Err(problem) = self.audit(entry(asker, AuditAction::Denied, kind, code.name())).await {
                events::log_unavailable(problem.detail());
            }
        })
    }
}
