//! What operators read of deliveries: how far each client is, and what is delayed.
//!
//! The positions are in the log, so every process knows them. Whether the broker is up, and what has failed, is known
//! by the process that delivers. Another one says `null`.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::{Query, State};
use jiff::Timestamp;
use serde::Serialize;
use tributary_flow::http::Problem;
use tributary_schemas::records::cases::{Channel, Client};
use utoipa::ToSchema;

use super::Shared;
use super::reading::{Asked, limit};
use crate::delivery::ClientStatus;
use crate::kept_queues::Entry;
use crate::rows::Rows;
use crate::service::Service;

/// How far deliveries are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveriesView {
    external: ExternalView,
    /// By name.
    clients: Vec<DeliveryView>,
}

/// The external broker.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExternalView {
    /// Whether there is one.
    configured: bool,
    /// Whether it is up. Null in a process that does not deliver.
    up: Option<bool>,
    /// Delayed notifications: one for each client still to be told. At most a second old. Null in a process that does
    /// not deliver.
    delayed: Option<i64>,
    /// Age of the oldest of them, 0 if none is delayed. Null in a process that does not deliver.
    oldest_delayed_seconds: Option<i64>,
}

/// How far a client is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeliveryView {
    client: String,
    /// `api`, `kafka` or `rabbitmq`.
    #[schema(value_type = String)]
    channel: &'static str,
    /// Up to which position it is acknowledged.
    acknowledged: i64,
    /// The last position.
    last: i64,
    /// Notifications that are not acknowledged.
    waiting: i64,
    /// Those of them that wait because the broker is down or the queue takes none. Null in a process that does not
    /// deliver.
    delayed: Option<i64>,
    /// Why the last attempt failed. Null if it did not.
    last_error: Option<String>,
}

/// Delayed notifications.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DelayedView {
    /// The oldest first.
    items: Vec<DelayedItem>,
}

/// A delayed notification.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DelayedItem {
    message_id: String,
    /// The case.
    id: String,
    /// Created 0, Updated 1, Closed 2, Deleted 3.
    notification_type: i32,
    /// Those still to be told.
    clients: BTreeSet<String>,
    /// Failed attempts since the last success, of the client with most of them. Null in a process that does not
    /// deliver.
    attempts: Option<u32>,
    /// When the next attempt is due, RFC 3339. Null: at once, or not known in this process.
    #[schema(value_type = Option<String>, format = DateTime)]
    not_before: Option<Timestamp>,
}

/// How far deliveries are.
#[utoipa::path(get, path = "/api/admin/cases/deliveries", tag = "cases",
    responses((status = 200, description = "Deliveries", body = DeliveriesView)))]
pub(super) async fn deliveries(State(service): Shared) -> Result<Json<DeliveriesView>, Problem> {
    service.following.catch_up().await?;
    let rows = service.following.rows();
    let clients: Vec<DeliveryView> = rows.clients.values().map(|client| delivery(&service, &rows, client)).collect();
    let configured = service.settings.broker.is_some();
    let status = &service.delivery;
    let external = ExternalView {
        configured,
        up: status.broker_up(),
        delayed: status.delayed_notifications(),
        oldest_delayed_seconds: status.oldest_delayed_seconds(),
    };
    Ok(Json(DeliveriesView { external, clients }))
}

fn delivery(service: &Service, rows: &Rows, client: &Client) -> DeliveryView {
    let position = rows.position(&client.name);
    let status = status(service, client);
    let delayed = match (client.channel, service.delivery.broker_up()) {
        (Channel::Rabbitmq, None) => None,
        _ => Some(status.as_ref().map_or(0, |_| position.waiting)),
    };
    DeliveryView {
        client: client.name.to_string(),
        channel: client.channel.symbol(),
        acknowledged: position.acknowledged,
        last: position.last,
        waiting: position.waiting,
        delayed,
        last_error: status.and_then(|status| status.error),
    }
}

/// What is known of a client whose notifications are delayed.
fn status(service: &Service, client: &Client) -> Option<ClientStatus> {
    (client.channel == Channel::Rabbitmq).then(|| service.delivery.delayed(&client.name)).flatten()
}

/// Notifications that wait because the broker is down or a queue takes none. A process that does not deliver lists
/// all that wait for the broker.
#[utoipa::path(get, path = "/api/admin/cases/delayed", tag = "cases", params(Asked),
    responses((status = 200, description = "Delayed notifications", body = DelayedView),
        (status = 400, description = "`InvalidQuery`", body = Problem)))]
pub(super) async fn delayed(
    State(service): Shared,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<DelayedView>, Problem> {
    let limit = limit(asked)?;
    service.following.catch_up().await?;
    let clients: Vec<(Client, i64)> = {
        let rows = service.following.rows();
        let delivered = rows.clients.values().filter(|client| client.channel == Channel::Rabbitmq);
        delivered.map(|client| (client.clone(), rows.position(&client.name).acknowledged)).collect()
    };
    let delivers = service.delivery.broker_up().is_some();
    // By message, with the time at which the first of its notifications was made.
    let mut items: BTreeMap<String, (i64, DelayedItem)> = BTreeMap::new();
    for (client, acknowledged) in &clients {
        let status = status(&service, client);
        if delivers && status.is_none() {
            continue;
        }
        // No item of the answer is behind this number of notifications in any queue.
        for entry in &service.following.notifications(&client.name, *acknowledged, limit).await? {
            let message = entry.notification.message_id.to_string();
            let (made, item) = items.entry(message).or_insert_with(|| (entry.made, DelayedItem::of(entry)));
            *made = entry.made.min(*made);
            item.add(client, status.as_ref());
        }
    }
    let mut items: Vec<(i64, DelayedItem)> = items.into_values().collect();
    items.sort_by_key(|(made, _)| *made);
    Ok(Json(DelayedView { items: items.into_iter().map(|(_, item)| item).take(limit).collect() }))
}

impl DelayedItem {
    fn of(entry: &Entry) -> Self {
        let told = &entry.notification;
        Self {
            message_id: told.message_id.to_string(),
            id: told.id.to_string(),
            notification_type: told.notification_type.number(),
            clients: BTreeSet::new(),
            attempts: None,
            not_before: None,
        }
    }

    fn add(&mut self, client: &Client, status: Option<&ClientStatus>) {
        let is_first = self.clients.is_empty();
        self.clients.insert(client.name.to_string());
        if let Some(status) = status {
            self.attempts = self.attempts.max(Some(status.attempts));
            self.not_before = if is_first { status.not_before } else { self.not_before.min(status.not_before) };
        }
    }
}
