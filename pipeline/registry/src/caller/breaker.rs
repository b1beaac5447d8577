//! The breaker of a kind (R 7): after technical errors in a row no call is made for a while, then one tries.

/// What a breaker does, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls are made.
    Closed,
    /// None is made.
    Open,
    /// One tries.
    HalfOpen,
}

/// The breaker. Times are in milliseconds since 1970.
#[derive(Debug)]
pub struct Breaker {
    /// Technical errors in a row that open it. 0: none do.
    failures: u32,
    pause: i64,
    /// Technical errors in a row so far.
    seen: u32,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    OpenUntil(i64),
    Trying,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(failures: u32, pause: i64) -> Self {
        Self { failures, pause, seen: 0, phase: Phase::Closed }
    }

    /// Whether a call may begin.
    pub fn allows(&self, now: i64) -> bool {
        match self.phase {
            Phase::Closed => true,
            // A clock that was set back does not prolong the pause.
            Phase::OpenUntil(until) => now >= until || until - now > self.pause,
            Phase::Trying => false,
        }
    }

    /// A call begins that it allows. Returns whether this is the one that tries.
    pub fn begin(&mut self, now: i64) -> bool {
        let is_trial = matches!(self.phase, Phase::OpenUntil(_)) && self.allows(now);
        if is_trial {
            self.phase = Phase::Trying;
        }
        is_trial
    }

    /// A call has ended. Any answer that is no technical error closes the breaker.
    pub fn ended(&mut self, is_technical: bool, now: i64) {
        if !is_technical {
            self.seen = 0;
            self.phase = Phase::Closed;
            return;
        }
        self.seen = self.seen.saturating_add(1);
        let opens = match self.phase {
            Phase::Closed => self.failures > 0 && self.seen >= self.failures,
            Phase::Trying => true,
            // A call from before the pause does not prolong it.
            Phase::OpenUntil(_) => false,
        };
        if opens {
            self.phase = Phase::OpenUntil(now.saturating_add(self.pause));
        }
    }

    /// The call that tries has come to nothing on our side: another one tries.
    pub fn abandoned(&mut self, now: i64) {
        if self.phase == Phase::Trying {
            self.phase = Phase::OpenUntil(now);
        }
    }

    /// Until when no call is made.
    pub fn opens_until(&self) -> Option<i64> {
        match self.phase {
            Phase::OpenUntil(until) => Some(until),
            Phase::Closed | Phase::Trying => None,
        }
    }

    /// What it does, as it is shown.
    pub fn state(&self) -> BreakerState {
        match self.phase {
            Phase::Closed => BreakerState::Closed,
            Phase::OpenUntil(_) => BreakerState::Open,
            Phase::Trying => BreakerState::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A breaker that was opened at the time 0, for 30 seconds.
    fn opened() -> Breaker {
        let mut breaker = Breaker::new(5, 30_000);
        (0..5).for_each(|_| breaker.ended(true, 0));
        breaker
    }

    #[test]
    fn technical_errors_in_a_row_open_it_for_the_pause() {
        let mut breaker = Breaker::new(5, 30_000);
        (0..4).for_each(|_| breaker.ended(true, 0));
        breaker.ended(false, 0);
        (0..4).for_each(|_| breaker.ended(true, 0));
        assert!(breaker.allows(0), "they were not in a row");
        breaker.ended(true, 1);
        assert_eq!((breaker.state(), breaker.opens_until()), (BreakerState::Open, Some(30_001)));
        assert!(!breaker.allows(30_000) && breaker.allows(30_001));
    }

    #[test]
    fn after_the_pause_one_call_tries() {
        let mut breaker = opened();
        assert!(breaker.begin(30_000), "this one");
        assert_eq!((breaker.state(), breaker.allows(90_000)), (BreakerState::HalfOpen, false));
        breaker.ended(true, 40_000);
        assert_eq!(breaker.opens_until(), Some(70_000), "again for the whole pause");
        breaker.begin(70_000);
        breaker.ended(false, 70_001);
        assert!(breaker.allows(70_001) && !breaker.begin(70_001));
        breaker.ended(true, 70_002);
        assert_eq!(breaker.state(), BreakerState::Closed, "it counts from the beginning");
    }

    #[test]
    fn a_trial_that_was_not_made_leaves_its_place_to_another() {
        let mut breaker = opened();
        breaker.begin(30_000);
        breaker.abandoned(30_001);
        assert!(breaker.allows(30_001) && breaker.begin(30_001));
    }

    #[test]
    fn late_answers_do_not_prolong_the_pause_and_a_good_one_ends_it() {
        let mut breaker = opened();
        breaker.ended(true, 20_000);
        assert_eq!(breaker.opens_until(), Some(30_000));
        breaker.ended(false, 20_001);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_limit_of_0_never_opens_it() {
        let mut breaker = Breaker::new(0, 30_000);
        (0..100).for_each(|_| breaker.ended(true, 0));
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
}
