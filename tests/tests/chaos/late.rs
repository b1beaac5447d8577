//! Offsets that arrive late do not count in another transaction than their own (KIP-890).

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::RDKafkaApiKey;
use rdkafka::{Message, Offset, TopicPartitionList};
use tributary_connectors::kafka::{KafkaConfiguration, KafkaLog, TopicPlan};
use tributary_harness::{Services, fresh_namespace};
use tributary_runtime::{Log, LogError, Output, Poll, Producer as _};
use tributary_tests::chaos::{Proxy, alone, consumer, producer};
use tributary_tests::toy::{DECLARATION, WORDS};

const GROUP: &str = "late";
/// One before, one whose offsets are sent twice, and one in whose transaction they arrive the second time.
const RECORDS: u64 = 3;

/// Moves one record after the other from its inbox to the output, each in a transaction of its own. After each, what
/// the broker has for the group is what was committed last.
struct Mover<'a> {
    configuration: &'a KafkaConfiguration,
    log: KafkaLog,
    /// Asks the broker itself, not the proxy.
    broker: &'a BaseConsumer,
    moved: u64,
}

impl Mover<'_> {
    fn open(configuration: &KafkaConfiguration) -> KafkaLog {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            match KafkaLog::open(configuration, GROUP, "0", &[&WORDS]) {
                Ok(log) => return log,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
        }
    }

    /// Moves the next record, with retries.
    fn advance(&mut self) {
        let (next, deadline) = (self.moved + 1, Instant::now() + Duration::from_mins(1));
        while self.moved < next {
            assert!(Instant::now() < deadline, "only {} records were moved", self.moved);
            match self.move_one() {
                Ok(()) => {}
                Err(LogError::Abortable(_)) if self.log.abort().is_ok() => {}
                Err(_) => self.log = Self::open(self.configuration),
            }
        }
        self.compare();
    }

    fn move_one(&mut self) -> Result<(), LogError> {
        let mut read = None;
        match self.log.poll(Duration::from_millis(50), 1, &mut |record| read = Some((record.origin, record.offset)))? {
            Poll::Assigned(partitions) => self.log.resume(&partitions)?,
            Poll::Revoked(partitions) => self.log.release(&partitions)?,
            _ => {}
        }
        let Some((partition, offset)) = read else { return Ok(()) };
        let mut output = Output::new(1);
        output.send(DECLARATION.dead_letters, b"", |buffer| buffer.extend_from_slice(offset.to_string().as_bytes()));
        self.log.send(&output)?;
        self.log.commit(&[(partition, offset + 1)])?;
        self.moved = offset as u64 + 1;
        Ok(())
    }

    /// It takes some milliseconds until a commit that was answered is seen.
    fn compare(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let found = committed(self.broker, self.configuration);
            if found == Offset::Offset(self.moved as i64) {
                return;
            }
            assert!(Instant::now() < deadline, "{} was committed, and {found:?} is what the broker has", self.moved);
        }
    }
}

/// What the broker has for the group.
fn committed(broker: &BaseConsumer, configuration: &KafkaConfiguration) -> Offset {
    let mut asked = TopicPartitionList::new();
    asked.add_partition(&configuration.name(WORDS.name), 0);
    broker.committed_offsets(asked, Duration::from_secs(30)).unwrap().elements()[0].offset()
}

/// The values of the output that are visible, in their order.
fn visible(broker: &BaseConsumer, configuration: &KafkaConfiguration) -> Vec<u64> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&configuration.name(DECLARATION.dead_letters.name), 0, Offset::Beginning).unwrap();
    broker.assign(&list).unwrap();
    let mut values = Vec::new();
    while let Some(Ok(message)) = broker.poll(Duration::from_secs(10)) {
        values.push(std::str::from_utf8(message.payload().unwrap()).unwrap().parse().unwrap());
    }
    values
}

#[test]
fn offsets_that_arrive_late_set_nothing_back() {
    let Some(services) = Services::find() else { return };
    let _alone = alone();
    let namespace = fresh_namespace("late");
    let direct = KafkaConfiguration::new(&services.kafka, &namespace, "0");
    TopicPlan::compare(&direct, &[&WORDS, DECLARATION.dead_letters], 1, 1).unwrap().apply().unwrap();
    let mut output = Output::new(1);
    (0..RECORDS).for_each(|_| output.send(&WORDS, b"", |buffer| buffer.push(0)));
    producer(&direct).publish(&output).unwrap();
    let broker = consumer(&services, &direct.name(GROUP));
    let proxy = Proxy::start(&services.proxied, &services.proxy_target);
    let configuration = KafkaConfiguration::new(&services.proxied, &namespace, "0");
    let log = Mover::open(&configuration);
    let mut mover = Mover { configuration: &configuration, log, broker: &broker, moved: 0 };
    mover.advance();
    proxy.hold(RDKafkaApiKey::TxnOffsetCommit);
    mover.advance();
    proxy.release(RDKafkaApiKey::TxnOffsetCommit);
    mover.advance();
    assert!(proxy.has_arrived());
    assert_eq!(visible(&broker, &direct), (0..RECORDS).collect::<Vec<_>>());
}
