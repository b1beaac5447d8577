//! What may happen to the processes and to what they need.

use tributary_runtime::memory::SimulationRng;

/// A process, or the broker, is paused beyond this, or is missed after this.
pub const SESSION_TIMEOUT_MILLIS: u64 = 6_000;
/// The broker ends a transaction that is older than this (the default of the product).
pub const TRANSACTION_TIMEOUT_MILLIS: u64 = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// kill -9, and a new start.
    Kill,
    /// Paused beyond the session timeout, so that it comes back as a zombie.
    Pause,
    /// All but one paused beyond the transaction timeout, until one has lost its transaction.
    Expire,
    /// Ended in good order, and started again later.
    End,
    /// One more process.
    Add,
    /// A process leaves for good.
    Remove,
    RestartBroker,
    /// The broker stands still beyond the session timeout, its connections open, as a machine does that is moved.
    FreezeBroker,
    RestartRegistry,
    /// All connections to the broker break, and for a while none is taken.
    Cut,
    /// All connections break, but the broker does not hear of it: what was on its way to it arrives later, when the
    /// processes have connected again and repeated it.
    Lose,
    /// What goes to and comes from the broker takes longer for a while.
    Delay,
    /// The disk of the outbox is full for a while.
    FillOutbox,
}

/// What may happen to the position join, each as often as it stands here. A short run meets each kind once, in this
/// order.
pub const OF_JOIN: [Fault; 17] = [
    Fault::RestartBroker,
    Fault::Expire,
    Fault::Kill,
    Fault::Cut,
    Fault::Lose,
    Fault::FreezeBroker,
    Fault::Pause,
    Fault::Add,
    Fault::Delay,
    Fault::End,
    Fault::Remove,
    Fault::Kill,
    Fault::Kill,
    Fault::Pause,
    Fault::Cut,
    Fault::Lose,
    Fault::Delay,
];

/// What may happen to the exchange. In a short run the order puts an export at the full outbox, and new input at the
/// expiry.
pub const OF_EXCHANGE: [Fault; 19] = [
    Fault::Kill,
    Fault::Cut,
    Fault::Lose,
    Fault::RestartBroker,
    Fault::FillOutbox,
    Fault::Expire,
    Fault::FreezeBroker,
    Fault::Pause,
    Fault::RestartRegistry,
    Fault::Add,
    Fault::Delay,
    Fault::End,
    Fault::Remove,
    Fault::Kill,
    Fault::Kill,
    Fault::Pause,
    Fault::Cut,
    Fault::Lose,
    Fault::FillOutbox,
];

/// Which fault is next, and how often each was.
#[derive(Debug)]
pub struct Plan {
    kinds: &'static [Fault],
    injected: Vec<Fault>,
}

impl Plan {
    pub fn new(kinds: &'static [Fault]) -> Self {
        Self { kinds, injected: Vec::new() }
    }

    /// One that has not been yet, or any.
    pub fn next(&self, rng: &mut SimulationRng) -> Fault {
        let missing = self.missing().first().copied();
        missing.unwrap_or_else(|| self.kinds[rng.below(self.kinds.len() as u64) as usize])
    }

    pub fn note(&mut self, fault: Fault) {
        self.injected.push(fault);
    }

    /// Kinds that have not been.
    pub fn missing(&self) -> Vec<Fault> {
        self.kinds.iter().filter(|kind| !self.injected.contains(kind)).copied().collect()
    }

    fn count(&self, fault: Fault) -> usize {
        self.injected.iter().filter(|injected| **injected == fault).count()
    }

    /// The number of faults of each kind.
    pub fn figures(&self) -> String {
        let mut kinds = self.kinds.to_vec();
        kinds.sort_unstable();
        kinds.dedup();
        let counts: Vec<String> = kinds.iter().map(|kind| format!("{kind:?} {}", self.count(*kind))).collect();
        format!("{} faults ({})", self.injected.len(), counts.join(", "))
    }
}
