//! Runs the position join on Kafka until a signal ends it (SIGINT, SIGTERM).
//!
//! It prints `START <epoch ms>` when it begins to work. The topics of the inputs and of the rows must exist; those that
//! only the flow needs are created.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tributary_connectors::kafka::{KafkaConfiguration, KafkaLog, TopicPlan};
use tributary_position_join::flow::{FLOW, INBOXES, topology};
use tributary_position_join::topics::INTERNAL;
use tributary_runtime::{CommitLimits, Log, LogError, SnapshotConfig, WorkerConfig, WorkerPool};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

/// The position join on Kafka.
#[derive(Debug, Parser)]
struct Arguments {
    /// Brokers to start from.
    #[arg(long, env = "TRIBUTARY_KAFKA", default_value = "127.0.0.1:9092")]
    kafka: String,
    /// Put in front of all names, with a full stop between; plain names without.
    #[arg(long, default_value = "")]
    namespace: String,
    /// What tells this process from others of the flow; the same after a restart.
    #[arg(long, default_value = "1")]
    instance: String,
    /// Partitions of every topic.
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    /// Worker threads.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// For how long a transaction collects under load, in milliseconds.
    #[arg(long, default_value_t = 100)]
    commit_ms: u64,
    /// For how long after a commit the next one waits for more, in milliseconds.
    #[arg(long, default_value_t = 3)]
    linger_ms: u64,
    /// Where snapshots of the state are kept; none without.
    #[arg(long)]
    state: Option<PathBuf>,
    /// A setting of librdkafka's producer, `name=value`.
    #[arg(long = "producer")]
    producer: Vec<String>,
    /// A setting of librdkafka's consumer, `name=value`.
    #[arg(long = "consumer")]
    consumer: Vec<String>,
    /// Prints what the stages did when it ends.
    #[arg(long)]
    figures: bool,
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::WARN.into()).from_env_lossy();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    println!("START {}", SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis());
    let mut kafka = KafkaConfiguration::new(&arguments.kafka, &arguments.namespace, &arguments.instance);
    kafka.producer.extend(arguments.producer.iter().filter_map(|setting| pair(setting)));
    kafka.consumer.extend(arguments.consumer.iter().filter_map(|setting| pair(setting)));
    create_topics(&kafka, arguments.partitions, &stop)?;
    let pool = start(&arguments, kafka)?;
    while !stop.load(Ordering::Relaxed) && !pool.is_finished() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let metrics = pool.metrics();
    pool.stop()?;
    if arguments.figures {
        println!("{:?}", metrics.workers());
        metrics.stages().iter().for_each(|stage| println!("{stage:?}"));
    }
    Ok(())
}

/// Creates what is missing. A broker that is not there yet, or not any more, is waited for.
fn create_topics(kafka: &KafkaConfiguration, partitions: i32, stop: &AtomicBool) -> Result<(), LogError> {
    loop {
        let created = TopicPlan::compare(kafka, &INTERNAL, partitions, 1).and_then(|mut plan| plan.apply());
        match created {
            Err(LogError::Unavailable(text)) if !stop.load(Ordering::Relaxed) => {
                eprintln!("waiting for Kafka: {text}");
                std::thread::sleep(Duration::from_millis(200));
            }
            result => return result,
        }
    }
}

fn pair(setting: &str) -> Option<(String, String)> {
    setting.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
}

fn start(arguments: &Arguments, kafka: KafkaConfiguration) -> Result<WorkerPool, Failure> {
    let identity = format!("kafka {} {}", kafka.bootstrap, kafka.name(""));
    let config = WorkerConfig {
        limits: CommitLimits { time: Duration::from_millis(arguments.commit_ms), ..CommitLimits::default() },
        linger: Duration::from_millis(arguments.linger_ms),
        snapshots: arguments.state.as_ref().map(|folder| SnapshotConfig::new(folder.clone(), identity)),
        instance: arguments.instance.clone(),
        ..WorkerConfig::default()
    };
    let open = move |slot: usize| -> Result<Box<dyn Log>, _> {
        Ok(Box::new(KafkaLog::open(&kafka, FLOW, &slot.to_string(), &INBOXES)?))
    };
    Ok(WorkerPool::start(Arc::new(topology(arguments.partitions)), config, arguments.workers, open)?)
}
