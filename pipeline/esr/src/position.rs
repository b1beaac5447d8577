//! The `position` stage, keyed by position id: one stored position from POS and POR lines (D6, D7), its pairing with a
//! post (R1-R7), and its applicant records (A1, A2).
//!
//! A position is the only owner of its pairs. The answers of `post` carry the version of the subscription that they
//! answer. Answers to an older subscription are dropped.

mod merging;
mod state;

use tributary_flow::framed::unexpected;
use tributary_flow::key;
use tributary_runtime::{Output, ProcessError, Processor, Record, StateStore, Store};
use tributary_schemas::RecordType;
use tributary_schemas::records::esr::{
    ApplicantExported, FileEnd, LineVerdict, PlacementExported, PositionPlacement, PositionPlacementGone,
    PositionReconciled, PositionSubscription, PositionUnsubscribed, PostMatch,
};
use tributary_schemas::records::esr_state::ExportedDates;
use tributary_schemas::types::esr::PositionId;
use tributary_schemas::types::tis::{PersonId, PlacementId};

use crate::applicant::{self, PositionFacts};
use crate::context::{Context, london_date};
use crate::dpn::FoldedDpn;
use crate::format::{LineKey, Office};
use crate::person::EsrPerson;
use crate::topics;

pub use state::{Pair, PairKey, StoredPosition};

/// The processor of one partition.
pub struct PositionStage {
    context: Context,
    partition: i32,
    stored: Store<PositionId, StoredPosition>,
    pairs: Store<PairKey, Pair>,
    verdicts: Store<LineKey, LineVerdict>,
}

impl PositionStage {
    /// Creates a task with empty state.
    pub fn new(context: Context, partition: i32) -> Self {
        Self {
            context,
            partition,
            stored: Store::new(0, "stored"),
            pairs: Store::new(1, "pairs"),
            verdicts: Store::new(2, "verdicts"),
        }
    }

    /// All stored positions, for summaries.
    pub fn positions(&self) -> impl Iterator<Item = (&PositionId, &StoredPosition)> {
        self.stored.iter()
    }

    /// Stores the new state of a position, and sends the difference to the post stage, the exporter and the topics of
    /// positions.
    fn replace(&mut self, id: PositionId, old: Option<&StoredPosition>, mut new: StoredPosition, output: &mut Output) {
        let old_dpn = old.map(|old| FoldedDpn::of(&old.dpn)).unwrap_or_default();
        let new_dpn = FoldedDpn::of(&new.dpn);
        if let Some(old) = old {
            let ended = old_dpn != new_dpn || (new.deleted && !old.deleted);
            if ended || old.office != new.office {
                self.withdraw_pairs(id, old.office, output);
            }
        }
        if old.is_none_or(|old| old.subscribes_otherwise(&new)) {
            new.version = old.map_or(0, |old| old.version) + 1;
            if old_dpn != new_dpn {
                new.dpn_version = new.version;
            }
            if old_dpn != new_dpn && !old_dpn.is_empty() {
                let gone = PositionUnsubscribed { position_id: id, version: new.version };
                self.context.send(output, &topics::POST, old_dpn.as_bytes(), &gone);
                new.post_id = None;
            }
            if !new_dpn.is_empty() {
                self.subscribe(id, &new, &new_dpn, old_dpn != new_dpn, output);
            }
        }
        self.tell(id, old, &new, output);
        self.stored.put(id, new);
    }

    fn subscribe(
        &self,
        id: PositionId,
        position: &StoredPosition,
        dpn: &FoldedDpn,
        is_new_dpn: bool,
        output: &mut Output,
    ) {
        let subscription = PositionSubscription {
            position_id: id,
            version: position.version,
            office: position.office,
            live: position.is_live(),
            dpn: position.dpn.clone(),
            cause_file: position.cause_file,
            cause_line: position.cause_line,
            cause_moved: position.cause_moved,
            waiting: self
                .pairs_of(id)
                .filter(|(key, pair)| !pair.is_exported(key.trainee))
                .map(|(key, _)| key.placement)
                .collect(),
        };
        if is_new_dpn {
            self.tell_exports(id, dpn, output);
        }
        self.context.send(output, &topics::POST, dpn.as_bytes(), &subscription);
    }

