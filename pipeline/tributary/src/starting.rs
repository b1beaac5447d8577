//! Starting the flow while what it needs may still be away: Kafka and the registry are waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::running::RunningFlow;
use crate::settings::Settings;

/// The pause after the first attempt; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How often it is looked whether to end.
const ATTENTION: Duration = Duration::from_millis(50);

/// Starts the flow, trying again while Kafka or the registry is away, for as long as `give_up_after` says, or for ever.
/// `None` when the process was asked to end meanwhile.
///
/// # Errors
/// [`Failure::Refused`] for what does not pass by itself, [`Failure::Unfinished`] after `give_up_after`.
pub(crate) fn start(
    settings: &Settings,
    interrupted: &Arc<AtomicBool>,
    give_up_after: Option<Duration>,
) -> Result<Option<RunningFlow>, Failure> {
    if settings.kafka.is_none() {
        return RunningFlow::start(settings, Arc::clone(interrupted)).map(Some);
    }
    let deadline = give_up_after.map(|after| Instant::now() + after);
    let is_over = || deadline.is_some_and(|deadline| Instant::now() > deadline);
    let mut pause = FIRST_PAUSE;
    let mut told = String::new();
    loop {
        let reason = match attempt(settings, interrupted, &is_over) {
            Some(Err(Failure::Unfinished(reason))) => reason,
            Some(Ok(flow)) => {
                if !told.is_empty() {
                    tracing::info!("Kafka and the schema registry answer again");
                }
                return Ok(Some(flow));
            }
            Some(Err(refused)) => return Err(refused),
            None => "no answer yet".to_owned(),
        };
        if interrupted.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if is_over() {
            return Err(Failure::unfinished(format!("gave up, nothing was changed: {reason}")));
        }
        if told != reason {
            tracing::warn!("waiting for Kafka and the schema registry: {reason}");
            told = reason;
        }
        wait(pause, interrupted, &is_over);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// One attempt, on a thread of its own, because a client that waits for a broker cannot be interrupted. `None` when
/// nobody waits for its end any more: the process ends, and what the attempt has in hand with it.
fn attempt(
    settings: &Settings,
    interrupted: &Arc<AtomicBool>,
    is_over: &dyn Fn() -> bool,
) -> Option<Result<RunningFlow, Failure>> {
    let (sender, receiver) = mpsc::channel();
    let (settings, flag) = (settings.clone(), Arc::clone(interrupted));
    let thread = std::thread::Builder::new().name("start".to_owned()).spawn(move || {
        // Who asked may be gone.
        let _ = sender.send(RunningFlow::start(&settings, flag));
    });
    if let Err(error) = thread {
        return Some(Err(Failure::unfinished(format!("cannot start a thread: {error}"))));
    }
    loop {
        match receiver.recv_timeout(ATTENTION) {
            Ok(result) => return Some(result),
            Err(RecvTimeoutError::Disconnected) => {
                return Some(Err(Failure::refused("the start ended with a panic; this is an error of the program")));
            }
            Err(RecvTimeoutError::Timeout) if interrupted.load(Ordering::Relaxed) || is_over() => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn wait(pause: Duration, interrupted: &AtomicBool, is_over: &dyn Fn() -> bool) {
    let until = Instant::now() + pause;
    while Instant::now() < until && !interrupted.load(Ordering::Relaxed) && !is_over() {
        std::thread::sleep(ATTENTION);
    }
}
