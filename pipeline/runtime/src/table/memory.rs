//! Tables in memory, for tests, with faults that a seed decides.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{KeyRange, Table, TableEntry, TableError, TableWrites, Tables};
use crate::memory::SimulationRng;

/// Probabilities (0 to 1) of failed calls, and the seed that decides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TableFaults {
    /// Decides everything.
    pub seed: u64,
    /// A read fails.
    pub read: f64,
    /// A write fails. Half of those that fail are there nevertheless.
    pub write: f64,
}

/// Makes tables in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryTables(Arc<Mutex<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    faults: Option<(TableFaults, SimulationRng)>,
    failed: u64,
}

impl MemoryTables {
    /// Tables whose calls fail from now on.
    pub fn failing(faults: TableFaults) -> Self {
        let tables = Self::default();
        tables.set_faults(Some(faults));
        tables
    }

    /// From now on calls fail with these probabilities, or not at all.
    pub fn set_faults(&self, faults: Option<TableFaults>) {
        self.lock().faults = faults.map(|faults| (faults, SimulationRng::new(faults.seed)));
    }

    /// How many calls have failed.
    pub fn failed(&self) -> u64 {
        self.lock().failed
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails with a probability. Whether the call has an effect nevertheless comes with the error.
    fn call(&self, probability: impl Fn(&TableFaults) -> f64) -> Result<(), (bool, TableError)> {
        let mut shared = self.lock();
        let Some((faults, rng)) = &mut shared.faults else { return Ok(()) };
        let is_failed = rng.chance(probability(faults));
        let has_effect = is_failed && rng.chance(0.5);
        if !is_failed {
            return Ok(());
        }
        shared.failed += 1;
        Err((has_effect, TableError::Unavailable("the table does not answer".to_owned())))
    }
}

impl Tables for MemoryTables {
    fn create(&self, _name: &str) -> Box<dyn Table> {
        Box::new(MemoryTable { entries: Mutex::default(), tables: self.clone() })
    }
}

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

struct MemoryTable {
    entries: Mutex<Entries>,
    tables: MemoryTables,
}

impl MemoryTable {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> Result<MutexGuard<'_, Entries>, TableError> {
        self.tables.call(|faults| faults.read).map_err(|(_, error)| error)?;
        Ok(self.entries())
    }

    fn write(&self, change: impl FnOnce(&mut Entries)) -> Result<(), TableError> {
        let called = self.tables.call(|faults| faults.write);
        if called.as_ref().err().is_none_or(|(has_effect, _)| *has_effect) {
            change(&mut self.entries());
        }
        called.map_err(|(_, error)| error)
    }
}

impl Table for MemoryTable {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TableError> {
        Ok(self.read()?.get(key).cloned())
    }

    fn first(&self, range: KeyRange<'_>, limit: usize) -> Result<Vec<TableEntry>, TableError> {
        let entries = self.read()?;
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let found = entries.range::<[u8], (Bound<&[u8]>, Bound<&[u8]>)>((range.from, range.to));
        Ok(found.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn last(&self, range: KeyRange<'_>, limit: usize) -> Result<Vec<TableEntry>, TableError> {
        let entries = self.read()?;
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let found = entries.range::<[u8], (Bound<&[u8]>, Bound<&[u8]>)>((range.from, range.to));
        Ok(found.rev().take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn apply(&self, writes: &TableWrites) -> Result<(), TableError> {
        self.write(|entries| {
            for (key, value) in writes {
                match value {
                    Some(value) => drop(entries.insert(key.clone(), value.clone())),
                    None => drop(entries.remove(key)),
                }
            }
        })
    }

    fn clear(&self) -> Result<(), TableError> {
        self.write(BTreeMap::clear)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::all_of_tables;

    #[test]
    fn tables_in_memory_conform() {
        all_of_tables(&MemoryTables::default());
    }

    #[test]
    fn half_of_the_failed_writes_are_there() {
        let tables = MemoryTables::failing(TableFaults { seed: 1, read: 0.0, write: 1.0 });
        let table = tables.create("words");
        for number in 0..100_u8 {
            table.apply(&[(vec![number], Some(vec![1]))].into()).unwrap_err();
        }
        let all = KeyRange { from: Bound::Unbounded, to: Bound::Unbounded };
        let there = table.first(all, 1_000).unwrap().len();
        assert!((30..70).contains(&there), "{there}");
        assert_eq!(tables.failed(), 100);
    }
}
