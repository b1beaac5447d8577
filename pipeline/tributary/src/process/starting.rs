//! Starts the flows, and waits for Kafka and the registry.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use tributary_flow::Failure;

use super::{FlowToRun, Started, Surroundings, start};
use crate::events;

/// The pause after the first attempt. Each later pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How often a waiting start checks whether the process should end.
const ATTENTION: Duration = Duration::from_millis(50);

/// Starts the flows. Retries while Kafka or the registry is unavailable, up to `give_up_after` or without limit.
/// `waiting` receives the reason of each wait. `None` when the process should end.
///
/// # Errors
/// [`Failure::Refused`] for an error that a retry cannot fix, [`Failure::Unfinished`] after `give_up_after`.
pub(crate) fn start_patiently(
    surroundings: &Surroundings,
    flows: &[FlowToRun],
    give_up_after: Option<Duration>,
    waiting: &dyn Fn(&str),
) -> Result<Option<Vec<Started>>, Failure> {
    if surroundings.settings.kafka.is_none() {
        return start(surroundings, flows).map(Some);
    }
    let shutdown = &surroundings.shutdown;
    let deadline = give_up_after.map(|after| Instant::now() + after);
    let is_over = || deadline.is_some_and(|deadline| Instant::now() > deadline);
    let mut pause = FIRST_PAUSE;
    let mut reported = String::new();
    loop {
        let reason = match attempt(surroundings, flows, &is_over) {
            Some(Err(Failure::Unfinished(cause))) => cause.to_string(),
            Some(Ok(started)) => {
                if !reported.is_empty() {
                    events::kafka_answers_again();
                }
                return Ok(Some(started));
            }
            Some(Err(refused)) => return Err(refused),
            None => "no answer yet".to_owned(),
        };
        if shutdown.is_triggered() {
            return Ok(None);
        }
        if is_over() {
            return Err(Failure::unfinished(format!("gave up, nothing was changed: {reason}")));
        }
        waiting(&reason);
        if reported != reason {
            events::waiting_for_kafka(&reason);
            reported = reason;
        }
        let left = deadline.map_or(pause, |deadline| deadline.saturating_duration_since(Instant::now()).min(pause));
        shutdown.wait(left);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// One attempt. It has its own thread, because a client that waits for a broker cannot be interrupted. `None` when the
/// process should end. The thread and what it holds then end with the process.
fn attempt(
    surroundings: &Surroundings,
    flows: &[FlowToRun],
    is_over: &dyn Fn() -> bool,
) -> Option<Result<Vec<Started>, Failure>> {
    let (sender, receiver) = mpsc::channel();
    let (context, flows) = (surroundings.clone(), flows.to_vec());
    let thread = std::thread::Builder::new().name("start".to_owned()).spawn(move || {
        // The caller may have stopped waiting.
        let _ = sender.send(start(&context, &flows));
    });
    if let Err(error) = thread {
        return Some(Err(Failure::unfinished(format!("cannot start a thread: {error}"))));
    }
    loop {
        match receiver.recv_timeout(ATTENTION) {
            Ok(result) => return Some(result),
            Err(RecvTimeoutError::Disconnected) => {
                return Some(Err(Failure::refused("the start ended with a panic; this is a bug in the program")));
            }
            Err(RecvTimeoutError::Timeout) if surroundings.shutdown.is_triggered() || is_over() => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}
