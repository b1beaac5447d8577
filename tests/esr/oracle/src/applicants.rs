//! Applicant records and the APP file (sections 5.1-5.4, A1-A12, D14, D20-D27).

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;

use crate::rows::{Cell, bare, date, line, text};
use crate::snapshot;
use crate::values;
use crate::world::{Person, Placement, PlacementKey, Position};
use crate::{ApplicantState, Clock, Oracle, Outcome};

/// Most rows of one DPN in one file (A10).
const CAP: usize = 40;

/// (placement, position, trainee, office): a record that moves office leaves its old self behind (D6).
pub(crate) type RecordKey = (u64, u64, u64, String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    ToExport,
    Exported,
    InvalidData,
    DeletedBeforeExport,
    MissedWindow,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::ToExport => "TO_EXPORT",
            Status::Exported => "EXPORTED",
            Status::InvalidData => "INVALID_DATA",
            Status::DeletedBeforeExport => "DELETED_BEFORE_EXPORT",
            Status::MissedWindow => "MISSED_WINDOW",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) status: Status,
    pub(crate) file: Option<String>,
    /// Columns without effectiveDate at the last run at which it was live, and its effectiveDate then (D20).
    content: Option<(Vec<Cell>, Date)>,
    /// Each export with its person, file and run: more than one if a registration number was corrected (D116).
    exports: Vec<(Trainee, Option<String>, u32)>,
}

/// Where a record stands that is neither exported nor withdrawn.
fn waiting_status(candidate: &Candidate, today: Date) -> Status {
    if !candidate.complete {
        Status::InvalidData
    } else if candidate.start < window_start(today) {
        Status::MissedWindow
    } else {
        Status::ToExport
    }
}

/// A record that holds now.
struct Candidate {
    key: RecordKey,
    start: Date,
    dpn: String,
    /// The person as ESR sees it (D24).
    person: String,
    trainee: Trainee,
    content: Vec<Cell>,
    complete: bool,
}

/// First start date that a run may export (A5, A6).
pub(crate) fn window_start(today: Date) -> Date {
    today.saturating_add(2.days())
}

/// First start date that is too far away (A5).
pub(crate) fn window_end(today: Date) -> Date {
    today.saturating_add(91.days())
}

impl Candidate {
    /// The DPN as it stands in the file, by which rows are ordered (D40).
    fn written_dpn(&self) -> &str {
        match &self.content[3] {
            Cell::Text(text) => text,
            Cell::Bare(_) => "",
        }
    }
}

impl Oracle {
    pub(crate) fn write_applicants(&mut self, office: &str, clock: &Clock, outcome: &mut Outcome) {
        let today = clock.today;
        self.believe_tis(office, today);
        let candidates = self.candidates(office, today);
        self.withdraw(office, &candidates);
        let mut open = Vec::new();
        for candidate in candidates {
            let status = waiting_status(&candidate, today);
            let effective = self.note(&candidate, status, today);
            if status == Status::ToExport && candidate.start < window_end(today) {
                open.push((candidate, effective));
            }
        }
        self.export(office, open, clock, outcome);
    }

    /// The records of an office that has no run now: they hold, or are withdrawn, as the run of the others sees them
    /// (R4).
    pub(crate) fn note_applicants(&mut self, office: &str, today: Date) {
        let mut candidates = self.candidates(office, today);
        candidates.extend(self.known_to_tis(office, today));
        self.withdraw(office, &candidates);
        for candidate in candidates {
            let missed = self.records.get(&candidate.key).filter(|record| record.status == Status::MissedWindow);
            let same = missed.is_some_and(|missed| {
                missed.content.as_ref().is_some_and(|(content, _)| *content == candidate.content)
            });
            let status = match waiting_status(&candidate, today) {
                Status::MissedWindow if !same => Status::ToExport,
                status => status,
            };
            self.note(&candidate, if same { Status::MissedWindow } else { status }, today);
        }
    }

    /// Keeps a record with its content, and says since when the content holds.
    fn note(&mut self, candidate: &Candidate, status: Status, today: Date) -> Date {
        let record = self.records.get(&candidate.key);
        let effective = match record.and_then(|record| record.content.as_ref()) {
            Some((content, since)) if *content == candidate.content => *since,
            _ => today,
        };
        let content = Some((candidate.content.clone(), effective));
        let exports = record.map(|record| record.exports.clone()).unwrap_or_default();
        self.records.insert(candidate.key.clone(), Record { status, file: None, content, exports });
        effective
    }

