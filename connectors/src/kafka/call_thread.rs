//! A long-lived thread for calls that may take long, or may never return.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Builder;

type Call<A> = Box<dyn FnOnce() -> A + Send>;

/// A thread that makes one call after another and hands back each answer.
///
/// Dropping it does not wait: an idle thread ends at once, a busy one when its call returns. So dropping it gives up a
/// call that hangs. What that call owns lives as long as it hangs.
pub(super) struct CallThread<A> {
    calls: Sender<Call<A>>,
    answers: Receiver<A>,
    #[cfg(test)]
    pub(super) thread: std::thread::JoinHandle<()>,
}

impl<A: Send + 'static> CallThread<A> {
    /// Starts a thread of this name.
    pub(super) fn start(name: &str) -> io::Result<Self> {
        let (calls, next) = channel::<Call<A>>();
        let (answer, answers) = channel();
        let run = move || {
            while let Ok(call) = next.recv() {
                // The call, and what it owns, is dropped before its answer is sent.
                if answer.send(call()).is_err() {
                    return;
                }
            }
        };
        let thread = Builder::new().name(name.to_owned()).spawn(run)?;
        #[cfg(not(test))]
        drop(thread);
        Ok(Self {
            calls,
            answers,
            #[cfg(test)]
            thread,
        })
    }

    /// The thread in `slot`. Starts one of this name when there is none.
    pub(super) fn in_slot<'a>(slot: &'a mut Option<Self>, name: &str) -> io::Result<&'a Self> {
        match slot {
            Some(thread) => Ok(thread),
            None => Ok(slot.insert(Self::start(name)?)),
        }
    }

    /// Begins a call. Calls are made one after another, and each gives one answer, in the same order.
    pub(super) fn begin(&self, call: impl FnOnce() -> A + Send + 'static) {
        // After a panic the thread is gone. Then this fails, and the receiver of answers is disconnected.
        let _ = self.calls.send(Box::new(call));
    }

    /// Receives the answers. It is disconnected after a call has panicked.
    pub(super) fn answers(&self) -> &Receiver<A> {
        &self.answers
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{RecvTimeoutError, TryRecvError};
    use std::thread::{JoinHandle, ThreadId, current};
    use std::time::{Duration, Instant};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn wait_until_ended(thread: &JoinHandle<()>) {
        let started = Instant::now();
        while !thread.is_finished() {
            assert!(started.elapsed() < PATIENCE, "the thread has not ended");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn all_calls_are_made_on_one_thread_until_it_is_dropped() {
        let calls = CallThread::<ThreadId>::start("calls").unwrap();
        let mut threads = Vec::new();
        for _ in 0..3 {
            calls.begin(|| current().id());
            threads.push(calls.answers().recv_timeout(PATIENCE).unwrap());
        }
        let CallThread { calls, answers, thread } = calls;
        assert_eq!(threads, [thread.thread().id(); 3]);
        drop((calls, answers));
        wait_until_ended(&thread);
    }

    #[test]
    fn a_call_that_hangs_blocks_nobody_and_keeps_what_it_owns() {
        let (release, released) = channel::<()>();
        let owned = Arc::new(());
        let calls = CallThread::<()>::start("calls").unwrap();
        let used = Arc::clone(&owned);
        calls.begin(move || {
            let _ = released.recv();
            drop(used);
        });
        assert_eq!(calls.answers().try_recv(), Err(TryRecvError::Empty));
        assert_eq!(calls.answers().recv_timeout(Duration::from_millis(10)), Err(RecvTimeoutError::Timeout));
        let CallThread { calls, answers, thread } = calls;
        drop((calls, answers));
        assert!(!thread.is_finished());
        assert_eq!(Arc::strong_count(&owned), 2);
        drop(release);
        wait_until_ended(&thread);
        assert_eq!(Arc::strong_count(&owned), 1);
    }

    #[test]
    fn what_a_call_owns_is_dropped_before_its_answer_arrives() {
        let calls = CallThread::<()>::start("calls").unwrap();
        let owned = Arc::new(());
        for _ in 0..1000 {
            let used = Arc::clone(&owned);
            calls.begin(move || assert!(Arc::strong_count(&used) > 1));
            calls.answers().recv_timeout(PATIENCE).unwrap();
            assert_eq!(Arc::strong_count(&owned), 1);
        }
    }

    #[test]
    fn a_call_that_panics_disconnects_its_answers() {
        let calls = CallThread::<()>::start("calls").unwrap();
        calls.begin(|| panic!("as the test wants"));
        assert_eq!(calls.answers().recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
        calls.begin(|| ());
        assert_eq!(calls.answers().recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected));
    }
}
