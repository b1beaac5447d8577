//! The `index` stage: what the index knows, who is notified of its changes, and which caches they mark.
//!
//! The store has only what can change of an engagement. All else is in its key, or in the transaction that changes it,
//! so the state names no patient. A row, its notifications and its mark are one transaction of the log.

mod context;
mod pool;
mod question;
#[cfg(test)]
mod tests;
mod view;

use tributary_flow::framed::unexpected;
use tributary_runtime::{Output, ProcessError, Processor, Record, StateStore, Store};
use tributary_schemas::RecordType;
use tributary_schemas::records::aggregation::{
    AcceptedTransactions, Engagement, EngagementTransaction, Interaction, Invalidation, Mark, Notification,
    SubscriberList,
};
use tributary_schemas::records::aggregation_state::IndexedContent;
use tributary_schemas::types::aggregation::{BusinessKey, PatientId, Stamp};

use crate::invalidation::mark;
use crate::{subscribers, topics};

pub use context::{IndexContext, MOST_IN_RECORD};
pub use question::SentQuestion;
pub use view::{Found, IndexView, MOST_FOUND};

/// The processor of one partition.
pub struct IndexStage {
    context: IndexContext,
    rows: Store<BusinessKey, IndexedContent>,
    subscribers: Store<(), SubscriberList>,
}

/// What a record has changed so far.
#[derive(Default)]
struct Changes {
    told: Vec<EngagementTransaction>,
    marks: Vec<Mark>,
}

impl IndexStage {
    /// Creates a task with empty state.
    pub fn new(context: IndexContext) -> Self {
        Self { context, rows: Store::new(0, "rows"), subscribers: Store::new(1, "subscribers") }
    }

    fn apply(&mut self, accepted: AcceptedTransactions, now: Stamp, output: &mut Output) {
        let mut changes = Changes::default();
        for transaction in accepted.transactions {
            match accepted.interaction {
                Interaction::Update => self.update(transaction, now, &mut changes, output),
                Interaction::ProcessNotification => self.notified(transaction, now, &mut changes, output),
            }
        }
        self.notify(&changes.told, output);
        self.invalidate(changes.marks, output);
    }

    /// Notified are every delete, every new row and every changed one (A 6.5).
    fn update(&mut self, mut changed: EngagementTransaction, now: Stamp, changes: &mut Changes, output: &mut Output) {
        let is_changed = self.store(&mut changed, now, output);
        if is_changed {
            changes.marks.push(mark(&changed.engagement));
        }
        if is_changed || changed.delete_flag {
            changes.told.push(changed);
        }
    }

    /// Every transaction of another index is notified and marks caches, whether or not it changes something here.
    fn notified(&mut self, mut changed: EngagementTransaction, now: Stamp, changes: &mut Changes, output: &mut Output) {
        self.delete_own(&changed.engagement, output);
        self.store(&mut changed, now, output);
        changes.marks.push(mark(&changed.engagement));
        changes.told.push(changed);
    }

    /// Deletes the row that this index owns of an engagement that another one owns now (ProcessNotification-R5).
    fn delete_own(&mut self, engagement: &Engagement, output: &mut Output) {
        let own = engagement.key_with_owner(self.context.settings.hsa_id.as_str());
        if own != engagement.key() && self.rows.get(&own).is_some() {
            self.delete(own, &engagement.registered_resident_identification, output);
        }
    }

    fn delete(&mut self, key: BusinessKey, patient: &PatientId, output: &mut Output) {
        self.rows.delete(key);
        let partition = patient.partition(output.partition_count(&topics::ENGAGEMENT));
        output.tombstone_to(&topics::ENGAGEMENT, partition, key.to_string().as_bytes());
    }

    /// Applies a transaction and fills in its times (Update-R2, R4, R5). Returns whether the index has changed.
    fn store(&mut self, transaction: &mut EngagementTransaction, now: Stamp, output: &mut Output) -> bool {
        let engagement = &mut transaction.engagement;
        let key = engagement.key();
        let known = self.rows.get(&key).cloned();
        if transaction.delete_flag {
            let is_known = known.is_some();
            fill_in(engagement, known);
            if is_known {
                self.delete(key, &engagement.registered_resident_identification, output);
            }
            return is_known;
        }
        let content = engagement.most_recent_content;
        let row = match &known {
            None => IndexedContent { update_time: None, most_recent_content: content, creation_time: now },
            Some(known) if known.most_recent_content == content => {
                fill_in(engagement, Some(known.clone()));
                return false;
            }
            Some(known) => IndexedContent { update_time: Some(now), most_recent_content: content, ..known.clone() },
        };
        fill_in(engagement, Some(row.clone()));
        self.rows.put(key, row);
        let count = output.partition_count(&topics::ENGAGEMENT);
        let partition = engagement.registered_resident_identification.partition(count);
        self.context.send_to(output, &topics::ENGAGEMENT, partition, key.to_string().as_bytes(), engagement);
        true
    }

    fn notify(&self, told: &[EngagementTransaction], output: &mut Output) {
        let Some(list) = self.subscribers.get(&()) else { return };
        for subscriber in &list.subscribers {
            let wanted = told.iter().filter(|transaction| subscribers::wants(subscriber, &transaction.engagement));
            let transactions: Vec<EngagementTransaction> = wanted.cloned().collect();
            if !transactions.is_empty() {
                let notification = Notification { subscriber: subscriber.address.clone(), transactions };
                self.context.send(output, &topics::NOTIFICATION, subscriber.address.as_str(), &notification);
            }
        }
    }

    fn invalidate(&self, marks: Vec<Mark>, output: &mut Output) {
        let Some(first) = marks.first() else { return };
        let partition = first.patient.partition(output.partition_count(&topics::INVALIDATION));
        self.context.send_to(output, &topics::INVALIDATION, partition, b"", &Invalidation { marks });
    }
}

/// The times of the index, whatever was sent.
fn fill_in(engagement: &mut Engagement, row: Option<IndexedContent>) {
    engagement.creation_time = row.as_ref().map(|row| row.creation_time);
    engagement.update_time = row.and_then(|row| row.update_time);
}

impl Processor for IndexStage {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let framed = self.context.open(record)?;
        match framed.record_type() {
            RecordType::AggregationAcceptedTransactions => {
                let now = self.context.stamp(record.timestamp)?;
                self.apply(framed.read()?, now, output);
            }
            RecordType::AggregationSubscriberList => self.subscribers.put((), framed.read()?),
            _ => return Err(unexpected(&framed)),
        }
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.rows, &mut self.subscribers]
    }
}
