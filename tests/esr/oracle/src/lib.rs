//! An independent batch oracle of the ESR flow.
//!
//! It answers one question: given these files and this TIS snapshot, which files must the product write? It does so
//! with plain nested loops over whole states, shares no code with the product's stages, keeps no message order and
//! knows nothing of logs. Tests compare its answer with the pipeline's.
//!
//! State is compared between runs: the state at the end of the last run is the base, the state now decides (D9).
//!
//! What does not live here: durability, schedules, warnings and alerts, person updates.

mod applicants;
mod base;
mod columns;
mod intake;
mod notice;
mod notifications;
mod pairing;
mod rows;
pub mod scenario;
mod snapshot;
mod values;
mod world;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::applicants::Trainee;
use crate::base::Base;
use crate::notifications::{Identity, Sent};
use crate::world::{PlacementKey, World};

/// What one run takes in.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The moment of the run.
    pub now: jiff::Timestamp,
    /// Files that are new or changed in the inbox, by name.
    pub files: Vec<(String, Vec<u8>)>,
    /// What the TIS snapshot folder holds.
    pub snapshot: Snapshot,
    /// What an operator decides about parked files before the inbox is read, by name.
    pub decisions: Vec<(String, Decision)>,
    /// The offices that have a run now, in the order of the office list; empty for all.
    pub offices: Vec<String>,
}

/// A decision about a parked file (D10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The file is taken in although it is suspect.
    Accept,
    /// The file is not taken in.
    Refuse,
}

/// The texts of the snapshot files; `None` means that the file is absent.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// `posts.jsonl`
    pub posts: Option<String>,
    /// `placements.jsonl`
    pub placements: Option<String>,
    /// `people.jsonl`
    pub people: Option<String>,
}

/// What one run must yield.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Every file written, by name: RTC, APP and DNC.
    pub files: BTreeMap<String, String>,
    /// What became of each inbound file of this batch, in the order of intake.
    pub inbound: Vec<InboundFile>,
    /// Warnings about the order of inbound files, by name.
    pub disorder: BTreeSet<(String, Disorder)>,
    /// Every applicant record that is known after the run, sorted.
    pub records: Vec<ApplicantState>,
    /// Counts by office.
    pub offices: BTreeMap<String, OfficeCounts>,
}

/// What became of an inbound file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundFile {
    /// File name.
    pub name: String,
    /// `processed`, `parked`, `refused` or `ignored`.
    pub status: String,
}

/// Why an inbound file is out of order (D93, D94).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disorder {
    /// Numbers before it are missing.
    Missing,
    /// Its neighbour has the same number.
    Repeated,
    /// A newer file of its office and type came before it.
    Late,
    /// Its number is lower than that of the file before it.
    GoesBack,
    /// Lines of it were overtaken by a newer file.
    Overtaken,
}

/// An applicant record as it stands after a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApplicantState {
    /// TIS placement.
    pub placement_id: u64,
    /// ESR position.
    pub position_id: u64,
    /// TIS person.
    pub trainee_id: u64,
    /// Office whose file the record goes to.
    pub office: String,
    /// State of section 5.2, for example `TO_EXPORT`.
    pub status: String,
    /// File that carried it.
    pub file: Option<String>,
}

/// Counts of one office after a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfficeCounts {
    /// Positions known, deleted ones included.
    pub positions: usize,
    /// Positions not deleted.
    pub live: usize,
    /// Live positions whose number has a post in TIS.
    pub matched: usize,
    /// Live positions whose number has none.
    pub unmatched: usize,
    /// Notification rows written in this run, by type code.
    pub notifications: BTreeMap<u8, usize>,
}

/// The baseline (D1).
#[derive(Clone, Debug)]
struct Baseline {
    /// Run that brought it.
    run: u32,
    posts: BTreeSet<u64>,
    /// Placement, trainee and number to whether it started before that day + 2 days; another trainee or number makes it
    /// another placement (D27).
    placements: BTreeMap<(u64, u64, String), bool>,
}

/// Everything remembered between runs.
#[derive(Clone, Debug)]
pub struct Oracle {
    offices: Vec<String>,
    /// The offices of this run.
    serving: Vec<String>,
    run: u32,
    world: World,
    /// What the last run of each office left behind; under the empty name what the last run of any left behind.
    bases: BTreeMap<String, Base>,
    baseline: Option<Baseline>,
    intake: intake::Ledger,
    /// Last number of each file type (2.3, D50).
    numbers: BTreeMap<&'static str, u64>,
    /// Time of the last file by type and office (D51).
    last_times: BTreeMap<(&'static str, String), String>,
    /// (placement, position) of export events seen in TIS (D14).
    events_seen: BTreeSet<(u64, u64)>,
    /// (placement, position, trainee) that TIS calls exported, with the file.
    events: BTreeMap<(u64, u64, u64), String>,
    /// The same for a person whom the trainee was before a registration number was corrected.
    events_of_others: Vec<((u64, u64, u64), Trainee, String)>,
    /// By DPN: placements whose trainee is another person to ESR than at the last run (D116).
    of_others: BTreeSet<(String, PlacementKey)>,
    records: BTreeMap<applicants::RecordKey, applicants::Record>,
    /// Type 1 rows sent, by (office, DPN).
    sent: BTreeMap<(String, String), BTreeMap<Identity, Sent>>,
    /// (office, post) of every type 5 sent.
    new_posts_sent: BTreeSet<(String, u64)>,
}

/// Date and time of a run in London.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    pub(crate) today: Date,
    /// `YYYYMMDD HHMMSS`
    pub(crate) stamp: String,
}

