//! Calls a subscriber until it has taken a notification, or until it counts as lost.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tributary_schemas::Codec;
use tributary_schemas::records::aggregation::Notification;
use tributary_schemas::types::aggregation::Address;

use super::queue::{End, Waiting};
use crate::caller::Caller;
use crate::ei_soap::{IndexInteraction, MOST_IN_CALL, NotDelivered, notices, read_receipt};
use crate::events;
use crate::flow::Flow;
use crate::port::{OutgoingCall, TransportError};
use crate::request_list::RequestBody;
use crate::response_list::ContentType;

/// How many bytes of the answer of a subscriber are taken.
const LARGEST_RECEIPT: usize = 1 << 20;

/// How often and how long a subscriber is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotificationSettings {
    /// How often a notification is sent again that was not taken.
    pub redeliveries: u32,
    /// How long before it is sent again.
    pub redelivery_delay: Duration,
    /// How long a call may take.
    pub timeout: Duration,
}

impl Default for NotificationSettings {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { redeliveries: 2, redelivery_delay: seconds(5), timeout: seconds(5) }
    }
}

/// Why a notification was not taken. The texts hold nothing of it and of the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// Nobody says where to.
    #[error("there is no URL for this subscriber")]
    NoUrl,
    /// There is no answer.
    #[error(transparent)]
    NoAnswer(#[from] TransportError),
    /// It takes too long.
    #[error("timeout: no complete answer within {} ms", .0.as_millis())]
    Late(Duration),
    /// The answer is of another type.
    #[error("the content type of the answer is not XML")]
    NotXml,
    /// The answer does not say that it was taken.
    #[error(transparent)]
    Refused(#[from] NotDelivered),
    /// The record on the log is none that could be sent.
    #[error("the notification cannot be read: {0}")]
    Unreadable(String),
}

impl Undelivered {
    /// Its code in the headers of a dead letter.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoUrl => "no-url",
            Self::NoAnswer(_) => "no-answer",
            Self::Late(_) => "timeout",
            Self::NotXml | Self::Refused(_) => "not-taken",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

/// What became of the first notifications of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Delivery {
    /// How many have this end. A dead letter is always one.
    pub count: usize,
    /// What became of them.
    pub end: End,
    /// How many stood in the first call. If that is more than `count`, it was not taken, and those behind the first
    /// should go out one by one: the next call with several would fail again.
    pub tried: usize,
}

impl Delivery {
    fn of(count: usize, end: End, tried: usize) -> Self {
        Self { count, end, tried }
    }
}

/// Delivers notifications. One is enough for all subscribers.
#[derive(Clone)]
pub struct Courier {
    flow: Arc<Flow>,
    codec: Codec,
    settings: NotificationSettings,
}

impl fmt::Debug for Courier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Courier").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Courier {
    /// A courier who calls as the flow does.
    pub fn new(flow: Arc<Flow>, codec: Codec, settings: NotificationSettings) -> Self {
        Self { flow, codec, settings }
    }

    /// Delivers the first of these notifications of this partition, and with it those that fit into the same call, and
    /// says what has become of them. Each failure of a call counts, also if an earlier call of the same notification
    /// was taken: that one is not sent again. If a call with several is not taken, the first goes on alone, because it
    /// may be another one that is refused.
    ///
    /// `None` if nothing waits, and once `stopping` has ended while a redelivery is waited for. A call that is under
    /// way is not cut by it, because the subscriber may have taken it.
    pub async fn deliver(
        &self,
        partition: i32,
        waiting: &[Waiting],
        stopping: impl Future<Output = ()> + Send,
    ) -> Option<Delivery> {
        let first = waiting.first()?;
        let mut notification = match self.read(first) {
            Ok(notification) => notification,
            Err(reason) => return Some(Delivery::of(1, End::Dead(reason), 1)),
        };
        // The same for each redelivery. The updates in it may have had several ids (A 6.2).
        let correlation = format!("notification-{partition}-{}", first.offset);
        let own = notification.transactions.len();
        let merged = 1 + self.merge(&mut notification, &waiting[1..]);
        let mut left = self.settings.redeliveries;
        let mut stopping = pin!(stopping);
        if merged > 1 {
            let Err(reason) = self.call_all(&notification, &correlation).await else {
                return Some(Delivery::of(merged, End::Delivered, merged));
            };
            notification.transactions.truncate(own);
            if !self.may_go_on(&notification, &correlation, &reason, &mut left, stopping.as_mut()).await? {
                return Some(Delivery::of(1, End::Dead(reason), merged));
            }
        }
        for notice in notices(&notification) {
            while let Err(reason) = self.call(&notification.subscriber, &correlation, notice.clone()).await {
                if !self.may_go_on(&notification, &correlation, &reason, &mut left, stopping.as_mut()).await? {
                    return Some(Delivery::of(1, End::Dead(reason), merged));
                }
            }
        }
        Some(Delivery::of(1, End::Delivered, merged))
    }

    fn read(&self, waiting: &Waiting) -> Result<Notification, Undelivered> {
        let read = self.codec.open(&waiting.value).and_then(|framed| framed.read::<Notification>());
        read.map_err(|error| Undelivered::Unreadable(error.to_string()))
    }

    /// Adds the transactions of those that follow, as long as all fit into one call. Returns how many that are.
    fn merge(&self, notification: &mut Notification, following: &[Waiting]) -> usize {
        let mut merged = 0;
        for waiting in following {
            let Ok(mut next) = self.read(waiting) else { break };
            let fits = notification.transactions.len() + next.transactions.len() <= MOST_IN_CALL;
            if !fits || next.subscriber != notification.subscriber {
                break;
            }
            notification.transactions.append(&mut next.transactions);
            merged += 1;
        }
        merged
    }

    async fn call_all(&self, notification: &Notification, correlation: &str) -> Result<(), Undelivered> {
        for notice in notices(notification) {
            self.call(&notification.subscriber, correlation, notice).await?;
        }
        Ok(())
    }

    /// Whether a call is made again, after the pause before it. `None` once it is `stopping`.
    async fn may_go_on(
        &self,
        notification: &Notification,
        correlation: &str,
        reason: &Undelivered,
        left: &mut u32,
        stopping: Pin<&mut (impl Future<Output = ()> + Send)>,
    ) -> Option<bool> {
        events::notification_failed(&notification.subscriber, correlation, reason, *left);
        if *left == 0 {
            return Some(false);
        }
        *left -= 1;
        tokio::select! {
            biased;
            () = stopping => None,
            () = sleep(self.settings.redelivery_delay) => Some(true),
        }
    }

    async fn call(&self, subscriber: &Address, correlation: &str, notice: String) -> Result<(), Undelivered> {
        let settings = &self.flow.settings;
        let interaction = IndexInteraction::ProcessNotification;
        let url = self.url(subscriber).ok_or(Undelivered::NoUrl)?;
        let caller = Caller::own(&settings.index_sender, correlation);
        let call = OutgoingCall {
            address: subscriber.as_str().to_owned(),
            url,
            headers: caller.headers(&settings.instance, &interaction.soap_action()),
            body: RequestBody::of(notice),
            limit: LARGEST_RECEIPT,
            share: self.flow.memory.share(),
        };
        let timeout = self.settings.timeout;
        let answered = timeout_at(Instant::now() + timeout, self.flow.producers.call(call)).await;
        let answer = answered.map_err(|_| Undelivered::Late(timeout))??;
        let content = answer.content_type.as_deref().map(ContentType::read).unwrap_or_default();
        if !content.is_xml && (200..300).contains(&answer.status) {
            return Err(Undelivered::NotXml);
        }
        Ok(read_receipt(answer.status, answer.body, content.charset.as_deref(), LARGEST_RECEIPT)?)
    }

    /// Where a subscriber is called: at the platform, or where its route leads now.
    fn url(&self, subscriber: &Address) -> Option<String> {
        self.flow.settings.platform_url.clone().or_else(|| {
            let contract = IndexInteraction::ProcessNotification.contract();
            let tak = self.flow.tak()?;
            tak.route(contract, subscriber.as_str(), (self.flow.clock)())?.map(str::to_owned)
        })
    }
}
