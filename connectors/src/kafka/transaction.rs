//! Transactions of one producer: send, commit, abort, and what to do when one of them fails.
//!
//! There are three kinds of failure, because the runtime acts on them differently. *Abortable*: nothing has become
//! visible, and the producer can continue. *Unavailable*: the commit was not answered, so its outcome is not known.
//! This producer can do nothing more, and its owner restarts from what the broker says. *Fenced*: another producer has
//! the same transactional id.
//!
//! librdkafka speaks the transaction protocol before KIP-890, in which a delayed request can leak into the next
//! transaction. So after every timeout the producer is discarded and a new one takes the same id. The new epoch fences
//! requests that are still under way. The same happens after a connection broke, even when all calls succeeded: see
//! [`BrokenConnections`].

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::{TopicPartitionList, bindings};
use rustc_hash::FxHashMap;
use tributary_runtime::{LogError, Output, OutputRecord};

use super::broken_connections::BrokenConnections;
use super::call_thread::CallThread;
use super::configuration::KafkaConfiguration;
use super::connect::connect;
use super::headers;
use super::log_error;
use super::transaction_error::{TransactionError, lasting};
use crate::events;

/// The producer needs a thread that polls. Without one, an abort hangs until its timeout.
type NativeProducer = ThreadedProducer<BrokenConnections>;

/// How long to wait before trying again when the queue of the producer is full.
const QUEUE_FULL_PAUSE: Duration = Duration::from_micros(300);

/// How long after the answer to a commit its markers may still be under way.
const MARKERS_TIME: Duration = Duration::from_millis(10);

/// The pause before a call is repeated within its timeout.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// How long the first client waits for its transactional id before another replaces it.
const FIRST_TAKE_TIMEOUT: Duration = Duration::from_millis(200);

/// How much longer than its timeout a call may take before its client is given up. A later answer is dropped.
const LATE: Duration = Duration::from_secs(2);

/// Input offsets, and the member of the group that commits them.
pub(super) type InputOffsets = (TopicPartitionList, ConsumerGroupMetadata);

/// A transactional producer and its open transaction, if there is one.
pub(super) struct Transactions {
    configuration: KafkaConfiguration,
    id: String,
    /// `None` after a failure that this producer did not survive.
    producer: Option<Arc<NativeProducer>>,
    /// When the open transaction began.
    opened: Option<Instant>,
    /// When the last commit was answered.
    committed: Option<Instant>,
    /// Names on the broker by logical name.
    names: FxHashMap<&'static str, String>,
    /// The thread that adds offsets. `None` before the first call, and after one that was given up.
    offsets_thread: Option<CallThread<Result<(), TransactionError>>>,
}

impl Transactions {
    /// Takes over the transactional id. This first ends the transaction that another producer left open under it.
    pub(super) fn open(configuration: &KafkaConfiguration, id: String) -> Result<Self, LogError> {
        let producer = Some(Arc::new(initialise(configuration, &id)?));
        let configuration = configuration.clone();
        let names = FxHashMap::default();
        Ok(Self { configuration, id, producer, opened: None, committed: None, names, offsets_thread: None })
    }

    /// Whether a transaction is open.
    pub(super) fn is_open(&self) -> bool {
        self.opened.is_some()
    }

    /// Whether the producer did not survive its last failure.
    pub(super) fn is_broken(&self) -> bool {
        self.producer.is_none()
    }

    /// Creates a new producer instead of the current one. An open transaction is lost.
    pub(super) fn renew(&mut self) -> Result<(), LogError> {
        self.producer = None;
        self.opened = None;
        self.producer = Some(Arc::new(initialise(&self.configuration, &self.id)?));
        Ok(())
    }

    /// Adds records to the open transaction, and opens one if there is none.
    pub(super) fn send(&mut self, output: &Output) -> Result<(), LogError> {
        if output.is_empty() {
            return Ok(());
        }
        self.begin()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        for record in output.records() {
            self.produce(&record, now)?;
        }
        Ok(())
    }

    /// Adds records and offsets to the open transaction, and opens one if there is none.
    pub(super) fn send_with_offsets(&mut self, output: &Output, offsets: InputOffsets) -> Result<(), LogError> {
        self.begin()?;
        self.send(output)?;
        self.add_offsets(offsets)
    }

