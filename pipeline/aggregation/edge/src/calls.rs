//! The last entries of the audit, by the correlation id of their question.

use std::collections::{HashMap, VecDeque};

use tributary_schemas::records::aggregation::Call;

/// Entries that a process can be asked for. Older ones are in the topic `aggregation.call`.
const MOST: usize = 100_000;

/// Entries of a partition that a process reads when it starts.
const FIRST_READ: i64 = 20_000;

/// The entries.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// From the oldest to the newest.
    entries: VecDeque<Call>,
    /// How many entries were dropped before the first of `entries`.
    dropped: u64,
    /// The numbers of the entries of a correlation id, in order.
    by_correlation: HashMap<String, Vec<u64>>,
}

impl Calls {
    /// From where a partition with this end is read when a process starts.
    pub(crate) fn first_of_interest(end: i64) -> i64 {
        (end - FIRST_READ).max(0)
    }

    /// Takes in an entry. The oldest one makes place for it.
    pub(crate) fn take(&mut self, call: Call) {
        if self.entries.len() == MOST
            && let Some(oldest) = self.entries.pop_front()
        {
            self.drop_number(&oldest.correlation);
        }
        let number = self.dropped + self.entries.len() as u64;
        self.by_correlation.entry(call.correlation.clone()).or_default().push(number);
        self.entries.push_back(call);
    }

    fn drop_number(&mut self, correlation: &str) {
        if let Some(numbers) = self.by_correlation.get_mut(correlation) {
            numbers.retain(|number| *number != self.dropped);
            if numbers.is_empty() {
                self.by_correlation.remove(correlation);
            }
        }
        self.dropped += 1;
    }

    /// The entries of a correlation id, in the order of their ends.
    pub(crate) fn of(&self, correlation: &str) -> Vec<&Call> {
        let numbers = self.by_correlation.get(correlation).map(Vec::as_slice).unwrap_or_default();
        numbers.iter().filter_map(|number| self.entries.get((number - self.dropped) as usize)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tributary_schemas::records::aggregation::CallOutcome;

    fn call(correlation: &str, time: i64) -> Call {
        Call {
            time,
            service: "s".to_owned(),
            correlation: correlation.to_owned(),
            sender: "a".to_owned(),
            original_consumer: "b".to_owned(),
            patient: String::new(),
            outcome: CallOutcome::Answered,
            addresses: Vec::new(),
            filtered: Vec::new(),
        }
    }

    fn times(calls: &Calls, correlation: &str) -> Vec<i64> {
        calls.of(correlation).iter().map(|call| call.time).collect()
    }

    #[test]
    fn entries_are_found_by_correlation_until_newer_ones_take_their_place() {
        let mut calls = Calls::default();
        for time in 0..3 {
            calls.take(call("a", time));
        }
        calls.take(call("b", 3));
        assert_eq!((times(&calls, "a"), times(&calls, "b"), times(&calls, "c")), (vec![0, 1, 2], vec![3], vec![]));
        for number in 0..MOST as i64 - 3 {
            calls.take(call(&number.to_string(), number));
        }
        assert_eq!((times(&calls, "a"), times(&calls, "b")), (vec![1, 2], vec![3]));
        assert_eq!((calls.entries.len(), times(&calls, "7")), (MOST, vec![7]));
    }
}
