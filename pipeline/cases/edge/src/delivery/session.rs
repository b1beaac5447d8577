//! One connection to the broker after the other: while one is open, its health, and a task for each client.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinHandle;
use tributary_connectors::rabbitmq::{BrokerError, Connection};
use tributary_runtime::trouble::Troubles;
use tributary_schemas::records::cases::{Channel, Format};
use tributary_schemas::types::cases::ClientName;

use super::lane::Lane;
use super::status::jitter;
use super::{Delivering, HEALTH_QUEUE, LOOK};
use crate::events;

/// A connection whose probes fail as often as this in a row is given up.
const MOST_FAILURES: u32 = 3;

/// A task that ends when this is dropped.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Delivering {
    /// Connects again and again, and delivers while connected.
    pub(super) async fn sessions(self: Arc<Self>) {
        let mut troubles = Troubles::new();
        loop {
            let error = match self.broker.connect().await {
                Ok(connection) => self.session(Arc::from(connection), &mut troubles).await,
                Err(error) => error,
            };
            let pause = jitter(self.settings.probe);
            self.status().down(&error, pause);
            if let Some(report) = troubles.note("broker", error.to_string(), Instant::now()) {
                events::broker_trouble(&report);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Delivers over a connection until it ends. Returns why it ended.
    async fn session(self: &Arc<Self>, connection: Arc<dyn Connection>, troubles: &mut Troubles) -> BrokerError {
        tokio::select! {
            error = connection.closed() => error,
            error = self.probe(&*connection, troubles) => error,
            () = self.lanes(&connection) => BrokerError::Closed { reason: "it is not used".to_owned() },
        }
    }

    /// Probes the broker until it fails.
    async fn probe(&self, connection: &dyn Connection, troubles: &mut Troubles) -> BrokerError {
        let mut failures = 0;
        loop {
            match connection.probe(HEALTH_QUEUE).await {
                Ok(()) => {
                    failures = 0;
                    self.status().up();
                    if let Some(report) = troubles.end("broker", Instant::now()) {
                        events::broker_returned(&report);
                    }
                }
                Err(error) => {
                    failures += 1;
                    if failures >= MOST_FAILURES || error.ends_connection() {
                        return error;
                    }
                }
            }
            tokio::time::sleep(jitter(self.settings.probe)).await;
        }
    }

    /// Has a task for each client on the broker, from the first probe on.
    async fn lanes(self: &Arc<Self>, connection: &Arc<dyn Connection>) {
        let mut lanes: BTreeMap<ClientName, (Format, Task)> = BTreeMap::new();
        loop {
            if self.status().is_up() {
                let clients = self.clients();
                lanes.retain(|client, (format, _)| clients.get(client) == Some(format));
                self.status().retain(|client| clients.contains_key(client));
                for (client, format) in clients {
                    lanes.entry(client).or_insert_with_key(|client| {
                        let lane = Lane::new(self, connection, client, format);
                        (format, Task(tokio::spawn(lane.run())))
                    });
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The clients on the broker, with their formats.
    pub(super) fn clients(&self) -> BTreeMap<ClientName, Format> {
        let rows = self.service.following.rows();
        let on_broker = rows.clients.values().filter(|client| client.channel == Channel::Rabbitmq);
        on_broker.map(|client| (client.name.clone(), client.format)).collect()
    }
}
