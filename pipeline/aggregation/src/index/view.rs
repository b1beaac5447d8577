//! The whole index in memory, fed by the rows of `aggregation.engagement`, which answers questions.
//!
//! Every process that answers has one, so no question travels between processes. Texts that many rows share are
//! kept once.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;

use rustc_hash::FxHashMap;
use tributary_schemas::records::aggregation::Engagement;
use tributary_schemas::types::aggregation::{Address, BusinessKey, InstanceId, NOT_GIVEN, PatientId, Stamp};

use super::pool::{Pool, TextId};
use super::question::{SentQuestion, Wanted};
use crate::refusal::Refusal;

/// The most engagements of an answer.
pub const MOST_FOUND: usize = 10_000;

/// The index. `Debug` shows no contents.
#[derive(Default)]
pub struct IndexView {
    rows: Vec<Option<Row>>,
    /// Places in `rows` that are empty.
    free: Vec<u32>,
    slots: FxHashMap<BusinessKey, u32>,
    of_patient: HashMap<PatientId, Vec<u32>>,
    pool: Pool,
}

impl fmt::Debug for IndexView {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("IndexView").field("engagements", &self.len()).finish_non_exhaustive()
    }
}

/// An engagement. Only ids that a source system gave are its own texts. `None` for one that is [`NOT_GIVEN`].
struct Row {
    patient: PatientId,
    domain: TextId,
    categorization: TextId,
    logical_address: TextId,
    source_system: TextId,
    data_controller: TextId,
    owner: TextId,
    business_object: Option<InstanceId>,
    clinical_process: Option<InstanceId>,
    most_recent_content: Option<Stamp>,
    creation_time: Option<Stamp>,
    update_time: Option<Stamp>,
}

/// The answer to a question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The engagements, at most [`MOST_FOUND`], in the order in which they came into the index.
    pub engagements: Vec<Engagement>,
    /// How many more were found.
    pub left_out: usize,
}

impl IndexView {
    /// Takes in a row, or its tombstone. It replaces the row of the same key.
    pub fn take(&mut self, key: BusinessKey, engagement: Option<Engagement>) {
        match (self.slots.get(&key).copied(), engagement) {
            (Some(slot), Some(engagement)) => {
                // The patient is a part of the key, so the slot stays with its patient.
                let row = self.row_of(engagement);
                if let Some(before) = self.rows[slot as usize].replace(row) {
                    self.release(&before);
                }
            }
            (None, Some(engagement)) => self.add(key, engagement),
            (Some(slot), None) => self.remove(key, slot),
            (None, None) => {}
        }
    }

    /// Forgets everything, before the topic is read again.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Number of engagements.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The engagements that all given fields of a question fit (FindContent-R2).
    ///
    /// # Errors
    /// A [`Refusal`] if the patient or the domain is missing (EI000), or if the time is none (EI004).
    pub fn find(&self, question: &SentQuestion) -> Result<Found, Refusal> {
        let wanted = question.wanted()?;
        let slots = self.of_patient.get(wanted.patient).map(Vec::as_slice).unwrap_or_default();
        let rows = slots.iter().filter_map(|slot| self.rows[*slot as usize].as_ref());
        let mut fitting = rows.filter(|row| self.fits(row, &wanted));
        let engagements = fitting.by_ref().take(MOST_FOUND).filter_map(|row| self.engagement_of(row)).collect();
        Ok(Found { engagements, left_out: fitting.count() })
    }

    /// The engagements of a patient, in a domain if one is given, at most [`MOST_FOUND`].
    pub fn of_patient(&self, patient: &PatientId, domain: Option<&str>) -> Vec<Engagement> {
        let slots = self.of_patient.get(patient.as_str()).map(Vec::as_slice).unwrap_or_default();
        let rows = slots.iter().filter_map(|slot| self.rows[*slot as usize].as_ref());
        let of_domain = rows.filter(|row| domain.is_none_or(|domain| self.pool.text(row.domain) == domain));
        of_domain.take(MOST_FOUND).filter_map(|row| self.engagement_of(row)).collect()
    }

    /// Engagements of all patients, from a place on, and the place where the next piece begins. `None` after the last.
    /// An engagement keeps its place.
    pub fn page(&self, from: usize, most: usize) -> (Vec<Engagement>, Option<usize>) {
        let mut engagements = Vec::new();
        for (place, row) in self.rows.iter().enumerate().skip(from) {
            if engagements.len() == most {
                return (engagements, Some(place));
            }
            engagements.extend(row.as_ref().and_then(|row| self.engagement_of(row)));
        }
        (engagements, None)
    }

