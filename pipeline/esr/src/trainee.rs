//! The `trainee` stage, keyed by person id: adds the person, and the trainee's other placements, to each placement.

use tributary_flow::framed::unexpected;
use tributary_flow::key;
use tributary_runtime::{Output, ProcessError, Processor, Record, StateStore, Store, state_key};
use tributary_schemas::RecordType;
use tributary_schemas::records::esr::{
    OtherPlacement, PlacementAtPost, PlacementGone, SentBefore, TraineeChanged, TraineePlacement,
    TraineePlacementRemoved,
};
use tributary_schemas::records::esr_state::Untold;
use tributary_schemas::records::tis::{LifecycleState, Person};
use tributary_schemas::types::tis::{PersonId, PlacementId};

use crate::context::Context;
use crate::dpn::FoldedDpn;
use crate::topics;

/// The processor of one partition.
pub struct Trainee {
    context: Context,
    people: Store<PersonId, Person>,
    placements: Store<TraineePlacementKey, TraineePlacement>,
    untold: Store<PersonId, Untold>,
}

/// A placement of a trainee. Sorts by trainee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct TraineePlacementKey {
    trainee: PersonId,
    placement: PlacementId,
}

state_key!(TraineePlacementKey { trainee, placement });

impl Trainee {
    /// Creates a task with empty state.
    pub fn new(context: Context) -> Self {
        Self {
            context,
            people: Store::new(0, "people"),
            placements: Store::new(1, "placements"),
            untold: Store::new(2, "untold"),
        }
    }

    fn placement_changed(&mut self, trainee_id: PersonId, new: TraineePlacement, output: &mut Output) {
        let id = new.placement.id;
        let key = TraineePlacementKey { trainee: trainee_id, placement: id };
        let old = self.placements.get(&key);
        if let Some(old) = old {
            let old_dpn = FoldedDpn::of(&old.placement.dpn);
            if old_dpn != FoldedDpn::of(&new.placement.dpn) {
                self.send_gone(&old_dpn, id, trainee_id, new.sent_before.clone(), output);
            }
        }
        let seen_by_others = old.and_then(|old| self.as_other(old)) != self.as_other(&new);
        self.placements.put(key, new);
        self.tell_later(trainee_id, if seen_by_others { None } else { Some(id) }, output);
    }

    fn placement_removed(&mut self, trainee_id: PersonId, id: PlacementId, output: &mut Output) {
        let key = TraineePlacementKey { trainee: trainee_id, placement: id };
        let Some(old) = self.placements.get(&key) else { return };
        let dpn = FoldedDpn::of(&old.placement.dpn);
        let seen_by_others = self.as_other(old).is_some();
        self.send_gone(&dpn, id, trainee_id, old.sent_before.clone(), output);
        self.placements.delete(key);
        if seen_by_others {
            self.tell_later(trainee_id, None, output);
        }
    }

    /// Notes a change of one placement, or of all placements (`None`), and sends it later.
    ///
    /// Every placement of a trainee names the others, so n changes, each sent at once, would send n placements n times.
    /// Instead, this stage sends a note to its own inbox. The note waits behind the records that are already there, and
    /// then each changed placement is sent once.
    fn tell_later(&mut self, trainee_id: PersonId, placement: Option<PlacementId>, output: &mut Output) {
        let untold = self.untold.get(&trainee_id);
        if untold.is_none() {
            let changed = TraineeChanged { person_id: trainee_id };
            self.context.send(output, &topics::TRAINEE, &trainee_id.0.to_be_bytes(), &changed);
        }
        let mut told_as_one = untold.cloned().unwrap_or_default();
        match placement {
            _ if told_as_one.all => return,
            Some(id) if told_as_one.placements.contains(&id) => return,
            Some(id) => told_as_one.placements.push(id),
            None => told_as_one = Untold { all: true, placements: Vec::new() },
        }
        self.untold.put(trainee_id, told_as_one);
    }

    fn tell(&mut self, trainee_id: PersonId, output: &mut Output) {
        let Some(untold) = self.untold.get(&trainee_id) else { return };
        let all: Vec<&TraineePlacement> = self.of_trainee(trainee_id).collect();
        let others: Vec<OtherPlacement> = all.iter().filter_map(|placement| self.as_other(placement)).collect();
        for placement in all {
            if untold.all || untold.placements.contains(&placement.placement.id) {
                self.send(placement, &others, output);
            }
        }
        self.untold.delete(trainee_id);
    }

    fn of_trainee(&self, trainee_id: PersonId) -> impl Iterator<Item = &TraineePlacement> {
        let key = |placement| TraineePlacementKey { trainee: trainee_id, placement: PlacementId(placement) };
        self.placements.range(key(i64::MIN)..=key(i64::MAX)).map(|(_, placement)| placement)
    }

