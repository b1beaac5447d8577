//! Decides when an instance name is taken: two processes of one name fence each other until one of them gives up.

use std::time::{Duration, Instant};

/// Only fencings within this time count together. Two processes of one name fence each other about once a second. A
/// broker that froze makes a member fence itself, because it joins twice then, but only once each time.
const WINDOW: Duration = Duration::from_mins(1);

/// How long after its start a process counts as the newcomer.
const NEWCOMER: Duration = Duration::from_secs(90);

/// Fencings within the window after which a newcomer gives up.
const MOST_OF_NEWCOMER: usize = 4;

/// The same limit for a process that was there first: it leaves the newcomer time to notice.
const MOST: usize = 7;

/// The fencings of one worker slot.
#[derive(Debug)]
pub(super) struct Fencings {
    started: Instant,
    seen: Vec<Instant>,
}

impl Fencings {
    /// None yet, in a process that starts now.
    pub(super) fn new(started: Instant) -> Self {
        Self { started, seen: Vec::new() }
    }

    /// Counts a fencing at `now`. Whether the limit is reached: another process must have this instance name.
    pub(super) fn count(&mut self, now: Instant) -> bool {
        self.seen.retain(|earlier| now.duration_since(*earlier) < WINDOW);
        self.seen.push(now);
        let most = if now.duration_since(self.started) < NEWCOMER { MOST_OF_NEWCOMER } else { MOST };
        self.seen.len() >= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_newcomer_whose_instance_name_is_taken_gives_up() {
        let start = Instant::now();
        let mut fencings = Fencings::new(start);
        let taken: Vec<bool> = (1..=4).map(|second| fencings.count(start + SECOND * second)).collect();
        assert_eq!(taken, [false, false, false, true]);
    }

    #[test]
    fn a_process_that_was_there_first_outlasts_the_newcomer() {
        let start = Instant::now();
        let mut fencings = Fencings::new(start);
        let taken: Vec<bool> = (1..=7).map(|second| fencings.count(start + NEWCOMER + SECOND * second)).collect();
        assert_eq!(taken, [false, false, false, false, false, false, true]);
    }

    #[test]
    fn fencings_that_are_further_apart_than_the_window_never_add_up() {
        let start = Instant::now();
        let mut fencings = Fencings::new(start);
        assert!((1..20).all(|number| !fencings.count(start + WINDOW * number)));
    }
}
