//! What both stages of the index receive, and how the edge hands requests to them.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tributary_flow::framed;
use tributary_runtime::{Output, ProcessError, Record, TimestampMillis, Topic};
use tributary_schemas::records::aggregation::{
    AcceptedTransactions, EngagementTransaction, IndexLock, Interaction, SubscriberList,
};
use tributary_schemas::types::aggregation::Stamp;
use tributary_schemas::{AvroRecord, Codec, Framed};

use crate::ei_settings::IndexSettings;
use crate::topics;

/// The most transactions of one record. With the longest texts they are about 400 kB, less than what brokers accept.
pub const MOST_IN_RECORD: usize = 100;

/// The key of records that belong to no single key.
const NO_KEY: &[u8] = b"";

/// Codec and settings, shared by all tasks.
#[derive(Clone)]
pub struct IndexContext {
    /// Writes and reads records with the frame of the schema registry.
    pub codec: Codec,
    /// The settings of the index.
    pub settings: Arc<IndexSettings>,
    zone: TimeZone,
}

impl IndexContext {
    /// Creates a context.
    ///
    /// # Errors
    /// If the zone of the stamps, Europe/Stockholm, is not known.
    pub fn new(codec: Codec, settings: Arc<IndexSettings>) -> Result<Self, jiff::Error> {
        Ok(Self { codec, settings, zone: TimeZone::get("Europe/Stockholm")? })
    }

    /// Sends accepted transactions to the index. The output is published in one transaction, so all of a request are
    /// accepted or none.
    ///
    /// Those of one partition stand in it in their order, and nothing of another request is between them. Each
    /// partition applies its part by itself: a question may see the part of one patient before that of another.
    pub fn submit(&self, output: &mut Output, interaction: Interaction, transactions: Vec<EngagementTransaction>) {
        let single = interaction == Interaction::Update && transactions.len() == 1;
        let count = output.partition_count(&topics::INDEX_INBOX);
        let mut by_partition = vec![Vec::new(); count.max(0) as usize];
        for transaction in transactions {
            let partition = transaction.engagement.registered_resident_identification.partition(count);
            by_partition[partition as usize].push(transaction);
        }
        for (partition, transactions) in (0..).zip(by_partition) {
            let accepted = AcceptedTransactions { interaction, single, transactions };
            self.send_accepted(output, &topics::INDEX_INBOX, partition, accepted);
        }
    }

    /// Closes or opens the write lock in all partitions. What was accepted before it is closed is still applied, and
    /// what comes after waits in the log until it is opened.
    pub fn lock(&self, output: &mut Output, locked: bool) {
        let lock = IndexLock { locked };
        output.broadcast(&topics::INDEX_INBOX, NO_KEY, |buffer| framed::write(&self.codec, &lock, buffer));
    }

    /// Tells all partitions who is notified from now on.
    pub fn set_subscribers(&self, output: &mut Output, subscribers: &SubscriberList) {
        output.broadcast(&topics::INDEX_COLLECTED, NO_KEY, |buffer| framed::write(&self.codec, subscribers, buffer));
    }

    /// Sends transactions of one partition, in records of limited size.
    pub(crate) fn send_accepted(
        &self,
        output: &mut Output,
        topic: &'static Topic,
        partition: i32,
        mut accepted: AcceptedTransactions,
    ) {
        while accepted.transactions.len() > MOST_IN_RECORD {
            let rest = accepted.transactions.split_off(MOST_IN_RECORD);
            self.send_to(output, topic, partition, NO_KEY, &accepted);
            accepted.transactions = rest;
        }
        if !accepted.transactions.is_empty() {
            self.send_to(output, topic, partition, NO_KEY, &accepted);
        }
    }

    pub(crate) fn open<'a>(&self, record: &Record<'a>) -> Result<Framed<'a>, ProcessError> {
        framed::open(&self.codec, record)
    }

    pub(crate) fn send_to<R: AvroRecord>(
        &self,
        output: &mut Output,
        topic: &'static Topic,
        partition: i32,
        key: &[u8],
        record: &R,
    ) {
        output.send_to(topic, partition, key, |buffer| framed::write(&self.codec, record, buffer));
    }

    pub(crate) fn send<R: AvroRecord>(&self, output: &mut Output, topic: &'static Topic, key: &str, record: &R) {
        framed::send(&self.codec, output, topic, key.as_bytes(), record);
    }

    /// The stamp of a time in milliseconds since 1970.
    pub(crate) fn stamp(&self, time: TimestampMillis) -> Result<Stamp, ProcessError> {
        let civil = Timestamp::from_millisecond(time).ok().map(|time| time.to_zoned(self.zone.clone()).datetime());
        civil.and_then(Stamp::of).ok_or_else(|| {
            ProcessError::dead_letter("bad-time", format!("{time} milliseconds since 1970 is no time of the calendar"))
        })
    }
}
