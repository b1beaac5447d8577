//! The calls of one kind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tributary_connectors::soap::mutual_tls::{
    AnswerHead, MutualTlsAnswer, MutualTlsCallError, MutualTlsClient, MutualTlsRequest,
};
use tributary_flow::Intake;
use tributary_registry::call_answer::{Asked, HttpAnswer, Outcome, Received, TransportError, retry_after};
use tributary_registry::call_request::CallRequest;
use tributary_registry::caller::{CallName, Caller, answer_of, number_of};
use tributary_registry::configuration::Kind;
use tributary_registry::context::Context;
use tributary_registry::number::Number;
use tributary_registry::row_key::RowKey;
use tributary_registry::sealing::{SealError, Sealer};
use tributary_schemas::records::registry::{Call, CallAnswer, CallError, CallOutcome, ErrorClass};
use tributary_schemas::types::registry::{CallId, ErrorCode};
use uuid::Uuid;

use super::CallsOfKind;
use crate::events;

/// The pause before an answer is offered to the log again.
const PUBLISH_PAUSE: Duration = Duration::from_secs(1);

/// The upper bounds of the buckets of `call_seconds`.
pub(crate) const BUCKETS: [f64; 10] = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 30.0];

/// How calls have ended in this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallCounts {
    /// By outcome: found, empty, or the class of the error.
    pub(crate) outcomes: BTreeMap<&'static str, u64>,
    /// Calls by the bucket of their time. The last are those above all bounds.
    pub(crate) buckets: [u64; BUCKETS.len() + 1],
    /// Their times together, in seconds.
    pub(crate) seconds: f64,
}

impl CallCounts {
    fn add(&mut self, outcome: &'static str, time: Duration) {
        *self.outcomes.entry(outcome).or_default() += 1;
        let seconds = time.as_secs_f64();
        let bucket = BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS.len());
        self.buckets[bucket] += 1;
        self.seconds += seconds;
    }
}

/// What the calls of a kind are made with.
pub(super) struct LaneParts {
    pub(super) kind: Kind,
    pub(super) context: Context,
    pub(super) sealer: Arc<dyn Sealer>,
    pub(super) intake: Arc<Intake>,
    pub(super) client: MutualTlsClient,
}

/// The calls of one kind in this process.
pub(super) struct Lane {
    parts: LaneParts,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    caller: Caller,
    /// The open calls of all partitions.
    open: BTreeMap<RowKey, (i32, Call)>,
    /// The partitions whose calls are made here.
    settled: BTreeSet<i32>,
    counts: CallCounts,
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

impl Lane {
    pub(super) fn new(parts: LaneParts) -> Self {
        let caller = Caller::new(parts.kind.calls);
        let state = State { caller, open: BTreeMap::new(), settled: BTreeSet::new(), counts: CallCounts::default() };
        Self { parts, state: Mutex::new(state), changed: Notify::new() }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
        changed
    }

    pub(super) fn note(&self, row: RowKey, partition: i32, call: Option<Call>) {
        self.change(|state| {
            match &call {
                Some(call) => drop(state.open.insert(row, (partition, call.clone()))),
                None => drop(state.open.remove(&row)),
            }
            if state.settled.contains(&partition) {
                state.caller.note(row, partition, call);
            }
        });
    }

    pub(super) fn forget(&self) {
        self.change(|state| {
            state.open.clear();
            state.settled.iter().for_each(|partition| state.caller.forget(*partition));
        });
    }

    pub(super) fn settle(&self, partitions: &BTreeSet<i32>) {
        self.change(|state| {
            state.settled.difference(partitions).for_each(|lost| state.caller.forget(*lost));
            for (row, (partition, call)) in &state.open {
                if partitions.contains(partition) && !state.settled.contains(partition) {
                    state.caller.note(*row, *partition, Some(call.clone()));
                }
            }
            state.settled.clone_from(partitions);
        });
    }

