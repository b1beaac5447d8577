//! Decides when a file that others write is complete: its size, times and place have not changed for the settling time
//! (D10, D109).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::FileEntry;

/// Follows the listings of one folder. Each file settles by itself.
#[derive(Debug)]
pub struct Settling {
    time: Duration,
    seen: HashMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    entry: FileEntry,
    /// When it was first seen like this.
    since: Instant,
    /// When it was first seen, or first changed after it had settled.
    begun: Instant,
}

impl Settling {
    /// Files settle after `time`. If `time` is zero, they settle at once.
    pub fn new(time: Duration) -> Self {
        Self { time, seen: HashMap::new() }
    }

    /// The files of a listing made at `now`, sorted by name, that did not change during the settling time.
    pub fn settled<'a>(&mut self, listing: &'a [FileEntry], now: Instant) -> Vec<&'a FileEntry> {
        self.seen.retain(|name, _| listing.binary_search_by(|entry| entry.name.cmp(name)).is_ok());
        listing.iter().filter(|entry| self.is_settled(entry, now)).collect()
    }

    /// How long a file of the last listing has been changing at `now`. Zero if it is not listed.
    pub fn changing_for(&self, name: &str, now: Instant) -> Duration {
        self.seen.get(name).map_or(Duration::ZERO, |seen| now.duration_since(seen.begun))
    }

    fn is_settled(&mut self, entry: &FileEntry, now: Instant) -> bool {
        let new = || Seen { entry: entry.clone(), since: now, begun: now };
        let seen = self.seen.entry(entry.name.clone()).or_insert_with(new);
        if seen.entry != *entry {
            let had_settled = now.duration_since(seen.since) >= self.time;
            let begun = if had_settled { now } else { seen.begun };
            *seen = Seen { begun, ..new() };
        }
        now.duration_since(seen.since) >= self.time
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn entry(name: &str, size: u64, modified: u64) -> FileEntry {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(modified);
        FileEntry { name: name.to_owned(), size, modified, changed: modified, inode: 1 }
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
    fn d108_files_settle_side_by_side_and_one_that_keeps_changing_is_known() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut settling = Settling::new(Duration::from_secs(10));
        for second in 0..100 {
            let listing = [entry("a", second, 1), entry("b", 1, 1), entry("c", 1, 1)];
            let settled = settling.settled(&listing, at(second)).len();
            assert_eq!(settled, if second < 10 { 0 } else { 2 }, "after {second} s");
        }
        assert_eq!(settling.changing_for("a", at(99)), Duration::from_secs(99));
        settling.settled(&[entry("a", 99, 1)], at(110));
        settling.settled(&[entry("a", 100, 1)], at(111));
        assert_eq!(settling.changing_for("a", at(112)), Duration::from_secs(1), "it had settled before");
    }

    #[test]
    fn d109_a_change_that_keeps_size_and_time_begins_the_settling_again() {
        let start = Instant::now();
        let mut settling = Settling::new(Duration::from_secs(10));
        let first = entry("a", 1, 1);
        let inode = FileEntry { inode: 2, ..first.clone() };
        let changed = FileEntry { changed: SystemTime::now(), ..inode.clone() };
        for (step, entry) in (0..).zip([first, inode, changed]) {
            assert!(settling.settled(&[entry], start + Duration::from_secs(10 * step)).is_empty());
        }
    }

    #[test]
    fn without_a_settling_time_a_file_counts_at_once() {
        assert_eq!(Settling::new(Duration::ZERO).settled(&[entry("a", 1, 1)], Instant::now()).len(), 1);
    }
}
