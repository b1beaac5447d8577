//! Data and measurements for a position join on Kafka, by any program.
//!
//! `load` creates the topics and fills the inputs, `watch` waits until the output rests and says how long that took and
//! what the process used, `latency` sends changes at a steady rate and says how long each took to become visible,
//! `probe` does so with single changes, `verify` compares the output with the batch join, `drop` removes the topics.
//! Each prints one line of `name=value` pairs.

mod cluster;
mod inputs;
mod latency;
mod probe;
mod processor;
mod row;
mod verify;
mod watch;

use clap::{Parser, Subcommand};
use tributary_connectors::kafka::KafkaConfiguration;

use cluster::Cluster;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error + Send + Sync>;

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
    Load(inputs::Load),
    /// Sends changes at a steady rate and measures how long each takes to become visible.
    Latency(latency::Options),
    /// Changes single placements and measures how long each takes to become visible.
    Probe(probe::Options),
    /// Waits until the output has not grown for a while.
    Watch(watch::Options),
    /// Compares the output with the batch join of the inputs.
    Verify,
    /// Removes all topics of the namespace, also those that an engine made for itself.
    Drop,
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let kafka = KafkaConfiguration::new(&arguments.kafka, &arguments.namespace, "data");
    let cluster = Cluster { kafka, partitions: arguments.partitions };
    match &arguments.command {
        Command::Load(options) => inputs::load(&cluster, options),
        Command::Latency(options) => latency::measure(&cluster, options),
        Command::Probe(options) => probe::measure(&cluster, options),
        Command::Watch(options) => watch::measure(&cluster, options),
        Command::Verify => verify::verify(&cluster),
        Command::Drop => inputs::remove(&cluster),
    }
}
