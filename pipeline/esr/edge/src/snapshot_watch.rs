//! When the service loads the snapshot: after it has changed and settled (D10). What could not be read is tried again
//! with pauses; what was read and is wrong waits for a change (D111).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tributary_connectors::tis::snapshot::{Listing, SnapshotError};
use tributary_connectors::trouble::{Report, Troubles};

/// The pause before a second attempt. Each later pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// How long a snapshot may change, or be away, before that is reported.
const PATIENCE: Duration = Duration::from_hours(1);

/// The subject of troubles with files that cannot be used.
const USE: &str = "use";

/// The subject of troubles with a snapshot that does not come.
const ARRIVAL: &str = "arrival";

/// Follows the snapshot folder of one process.
pub(crate) struct SnapshotWatch {
    folder: PathBuf,
    settle_time: Duration,
    /// The last listing, and since when the folder is so.
    seen: Option<(Listing, Instant)>,
    /// Since when there is no snapshot (true), or one that has not settled (false).
    waiting: Option<(bool, Instant)>,
    /// The listing of the last attempt.
    tried: Option<Listing>,
    /// When the same files are tried again, and the pause before.
    again: Option<(Instant, Duration)>,
    troubles: Troubles,
}

impl SnapshotWatch {
    /// Follows `folder`. A snapshot settles after `settle_time`.
    pub(crate) fn new(folder: PathBuf, settle_time: Duration) -> Self {
        Self { folder, settle_time, seen: None, waiting: None, tried: None, again: None, troubles: Troubles::new() }
    }

    /// Forgets which snapshot was loaded: another process may have loaded others since.
    pub(crate) fn forget(&mut self) {
        (self.tried, self.again) = (None, None);
    }

    /// Whether the files of a listing made at `now` are to be loaded.
    pub(crate) fn is_due(&mut self, listing: &Listing, now: Instant) -> bool {
        if self.seen.as_ref().is_none_or(|(seen, _)| seen != listing) {
            self.seen = Some((listing.clone(), now));
        }
        let is_settled = self.seen.as_ref().is_some_and(|(_, since)| now.duration_since(*since) >= self.settle_time);
        if is_settled && !listing.is_empty() {
            self.waiting = None;
        } else if self.waiting.is_none_or(|(is_away, _)| is_away != listing.is_empty()) {
            self.waiting = Some((listing.is_empty(), now));
        }
        if !is_settled {
            return false;
        }
        self.tried.as_ref() != Some(listing) || self.again.is_some_and(|(at, _)| now >= at)
    }

    /// Whether a listing shows a snapshot that this process has not loaded to its end, and may still load.
    pub(crate) fn is_new(&self, listing: &Listing) -> bool {
        !listing.is_empty() && (self.tried.as_ref() != Some(listing) || self.again.is_some())
    }

    /// What is to be said about a snapshot that does not come or does not settle.
    pub(crate) fn overdue(&mut self, now: Instant) -> Option<Report> {
        let overdue = self.waiting.filter(|(_, since)| now.duration_since(*since) >= PATIENCE);
        let Some((is_away, _)) = overdue else { return self.troubles.end(ARRIVAL, now) };
        let folder = self.folder.display();
        let text = if is_away {
            format!("no snapshot of TIS has come into {folder} for an hour: check the export")
        } else {
            format!("the snapshot in {folder} has been changing for an hour and is not taken in: check the export")
        };
        self.troubles.note(ARRIVAL, text, now)
    }

    /// Notes that the files of `listing` were read. Returns the end of a trouble.
    pub(crate) fn loaded(&mut self, listing: Listing, now: Instant) -> Option<Report> {
        (self.tried, self.again) = (Some(listing), None);
        self.troubles.end(USE, now)
    }

