//! Load for the distribution of cases, and what it measures. It is a program of others: with the flow it shares the
//! names of topics alone. Each command prints lines of `name=value`.

mod commands;
mod floor;
mod kafka;
mod latency;
mod numbers;
mod publish;
mod queries;

use std::error::Error;

use clap::{Args, Parser, Subcommand};

type Outcome = Result<(), Box<dyn Error>>;

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Load,
}

#[derive(Debug, Subcommand)]
enum Load {
    /// Writes commands to the topics of origin systems.
    Produce(kafka::Produce),
    /// Waits until no more is written to a topic, and counts what is in it.
    Watch(kafka::Watch),
    /// Prints the records and bytes of each topic of a namespace.
    Sizes(Broker),
    /// Passes the same records and bytes over the same hops, and does nothing else.
    Floor(floor::Floor),
    /// Sends commands over HTTP at a rate, and prints how long each takes to a reader on Kafka and to a stream.
    Latency(latency::Latency),
    /// Publishes messages to queues of RabbitMQ, each confirmed.
    Publish(publish::Publish),
    /// Asks for ranges of cases, and prints how long each answer takes.
    Queries(queries::Queries),
}

/// Where the topics are.
#[derive(Debug, Args)]
struct Broker {
    /// Brokers to start from.
    #[arg(long, env = "TRIBUTARY_KAFKA")]
    kafka: String,
    /// What topics begin with.
    #[arg(long)]
    namespace: String,
}

fn main() -> Outcome {
    match Arguments::parse().command {
        Load::Produce(produce) => produce.run(),
        Load::Watch(watch) => watch.run(),
        Load::Sizes(broker) => kafka::sizes(&broker),
        Load::Floor(floor) => floor.run(),
        Load::Latency(latency) => latency.run(),
        Load::Publish(publish) => publish.run(),
        Load::Queries(queries) => queries.run(),
    }
}