    /// Adds records, and commits the open transaction, with the offsets if there are any.
    ///
    /// While the broker writes the markers of the previous commit, it refuses a new transaction. librdkafka repeats the
    /// request for offsets after 2 ms (`retry.backoff.ms`), but that for records only after 20 ms. So offsets are sent
    /// first during that time. Later, records are sent first and both are under way together.
    pub(super) fn send_and_commit(&mut self, output: &Output, offsets: Option<InputOffsets>) -> Result<(), LogError> {
        let markers_under_way = self.committed.is_some_and(|committed| committed.elapsed() < MARKERS_TIME);
        let offsets_first = markers_under_way && !self.is_open();
        if offsets.is_some() {
            // Also without records to send: the input records may have changed nothing.
            self.begin()?;
        }
        let (first, last) = if offsets_first { (offsets, None) } else { (None, offsets) };
        if let Some(offsets) = first {
            self.add_offsets(offsets)?;
        }
        self.send(output)?;
        if let Some(offsets) = last {
            self.add_offsets(offsets)?;
        }
        self.commit()
    }

    /// Adds the offsets on a thread of its own, because librdkafka may never return from this call, whatever the
    /// timeout. This happens when the broker that coordinates the group is down (librdkafka issue 5456), or is removed
    /// from the broker list during the call (issue 5511). A call that hangs is given up together with its thread and
    /// its producer.
    fn add_offsets(&mut self, (offsets, member): InputOffsets) -> Result<(), LogError> {
        const CALL: &str = "adding the input offsets to the transaction";
        let timeout = self.configuration.call_timeout();
        let producer = Arc::clone(self.live()?);
        let thread = CallThread::in_slot(&mut self.offsets_thread, "offsets")
            .map_err(|error| LogError::unavailable(format!("no thread for {CALL}: {error}")).caused_by(error))?;
        // The thread drops its share of the producer before it answers, because the answer may lead to a new producer.
        thread.begin(move || {
            until_done(&producer, timeout, |producer, left| {
                producer.send_offsets_to_transaction(&offsets, &member, left).map_err(TransactionError::from)
            })
        });
        match thread.answers().recv_timeout(timeout + LATE) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => self.recover(CALL, error),
            Err(RecvTimeoutError::Timeout) => {
                events::call_given_up(&self.id, CALL);
                self.offsets_thread = None;
                self.renew()?;
                Err(LogError::abortable(format!("{CALL}: the client did not return")))
            }
            Err(RecvTimeoutError::Disconnected) => {
                self.offsets_thread = None;
                Err(LogError::fatal(format!("{CALL}: the call panicked")))
            }
        }
    }

    fn commit(&mut self) -> Result<(), LogError> {
        match until_done(self.live()?, self.configuration.call_timeout(), commit_directly) {
            Ok(()) => {
                self.opened = None;
                self.committed = Some(Instant::now());
                Ok(())
            }
            Err(error) if error.abortable => Err(error.of_call("committing the transaction", LogError::abortable)),
            Err(error) => {
                // The broker may or may not have committed. It can say so once a new producer has taken the id.
                let fenced = error.is_fenced() && !self.is_expired();
                self.producer = None;
                self.opened = None;
                let kind: fn(String) -> LogError = if fenced { LogError::fenced } else { LogError::unavailable };
                Err(error.of_call("the outcome of a commit is not known; state has to be restored", kind))
            }
        }
    }

    /// Aborts the open transaction, if there is one.
    pub(super) fn abort(&mut self) -> Result<(), LogError> {
        if self.is_broken() {
            return self.renew();
        }
        if !self.is_open() {
            return Ok(());
        }
        if self.may_be_late() {
            return self.renew();
        }
        let timeout = self.configuration.call_timeout();
        let aborted = until_done(self.live()?, timeout, |producer, left| {
            producer.abort_transaction(left).map_err(TransactionError::from)
        });
        let expired = self.is_expired();
        self.opened = None;
        match aborted {
            Ok(()) => Ok(()),
            Err(error) if error.is_fenced() && !expired => {
                self.producer = None;
                Err(error.of_call("aborting the transaction", LogError::fenced))
            }
            // A new epoch ends the transaction in any case. librdkafka can fail here when nothing had reached the
            // broker.
            Err(_) => self.renew(),
        }
    }

    /// Leaves the open transaction to the broker, like a killed process.
    #[cfg(test)]
    pub(super) fn forget(&mut self) {
        self.opened = None;
    }

    /// The thread that adds offsets, if there is one.
    #[cfg(test)]
    pub(super) fn offsets_thread(&self) -> Option<std::thread::ThreadId> {
        self.offsets_thread.as_ref().map(|thread| thread.thread.thread().id())
    }

    fn begin(&mut self) -> Result<(), LogError> {
        if self.is_open() {
            return Ok(());
        }
        if self.may_be_late() {
            events::producer_replaced(&self.id);
            self.renew()?;
        }
        let begun = self.live()?.begin_transaction().map_err(TransactionError::from);
        begun.or_else(|error| self.recover("beginning a transaction", error))?;
        self.opened = Some(Instant::now());
        Ok(())
    }

    fn produce(&mut self, record: &OutputRecord<'_>, now: i64) -> Result<(), LogError> {
        let configuration = &self.configuration;
        let name = self.names.entry(record.topic.name).or_insert_with(|| configuration.name(record.topic.name));
        let Some(producer) = &self.producer else { return Err(broken()) };
        let (timestamp, headers) = headers::to_wire(record.timestamp, now, record.headers);
        let mut message =
            BaseRecord::<[u8], [u8]>::to(name).partition(record.partition).key(record.key).timestamp(timestamp);
        message.payload = record.value;
        message.headers = headers;
        let deadline = Instant::now() + configuration.transaction_timeout;
        loop {
            let error = match producer.send(message) {
                Ok(()) => return Ok(()),
                Err((error, rejected)) => {
                    message = rejected;
                    error
                }
            };
            match error.rdkafka_error_code() {
                Some(Code::QueueFull) if Instant::now() < deadline => std::thread::sleep(QUEUE_FULL_PAUSE),
                Some(Code::MessageSizeTooLarge) => return Err(too_large(name, record)),
                // `State` means that an earlier record failed, so the transaction can only be aborted.
                Some(Code::QueueFull | Code::State) => {
                    return Err(LogError::abortable(format!("sending to {name}: {error}")));
                }
                _ => {
                    let call = format!("sending to {name}-{}", record.partition);
                    return self.recover(&call, error.into());
                }
            }
        }
    }

    /// Handles a failure before the commit itself, when nothing is visible yet.
    fn recover(&mut self, call: &str, error: TransactionError) -> Result<(), LogError> {
        if error.is_answered_and_abortable() {
            return Err(error.of_call(call, LogError::abortable));
        }
        if error.is_fenced() && !self.is_expired() {
            self.producer = None;
            self.opened = None;
            return Err(error.of_call(call, LogError::fenced));
        }
        self.renew()?;
        Err(error.of_call(call, LogError::abortable))
    }

    /// Whether a request of this producer may still arrive, in a transaction to which it does not belong.
    fn may_be_late(&self) -> bool {
        self.producer.as_ref().is_some_and(|producer| {
            // This delivers the log lines that the client has written so far.
            producer.poll(Duration::ZERO);
            producer.context().any()
        })
    }

    /// Whether the broker may have ended the open transaction itself. This looks as if the producer were fenced.
    fn is_expired(&self) -> bool {
        self.opened.is_some_and(|opened| opened.elapsed() >= self.configuration.transaction_timeout)
    }

    fn live(&self) -> Result<&Arc<NativeProducer>, LogError> {
        self.producer.as_ref().ok_or_else(broken)
    }
}

