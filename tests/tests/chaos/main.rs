//! Chaos on the real broker: three and more processes of one group work while a driver, from a seed, kills (-9),
//! pauses, ends, adds and removes them, restarts the broker and the registry, cuts, loses and delays connections, lets
//! transactions expire and fills the disk of the outbox; and a reader of what is committed watches.
//!
//! There are two subjects: the position join, and the exchange with ESR as a service. At the end the output is what a
//! batch makes of the same inputs, and nothing that anybody ever saw has been undone.
//!
//! `TRIBUTARY_CHAOS_SECONDS` says how long faults go on for each subject, `TRIBUTARY_SEED` decides which; `tests/chaos`
//! sets them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "the modules are those of one test")]

mod driver;
mod exchange;
mod fault;
mod folders;
mod join;
mod late;
mod members;
mod outage;
mod outbox;
mod processes;
mod proxy;
mod watch;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tributary_connectors::kafka::{KafkaConfiguration, KafkaProducer};

/// The subjects share one broker, one registry and the port of the proxy.
static SERVICES: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    SERVICES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn seed() -> u64 {
    number("TRIBUTARY_SEED").unwrap_or(1)
}

/// How long faults go on for one subject.
fn duration() -> Duration {
    Duration::from_secs(number("TRIBUTARY_CHAOS_SECONDS").unwrap_or(60))
}

/// A producer of the test itself. A broker that has just been started needs a moment before it has transactions.
fn producer(configuration: &KafkaConfiguration) -> KafkaProducer {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        match KafkaProducer::open(configuration, "chaos", "requests") {
            Ok(producer) => return producer,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
}