    fn fits(&self, row: &Row, wanted: &Wanted<'_>) -> bool {
        let is = |wanted: Option<&str>, text: &str| wanted.is_none_or(|wanted| wanted == text);
        let shared = |wanted, id| is(wanted, self.pool.text(id));
        shared(Some(wanted.domain), row.domain)
            && shared(wanted.categorization, row.categorization)
            && shared(wanted.logical_address, row.logical_address)
            && shared(wanted.source_system, row.source_system)
            && shared(wanted.data_controller, row.data_controller)
            && shared(wanted.owner, row.owner)
            && is(wanted.business_object, row.business_object.as_ref().map_or(NOT_GIVEN, InstanceId::as_str))
            && is(wanted.clinical_process, row.clinical_process.as_ref().map_or(NOT_GIVEN, InstanceId::as_str))
            // A row without a time has none that is late enough.
            && wanted.most_recent_content.is_none_or(|least| row.most_recent_content.is_some_and(|time| time >= least))
    }

    fn add(&mut self, key: BusinessKey, engagement: Engagement) {
        let mut row = self.row_of(engagement);
        let known = self.of_patient.get_key_value(row.patient.as_str());
        if let Some((patient, _)) = known {
            // One text for all rows of the patient.
            row.patient = patient.clone();
        }
        let patient = row.patient.clone();
        let slot = if let Some(slot) = self.free.pop() {
            self.rows[slot as usize] = Some(row);
            slot
        } else {
            self.rows.push(Some(row));
            self.rows.len() as u32 - 1
        };
        self.slots.insert(key, slot);
        self.of_patient.entry(patient).or_default().push(slot);
    }

    fn remove(&mut self, key: BusinessKey, slot: u32) {
        self.slots.remove(&key);
        let Some(row) = self.rows[slot as usize].take() else { return };
        self.release(&row);
        self.free.push(slot);
        if let Some(slots) = self.of_patient.get_mut(row.patient.as_str()) {
            slots.retain(|one| *one != slot);
            if slots.is_empty() {
                self.of_patient.remove(row.patient.as_str());
            }
        }
    }

    fn row_of(&mut self, engagement: Engagement) -> Row {
        let given = |id: InstanceId| (id.as_str() != NOT_GIVEN).then_some(id);
        Row {
            patient: engagement.registered_resident_identification,
            domain: self.pool.take(&engagement.service_domain),
            categorization: self.pool.take(&engagement.categorization),
            logical_address: self.pool.take(engagement.logical_address.as_str()),
            source_system: self.pool.take(engagement.source_system.as_str()),
            data_controller: self.pool.take(&engagement.data_controller),
            owner: self.pool.take(&engagement.owner),
            business_object: given(engagement.business_object_instance_identifier),
            clinical_process: given(engagement.clinical_process_interest_id),
            most_recent_content: engagement.most_recent_content,
            creation_time: engagement.creation_time,
            update_time: engagement.update_time,
        }
    }

    fn release(&mut self, row: &Row) {
        let Row { domain, categorization, logical_address, source_system, data_controller, owner, .. } = row;
        for text in [domain, categorization, logical_address, source_system, data_controller, owner] {
            self.pool.release(*text);
        }
    }

    /// A row as it came. The addresses among the shared texts are addresses still.
    fn engagement_of(&self, row: &Row) -> Option<Engagement> {
        let text = |id| self.pool.text(id).to_owned();
        let address = |id| self.pool.text(id).parse::<Address>().ok();
        let given = |id: &Option<InstanceId>| id.clone().or_else(|| NOT_GIVEN.parse().ok());
        Some(Engagement {
            registered_resident_identification: row.patient.clone(),
            service_domain: text(row.domain),
            categorization: text(row.categorization),
            logical_address: address(row.logical_address)?,
            business_object_instance_identifier: given(&row.business_object)?,
            clinical_process_interest_id: given(&row.clinical_process)?,
            most_recent_content: row.most_recent_content,
            source_system: address(row.source_system)?,
            creation_time: row.creation_time,
            update_time: row.update_time,
            data_controller: text(row.data_controller),
            owner: text(row.owner),
        })
    }
}
