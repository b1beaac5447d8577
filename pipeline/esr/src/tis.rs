//! The `tis` stage: drops records without a change, and follows changed foreign keys.
//!
//! Each partition has three tasks, one for each topic of TIS. They share no state.

use tributary_flow::framed::unexpected;
use tributary_flow::key;
use tributary_runtime::{Headers, Output, ProcessError, Processor, Record, StateStore, Store, append_header};
use tributary_schemas::records::esr::{
    PersonRemoved, PostAtNumber, PostGone, SentBefore, TraineePlacement, TraineePlacementRemoved,
};
use tributary_schemas::records::esr_state::{KnownPerson, KnownPlacement, KnownPost, RememberedExport};
use tributary_schemas::records::tis::{Person, Placement, Post};
use tributary_schemas::records::tributary::Severity;
use tributary_schemas::types::tis::{PersonId, PlacementId, PostId};
use tributary_schemas::{AvroRecord, Date, RecordType};

use crate::context::Context;
use crate::digests::{person_digest, placement_digest};
use crate::dpn::FoldedDpn;
use crate::service_time::{OddTime, UNDATED_HEADER};
use crate::topics;

/// Posts. A changed DPN becomes a departure and an arrival (D27).
pub struct TisPosts {
    context: Context,
    known: Store<PostId, KnownPost>,
    odd_times: OddTimes,
}

impl TisPosts {
    /// Creates a task with empty state.
    pub fn new(context: Context) -> Self {
        Self { context, known: Store::new(0, "known"), odd_times: OddTimes::new() }
    }

    /// The known ids, for the comparison with a complete snapshot (D2).
    pub fn ids(&self) -> impl Iterator<Item = i64> {
        self.known.iter().map(|(id, _)| id.0)
    }

    fn changed(&mut self, post: &Post, baseline: bool, output: &mut Output) {
        let dpn = FoldedDpn::of(&post.dpn);
        let known = self.known.get(&post.id);
        let renumbered = known.is_some_and(|known| known.dpn != dpn.as_str());
        let baseline = known.map_or(baseline, |known| known.baseline);
        let new = KnownPost { dpn: dpn.to_string(), status: post.status, baseline };
        if known == Some(&new) {
            return;
        }
        if let Some(old) = known.filter(|_| renumbered) {
            let gone = PostGone { post_id: post.id, renumbered };
            self.context.send(output, &topics::POST, old.dpn.as_bytes(), &gone);
        }
        let arrived = PostAtNumber { post_id: post.id, status: post.status, baseline, renumbered };
        self.context.send(output, &topics::POST, new.dpn.as_bytes(), &arrived);
        self.known.put(post.id, new);
    }

    fn removed(&mut self, id: PostId, output: &mut Output) {
        let Some(old) = self.known.get(&id) else { return };
        let gone = PostGone { post_id: id, renumbered: false };
        self.context.send(output, &topics::POST, old.dpn.as_bytes(), &gone);
        self.known.delete(id);
    }
}

impl Processor for TisPosts {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let id = PostId(key::decimal_id(record)?);
        let is_baseline = self.odd_times.enter(&self.context, record, output);
        match read::<Post>(&self.context, record)? {
            Some(post) => self.changed(&of_key(post, id.0, |post| post.id.0)?, is_baseline, output),
            None => self.removed(id, output),
        }
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.known, &mut self.odd_times.0]
    }
}

/// Placements. A changed trainee becomes a departure and an arrival (D27).
pub struct TisPlacements {
    context: Context,
    known: Store<PlacementId, KnownPlacement>,
    odd_times: OddTimes,
}

impl TisPlacements {
    /// Creates a task with empty state.
    pub fn new(context: Context) -> Self {
        Self { context, known: Store::new(0, "known"), odd_times: OddTimes::new() }
    }

    /// The known ids, for the comparison with a complete snapshot (D2).
    pub fn ids(&self) -> impl Iterator<Item = i64> {
        self.known.iter().map(|(id, _)| id.0)
    }