    /// The file of an exported record; empty when it is not known.
    pub(crate) fn exported_file(
        &self,
        placement: u64,
        position: u64,
        trainee: u64,
        person: &Trainee,
    ) -> Option<String> {
        let records = self.records.iter().filter(|(key, _)| (key.0, key.1, key.2) == (placement, position, trainee));
        let mut exports = records.flat_map(|(_, record)| &record.exports);
        exports.find(|(before, ..)| before.is_same_person(person)).map(|(_, file, _)| file.clone().unwrap_or_default())
    }

    /// Writes the file: no person twice on a position (D24), no more than the cap for a DPN (D25).
    fn export(&mut self, office: &str, mut open: Vec<(Candidate, Date)>, clock: &Clock, outcome: &mut Outcome) {
        open.sort_by_key(|(candidate, _)| (candidate.start, candidate.key.0, candidate.key.1));
        let mut taken = BTreeSet::new();
        let mut rows_of: BTreeMap<String, usize> = BTreeMap::new();
        let mut chosen = Vec::new();
        for (candidate, effective) in open {
            if taken.contains(&(candidate.person.clone(), candidate.key.1)) {
                continue;
            }
            let count = rows_of.entry(candidate.dpn.clone()).or_insert(0);
            if *count == CAP {
                continue;
            }
            *count += 1;
            taken.insert((candidate.person.clone(), candidate.key.1));
            chosen.push((candidate, effective));
        }
        chosen.sort_by(|(a, _), (b, _)| (a.written_dpn(), a.key.0, a.key.1).cmp(&(b.written_dpn(), b.key.0, b.key.1)));
        let rows: Vec<String> = chosen
            .iter()
            .map(|(candidate, effective)| {
                let mut cells = candidate.content.clone();
                cells[6] = date(Some(*effective));
                line(&cells)
            })
            .collect();
        let name = self.write_numbered("APP", office, clock, &rows, outcome);
        for (candidate, _) in chosen {
            if let Some(record) = self.records.get_mut(&candidate.key) {
                record.status = Status::Exported;
                record.file = Some(name.clone());
                record.exports.push((candidate.trainee, Some(name.clone()), self.run));
            }
        }
    }

    /// Every record that holds now for an office, is not exported, and that TIS does not know as exported.
    fn candidates(&self, office: &str, today: Date) -> Vec<Candidate> {
        self.holding(office, today).into_iter().filter(|(_, told)| told.is_none()).map(|(one, _)| one).collect()
    }

    /// Every record that holds now for an office and is not exported, but TIS knows it as exported (D14).
    fn known_to_tis(&self, office: &str, today: Date) -> Vec<Candidate> {
        self.holding(office, today).into_iter().filter(|(_, told)| told.is_some()).map(|(one, _)| one).collect()
    }

    /// Those that TIS knows as exported become so (D14).
    fn believe_tis(&mut self, office: &str, today: Date) {
        for (candidate, file) in self.holding(office, today) {
            let Some(file) = file else { continue };
            let file = Some(file).filter(|file| !file.is_empty());
            let mut exports = self.records.get(&candidate.key).map(|record| record.exports.clone()).unwrap_or_default();
            exports.push((candidate.trainee, file.clone(), 0));
            self.records.insert(candidate.key, Record { status: Status::Exported, file, content: None, exports });
        }
    }

    /// Every record that holds now for an office and is not exported, with the file in which TIS says it was.
    fn holding(&self, office: &str, today: Date) -> Vec<(Candidate, Option<String>)> {
        let mut holding = Vec::new();
        for position in self.world.positions.values() {
            if position.deleted || position.office != office {
                continue;
            }
            for placement in self.world.approved(&position.dpn) {
                let key = (placement.id, position.id, placement.trainee, office.to_owned());
                let trainee = self.trainee(placement);
                if self.is_exported(&key, &trainee) || self.has_no_record(&key, placement, today) {
                    continue;
                }
                let told = self.told_by_tis(placement.id, position.id, placement.trainee, &trainee);
                holding.push((self.candidate(key, position, placement), told));
            }
        }
        holding
    }

    /// A record that was exported once stays exported, also if the position has moved since.
    fn is_exported(&self, key: &RecordKey, person: &Trainee) -> bool {
        self.exported_file(key.0, key.1, key.2, person).is_some()
    }

