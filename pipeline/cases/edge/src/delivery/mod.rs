//! Delivers notifications to clients on the external broker, in the process that runs the rounds.
//!
//! The truth is the acknowledged position of each client. A client's queue is delivered from there on, and the position
//! moves when the broker has confirmed. So every notification arrives at least once, and a crash loses none. What else
//! is known here, such as failed attempts, only saves effort: it lives in memory, and a restart begins without it.

mod lane;
mod monitor;
mod session;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tributary_connectors::rabbitmq::Broker;
use tributary_flow::Process;
use tributary_flow::leading::TERM;
use tributary_runtime::Shutdown;
use tributary_schemas::types::cases::ClientName;

use crate::service::Service;
use crate::settings::BrokerSettings;

pub(crate) use status::{ClientStatus, DeliveryStatus};

/// The queue of the probes.
const HEALTH_QUEUE: &str = "dis-healthcheck-stub";

/// How often this looks whether the process still runs the rounds.
const LOOK: Duration = Duration::from_millis(200);

/// The pause after the log did not take positions.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// The running delivery. It ends when this is dropped.
pub(crate) struct Delivery(JoinHandle<()>);

impl Drop for Delivery {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What all parts of the delivery share.
struct Delivering {
    service: Arc<Service>,
    settings: BrokerSettings,
    broker: Arc<dyn Broker>,
    shutdown: Shutdown,
    /// Whether other processes may run the rounds.
    is_shared: bool,
}

impl Delivery {
    /// Starts it. It does nothing until this process runs the rounds.
    pub(crate) fn start(
        process: &dyn Process,
        service: &Arc<Service>,
        settings: BrokerSettings,
        broker: Arc<dyn Broker>,
    ) -> Self {
        let delivering = Arc::new(Delivering {
            service: Arc::clone(service),
            settings,
            broker,
            shutdown: process.shutdown().clone(),
            is_shared: process.is_shared(),
        });
        Self(process.tokio().spawn(async move { delivering.run().await }))
    }
}

impl Delivering {
    async fn run(self: Arc<Self>) {
        while !self.shutdown.is_triggered() {
            if !self.leads() {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            // The process that has just lost the rounds may still deliver: two would mix their order.
            if self.is_shared {
                tokio::time::sleep(TERM).await;
            }
            self.status().begin();
            tokio::select! {
                () = self.lost() => {}
                () = Arc::clone(&self).sessions() => {}
                () = self.note_positions() => {}
                () = self.watch() => {}
            }
            self.status().end();
        }
    }

    fn status(&self) -> &DeliveryStatus {
        &self.service.delivery
    }

    fn leads(&self) -> bool {
        self.service.leading.is_here()
    }

    /// Waits until this process no longer runs the rounds, or ends.
    async fn lost(&self) {
        while self.leads() && !self.shutdown.is_triggered() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Notes in the log up to where the broker has confirmed, for all clients together.
    async fn note_positions(&self) {
        let mut pause = self.settings.note_pause;
        loop {
            tokio::time::sleep(pause).await;
            pause = self.settings.note_pause;
            let confirmed = self.status().confirmed();
            let due: Vec<(ClientName, i64)> = {
                let rows = self.service.following.rows();
                let is_due = |(client, position): &(ClientName, i64)| *position > rows.position(client).acknowledged;
                confirmed.into_iter().filter(is_due).collect()
            };
            if due.is_empty() {
                continue;
            }
            let noted = due.clone();
            let published = self
                .service
                .intake
                .publish(move |context, output| {
                    for (client, position) in &due {
                        context.acknowledge_for(output, client, *position);
                    }
                })
                .await;
            match published {
                Ok(()) => self.status().noted(&noted),
                // The thread that publishes reports it.
                Err(_) => pause = FAILURE_PAUSE,
            }
        }
    }
}
