//! Limits of each address: calls in flight, calls that wait, and a breaker for one that cannot be reached.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How many addresses are kept. Beyond, those without anything to remember are forgotten.
const MOST_ADDRESSES: usize = 20_000;

/// The limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceLimits {
    /// How many calls may be in flight.
    pub in_flight: usize,
    /// How many more may wait.
    pub waiting: usize,
    /// After how many calls in a row that did not reach it calls fail at once. 0: never.
    pub breaker_failures: u32,
    /// For how long.
    pub breaker_open: Duration,
}

impl Default for PlaceLimits {
    fn default() -> Self {
        Self { in_flight: 20, waiting: 200, breaker_failures: 20, breaker_open: Duration::from_secs(10) }
    }
}

/// Why a call is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too many wait already.
    #[error("{0} calls to this address wait already")]
    Full(usize),
    /// The breaker is open.
    #[error("the last calls did not reach this address, and the next is tried later")]
    Open,
}

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls are made.
    Closed,
    /// Calls fail at once.
    Open,
    /// One call tries.
    HalfOpen,
}

impl BreakerState {
    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// What is known of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceStatus {
    /// The address.
    pub address: String,
    /// Its breaker.
    pub state: BreakerState,
    /// Calls in flight.
    pub in_flight: usize,
    /// Calls that wait.
    pub waiting: usize,
    /// Calls so far.
    pub calls: u64,
    /// Calls that failed, refused ones included.
    pub failures: u64,
}

/// The places of all addresses.
#[derive(Debug)]
pub struct Places {
    limits: PlaceLimits,
    places: Mutex<BTreeMap<String, Arc<Place>>>,
}

#[derive(Debug)]
struct Place {
    free: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    waiting: usize,
    in_flight: usize,
    calls: u64,
    failures: u64,
}

#[derive(Clone, Copy, Debug)]
enum Breaker {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen,
}

impl Places {
    /// No address is known yet.
    pub fn new(limits: PlaceLimits) -> Self {
        Self { limits, places: Mutex::default() }
    }

    /// Waits for a free place at an address. If the wait is dropped, the place in the queue is free again.
    ///
    /// # Errors
    /// [`Refusal`] if too many wait, or the breaker is open.
    pub(crate) async fn enter(&self, address: &str) -> Result<Entry, Refusal> {
        let place = self.place(address);
        let permit = if let Ok(permit) = place.free.clone().try_acquire_owned() {
            permit
        } else {
            let _waits = Waits::begin(&place, self.limits.waiting)?;
            // The semaphore is never closed.
            place.free.clone().acquire_owned().await.map_err(|_| Refusal::Full(0))?
        };
        let is_trial = locked(&place.state).admit()?;
        Ok(Entry { place, limits: self.limits, is_trial, finished: false, _permit: permit })
    }

    fn place(&self, address: &str) -> Arc<Place> {
        let mut places = locked(&self.places);
        if let Some(place) = places.get(address) {
            return place.clone();
        }
        if places.len() >= MOST_ADDRESSES {
            places.retain(|_, place| Arc::strong_count(place) > 1 || !locked(&place.state).is_idle());
        }
        let breaker = Breaker::Closed { failures: 0 };
        let state = State { breaker, waiting: 0, in_flight: 0, calls: 0, failures: 0 };
        let free = Arc::new(Semaphore::new(self.limits.in_flight.clamp(1, Semaphore::MAX_PERMITS)));
        let place = Arc::new(Place { free, state: Mutex::new(state) });
        places.insert(address.to_owned(), place.clone());
        place
    }

    /// What is known of each address, by address.
    pub fn statuses(&self) -> Vec<PlaceStatus> {
        let places = locked(&self.places);
        let status = |(address, place): (&String, &Arc<Place>)| {
            let state = locked(&place.state);
            PlaceStatus {
                address: address.clone(),
                state: state.breaker.state(),
                in_flight: state.in_flight,
                waiting: state.waiting,
                calls: state.calls,
                failures: state.failures,
            }
        };
        places.iter().map(status).collect()
    }
}

