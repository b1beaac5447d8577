//! Faults that the memory log injects, decided by a seed.

use super::injection::Fault;

/// Probabilities (0 to 1) of faults, and the seed that decides. The same seed and the same calls give the same faults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Faults {
    /// Decides everything.
    pub seed: u64,
    /// The process dies in `commit`; nothing became visible.
    pub crash_before_commit: f64,
    /// The process dies in `commit`; whether it became visible is decided when the transactional id returns.
    pub crash_during_commit: f64,
    /// The process dies in `commit`; everything became visible.
    pub crash_after_commit: f64,
    /// The process dies in `poll`.
    pub crash_in_poll: f64,
    /// `send` or `commit` returns that the transaction must be aborted.
    pub abort: f64,
    /// Another producer takes over the transactional id.
    pub fence: f64,
    /// Partitions move between the members of a group.
    pub rebalance: f64,
    /// A member is expelled from the group and loses its partitions.
    pub expel: f64,
    /// Records delivered since the last commit are delivered again.
    pub redeliver: f64,
    /// A committed batch becomes visible late in some partitions.
    pub delay: f64,
    /// A commit reaches the broker late, or its response is late.
    pub slow_commit: f64,
    /// A poll returns only one to three records.
    pub few_records: f64,
    /// The process dies at this moment and at no other. [`super::Broker::moments`] counts them from 1: each change at
    /// the broker, and each response that changes something in a process.
    pub die_at: Option<u64>,
}

impl Faults {
    /// No faults.
    pub fn none(seed: u64) -> Self {
        Self {
            seed,
            crash_before_commit: 0.0,
            crash_during_commit: 0.0,
            crash_after_commit: 0.0,
            crash_in_poll: 0.0,
            abort: 0.0,
            fence: 0.0,
            rebalance: 0.0,
            expel: 0.0,
            redeliver: 0.0,
            delay: 0.0,
            slow_commit: 0.0,
            few_records: 0.0,
            die_at: None,
        }
    }

    /// Every kind of fault, often enough for a short run to meet most of them.
    pub fn all(seed: u64) -> Self {
        Self {
            seed,
            crash_before_commit: 0.03,
            crash_during_commit: 0.03,
            crash_after_commit: 0.03,
            crash_in_poll: 0.01,
            abort: 0.05,
            fence: 0.02,
            rebalance: 0.03,
            expel: 0.02,
            redeliver: 0.05,
            delay: 0.2,
            slow_commit: 0.4,
            few_records: 0.4,
            die_at: None,
        }
    }

    pub(super) fn probability(&self, fault: Fault) -> f64 {
        match fault {
            Fault::CrashBeforeCommit => self.crash_before_commit,
            Fault::CrashDuringCommit => self.crash_during_commit,
            Fault::CrashAfterCommit => self.crash_after_commit,
            Fault::CrashInPoll => self.crash_in_poll,
            Fault::Abort => self.abort,
            Fault::Fence => self.fence,
            Fault::Rebalance => self.rebalance,
            Fault::Expel => self.expel,
            Fault::Redeliver => self.redeliver,
            Fault::Delay => self.delay,
            Fault::SlowCommit => self.slow_commit,
            Fault::FewRecords => self.few_records,
        }
    }
}

/// A small random number generator (splitmix64), so that a seed means the same on every machine.
#[derive(Debug, Clone)]
pub struct SimulationRng(u64);

impl SimulationRng {
    /// Starts from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound.max(1)
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && ((self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64) < probability
    }
}
