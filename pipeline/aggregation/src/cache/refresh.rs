//! From an entry that does not answer as it is, and a new answer of the index, to a whole answer: which calls are made,
//! and what is served. Without an entry, all calls are made. Nothing here waits or looks at a clock.

use std::collections::HashMap;

use tokio::time::Instant;

use super::entry::{self, CachedPart, Entry, Lifetimes};
use crate::question::Part;
use crate::request_list::Request;

/// A question that is being answered.
#[derive(Debug)]
pub(crate) struct Refresh {
    lifetimes: Lifetimes,
    /// What the cache has, by address. What the index does not name any more is not looked at.
    old: HashMap<String, CachedPart>,
    /// The addresses that have not been called.
    uncalled: Vec<Request>,
    /// What calls have brought, in the order of arrival.
    called: Vec<Part>,
}

impl Refresh {
    /// Begins with an entry, if there is one, and with what the index says now.
    pub(crate) fn new(old: Option<Entry>, requests: Vec<Request>) -> Self {
        let lifetimes = old.as_ref().map(|entry| entry.subject.lifetimes).unwrap_or_default();
        let old = old.map(|entry| entry.parts).unwrap_or_default().into_iter();
        let old = old.map(|part| (part.address.clone(), part)).collect();
        Self { lifetimes, old, uncalled: requests, called: Vec::new() }
    }

    /// The calls that are due: to new addresses, to marked ones, and to those whose part is too old now. A part may
    /// become too old while other calls are under way, so this is asked again after them. Each address is called once.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Request> {
        let (old, lifetimes) = (&self.old, self.lifetimes);
        let is_due = |request: &mut Request| {
            old.get(&request.address).is_none_or(|part| !entry::is_usable(part, lifetimes, now))
        };
        self.uncalled.extract_if(.., is_due).collect()
    }

    /// Takes what calls have brought.
    pub(crate) fn take(&mut self, parts: Vec<Part>) {
        self.called.extend(parts);
    }

    /// All parts, when no call is due: first what the cache had, then what calls have brought. For a call that failed
    /// the old rows are served, unless they are too old.
    pub(crate) fn finish(mut self, now: Instant) -> Vec<Part> {
        let mut cached: Vec<Part> = Vec::new();
        for request in &self.uncalled {
            cached.extend(self.old.remove(&request.address).map(CachedPart::into_part));
        }
        cached.sort_by_key(|part| part.ended);
        for part in self.called {
            let old = self.old.remove(&part.address).filter(|old| entry::has_rows(old, self.lifetimes, now));
            cached.push(match (part.result, old) {
                (Err(failure), Some(old)) => Part { took: part.took, ..old.into_stale_part(part.at, failure) },
                (result, _) => Part { result, ..part },
            });
        }
        cached
    }
}
