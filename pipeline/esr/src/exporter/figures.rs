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
pub(super) struct Figures {
    partition: i32,
    /// The counts that were sent last, by office.
    pub(super) shown: Store<Office, OfficeApplicants>,
    /// The time that was sent last, in milliseconds since 1970.
    pub(super) shown_at: Store<(), i64>,
}

impl Figures {
    pub(super) fn new(partition: i32) -> Self {
        Self { partition, shown: Store::new(), shown_at: Store::new() }
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
        for figures in count(applicants, &self.shown) {
            if self.shown.get(&figures.office) == Some(&figures) {
                continue;
            }
            has_changed = true;
            let key = views::office_key(figures.office);
            let write = |buffer: &mut Vec<u8>| context.write(&figures, buffer);
            output.send_to(&topics::VIEW, self.partition, key.as_bytes(), write);
            self.shown.put(figures.office, figures);
        }
        let is_due = self.shown_at.get(&()).is_none_or(|last| clock.now.abs_diff(*last) >= QUIET as u64);
        if has_changed || is_due {
            output.send_to(&topics::VIEW, self.partition, views::CLOCK, |buffer| context.write(clock, buffer));
            self.shown_at.put((), clock.now);
        }
    }
}

/// The counts of all offices that have records, or had records when they were shown.
fn count(
    applicants: &Store<ApplicantKey, ApplicantState>,
    shown: &Store<Office, OfficeApplicants>,
) -> Vec<OfficeApplicants> {
    let mut offices: BTreeMap<Office, OfficeApplicants> =
        shown.iter().map(|(office, _)| (*office, OfficeApplicants::of(*office))).collect();
    for (ApplicantKey { office, .. }, state) in applicants.iter() {
        let figures = offices.entry(*office).or_insert_with(|| OfficeApplicants::of(*office));
        let number = match state.status {
            Status::ToExport => &mut figures.to_export,
            Status::Pending => &mut figures.pending,
            Status::Exported => &mut figures.exported,
            Status::InvalidData => &mut figures.invalid_data,
            Status::DeletedBeforeExport => &mut figures.deleted_before_export,
            Status::MissedWindow => &mut figures.missed_window,
        };
        *number += 1;
    }
    offices.into_values().collect()
}