    /// A record shows the export for the person of now, else the last one, unless it waits for an export.
    fn show_exports(&mut self, office: &str) {
        let keys: Vec<RecordKey> = self.records.keys().filter(|key| key.3 == office).cloned().collect();
        for key in keys {
            let now = self.world.placements.get(&key.0).filter(|placement| placement.trainee == key.2);
            let position = self.world.positions.get(&key.1);
            let holds = now.filter(|now| {
                position
                    .is_some_and(|position| !position.deleted && position.office == office && position.dpn == now.dpn)
                    && self.world.approved(&now.dpn).iter().any(|one| one.id == now.id)
            });
            let file = holds.and_then(|now| {
                let person = self.trainee(now);
                let record = &self.records[&key];
                record
                    .exports
                    .iter()
                    .find(|(before, ..)| before.is_same_person(&person))
                    .map(|(_, file, _)| file.clone())
            });
            if let (Some(file), Some(record)) = (file, self.records.get_mut(&key)) {
                (record.status, record.file) = (Status::Exported, file);
            }
        }
    }

    /// Base-line placements that had begun (D1), and placements that ended before their record came up or came back
    /// (D25).
    fn has_no_record(&self, key: &RecordKey, placement: &Placement, today: Date) -> bool {
        let of_another = self.of_others.contains(&(placement.dpn.clone(), placement.key()));
        if !of_another && self.began_before_baseline(placement.id, placement.trainee, &placement.dpn) {
            return true;
        }
        let waiting = self
            .records
            .get(key)
            .is_some_and(|record| record.status != Status::DeletedBeforeExport && record.status != Status::Exported);
        placement.ended_before(today) && !waiting
    }

    pub(crate) fn began_before_baseline(&self, placement: u64, trainee: u64, dpn: &str) -> bool {
        let key = (placement, trainee, dpn.to_owned());
        self.baseline.as_ref().is_some_and(|line| line.placements.get(&key).copied().unwrap_or(false))
    }

    /// R4, D6, D26: what no longer holds and was not exported.
    fn withdraw(&mut self, office: &str, candidates: &[Candidate]) {
        let wanted: BTreeSet<&RecordKey> = candidates.iter().map(|candidate| &candidate.key).collect();
        for (key, record) in &mut self.records {
            if key.3 == office && record.status != Status::Exported && !wanted.contains(key) {
                record.status = Status::DeletedBeforeExport;
                record.content = None;
                if let Some((_, file, _)) = record.exports.last() {
                    (record.status, record.file) = (Status::Exported, file.clone());
                }
            }
        }
        self.show_exports(office);
    }

    fn candidate(&self, key: RecordKey, position: &Position, placement: &Placement) -> Candidate {
        let person = self.world.people.get(&placement.trainee);
        let trainee = Trainee::of(placement, person);
        let identity = if !trainee.gmc.is_empty() {
            format!("GMC {}", trainee.gmc)
        } else if !trainee.gdc.is_empty() {
            format!("GDC {}", trainee.gdc)
        } else {
            format!("person {}", placement.trainee)
        };
        let born = person.and_then(|person| person.date("personalDetails", "dateOfBirth"));
        Candidate {
            key,
            start: placement.start,
            dpn: position.dpn.clone(),
            person: identity,
            trainee: trainee.clone(),
            complete: !trainee.last_name.is_empty()
                && !trainee.first_name.is_empty()
                && born.is_some()
                && !position.number.is_empty(),
            content: content(position, placement, person, &trainee),
        }
    }

    /// Whether a placement counts as exported for types 2 and 4 on a DPN of an office (D34).
    pub(crate) fn sent_as_applicant(&self, office: &str, dpn: &str, key: PlacementKey, person: &Trainee) -> bool {
        let (placement, trainee) = key;
        let began =
            self.bases.get(office).is_some_and(|base| base.began.contains(&(placement, trainee, dpn.to_owned())));
        if began || self.began_before_baseline(placement, trainee, dpn) {
            return true;
        }
        let carries = |position: u64| {
            self.world.positions.get(&position).is_some_and(|position| position.office == office && position.dpn == dpn)
        };
        let by_record = self.records.iter().any(|(key, record)| {
            let before =
                |(before, _, run): &(Trainee, Option<String>, u32)| *run < self.run && before.is_same_person(person);
            (key.0, key.2) == (placement, trainee) && record.exports.iter().any(before) && carries(key.1)
        });
        let positions = self.world.positions.keys().filter(|position| carries(**position));
        let mut by_event = positions.map(|position| self.told_by_tis(placement, *position, trainee, person));
        by_record || by_event.any(|file| file.is_some())
    }

    pub(crate) fn applicant_states(&self) -> Vec<ApplicantState> {
        let states = self.records.iter().map(|(key, record)| ApplicantState {
            placement_id: key.0,
            position_id: key.1,
            trainee_id: key.2,
            office: key.3.clone(),
            status: record.status.name().to_owned(),
            file: record.file.clone(),
        });
        states.collect()
    }
}

