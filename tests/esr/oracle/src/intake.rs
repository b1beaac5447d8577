//! Files from ESR: names, lines, positions, and the confirmation (RTC) of each file (sections 2, 3, D3-D12, D53, D93,
//! D94).

use std::collections::{BTreeMap, BTreeSet};

use crate::columns::{Reading, read_line, split};
use crate::rows::{bare, line, text};
use crate::world::{Arrival, Position, fold};
use crate::{Batch, Clock, Decision, Disorder, InboundFile, Oracle, Outcome};

/// Record types of the ASG family: parsed and counted.
const PERSON_TYPES: [&str; 5] = ["ASG", "PER", "ADD", "ABS", "PBD"];
const LONGEST_LINE: usize = 8 * 1024;

/// What is remembered of files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Content and status of every file taken in or parked.
    files: BTreeMap<String, (Vec<u8>, Status)>,
    confirmations: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Processed,
    Parked,
    /// Parked, and accepted by an operator: it is read once more.
    Accepted,
    Refused,
    Ignored,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Processed => "processed",
            Status::Parked | Status::Accepted => "parked",
            Status::Refused => "refused",
            Status::Ignored => "ignored",
        }
    }
}

/// `DE_<ddd>_<ttt>_<YYYYMMDD>_<n>.DAT`, in the order in which files are taken in (D9).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileName {
    date: String,
    number: u64,
    by_changes_file: bool,
    office: String,
    name: String,
}

impl FileName {
    /// The order of D9; the count of digits in a name says nothing.
    fn is_older_than(&self, other: &FileName) -> bool {
        let order = |name: &FileName| (name.date.clone(), name.number, name.by_changes_file, name.office.clone());
        order(self) < order(other)
    }

    fn parse(name: &str) -> Option<FileName> {
        let parts: Vec<&str> = name.strip_suffix(".DAT")?.split('_').collect();
        let ["DE", office, kind, date, number] = parts[..] else {
            return None;
        };
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !["RMF", "RMC"].contains(&kind) || date.len() != 8 || !digits(date) {
            return None;
        }
        if !(7..=8).contains(&number.len()) || !digits(number) {
            return None;
        }
        Some(FileName {
            date: date.to_owned(),
            number: number.parse().ok()?,
            by_changes_file: kind == "RMC",
            office: office.to_owned(),
            name: name.to_owned(),
        })
    }
}

/// How a line fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Accepted,
    Noted,
    Warned,
    Rejected,
}

/// A line of the confirmation in the making.
struct Checked {
    number: usize,
    kind: String,
    id: Option<u64>,
    dpn: String,
    verdict: Verdict,
    reason: String,
    overtaken: bool,
}

impl Oracle {
    pub(crate) fn take_in(&mut self, batch: &Batch, clock: &Clock, outcome: &mut Outcome) {
        for (name, decision) in &batch.decisions {
            self.decide(name, *decision, clock, outcome);
        }
        // A file that was accepted still lies in the inbox, unless it was replaced.
        let is_replaced = |name: &String| batch.files.iter().any(|(file, _)| file == name);
        let accepted =
            self.intake.files.iter().filter(|(name, (_, status))| *status == Status::Accepted && !is_replaced(name));
        let accepted = accepted.map(|(name, (content, _))| (name.clone(), content.clone()));
        let mut names: Vec<(FileName, Vec<u8>)> = accepted
            .chain(batch.files.iter().cloned())
            .filter_map(|(name, content)| Some((FileName::parse(&name)?, content)))
            .filter(|(name, _)| self.serving.contains(&name.office))
            .collect();
        names.sort();
        for (name, content) in names {
            let status = self.take_in_file(&name, &content, clock, outcome);
            outcome.inbound.push(InboundFile { name: name.name, status: status.name().to_owned() });
        }
        self.name_parked(outcome);
    }