    /// Reports earlier exports to the DPN that the position now has (D34). The reports come before the subscription, so
    /// the post stage can distinguish them from exports under that DPN.
    fn tell_exports(&self, id: PositionId, dpn: &FoldedDpn, output: &mut Output) {
        for (key, pair) in self.pairs_of(id) {
            if let Some(sent) = &pair.exported {
                self.context.send(output, &topics::POST, dpn.as_bytes(), &placement_exported(key, sent));
            }
        }
    }

    /// Publishes the position if it changed, and the pairing if it changed.
    fn tell(&self, id: PositionId, old: Option<&StoredPosition>, new: &StoredPosition, output: &mut Output) {
        let public = new.public(id);
        if old.is_some_and(|old| old.public(id) == public) {
            return;
        }
        self.context.send(output, &topics::POSITION, &id.0.to_be_bytes(), &public);
        if old.is_some_and(|old| old.is_paired_like(new)) {
            return;
        }
        let reconciled =
            PositionReconciled { position_id: id, dpn: new.dpn.clone(), status: new.status(), post_id: new.post_id };
        self.context.send(output, &topics::POSITION_RECONCILED, &id.0.to_be_bytes(), &reconciled);
    }

    fn pairs_of(&self, id: PositionId) -> impl Iterator<Item = (&PairKey, &Pair)> {
        let first = PairKey { position: id, placement: PlacementId(i64::MIN), trainee: PersonId(i64::MIN) };
        let last = PairKey { position: id, placement: PlacementId(i64::MAX), trainee: PersonId(i64::MAX) };
        self.pairs.range(first..=last)
    }

    /// Withdraws the records that were not exported (R4, R6, D6). Exported records do not change.
    fn withdraw_pairs(&mut self, id: PositionId, office: Office, output: &mut Output) {
        let open = self.pairs_of(id).filter(|(key, pair)| pair.is_open(key.trainee));
        let open: Vec<_> = open.map(|(key, pair)| (*key, pair.withdrawn())).collect();
        for (key, withdrawn) in open {
            Context::withdraw_export(output, &key.applicant(office));
            self.pairs.put(key, withdrawn);
        }
    }

    fn matched(&mut self, id: PositionId, answer: &PostMatch, output: &mut Output) {
        let Some(old) = self.current(id, answer.version) else { return };
        if old.post_id == answer.post_id {
            return;
        }
        let mut new = old.clone();
        new.post_id = answer.post_id;
        if new.post_id.is_none() {
            self.withdraw_pairs(id, new.office, output);
        }
        self.tell(id, Some(&old), &new, output);
        self.stored.put(id, new);
    }

    /// The position. `None` if the version belongs to an earlier subscription.
    fn current(&self, id: PositionId, version: i64) -> Option<StoredPosition> {
        self.stored.get(&id).filter(|position| position.version == version).cloned()
    }

    fn placement(
        &mut self,
        id: PositionId,
        placement: &PositionPlacement,
        record: &Record<'_>,
        output: &mut Output,
    ) -> Result<(), ProcessError> {
        let Some(position) = self.current(id, placement.version).filter(StoredPosition::is_live) else {
            return Ok(());
        };
        let key = PairKey { position: id, placement: placement.placement_id, trainee: placement.trainee_id };
        let pair = self.pairs.get(&key);
        let today = london_date(record.timestamp)?;
        let ended = placement.date_to.is_some_and(|end| end < today);
        if pair.is_none() && ended {
            return Ok(());
        }
        let facts = PositionFacts {
            position_id: id,
            office: position.office,
            dpn: &position.dpn,
            position_number: position.position_number.as_deref().unwrap_or_default(),
        };
        let applicant = applicant::build(placement, facts, &self.context)?;
        let is_exported = |pair: &Pair| {
            let person = EsrPerson::of_applicant(&applicant);
            pair.is_exported(key.trainee) && pair.is_exported_for(person, key.trainee)
        };
        if pair.is_some_and(is_exported) {
            return Ok(());
        }
        let sent = Pair::sent(&applicant, pair);
        let export_key = key.applicant(position.office).to_string();
        self.context.send_export(output, position.office, &export_key, &applicant);
        self.pairs.put(key, sent);
        Ok(())
    }

