//! Load for the aggregating services, and what it measures. It is a program of others: with the platform it shares the
//! public contracts alone. Each command prints lines of `name=value`.

mod asking;
mod body;
mod caller;
mod engagements;
mod floor;
mod messages;
mod numbers;
mod producers;
mod scan;
mod server;
mod updates;

use std::error::Error;

use clap::{Parser, Subcommand};

/// The same allocator as that of the program, so that floor and program differ in what they do.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn Error + Send + Sync>;
type Outcome = Result<(), Failure>;

#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Load,
}

#[derive(Debug, Subcommand)]
enum Load {
    /// Plays source systems and an index, until it is ended.
    Producers(producers::Producers),
    /// Makes the calls of a question, and puts the answers together without reading them, until it is ended.
    Floor(floor::Floor),
    /// Asks questions, and checks each answer.
    Ask(asking::Ask),
    /// Updates the index.
    Update(updates::Update),
    /// Asks the index, and checks each answer.
    Find(updates::Find),
    /// Writes engagements to a file, for `tributary aggregation index import`.
    File(engagements::File),
}

fn main() -> Outcome {
    let command = Arguments::parse().command;
    let tokio = tokio::runtime::Runtime::new()?;
    tokio.block_on(async {
        match command {
            Load::Producers(producers) => producers.run().await,
            Load::Floor(floor) => floor.run().await,
            Load::Ask(ask) => ask.run().await,
            Load::Update(update) => update.run().await,
            Load::Find(find) => find.run().await,
            Load::File(file) => file.run(),
        }
    })
}
