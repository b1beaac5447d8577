//! The counts of applicant records in the view, by office and state.

use std::collections::BTreeMap;

use tributary_runtime::{Output, Store};
use tributary_schemas::records::esr::OfficeApplicants;
use tributary_schemas::records::tributary::Clock;
use tributary_schemas::types::esr::Office;

use super::{ApplicantKey, ApplicantState, Status};
use crate::context::Context;
use crate::{topics, views};

/// If nothing changes, the view receives the time that the partition has reached at this interval, in milliseconds.
const QUIET: i64 = 10_000;

/// The counts of one partition. Records are counted when the clock ticks, so the counts cost nothing per record.
pub(super) struct OfficeCounts {
    partition: i32,
    /// The counts that were sent last, by office.
    pub(super) shown: Store<Office, OfficeApplicants>,
    /// The time that was sent last.
    pub(super) shown_at: Store<(), Clock>,
}

impl OfficeCounts {
    pub(super) fn new(partition: i32) -> Self {
        Self { partition, shown: Store::new(7, "shown"), shown_at: Store::new(8, "shown_at") }
    }

    /// Sends the changed counts, and then the time, to the partition of the view with the number of this partition.
    pub(super) fn show(
        &mut self,
        clock: &Clock,
        applicants: &Store<ApplicantKey, ApplicantState>,
        context: &Context,
        output: &mut Output,
    ) {
        let mut has_changed = false;
        for counts in self.count(applicants, context, output) {
            if self.shown.get(&counts.office) == Some(&counts) {
                continue;
            }
            has_changed = true;
            let key = views::office_key(counts.office);
            let write = |buffer: &mut Vec<u8>| context.write(&counts, buffer);
            output.send_to(&topics::VIEW, self.partition, key.as_bytes(), write);
            self.shown.put(counts.office, counts);
        }
        let is_due = self.shown_at.get(&()).is_none_or(|last| clock.now.abs_diff(last.now) >= QUIET as u64);
        if has_changed || is_due {
            output.send_to(&topics::VIEW, self.partition, views::CLOCK, |buffer| context.write(clock, buffer));
            self.shown_at.put((), clock.clone());
        }
    }

    /// The counts of all offices that are served here, have records, or had records when they were shown.
    fn count(
        &self,
        applicants: &Store<ApplicantKey, ApplicantState>,
        context: &Context,
        output: &Output,
    ) -> Vec<OfficeApplicants> {
        let served =
            context.offices.iter().filter(|office| Context::office_partition(output, **office) == self.partition);
        let mut offices: BTreeMap<Office, OfficeApplicants> = self
            .shown
            .iter()
            .map(|(office, _)| office)
            .chain(served)
            .map(|office| (*office, OfficeApplicants::of(*office)))
            .collect();
        for (ApplicantKey { office, .. }, state) in applicants.iter() {
            let counts = offices.entry(*office).or_insert_with(|| OfficeApplicants::of(*office));
            let number = match state.status {
                Status::ToExport => &mut counts.to_export,
                Status::Pending => &mut counts.pending,
                Status::Exported => &mut counts.exported,
                Status::InvalidData => &mut counts.invalid_data,
                Status::DeletedBeforeExport => &mut counts.deleted_before_export,
                Status::MissedWindow => &mut counts.missed_window,
            };
            *number += 1;
        }
        offices.into_values().collect()
    }
}
