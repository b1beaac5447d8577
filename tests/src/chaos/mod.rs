//! Chaos on the real broker: three and more processes of one group work while a driver, from a seed, kills (-9),
//! pauses, ends, adds and removes them, restarts the broker and the registry, cuts, loses and delays connections, lets
//! transactions expire and fills a disk; and a reader of what is committed watches.
//!
//! A subject brings its [`Subject`] (for a flow, its declaration says everything), the kinds of faults in a [`Plan`],
//! the program that its processes run, and what must be true in the end.
//!
//! `TRIBUTARY_CHAOS_SECONDS` sets for how long each subject meets faults, `TRIBUTARY_SEED` decides which; `tests/chaos`
//! sets both.

mod disk;
mod driver;
mod fault;
mod feeder;
mod members;
mod processes;
mod proxy;
mod service;
mod subject;
mod watch;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use disk::{FullDisk, SmallDisk, file_names, replace_link};
pub use driver::{Driver, Zombies};
pub use fault::{Fault, OF_EVERY_FLOW, Plan};
pub use feeder::Feeder;
pub use processes::{Processes, Program};
pub use proxy::Proxy;
pub use service::ServiceCommand;
pub use subject::{Group, Site, Subject, producer};
pub use watch::{Watcher, consumer};

/// A process, or the broker, is paused beyond this time. The group expels a process that is silent for this time.
pub const SESSION_TIMEOUT_MILLIS: u64 = 6_000;
/// The broker ends a transaction that is older than this (the default of the product).
pub const TRANSACTION_TIMEOUT_MILLIS: u64 = 10_000;

/// The subjects share one broker, one registry and the port of the proxy.
static SERVICES: Mutex<()> = Mutex::new(());

/// Waits until no other subject of this test program uses the services.
pub fn alone() -> MutexGuard<'static, ()> {
    SERVICES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// What decides the faults.
pub fn seed() -> u64 {
    number("TRIBUTARY_SEED").unwrap_or(1)
}

/// For how long one subject meets faults: `usual` unless the environment sets another time.
pub fn duration(usual: Duration) -> Duration {
    number("TRIBUTARY_CHAOS_SECONDS").map_or(usual, Duration::from_secs)
}