/// Repeats a call while librdkafka allows it, within the timeout.
fn until_done(
    producer: &NativeProducer,
    timeout: Duration,
    call: impl Fn(&NativeProducer, Duration) -> Result<(), TransactionError>,
) -> Result<(), TransactionError> {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match call(producer, left) {
            Err(error) if error.retriable && left > RETRY_PAUSE => std::thread::sleep(RETRY_PAUSE),
            result => return result,
        }
    }
}

/// Creates a producer and takes the transactional id.
///
/// A producer that was killed leaves a transaction open. The broker ends it within milliseconds of the request, but
/// refuses the request meanwhile, and librdkafka repeats it only after half a second. A new client asks at once, so it
/// replaces one that got no answer. Each has twice the time of the previous one, because a distant cluster takes
/// longer.
fn initialise(configuration: &KafkaConfiguration, id: &str) -> Result<NativeProducer, LogError> {
    // A transaction that the previous producer left open may have to time out first.
    let deadline = Instant::now() + configuration.call_timeout() * 2;
    let mut timeout = FIRST_TAKE_TIMEOUT;
    loop {
        let producer: NativeProducer = configuration
            .producer(id)
            .create_with_context(BrokenConnections::default())
            .map_err(|error| log_error::from_creation(&format!("the producer {id}"), &error))?;
        connect(producer.client());
        let left = deadline.saturating_duration_since(Instant::now());
        let Err(error) = producer.init_transactions(timeout.min(left)) else { return Ok(producer) };
        // The answer did not come in time. The error has the last answer of the broker, if there was one.
        let is_late = matches!(&error, KafkaError::Transaction(error) if error.is_retriable());
        if !is_late || timeout >= left {
            return Err(not_taken(id, error));
        }
        events::transactional_id_requested_again(id, timeout, &error);
        timeout *= 2;
    }
}

fn not_taken(id: &str, error: KafkaError) -> LogError {
    let call = format!("taking the transactional id {id}");
    match error.rdkafka_error_code() {
        Some(Code::TransactionalIdAuthorizationFailed | Code::ClusterAuthorizationFailed) => {
            log_error::from_call(&call, &error)
        }
        _ => TransactionError::from(error).of_call(&call, LogError::unavailable),
    }
}