    fn placement_gone(&mut self, id: PositionId, gone: &PositionPlacementGone, output: &mut Output) {
        // This record may cross a new subscription to the same DPN. It still counts then, because the answer to the new
        // subscription no longer names the placement.
        let still_meant = |position: &&StoredPosition| position.dpn_version <= gone.version;
        let Some(position) = self.stored.get(&id).filter(still_meant).cloned() else { return };
        let key = PairKey { position: id, placement: gone.placement_id, trainee: gone.trainee_id };
        if let Some(pair) = self.pairs.get(&key).filter(|pair| pair.is_open(key.trainee)) {
            let withdrawn = pair.withdrawn();
            Context::withdraw_export(output, &key.applicant(position.office));
            self.pairs.put(key, withdrawn);
        }
    }

    fn exported(&mut self, id: PositionId, exported: ApplicantExported, output: &mut Output) {
        let ApplicantExported { placement_id, trainee_id, date_from, date_to, file_name, gmc_number, gdc_number } =
            exported;
        let key = PairKey { position: id, placement: placement_id, trainee: trainee_id };
        let sent = ExportedDates { from: date_from, to: date_to, file_name, gmc_number, gdc_number };
        let told = placement_exported(&key, &sent);
        let mut pair = self.pairs.get(&key).map(|pair| pair.0.clone()).unwrap_or_default();
        pair.exported = Some(sent);
        pair.withdrawn = false;
        self.pairs.put(key, Pair(pair));
        let Some(position) = self.stored.get(&id).filter(|position| !position.dpn.is_empty()) else {
            return;
        };
        let dpn = FoldedDpn::of(&position.dpn);
        self.context.send(output, &topics::POST, dpn.as_bytes(), &told);
    }
}

fn placement_exported(key: &PairKey, sent: &ExportedDates) -> PlacementExported {
    PlacementExported {
        placement_id: key.placement,
        trainee_id: key.trainee,
        position_id: key.position,
        date_from: sent.from,
        date_to: sent.to,
        file_name: sent.file_name.clone(),
        gmc_number: sent.gmc_number.clone(),
        gdc_number: sent.gdc_number.clone(),
    }
}

impl Processor for PositionStage {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let framed = self.context.open(record)?;
        if framed.record_type() == RecordType::EsrFileEnd {
            let end = framed.read::<FileEnd>()?;
            self.file_done(&end, output);
            return Ok(());
        }
        let id = PositionId(key::id(record)?);
        match framed.record_type() {
            RecordType::EsrPositionLine => self.position_line(framed.read()?, output),
            RecordType::EsrReconciliationLine => self.reconciliation_line(framed.read()?, output),
            RecordType::EsrPostMatch => self.matched(id, &framed.read()?, output),
            RecordType::EsrPositionPlacement => {
                self.placement(id, &framed.read()?, record, output)?;
            }
            RecordType::EsrPositionPlacementGone => {
                self.placement_gone(id, &framed.read()?, output);
            }
            RecordType::EsrApplicantExported => self.exported(id, framed.read()?, output),
            _ => return Err(unexpected(&framed)),
        }
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.stored, &mut self.pairs, &mut self.verdicts]
    }
}

#[cfg(test)]
mod tests;