    fn changed(&mut self, placement: Placement, baseline: bool, output: &mut Output) {
        let digest = placement_digest(&placement);
        let known = self.known.get(&placement.id);
        if known.is_some_and(|known| known.digest == digest) {
            return;
        }
        if let Some(old) = known.filter(|known| known.trainee_id != placement.trainee_id) {
            self.leave(placement.id, old.trainee_id, output);
        }
        let mut sent = known.map(|known| known.sent.clone()).unwrap_or_default();
        remember_exports(&mut sent, &placement);
        let sent_before = sent
            .iter()
            .filter(|sent| sent.trainee_id == placement.trainee_id)
            .map(|sent| SentBefore { position_id: sent.position_id, file_name: sent.file_name.clone() })
            .collect();
        self.known.put(placement.id, KnownPlacement { digest, trainee_id: placement.trainee_id, sent });
        let trainee_id = placement.trainee_id;
        let arrived = TraineePlacement { placement, baseline, sent_before };
        self.context.send(output, &topics::TRAINEE, &trainee_id.0.to_be_bytes(), &arrived);
    }

    fn removed(&mut self, id: PlacementId, output: &mut Output) {
        let Some(old) = self.known.get(&id) else { return };
        self.leave(id, old.trainee_id, output);
        self.known.delete(id);
    }

    fn leave(&self, placement_id: PlacementId, trainee_id: PersonId, output: &mut Output) {
        let removed = TraineePlacementRemoved { placement_id };
        self.context.send(output, &topics::TRAINEE, &trainee_id.0.to_be_bytes(), &removed);
    }
}

fn remember_exports(sent: &mut Vec<RememberedExport>, placement: &Placement) {
    for event in &placement.esr_events {
        let exported = event.status.as_deref().is_some_and(|status| status.starts_with("EXPORTED"));
        if !exported || sent.iter().any(|sent| sent.position_id == event.position_id) {
            continue;
        }
        sent.push(RememberedExport {
            position_id: event.position_id,
            trainee_id: placement.trainee_id,
            file_name: event.filename.clone().unwrap_or_default(),
        });
    }
}

impl Processor for TisPlacements {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let id = PlacementId(key::decimal_id(record)?);
        let is_baseline = self.odd_times.enter(&self.context, record, output);
        match read::<Placement>(&self.context, record)? {
            Some(placement) => {
                let placement = of_key(placement, id.0, |placement| placement.id.0)?;
                let Placement { date_from, date_to, .. } = placement;
                check_dates(&[("dateFrom", Some(date_from)), ("dateTo", date_to)])?;
                let placement = Placement { date_to: date_to.and_then(end), ..placement };
                self.changed(placement, is_baseline, output);
            }
            None => self.removed(id, output),
        }
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.known, &mut self.odd_times.0]
    }
}

/// People.
pub struct TisPeople {
    context: Context,
    known: Store<PersonId, KnownPerson>,
    odd_times: OddTimes,
}

impl TisPeople {
    /// Creates a task with empty state.
    pub fn new(context: Context) -> Self {
        Self { context, known: Store::new(0, "known"), odd_times: OddTimes::new() }
    }

    /// The known ids, for the comparison with a complete snapshot (D2).
    pub fn ids(&self) -> impl Iterator<Item = i64> {
        self.known.iter().map(|(id, _)| id.0)
    }
}

impl Processor for TisPeople {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let id = PersonId(key::decimal_id(record)?);
        // A person record does not keep whether it belongs to the baseline, but its effects count from the first start.
        self.odd_times.enter(&self.context, record, output);
        let Some(person) = read::<Person>(&self.context, record)? else {
            if self.known.get(&id).is_some() {
                let removed = PersonRemoved { person_id: id };
                self.context.send(output, &topics::TRAINEE, &id.0.to_be_bytes(), &removed);
                self.known.delete(id);
            }
            return Ok(());
        };
        let person = of_key(person, id.0, |person| person.id.0)?;
        check_dates(&[
            ("dateOfBirth", person.date_of_birth),
            ("gmcEndDate", person.gmc_end_date),
            ("gdcEndDate", person.gdc_end_date),
        ])?;
        let (gmc_end_date, gdc_end_date) = (person.gmc_end_date.and_then(end), person.gdc_end_date.and_then(end));
        let person = Person { gmc_end_date, gdc_end_date, ..person };
        let known = KnownPerson { digest: person_digest(&person) };
        if self.known.get(&id) != Some(&known) {
            self.known.put(id, known);
            self.context.send(output, &topics::TRAINEE, &id.0.to_be_bytes(), &person);
        }
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.known, &mut self.odd_times.0]
    }
}

