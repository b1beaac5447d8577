//! How POS and POR lines change a stored position (R3, R5, R6, D5-D8, D93).

use tributary_runtime::Output;
use tributary_schemas::records::esr::{FileEnd, LineVerdict, PositionFileDone, PositionLine, ReconciliationLine};
use tributary_schemas::records::tributary::Severity;
use tributary_schemas::types::esr::PositionId;
use tributary_schemas::types::tis::Dpn;

use super::state::Description;
use super::{PositionStage, StoredPosition};
use crate::dpn::FoldedDpn;
use crate::format::{FileKind, FileName, LineKey, Office};
use crate::topics;

/// Most positions that the report of D8 names as examples.
const UNNAMED_EXAMPLES: usize = 20;

/// Most verdicts in one record. A late full file can have a verdict about every line, and Kafka limits the size of a
/// record.
const VERDICTS_OF_RECORD: usize = 1_000;

/// The facts about a record type that a verdict contains.
struct LineKind {
    record_type: &'static str,
    dpn_column: i32,
}

const POS: LineKind = LineKind { record_type: "POS", dpn_column: 10 };
const POR: LineKind = LineKind { record_type: "POR", dpn_column: 7 };

/// The deciding fields of a POS or POR line.
struct Deciding {
    file: FileName,
    line: i32,
    office: Office,
    position_id: PositionId,
    delete: bool,
    position_number: Option<String>,
    dpn: Dpn,
}

impl PositionStage {
    pub(super) fn position_line(&mut self, line: PositionLine, output: &mut Output) {
        let deciding = Deciding {
            file: line.file_name,
            line: line.line,
            office: line.office,
            position_id: line.position_id,
            delete: line.delete,
            position_number: line.position_number,
            dpn: line.dpn,
        };
        self.take(&POS, deciding, output, |description| {
            description.staff_group = line.staff_group;
            description.position_title = line.position_title;
            description.occupation_code = line.occupation_code;
            description.area_of_work = line.area_of_work;
            description.ods_code = line.ods_code;
        });
    }

    /// Applies a POR line. It decides by the same fields as a POS line. Only the kept descriptive fields differ (D7).
    pub(super) fn reconciliation_line(&mut self, line: ReconciliationLine, output: &mut Output) {
        let deciding = Deciding {
            file: line.file_name,
            line: line.line,
            office: line.office,
            position_id: line.position_id,
            delete: line.delete,
            position_number: line.position_number,
            dpn: line.dpn,
        };
        self.take(&POR, deciding, output, |description| {
            description.position_title = line.position_title;
            description.host_lead_indicator = line.host_lead_indicator;
            description.ods_code = line.ods_code;
            description.employing_vpd = line.employing_vpd;
            description.esr_organisation = line.esr_organisation;
        });
    }

    fn take(&mut self, kind: &LineKind, line: Deciding, output: &mut Output, describe: impl FnOnce(&mut Description)) {
        let old = self.stored.get(&line.position_id).cloned();
        if let Some(newer) = old.as_ref().and_then(|old| old.overtakes(line.file)) {
            self.overtaken(kind, line, newer);
            return;
        }
        if line.dpn.is_empty() && !self.empty_dpn(kind, &line, old.is_some()) {
            return;
        }
        let position_id = line.position_id;
        let (file, at) = (line.file, line.line);
        let mut new = merge(old.as_ref(), line);
        describe(&mut new.description);
        let moved = old.as_ref().is_some_and(|old| old.office != new.office);
        if let Some(old) = old.as_ref().filter(|_| moved) {
            let text = format!(
                "position {} moved from {} to {} by line {} of {}: unexported applicant records are withdrawn in {}",
                position_id, old.office, new.office, at, file, old.office
            );
            self.context.alert(output, Severity::Warning, "position-moved-office", &position_id.to_string(), text);
        }
        self.replace(position_id, old.as_ref(), new, output);
    }

    /// D93: a line that is older than the facts of its position is accepted, and changes nothing.
    fn overtaken(&mut self, kind: &LineKind, line: Deciding, newer: FileName) {
        let verdict = LineVerdict {
            line: line.line,
            record_type: kind.record_type.to_owned(),
            id: Some(line.position_id.0),
            dpn: line.dpn,
            accepted: true,
            severity: Severity::Warning,
            column: 0,
            text: format!("overtaken by {newer}"),
            overtaken_by: Some(newer),
        };
        self.verdicts.put(LineKey { file: line.file, line: line.line }, verdict);
    }

