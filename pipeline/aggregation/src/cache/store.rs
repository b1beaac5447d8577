//! The port behind which entries are kept.

use super::entry::Entry;
use super::key::CacheKey;

/// What becomes of an entry that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is as it was.
    Same,
    /// It was changed: a store that outlives the process writes it again.
    Changed,
    /// It ends: a store that outlives the process writes that down.
    Ends,
}

/// Where entries are kept. Writers come one at a time, readers at any time. An entry may go at any time, to make space.
pub(crate) trait CacheStore: Send + Sync {
    /// The entry of a question.
    fn get(&self, key: &CacheKey) -> Option<Entry>;

    /// Keeps an entry in the place of an older one. If it is too large, neither is kept.
    fn put(&self, key: CacheKey, entry: Entry);

    /// Goes through all entries.
    fn revise(&self, revision: &mut dyn FnMut(&mut Entry) -> Fate);

    /// How many entries there are.
    fn count(&self) -> u64;
}
