//! Troubles that last, and when they are reported: once when a trouble begins, changes or ends, and once each hour
//! while it lasts. A retry that fails for the same reason is not reported.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// How often a trouble that lasts is reported again.
const REMINDER: Duration = Duration::from_hours(1);

/// The troubles of one component, by subject: a file, a folder, a connection. A subject has one trouble at a time.
#[derive(Debug, Default)]
pub struct Troubles {
    open: BTreeMap<String, Trouble>,
}

#[derive(Debug)]
struct Trouble {
    text: String,
    since: Instant,
    reported: Instant,
}

/// What happened to a trouble, so that it is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Begun,
    /// Its text is another one.
    Changed,
    /// It has lasted for another hour.
    Lasting,
    /// It is over.
    Ended,
}

/// A message about a trouble. Its text is the sentence for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Why it is reported now.
    pub change: Change,
    /// What the trouble is about.
    pub subject: String,
    /// What is wrong, or was wrong if the trouble has ended.
    pub text: String,
    /// How long it has lasted. Zero if it has begun now.
    pub lasted: Duration,
}

impl Troubles {
    /// No troubles.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `subject` has the trouble `text` at `now`. Call it after each failed attempt. The text must stay the
    /// same while the trouble does: it must not hold the time or the number of attempts.
    pub fn note(&mut self, subject: &str, text: impl Into<String>, now: Instant) -> Option<Report> {
        let text = text.into();
        let Some(trouble) = self.open.get_mut(subject) else {
            let trouble = Trouble { text, since: now, reported: now };
            let report = trouble.report(Change::Begun, subject, now);
            self.open.insert(subject.to_owned(), trouble);
            return Some(report);
        };
        let change = if trouble.text != text {
            Change::Changed
        } else if now.duration_since(trouble.reported) >= REMINDER {
            Change::Lasting
        } else {
            return None;
        };
        trouble.text = text;
        trouble.reported = now;
        Some(trouble.report(change, subject, now))
    }

    /// Notes that `subject` has no trouble at `now`. Call it after each success.
    pub fn end(&mut self, subject: &str, now: Instant) -> Option<Report> {
        self.open.remove(subject).map(|trouble| trouble.report(Change::Ended, subject, now))
    }

    /// Ends all troubles whose subject `lasts` does not select. For example, the troubles of files that are gone.
    pub fn retain(&mut self, lasts: impl Fn(&str) -> bool, now: Instant) -> Vec<Report> {
        let ended: Vec<String> = self.open.keys().filter(|subject| !lasts(subject)).cloned().collect();
        ended.iter().filter_map(|subject| self.end(subject, now)).collect()
    }

    /// The subjects that have a trouble, in their order.
    pub fn subjects(&self) -> impl Iterator<Item = &str> {
        self.open.keys().map(String::as_str)
    }
}

impl Trouble {
    fn report(&self, change: Change, subject: &str, now: Instant) -> Report {
        let (subject, text) = (subject.to_owned(), self.text.clone());
        Report { change, subject, text, lasted: now.duration_since(self.since) }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.change {
            Change::Begun | Change::Changed => formatter.write_str(&self.text),
            Change::Lasting => write!(formatter, "still so after {}: {}", Words(self.lasted), self.text),
            Change::Ended => write!(formatter, "no longer so, after {}: {}", Words(self.lasted), self.text),
        }
    }
}

/// A duration in its largest whole unit.
struct Words(Duration);

impl fmt::Display for Words {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0..120 => write!(formatter, "{seconds} s"),
            120..7_200 => write!(formatter, "{} min", seconds / 60),
            _ => write!(formatter, "{} h", seconds / 3_600),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(report: Option<Report>) -> Option<(Change, String)> {
        report.map(|report| (report.change, report.to_string()))
    }

    #[test]
    fn a_trouble_is_reported_when_it_begins_changes_and_ends_and_each_hour() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut troubles = Troubles::new();
        assert_eq!(said(troubles.note("a", "no space", at(0))), Some((Change::Begun, "no space".to_owned())));
        for second in 1..3_600 {
            assert_eq!(troubles.note("a", "no space", at(second)), None);
        }
        let lasting = (Change::Lasting, "still so after 60 min: no space".to_owned());
        assert_eq!(said(troubles.note("a", "no space", at(3_600))), Some(lasting));
        assert_eq!(troubles.note("a", "no space", at(7_199)), None);
        assert_eq!(said(troubles.note("a", "read-only", at(7_300))), Some((Change::Changed, "read-only".to_owned())));
        assert_eq!(troubles.note("a", "read-only", at(10_899)), None, "an hour since the last message");
        let ended = (Change::Ended, "no longer so, after 3 h: read-only".to_owned());
        assert_eq!(said(troubles.end("a", at(10_900))), Some(ended));
        assert_eq!(troubles.end("a", at(10_901)), None);
        assert_eq!(said(troubles.note("a", "no space", at(10_902))).unwrap().0, Change::Begun);
    }

    #[test]
    fn subjects_have_troubles_of_their_own() {
        let now = Instant::now();
        let mut troubles = Troubles::new();
        for subject in ["b", "a", "c"] {
            assert_eq!(troubles.note(subject, "away", now).unwrap().subject, subject);
        }
        let ended: Vec<String> =
            troubles.retain(|subject| subject == "a", now).into_iter().map(|report| report.subject).collect();
        assert_eq!(ended, ["b", "c"]);
        assert_eq!(troubles.subjects().collect::<Vec<_>>(), ["a"]);
        assert_eq!(troubles.note("a", "away", now), None);
    }
}
