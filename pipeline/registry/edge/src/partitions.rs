//! The partitions whose calls this process makes.
//!
//! A process that gets a partition first waits until all that stood in its inbox is processed: an answer that another
//! process, or this one before its restart, has put there must not be asked for again. For that it sends a command
//! about no row through the inbox, and waits for its reply.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tributary_flow::{Failure, Intake, Process, framed};
use tributary_registry::context::Context;
use tributary_registry::job::JobStage;
use tributary_registry::row_key::RowKey;
use tributary_registry::topics;
use tributary_schemas::records::registry::{CommandAction, JobCommand};
use tributary_schemas::types::registry::{KindName, UserId};
use uuid::Uuid;

use crate::calling::Calling;
use crate::waiting::{Subject, Waiting};

/// How long the reply may take before the command is sent again.
const PATIENCE: Duration = Duration::from_secs(10);

/// The partitions of this process.
pub(crate) struct Partitions {
    parts: PartitionParts,
    state: Mutex<State>,
}

/// What is needed to know them.
pub(crate) struct PartitionParts {
    pub(crate) process: Arc<dyn Process>,
    pub(crate) context: Context,
    pub(crate) intake: Arc<Intake>,
    pub(crate) waiting: Arc<Waiting>,
    pub(crate) calling: Arc<Calling>,
}

#[derive(Default)]
struct State {
    settled: BTreeSet<i32>,
    /// The partitions that wait for the reply to a request.
    settling: BTreeMap<i32, Uuid>,
}

impl Partitions {
    /// None yet.
    pub(crate) fn new(parts: PartitionParts) -> Self {
        Self { parts, state: Mutex::default() }
    }

    fn state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks which partitions this process works on now.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the workers do not answer. What was known before counts on.
    pub(crate) fn look(self: &Arc<Self>) -> Result<(), Failure> {
        let owned = self.owned()?;
        let gained: Vec<(i32, Uuid)> = self.state(|state| {
            let before = state.settled.len();
            state.settled.retain(|partition| owned.contains(partition));
            state.settling.retain(|partition, _| owned.contains(partition));
            if state.settled.len() < before {
                self.parts.calling.settle(&state.settled);
            }
            let is_new =
                |partition: &&i32| !state.settled.contains(partition) && !state.settling.contains_key(partition);
            let gained: Vec<(i32, Uuid)> = owned.iter().filter(is_new).map(|new| (*new, Uuid::new_v4())).collect();
            state.settling.extend(gained.iter().copied());
            gained
        });
        for (partition, request) in gained {
            self.parts.process.tokio().spawn(Arc::clone(self).settle(partition, request));
        }
        Ok(())
    }

    fn owned(&self) -> Result<BTreeSet<i32>, Failure> {
        let seen = self.parts.process.visit(Arc::new(|_, partition, processor: &dyn Any| {
            processor.is::<JobStage>().then(|| Box::new(partition) as Box<dyn Any + Send>)
        }))?;
        Ok(seen.into_iter().filter_map(|seen| seen.downcast::<i32>().ok()).map(|partition| *partition).collect())
    }

    async fn settle(self: Arc<Self>, partition: i32, request: Uuid) {
        let has_passed = self.pass_through(partition, request).await;
        self.state(|state| {
            if state.settling.get(&partition) != Some(&request) {
                return;
            }
            // Without a reply the next look tries again.
            state.settling.remove(&partition);
            if has_passed {
                state.settled.insert(partition);
                self.parts.calling.settle(&state.settled);
            }
        });
    }

    /// Whether all is processed that is in the inbox of a partition now.
    async fn pass_through(&self, partition: i32, request: Uuid) -> bool {
        let mut awaited = self.parts.waiting.for_reply(request.to_string(), Subject::Nothing);
        let (context, nobody) = (self.parts.context.clone(), UserId::from_bytes(*request.as_bytes()));
        let sent = self.parts.intake.publish(move |output| {
            let command = JobCommand {
                action: CommandAction::Cancel,
                now: Timestamp::now().as_millisecond(),
                request_id: Some(request.to_string()),
                ..JobCommand::of(KindName::first(), nobody)
            };
            // No number has this key.
            let key = RowKey::new(*[*request.as_bytes(); 2].as_flattened().first_chunk().unwrap_or(&[0; 32]));
            output.send_to(&topics::JOB, partition, key.to_string().as_bytes(), |buffer| {
                framed::write(&context.codec, &command, buffer);
            });
        });
        sent.await.is_ok() && matches!(tokio::time::timeout(PATIENCE, awaited.reply()).await, Ok(Some(_)))
    }
}
