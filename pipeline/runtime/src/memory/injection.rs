//! Where the broker asks whether a fault happens now. Without the feature `faults` none ever does, and the
//! questions cost nothing.

#[cfg(not(any(test, feature = "faults")))]
pub(super) use absent::Injection;
#[cfg(any(test, feature = "faults"))]
pub(super) use present::Injection;

/// A fault that may happen at the place in the code that asks for it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    CrashBeforeCommit,
    CrashDuringCommit,
    CrashAfterCommit,
    CrashInPoll,
    Abort,
    Fence,
    Rebalance,
    Expel,
    Redeliver,
    Delay,
    SlowCommit,
    FewRecords,
}

#[cfg(any(test, feature = "faults"))]
mod present {
    use super::Fault;
    use crate::memory::faults::{Faults, SimulationRng};

    /// Decides which faults happen.
    #[derive(Debug)]
    pub(in crate::memory) struct Injection {
        pub(in crate::memory) faults: Option<Faults>,
        rng: SimulationRng,
        /// How many moments have passed at which a process could die.
        pub(in crate::memory) moments: u64,
        /// What happened at the moment at which one died.
        pub(in crate::memory) death: Option<String>,
    }

    impl Injection {
        pub(in crate::memory) fn new(faults: Option<Faults>) -> Self {
            let rng = SimulationRng::new(faults.map_or(0, |faults| faults.seed));
            Self { faults, rng, moments: 0, death: None }
        }

        pub(in crate::memory) fn is_active(&self) -> bool {
            self.faults.is_some()
        }

        pub(in crate::memory) fn happens(&mut self, fault: Fault) -> bool {
            self.faults.is_some_and(|faults| self.rng.chance(faults.probability(fault)))
        }

        /// A moment has come, which `what` describes: whether the process that asks dies at it.
        pub(in crate::memory) fn dies(&mut self, what: impl FnOnce() -> String) -> bool {
            let Some(faults) = self.faults else { return false };
            self.moments += 1;
            let dies = faults.die_at == Some(self.moments);
            if dies {
                self.death = Some(what());
            }
            dies
        }

        /// What is left to chance: true with this probability.
        pub(in crate::memory) fn chance(&mut self, probability: f64) -> bool {
            self.rng.chance(probability)
        }

        /// A number below `bound`.
        pub(in crate::memory) fn below(&mut self, bound: u64) -> u64 {
            self.rng.below(bound)
        }
    }
}

#[cfg(not(any(test, feature = "faults")))]
mod absent {
    use super::Fault;

    /// Nothing ever happens.
    #[derive(Debug)]
    pub(in crate::memory) struct Injection;

    #[expect(clippy::unused_self, reason = "the same calls as those of the injection that is present")]
    impl Injection {
        pub(in crate::memory) fn is_active(&self) -> bool {
            false
        }

        pub(in crate::memory) fn happens(&mut self, _: Fault) -> bool {
            false
        }

        pub(in crate::memory) fn dies(&mut self, _: impl FnOnce() -> String) -> bool {
            false
        }

        pub(in crate::memory) fn chance(&mut self, _: f64) -> bool {
            false
        }

        pub(in crate::memory) fn below(&mut self, _: u64) -> u64 {
            0
        }
    }
}
