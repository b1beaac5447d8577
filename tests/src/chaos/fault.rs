//! What may happen to the processes and to what they need.

use tributary_runtime::memory::SimulationRng;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// kill -9, and a restart.
    Kill,
    /// Paused beyond the session timeout, so that it returns as a zombie.
    Pause,
    /// All but one paused beyond the transaction timeout, until one has lost its transaction.
    Expire,
    /// Ended in good order, and started again later.
    End,
    /// One more process.
    Add,
    /// A process leaves for good.
    Remove,
    /// kill -9 of the broker, and a restart.
    RestartBroker,
    /// The broker freezes beyond the session timeout, its connections open, as a machine does that is moved.
    FreezeBroker,
    /// kill -9 of the registry, and a restart.
    RestartRegistry,
    /// All connections to the broker break, and for a while none is accepted.
    Cut,
    /// All connections break, but the broker does not notice: what was in flight to it arrives later, when the
    /// processes have connected again and repeated it.
    Lose,
    /// What goes to and comes from the broker takes longer for a while.
    Delay,
    /// The disk of the subject is full for a while.
    FillDisk,
}

/// What may happen to any flow on Kafka. A short run injects each kind once, in this order.
pub const OF_EVERY_FLOW: [Fault; 7] =
    [Fault::Kill, Fault::Cut, Fault::Pause, Fault::RestartBroker, Fault::Add, Fault::Remove, Fault::End];

/// Which fault is next, and how often each was.
#[derive(Debug)]
pub struct Plan {
    kinds: &'static [Fault],
    injected: Vec<Fault>,
}

impl Plan {
    /// A plan of these kinds, each as often as it is listed. Each is injected once, in this order, before any repeats.
    pub fn new(kinds: &'static [Fault]) -> Self {
        Self { kinds, injected: Vec::new() }
    }

    /// A kind that has not been injected yet, or any.
    pub(super) fn next(&self, rng: &mut SimulationRng) -> Fault {
        let missing = self.missing().first().copied();
        missing.unwrap_or_else(|| self.kinds[rng.below(self.kinds.len() as u64) as usize])
    }

    pub(super) fn note(&mut self, fault: Fault) {
        self.injected.push(fault);
    }

    /// Kinds that have not been injected.
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
