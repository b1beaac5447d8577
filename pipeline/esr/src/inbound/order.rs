//! The order of files from ESR: numbers that do not follow each other (D94), and lines that came too late (D93).

use std::collections::BTreeSet;
use std::ops::RangeBounds;

use tributary_runtime::Output;
use tributary_schemas::records::tributary::Severity;

use super::Inbound;
use crate::format::FileName;

/// Most gaps, or newer files, that an alert names.
const NAMED: usize = 5;

impl Inbound {
    /// Warns if the number of a new file does not follow that of the file before it, of the same office and type (D94).
    /// A name arrives for the first time once, so it is one warning, also if the file is parked or comes again.
    pub(super) fn check_number(&self, name: FileName, output: &mut Output) {
        if let Some((code, text)) = self.wrong_number(name) {
            self.context.alert(output, Severity::Warning, code, &name.to_string(), text);
        }
    }

    fn wrong_number(&self, name: FileName) -> Option<(&'static str, String)> {
        let of_office = |other: &FileName| other.office == name.office;
        let of_type = |other: &FileName| of_office(other) && other.kind == name.kind;
        let before = self.names(..name).rev().find(of_type);
        let next = self.names(name..).find(of_type);
        let repeated = [before, next].into_iter().flatten().find(|other| other.number == name.number);
        if let Some(other) = repeated {
            let text = format!("{name} has the same number as {other}: ask ESR whether both count");
            return Some(("file-number-repeated", text));
        }
        if let Some(newest) = self.names(name..).rev().find(of_type) {
            let text = format!("{name} came late, after {newest}: it changes nothing that a newer file says");
            return Some(("file-late", text));
        }
        match before {
            Some(before) if name.number < before.number => {
                let text =
                    format!("{name} follows {before}, and the number goes back: ask ESR whether files are missing");
                Some(("file-number-back", text))
            }
            Some(before) => self.missing_numbers(before, name),
            // The first file of a type follows the other type: ESR may count both together (D101).
            None => self.missing_numbers(self.names(..name).rev().find(of_office)?, name),
        }
    }

    /// The numbers between two files that no file of the office has, of either type (D101).
    fn missing_numbers(&self, before: FileName, name: FileName) -> Option<(&'static str, String)> {
        let between = |number: &u64| before.number < *number && *number < name.number;
        if name.number <= before.number + 1 {
            return None;
        }
        let of_office = self.names(..).filter(|other| other.office == name.office);
        let known: BTreeSet<u64> = of_office.map(|other| other.number).filter(between).collect();
        let mut gaps = Vec::new();
        let mut first = before.number + 1;
        for number in known.into_iter().chain([name.number]) {
            if first < number {
                gaps.push((first, number - 1));
            }
            first = number + 1;
        }
        let text = match gaps.as_slice() {
            [] => return None,
            [(one, last)] if one == last => format!("number {one} is missing: ask ESR for the file"),
            gaps => {
                format!("the numbers {} are missing: ask ESR for the files", named(gaps.iter().map(|gap| range(*gap))))
            }
        };
        Some(("file-number-missing", format!("{name} follows {before}, and {text}")))
    }

    fn names(&self, range: impl RangeBounds<FileName>) -> impl DoubleEndedIterator<Item = FileName> {
        self.ledger.range(range).map(|(name, _)| *name)
    }

    /// Names a file whose lines were overtaken, once for all of them. The RTC has each line (D93).
    pub(super) fn report_overtaken(&self, name: FileName, output: &mut Output) {
        let overtaking: Vec<FileName> = self.verdicts_of(name).filter_map(|verdict| verdict.overtaken_by).collect();
        if overtaking.is_empty() {
            return;
        }
        let newer: BTreeSet<FileName> = overtaking.iter().copied().collect();
        let lines = if overtaking.len() == 1 { "line" } else { "lines" };
        let text = format!(
            "{} {lines} of {name} changed nothing: overtaken by {}",
            overtaking.len(),
            named(newer.iter().rev().map(ToString::to_string))
        );
        self.context.alert(output, Severity::Warning, "lines-overtaken", &name.to_string(), text);
    }
}

fn range((first, last): (u64, u64)) -> String {
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

/// The first entries, and the number of the others.
fn named(entries: impl Iterator<Item = String>) -> String {
    let mut entries: Vec<String> = entries.collect();
    let others = entries.len().saturating_sub(NAMED);
    entries.truncate(NAMED);
    if others > 0 {
        entries.push(format!("and {others} more"));
    }
    entries.join(", ")
}
