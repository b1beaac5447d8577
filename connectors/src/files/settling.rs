//! Decides when a file that others write is complete: its size and modification time have not changed for the settling
//! time (D10).

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use super::FileEntry;

/// Follows the listings of one folder.
#[derive(Debug)]
pub struct Settling {
    time: Duration,
    seen: HashMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    size: u64,
    modified: SystemTime,
    since: Instant,
}

impl Settling {
    /// Files settle after `time`. If `time` is zero, they settle at once.
    pub fn new(time: Duration) -> Self {
        Self { time, seen: HashMap::new() }
    }

    /// The files of a listing made at `now` that did not change during the settling time.
    pub fn settled<'a>(&mut self, listing: &'a [FileEntry], now: Instant) -> Vec<&'a FileEntry> {
        self.seen.retain(|name, _| listing.iter().any(|entry| entry.name == *name));
        listing.iter().filter(|entry| self.is_settled(entry, now)).collect()
    }

    fn is_settled(&mut self, entry: &FileEntry, now: Instant) -> bool {
        let (size, modified) = (entry.size, entry.modified);
        let seen = self.seen.entry(entry.name.clone()).or_insert(Seen { size, modified, since: now });
        if (seen.size, seen.modified) != (size, modified) {
            *seen = Seen { size, modified, since: now };
        }
        now.duration_since(seen.since) >= self.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, size: u64, modified: u64) -> FileEntry {
        FileEntry { name: name.to_owned(), size, modified: SystemTime::UNIX_EPOCH + Duration::from_secs(modified) }
    }

    #[test]
    fn d10_a_file_settles_when_size_and_time_stay_the_same() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut settling = Settling::new(Duration::from_secs(10));
        assert!(settling.settled(&[entry("a", 1, 1)], at(0)).is_empty());
        assert!(settling.settled(&[entry("a", 2, 1)], at(9)).is_empty(), "it grew");
        assert!(settling.settled(&[entry("a", 2, 2)], at(18)).is_empty(), "it was touched");
        assert!(settling.settled(&[entry("a", 2, 2), entry("b", 1, 1)], at(27)).is_empty());
        assert_eq!(settling.settled(&[entry("a", 2, 2), entry("b", 1, 1)], at(28)).len(), 1);
        assert!(settling.settled(&[entry("b", 1, 1)], at(29)).is_empty(), "a went away");
        assert_eq!(settling.settled(&[entry("a", 2, 2), entry("b", 1, 1)], at(38)), [&entry("b", 1, 1)]);
    }

    #[test]
    fn without_a_settling_time_a_file_counts_at_once() {
        assert_eq!(Settling::new(Duration::ZERO).settled(&[entry("a", 1, 1)], Instant::now()).len(), 1);
    }
}
