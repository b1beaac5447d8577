//! A cluster without a broker, which librdkafka's mock cluster can become on demand.

use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use tributary_runtime::conformance::word_count;
use tributary_runtime::{Log, LogError, Poll};

use super::super::{KafkaConfiguration, KafkaLog};

type Cluster = MockCluster<'static, DefaultProducerContext>;

/// Polls until the answer is as expected.
fn poll_until(log: &mut KafkaLog, expected: impl Fn(&Result<Poll, LogError>) -> bool) {
    let started = Instant::now();
    loop {
        let polled = log.poll(Duration::from_millis(100), 1, &mut |_| {});
        if expected(&polled) {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "still {polled:?}");
    }
}

#[test]
fn a_worker_without_a_broker_says_so_until_one_answers() {
    let cluster: Cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(word_count::LINES.name, word_count::PARTITIONS, 1).unwrap();
    let configuration = KafkaConfiguration::new(cluster.bootstrap_servers(), "", "a");
    let mut log = KafkaLog::open(&configuration, "group", "0", &[&word_count::LINES]).unwrap();
    poll_until(&mut log, |polled| matches!(polled, Ok(Poll::Assigned(_))));
    poll_until(&mut log, |polled| matches!(polled, Ok(Poll::Idle)));
    cluster.broker_down(1).unwrap();
    poll_until(&mut log, |polled| matches!(polled, Err(LogError::Unavailable(_))));
    // The state lasts: the next poll reports it again.
    let again = log.poll(Duration::from_millis(100), 1, &mut |_| {});
    assert!(matches!(again, Err(LogError::Unavailable(_))), "{again:?}");
    cluster.broker_up(1).unwrap();
    poll_until(&mut log, Result::is_ok);
}
