//! The delivery to one client. It knows nothing of other clients, so a slow, full or missing queue delays nobody else.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tributary_cases::message;
use tributary_connectors::rabbitmq::{BrokerError, Connection, Message, Outlet};
use tributary_runtime::trouble::Troubles;
use tributary_schemas::records::cases::Format;
use tributary_schemas::types::cases::ClientName;

use super::Delivering;
use crate::events;
use crate::kept_queues::Entry;
use crate::rows::Look;
use crate::waiting::Awaited;

/// The largest number of messages in flight to one queue. The broker lets 200 wait before it slows the connection.
const WINDOW: usize = 128;

/// How long this waits for new notifications before it looks again.
const WAIT: Duration = Duration::from_secs(5);

/// A client, and the connection over which it is served.
pub(super) struct Lane {
    shared: Arc<Delivering>,
    connection: Arc<dyn Connection>,
    client: ClientName,
    format: Format,
}

/// Why an attempt has failed.
#[derive(Debug, thiserror::Error)]
enum LaneError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error("a notification cannot be written: {0}")]
    Message(#[from] serde_json::Error),
}

/// What is between this process and the broker, in one attempt.
struct Flight {
    /// Positions that are not confirmed yet.
    positions: VecDeque<i64>,
    /// Up to where the queue was looked at.
    looked: i64,
    /// How many may be in flight. After a failure one, then more with each confirmation, up to `most`.
    window: usize,
    /// One for a queue that has rejected a message not long ago. If it rejects a message and takes a later one, its
    /// client receives the later one twice, the first time too early.
    most: usize,
    /// When the queue is looked at again after it could not be read.
    not_before: Option<Instant>,
}

impl Flight {
    /// Whether the queue may be looked at now.
    fn may_look(&self) -> bool {
        self.room() > 0 && self.not_before.is_none_or(|not_before| not_before <= Instant::now())
    }

    fn room(&self) -> usize {
        self.window.saturating_sub(self.positions.len())
    }

    /// Up to where everything is confirmed or hidden.
    fn settled(&self) -> i64 {
        self.positions.front().map_or(self.looked, |first| first - 1)
    }
}

impl Lane {
    pub(super) fn new(
        shared: &Arc<Delivering>,
        connection: &Arc<dyn Connection>,
        client: &ClientName,
        format: Format,
    ) -> Self {
        Self { shared: Arc::clone(shared), connection: Arc::clone(connection), client: client.clone(), format }
    }

    /// Delivers until the task ends. A failed attempt is repeated after a while, from the last confirmed position.
    pub(super) async fn run(self) {
        let mut troubles = Troubles::new();
        loop {
            self.shared.status().until_due(&self.client).await;
            let Err(error) = self.attempt(&mut troubles).await;
            if matches!(&error, LaneError::Broker(error) if error.ends_connection()) {
                // The queue is not to blame. The task ends with the connection.
                tokio::time::sleep(super::FAILURE_PAUSE).await;
                continue;
            }
            if matches!(error, LaneError::Broker(BrokerError::Rejected { .. })) {
                self.shared.status().rejected(&self.client);
            }
            self.shared.status().failed(&self.client, &error, &self.shared.settings.retry);
            let text = format!("the notifications of {} are delayed: {error}", self.client);
            if let Some(report) = troubles.note(self.client.as_str(), text, Instant::now()) {
                events::client_trouble(&report);
            }
        }
    }

    async fn attempt(&self, troubles: &mut Troubles) -> Result<std::convert::Infallible, LaneError> {
        let status = self.shared.status();
        let queue = self.shared.settings.queue_of(&self.client);
        let mut outlet = self.connection.open(&queue).await?;
        let most = if status.has_rejected(&self.client) { 1 } else { WINDOW };
        let window = if status.has_failed(&self.client) { 1 } else { most };
        let acknowledged = self.shared.service.following.rows().position(&self.client).acknowledged;
        let looked = status.start(&self.client, acknowledged);
        let mut flight = Flight { positions: VecDeque::new(), looked, window, most, not_before: None };
        loop {
            if flight.may_look() {
                self.fill(&mut flight, &mut *outlet).await?;
                status.settled(&self.client, flight.settled());
            }
            let (is_empty, has_room) = (flight.positions.is_empty(), flight.room() > 0);
            tokio::select! {
                confirmed = outlet.confirmed(), if !is_empty => {
                    confirmed?;
                    flight.positions.pop_front();
                    flight.window = (flight.window * 2).min(flight.most);
                    status.delivered(&self.client, flight.settled());
                    if let Some(report) = troubles.end(self.client.as_str(), Instant::now()) {
                        events::client_returned(&report);
                    }
                }
                () = self.more(flight.looked, flight.not_before), if has_room => {}
            }
        }
    }

    /// Hands the next notifications to the broker.
    async fn fill(&self, flight: &mut Flight, outlet: &mut dyn Outlet) -> Result<(), LaneError> {
        let Some(look) = self.next(flight.looked, flight.room()).await else {
            // The log of the service says why. Confirmations do not wait for the queue.
            flight.not_before = Some(Instant::now() + super::FAILURE_PAUSE);
            return Ok(());
        };
        flight.not_before = None;
        for Entry { position, notification, .. } in look.entries {
            // A process that was frozen may have lost the rounds without knowing it.
            while !self.shared.leads() {
                tokio::time::sleep(super::LOOK).await;
            }
            let message::Message { content_type, body } =
                message::message(&notification, self.format, Timestamp::now())?;
            let id = notification.message_id.to_string();
            outlet.publish(Message { id, content_type, body }).await?;
            flight.positions.push_back(position);
            flight.looked = position;
        }
        flight.looked = look.looked;
        Ok(())
    }

    /// The next notifications after a position. `None` while it is not known what the client may see.
    ///
    /// The rows of a grant may be read after the notification that it permits. So nothing counts as hidden before the
    /// rows have caught up with the log.
    async fn next(&self, after: i64, most: usize) -> Option<Look> {
        let seen = self.look(after, i64::MAX, most).await?;
        if !seen.has_hidden {
            return Some(seen);
        }
        self.shared.service.following.catch_up().await.ok()?;
        self.look(after, seen.looked, most).await
    }

    async fn look(&self, after: i64, upto: i64, most: usize) -> Option<Look> {
        self.shared.service.following.look_at(&self.client, (after, upto), most).await.ok()
    }

    /// Waits until there is more after a position, at most for a while. A queue that could not be read waits until it
    /// may be looked at again.
    async fn more(&self, after: i64, not_before: Option<Instant>) {
        if let Some(not_before) = not_before {
            return tokio::time::sleep_until(not_before.into()).await;
        }
        let found = |rows: &crate::rows::Rows| (rows.position(&self.client).last > after).then_some(());
        let awaited = Awaited::Queue(self.client.clone());
        let _ = self.shared.service.following.wait_for(awaited, WAIT, found).await;
    }
}
