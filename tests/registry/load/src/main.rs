//! Load for the lookups, and what it measures. It is a program of others: with the platform it shares the public
//! contracts alone. Each command prints lines of `name=value`.

mod body;
mod durations;
mod floor;
mod jobs;
mod messages;
mod paced;
mod panel;
mod register;

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
    /// Plays the register, until it is ended.
    Register(register::Register),
    /// Starts jobs, each of another number, and waits for the end of each.
    Jobs(jobs::Jobs),
    /// Makes rows, and says how long it took.
    Fill(jobs::Fill),
    /// Starts jobs at a rate, and prints how long the answers take, and how long it is from an answer to the call.
    Rate(paced::Rate),
    /// Asks for rows at a rate, and prints how long the answers take.
    Query(paced::Query),
    /// Makes the same calls as the program with the same HTTP client, and does nothing else.
    Floor(floor::Floor),
}

fn main() -> Outcome {
    let command = Arguments::parse().command;
    let tokio = tokio::runtime::Runtime::new()?;
    tokio.block_on(async {
        match command {
            Load::Register(register) => register.run().await,
            Load::Jobs(jobs) => jobs.run().await,
            Load::Fill(fill) => fill.run().await,
            Load::Rate(rate) => rate.run().await,
            Load::Query(query) => query.run().await,
            Load::Floor(floor) => floor.run().await,
        }
    })
}
