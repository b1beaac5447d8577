//! The pure part of the caller of one kind: which calls are open, which one may begin now, and what becomes of those
//! that have ended. The edge reads the topics, does the calls, and tells the time.
//!
//! A call is made at least once. It reads, so a repeat only adds to the register's record of accesses (R 12). After a
//! restart only calls without a committed outcome are open.

mod breaker;
mod records;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use tributary_schemas::records::registry::Call;
use tributary_schemas::types::registry::RunId;

use crate::configuration::CallSettings;
use crate::row_key::RowKey;

pub use breaker::{Breaker, BreakerState};
pub use records::{answer_of, number_of};

/// The calls of one kind in one process.
#[derive(Debug)]
pub struct Caller {
    settings: CallSettings,
    is_paused: bool,
    breaker: Breaker,
    /// The open calls as the topic has them.
    open: BTreeMap<RowKey, OpenCall>,
    /// Calls that have not begun, in the order in which they came.
    waiting: BTreeMap<u64, RowKey>,
    /// Calls that are under way. One that was replaced is left to its time-out.
    in_flight: BTreeSet<CallName>,
    /// The call that tries whether the register is back.
    trial: Option<CallName>,
    next: u64,
}

/// A call by its row, its run and its number in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallName {
    /// Its row.
    pub row: RowKey,
    /// Its run.
    pub run: RunId,
    /// Which call of the run it is.
    pub attempt: i32,
}

#[derive(Debug)]
struct OpenCall {
    call: Call,
    partition: i32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It has not begun. The number is its place.
    Waiting(u64),
    /// It has begun, or its answer is on the way to the log.
    Begun,
}

impl Caller {
    /// A caller without calls.
    pub fn new(settings: CallSettings) -> Self {
        Self {
            breaker: Breaker::new(settings.breaker_failures, settings.breaker_pause),
            settings,
            is_paused: false,
            open: BTreeMap::new(),
            waiting: BTreeMap::new(),
            in_flight: BTreeSet::new(),
            trial: None,
            next: 0,
        }
    }

    /// A record of the topic of calls, as committed: a call, or the end of one.
    pub fn note(&mut self, row: RowKey, partition: i32, call: Option<Call>) {
        let Some(call) = call else {
            self.drop_open(row);
            return;
        };
        if let Some(known) = self.open.get_mut(&row)
            && (known.call.run_id, known.call.attempt) == (call.run_id, call.attempt)
        {
            // The same call once more: its number may be sealed with another key.
            known.call = call;
            known.partition = partition;
            return;
        }
        self.drop_open(row);
        let state = State::Waiting(self.next);
        self.waiting.insert(self.next, row);
        self.next += 1;
        self.open.insert(row, OpenCall { call, partition, state });
    }

    /// Another process makes the calls of a partition from now on. Those under way are left to their end.
    pub fn forget(&mut self, partition: i32) {
        let lost: Vec<RowKey> =
            self.open.iter().filter(|(_, open)| open.partition == partition).map(|(row, _)| *row).collect();
        for row in lost {
            self.drop_open(row);
        }
    }

    fn drop_open(&mut self, row: RowKey) {
        if let Some(OpenCall { state: State::Waiting(place), .. }) = self.open.remove(&row) {
            self.waiting.remove(&place);
        }
    }

    /// Makes no call, or calls again. Calls under way are left to their end.
    pub fn pause(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
    }

    /// The next call that may begin, which has then begun. `None` while there is none, or the limit, the breaker or a
    /// pause forbids it: that is no attempt. A call whose run is over does not begin. `now` is in milliseconds since
    /// 1970.
    pub fn begin(&mut self, now: i64) -> Option<(CallName, Call)> {
        if self.is_paused || self.in_flight.len() >= self.settings.max_in_flight {
            return None;
        }
        // One whose run is over stays where it is: the clock may be wrong, and set right again.
        while let Some((place, row)) = self.first_live(now) {
            if !self.breaker.allows(now) {
                return None;
            }
            self.waiting.remove(&place);
            let Some(open) = self.open.get_mut(&row) else { continue };
            open.state = State::Begun;
            let call = open.call.clone();
            let name = CallName { row, run: call.run_id, attempt: call.attempt };
            // Its partition was lost and has come back while it was under way.
            if !self.in_flight.insert(name) {
                continue;
            }
            if self.breaker.begin(now) {
                self.trial = Some(name);
            }
            return Some((name, call));
        }
        None
    }

    fn first_live(&self, now: i64) -> Option<(u64, RowKey)> {
        let is_live = |row: &RowKey| self.open.get(row).is_some_and(|open| open.call.deadline_at > now);
        self.waiting.iter().find(|(_, row)| is_live(row)).map(|(place, row)| (*place, *row))
    }

    /// Whether the topic still has this call as open, in a partition whose calls are made here.
    pub fn is_open(&self, name: CallName) -> bool {
        let open = self.open.get(&name.row);
        open.is_some_and(|open| (open.call.run_id, open.call.attempt) == (name.run, name.attempt))
    }

    /// A call has ended, and its answer is on the way to the log. `is_technical`: whether it speaks against the way to
    /// the register.
    pub fn ended(&mut self, name: CallName, is_technical: bool, now: i64) {
        if self.in_flight.remove(&name) {
            self.trial.take_if(|trial| *trial == name);
            self.breaker.ended(is_technical, now);
        }
    }

    /// A call has come to nothing on our side: its answer did not reach the log. It is made again, unless it is not
    /// open any more.
    pub fn failed_here(&mut self, name: CallName, now: i64) {
        self.in_flight.remove(&name);
        if self.trial.take_if(|trial| *trial == name).is_some() {
            self.breaker.abandoned(now);
        }
        let Some(open) = self.open.get_mut(&name.row) else { return };
        if (open.call.run_id, open.call.attempt) == (name.run, name.attempt) && open.state == State::Begun {
            open.state = State::Waiting(self.next);
            self.waiting.insert(self.next, name.row);
            self.next += 1;
        }
    }

    /// When to look again although nothing has come: the end of the breaker's pause. `None`: not before something
    /// comes.
    pub fn wakes_at(&self) -> Option<i64> {
        if self.waiting.is_empty() || self.is_paused { None } else { self.breaker.opens_until() }
    }

    /// Calls under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Calls that have not begun.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether the way to the register is open.
    pub fn breaker(&self) -> BreakerState {
        self.breaker.state()
    }
}
