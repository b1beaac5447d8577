//! What readers of the topics see, as plain data.

use jiff::tz::TimeZone;
use tributary_aggregation::index::{IndexView, SentQuestion};
use tributary_aggregation::topics;
use tributary_aggregation_oracle::{Engagement, Question, Row, Told, Transaction};
use tributary_runtime::Topic;
use tributary_runtime::memory::OwnedRecord;
use tributary_schemas::records::aggregation::{self, IndexState, Invalidation, Notification};
use tributary_schemas::types::aggregation::Stamp;

use crate::simulated_index::{SimulatedIndex, content, patient};

impl SimulatedIndex {
    fn records(&self, topic: &'static Topic) -> Vec<OwnedRecord> {
        let partitions = 0..topic.partition_count(self.partitions);
        partitions.flat_map(|partition| self.broker.read_committed(topic.name, partition)).collect()
    }

    /// The view of a process that has read the whole index.
    pub fn view(&self) -> IndexView {
        let mut view = IndexView::default();
        for record in self.records(&topics::ENGAGEMENT) {
            let key = String::from_utf8(record.key).unwrap().parse().unwrap();
            let row: Option<aggregation::Engagement> =
                record.value.map(|value| self.codec.open(&value).unwrap().read().unwrap());
            assert!(row.as_ref().is_none_or(|row| row.key() == key), "a row is keyed by its business key");
            view.take(key, row);
        }
        view
    }

    /// What a subscriber was notified of about a patient, in order.
    pub fn told(&self, subscriber: &str, number: usize) -> Vec<Told> {
        let mut told = Vec::new();
        for record in self.records(&topics::NOTIFICATION) {
            let notification: Notification = self.codec.open(&record.value.unwrap()).unwrap().read().unwrap();
            assert_eq!(record.key, notification.subscriber.as_str().as_bytes());
            if notification.subscriber.as_str() == subscriber {
                told.extend(notification.transactions.iter().map(told_of));
            }
        }
        told.retain(|told| told.transaction.engagement.patient == number);
        told
    }

    /// The marks about a patient, in order: domain and category.
    pub fn marks(&self, number: usize) -> Vec<(String, String)> {
        let mut marks = Vec::new();
        for record in self.records(&topics::INVALIDATION) {
            let invalidation: Invalidation = self.codec.open(&record.value.unwrap()).unwrap().read().unwrap();
            marks.extend(invalidation.marks.into_iter().filter(|mark| mark.patient == patient(number)));
        }
        marks.into_iter().map(|mark| (mark.service_domain, mark.categorization)).collect()
    }

    /// Transactions that wait for the end of the lock, by the newest rows of all partitions.
    pub fn held(&self) -> i64 {
        let mut held = vec![0; self.partitions as usize];
        for record in self.records(&topics::INDEX_STATE) {
            let row: IndexState = self.codec.open(&record.value.unwrap()).unwrap().read().unwrap();
            held[row.partition as usize] = row.waiting;
        }
        held.iter().sum()
    }

    /// The number of dead letters.
    pub fn dead_letters(&self) -> usize {
        self.records(&topics::DEAD_LETTER).len()
    }
}

/// The rows that a view finds, sorted.
pub fn found(view: &IndexView, question: &Question) -> Vec<Row> {
    let asked = SentQuestion {
        registered_resident_identification: Some(patient(question.patient).as_str().to_owned()),
        service_domain: Some(question.domain.clone()),
        categorization: question.category.clone(),
        business_object_instance_identifier: question.object.map(|object| format!("visit-{object}")),
        most_recent_content: question.content.map(content),
        owner: question.owner.clone(),
        ..SentQuestion::default()
    };
    let found = view.find(&asked).unwrap();
    assert_eq!(found.left_out, 0);
    let mut rows: Vec<Row> = found.engagements.iter().map(row_of).collect();
    rows.sort();
    rows
}

/// All rows about a number of patients, sorted.
pub fn rows(view: &IndexView, patients: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = (0..patients)
        .flat_map(|number| view.of_patient(&patient(number), None))
        .map(|engagement| row_of(&engagement))
        .collect();
    assert_eq!(rows.len(), view.len());
    rows.sort();
    rows
}

fn row_of(engagement: &aggregation::Engagement) -> Row {
    Row {
        engagement: engagement_of(engagement),
        content: engagement.most_recent_content.map(minute),
        created: time(engagement.creation_time.unwrap()),
        updated: engagement.update_time.map(time),
    }
}

fn told_of(transaction: &aggregation::EngagementTransaction) -> Told {
    let engagement = &transaction.engagement;
    Told {
        transaction: Transaction {
            is_delete: transaction.delete_flag,
            engagement: engagement_of(engagement),
            content: engagement.most_recent_content.map(minute),
        },
        created: engagement.creation_time.map(time),
        updated: engagement.update_time.map(time),
    }
}

fn engagement_of(engagement: &aggregation::Engagement) -> Engagement {
    let number = |text: &str| text.rsplit('-').next().unwrap().parse::<u32>().unwrap();
    Engagement {
        patient: number(engagement.registered_resident_identification.as_str()) as usize,
        domain: engagement.service_domain.clone(),
        category: engagement.categorization.clone(),
        object: number(engagement.business_object_instance_identifier.as_str()),
        owner: engagement.owner.clone(),
    }
}

fn minute(stamp: Stamp) -> u64 {
    stamp.number() / 100 % 100
}

/// Milliseconds since 1970.
fn time(stamp: Stamp) -> i64 {
    let civil = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", stamp.to_string()).unwrap();
    civil.to_zoned(TimeZone::get("Europe/Stockholm").unwrap()).unwrap().timestamp().as_millisecond()
}
