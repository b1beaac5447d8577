//! The request to shut down, and waiting that ends at once when it comes.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// A request to shut down, which everything that runs can see. Clones share it, and cloning is cheap.
///
/// Threads wait with [`Shutdown::wait`] instead of sleeping. What cannot wait with a thread, such as an async runtime,
/// registers with [`Shutdown::on_trigger`]. A part that may have to end alone gets a [`Shutdown::child`].
#[derive(Clone, Default)]
pub struct Shutdown(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// The same as in `state`, so that a busy loop can look without the mutex.
    triggered: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    triggered: bool,
    children: Vec<Weak<Shared>>,
    callbacks: Vec<Box<dyn FnOnce() + Send>>,
}

impl Shutdown {
    /// Not triggered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests the shutdown: wakes all who wait, triggers all children and calls the callbacks, in this thread. Later
    /// calls do nothing. Must not be called in a signal handler, since it takes a mutex.
    pub fn trigger(&self) {
        self.0.trigger();
    }

    /// Whether the shutdown was requested.
    pub fn is_triggered(&self) -> bool {
        self.0.triggered.load(Ordering::Acquire)
    }

    /// Waits for this time, or until the shutdown is requested. Whether it was.
    pub fn wait(&self, time: Duration) -> bool {
        let state = self.0.lock();
        let waited = self.0.changed.wait_timeout_while(state, time, |state| !state.triggered);
        waited.unwrap_or_else(PoisonError::into_inner).0.triggered
    }

    /// A shutdown that is triggered with this one, and can be triggered without it. It is forgotten, with its
    /// callbacks, when its last clone is dropped.
    #[must_use]
    pub fn child(&self) -> Self {
        let child = Self::new();
        let mut state = self.0.lock();
        if state.triggered {
            drop(state);
            child.trigger();
            return child;
        }
        state.children.retain(|known| known.strong_count() > 0);
        state.children.push(Arc::downgrade(&child.0));
        child
    }

    /// Calls `callback` once when the shutdown is requested, at once when it already was. It is called by the thread
    /// that triggers, so it must be quick. It is kept until then: register once, not for each wait.
    pub fn on_trigger(&self, callback: impl FnOnce() + Send + 'static) {
        let mut state = self.0.lock();
        if state.triggered {
            drop(state);
            callback();
        } else {
            state.callbacks.push(Box::new(callback));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trigger(&self) {
        let mut state = self.lock();
        state.triggered = true;
        self.triggered.store(true, Ordering::Release);
        let (children, callbacks) = (std::mem::take(&mut state.children), std::mem::take(&mut state.callbacks));
        // Without the mutex: a callback may look at this shutdown.
        drop(state);
        self.changed.notify_all();
        for child in children.iter().filter_map(Weak::upgrade) {
            child.trigger();
        }
        for callback in callbacks {
            callback();
        }
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shutdown").field("triggered", &self.is_triggered()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn all_waiting_threads_wake_at_once() {
        let shutdown = Shutdown::new();
        let begun = Instant::now();
        let waiting = [shutdown.clone(), shutdown.clone(), shutdown.child()];
        let threads = waiting.map(|shutdown| std::thread::spawn(move || shutdown.wait(LONG)));
        std::thread::sleep(Duration::from_millis(20));
        shutdown.trigger();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
        assert!(begun.elapsed() < LONG / 2);
        assert!(shutdown.wait(LONG), "a wait after the request ends at once");
        assert!(begun.elapsed() < LONG / 2);
    }

    #[test]
    fn a_wait_without_a_request_takes_its_time() {
        let begun = Instant::now();
        assert!(!Shutdown::new().wait(Duration::from_millis(20)));
        assert!(begun.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn a_child_is_triggered_with_its_parent_and_not_the_other_way_round() {
        let parent = Shutdown::new();
        let (ended, other) = (parent.child(), parent.child());
        let grandchild = other.child();
        ended.trigger();
        assert!(ended.is_triggered() && !parent.is_triggered() && !other.is_triggered());
        parent.trigger();
        assert!(other.is_triggered() && grandchild.is_triggered());
        assert!(parent.child().is_triggered(), "a child of a triggered parent");
    }

    #[test]
    fn a_callback_is_called_once_whenever_it_was_registered() {
        let (shutdown, calls) = (Shutdown::new(), Arc::new(AtomicU32::new(0)));
        let register = |shutdown: &Shutdown| {
            let calls = Arc::clone(&calls);
            shutdown.on_trigger(move || {
                calls.fetch_add(1, Ordering::Relaxed);
            });
        };
        let child = shutdown.child();
        register(&shutdown);
        register(&child);
        register(&shutdown.child());
        assert_eq!(calls.load(Ordering::Relaxed), 0);
        shutdown.trigger();
        assert_eq!(calls.load(Ordering::Relaxed), 2, "that of a child which nobody holds is forgotten");
        shutdown.trigger();
        child.trigger();
        assert_eq!(calls.load(Ordering::Relaxed), 2);
        register(&shutdown);
        assert_eq!(calls.load(Ordering::Relaxed), 3);
    }
}
