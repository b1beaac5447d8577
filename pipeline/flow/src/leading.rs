//! Whether this process runs the rounds of the flow. What only one process may do at a time follows it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a round counts. Rounds come more often than this.
pub const TERM: Duration = Duration::from_secs(5);

/// Follows the rounds. Two processes may believe for a short time that they lead: the one that has just lost the rounds
/// learns it late. So what depends on it must stand a repeat, or be fenced.
#[derive(Debug, Default)]
pub struct Leading(Mutex<Option<Instant>>);

impl Leading {
    /// This process runs a round now.
    pub fn note_round(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether this process ran a round shortly before.
    pub fn is_here(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|round| round.elapsed() < TERM)
    }
}
