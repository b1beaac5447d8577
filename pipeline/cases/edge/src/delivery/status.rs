//! What this process knows of the delivery: the broker's health, and for each client how far it is and what failed.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};
use tributary_schemas::types::cases::ClientName;
use uuid::Uuid;

/// How far a pause may be from the configured one, in hundredths.
const JITTER: u32 = 20;

/// How long a queue that has rejected a message is given one at a time.
const CAUTION: Duration = Duration::from_hours(1);

/// A gauge of a process that does not deliver.
const UNKNOWN: i64 = -1;

/// What is known of the delivery. A process that does not deliver knows nothing.
#[derive(Debug)]
pub(crate) struct DeliveryStatus {
    known: Mutex<Known>,
    delayed: AtomicI64,
    oldest: AtomicI64,
}

#[derive(Debug, Default)]
struct Known {
    delivers: bool,
    broker: Broker,
    clients: BTreeMap<ClientName, ClientStatus>,
}

#[derive(Debug, Default)]
struct Broker {
    is_up: bool,
    error: Option<String>,
    next: Option<Timestamp>,
}

/// What is known of the delivery to a client.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClientStatus {
    /// Up to where the broker has confirmed, as this process knows.
    confirmed: i64,
    /// Up to where that is in the log.
    noted: i64,
    /// Attempts that have failed since the last confirmation.
    pub(crate) attempts: u32,
    /// When the next attempt is due. `None`: at once.
    pub(crate) not_before: Option<Timestamp>,
    due: Option<Instant>,
    /// When the queue last rejected a message.
    rejected: Option<Instant>,
    /// Why the last attempt failed.
    pub(crate) error: Option<String>,
    is_reported: bool,
    /// The last known age of the first notification that waits, in milliseconds.
    age: i64,
}

impl Default for DeliveryStatus {
    fn default() -> Self {
        Self { known: Mutex::default(), delayed: AtomicI64::new(UNKNOWN), oldest: AtomicI64::new(UNKNOWN) }
    }
}

/// For metrics and documents.
impl DeliveryStatus {
    /// Whether the broker is up. `None` in a process that does not deliver.
    pub(crate) fn broker_up(&self) -> Option<bool> {
        let known = self.known();
        known.delivers.then_some(known.broker.is_up)
    }

    /// How many notifications wait because the broker is down or a queue takes none: one for each client still to be
    /// told. `None` in a process that does not deliver. At most a second old.
    pub(crate) fn delayed_notifications(&self) -> Option<i64> {
        Some(self.delayed.load(Ordering::Relaxed)).filter(|delayed| *delayed != UNKNOWN)
    }

    /// The age of the oldest of them in seconds, 0 if none is delayed. `None` in a process that does not deliver. At
    /// most a second old.
    pub(crate) fn oldest_delayed_seconds(&self) -> Option<i64> {
        Some(self.oldest.load(Ordering::Relaxed)).filter(|oldest| *oldest != UNKNOWN)
    }

    /// What is known of a client whose notifications are delayed. `None` if they are not, or if this process does not
    /// deliver.
    pub(crate) fn delayed(&self, client: &ClientName) -> Option<ClientStatus> {
        let known = self.known();
        let status = known.clients.get(client).cloned().unwrap_or_default();
        if !known.delivers || (known.broker.is_up && status.attempts == 0) {
            return None;
        }
        if known.broker.is_up {
            return Some(status);
        }
        let error = known.broker.error.clone().or(status.error);
        let not_before = status.not_before.max(known.broker.next);
        Some(ClientStatus { not_before, error, ..status })
    }
}

/// For the delivery itself.
impl DeliveryStatus {
    /// This process begins to deliver.
    pub(super) fn begin(&self) {
        *self.known() = Known { delivers: true, ..Known::default() };
    }

    /// This process no longer delivers.
    pub(super) fn end(&self) {
        *self.known() = Known::default();
        self.gauge(UNKNOWN, UNKNOWN);
    }

    pub(super) fn gauge(&self, delayed: i64, oldest: i64) {
        self.delayed.store(delayed, Ordering::Relaxed);
        self.oldest.store(oldest, Ordering::Relaxed);
    }

    pub(super) fn up(&self) {
        self.known().broker = Broker { is_up: true, error: None, next: None };
    }

    pub(super) fn is_up(&self) -> bool {
        self.known().broker.is_up
    }

    /// The broker is down. The next attempt to connect is after a pause.
    pub(super) fn down(&self, error: &impl Display, pause: Duration) {
        let next = Some(after(pause));
        self.known().broker = Broker { is_up: false, error: Some(error.to_string()), next };
    }

    /// Forgets clients that are no longer on the broker.
    pub(super) fn retain(&self, is_known: impl Fn(&ClientName) -> bool) {
        self.known().clients.retain(|client, _| is_known(client));
    }

    /// From where a client's queue is delivered: what the log says, or more if this process knows more.
    pub(super) fn start(&self, client: &ClientName, acknowledged: i64) -> i64 {
        self.change(client, |status| {
            status.confirmed = status.confirmed.max(acknowledged);
            status.confirmed
        })
    }

    /// Everything up to a position is confirmed or hidden.
    pub(super) fn settled(&self, client: &ClientName, position: i64) {
        self.change(client, |status| status.confirmed = status.confirmed.max(position));
    }

    /// The broker has taken a message of a client.
    pub(super) fn delivered(&self, client: &ClientName, position: i64) {
        self.change(client, |status| {
            status.confirmed = status.confirmed.max(position);
            (status.attempts, status.error, status.not_before, status.due) = (0, None, None, None);
        });
    }

