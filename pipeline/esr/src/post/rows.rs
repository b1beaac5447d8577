//! The content of notification rows (6.5).

use tributary_schemas::Date;
use tributary_schemas::records::esr::{Notification, OtherPlacement, PlacementAtPost};
use tributary_schemas::types::esr::{NotificationType, Office};
use tributary_schemas::types::tis::Dpn;

/// The text for an unknown site (6.5 #12, #16).
const NOT_KNOWN: &str = "NOT KNOWN";

/// The content that all rows of a DPN and an office share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) run: i64,
    pub(super) office: Office,
    pub(super) dpn: &'a Dpn,
    /// Days from today to the end of the window, thirteen weeks by default (A5).
    pub(super) horizon: i32,
}

/// Which placement shows where the next trainee is now (#16). T1a looks for one that ended on the day before (D38).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextTraineeIs {
    Covering(Date),
    EndedOn(Date),
}

impl Frame<'_> {
    fn empty(&self, notification_type: NotificationType) -> Notification {
        Notification {
            run: self.run,
            notification_type,
            dpn: self.dpn.clone(),
            post_vacant_at_next_rotation: true,
            ..Notification::of(self.office)
        }
    }

    /// Type 1: the current trainee, the next one, and whether the post is vacant.
    pub(super) fn rotation(
        &self,
        current: Option<&PlacementAtPost>,
        next: Option<&PlacementAtPost>,
        day: Date,
        next_is: NextTraineeIs,
    ) -> Notification {
        let mut row = self.empty(NotificationType::Rotation);
        if let Some(current) = current {
            row.placement_id = current.placement_id;
            Self::fill_current(&mut row, current);
            row.current_trainee_vpd_for_next_placement = next_site(current, day, self.horizon);
            row.current_trainee_working_hours_indicator = one_decimal(current.whole_time_equivalent);
        }
        if let Some(next) = next {
            row.placement_id = next.placement_id;
            row.next_trainee_last_name.clone_from(&next.last_name);
            row.next_trainee_first_name.clone_from(&next.first_name);
            row.next_trainee_gmc_number.clone_from(&next.gmc_number);
            row.next_trainee_current_placement_vpd = present_site(next, next_is);
            row.next_trainee_projected_start_date = Some(next.date_from);
            row.next_trainee_email_address.clone_from(&next.email);
            row.next_trainee_grade = next.grade.clone().unwrap_or_default();
            row.working_hour_indicator = one_decimal(next.whole_time_equivalent);
            row.post_vacant_at_next_rotation = false;
        }
        row
    }

    fn fill_current(row: &mut Notification, current: &PlacementAtPost) {
        row.current_trainee_last_name.clone_from(&current.last_name);
        row.current_trainee_first_name.clone_from(&current.first_name);
        row.current_trainee_gmc_number.clone_from(&current.gmc_number);
        row.current_trainee_projected_end_date = current.date_to;
    }

    /// Type 4: a copy of the type 1 with the changed dates (6.3, D39).
    pub(super) fn date_change(rotation: &Notification, changed: &PlacementAtPost, today: Date) -> Notification {
        Notification {
            notification_type: NotificationType::DateChange,
            placement_id: changed.placement_id,
            current_trainee_projected_end_date: None,
            change_of_projected_hire_date: Some(changed.date_from).filter(|start| *start > today),
            change_of_projected_end_date: changed.date_to,
            ..rotation.clone()
        }
    }

    /// Type 2: the withdrawn trainee, and the current trainee of the type 1 of the same change (6.4).
    pub(super) fn withdrawal(
        &self,
        current: Option<&PlacementAtPost>,
        vacant: bool,
        withdrawn: &PlacementAtPost,
        reason: &str,
    ) -> Notification {
        let mut row = self.empty(NotificationType::Withdrawal);
        row.placement_id = withdrawn.placement_id;
        if let Some(current) = current {
            Self::fill_current(&mut row, current);
        }
        row.withdrawn_trainee_last_name.clone_from(&withdrawn.last_name);
        row.withdrawn_trainee_first_name.clone_from(&withdrawn.first_name);
        row.withdrawn_trainee_gmc_number.clone_from(&withdrawn.gmc_number);
        reason.clone_into(&mut row.withdrawal_reason);
        row.post_vacant_at_next_rotation = vacant;
        row
    }

    /// Type 5: a new post.
    pub(super) fn new_post(&self) -> Notification {
        self.empty(NotificationType::NewPost)
    }
}

/// #12: where the current trainee goes next (D38).
fn next_site(current: &PlacementAtPost, day: Date, horizon: i32) -> String {
    let left = current.date_to.is_some_and(|end| end < day);
    let starts_after = |other: &OtherPlacement| other.date_from > day || (left && other.date_from == day);
    let next = current
        .other_placements
        .iter()
        .filter(|other| starts_after(other) && other.date_from < day.plus_days(horizon))
        .min_by_key(|other| (other.date_from, other.placement_id));
    site_name(next)
}

/// #16: where the next trainee is now (D38).
fn present_site(next: &PlacementAtPost, next_is: NextTraineeIs) -> String {
    let fits = |other: &OtherPlacement| match next_is {
        NextTraineeIs::Covering(day) => other.date_from <= day && other.date_to.is_none_or(|end| end >= day),
        NextTraineeIs::EndedOn(day) => other.date_to == Some(day),
    };
    let present = next
        .other_placements
        .iter()
        .filter(|other| fits(other))
        .min_by_key(|other| (std::cmp::Reverse(other.date_from), other.placement_id));
    site_name(present)
}

fn site_name(other: Option<&OtherPlacement>) -> String {
    let name = other.and_then(|other| other.site_name.as_deref()).map(str::trim).filter(|name| !name.is_empty());
    name.unwrap_or(NOT_KNOWN).to_owned()
}

/// Whole time equivalent with one decimal, without a trailing zero: `0.8`, `1`.
fn one_decimal(value: Option<f64>) -> String {
    let Some(value) = value.filter(|value| value.is_finite()) else { return String::new() };
    let tenths = (value * 10.0 + 1e-9).round() as i64;
    match tenths % 10 {
        0 => (tenths / 10).to_string(),
        tenth => format!("{}.{}", tenths / 10, tenth.abs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn working_time_has_one_decimal() {
        let written = [Some(1.0), Some(0.8), Some(0.65), Some(0.0), None].map(one_decimal);
        assert_eq!(written, ["1", "0.8", "0.7", "0", ""]);
    }
}
