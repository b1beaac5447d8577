//! Whether a connection of a producer has broken while something was on its way.
//!
//! librdkafka then connects again and repeats its requests, and whoever called hears nothing of it. What was sent on the old
//! connection may still arrive, in the next transaction. The log of the client is the only place that tells.

use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::ClientConfig;
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::producer::{DeliveryResult, ProducerContext};

use crate::events;

/// How librdkafka's log marks that a connection broke.
const BROKEN: &str = "FAIL";

/// The connections of one producer.
#[derive(Debug, Default)]
pub(super) struct BrokenConnections {
    broken: AtomicBool,
}

impl BrokenConnections {
    /// What the log of a client must contain for this. A connection that was idle is none of it.
    pub(super) fn configure(config: &mut ClientConfig) {
        config.set("log.connection.close", "true").remove("log_level");
        config.set_log_level(RDKafkaLogLevel::Info);
    }

    /// Whether one has broken since the producer was made.
    pub(super) fn any(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }
}

impl ClientContext for BrokenConnections {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == BROKEN {
            self.broken.store(true, Ordering::Relaxed);
            events::connection_broken(facility, message);
        } else {
            DefaultClientContext.log(level, facility, message);
        }
    }
}

impl ProducerContext for BrokenConnections {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}
