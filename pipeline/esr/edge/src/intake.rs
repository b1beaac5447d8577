//! The intake of the service: sends the files of the inbox that have settled. No file delays one of another office
//! (D107, D108).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use tributary_connectors::files::{Listing, Settling};
use tributary_connectors::trouble::Troubles;
use tributary_esr::format::FileName;
use tributary_esr::inbound::LedgerEntry;
use tributary_esr::inbox::{Fingerprint, FoundFile};
use tributary_flow::Failure;

use crate::configured::Configured;
use crate::events;
use crate::exchange::Exchange;
use crate::inbox_folder::{self, InboxFolder, Look, Sent};

/// The subject of troubles with the inbox as a whole. No file has this name.
const WHOLE_INBOX: &str = "";

/// Besides the settling time, the time for which the files of an office wait for an earlier one that is being written.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// A file that cannot be read is read again after this time, or when it has changed.
const RETRY: Duration = Duration::from_mins(1);

/// How often the content of parked files is compared (D109).
const PARKED_CHECK: Duration = Duration::from_mins(5);

/// What the intake of one process remembers.
pub(crate) struct Intake {
    inbox: InboxFolder,
    /// Which files are complete (D10).
    settling: Settling,
    longest_wait: Duration,
    /// Files that were sent. They are not sent again before the ledger knows them.
    sent: HashMap<FileName, Fingerprint>,
    /// Files that could not be read.
    failed: HashMap<FileName, Failed>,
    parked_checked: Option<Instant>,
    /// What lay in the inbox in the last round, and could be read but was not sent (D95).
    unread: Vec<String>,
    troubles: Troubles,
}

/// A file that could not be read.
struct Failed {
    print: Fingerprint,
    at: Instant,
    text: String,
}

/// What is wrong in one round, by entry of the inbox.
type Wrong = BTreeMap<String, String>;

impl Intake {
    pub(crate) fn new(configured: &Configured) -> Self {
        let settle_seconds = configured.settings.configuration.inbound.settle_seconds;
        let settle_time = Duration::from_secs(u64::from(settle_seconds));
        Self {
            inbox: InboxFolder::new(configured),
            settling: Settling::new(settle_time),
            longest_wait: settle_time + LONGEST_WAIT,
            sent: HashMap::new(),
            failed: HashMap::new(),
            parked_checked: None,
            unread: Vec::new(),
            troubles: Troubles::new(),
        }
    }

    /// Forgets what this process has sent. Another process has run the rounds since.
    pub(crate) fn begin(&mut self) {
        self.sent.clear();
        self.failed.clear();
        self.parked_checked = None;
        self.unread = vec!["the inbox".to_owned()];
    }

    /// The names of files that were new or changed in the last round and are not sent yet. Files that cannot be read
    /// are not among them; an inbox that cannot be listed is.
    pub(crate) fn unread(&self) -> &[String] {
        &self.unread
    }

    /// Takes in what can be taken in now.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the ledger cannot be read, or the log does not accept a file.
    pub(crate) fn round(&mut self, exchange: &Exchange, now: i64) -> Result<(), Failure> {
        let result = self.take_in(exchange, now);
        if let Err(failure) = &result {
            self.unread = vec![format!("the inbox ({failure})")];
        }
        result
    }

    /// Sends the files that have settled, and moves processed ones into the archive.
    fn take_in(&mut self, exchange: &Exchange, now: i64) -> Result<(), Failure> {
        let at = Instant::now();
        let listing = match self.inbox.list() {
            Ok(listing) => listing,
            Err(error) => {
                self.unread = vec![format!("the inbox ({error})")];
                self.troubles.note(WHOLE_INBOX, error.to_string(), at).iter().for_each(events::inbox_trouble);
                return Ok(());
            }
        };
        let look = self.inbox.look(exchange, &listing, &mut self.sent)?;
        look.left.iter().for_each(|left| events::file_left(left));
        let mut wrong: Wrong = look.failed.iter().cloned().collect();
        let files = self.ready(&look, &listing, at, &mut wrong);
        let known = inbox_folder::known(exchange, files.iter().copied())?;
        for file in files {
            self.take(&file, known.get(&file.name), now, exchange, at)?;
        }
        let is_unread =
            |file: &&FoundFile| !self.sent.contains_key(&file.name) && !self.failed.contains_key(&file.name);
        self.unread = look.files.iter().filter(is_unread).map(|file| file.name.to_string()).collect();
        wrong.extend(self.failed.iter().map(|(name, failed)| (name.to_string(), failed.text.clone())));
        if self.inbox.archives() {
            wrong.extend(self.inbox.archive(exchange, &listing)?);
        }
        self.report(&wrong, at);
        Ok(())
    }

    /// The files that have settled, and now and then the parked ones.
    fn ready(&mut self, look: &Look, listing: &Listing, at: Instant, wrong: &mut Wrong) -> Vec<FoundFile> {
        let settled = self.settling.settled(&listing.files, at);
        let settled: HashSet<&str> = settled.into_iter().map(|entry| entry.name.as_str()).collect();
        self.failed.retain(|name, _| look.files.iter().chain(&look.undecided).any(|file| file.name == *name));
        let mut waiting = HashSet::new();
        let mut ready = Vec::new();
        for file in &look.files {
            let (name, office) = (file.name.to_string(), file.name.office);
            if settled.contains(name.as_str()) {
                if !waiting.contains(&office) {
                    ready.push(*file);
                }
            } else if self.settling.changing_for(&name, at) < self.longest_wait {
                // The order of the files of an office is kept (D9).
                waiting.insert(office);
            } else {
                let text = format!("{name} keeps changing: later files of its office do not wait for it any longer");
                wrong.insert(name, text);
            }
        }
        let parked = look.undecided.iter().filter(|file| settled.contains(file.name.to_string().as_str()));
        let is_due = self.parked_checked.is_none_or(|checked| at.duration_since(checked) >= PARKED_CHECK);
        if is_due && parked.clone().next().is_some() {
            self.parked_checked = Some(at);
            ready.extend(parked);
        }
        ready
    }