impl Breaker {
    fn state(self) -> BreakerState {
        match self {
            Self::Closed { .. } => BreakerState::Closed,
            Self::Open { .. } => BreakerState::Open,
            Self::HalfOpen => BreakerState::HalfOpen,
        }
    }
}

impl State {
    /// Whether nothing is under way, and nothing speaks against the address.
    fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.waiting == 0 && matches!(self.breaker, Breaker::Closed { failures: 0 })
    }

    /// Admits a call. True if it is the one that tries.
    fn admit(&mut self) -> Result<bool, Refusal> {
        self.calls += 1;
        let is_trial = match self.breaker {
            Breaker::Closed { .. } => false,
            Breaker::Open { until } if until <= Instant::now() => {
                self.breaker = Breaker::HalfOpen;
                true
            }
            Breaker::Open { .. } | Breaker::HalfOpen => {
                self.failures += 1;
                return Err(Refusal::Open);
            }
        };
        self.in_flight += 1;
        Ok(is_trial)
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It was answered.
    Answered,
    /// It failed after the address was reached.
    Failed,
    /// A time-out, or a refused connection.
    Unreached,
}

/// A call in flight.
#[derive(Debug)]
pub(crate) struct Entry {
    place: Arc<Place>,
    limits: PlaceLimits,
    is_trial: bool,
    finished: bool,
    _permit: OwnedSemaphorePermit,
}

impl Entry {
    /// Ends the call.
    pub(crate) fn finish(mut self, ending: Ending) {
        self.finished = true;
        let mut state = locked(&self.place.state);
        if ending != Ending::Answered {
            state.failures += 1;
        }
        state.breaker = match (ending, state.breaker) {
            (Ending::Answered | Ending::Failed, Breaker::Open { until }) if !self.is_trial => Breaker::Open { until },
            (Ending::Answered | Ending::Failed, Breaker::HalfOpen) if !self.is_trial => Breaker::HalfOpen,
            (Ending::Answered | Ending::Failed, _) => Breaker::Closed { failures: 0 },
            (Ending::Unreached, Breaker::Closed { failures }) => {
                let failures = failures.saturating_add(1);
                let opens = self.limits.breaker_failures > 0 && failures >= self.limits.breaker_failures;
                if opens { self.opened() } else { Breaker::Closed { failures } }
            }
            (Ending::Unreached, Breaker::HalfOpen) if self.is_trial => self.opened(),
            (Ending::Unreached, other) => other,
        };
    }

    fn opened(&self) -> Breaker {
        Breaker::Open { until: Instant::now() + self.limits.breaker_open }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut state = locked(&self.place.state);
        state.in_flight -= 1;
        // A trial that was cancelled has found out nothing, so the next call tries.
        if self.is_trial && !self.finished {
            state.breaker = Breaker::Open { until: Instant::now() };
        }
    }
}

/// A call that waits.
struct Waits<'p>(&'p Place);

impl<'p> Waits<'p> {
    fn begin(place: &'p Place, most: usize) -> Result<Self, Refusal> {
        let mut state = locked(&place.state);
        let refusal = match state.breaker {
            Breaker::Open { until } if until > Instant::now() => Some(Refusal::Open),
            _ if state.waiting >= most => Some(Refusal::Full(most)),
            _ => None,
        };
        if let Some(refusal) = refusal {
            state.calls += 1;
            state.failures += 1;
            return Err(refusal);
        }
        state.waiting += 1;
        Ok(Self(place))
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        locked(&self.0.state).waiting -= 1;
    }
}

/// No code panics while it holds one of these locks, and the counts are right at every moment.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_without_anything_to_remember_are_forgotten() {
        let places = Places::new(PlaceLimits::default());
        places.enter("bad").await.unwrap().finish(Ending::Unreached);
        let busy = places.enter("busy").await.unwrap();
        for number in 0..MOST_ADDRESSES {
            places.enter(&number.to_string()).await.unwrap().finish(Ending::Answered);
        }
        let known: Vec<_> = places.statuses().into_iter().map(|place| place.address).collect();
        assert!(
            known.len() < 10 && known.contains(&"bad".to_owned()) && known.contains(&"busy".to_owned()),
            "{known:?}"
        );
        busy.finish(Ending::Answered);
    }
}
