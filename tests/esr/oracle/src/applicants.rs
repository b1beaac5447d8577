//! Applicant records and the APP file (sections 5.1-5.4, A1-A12, D14, D20-D27).

use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::Date;

use crate::rows::{Cell, bare, date, line, text};
use crate::values;
use crate::world::{Person, Placement, Position};
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
    /// Run that exported it.
    pub(crate) exported_in: u32,
    /// Columns without effectiveDate at the last run at which it was live, and its effectiveDate then (D20).
    content: Option<(Vec<Cell>, Date)>,
}

/// A record that holds now.
struct Candidate {
    key: RecordKey,
    start: Date,
    dpn: String,
    /// The person as ESR sees it (D24).
    person: String,
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
        let candidates = self.candidates(office, today);
        self.withdraw(office, &candidates);
        let mut open = Vec::new();
        for candidate in candidates {
            let record = self.records.get(&candidate.key);
            let effective = match record.and_then(|record| record.content.as_ref()) {
                Some((content, since)) if *content == candidate.content => *since,
                _ => today,
            };
            let status = if !candidate.complete {
                Status::InvalidData
            } else if candidate.start < window_start(today) {
                Status::MissedWindow
            } else {
                Status::ToExport
            };
            let record =
                Record { status, file: None, exported_in: 0, content: Some((candidate.content.clone(), effective)) };
            self.records.insert(candidate.key.clone(), record);
            if status == Status::ToExport && candidate.start < window_end(today) {
                open.push((candidate, effective));
            }
        }
        self.export(office, open, clock, outcome);
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
                record.exported_in = self.run;
            }
        }
    }

    /// Every record that holds now for an office and is not exported. Those that TIS knows as exported become so (D14).
    fn candidates(&mut self, office: &str, today: Date) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        let mut told = Vec::new();
        for position in self.world.positions.values() {
            if position.deleted || position.office != office {
                continue;
            }
            for placement in self.world.approved(&position.dpn) {
                let key = (placement.id, position.id, placement.trainee, office.to_owned());
                if self.is_exported(&key) || self.has_no_record(&key, placement, today) {
                    continue;
                }
                if let Some(file) = self.events.get(&(placement.id, position.id, placement.trainee)) {
                    told.push((key, file.clone()));
                    continue;
                }
                candidates.push(self.candidate(key, position, placement));
            }
        }
        for (key, file) in told {
            let record = Record { status: Status::Exported, file: Some(file), exported_in: 0, content: None };
            self.records.insert(key, record);
        }
        candidates
    }

    /// A record that was exported once stays exported, also if the position has moved since.
    fn is_exported(&self, key: &RecordKey) -> bool {
        self.records.iter().any(|(other, record)| {
            (other.0, other.1, other.2) == (key.0, key.1, key.2) && record.status == Status::Exported
        })
    }

    /// Base-line placements that had begun (D1), and placements that ended before their record came up or came back
    /// (D25).
    fn has_no_record(&self, key: &RecordKey, placement: &Placement, today: Date) -> bool {
        if self.began_before_baseline(placement.id, placement.trainee, &placement.dpn) {
            return true;
        }
        let waiting = self.records.get(key).is_some_and(|record| record.status != Status::DeletedBeforeExport);
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
            }
        }
    }

    fn candidate(&self, key: RecordKey, position: &Position, placement: &Placement) -> Candidate {
        let person = self.world.people.get(&placement.trainee);
        let trainee = Trainee::of(placement, person);
        let gdc =
            person.map(|person| values::regulator_number(&person.text("gdcDetails", "gdcNumber"))).unwrap_or_default();
        let identity = if !trainee.gmc.is_empty() {
            format!("GMC {}", trainee.gmc)
        } else if !gdc.is_empty() {
            format!("GDC {gdc}")
        } else {
            format!("person {}", placement.trainee)
        };
        let born = person.and_then(|person| person.date("personalDetails", "dateOfBirth"));
        Candidate {
            key,
            start: placement.start,
            dpn: position.dpn.clone(),
            person: identity,
            complete: !trainee.last_name.is_empty()
                && !trainee.first_name.is_empty()
                && born.is_some()
                && !position.number.is_empty(),
            content: content(position, placement, person, &trainee, &gdc),
        }
    }

    /// Whether a placement counts as exported for types 2 and 4 on a DPN of an office (D34).
    pub(crate) fn sent_as_applicant(&self, office: &str, dpn: &str, placement: u64, trainee: u64) -> bool {
        if self.began_before_baseline(placement, trainee, dpn) {
            return true;
        }
        let carries = |position: u64| {
            self.world.positions.get(&position).is_some_and(|position| position.office == office && position.dpn == dpn)
        };
        let by_record = self.records.iter().any(|(key, record)| {
            (key.0, key.2) == (placement, trainee)
                && record.status == Status::Exported
                && record.exported_in < self.run
                && carries(key.1)
        });
        let by_event = self.events.keys().any(|key| (key.0, key.2) == (placement, trainee) && carries(key.1));
        by_record || by_event
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
    pub(crate) email: String,
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
                email: String::new(),
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
            email: person.text("contactDetails", "email"),
        }
    }
}

/// The 46 columns of 5.4; column 7, effectiveDate, is left empty.
fn content(
    position: &Position,
    placement: &Placement,
    person: Option<&Person>,
    trainee: &Trainee,
    gdc: &str,
) -> Vec<Cell> {
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
    cells.extend(bodies(person, trainee, gdc));
    cells.extend((42..=46).map(|_| text("")));
    cells
}

/// GMC then GDC in the first free slots, with the end of the registration (D23).
fn bodies(person: Option<&Person>, trainee: &Trainee, gdc: &str) -> Vec<Cell> {
    let expiry = |section: &str, name: &str| date(person.and_then(|person| person.date(section, name)));
    let mut cells = Vec::new();
    if !trainee.gmc.is_empty() {
        cells.extend([text("General Medical Council"), text(&trainee.gmc), expiry("gmcDetails", "gmcEndDate")]);
    }
    if !gdc.is_empty() {
        cells.extend([text("General Dental Council"), text(gdc), expiry("gdcDetails", "gdcEndDate")]);
    }
    while cells.len() < 6 {
        cells.extend([text(""), text(""), bare("")]);
    }
    cells
}