    /// D109: a parked file is named at each run until it is decided about, also when it comes again.
    fn name_parked(&self, outcome: &mut Outcome) {
        for (name, _) in self.intake.files.iter().filter(|(_, (_, status))| *status == Status::Parked) {
            let parked = InboundFile { name: name.clone(), status: Status::Parked.name().to_owned() };
            outcome.inbound.retain(|file| file.name != *name);
            outcome.inbound.push(parked);
        }
    }

    /// D10: only of a parked file.
    fn decide(&mut self, name: &str, decision: Decision, clock: &Clock, outcome: &mut Outcome) {
        let Some((_, status)) = self.intake.files.get_mut(name).filter(|(_, status)| *status == Status::Parked) else {
            return;
        };
        if decision == Decision::Accept {
            *status = Status::Accepted;
            return;
        }
        *status = Status::Refused;
        outcome.inbound.push(InboundFile { name: name.to_owned(), status: Status::Refused.name().to_owned() });
        if let Some(name) = FileName::parse(name) {
            self.confirm(&name, &[refusal_row()], clock, outcome);
        }
    }

    fn take_in_file(&mut self, name: &FileName, content: &[u8], clock: &Clock, outcome: &mut Outcome) -> Status {
        let mut accepted = false;
        match self.intake.files.get(&name.name) {
            Some((known, Status::Accepted)) if known == content => accepted = true,
            Some((known, _)) if known == content => return Status::Ignored,
            Some((_, Status::Processed | Status::Refused)) => return Status::Refused,
            Some(_) => {}
            None => {
                let disorder = self.number_disorder(name);
                outcome.disorder.extend(disorder.map(|disorder| (name.name.clone(), disorder)));
            }
        }
        let lines = lines_of(content);
        let status = if !accepted && is_suspect(name, &lines) { Status::Parked } else { Status::Processed };
        self.intake.files.insert(name.name.clone(), (content.to_owned(), status));
        if status == Status::Parked {
            return status;
        }
        // An accepted file may have no header, or no trailer.
        let is_record = |bytes: &[u8]| ![b"HDR".as_slice(), b"TRL"].iter().any(|kind| bytes.starts_with(kind));
        let records = lines.iter().filter(|(_, bytes)| is_record(bytes));
        let checked: Vec<Checked> = records.map(|(number, bytes)| self.take_in_line(name, *number, bytes)).collect();
        if checked.iter().any(|line| line.overtaken) {
            outcome.disorder.insert((name.name.clone(), Disorder::Overtaken));
        }
        self.confirm(name, &rows_of(&checked), clock, outcome);
        status
    }

    /// D94, of a file whose name comes for the first time: beside the files that were there before, parked ones too.
    fn number_disorder(&self, name: &FileName) -> Option<Disorder> {
        let known: Vec<FileName> = self.intake.files.keys().filter_map(|name| FileName::parse(name)).collect();
        let of_office: Vec<&FileName> = known.iter().filter(|other| other.office == name.office).collect();
        let of_type = || of_office.iter().filter(|other| other.by_changes_file == name.by_changes_file);
        let earlier = of_type().filter(|other| **other < name).max();
        let later = of_type().filter(|other| **other > name).min();
        if [earlier, later].into_iter().flatten().any(|other| other.number == name.number) {
            return Some(Disorder::Repeated);
        }
        if later.is_some() {
            return Some(Disorder::Late);
        }
        if earlier.is_some_and(|earlier| earlier.number > name.number) {
            return Some(Disorder::GoesBack);
        }
        // D101: the first file of a type follows the other type, and a number of the other type is not missing.
        let previous = earlier.or(of_office.iter().filter(|other| **other < name).max())?;
        let is_missing = |number: u64| of_office.iter().all(|other| other.number != number);
        (previous.number + 1..name.number).any(is_missing).then_some(Disorder::Missing)
    }

    fn take_in_line(&mut self, name: &FileName, number: usize, bytes: &[u8]) -> Checked {
        let reading = read_line(bytes);
        let kind = reading.text.split(',').next().unwrap_or_default().trim().to_owned();
        let mut checked = Checked {
            number,
            kind,
            id: None,
            dpn: String::new(),
            verdict: if reading.utf8 { Verdict::Accepted } else { Verdict::Noted },
            reason: if reading.utf8 { String::new() } else { "read as Windows-1252".to_owned() },
            overtaken: false,
        };
        if let Err(reason) = self.apply_line(name, bytes.len(), &reading, &mut checked) {
            checked.verdict = Verdict::Rejected;
            reason.clone_into(&mut checked.reason);
        }
        checked
    }

