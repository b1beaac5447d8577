//! Probes: messages that a connection sends to itself through a queue of the broker.

use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;
use lapin::Consumer;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;

use super::client::{failure, short};
use super::outlet::FanoutOutlet;
use super::{BrokerError, Message};

/// Probes that are taken from the queue at a time.
const PREFETCH: u16 = 32;

/// A probe that nobody takes leaves the queue after a minute, in milliseconds.
const EXPIRATION: &str = "60000";

/// A way into the queue, and a consumer of it.
pub(super) struct Probing {
    outlet: FanoutOutlet,
    consumer: Consumer,
    /// Other processes may use the same queue.
    name: String,
    count: u64,
}

impl Probing {
    pub(super) async fn open(outlet: FanoutOutlet) -> Result<Self, BrokerError> {
        let queue = outlet.queue.clone();
        let opening = async {
            outlet.channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
            let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
            outlet.channel.basic_consume(short(&queue)?, "".into(), options, arguments).await
        };
        let consumer = opening.await.map_err(|error| failure(&queue, &error))?;
        let name = format!("{}-{}", std::process::id(), consumer.tag());
        Ok(Self { outlet, consumer, name, count: 0 })
    }

    /// Sends a probe, and waits until it is confirmed and received. Probes of others are removed on the way.
    pub(super) async fn send(&mut self) -> Result<(), BrokerError> {
        self.count += 1;
        let id = format!("{}-{}", self.name, self.count);
        let probe = Message { id: id.clone(), content_type: "text/plain", body: b"probe".to_vec() };
        self.outlet.send(probe, Some(EXPIRATION)).await?;
        self.outlet.next_confirmed().await?;
        loop {
            let received = self.receive().await?;
            let acknowledged = received.acker.ack(BasicAckOptions::default()).await;
            acknowledged.map_err(|error| failure(&self.outlet.queue, &error))?;
            if received.properties.message_id().as_ref().is_some_and(|found| found.as_str() == id) {
                return Ok(());
            }
        }
    }

    async fn receive(&mut self) -> Result<Delivery, BrokerError> {
        let received = poll_fn(|context| Pin::new(&mut self.consumer).poll_next(context)).await;
        match received {
            Some(Ok(delivery)) => Ok(delivery),
            Some(Err(error)) => Err(failure(&self.outlet.queue, &error)),
            None => Err(BrokerError::Returned { queue: self.outlet.queue.clone() }),
        }
    }
}
