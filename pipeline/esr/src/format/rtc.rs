//! Rows of an RTC, the confirmation of one RMF or RMC (3.4, D53). It has a RECORD row for each line that was rejected,
//! warned about or noted, and a SUMMARY row with the counts of each record type. Other lines have no row.

use tributary_schemas::records::tributary::Severity;

use super::rows::{ConfirmationRow, Templates};
use super::write::Value;

/// The verdict about one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict<'a> {
    /// Line number in the confirmed file.
    pub line: u64,
    /// Record type of the line, if it could be read.
    pub record_type: &'a str,
    /// Position or person id, if it could be read.
    pub id: Option<i64>,
    /// DPN, if it could be read.
    pub dpn: &'a str,
    /// Whether the line was accepted.
    pub accepted: bool,
    /// How serious the finding is.
    pub severity: Severity,
    /// What was wrong or noted.
    pub text: &'a str,
}

/// Number of lines of a record type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count<'a> {
    /// The record type.
    pub record_type: &'a str,
    /// Lines received.
    pub received: u64,
    /// Lines accepted.
    pub accepted: u64,
}

/// All rows between header and trailer: RECORD rows by line, then SUMMARY rows by record type.
pub fn rows(templates: &Templates, verdicts: &[Verdict<'_>], counts: &[Count<'_>]) -> Vec<String> {
    let mut verdicts: Vec<&Verdict<'_>> = verdicts.iter().collect();
    // The sort is stable: several verdicts about one line keep their order.
    verdicts.sort_by_key(|verdict| verdict.line);
    let mut counts: Vec<&Count<'_>> = counts.iter().collect();
    counts.sort_by_key(|count| count.record_type);
    let records = verdicts.into_iter().map(|verdict| record_row(templates, verdict));
    records.chain(counts.into_iter().map(|count| summary_row(templates, count))).collect()
}

/// The row of one line that was rejected, warned about or noted.
pub fn record_row(templates: &Templates, verdict: &Verdict<'_>) -> String {
    let values = ConfirmationRow {
        row_kind: Value::Text("RECORD"),
        confirmed_type: Value::Text(verdict.record_type),
        line_number: number(verdict.line),
        record_id: Value::from(verdict.id),
        dpn: Value::Text(verdict.dpn),
        status: Value::Text(if verdict.accepted { "SUCCESS" } else { "FAIL" }),
        severity: Value::Text(verdict.severity.symbol()),
        text: Value::Text(verdict.text),
        ..ConfirmationRow::default()
    };
    row(templates, &values)
}

/// The row with the counts of one record type.
pub fn summary_row(templates: &Templates, count: &Count<'_>) -> String {
    let values = ConfirmationRow {
        row_kind: Value::Text("SUMMARY"),
        confirmed_type: Value::Text(count.record_type),
        received: number(count.received),
        accepted: number(count.accepted),
        ..ConfirmationRow::default()
    };
    row(templates, &values)
}

/// The only row of a file that an operator has refused as a whole (D10).
pub fn refused_file_row(templates: &Templates, reason: &str) -> String {
    let verdict = Verdict {
        line: 1,
        record_type: "HDR",
        id: None,
        dpn: "",
        accepted: false,
        severity: Severity::Error,
        text: reason,
    };
    record_row(templates, &verdict)
}

fn number(count: u64) -> Value<'static> {
    i64::try_from(count).map_or(Value::Empty, Value::Number)
}

/// Writes a row. A value that is too long is cut without an alert (D53), because it repeats a line from ESR, which is
/// kept unchanged.
fn row(templates: &Templates, values: &ConfirmationRow<'_>) -> String {
    templates.confirmation(values).text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{Encoding, Layouts, LineEnd};

    fn templates() -> Templates {
        Templates::new(&Layouts::load(None).unwrap(), Encoding::Utf8, LineEnd::Lf)
    }

    #[test]
    fn d53_one_record_row_per_line_and_one_summary_row_per_type() {
        let verdicts = [
            Verdict {
                line: 9,
                record_type: "POR",
                id: Some(7_000_009),
                dpn: "EOE/R1F01/300/STR/001",
                accepted: true,
                severity: Severity::Info,
                text: "the managing office is LDN, not the office of the file",
            },
            Verdict {
                line: 3,
                record_type: "XYZ",
                id: None,
                dpn: "",
                accepted: false,
                severity: Severity::Error,
                text: "the record type is \"unknown\"",
            },
        ];
        let counts = [
            Count { record_type: "XYZ", received: 1, accepted: 0 },
            Count { record_type: "POR", received: 12, accepted: 12 },
        ];
        assert_eq!(
            rows(&templates(), &verdicts, &counts),
            [
                r#"RTC,RECORD,"XYZ",3,,"","FAIL","ERROR","the record type is ""unknown""",,"#,
                r#"RTC,RECORD,"POR",9,7000009,"EOE/R1F01/300/STR/001","SUCCESS","INFO","the managing office is LDN, not the office of the file",,"#,
                r#"RTC,SUMMARY,"POR",,,"","","","",12,12"#,
                r#"RTC,SUMMARY,"XYZ",,,"","","","",1,0"#,
            ]
        );
    }

    #[test]
    fn d53_the_text_has_at_most_200_characters() {
        let row = refused_file_row(&templates(), &"é".repeat(300));
        assert_eq!(row, format!(r#"RTC,RECORD,"HDR",1,,"","FAIL","ERROR","{}",,"#, "é".repeat(200)));
    }
}