/// Who a placement is for, by the rules that APP and DNC share.
#[derive(Clone, Debug)]
pub(crate) struct Trainee {
    pub(crate) last_name: String,
    pub(crate) first_name: String,
    pub(crate) gmc: String,
    pub(crate) gdc: String,
    pub(crate) email: String,
    /// TIS person.
    id: u64,
}

impl Trainee {
    /// Legal names first; the placement's own words when TIS has no such person.
    pub(crate) fn of(placement: &Placement, person: Option<&Person>) -> Trainee {
        let unless_blank = |text: &str| if text.trim().is_empty() { String::new() } else { text.to_owned() };
        let Some(person) = person else {
            return Trainee {
                last_name: unless_blank(&placement.last_name),
                first_name: unless_blank(&placement.first_name),
                gmc: values::regulator_number(&placement.gmc),
                gdc: String::new(),
                email: String::new(),
                id: placement.trainee,
            };
        };
        let first_of = |legal: &str, usual: &str| {
            let legal = person.text("contactDetails", legal);
            if legal.is_empty() { person.text("contactDetails", usual) } else { legal }
        };
        Trainee {
            last_name: first_of("legalSurname", "surname"),
            first_name: first_of("legalForenames", "forenames"),
            gmc: values::regulator_number(&person.text("gmcDetails", "gmcNumber")),
            gdc: values::regulator_number(&person.text("gdcDetails", "gdcNumber")),
            email: person.text("contactDetails", "email"),
            id: placement.trainee,
        }
    }

    /// Whether ESR takes both for one person: by the GMC numbers if both have one, else by the GDC numbers if both have
    /// one, else by the id (D116).
    pub(crate) fn is_same_person(&self, other: &Trainee) -> bool {
        if !self.gmc.is_empty() && !other.gmc.is_empty() {
            return self.gmc == other.gmc;
        }
        if !self.gdc.is_empty() && !other.gdc.is_empty() {
            return self.gdc == other.gdc;
        }
        self.id == other.id
    }
}

/// The 46 columns of 5.4; column 7, effectiveDate, is left empty.
fn content(position: &Position, placement: &Placement, person: Option<&Person>, trainee: &Trainee) -> Vec<Cell> {
    let contact = |name: &str| person.map(|person| person.text("contactDetails", name)).unwrap_or_default();
    let personal = |name: &str| person.map(|person| person.text("personalDetails", name)).unwrap_or_default();
    let country = values::country(&contact("country"));
    let mut cells = vec![
        bare("APP"),
        bare(""),
        text(""),
        text(&position.dpn_text),
        bare(position.id.to_string()),
        text(&position.number),
        bare(""),
        date(Some(placement.start)),
        date(placement.end),
        text(values::title(&contact("title"))),
        text(&trainee.last_name),
        text(&trainee.first_name),
        text(""),
        text(contact("maidenName")),
        date(person.and_then(|person| person.date("personalDetails", "dateOfBirth"))),
        text(values::gender(&personal("gender"))),
        text(values::marital_status(&personal("maritalStatus"))),
        text(&trainee.email),
        text(contact("telephoneNumber")),
        text(contact("mobileNumber")),
        text(contact("address1")),
        text(contact("address2")),
        text(contact("address3")),
        text(contact("address4")),
        text(""),
        text(values::postcode(&contact("postCode"), &country)),
        text(&country),
        text(values::ethnic_origin(&personal("ethnicOrigin"))),
        text(values::nationality(&personal("nationality"))),
        text(""),
        text(personal("nationalInsuranceNumber")),
        text(""),
        text(values::religion(&personal("religiousBelief"))),
        text(values::orientation(&personal("sexualOrientation"))),
        text(values::disability(&personal("disability"))),
    ];
    cells.extend(bodies(person, trainee));
    cells.extend((42..=46).map(|_| text("")));
    cells
}

/// GMC then GDC in the first free slots, with the end of the registration (D23).
fn bodies(person: Option<&Person>, trainee: &Trainee) -> Vec<Cell> {
    let until = |section: &str, name: &str| person?.date(section, name).and_then(snapshot::end);
    let expiry = |section: &str, name: &str| date(until(section, name));
    let mut cells = Vec::new();
    if !trainee.gmc.is_empty() {
        cells.extend([text("General Medical Council"), text(&trainee.gmc), expiry("gmcDetails", "gmcEndDate")]);
    }
    if !trainee.gdc.is_empty() {
        cells.extend([text("General Dental Council"), text(&trainee.gdc), expiry("gdcDetails", "gdcEndDate")]);
    }
    while cells.len() < 6 {
        cells.extend([text(""), text(""), bare("")]);
    }
    cells
}