/// The kinds of wrong record times that were named, by number.
struct OddTimes(Store<u8, ()>);

impl OddTimes {
    fn new() -> Self {
        Self(Store::new(1, "odd_times"))
    }

    /// Whether a record belongs to the baseline (D1). A record from before the first start, and everything that it
    /// causes, counts from the first start, even if the record is older. A record whose time cannot be right counts
    /// from the time of the batch or of the service (D104).
    fn enter(&mut self, context: &Context, record: &Record<'_>, output: &mut Output) -> bool {
        if context.baseline.precedes(record) {
            output.inherit(context.baseline.time(), record.headers);
        } else if let (Some(odd), Some(now)) = (context.time.judge(record.timestamp), context.time.get()) {
            let mut headers = record.headers.as_bytes().to_vec();
            append_header(&mut headers, UNDATED_HEADER, b"1");
            output.inherit(now, Headers::from_bytes(&headers));
            self.name(odd, context, record, output);
        }
        context.baseline.holds(record)
    }

    /// Raises an alert about the first record of this kind.
    fn name(&mut self, odd: OddTime, context: &Context, record: &Record<'_>, output: &mut Output) {
        let kind = odd as u8;
        if self.0.get(&kind).is_some() {
            return;
        }
        self.0.put(kind, ());
        let how = match odd {
            OddTime::Early => "more than 400 days ago",
            OddTime::Late => "more than a day ahead",
        };
        let Record { origin, offset, timestamp, .. } = record;
        let text = format!(
            "{origin} offset {offset} has the record time {timestamp} (milliseconds since 1970), {how}: the date of \
             the run is used. Correct the program that writes this topic; its later records of this kind are not named"
        );
        context.alert(output, Severity::Warning, "record-time", origin.topic, text);
    }
}

/// The object, whose id must be that of its key (D113). Otherwise a later record or a tombstone would change another
/// object than the one that its producer means.
fn of_key<R>(object: R, key: i64, id: impl Fn(&R) -> i64) -> Result<R, ProcessError> {
    let id = id(&object);
    if id == key {
        return Ok(object);
    }
    let text = format!("the key is {key}, and the value is the object {id}: send it again with its id as key");
    Err(ProcessError::dead_letter("key-of-another-object", text))
}

/// An end. 9999-12-31 stands for no end (D15, D115).
fn end(date: Date) -> Option<Date> {
    Some(date).filter(|date| *date != Date::LAST)
}

/// Refuses dates that no file can name: their years have other than four digits.
fn check_dates(dates: &[(&str, Option<Date>)]) -> Result<(), ProcessError> {
    for (field, date) in dates {
        if date.is_some_and(|date| !(Date::FIRST..=Date::LAST).contains(&date)) {
            let text = format!("{field} lies outside the years 0000 to 9999: correct it at its source");
            return Err(ProcessError::dead_letter("date-out-of-range", text));
        }
    }
    Ok(())
}

/// The value as `R`. `None` for a tombstone.
fn read<R: AvroRecord>(context: &Context, record: &Record<'_>) -> Result<Option<R>, ProcessError> {
    if record.value.is_none() {
        return Ok(None);
    }
    let framed = context.open(record)?;
    let expected: RecordType = R::TYPE;
    if framed.record_type() != expected {
        return Err(unexpected(&framed));
    }
    Ok(Some(framed.read::<R>()?))
}

#[cfg(test)]
mod tests;
