//! Wakes a thread that looks from time to time when somebody waits for its next look.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Whether somebody waits for a look.
#[derive(Default)]
pub(crate) struct Wanted {
    is_wanted: Mutex<bool>,
    changed: Condvar,
}

impl Wanted {
    /// Somebody waits.
    pub(crate) fn want(&self) {
        *self.is_wanted.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    /// Waits until somebody wants a look, at most for `pause`.
    pub(crate) fn pause(&self, pause: Duration) {
        let is_wanted = self.is_wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(is_wanted, pause, |is_wanted| !*is_wanted);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}
