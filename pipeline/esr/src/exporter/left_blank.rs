//! Warnings about values of an APP file that are written blank, because no code is known for them (5.3).

use std::collections::BTreeMap;

use tributary_runtime::Output;
use tributary_schemas::records::esr::ExportRun;
use tributary_schemas::records::tributary::Severity;
use tributary_schemas::types::tis::PlacementId;

use crate::applicant::EMPTY_MAP;
use crate::context::Context;
use crate::outgoing::SINGLE_ALERTS;

/// The warnings of the rows of a file.
#[derive(Default)]
pub(super) struct LeftBlank {
    of_rows: Vec<(PlacementId, String)>,
    /// Warnings about value maps without entries, with the number of rows.
    of_maps: BTreeMap<String, usize>,
}

impl LeftBlank {
    /// Adds the warnings of a row.
    pub(super) fn add(&mut self, placement: PlacementId, warnings: &[String]) {
        let (of_maps, of_row): (Vec<&String>, Vec<&String>) =
            warnings.iter().partition(|warning| warning.ends_with(EMPTY_MAP));
        for warning in of_maps {
            *self.of_maps.entry(warning.clone()).or_default() += 1;
        }
        if !of_row.is_empty() {
            let texts: Vec<&str> = of_row.into_iter().map(String::as_str).collect();
            self.of_rows.push((placement, texts.join("; ")));
        }
    }

    /// Raises one alert for each row, up to [`SINGLE_ALERTS`], and one for each empty map.
    pub(super) fn warn(&self, run: &ExportRun, context: &Context, output: &mut Output) {
        let file = run.file_name.to_string();
        let mut alert = |subject: &str, text| context.alert(output, Severity::Warning, "left-blank", subject, text);
        for (placement, warnings) in self.of_rows.iter().take(SINGLE_ALERTS) {
            alert(&placement.to_string(), format!("placement {placement} in {file}: {warnings}"));
        }
        if self.of_rows.len() > SINGLE_ALERTS {
            alert(&file, format!("{} records of {file} have values that were left blank", self.of_rows.len()));
        }
        for (warning, rows) in &self.of_maps {
            alert(&file, format!("{warning}, in {rows} rows of {file} (5.3): add the codes of your ESR to value_maps"));
        }
    }
}