    fn apply_line(
        &mut self,
        name: &FileName,
        length: usize,
        reading: &Reading,
        checked: &mut Checked,
    ) -> Result<(), &'static str> {
        if length > LONGEST_LINE {
            return Err("line too long");
        }
        let fields = split(&reading.text).ok_or("malformed line")?;
        if PERSON_TYPES.contains(&checked.kind.as_str()) {
            return Ok(());
        }
        let (columns, dpn_column, office_column) = match checked.kind.as_str() {
            "POS" => (16, 10, 11),
            "POR" => (13, 7, 8),
            _ => return Err("unknown record type"),
        };
        let field = |column: usize| fields.get(column - 1).map(|field| field.trim()).unwrap_or_default();
        checked.id = numeric(field(2), 15);
        if fields.len() != columns {
            return Err("wrong number of columns");
        }
        let dpn = field(dpn_column);
        if dpn.chars().count() > 30 {
            return Err("DPN too long");
        }
        dpn.clone_into(&mut checked.dpn);
        let id = checked.id.ok_or("position id is not a number")?;
        if !["C", "D", ""].contains(&field(4)) {
            return Err("unknown indicator");
        }
        if !field(5).is_empty() && numeric(field(5), 10).is_none() {
            return Err("position number is not a number");
        }
        let newer = self.world.positions.get(&id).map(|known| &known.file).filter(|file| name.is_older_than(file));
        if let Some(newer) = newer {
            // D93: accepted, and nothing changes.
            checked.verdict = Verdict::Warned;
            checked.reason = format!("overtaken by {}", newer.name);
            checked.overtaken = true;
            return Ok(());
        }
        if dpn.is_empty() && !self.world.positions.contains_key(&id) {
            return Err("DPN missing");
        }
        if dpn.is_empty() {
            checked.verdict = Verdict::Warned;
            "DPN missing: no longer paired".clone_into(&mut checked.reason);
        } else if !field(office_column).is_empty()
            && field(office_column) != name.office
            && checked.verdict == Verdict::Accepted
        {
            checked.verdict = Verdict::Noted;
            "managing office differs".clone_into(&mut checked.reason);
        }
        self.save_position(name, checked.number, id, field(4) == "D", field(5), dpn);
        Ok(())
    }

    /// The last line of the newest file decides (D6, D7, D93).
    fn save_position(&mut self, name: &FileName, line: usize, id: u64, deleted: bool, number: &str, dpn: &str) {
        let before = self.world.positions.get(&id);
        let stayed =
            before.is_some_and(|before| !before.deleted && before.office == name.office && before.dpn == fold(dpn));
        let arrival = match before {
            Some(before) if stayed => before.arrival.clone(),
            _ => Arrival {
                date: name.date.clone(),
                number: name.number,
                by_changes_file: name.by_changes_file,
                line,
                moved_office: before.is_some_and(|before| before.office != name.office),
            },
        };
        let number = match before {
            Some(before) if number.is_empty() => before.number.clone(),
            _ => number.to_owned(),
        };
        let position = Position {
            id,
            office: name.office.clone(),
            dpn_text: dpn.to_owned(),
            dpn: fold(dpn),
            number,
            deleted,
            file: name.clone(),
            arrival,
        };
        self.world.positions.insert(id, position);
    }

    /// Writes the RTC of a file, unless another file already took its name (D12).
    fn confirm(&mut self, name: &FileName, rows: &[String], clock: &Clock, outcome: &mut Outcome) {
        let file = format!("DE_{}_RTC_{}_{:08}.DAT", name.office, name.date, name.number);
        if self.intake.confirmations.insert(file.clone()) {
            self.write("RTC", &name.office, &file, clock, rows, outcome);
        }
    }
}