    /// D5: an empty DPN ends the pairing of a known position. For an unknown position it is an error. Returns whether
    /// the position is known.
    fn empty_dpn(&mut self, kind: &LineKind, line: &Deciding, known: bool) -> bool {
        let (severity, text) = if known {
            (Severity::Warning, "the deanery number is empty: the pairing of the position has ended")
        } else {
            (Severity::Error, "the deanery number is empty and the position is not known")
        };
        let verdict = LineVerdict {
            line: line.line,
            record_type: kind.record_type.to_owned(),
            id: Some(line.position_id.0),
            dpn: Dpn::default(),
            accepted: known,
            severity,
            column: kind.dpn_column,
            text: text.to_owned(),
            overtaken_by: None,
        };
        self.verdicts.put(LineKey { file: line.file, line: line.line }, verdict);
        known
    }

    /// Answers the end of a file with the verdicts of this partition and the report of D8.
    pub(super) fn file_done(&mut self, end: &FileEnd, output: &mut Output) {
        let key = |line| LineKey { file: end.file_name, line };
        let (keys, verdicts): (Vec<LineKey>, Vec<LineVerdict>) =
            self.verdicts.range(key(i32::MIN)..=key(i32::MAX)).map(|(key, verdict)| (*key, verdict.clone())).unzip();
        let mut parts = verdicts.chunks(VERDICTS_OF_RECORD);
        let last = parts.next_back().unwrap_or_default();
        for part in parts {
            let answer = self.answer(end.file_name, part, output);
            self.send_answer(&PositionFileDone { more: true, ..answer }, output);
        }
        let unnamed = if is_full(end.file_name) { self.unnamed(end) } else { Vec::new() };
        let answer = PositionFileDone {
            unnamed: unnamed.len() as i64,
            unnamed_examples: unnamed.iter().take(UNNAMED_EXAMPLES).map(|id| id.0).collect(),
            ..self.answer(end.file_name, last, output)
        };
        self.send_answer(&answer, output);
        for key in keys {
            self.verdicts.delete(key);
        }
    }

    fn answer(&self, file_name: FileName, verdicts: &[LineVerdict], output: &Output) -> PositionFileDone {
        PositionFileDone {
            partition: self.partition,
            partitions: output.partition_count(&topics::POSITION_INBOX),
            verdicts: verdicts.to_vec(),
            ..PositionFileDone::of(file_name)
        }
    }

    fn send_answer(&self, answer: &PositionFileDone, output: &mut Output) {
        self.context.send(output, &topics::INBOUND, answer.file_name.to_string().as_bytes(), answer);
    }

    /// Positions of the office that a full file does not name (D8). A late full file does not need to name a position
    /// whose facts are newer (D93).
    fn unnamed(&self, end: &FileEnd) -> Vec<PositionId> {
        let missing = |position: &StoredPosition| {
            position.office == end.office
                && !position.deleted
                && position.last_full_file != Some(end.file_name)
                && position.overtakes(end.file_name).is_none()
        };
        self.stored.iter().filter(|(_, position)| missing(position)).map(|(id, _)| *id).collect()
    }
}

/// The position after this line. The last line of the newest file decides about deletion, DPN, office and number (D6,
/// D7, D93).
fn merge(old: Option<&StoredPosition>, line: Deciding) -> StoredPosition {
    let mut new = old.cloned().unwrap_or_else(|| StoredPosition::new(line.office));
    let was_live = new.is_live();
    let old_dpn = FoldedDpn::of(&new.dpn);
    let moved = new.office != line.office;
    new.office = line.office;
    new.deleted = line.delete;
    new.dpn = line.dpn;
    if line.position_number.is_some() {
        new.position_number = line.position_number;
    }
    new.facts_file = Some(line.file);
    if is_full(line.file) {
        new.last_full_file = Some(line.file);
    }
    let becomes_live = new.is_live() && (!was_live || old_dpn != FoldedDpn::of(&new.dpn));
    if moved || becomes_live {
        new.cause_file = Some(line.file);
        new.cause_line = line.line;
        new.cause_moved = moved;
    }
    new
}

/// Whether the file names all positions of its office (D8).
fn is_full(file: FileName) -> bool {
    file.kind == FileKind::Rmf
}
