//! RabbitMQ, as a program that only publishes sees it: durable queues that take confirmed messages, and probes.
//!
//! [`Broker`], [`Connection`] and [`Outlet`] are the port. [`RabbitMq`] is the broker behind it. A stand-in plays one
//! where none is at hand. Nothing here connects again by itself: whoever uses it decides when, and continues after the
//! last confirmed message.

mod address;
mod client;
mod error;
mod outlet;
mod probing;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;

pub use address::{Address, AddressError};
pub use client::{Access, RabbitMq};
pub use error::BrokerError;

/// What an asynchronous call of the port returns.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, BrokerError>> + Send + 'a>>;

/// A broker that can be connected to.
pub trait Broker: Send + Sync {
    /// Connects once. It takes at most a few seconds.
    ///
    /// # Errors
    /// [`BrokerError`], in words for whoever set the broker up.
    fn connect(&self) -> Pending<'_, Box<dyn Connection>>;
}

/// A connection. It ends when it is dropped.
pub trait Connection: Send + Sync {
    /// Makes a durable queue without arguments, bound to a durable fanout exchange of the same name, and opens a way
    /// into it. What is there already stays as it is.
    ///
    /// # Errors
    /// A [`BrokerError`] of this queue alone, unless the connection has ended.
    fn open(&self, queue: &str) -> Pending<'_, Box<dyn Outlet>>;

    /// Sends a probe through a queue, and waits until this connection has received it from there.
    ///
    /// # Errors
    /// [`BrokerError`] when the probe does not arrive in time.
    fn probe(&self, queue: &str) -> Pending<'_, ()>;

    /// Waits until the connection has ended, and says why.
    fn closed(&self) -> Pin<Box<dyn Future<Output = BrokerError> + Send + '_>>;
}

/// The way into one queue. Messages are confirmed in their order. After an error no further message is taken, and those
/// not yet confirmed count as not delivered: open another one, and publish them again.
pub trait Outlet: Send {
    /// Hands a message to the broker. It does not wait for the confirmation, so several can be in flight.
    ///
    /// # Errors
    /// [`BrokerError`] when the way is closed.
    fn publish(&mut self, message: Message) -> Pending<'_, ()>;

    /// Waits until the broker has confirmed the oldest message that is not confirmed yet. Never returns if there is
    /// none. It may be dropped and called again.
    ///
    /// # Errors
    /// [`BrokerError`] when the broker has rejected or returned a message, or has not answered in time.
    fn confirmed(&mut self) -> Pending<'_, ()>;
}

/// A persistent message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its id, in the property `message_id`. At most 255 bytes.
    pub id: String,
    /// The type of its body.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}
