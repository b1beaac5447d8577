//! Delivers notifications to subscribers (A 6.6): what is sent next to whom, and what becomes of what is not taken.
//!
//! Each subscriber has a [`Queue`], which the edge feeds with the records of [`topics::NOTIFICATION`] in their order,
//! and a loop of its own, so one that is down delays nobody else. The [`Courier`] delivers the first of a queue, and
//! what waits behind it in the same call: it calls, waits and calls again. The edge stores what has become of it
//! ([`Queue::write`]) and then takes it from the queue ([`Queue::finish`]).
//!
//! What must be stored is a [`NotificationProgress`] for each subscriber, on [`topics::NOTIFICATION_PROGRESS`]. A
//! process that takes over reads these, makes each queue with [`Queue::resume`], and feeds it from its position. What
//! was delivered and not stored is delivered again. A dead letter and the position after it are in one transaction, so
//! it is there once.

mod courier;
mod progress;
mod queue;
#[cfg(test)]
mod tests;

pub use courier::{Courier, Delivery, NotificationSettings, Undelivered};
pub use progress::{DeadNotification, Replay, dead_notification};
pub use queue::{End, Fed, Queue, SubscriberStatus, Waiting};

#[cfg(doc)]
use crate::topics;
#[cfg(doc)]
use tributary_schemas::records::aggregation::NotificationProgress;