    /// Whether the calls of a partition are made here.
    pub(super) fn has(&self, partition: i32) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).settled.contains(&partition)
    }

    pub(super) fn pause(&self, is_paused: bool) {
        self.change(|state| state.caller.pause(is_paused));
    }

    /// Whether a call is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).caller.in_flight() > 0
    }

    pub(super) fn status(&self) -> CallsOfKind {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        CallsOfKind {
            breaker: state.caller.breaker(),
            in_flight: state.caller.in_flight(),
            counts: state.counts.clone(),
        }
    }

    /// Makes calls until it is aborted. Calls under way end with it.
    pub(super) async fn run(self: Arc<Self>) {
        let mut calls = JoinSet::new();
        loop {
            while let Some((name, call)) = self.begin() {
                calls.spawn(Arc::clone(&self).make(name, call));
            }
            let wake = self.state.lock().unwrap_or_else(PoisonError::into_inner).caller.wakes_at();
            let sleep = wake.map(|at| Duration::from_millis(at.saturating_sub(now()).max(1).unsigned_abs()));
            tokio::select! {
                () = self.changed.notified() => {}
                Some(_) = calls.join_next() => {}
                () = tokio::time::sleep(sleep.unwrap_or(Duration::MAX)), if sleep.is_some() => {}
            }
        }
    }

    fn begin(&self) -> Option<(CallName, Call)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).caller.begin(now())
    }

    /// Makes a call and puts its answer into the log. An answer that the log does not take is kept, and offered again
    /// as long as it counts: the register is not asked twice because of that.
    async fn make(self: Arc<Self>, name: CallName, call: Call) {
        let (answer, is_technical) = self.answered(name.row, &call).await;
        while let Err(reason) = self.publish(name.row, answer.clone()).await {
            events::answer_not_published(&self.parts.kind.name, &reason);
            tokio::time::sleep(PUBLISH_PAUSE).await;
            if !self.change(|state| state.caller.is_open(name)) {
                self.change(|state| state.caller.failed_here(name, now()));
                return;
            }
        }
        self.change(|state| state.caller.ended(name, is_technical, now()));
    }

    async fn publish(&self, row: RowKey, answer: CallAnswer) -> Result<(), String> {
        let context = self.parts.context.clone();
        let published = self.parts.intake.publish(move |output| context.answer(output, row, &answer)).await;
        published.map_err(|problem| problem.detail().to_owned())
    }

    /// The answer for the log, and whether it speaks against the way to the register.
    async fn answered(&self, row: RowKey, call: &Call) -> (CallAnswer, bool) {
        let id = CallId::from_bytes(*Uuid::new_v4().as_bytes());
        let outcome = match number_of(&*self.parts.sealer, row, call) {
            Ok(number) => self.ask(call, &number, id).await,
            // It must not close the breaker.
            Err(error) => return (self.unsealed(call, &error), true),
        };
        match answer_of(&*self.parts.sealer, row, call, (id, &outcome, now())) {
            Ok(answer) => (answer, matches!(outcome, Outcome::Failed(failure) if failure.is_technical())),
            Err(error) => (self.unsealed(call, &error), true),
        }
    }

    async fn ask(&self, call: &Call, number: &Number, id: CallId) -> Outcome {
        let (kind, trembita) = (&self.parts.kind, &self.parts.context.settings.trembita);
        let request = CallRequest { kind, trembita, number, user: call.user, id };
        let begun = Instant::now();
        let received = self.send(&request).await;
        let outcome = Asked { kind, trembita, number, id }.outcome(received);
        self.change(|state| state.counts.add(name_of(&outcome), begun.elapsed()));
        outcome
    }

    /// The answer of a call that fails on our side: keys do not fit. Another call would fail alike.
    fn unsealed(&self, call: &Call, error: &SealError) -> CallAnswer {
        events::call_not_made(&self.parts.kind.name, error);
        let error =
            CallError { error_class: ErrorClass::Internal, code: ErrorCode::of("sealing"), retryable: false, id: None };
        CallAnswer {
            attempt: call.attempt,
            now: now(),
            outcome: CallOutcome::Failed,
            error: Some(error),
            ..CallAnswer::of(call.kind.clone(), call.run_id)
        }
    }

    async fn send(&self, request: &CallRequest<'_>) -> Received {
        let mut headers = vec![("content-type".to_owned(), request.content_type())];
        headers.extend(request.soap_action().map(|action| ("soapaction".to_owned(), action)));
        let body = request.body().into_bytes();
        received(self.parts.client.call(MutualTlsRequest { headers: &headers, body }).await)
    }
}

/// How a call has ended, as metrics name it.
fn name_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Found(_) => "found",
        Outcome::Empty => "empty",
        Outcome::Failed(failure) => failure.class.symbol(),
    }
}

/// What the flow reads in place of what the connector says.
fn received(result: Result<MutualTlsAnswer, MutualTlsCallError>) -> Received {
    let answer = |head: AnswerHead, body: Option<Vec<u8>>| {
        let wait = head.retry_after.and_then(|header| retry_after(&header, now()));
        Received::Answer(HttpAnswer { status: head.status, body, retry_after: wait })
    };
    Received::Failed(match result {
        Ok(MutualTlsAnswer { head, body }) => return answer(head, Some(body)),
        Err(MutualTlsCallError::TooLarge { head, .. }) => return answer(head, None),
        // Bytes that nobody can read are no message.
        Err(MutualTlsCallError::Packed { head, .. }) => return answer(head, Some(Vec::new())),
        Err(MutualTlsCallError::Dns) => TransportError::Dns,
        Err(MutualTlsCallError::Tls(_)) => TransportError::Tls,
        Err(MutualTlsCallError::Closed(_)) => TransportError::Closed,
        Err(MutualTlsCallError::Timeout(_)) => TransportError::Timeout,
        Err(MutualTlsCallError::Refused(_) | MutualTlsCallError::NotMade(_)) => TransportError::Connect,
    })
}