/// The rows of the RTC of a file that was taken in.
fn rows_of(checked: &[Checked]) -> Vec<String> {
    let mut rows: Vec<String> = checked.iter().filter_map(record_row).collect();
    let kinds: BTreeSet<&str> = checked.iter().map(|line| line.kind.as_str()).collect();
    for kind in kinds {
        let received = checked.iter().filter(|line| line.kind == kind);
        let accepted = received.clone().filter(|line| line.verdict != Verdict::Rejected).count();
        rows.push(summary_row(kind, received.count(), accepted));
    }
    rows
}

/// The row of a file that an operator refuses.
fn refusal_row() -> String {
    let cells = [bare("RTC"), bare("RECORD"), text("HDR"), bare("1"), bare(""), text(""), text("FAIL"), text("ERROR")];
    line(&[cells.as_slice(), &[text("refused"), bare(""), bare("")]].concat())
}

fn record_row(checked: &Checked) -> Option<String> {
    let (status, severity) = match checked.verdict {
        Verdict::Accepted => return None,
        Verdict::Noted => ("SUCCESS", "INFO"),
        Verdict::Warned => ("SUCCESS", "WARNING"),
        Verdict::Rejected => ("FAIL", "ERROR"),
    };
    Some(line(&[
        bare("RTC"),
        bare("RECORD"),
        text(&checked.kind),
        bare(checked.number.to_string()),
        bare(checked.id.map(|id| id.to_string()).unwrap_or_default()),
        text(&checked.dpn),
        text(status),
        text(severity),
        text(&checked.reason),
        bare(""),
        bare(""),
    ]))
}

fn summary_row(kind: &str, received: usize, accepted: usize) -> String {
    line(&[
        bare("RTC"),
        bare("SUMMARY"),
        text(kind),
        bare(""),
        bare(""),
        text(""),
        text(""),
        text(""),
        text(""),
        bare(received.to_string()),
        bare(accepted.to_string()),
    ])
}

fn numeric(text: &str, digits: usize) -> Option<u64> {
    let all_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if text.is_empty() || text.len() > digits || !all_digits {
        return None;
    }
    text.parse().ok()
}

/// The lines that are not blank, with their numbers. Padding after a trailer is no line (D110).
fn lines_of(content: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let mut end = content.len();
    while end > 0 && b"\0\x1A \t\r\n".contains(&content[end - 1]) {
        end -= 1;
    }
    let last_line = content[..end].split(|byte| *byte == b'\n').next_back().unwrap_or_default();
    let padded = last_line.starts_with(b"TRL,");
    (if padded { &content[..end] } else { content })
        .split(|byte| *byte == b'\n')
        .enumerate()
        .map(|(index, line)| (index + 1, line.strip_suffix(b"\r").unwrap_or(line).to_owned()))
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .collect()
}

/// Whether a file with this name and content is suspect.
pub(crate) fn is_to_be_parked(name: &str, content: &[u8]) -> bool {
    FileName::parse(name).is_some_and(|name| is_suspect(&name, &lines_of(content)))
}

/// D10: header that disagrees with the name, no header or trailer, wrong count. D110: a header or trailer elsewhere.
fn is_suspect(name: &FileName, lines: &[(usize, Vec<u8>)]) -> bool {
    let fields =
        |line: Option<&(usize, Vec<u8>)>| line.and_then(|(_, bytes)| split(&read_line(bytes).text)).unwrap_or_default();
    let header = fields(lines.first());
    let trailer = fields(lines.last());
    let field = |fields: &[String], column: usize| {
        fields.get(column - 1).map(|field| field.trim().to_owned()).unwrap_or_default()
    };
    field(&header, 1) != "HDR"
        || field(&header, 2) != name.name
        || field(&header, 4) != name.office
        || field(&trailer, 1) != "TRL"
        || numeric(&field(&trailer, 2), 15) != Some(lines.len() as u64)
        || lines[1..lines.len() - 1].iter().any(|(_, line)| line.starts_with(b"HDR,") || line.starts_with(b"TRL,"))
}
