//! One `NOT` line: its columns (6.5, D52) and how placements fill them.

use jiff::ToSpan;
use jiff::civil::Date;

use crate::Oracle;
use crate::applicants::{Trainee, window_end};
use crate::base::Base;
use crate::notifications::Trigger;
use crate::rows::{Cell, line, plain_date};
use crate::values;
use crate::world::{Placement, World};

/// Where and when a row speaks.
pub(crate) struct Place<'a> {
    pub(crate) office: &'a str,
    pub(crate) dpn_text: &'a str,
    pub(crate) today: Date,
}

/// Columns of one `NOT` line; see [`column`].
#[derive(Clone, Debug)]
pub(crate) struct Row(Vec<String>);

pub(crate) const TITLE_CODE: usize = 1;
const COLUMNS: usize = 36;
/// Column of #12b, which has no field number of its own (D52).
const CURRENT_WHOLE_TIME: usize = 14;

/// Column of a field of 6.5 (D52).
fn column(field: usize) -> usize {
    if field <= 12 { field + 1 } else { field + 2 }
}

impl Row {
    pub(crate) fn new(kind: u8, office: &str, dpn: &str) -> Row {
        let mut row = Row(vec![String::new(); COLUMNS]);
        "NOT".clone_into(&mut row.0[0]);
        row.set(TITLE_CODE, kind.to_string());
        row.set(3, dpn.to_owned());
        row.set(4, office.to_owned());
        row.set(33, "Y".to_owned());
        row
    }

    pub(crate) fn set(&mut self, field: usize, value: String) {
        self.0[column(field) - 1] = value;
    }

    pub(crate) fn get(&self, field: usize) -> String {
        self.0[column(field) - 1].clone()
    }

    pub(crate) fn text(&self) -> String {
        let bare_columns = [1, column(1), column(11), column(17), column(28), column(29), column(30)];
        let cells: Vec<Cell> = self
            .0
            .iter()
            .enumerate()
            .map(|(index, value)| {
                if bare_columns.contains(&(index + 1)) { Cell::Bare(value.clone()) } else { Cell::Text(value.clone()) }
            })
            .collect();
        line(&cells)
    }
}

impl Oracle {
    /// A type 1 row.
    pub(crate) fn snapshot_row(
        &self,
        place: &Place,
        trigger: Trigger,
        current: Option<&Placement>,
        next: Option<&Placement>,
    ) -> Row {
        let today = place.today;
        let mut row = Row::new(1, place.office, place.dpn_text);
        if let Some(current) = current {
            let trainee = self.trainee(current);
            row.set(8, trainee.last_name);
            row.set(9, trainee.first_name);
            row.set(10, trainee.gmc);
            row.set(11, plain_date(current.end));
            row.set(12, site_name(next_of(&self.world, current, today)));
            row.0[CURRENT_WHOLE_TIME - 1] = values::whole_time(current.whole_time);
        }
        if let Some(next) = next {
            let trainee = self.trainee(next);
            row.set(13, trainee.last_name);
            row.set(14, trainee.first_name);
            row.set(15, trainee.gmc);
            let left_on = (trigger == Trigger::NextBecomesCurrent).then(|| next.start.saturating_sub(1.day()));
            row.set(16, site_name(present_of(&self.world, next, today, left_on)));
            row.set(17, plain_date(Some(next.start)));
            row.set(18, trainee.email);
            row.set(19, next.grade.clone());
            row.set(32, values::whole_time(next.whole_time));
            row.set(33, "N".to_owned());
        }
        row
    }

    /// Fields 20-23; TIS has no reason, so it is always 3, other (6.4).
    pub(crate) fn withdraw_trainee(&self, row: &mut Row, base: &Base, dpn: &str, placement: &Placement) {
        let told = base.trainees.get(&(dpn.to_owned(), placement.key())).cloned();
        let trainee = told.unwrap_or_else(|| self.trainee(placement));
        row.set(20, trainee.last_name);
        row.set(21, trainee.first_name);
        row.set(22, trainee.gmc);
        row.set(23, "3".to_owned());
    }

    pub(crate) fn trainee(&self, placement: &Placement) -> Trainee {
        Trainee::of(placement, self.world.people.get(&placement.trainee))
    }
}

fn site_name(placement: Option<&Placement>) -> String {
    let name = placement.map(|placement| placement.site_name.clone()).unwrap_or_default();
    if name.trim().is_empty() { "NOT KNOWN".to_owned() } else { name }
}

/// The other approved placements of the same trainee, on whatever post.
fn others_of<'a>(world: &'a World, placement: &'a Placement) -> impl Iterator<Item = &'a Placement> {
    world
        .placements
        .values()
        .filter(|other| other.counted && other.approved && other.trainee != 0)
        .filter(|other| other.trainee == placement.trainee && other.id != placement.id)
}

/// #12: where the current trainee goes next (D38).
fn next_of<'a>(world: &'a World, current: &'a Placement, today: Date) -> Option<&'a Placement> {
    let has_left = current.ended_before(today);
    others_of(world, current)
        .filter(|other| other.start > today || (has_left && other.start == today))
        .filter(|other| other.start < window_end(today))
        .min_by_key(|other| (other.start, other.id))
}

/// #16: where the next trainee is now, or was the day before (D38).
fn present_of<'a>(world: &'a World, next: &'a Placement, today: Date, left_on: Option<Date>) -> Option<&'a Placement> {
    others_of(world, next)
        .filter(|other| match left_on {
            Some(day) => other.end == Some(day),
            None => other.covers(today),
        })
        .min_by_key(|other| (std::cmp::Reverse(other.start), other.id))
}
