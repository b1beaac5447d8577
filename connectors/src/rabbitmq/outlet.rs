//! The way into one queue, over a channel of its own.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use tokio::time::{Instant, timeout_at};

use super::client::{failure, short};
use super::{BrokerError, Message, Outlet, Pending};

/// How long the broker may take to confirm a message.
const CONFIRM_TIME: Duration = Duration::from_secs(30);

const PERSISTENT: u8 = 2;

/// Publishes into a fanout exchange of the name of its queue.
pub(super) struct FanoutOutlet {
    pub(super) channel: Channel,
    pub(super) queue: String,
    in_flight: VecDeque<InFlight>,
}

struct InFlight {
    confirm: PublisherConfirm,
    deadline: Instant,
    /// The answer, if it was seen before its turn.
    answer: Option<lapin::Result<Confirmation>>,
}

impl FanoutOutlet {
    pub(super) fn new(channel: Channel, queue: &str) -> Self {
        Self { channel, queue: queue.to_owned(), in_flight: VecDeque::new() }
    }

    pub(super) async fn send(&mut self, message: Message, expiration: Option<&str>) -> Result<(), BrokerError> {
        let failed = |error: lapin::Error| failure(&self.queue, &error);
        let mut properties = BasicProperties::default()
            .with_content_type(message.content_type.into())
            .with_delivery_mode(PERSISTENT)
            .with_message_id(short(&message.id).map_err(failed)?);
        if let Some(expiration) = expiration {
            properties = properties.with_expiration(expiration.into());
        }
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let exchange = short(&self.queue).map_err(failed)?;
        let published = self.channel.basic_publish(exchange, "".into(), options, &message.body, properties).await;
        let confirm = published.map_err(failed)?;
        self.in_flight.push_back(InFlight { confirm, deadline: Instant::now() + CONFIRM_TIME, answer: None });
        Ok(())
    }

    pub(super) async fn next_confirmed(&mut self) -> Result<(), BrokerError> {
        let Some(oldest) = self.in_flight.front_mut() else { return std::future::pending().await };
        let deadline = oldest.deadline;
        let Ok(answer) = timeout_at(deadline, poll_fn(|context| oldest.poll(context))).await else {
            let what = format!("the queue {}", self.queue);
            return Err(BrokerError::TimedOut { what, seconds: CONFIRM_TIME.as_secs() });
        };
        let answer = answer.map_err(|error| failure(&self.queue, &error))?;
        self.in_flight.pop_front();
        let has_returned = self.has_returned();
        let queue = self.queue.clone();
        match answer {
            // The client hangs a returned message on the next confirmation, which may be that of another message. So
            // a returned message of any confirmation so far stops everything that is in flight.
            Confirmation::Ack(None) if !has_returned => Ok(()),
            Confirmation::Ack(_) => Err(BrokerError::Returned { queue }),
            Confirmation::Nack(_) | Confirmation::NotRequested => Err(BrokerError::Rejected { queue }),
        }
    }

    /// Whether one of the later confirmations that have arrived carries a returned message.
    fn has_returned(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        self.in_flight.iter_mut().any(|later| {
            if later.answer.is_none()
                && let Poll::Ready(answer) = Pin::new(&mut later.confirm).poll(&mut context)
            {
                later.answer = Some(answer);
            }
            matches!(later.answer, Some(Ok(Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)))))
        })
    }
}

impl InFlight {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<lapin::Result<Confirmation>> {
        match self.answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => Pin::new(&mut self.confirm).poll(context),
        }
    }
}

impl Outlet for FanoutOutlet {
    fn publish(&mut self, message: Message) -> Pending<'_, ()> {
        Box::pin(self.send(message, None))
    }

    fn confirmed(&mut self) -> Pending<'_, ()> {
        Box::pin(self.next_confirmed())
    }
}
