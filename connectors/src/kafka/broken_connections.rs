//! Whether a connection of a producer broke while a request was under way.
//!
//! librdkafka then connects again and repeats the request, and its caller does not notice. What was sent on the old
//! connection may still arrive, in the middle of the next transaction. Only the log of the client shows that this is
//! possible.

use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::ClientConfig;
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::producer::{DeliveryResult, ProducerContext};

use crate::events;

/// How librdkafka's log marks that a connection broke.
const BROKEN: &str = "FAIL";

/// What the log of one producer says about its connections.
#[derive(Debug, Default)]
pub(super) struct BrokenConnections {
    broken: AtomicBool,
}

impl BrokenConnections {
    /// Makes the client log what is needed. A connection that was closed while idle is logged differently.
    pub(super) fn configure(config: &mut ClientConfig) {
        config.set("log.connection.close", "true").remove("log_level");
        config.set_log_level(RDKafkaLogLevel::Info);
    }

    /// Whether a connection has broken since the producer was created.
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