    /// Notes that the files of `listing` cannot be used. Returns what is to be said.
    pub(crate) fn failed(&mut self, listing: Listing, error: &SnapshotError, now: Instant) -> Option<Report> {
        let pause = match self.again.filter(|_| self.tried.as_ref() == Some(&listing)) {
            Some((_, pause)) => (pause * 2).min(LONGEST_PAUSE),
            None => FIRST_PAUSE,
        };
        self.again = error.may_pass().then_some((now + pause, pause));
        self.tried = Some(listing);
        self.troubles.note(USE, format!("the snapshot is not taken in: {error}"), now)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    struct World {
        folder: tempfile::TempDir,
        watch: SnapshotWatch,
        start: Instant,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let watch = SnapshotWatch::new(folder.path().to_owned(), Duration::from_secs(5));
            Self { folder, watch, start: Instant::now() }
        }

        fn write(&self, name: &str, content: &str) {
            fs::write(self.folder.path().join(name), content).unwrap();
        }

        fn listing(&self) -> Listing {
            Listing::of(self.folder.path()).unwrap()
        }

        fn at(&self, seconds: u64) -> Instant {
            self.start + Duration::from_secs(seconds)
        }

        fn is_due(&mut self, seconds: u64) -> bool {
            self.watch.is_due(&self.listing(), self.at(seconds))
        }

        fn loaded(&mut self, seconds: u64) -> Option<String> {
            self.watch.loaded(self.listing(), self.at(seconds)).map(|report| report.to_string())
        }

        fn failed(&mut self, error: &SnapshotError, seconds: u64) -> Option<String> {
            self.watch.failed(self.listing(), error, self.at(seconds)).map(|report| report.to_string())
        }

        fn overdue(&mut self, seconds: u64) -> Option<String> {
            self.is_due(seconds);
            self.watch.overdue(self.at(seconds)).map(|report| report.to_string())
        }
    }

    fn unreadable() -> SnapshotError {
        let source = std::io::ErrorKind::PermissionDenied.into();
        SnapshotError::Io { path: "posts.jsonl".into(), source }
    }

    fn wrong() -> SnapshotError {
        SnapshotError::Manifest { path: "manifest.json".into(), reason: "no JSON".to_owned() }
    }

    #[test]
    fn d10_a_snapshot_is_loaded_once_after_each_change_that_has_settled() {
        let mut world = World::new();
        world.write("posts.jsonl", "one");
        assert!(!world.is_due(0) && !world.is_due(4) && world.is_due(5));
        world.loaded(5);
        assert!(!world.is_due(100));
        world.write("notes.txt", "not of the snapshot");
        assert!(!world.is_due(101) && !world.is_due(110));
        world.write("people.jsonl", "two");
        assert!(!world.is_due(111) && world.is_due(116));
        world.loaded(116);
        world.watch.forget();
        assert!(world.is_due(117), "another process may have loaded another one since");
    }

    #[test]
    fn d111_what_cannot_be_read_is_tried_again_with_pauses_and_said_once() {
        let mut world = World::new();
        world.write("posts.jsonl", "one");
        world.is_due(0);
        let (mut attempts, mut said) = (Vec::new(), Vec::new());
        for second in 5..300 {
            if world.is_due(second) {
                attempts.push(second);
                said.extend(world.failed(&unreadable(), second));
            }
        }
        assert_eq!(attempts, [5, 10, 20, 40, 80, 140, 200, 260]);
        assert!(said.len() == 1 && said[0].contains("posts.jsonl"), "{said:?}");
        assert!(world.loaded(320).unwrap().starts_with("no longer so"));
    }

    #[test]
    fn d111_what_is_wrong_waits_for_a_change() {
        let mut world = World::new();
        world.write("manifest.json", "{");
        assert!(!world.is_due(0) && world.is_due(5));
        assert!(world.failed(&wrong(), 5).is_some());
        assert!(!world.is_due(1_000));
        world.write("manifest.json", "{}");
        assert!(!world.is_due(1_001) && world.is_due(1_006));
        assert_eq!(world.failed(&wrong(), 1_006), None, "it is still so");
        assert!(world.failed(&unreadable(), 1_007).is_some(), "it is another trouble");
    }

    #[test]
    fn d111_a_snapshot_that_does_not_come_for_an_hour_is_said_and_again_each_hour() {
        let mut world = World::new();
        assert_eq!(world.overdue(0), None);
        assert_eq!(world.overdue(3_599), None);
        assert!(world.overdue(3_600).unwrap().contains("no snapshot of TIS has come"));
        assert_eq!(world.overdue(3_601), None);
        assert!(world.overdue(7_200).unwrap().starts_with("still so"));
        world.write("posts.jsonl", "one");
        assert!(world.overdue(7_201).unwrap().starts_with("no longer so"));
        assert_eq!((world.overdue(7_206), world.overdue(20_000)), (None, None), "it has settled");
    }

    #[test]
    fn d111_a_snapshot_that_does_not_settle_for_an_hour_is_said() {
        let mut world = World::new();
        for second in 0..3_600 {
            world.write("posts.jsonl", &"x".repeat(second as usize));
            assert_eq!(world.overdue(second), None, "after {second} s");
        }
        world.write("posts.jsonl", "more");
        assert!(world.overdue(3_600).unwrap().contains("has been changing for an hour"));
    }
}
