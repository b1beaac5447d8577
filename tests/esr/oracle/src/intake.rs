//! Files from ESR: names, lines, positions, and the confirmation (RTC) of each file (sections 2, 3, D3-D12, D53).

use std::collections::{BTreeMap, BTreeSet};

use crate::columns::{Reading, read_line, split};
use crate::rows::{bare, line, text};
use crate::world::{Arrival, Position, fold};
use crate::{Clock, InboundFile, Oracle, Outcome};

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
    Refused,
    Ignored,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Processed => "processed",
            Status::Parked => "parked",
            Status::Refused => "refused",
            Status::Ignored => "ignored",
        }
    }
}

/// `DE_<ddd>_<ttt>_<YYYYMMDD>_<n>.DAT`, in the order in which files are taken in (D9).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FileName {
    date: String,
    number: u64,
    by_changes_file: bool,
    office: String,
    name: String,
}

impl FileName {
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
    reason: &'static str,
}

impl Oracle {
    pub(crate) fn take_in(&mut self, files: &[(String, Vec<u8>)], clock: &Clock, outcome: &mut Outcome) {
        let mut names: Vec<(FileName, &Vec<u8>)> = files
            .iter()
            .filter_map(|(name, content)| Some((FileName::parse(name)?, content)))
            .filter(|(name, _)| self.serving.contains(&name.office))
            .collect();
        names.sort();
        for (name, content) in names {
            let status = self.take_in_file(&name, content, clock, outcome);
            outcome.inbound.push(InboundFile { name: name.name, status: status.name().to_owned() });
        }
    }

    fn take_in_file(&mut self, name: &FileName, content: &[u8], clock: &Clock, outcome: &mut Outcome) -> Status {
        match self.intake.files.get(&name.name) {
            Some((known, _)) if known == content => return Status::Ignored,
            Some((_, Status::Processed)) => return Status::Refused,
            _ => {}
        }
        let lines = lines_of(content);
        let status = if is_suspect(name, &lines) { Status::Parked } else { Status::Processed };
        self.intake.files.insert(name.name.clone(), (content.to_owned(), status));
        if status == Status::Parked {
            return status;
        }
        let records = &lines[1..lines.len() - 1];
        let checked: Vec<Checked> =
            records.iter().map(|(number, bytes)| self.take_in_line(name, *number, bytes)).collect();
        self.confirm(name, &checked, clock, outcome);
        status
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
            reason: if reading.utf8 { "" } else { "read as Windows-1252" },
        };
        if let Err(reason) = self.apply_line(name, bytes.len(), &reading, &mut checked) {
            checked.verdict = Verdict::Rejected;
            checked.reason = reason;
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
        if dpn.is_empty() && !self.world.positions.contains_key(&id) {
            return Err("DPN missing");
        }
        if dpn.is_empty() {
            checked.verdict = Verdict::Warned;
            checked.reason = "DPN missing: no longer paired";
        } else if !field(office_column).is_empty()
            && field(office_column) != name.office
            && checked.verdict == Verdict::Accepted
        {
            checked.verdict = Verdict::Noted;
            checked.reason = "managing office differs";
        }
        self.save_position(name, checked.number, id, field(4) == "D", field(5), dpn);
        Ok(())
    }

    /// The line that came last decides (D6, D7).
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
            arrival,
        };
        self.world.positions.insert(id, position);
    }

    /// Writes the RTC of a file, unless another file already took its name (D12).
    fn confirm(&mut self, name: &FileName, checked: &[Checked], clock: &Clock, outcome: &mut Outcome) {
        let file = format!("DE_{}_RTC_{}_{:08}.DAT", name.office, name.date, name.number);
        if !self.intake.confirmations.insert(file.clone()) {
            return;
        }
        let mut rows: Vec<String> = checked.iter().filter_map(record_row).collect();
        let kinds: BTreeSet<&str> = checked.iter().map(|line| line.kind.as_str()).collect();
        for kind in kinds {
            let received = checked.iter().filter(|line| line.kind == kind);
            let accepted = received.clone().filter(|line| line.verdict != Verdict::Rejected).count();
            rows.push(summary_row(kind, received.count(), accepted));
        }
        self.write("RTC", &name.office, &file, clock, &rows, outcome);
    }
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
        text(checked.reason),
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

/// The lines that are not blank, with their numbers.
fn lines_of(content: &[u8]) -> Vec<(usize, Vec<u8>)> {
    content
        .split(|byte| *byte == b'\n')
        .enumerate()
        .map(|(index, line)| (index + 1, line.strip_suffix(b"\r").unwrap_or(line).to_owned()))
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .collect()
}

/// D10: header that disagrees with the name, no header or trailer, wrong count.
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
}
