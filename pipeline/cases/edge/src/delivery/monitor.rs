//! Numbers of what is delayed, and a report of what is delayed for too long.

use std::time::Duration;

use jiff::Timestamp;
use tributary_cases::topics;
use tributary_flow::framed;
use tributary_schemas::records::tributary::Severity;
use tributary_schemas::types::cases::ClientName;

use super::Delivering;
use crate::events;

/// How often the numbers are taken.
const PERIOD: Duration = Duration::from_secs(1);

impl Delivering {
    /// Takes the numbers, and reports.
    pub(super) async fn watch(&self) {
        loop {
            self.measure().await;
            tokio::time::sleep(PERIOD).await;
        }
    }

    async fn measure(&self) {
        let now = Timestamp::now().as_millisecond();
        let (mut count, mut oldest) = (0, 0);
        for client in self.clients().into_keys() {
            let is_delayed = self.status().delayed(&client).is_some();
            let (waiting, known) = if is_delayed { self.waiting(&client, now).await } else { (0, Some(0)) };
            let age = self.status().age(&client, known);
            (count, oldest) = (count + waiting, oldest.max(age));
            if known.is_none() {
                continue;
            }
            let is_late = age >= i64::try_from(self.settings.alarm.as_millis()).unwrap_or(i64::MAX);
            if self.status().is_report_due(&client, is_late && waiting > 0) {
                self.report(&client, waiting, age / 1000).await;
            }
        }
        self.status().gauge(count, oldest / 1000);
    }

    /// How many notifications wait for a client, and the age of the first in milliseconds. The age is not known while
    /// the queue cannot be read.
    async fn waiting(&self, client: &ClientName, now: i64) -> (i64, Option<i64>) {
        let position = self.service.following.rows().position(client);
        match self.service.following.notifications(client, position.acknowledged, 1).await {
            Ok(first) => {
                first.first().map_or((0, Some(0)), |first| (position.waiting, Some((now - first.made).max(0))))
            }
            Err(_) => (position.waiting, None),
        }
    }

    async fn report(&self, client: &ClientName, waiting: i64, seconds: i64) {
        let why = self.status().delayed(client).and_then(|status| status.error);
        let why = why.unwrap_or_else(|| "the reason is not known yet".to_owned());
        let text = format!("{waiting} notifications wait for {client}, the first for {seconds} s: {why}");
        events::delayed_for_long(&text);
        let alert = framed::alert(Severity::Warning, "notifications-delayed", client.as_str(), text);
        let published = self.service.intake.publish(move |context, output| {
            framed::send(&context.codec, output, &topics::ALERT, alert.subject.as_bytes(), &alert);
        });
        // The thread that publishes reports a failure, and the event above is in the log of the service.
        let _ = published.await;
    }
}
