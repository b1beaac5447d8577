//! The limit of calls: over all, and for one origin and one caller, so that a slow origin or a slow caller takes no
//! place from the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Whom a call counts for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Party {
    All,
    Origin(String),
    Caller(String),
}

/// The calls in work.
#[derive(Debug)]
pub(super) struct Calls {
    counts: Mutex<HashMap<Party, usize>>,
    most: usize,
    most_of_one: usize,
}

/// A call in work. The drop frees its place.
#[derive(Debug)]
pub(super) struct Call {
    calls: Arc<Calls>,
    parties: [Party; 3],
}

impl Calls {
    pub(super) fn new(most: usize, most_of_one: usize) -> Self {
        Self { counts: Mutex::default(), most, most_of_one }
    }

    /// A place for a call. `None` if there is none.
    pub(super) fn begin(self: &Arc<Self>, origin: &str, caller: &str) -> Option<Call> {
        let parties = [Party::All, Party::Origin(origin.to_owned()), Party::Caller(caller.to_owned())];
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let most = |party: &Party| if *party == Party::All { self.most } else { self.most_of_one };
        if parties.iter().any(|party| counts.get(party).is_some_and(|count| *count >= most(party))) {
            return None;
        }
        for party in &parties {
            *counts.entry(party.clone()).or_default() += 1;
        }
        Some(Call { calls: Arc::clone(self), parties })
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut counts = self.calls.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for party in &self.parties {
            if let Some(count) = counts.get_mut(party) {
                *count = count.saturating_sub(1);
            }
        }
        // A party without calls is forgotten, so the map is no larger than the calls.
        counts.retain(|_, count| *count > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_limited_for_each_origin_for_each_caller_and_over_all() {
        let calls = Arc::new(Calls::new(3, 2));
        let first = calls.begin("esdh-a", "journal-1");
        let second = calls.begin("esdh-a", "journal-2");
        assert!(first.is_some() && second.is_some());
        assert!(calls.begin("esdh-a", "journal-3").is_none());
        let third = calls.begin("esdh-b", "journal-1");
        assert!(third.is_some());
        assert!(calls.begin("esdh-c", "journal-3").is_none());
        drop(second);
        assert!(calls.begin("esdh-c", "journal-1").is_none());
        assert!(calls.begin("esdh-a", "journal-3").is_some());
        drop((first, third));
        assert!(calls.counts.lock().unwrap().is_empty());
    }
}