fn broken() -> LogError {
    LogError::unavailable("the producer has failed and must be opened again")
}

fn too_large(name: &str, record: &OutputRecord<'_>) -> LogError {
    let size = record.key.len() + record.value.map_or(0, <[u8]>::len);
    LogError::fatal(format!(
        "a record of {size} bytes for {name}-{} is larger than Kafka accepts; raise `message.max.bytes` of the \
         producer and of the topic",
        record.partition
    ))
}

/// Commits by librdkafka's own function.
///
/// The method of the crate takes at least 100 ms at any load, because its flush waits in steps of that length.
/// librdkafka's function flushes by itself, in 1 to 5 ms.
#[allow(unsafe_code)]
fn commit_directly(producer: &NativeProducer, timeout: Duration) -> Result<(), TransactionError> {
    let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the native client lives as long as `producer`, which is borrowed here. The function is thread-safe and
    // needs another thread that polls, which `ThreadedProducer` has. A null pointer means success. Otherwise the error
    // is ours: it is read while it is alive, its text is copied, and it is destroyed once.
    unsafe {
        let raw = bindings::rd_kafka_commit_transaction(producer.client().native_ptr(), milliseconds);
        if raw.is_null() {
            return Ok(());
        }
        let error = TransactionError {
            code: bindings::rd_kafka_error_code(raw).into(),
            text: lasting(&std::ffi::CStr::from_ptr(bindings::rd_kafka_error_string(raw)).to_string_lossy()),
            retriable: bindings::rd_kafka_error_is_retriable(raw) != 0,
            abortable: bindings::rd_kafka_error_txn_requires_abort(raw) != 0,
        };
        bindings::rd_kafka_error_destroy(raw);
        Err(error)
    }
}

impl Drop for Transactions {
    /// Aborts the open transaction, so that readers need not wait until it times out.
    fn drop(&mut self) {
        if let (Some(producer), Some(_)) = (&self.producer, self.opened)
            && let Err(error) = producer.abort_transaction(Duration::from_secs(2))
        {
            events::transaction_left_open(&self.id, &error);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    //! A hanging call cannot be provoked on a real broker. librdkafka's mock cluster can send an answer that librdkafka
    //! takes for an outdated one and drops, so that the caller never gets any.

    use rdkafka::consumer::{BaseConsumer, Consumer as _};
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
    use rdkafka::{ClientConfig, Offset};

    use super::*;

    pub(crate) type Cluster = MockCluster<'static, rdkafka::producer::DefaultProducerContext>;

    pub(crate) fn cluster() -> (Cluster, Transactions) {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("lines", 1, 1).unwrap();
        let mut configuration = KafkaConfiguration::new(cluster.bootstrap_servers(), "", "test");
        configuration.transaction_timeout = Duration::from_secs(1);
        let transactions = Transactions::open(&configuration, "offsets".to_owned()).unwrap();
        (cluster, transactions)
    }

    #[test]
    fn offsets_from_which_the_client_does_not_return_are_given_up() {
        let (cluster, mut transactions) = cluster();
        cluster.request_errors(RDKafkaApiKey::TxnOffsetCommit, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR__OUTDATED]);
        let error = transactions.send_and_commit(&Output::new(1), Some(offsets(&cluster))).unwrap_err();
        assert!(matches!(&error, LogError::Abortable(text) if text.contains("did not return")), "{error:?}");
        // The client that replaces it works.
        assert_eq!(transactions.send_and_commit(&Output::new(1), Some(offsets(&cluster))), Ok(()));
    }

    #[test]
    fn after_a_request_that_was_sent_twice_the_next_transaction_has_another_producer() {
        for request in [RDKafkaApiKey::TxnOffsetCommit, RDKafkaApiKey::EndTxn, RDKafkaApiKey::AddOffsetsToTxn] {
            repeat(request);
        }
    }

    fn repeat(request: RDKafkaApiKey) {
        let (cluster, mut transactions) = cluster();
        let mut commit = || {
            assert_eq!(transactions.send_and_commit(&Output::new(1), Some(offsets(&cluster))), Ok(()));
            Arc::clone(transactions.live().unwrap())
        };
        let (first, second) = (commit(), commit());
        assert!(Arc::ptr_eq(&first, &second), "no request was repeated");
        cluster.request_errors(request, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT]);
        assert!(Arc::ptr_eq(&second, &commit()), "the transaction itself continues");
        assert!(!Arc::ptr_eq(&second, &commit()), "{request:?}");
    }

    pub(crate) fn offsets(cluster: &Cluster) -> InputOffsets {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "group");
        let consumer: BaseConsumer = config.create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("lines", 0, Offset::Offset(1)).unwrap();
        (list, consumer.group_metadata().unwrap())
    }
}