impl Clock {
    fn new(now: jiff::Timestamp) -> Clock {
        #[expect(clippy::expect_used, reason = "the time zone database is bundled with the library")]
        let london = TimeZone::get("Europe/London").expect("Europe/London is in the bundled database");
        let time = now.to_zoned(london);
        Clock { today: time.date(), stamp: time.strftime("%Y%m%d %H%M%S").to_string() }
    }
}

impl Oracle {
    /// An oracle that has seen nothing, for these offices in this order.
    pub fn new(offices: &[&str]) -> Oracle {
        Oracle {
            offices: offices.iter().map(|office| (*office).to_owned()).collect(),
            serving: Vec::new(),
            run: 0,
            world: World::default(),
            bases: BTreeMap::new(),
            baseline: None,
            intake: intake::Ledger::default(),
            numbers: BTreeMap::new(),
            last_times: BTreeMap::new(),
            events_seen: BTreeSet::new(),
            events: BTreeMap::new(),
            events_of_others: Vec::new(),
            of_others: BTreeSet::new(),
            records: BTreeMap::new(),
            sent: BTreeMap::new(),
            new_posts_sent: BTreeSet::new(),
        }
    }

    /// One batch: files, snapshot, APP for every office, DNC for every office.
    pub fn run(&mut self, batch: &Batch) -> Outcome {
        self.run += 1;
        let clock = Clock::new(batch.now);
        let mut outcome = Outcome::default();
        self.serving = if batch.offices.is_empty() { self.offices.clone() } else { batch.offices.clone() };
        self.take_in(batch, &clock, &mut outcome);
        let events = self.events.clone();
        self.load(&batch.snapshot, clock.today);
        let bases = self.open_bases();
        self.tell_persons_apart(&bases[""], &events);
        self.keep_baseline(&bases);
        for (office, base) in &bases {
            self.continue_exports(office, base);
        }
        for office in self.serving.clone() {
            self.write_applicants(&office, &clock, &mut outcome);
        }
        for office in self.offices.clone() {
            if !self.serving.contains(&office) {
                self.note_applicants(&office, clock.today);
            }
        }
        for office in self.serving.clone() {
            self.write_notifications(&office, &bases[&office], &clock, &mut outcome);
        }
        self.leave_baseline();
        self.close_bases(bases, clock.today);
        self.count(&mut outcome);
        outcome
    }

    /// Names a file of a counted type, frames its rows with HDR and TRL and adds it to the outcome (2.1, 2.4, D50,
    /// D51).
    fn write_numbered(
        &mut self,
        kind: &'static str,
        office: &str,
        clock: &Clock,
        rows: &[String],
        outcome: &mut Outcome,
    ) -> String {
        let number = self.numbers.entry(kind).or_insert(0);
        *number += 1;
        let name = format!("DE_{office}_{kind}_{}_{number:08}.DAT", clock.today.strftime("%Y%m%d"));
        self.write(kind, office, &name, clock, rows, outcome);
        name
    }

    fn write(
        &mut self,
        kind: &'static str,
        office: &str,
        name: &str,
        clock: &Clock,
        rows: &[String],
        outcome: &mut Outcome,
    ) {
        let previous = self.last_times.insert((kind, office.to_owned()), clock.stamp.clone()).unwrap_or_default();
        let text = rows::frame(name, office, &previous, &clock.stamp, rows);
        outcome.files.insert(name.to_owned(), text);
    }

    /// A placement that has left its number or trainee is not of the baseline when it returns.
    fn leave_baseline(&mut self) {
        let (world, of_others) = (&self.world, &self.of_others);
        if let Some(line) = &mut self.baseline {
            line.placements.retain(|(id, trainee, dpn), _| {
                !of_others.contains(&(dpn.clone(), (*id, *trainee)))
                    && world.placements.get(id).is_some_and(|now| now.trainee == *trainee && now.dpn == *dpn)
            });
        }
    }

    fn count(&self, outcome: &mut Outcome) {
        for office in &self.offices {
            let counts = outcome.offices.entry(office.clone()).or_default();
            for position in self.world.positions.values().filter(|position| position.office == *office) {
                counts.positions += 1;
                if position.deleted {
                    continue;
                }
                counts.live += 1;
                if self.world.preferred(&position.dpn).is_some() {
                    counts.matched += 1;
                } else {
                    counts.unmatched += 1;
                }
            }
        }
        outcome.records = self.applicant_states();
    }
}