    /// The placement as the trainee's other placements name it. `None` unless it is approved and counts (A7, A8).
    fn as_other(&self, placement: &TraineePlacement) -> Option<OtherPlacement> {
        let placement = &placement.placement;
        let visible =
            placement.lifecycle_state == LifecycleState::Approved && self.context.counts(&placement.placement_type);
        visible.then(|| OtherPlacement {
            placement_id: placement.id,
            date_from: placement.date_from,
            date_to: placement.date_to,
            site_name: placement.site_name.clone(),
        })
    }

    /// Sends the placement to its number. Without a number it matches nothing (D113), but it still is one of the other
    /// placements of its trainee.
    fn send(&self, source: &TraineePlacement, others: &[OtherPlacement], output: &mut Output) {
        let placement = &source.placement;
        let dpn = FoldedDpn::of(&placement.dpn);
        if dpn.is_empty() {
            return;
        }
        let person = self.people.get(&placement.trainee_id);
        let record = PlacementAtPost {
            placement_id: placement.id,
            trainee_id: placement.trainee_id,
            post_id: placement.post_id,
            date_from: placement.date_from,
            date_to: placement.date_to,
            whole_time_equivalent: placement.whole_time_equivalent,
            site_code: placement.site_code.clone(),
            site_name: placement.site_name.clone(),
            grade: placement.grade_abbreviation.clone(),
            counted: self.context.counts(&placement.placement_type),
            approved: placement.lifecycle_state == LifecycleState::Approved,
            baseline: source.baseline,
            sent_before: source.sent_before.clone(),
            last_name: last_name(person, placement.trainee_last_name.as_deref()),
            first_name: first_name(person, placement.trainee_first_name.as_deref()),
            gmc_number: gmc_number(person, placement.trainee_gmc_number.as_deref()),
            email: person.and_then(|person| person.email.clone()).unwrap_or_default(),
            other_placements: others.iter().filter(|other| other.placement_id != placement.id).cloned().collect(),
            person: person.map(|person| {
                let mut framed = Vec::new();
                self.context.write(person, &mut framed);
                framed
            }),
            gdc_number: known_number(person.and_then(|person| person.gdc_number.as_deref())),
        };
        self.context.send(output, &topics::POST, dpn.as_bytes(), &record);
    }

    fn send_gone(
        &self,
        dpn: &FoldedDpn,
        placement_id: PlacementId,
        trainee_id: PersonId,
        sent_before: Vec<SentBefore>,
        output: &mut Output,
    ) {
        if dpn.is_empty() {
            return;
        }
        let gone = PlacementGone { placement_id, trainee_id, sent_before };
        self.context.send(output, &topics::POST, dpn.as_bytes(), &gone);
    }
}

/// The legal surname, otherwise the surname. Without a person, the surname in the placement.
fn last_name(person: Option<&Person>, of_placement: Option<&str>) -> String {
    match person {
        Some(person) => first_given([person.legal_surname.as_deref(), person.surname.as_deref()]),
        None => first_given([of_placement]),
    }
}

/// The legal forenames, otherwise the forenames. Without a person, the forenames in the placement.
fn first_name(person: Option<&Person>, of_placement: Option<&str>) -> String {
    match person {
        Some(person) => first_given([person.legal_forenames.as_deref(), person.forenames.as_deref()]),
        None => first_given([of_placement]),
    }
}

fn gmc_number(person: Option<&Person>, of_placement: Option<&str>) -> String {
    let number = match person {
        Some(person) => person.gmc_number.as_deref(),
        None => of_placement,
    };
    known_number(number)
}

/// A registration number. Empty if there is none. `UNKNOWN` counts as none (D23).
pub(crate) fn known_number(number: Option<&str>) -> String {
    let number = number.unwrap_or_default().trim();
    if number.eq_ignore_ascii_case("UNKNOWN") { String::new() } else { number.to_owned() }
}

fn first_given<const N: usize>(candidates: [Option<&str>; N]) -> String {
    let given = candidates.into_iter().flatten().map(str::trim).find(|text| !text.is_empty());
    given.unwrap_or_default().to_owned()
}

impl Processor for Trainee {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let trainee_id = PersonId(key::id(record)?);
        let framed = self.context.open(record)?;
        match framed.record_type() {
            RecordType::TisPerson => {
                self.people.put(trainee_id, framed.read::<Person>()?);
                self.tell_later(trainee_id, None, output);
            }
            RecordType::EsrPersonRemoved => {
                self.people.delete(trainee_id);
                self.tell_later(trainee_id, None, output);
            }
            RecordType::EsrTraineeChanged => self.tell(trainee_id, output),
            RecordType::EsrTraineePlacement => {
                let placement = framed.read::<TraineePlacement>()?;
                self.placement_changed(trainee_id, placement, output);
            }
            RecordType::EsrTraineePlacementRemoved => {
                let removed = framed.read::<TraineePlacementRemoved>()?;
                self.placement_removed(trainee_id, removed.placement_id, output);
            }
            _ => return Err(unexpected(&framed)),
        }
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.people, &mut self.placements, &mut self.untold]
    }
}

#[cfg(test)]
mod tests;
