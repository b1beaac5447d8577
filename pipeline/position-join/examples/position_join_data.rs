//! Data and figures for measuring a position join on Kafka, whatever program does it.
//!
//! `load` creates the topics and fills the inputs, `watch` waits until the output rests and says how long that took and
//! what the process used, `verify` compares the output with the batch join, `drop` removes the topics. Each prints one
//! line of `name=value` pairs.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use tributary_connectors::kafka::{KafkaConfiguration, TopicPlan};
use tributary_position_join::layout::PAIR_KEY_LENGTH;
use tributary_position_join::oracle::{Difference, Inputs, Rows};
use tributary_position_join::sample::{Input, Sample, Size};
use tributary_position_join::topics::{APP_RECORDS, INTERNAL, OPEN, PLACEMENTS, POSITIONS, POSTS};
use tributary_runtime::{Topic, partition_for_key};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

#[derive(Debug, Parser)]
struct Arguments {
    /// Brokers to start from.
    #[arg(long, env = "TRIBUTARY_KAFKA", default_value = "127.0.0.1:9092", global = true)]
    kafka: String,
    /// Put in front of all names, with a full stop between; plain names without.
    #[arg(long, default_value = "", global = true)]
    namespace: String,
    /// Partitions of every topic.
    #[arg(long, default_value_t = 4, global = true)]
    partitions: i32,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Creates the topics and fills the inputs.
    Load(Load),
    /// Waits until the output has not grown for a while.
    Watch(Watch),
    /// Compares the output with the batch join of the inputs.
    Verify,
    /// Removes all topics of the namespace, also those that an engine made for itself.
    Drop,
}

#[derive(Debug, Args)]
struct Load {
    #[arg(long, default_value_t = 42)]
    seed: u64,
    #[arg(long, default_value_t = 100_000)]
    positions: u32,
    /// Placements of the one post that has many.
    #[arg(long, default_value_t = 5_000)]
    bucket: u32,
    /// Changes for each position and placement.
    #[arg(long, default_value_t = 1.0)]
    changes: f64,
    /// Changes that reach the whole bucket.
    #[arg(long, default_value_t = 20)]
    bucket_changes: u32,
}

#[derive(Debug, Args)]
struct Watch {
    /// The process to measure.
    #[arg(long)]
    pid: u32,
    /// The broker, if it runs here: the seconds of the processors that it took in all are printed.
    #[arg(long)]
    broker_pid: Option<u32>,
    /// When it began to work, in epoch milliseconds.
    #[arg(long)]
    since: u64,
    /// For how long the output must rest, in milliseconds.
    #[arg(long, default_value_t = 5_000)]
    quiet_ms: u64,
    /// For how long at most it may take until the output first grows, in seconds.
    #[arg(long, default_value_t = 120)]
    first_s: u64,
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let kafka = KafkaConfiguration::new(&arguments.kafka, &arguments.namespace, "data");
    match &arguments.command {
        Command::Load(size) => load(&kafka, arguments.partitions, size),
        Command::Watch(options) => watch(&kafka, arguments.partitions, options),
        Command::Verify => verify(&kafka, arguments.partitions),
        Command::Drop => remove(&kafka),
    }
}

// ---------------------------------------------------------------- load