    /// Sends a file, or notes why it cannot be read. The latter lasts until it is read or gone.
    fn take(
        &mut self,
        file: &FoundFile,
        known: Option<&LedgerEntry>,
        now: i64,
        exchange: &Exchange,
        at: Instant,
    ) -> Result<(), Failure> {
        if self.failed.get(&file.name).is_some_and(|failed| failed.is_recent(file, at)) {
            return Ok(());
        }
        self.failed.remove(&file.name);
        match self.inbox.send(file, known, now, exchange)? {
            Sent::TakenIn => {
                events::file_taken_in(&file.name, file.print.size);
                self.sent.insert(file.name, file.print);
            }
            // An operator may decide about it at any moment. Then it must be sent.
            Sent::Known if known.is_some_and(LedgerEntry::is_undecided) => {}
            Sent::Known => {
                self.sent.insert(file.name, file.print);
            }
            Sent::Changing => {}
            Sent::Failed(error) => {
                let text = inbox_folder::left(&error);
                self.failed.insert(file.name, Failed { print: file.print, at, text });
            }
        }
        Ok(())
    }

    /// Reports what is wrong now and was not in the round before, and what no longer is.
    fn report(&mut self, wrong: &Wrong, at: Instant) {
        for (entry, text) in wrong {
            self.troubles.note(entry, text, at).iter().for_each(events::inbox_trouble);
        }
        self.troubles.retain(|entry| wrong.contains_key(entry), at).iter().for_each(events::inbox_trouble);
    }
}

impl Failed {
    fn is_recent(&self, file: &FoundFile, at: Instant) -> bool {
        self.print == file.print && at.duration_since(self.at) < RETRY
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use tributary_connectors::files::FileEntry;
    use tributary_esr::configuration::EsrSettings;

    use super::*;
    use crate::configured::Folders;

    const EARLY: &str = "DE_EOE_RMC_20261119_00000001.DAT";
    const LATE: &str = "DE_EOE_RMC_20261120_00000002.DAT";
    const OTHER: &str = "DE_LDN_RMC_20261121_00000001.DAT";

    fn intake() -> Intake {
        let settings = EsrSettings::load(None, &|_| Err("no files here".to_owned())).unwrap();
        let offices = settings.configuration.offices.keys().copied().collect();
        let folders = Folders { inbox: "unused".into(), tis: "unused".into(), outbox: "unused".into() };
        let settings = Arc::new(settings);
        let (decisions, include_late, records) = (Vec::new(), false, false);
        Intake::new(&Configured { settings, folders, offices, now: None, decisions, include_late, records })
    }

    fn found(name: &str) -> FoundFile {
        let print = Fingerprint { size: 1, modified: 0, inode: Some(1), changed: Some(0) };
        FoundFile { name: name.parse().unwrap(), print }
    }

    /// A listing of the three files, in which the early one has this size.
    fn listing(size_of_early: u64) -> Listing {
        let entry = |name: &str, size| {
            let time = SystemTime::UNIX_EPOCH;
            FileEntry { name: name.to_owned(), size, modified: time, changed: time, inode: 1 }
        };
        let files = vec![entry(EARLY, size_of_early), entry(LATE, 1), entry(OTHER, 1)];
        Listing { files, others: Vec::new() }
    }

    fn names(files: Vec<FoundFile>) -> Vec<String> {
        files.into_iter().map(|file| file.name.to_string()).collect()
    }

    #[test]
    fn d108_a_file_waits_a_minute_for_an_earlier_one_of_its_office_and_for_no_other() {
        let (mut intake, start) = (intake(), Instant::now());
        let look = Look { files: [EARLY, LATE, OTHER].map(found).to_vec(), ..Look::default() };
        for second in 0..70 {
            let mut wrong = Wrong::new();
            let at = start + Duration::from_secs(second);
            let ready = names(intake.ready(&look, &listing(second), at, &mut wrong));
            // They settle after 5 seconds, and the early one grows each second.
            let expected: &[&str] = match second {
                0..5 => &[],
                5..65 => &[OTHER],
                _ => &[LATE, OTHER],
            };
            assert_eq!(ready, expected, "after {second} s");
            assert_eq!(wrong.keys().collect::<Vec<_>>(), if second < 65 { vec![] } else { vec![EARLY] });
        }
        let ready = names(intake.ready(&look, &listing(69), start + Duration::from_secs(75), &mut Wrong::new()));
        assert_eq!(ready, [EARLY, LATE, OTHER], "all that have settled, in order");
    }

    #[test]
    fn d109_parked_files_are_compared_at_the_start_and_every_five_minutes() {
        let (mut intake, start) = (intake(), Instant::now());
        let look = Look { undecided: vec![found(LATE)], ..Look::default() };
        intake.begin();
        let checks: Vec<u64> = (0..16 * 60)
            .filter(|second| {
                let at = start + Duration::from_secs(*second);
                !intake.ready(&look, &listing(1), at, &mut Wrong::new()).is_empty()
            })
            .collect();
        assert_eq!(checks, [5, 305, 605, 905]);
    }
}
