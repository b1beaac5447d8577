//! Stages with given settings, and invented engagements, for tests.

use std::sync::Arc;

pub(crate) use tributary_flow::testing::{Harness, Sent};
use tributary_runtime::Processor;
use tributary_schemas::records::aggregation::{
    AcceptedTransactions, Engagement, EngagementTransaction, Interaction, Subscriber, SubscriberFilter,
};
use tributary_schemas::{CodecBuilder, LocalRegistry};

use crate::ei_settings::IndexSettings;
use crate::index::IndexContext;
use crate::transaction::{SentEngagement, SentTransaction};

/// The timestamp of all records, unless a test sets another one: 2027-01-15T08:00:00Z.
pub(crate) const NOW: i64 = 1_800_000_000_000;

/// The same as a stamp in Stockholm.
pub(crate) const NOW_STAMP: &str = "20270115090000";

/// The address of the index.
pub(crate) const OWN: &str = "SE-EI";

/// The patient of most tests.
pub(crate) const PATIENT: &str = "191212121212";

pub(crate) fn settings() -> IndexSettings {
    IndexSettings::of(OWN.parse().unwrap())
}

/// The built-in settings, with a registry in memory.
pub(crate) fn context() -> IndexContext {
    context_with(settings())
}

pub(crate) fn context_with(settings: IndexSettings) -> IndexContext {
    let codec = CodecBuilder::new(Arc::new(LocalRegistry::in_memory()))
        .topics(crate::declaration::DECLARATION.topics())
        .build()
        .unwrap();
    IndexContext::new(codec, Arc::new(settings)).unwrap()
}

/// The harness of the processor that `make` creates.
pub(crate) fn stage_with<P: Processor>(settings: IndexSettings, make: impl FnOnce(IndexContext) -> P) -> Harness<P> {
    let context = context_with(settings);
    Harness::new(context.codec.clone(), make(context), NOW)
}

/// An engagement of this index about a patient.
pub(crate) fn engagement(patient: &str, domain: &str, category: &str) -> Engagement {
    Engagement {
        registered_resident_identification: patient.parse().unwrap(),
        service_domain: domain.to_owned(),
        categorization: category.to_owned(),
        logical_address: "SE-UNIT".parse().unwrap(),
        business_object_instance_identifier: "NA".parse().unwrap(),
        clinical_process_interest_id: "NA".parse().unwrap(),
        most_recent_content: None,
        source_system: "SE-SYSTEM".parse().unwrap(),
        creation_time: None,
        update_time: None,
        data_controller: "SE-CONTROLLER".to_owned(),
        owner: OWN.to_owned(),
    }
}

/// A transaction that adds or changes a booking of [`PATIENT`] whose business object has this name.
pub(crate) fn change(object: &str, content: Option<&str>) -> EngagementTransaction {
    let engagement = Engagement {
        business_object_instance_identifier: object.parse().unwrap(),
        most_recent_content: content.map(|content| content.parse().unwrap()),
        ..engagement(PATIENT, "riv:crm:scheduling", "Booking")
    };
    EngagementTransaction { delete_flag: false, engagement }
}

/// A transaction that deletes it.
pub(crate) fn delete(object: &str) -> EngagementTransaction {
    EngagementTransaction { delete_flag: true, ..change(object, None) }
}

/// The transactions of an update as the log holds them.
pub(crate) fn update(transactions: &[EngagementTransaction]) -> AcceptedTransactions {
    AcceptedTransactions {
        interaction: Interaction::Update,
        single: transactions.len() == 1,
        transactions: transactions.to_vec(),
    }
}

/// The same of a notification of another index.
pub(crate) fn notification(owner: &str, transactions: &[EngagementTransaction]) -> AcceptedTransactions {
    let mut transactions = transactions.to_vec();
    for transaction in &mut transactions {
        transaction.engagement.owner = owner.to_owned();
    }
    AcceptedTransactions { interaction: Interaction::ProcessNotification, single: false, transactions }
}

/// A subscriber with these filters: domains and categories.
pub(crate) fn subscriber(address: &str, filters: &[(&str, &[&str])]) -> Subscriber {
    let filter = |(domain, categories): &(&str, &[&str])| SubscriberFilter {
        service_domain: (*domain).to_owned(),
        categories: categories.iter().map(ToString::to_string).collect(),
    };
    Subscriber { filters: filters.iter().map(filter).collect(), address: address.parse().unwrap() }
}

/// A transaction as a source system sends it, complete and right.
pub(crate) fn sent(object: &str) -> SentTransaction {
    let text = |text: &str| Some(text.to_owned());
    SentTransaction {
        delete_flag: false,
        engagement: SentEngagement {
            registered_resident_identification: text(PATIENT),
            service_domain: text("riv:crm:scheduling"),
            categorization: text("Booking"),
            logical_address: text("SE-UNIT"),
            business_object_instance_identifier: text(object),
            clinical_process_interest_id: text("NA"),
            most_recent_content: text("20261120143000"),
            source_system: text("SE-SYSTEM"),
            creation_time: None,
            update_time: None,
            data_controller: text("SE-CONTROLLER"),
            owner: None,
        },
    }
}