fn load(kafka: &KafkaConfiguration, partitions: i32, options: &Load) -> Result<(), Failure> {
    TopicPlan::compare(kafka, &OPEN, partitions, 1)?.apply()?;
    let producer: ThreadedProducer<DefaultProducerContext> = client(kafka)
        .set("enable.idempotence", "true")
        .set("linger.ms", "20")
        .set("batch.size", "262144")
        .set("queue.buffering.max.messages", "200000")
        .create()?;
    let size = Size {
        positions: options.positions,
        bucket: options.bucket,
        changes: options.changes,
        bucket_changes: options.bucket_changes,
    };
    let mut sample = Sample::new(options.seed, size);
    let (mut records, mut bytes, mut failed) = (0_u64, 0_usize, None);
    let mut sink = |input: Input<'_>| {
        records += 1;
        bytes += input.key.len() + input.value.map_or(0, <[u8]>::len);
        failed = failed.take().or_else(|| send(&producer, kafka, partitions, &input).err());
    };
    let started = Instant::now();
    sample.load(&mut sink);
    sample.change(&mut sink);
    failed.map_or(Ok(()), Err)?;
    producer.flush(Duration::from_mins(2))?;
    println!("records_in={records} bytes_in={bytes} load_s={:.2}", started.elapsed().as_secs_f64());
    Ok(())
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    kafka: &KafkaConfiguration,
    partitions: i32,
    input: &Input<'_>,
) -> Result<(), KafkaError> {
    let name = kafka.name(input.topic.name);
    let partition = partition_for_key(input.key, partitions);
    // The time of the record is when it is sent, as with most producers; that of the change is in the value.
    let mut record = BaseRecord::<[u8], [u8]>::to(&name).partition(partition).key(input.key);
    record.payload = input.value;
    while let Err((error, rejected)) = producer.send(record) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
            return Err(error);
        }
        record = rejected;
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn client(kafka: &KafkaConfiguration) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &kafka.bootstrap).set("log.connection.close", "false");
    client
}

// ---------------------------------------------------------------- watch

fn watch(kafka: &KafkaConfiguration, partitions: i32, options: &Watch) -> Result<(), Failure> {
    let consumer = reader(kafka)?;
    let name = kafka.name(APP_RECORDS.name);
    let (begun, quiet) = (Instant::now(), Duration::from_millis(options.quiet_ms));
    let (mut end, mut last, mut last_at) = (0, None, 0);
    let (mut cpu, mut broker, mut machine, mut first_at) = (0.0, 0.0, 0.0, None);
    loop {
        let mut sum = 0;
        for partition in 0..partitions {
            // With `read_committed` the upper end is the last stable offset.
            sum += consumer.fetch_watermarks(&name, partition, Duration::from_secs(10))?.1;
        }
        if sum > end {
            (end, last, last_at) = (sum, Some(Instant::now()), epoch_millis()?);
            first_at = first_at.or(Some(last_at));
            cpu = processor_seconds(options.pid);
            broker = options.broker_pid.map_or(0.0, processor_seconds);
            machine = machine_seconds();
        }
        let waited_long_enough = match last {
            None => begun.elapsed() > Duration::from_secs(options.first_s),
            Some(last) => last.elapsed() > quiet,
        };
        if waited_long_enough || !std::fs::exists(format!("/proc/{}", options.pid))? {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let wall = last_at.saturating_sub(options.since) as f64 / 1000.0;
    let peak = peak_memory(options.pid);
    let first = first_at.map_or(0.0, |at: u64| at.saturating_sub(options.since) as f64 / 1000.0);
    println!(
        "wall_s={wall:.2} first_s={first:.2} cpu_s={cpu:.2} peak_mb={peak} broker_total_s={broker:.2} machine_total_s={machine:.2}"
    );
    Ok(())
}

fn epoch_millis() -> Result<u64, Failure> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64)
}

/// User and system time of a process. The kernel counts in hundredths.
fn processor_seconds(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = text.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

/// What all processes and the kernel took of all processors since the start of the machine.
fn machine_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    [0, 1, 2, 5, 6].iter().filter_map(|at| fields.get(*at)).sum::<u64>() as f64 / 100.0
}

/// Peak resident memory of a process in megabytes.
fn peak_memory(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak =
        text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<u64>().ok());
    peak.unwrap_or_default() / 1024
}

// ---------------------------------------------------------------- verify

/// What a reader of the output saw.
#[derive(Default)]
struct Seen {
    records: u64,
    deletions: u64,
    bytes: usize,
    wrong_partition: u64,
    /// Rows in which a position or a placement was older than in an earlier row of the same pair.
    gone_back: u64,
    newest: HashMap<[u8; PAIR_KEY_LENGTH], (u32, u32)>,
    rows: Rows,
}

