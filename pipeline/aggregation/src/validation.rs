//! What `Update` and `ProcessNotification` check alike (A 6.3). A request is taken whole or not at all.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::str::FromStr;

use tributary_schemas::records::aggregation::{Engagement, EngagementTransaction};
use tributary_schemas::types::aggregation::{BusinessKey, KeyFields, Stamp};

use crate::engagement::Field;
use crate::refusal::Refusal;
use crate::transaction::{SentEngagement, SentTransaction};

/// The most transactions of a request.
pub(crate) const MOST_TRANSACTIONS: usize = 1000;

/// Whose engagements the transactions are.
#[derive(Clone, Copy)]
pub(crate) enum Owner<'a> {
    /// This index, whatever is sent (Update-R6).
    Own(&'a str),
    /// The one that is sent, which is mandatory.
    AsSent,
}

impl<'a> Owner<'a> {
    fn of(self, engagement: &'a SentEngagement) -> &'a str {
        match self {
            Self::Own(owner) => owner,
            Self::AsSent => engagement.text(Field::Owner),
        }
    }
}

/// Checks transactions from the second check of A 6.3 on, and gives them the form of the log.
///
/// # Errors
/// The first [`Refusal`].
pub(crate) fn check(
    sent: &[SentTransaction],
    owner: Owner<'_>,
    reserved: &[String],
) -> Result<Vec<EngagementTransaction>, Refusal> {
    if sent.is_empty() {
        return Err(Refusal::Technical("a request has at least 1 transaction".to_owned()));
    }
    if sent.len() > MOST_TRANSACTIONS {
        return Err(Refusal::Technical(format!("a request has at most {MOST_TRANSACTIONS} transactions")));
    }
    let mut numbers: HashMap<BusinessKey, usize> = HashMap::with_capacity(sent.len());
    let mut checked = Vec::with_capacity(sent.len());
    for (number, transaction) in (1..).zip(sent) {
        let engagement = &transaction.engagement;
        let owner_text = owner.of(engagement);
        match numbers.entry(key(engagement, owner_text)) {
            Entry::Occupied(first) => return Err(Refusal::Duplicate { first: *first.get(), second: number }),
            Entry::Vacant(entry) => entry.insert(number),
        };
        check_spaces(engagement)?;
        check_reserved(engagement, number, reserved)?;
        check_fields(engagement, owner)?;
        let times = check_times(engagement)?;
        let engagement = engagement_of(engagement, owner_text, times[0])?;
        checked.push(EngagementTransaction { delete_flag: transaction.delete_flag, engagement });
    }
    Ok(checked)
}

/// The duplicates are found with the owner that will be stored.
fn key(engagement: &SentEngagement, owner: &str) -> BusinessKey {
    BusinessKey::of(KeyFields {
        patient: engagement.text(Field::RegisteredResidentIdentification),
        domain: engagement.text(Field::ServiceDomain),
        categorization: engagement.text(Field::Categorization),
        logical_address: engagement.text(Field::LogicalAddress),
        business_object: engagement.text(Field::BusinessObjectInstanceIdentifier),
        source_system: engagement.text(Field::SourceSystem),
        data_controller: engagement.text(Field::DataController),
        owner,
        clinical_process: engagement.text(Field::ClinicalProcessInterestId),
    })
}

fn check_spaces(engagement: &SentEngagement) -> Result<(), Refusal> {
    let has_spaces = |text: &str| text.trim().len() != text.len();
    match Field::MANDATORY.into_iter().find(|field| has_spaces(engagement.text(*field))) {
        Some(field) => {
            Err(Refusal::Invalid(format!("Field \"{}\" has white space at its start or its end", field.element())))
        }
        None => Ok(()),
    }
}

fn check_reserved(engagement: &SentEngagement, number: usize, reserved: &[String]) -> Result<(), Refusal> {
    let reserved = |field| reserved.iter().find(|address| *address == engagement.text(field)).cloned();
    if let Some(address) = reserved(Field::LogicalAddress) {
        return Err(Refusal::ReservedAddress { number, address });
    }
    match reserved(Field::SourceSystem) {
        Some(address) => Err(Refusal::ReservedSource { number, address }),
        None => Ok(()),
    }
}

fn check_fields(engagement: &SentEngagement, owner: Owner<'_>) -> Result<(), Refusal> {
    let is_owner_sent = matches!(owner, Owner::AsSent);
    let fields = || Field::MANDATORY.into_iter().chain(is_owner_sent.then_some(Field::Owner));
    if let Some(field) = fields().find(|field| engagement.text(*field).is_empty()) {
        return Err(Refusal::missing(field.element()));
    }
    let is_long = |field: &Field| {
        let text = engagement.text(*field);
        text.len() > field.most() && text.chars().count() > field.most()
    };
    match fields().find(is_long) {
        Some(field) => Err(Refusal::too_long(field.element(), field.most())),
        None => Ok(()),
    }
}

/// The times, of which only that of the content is used.
fn check_times(engagement: &SentEngagement) -> Result<[Option<Stamp>; 3], Refusal> {
    let mut stamps = [None; 3];
    for (stamp, (name, text)) in stamps.iter_mut().zip(engagement.times()) {
        *stamp = text.map(str::parse).transpose().map_err(|_| Refusal::no_time(name))?;
    }
    Ok(stamps)
}

fn engagement_of(sent: &SentEngagement, owner: &str, content: Option<Stamp>) -> Result<Engagement, Refusal> {
    Ok(Engagement {
        registered_resident_identification: typed(sent, Field::RegisteredResidentIdentification)?,
        service_domain: sent.text(Field::ServiceDomain).to_owned(),
        categorization: sent.text(Field::Categorization).to_owned(),
        logical_address: typed(sent, Field::LogicalAddress)?,
        business_object_instance_identifier: typed(sent, Field::BusinessObjectInstanceIdentifier)?,
        clinical_process_interest_id: typed(sent, Field::ClinicalProcessInterestId)?,
        most_recent_content: content,
        source_system: typed(sent, Field::SourceSystem)?,
        // What is sent is ignored (Update-R5).
        creation_time: None,
        update_time: None,
        data_controller: sent.text(Field::DataController).to_owned(),
        owner: owner.to_owned(),
    })
}

/// The checks before leave no text that does not fit.
fn typed<T: FromStr>(sent: &SentEngagement, field: Field) -> Result<T, Refusal> {
    sent.text(field).parse().map_err(|_| Refusal::too_long(field.element(), field.most()))
}
