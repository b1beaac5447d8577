//! A budget for the answers that are held, so that many large ones at once cannot take all memory.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a permit stands for, in bytes.
const UNIT: usize = 1024;

/// The budget.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    free: Arc<Semaphore>,
}

impl MemoryBudget {
    /// A budget of so many bytes.
    pub fn new(bytes: usize) -> Self {
        let units = bytes.div_ceil(UNIT).min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(units)) }
    }

    /// A share of nothing, which can grow.
    pub fn share(&self) -> Share {
        Share { free: self.free.clone(), held: None, waits: Arc::default() }
    }

    /// How many bytes are free.
    pub fn free(&self) -> usize {
        self.free.available_permits() * UNIT
    }
}

/// The space of one answer. It is given back when this is dropped.
pub struct Share {
    free: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
    waits: Arc<AtomicBool>,
}

impl fmt::Debug for Share {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Share({} KiB)", self.units())
    }
}

/// Says whether a share waits for space.
#[derive(Clone, Debug)]
pub(crate) struct ShareWaits(Arc<AtomicBool>);

impl ShareWaits {
    /// Whether it waits now.
    pub(crate) fn now(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Share {
    /// How many bytes it holds.
    pub fn bytes(&self) -> usize {
        self.units() * UNIT
    }

    fn units(&self) -> usize {
        self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    /// Waits until this share is at least so many bytes. More than the whole budget never comes: the call's time-out
    /// ends the wait.
    pub async fn grow_to(&mut self, bytes: usize) {
        let missing = bytes.div_ceil(UNIT).saturating_sub(self.units());
        if missing == 0 {
            return;
        }
        let missing = u32::try_from(missing).unwrap_or(u32::MAX);
        self.waits.store(true, Ordering::Relaxed);
        // The semaphore is never closed.
        if let Ok(more) = self.free.clone().acquire_many_owned(missing).await {
            match &mut self.held {
                Some(held) => held.merge(more),
                None => self.held = Some(more),
            }
        }
        self.waits.store(false, Ordering::Relaxed);
    }

    /// Makes this share at least so many bytes, if they are free now. Returns whether it is.
    pub(crate) fn try_grow_to(&mut self, bytes: usize) -> bool {
        let missing = bytes.div_ceil(UNIT).saturating_sub(self.units());
        let more =
            u32::try_from(missing).ok().and_then(|missing| self.free.clone().try_acquire_many_owned(missing).ok());
        match (more, &mut self.held) {
            (Some(more), Some(held)) => held.merge(more),
            (Some(more), held) => *held = Some(more),
            (None, _) => return false,
        }
        true
    }

    /// A view on whether this share waits, which outlives it.
    pub(crate) fn waits(&self) -> ShareWaits {
        ShareWaits(self.waits.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_share_waits_until_another_is_given_back() {
        let budget = MemoryBudget::new(10 * UNIT);
        let mut first = budget.share();
        first.grow_to(1).await;
        first.grow_to(8 * UNIT).await;
        assert_eq!(budget.free(), 2 * UNIT);
        let mut second = budget.share();
        let waits = second.waits();
        let waiting = tokio::spawn(async move { second.grow_to(3 * UNIT).await });
        tokio::task::yield_now().await;
        assert!(waits.now());
        drop(first);
        waiting.await.unwrap();
        assert!(!waits.now());
        assert_eq!(budget.free(), 10 * UNIT);
    }

    #[tokio::test]
    async fn a_share_can_take_what_is_free_without_a_wait() {
        let budget = MemoryBudget::new(10 * UNIT);
        let mut share = budget.share();
        assert!(share.try_grow_to(4 * UNIT) && share.try_grow_to(UNIT) && share.try_grow_to(9 * UNIT));
        assert_eq!((share.bytes(), budget.free()), (9 * UNIT, UNIT));
        assert!(!share.try_grow_to(11 * UNIT));
        assert_eq!((share.bytes(), budget.free()), (9 * UNIT, UNIT));
    }
}