impl Seen {
    fn take(&mut self, key: &[u8], value: Option<&[u8]>, is_there: bool) {
        self.records += 1;
        self.bytes += key.len() + value.map_or(0, <[u8]>::len);
        self.wrong_partition += u64::from(!is_there);
        let Ok(pair) = key.try_into() else { return };
        let Some(row) = value else {
            self.deletions += 1;
            self.rows.remove(&pair);
            return;
        };
        let revision = |at: usize| row[at..].first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let now = (revision(98), revision(90));
        let before = self.newest.insert(pair, now).unwrap_or_default();
        self.gone_back += u64::from(now.0 < before.0 || now.1 < before.1);
        self.rows.insert(pair, row.to_vec());
    }
}

fn verify(kafka: &KafkaConfiguration, partitions: i32) -> Result<(), Failure> {
    let mut inputs = Inputs::default();
    let mut records = 0;
    read(kafka, &POSITIONS, partitions, |_, key, value| inputs.position(key, value), &mut records)?;
    read(kafka, &POSTS, partitions, |_, key, value| inputs.post(key, value), &mut records)?;
    read(kafka, &PLACEMENTS, partitions, |_, key, value| inputs.placement(key, value), &mut records)?;
    let expected = inputs.join();
    drop(inputs);
    let (mut seen, mut written) = (Seen::default(), 0);
    let take = |partition, key: &[u8], value: Option<&[u8]>| {
        seen.take(key, value, partition == partition_for_key(key, partitions));
    };
    read(kafka, &APP_RECORDS, partitions, take, &mut written)?;
    let difference = Difference::between(&seen.rows, &expected);
    let good = difference.is_none() && seen.wrong_partition == 0 && difference.equal > 0;
    println!(
        "verify={} records_in={records} records_out={} deletions={} bytes_out={} pairs={} missing={} wrong={} \
         surplus={} wrong_partition={} gone_back={}",
        if good { "ok" } else { "MISMATCH" },
        seen.records,
        seen.deletions,
        seen.bytes,
        expected.len(),
        difference.missing,
        difference.wrong,
        difference.surplus,
        seen.wrong_partition,
        seen.gone_back
    );
    if good { Ok(()) } else { Err("the output is not the batch join of the inputs".into()) }
}

fn reader(kafka: &KafkaConfiguration) -> Result<BaseConsumer, KafkaError> {
    client(kafka)
        .set("group.id", "position-join-data")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
}

/// Reads what is committed in a topic, from its start to its end.
fn read(
    kafka: &KafkaConfiguration,
    topic: &Topic,
    partitions: i32,
    mut each: impl FnMut(i32, &[u8], Option<&[u8]>),
    records: &mut u64,
) -> Result<(), Failure> {
    let consumer = reader(kafka)?;
    let name = kafka.name(topic.name);
    let mut assigned = TopicPartitionList::new();
    for partition in 0..partitions {
        assigned.add_partition_offset(&name, partition, Offset::Beginning)?;
    }
    consumer.assign(&assigned)?;
    let mut open = partitions;
    while open > 0 {
        match consumer.poll(Duration::from_secs(30)) {
            Some(Ok(message)) => {
                *records += 1;
                each(message.partition(), message.key().unwrap_or_default(), message.payload());
            }
            Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
            Some(Err(error)) => return Err(error.into()),
            None => return Err(format!("{name} cannot be read to its end").into()),
        }
    }
    Ok(())
}

// ---------------------------------------------------------------- drop

fn remove(kafka: &KafkaConfiguration) -> Result<(), Failure> {
    let admin: AdminClient<DefaultClientContext> = client(kafka).create()?;
    let metadata = admin.inner().fetch_metadata(None, Duration::from_secs(10))?;
    let own: Vec<String> = OPEN.iter().chain(&INTERNAL).map(|topic| kafka.name(topic.name)).collect();
    let prefix = kafka.name("");
    let ours =
        |name: &str| own.iter().any(|own| own == name) || (!kafka.namespace.is_empty() && name.starts_with(&prefix));
    let names: Vec<&str> =
        metadata.topics().iter().map(rdkafka::metadata::MetadataTopic::name).filter(|name| ours(name)).collect();
    if names.is_empty() {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let timeout = Some(Duration::from_secs(30));
    let options = AdminOptions::new().request_timeout(timeout).operation_timeout(timeout);
    for result in runtime.block_on(admin.delete_topics(&names, &options))? {
        result.map_err(|(name, code)| format!("{name}: {code}"))?;
    }
    Ok(())
}
