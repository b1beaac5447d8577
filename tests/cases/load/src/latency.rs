//! How long a command takes to those who are told of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Args;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};
use reqwest::Client;
use tokio::task::JoinSet;

use crate::commands::{CASES, Kind, case, command};
use crate::numbers::Durations;
use crate::{Broker, Outcome, kafka};

/// Sends commands over HTTP at a rate, and prints how long each takes to a reader on Kafka and to a stream.
#[derive(Debug, Args)]
pub(crate) struct Latency {
    /// Brokers to start from; empty, and only the stream is looked at.
    #[arg(long, env = "TRIBUTARY_KAFKA")]
    kafka: String,
    /// What topics begin with.
    #[arg(long, default_value = "")]
    namespace: String,
    /// The topic that is read.
    #[arg(long, default_value = "cases.queue")]
    topic: String,
    /// The service.
    #[arg(long)]
    server: String,
    /// The token of the origin system.
    #[arg(long)]
    origin: String,
    /// The token of the client whose stream is read.
    #[arg(long)]
    client: String,
    /// Commands a second.
    #[arg(long, default_value_t = 500)]
    rate: u64,
    /// How long.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// The first case.
    #[arg(long, default_value_t = 0)]
    from: u64,
}

/// When a case was first seen by each kind of reader.
type Seen = Arc<Mutex<HashMap<u64, Instant>>>;

impl Latency {
    pub(crate) fn run(&self) -> Outcome {
        tokio::runtime::Runtime::new()?.block_on(self.measure())
    }

    async fn measure(&self) -> Outcome {
        let (on_kafka, on_stream) = (Seen::default(), Seen::default());
        if !self.kafka.is_empty() {
            let broker = Broker { kafka: self.kafka.clone(), namespace: self.namespace.clone() };
            let consumer = at_the_end(&broker, &self.topic)?;
            let seen = Arc::clone(&on_kafka);
            std::thread::spawn(move || read(&consumer, &seen));
        }
        let http = Client::builder().no_proxy().build()?;
        let stream = http.get(format!("{}/api/Notifications/Stream", self.server)).bearer_auth(&self.client);
        let stream = stream.send().await?.error_for_status()?;
        tokio::spawn(follow(stream, Arc::clone(&on_stream)));
        let accepted = self.send(&http).await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let mut answers = Durations::default();
        for (sent, answered) in accepted.values() {
            answers.add(*answered - *sent);
        }
        let pairs = [("kafka_", on_kafka), ("stream_", on_stream)].map(|(name, seen)| since(&accepted, &seen, name));
        println!("sent={} {} {}", accepted.len(), answers.pairs("answer_"), pairs.join(" "));
        Ok(())
    }

    /// Sends the commands. Gives for each case when it was sent and when it was accepted.
    async fn send(&self, http: &Client) -> Result<HashMap<u64, (Instant, Instant)>, Box<dyn std::error::Error>> {
        let url = format!("{}/api/Commands/{}", self.server, Kind::Create.name());
        let mut tick = tokio::time::interval(Duration::from_micros(1_000_000 / self.rate));
        let mut sending = JoinSet::new();
        for number in self.from..self.from + self.rate * self.seconds {
            tick.tick().await;
            let request = http.post(&url).bearer_auth(&self.origin).header("content-type", "application/json");
            let request = request.body(command(Kind::Create, number));
            sending.spawn(async move {
                let sent = Instant::now();
                let status = request.send().await?.error_for_status().map(|answer| answer.status());
                status.map(|_| (number, (sent, Instant::now())))
            });
        }
        let mut accepted = HashMap::new();
        while let Some(one) = sending.join_next().await {
            let (number, times) = one??;
            accepted.insert(number, times);
        }
        Ok(accepted)
    }
}

/// The time from accepted to seen. One that is seen before the answer arrives took no time.
fn since(accepted: &HashMap<u64, (Instant, Instant)>, seen: &Seen, name: &str) -> String {
    let mut durations = Durations::default();
    let Ok(seen) = seen.lock() else { return String::new() };
    for (number, (_, answered)) in accepted {
        if let Some(at) = seen.get(number) {
            durations.add(at.saturating_duration_since(*answered));
        }
    }
    durations.pairs(name)
}

fn at_the_end(broker: &Broker, topic: &str) -> Result<BaseConsumer, Box<dyn std::error::Error>> {
    let consumer = kafka::consumer(broker)?;
    let topic = format!("{}.{topic}", broker.namespace);
    let mut list = TopicPartitionList::new();
    for partition in 0..kafka::partitions(&consumer, &topic)? {
        let (_, end) = consumer.fetch_watermarks(&topic, partition, Duration::from_secs(30))?;
        list.add_partition_offset(&topic, partition, Offset::Offset(end))?;
    }
    consumer.assign(&list)?;
    Ok(consumer)
}

fn read(consumer: &BaseConsumer, seen: &Seen) {
    loop {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            note(message.key().unwrap_or_default(), seen);
            note(message.payload().unwrap_or_default(), seen);
        }
    }
}

async fn follow(mut stream: reqwest::Response, seen: Seen) {
    let mut rest = Vec::new();
    while let Ok(Some(chunk)) = stream.chunk().await {
        rest.extend_from_slice(&chunk);
        let Some(end) = rest.windows(2).rposition(|pair| pair == b"\n\n") else { continue };
        rest.drain(..end + 2).as_slice().split(|byte| *byte == b'\n').for_each(|line| note(line, &seen));
    }
}

/// Notes the case whose id stands in these bytes.
fn note(bytes: &[u8], seen: &Seen) {
    let Some(at) = bytes.windows(CASES.len()).position(|window| window == CASES.as_bytes()) else { return };
    let digits = bytes.get(at + CASES.len()..at + case(0).len()).and_then(|digits| std::str::from_utf8(digits).ok());
    let Some(number) = digits.and_then(|digits| digits.parse().ok()) else { return };
    if let Ok(mut seen) = seen.lock() {
        seen.entry(number).or_insert_with(Instant::now);
    }
}
