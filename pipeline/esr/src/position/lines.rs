//! POS and POR lines: how they change a stored position (R3, R5, R6, D5-D8).

use tributary_runtime::{Output, ProcessError};
use tributary_schemas::records::esr::{FileEnd, LineVerdict, PositionFileDone, PositionLine, ReconciliationLine};
use tributary_schemas::records::tributary::Severity;
use tributary_schemas::types::esr::PositionId;

use super::state::{Description, LineKey};
use super::{Positions, StoredPosition};
use crate::context::fold_deanery_number;
use crate::format::name::FileNameError;
use crate::format::{FileKind, FileName};
use crate::topics;

/// Positions named as examples in the report of D8.
const UNNAMED_EXAMPLES: usize = 20;

/// What a verdict says of lines of a record type.
struct LineKind {
    record_type: &'static str,
    deanery_number_column: i32,
}

const POS: LineKind = LineKind { record_type: "POS", deanery_number_column: 10 };
const POR: LineKind = LineKind { record_type: "POR", deanery_number_column: 7 };

impl Positions {
    pub(super) fn position_line(&mut self, line: &PositionLine, output: &mut Output) -> Result<(), ProcessError> {
        self.take(&POS, line, output, |description| {
            description.staff_group.clone_from(&line.staff_group);
            description.position_title.clone_from(&line.position_title);
            description.occupation_code.clone_from(&line.occupation_code);
            description.area_of_work.clone_from(&line.area_of_work);
            description.ods_code.clone_from(&line.ods_code);
        })
    }

    /// A POR line decides by the same fields as a POS line; only what is kept of the others differs (D7).
    pub(super) fn reconciliation_line(
        &mut self,
        line: ReconciliationLine,
        output: &mut Output,
    ) -> Result<(), ProcessError> {
        let deciding = PositionLine {
            file_name: line.file_name,
            line: line.line,
            office: line.office,
            position_id: line.position_id,
            delete: line.delete,
            position_number: line.position_number,
            deanery_number: line.deanery_number,
            ..PositionLine::default()
        };
        self.take(&POR, &deciding, output, |description| {
            description.position_title = line.position_title;
            description.host_lead_indicator = line.host_lead_indicator;
            description.ods_code = line.ods_code;
            description.employing_vpd = line.employing_vpd;
            description.esr_organisation = line.esr_organisation;
        })
    }

    fn take(
        &mut self,
        kind: &LineKind,
        line: &PositionLine,
        output: &mut Output,
        describe: impl FnOnce(&mut Description),
    ) -> Result<(), ProcessError> {
        let full = is_full_file(&line.file_name)?;
        let old = self.stored.get(&line.position_id).cloned();
        if line.deanery_number.is_empty() && !self.empty_number(kind, line, old.is_some()) {
            return Ok(());
        }
        let mut new = merge(old.as_ref(), line, full);
        describe(&mut new.description);
        let moved = old.as_ref().is_some_and(|old| old.office != new.office);
        if let Some(old) = old.as_ref().filter(|_| moved) {
            let text = format!(
                "position {} moved from {} to {} by line {} of {}: unexported applicant records are withdrawn in {}",
                line.position_id, old.office, new.office, line.line, line.file_name, old.office
            );
            self.context.alert(output, Severity::Warning, "position-moved-office", &line.position_id.to_string(), text);
        }
        self.replace(line.position_id, old, new, output);
        Ok(())
    }

    /// D5: an empty DPN ends the pairing of a known position and is an error for an unknown one.
    fn empty_number(&mut self, kind: &LineKind, line: &PositionLine, known: bool) -> bool {
        let (severity, text) = if known {
            (Severity::Warning, "the deanery number is empty: the pairing of the position has ended")
        } else {
            (Severity::Error, "the deanery number is empty and the position is not known")
        };
        let verdict = LineVerdict {
            line: line.line,
            record_type: kind.record_type.to_owned(),
            id: Some(line.position_id.0),
            deanery_number: String::new(),
            accepted: known,
            severity,
            column: kind.deanery_number_column,
            text: text.to_owned(),
        };
        self.verdicts.put(LineKey { file_name: line.file_name.clone(), line: line.line }, verdict);
        known
    }

    /// Answers the end of a file with the verdicts of this partition and the report of D8.
    pub(super) fn file_done(&mut self, end: &FileEnd, output: &mut Output) -> Result<(), ProcessError> {
        let key = |line| LineKey { file_name: end.file_name.clone(), line };
        let verdicts: Vec<(LineKey, LineVerdict)> = self
            .verdicts
            .range(key(i32::MIN)..=key(i32::MAX))
            .map(|(key, verdict)| (key.clone(), verdict.clone()))
            .collect();
        let unnamed = if is_full_file(&end.file_name)? { self.unnamed(end) } else { Vec::new() };
        let done = PositionFileDone {
            file_name: end.file_name.clone(),
            partition: self.partition,
            partitions: output.partition_count(&topics::POSITION_INBOX),
            verdicts: verdicts.iter().map(|(_, verdict)| verdict.clone()).collect(),
            unnamed: unnamed.len() as i64,
            unnamed_examples: unnamed.iter().take(UNNAMED_EXAMPLES).map(|id| id.0).collect(),
        };
        self.context.send(output, &topics::INBOUND, end.file_name.as_bytes(), &done);
        for (key, _) in verdicts {
            self.verdicts.delete(key);
        }
        Ok(())
    }

    /// Positions of the office that a full file does not name (D8).
    fn unnamed(&self, end: &FileEnd) -> Vec<PositionId> {
        let missing = |position: &StoredPosition| {
            position.office == end.office && !position.deleted && position.last_full_file != end.file_name
        };
        self.stored.iter().filter(|(_, position)| missing(position)).map(|(id, _)| *id).collect()
    }
}

/// The position after this line: the line that came last decides deletion, DPN, office and number (D6, D7).
fn merge(old: Option<&StoredPosition>, line: &PositionLine, full_file: bool) -> StoredPosition {
    let mut new = old.cloned().unwrap_or_default();
    let was_live = new.is_live();
    let old_number = fold_deanery_number(&new.deanery_number);
    let moved = old.is_some_and(|old| old.office != line.office);
    new.office.clone_from(&line.office);
    new.deleted = line.delete;
    new.deanery_number.clone_from(&line.deanery_number);
    if line.position_number.is_some() {
        new.position_number.clone_from(&line.position_number);
    }
    if full_file {
        new.last_full_file.clone_from(&line.file_name);
    }
    let becomes_live = new.is_live() && (!was_live || old_number != fold_deanery_number(&new.deanery_number));
    if moved || becomes_live {
        new.cause_file.clone_from(&line.file_name);
        new.cause_line = line.line;
        new.cause_moved = moved;
    }
    new
}

/// Whether the file names all positions of its office (D8).
fn is_full_file(file_name: &str) -> Result<bool, ProcessError> {
    let name: FileName = file_name
        .parse()
        .map_err(|error: FileNameError| ProcessError::dead_letter("not-a-file-name", error.to_string()))?;
    Ok(name.kind == FileKind::Rmf)
}