    /// An attempt has failed.
    pub(super) fn failed(&self, client: &ClientName, error: &impl Display, retry: &[Duration]) {
        self.change(client, |status| {
            let pause = retry.get(status.attempts as usize).or(retry.last()).copied().unwrap_or_default();
            let pause = jitter(pause);
            status.attempts = status.attempts.saturating_add(1);
            status.error = Some(error.to_string());
            status.not_before = Some(after(pause));
            status.due = Some(Instant::now() + pause);
        });
    }

    /// The queue has rejected a message: it is full, and may take a later one when its client reads.
    pub(super) fn rejected(&self, client: &ClientName) {
        self.change(client, |status| status.rejected = Some(Instant::now()));
    }

    /// Whether the queue has rejected a message not long ago.
    pub(super) fn has_rejected(&self, client: &ClientName) -> bool {
        let rejected = self.known().clients.get(client).and_then(|status| status.rejected);
        rejected.is_some_and(|rejected| rejected.elapsed() < CAUTION)
    }

    pub(super) fn has_failed(&self, client: &ClientName) -> bool {
        self.known().clients.get(client).is_some_and(|status| status.attempts > 0)
    }

    /// Waits until the next attempt for a client is due.
    pub(super) async fn until_due(&self, client: &ClientName) {
        let due = self.known().clients.get(client).and_then(|status| status.due);
        if let Some(due) = due {
            sleep_until(due).await;
        }
    }

    /// Confirmed positions that are not in the log yet.
    pub(super) fn confirmed(&self) -> Vec<(ClientName, i64)> {
        let known = self.known();
        let due = known.clients.iter().filter(|(_, status)| status.confirmed > status.noted);
        due.map(|(client, status)| (client.clone(), status.confirmed)).collect()
    }

    /// These positions are in the log.
    pub(super) fn noted(&self, positions: &[(ClientName, i64)]) {
        let mut known = self.known();
        for (client, position) in positions {
            if let Some(status) = known.clients.get_mut(client) {
                status.noted = status.noted.max(*position);
            }
        }
    }

    /// The age of the first notification that waits for a client, in milliseconds. If it is not known now, the last one
    /// that was: a queue that cannot be read for a while does not end its delay.
    pub(super) fn age(&self, client: &ClientName, known: Option<i64>) -> i64 {
        self.change(client, |status| {
            status.age = known.unwrap_or(status.age);
            status.age
        })
    }

    /// Whether the delay of a client is to be reported now: once, until it is over.
    pub(super) fn is_report_due(&self, client: &ClientName, is_late: bool) -> bool {
        self.change(client, |status| {
            let is_due = is_late && !status.is_reported;
            status.is_reported = is_late;
            is_due
        })
    }

    fn change<T>(&self, client: &ClientName, change: impl FnOnce(&mut ClientStatus) -> T) -> T {
        let mut known = self.known();
        change(known.clients.entry(client.clone()).or_default())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time after a pause.
fn after(pause: Duration) -> Timestamp {
    Timestamp::now().checked_add(pause).unwrap_or(Timestamp::MAX)
}

/// A pause that differs a little each time, so that attempts of many clients do not come at once.
pub(super) fn jitter(pause: Duration) -> Duration {
    let random = u32::from(Uuid::new_v4().as_bytes()[0]) * 2 * JITTER / u32::from(u8::MAX);
    pause * (100 - JITTER + random) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_follow_the_schedule_and_its_last_one_is_for_ever() {
        let status = DeliveryStatus::default();
        status.begin();
        status.up();
        let client: ClientName = "journal-1".parse().unwrap();
        let retry = [Duration::from_secs(10), Duration::from_secs(100)];
        for expected in [10, 100, 100, 100] {
            let before = Timestamp::now();
            status.failed(&client, &"full", &retry);
            let delayed = status.delayed(&client).unwrap();
            let pause = delayed.not_before.unwrap().duration_since(before).as_secs_f64();
            let expected = f64::from(expected);
            assert!((expected * 0.8..=expected * 1.2 + 5.0).contains(&pause), "{pause} for {expected}");
        }
        status.delivered(&client, 7);
        assert!(status.delayed(&client).is_none());
        assert_eq!(status.confirmed(), [(client, 7)]);
    }

    #[test]
    fn while_the_broker_is_down_every_client_is_delayed_and_no_attempt_is_counted() {
        let status = DeliveryStatus::default();
        let client: ClientName = "journal-1".parse().unwrap();
        assert_eq!((status.broker_up(), status.delayed(&client).is_none()), (None, true));
        status.begin();
        status.down(&"refused", Duration::from_secs(5));
        let delayed = status.delayed(&client).unwrap();
        assert_eq!((delayed.attempts, delayed.error.as_deref()), (0, Some("refused")));
        assert!(delayed.not_before.is_some());
        status.up();
        assert_eq!((status.broker_up(), status.delayed(&client).is_none()), (Some(true), true));
        status.end();
        assert_eq!((status.broker_up(), status.delayed_notifications()), (None, None));
    }

    #[test]
    fn an_age_that_is_not_known_for_a_while_is_the_last_one() {
        let status = DeliveryStatus::default();
        let client: ClientName = "journal-1".parse().unwrap();
        let ages = [None, Some(7_000), None, None, Some(0), None].map(|known| status.age(&client, known));
        assert_eq!(ages, [0, 7_000, 7_000, 7_000, 0, 0]);
    }

    #[test]
    fn a_long_delay_is_reported_once() {
        let status = DeliveryStatus::default();
        let client: ClientName = "journal-1".parse().unwrap();
        let reported: Vec<bool> =
            [false, true, true, false, true].iter().map(|late| status.is_report_due(&client, *late)).collect();
        assert_eq!(reported, [false, true, false, false, true]);
    }
}
