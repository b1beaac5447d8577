//! What the partitions of the own index say of themselves.

use std::collections::BTreeMap;

use tributary_schemas::records::aggregation::IndexState;

/// The newest state of each partition that has said something.
#[derive(Debug, Default)]
pub(crate) struct IndexStates(BTreeMap<i32, IndexState>);

impl IndexStates {
    pub(crate) fn take(&mut self, state: IndexState) {
        self.0.insert(state.partition, state);
    }

    /// Whether the write lock is closed in at least one partition. One that has said nothing is open.
    pub(crate) fn is_locked(&self) -> bool {
        self.0.values().any(|state| state.locked)
    }

    /// Whether the write lock is closed, or open, in each of so many partitions.
    pub(crate) fn all_are(&self, locked: bool, partitions: i32) -> bool {
        (0..partitions).all(|partition| self.0.get(&partition).is_some_and(|state| state.locked) == locked)
    }

    /// The transactions that wait for the end of the lock.
    pub(crate) fn waiting(&self) -> i64 {
        self.0.values().map(|state| state.waiting).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_locked_while_one_partition_is() {
        let mut states = IndexStates::default();
        assert!(!states.is_locked() && states.all_are(false, 2) && !states.all_are(true, 2));
        states.take(IndexState { partition: 0, locked: true, waiting: 3 });
        assert!(states.is_locked() && !states.all_are(true, 2) && !states.all_are(false, 2));
        states.take(IndexState { partition: 1, locked: true, waiting: 4 });
        assert!(states.all_are(true, 2));
        assert_eq!(states.waiting(), 7);
        states.take(IndexState { partition: 0, locked: false, waiting: 0 });
        assert_eq!(states.waiting(), 4);
    }
}
