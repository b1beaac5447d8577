//! Numbers of commands and of the queues of clients, for `/metrics`.
//!
//! Every process follows the whole flow, so every process knows every number. Only the process that runs the rounds
//! shows them: a sum over processes holds each once. When the rounds move, the other process may show them too, for
//! some seconds. What is counted for a client is kept in the log with its queue, so it goes on from there.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use tributary_schemas::records::cases::{CommandStatus, Queue, QueuePosition};

use crate::rows::{Rows, folded};
use crate::service::Service;

/// A number by labels.
struct Definition {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    labels: &'static [&'static str],
    samples: fn(&Service, &Rows) -> Vec<Sample>,
}

/// The values of the labels, and the number.
type Sample = (Vec<String>, f64);

static ALL: [Definition; 7] = [
    Definition {
        name: "cases_commands_total",
        help: "Commands by the status that they reached, since the start of the process. A parked command that is \
               applied later counts in both; a repeat counts in none.",
        kind: MetricType::COUNTER,
        labels: &["type", "status"],
        samples: commands,
    },
    Definition {
        name: "cases_notifications_total",
        help: "Notifications put into the queue of a client, those told again included.",
        kind: MetricType::COUNTER,
        labels: &["client"],
        samples: |_, rows| by_client(rows, |position| position.last),
    },
    Definition {
        name: "cases_notifications_unread_total",
        help: "Notifications dropped from the queue of a client because they were never read.",
        kind: MetricType::COUNTER,
        labels: &["client"],
        samples: |_, rows| by_client(rows, |position| position.unread),
    },
    Definition {
        name: "cases_waiting",
        help: "Notifications that a client has not acknowledged.",
        kind: MetricType::GAUGE,
        labels: &["client"],
        samples: |_, rows| by_client(rows, |position| position.waiting),
    },
    Definition {
        name: "cases_external_broker_up",
        help: "1 while the external broker receives our probes.",
        kind: MetricType::GAUGE,
        labels: &[],
        samples: |service, _| alone(service.delivery.broker_up().map(i64::from)),
    },
    Definition {
        name: "cases_delayed_notifications",
        help: "Notifications that wait because the external broker is down or a queue takes none, one for each client.",
        kind: MetricType::GAUGE,
        labels: &[],
        samples: |service, _| alone(service.delivery.delayed_notifications()),
    },
    Definition {
        name: "cases_oldest_delayed_seconds",
        help: "The age of the oldest of them. 0 if none is delayed.",
        kind: MetricType::GAUGE,
        labels: &[],
        samples: |service, _| alone(service.delivery.oldest_delayed_seconds()),
    },
];

/// A number without labels. Nothing while this process does not deliver to the external broker.
fn alone(number: Option<i64>) -> Vec<Sample> {
    number.map(|number| (Vec::new(), number as f64)).into_iter().collect()
}

/// The labels are bounded: types and statuses are few, and clients are those of the registry.
fn by_client(rows: &Rows, number: fn(&QueuePosition) -> i64) -> Vec<Sample> {
    let position = |name: &String| rows.positions.get(name).map_or(0, number);
    rows.clients
        .values()
        .map(|client| (vec![client.name.to_string()], position(&folded(&client.name)) as f64))
        .collect()
}

fn commands(_: &Service, rows: &Rows) -> Vec<Sample> {
    let reached = rows.reached.iter();
    let labels = |queue: &Queue, status: &CommandStatus| vec![queue.command().to_owned(), status.symbol().to_owned()];
    reached.map(|((queue, status), count)| (labels(queue, status), *count as f64)).collect()
}

/// Shows the numbers in the process that runs the rounds.
pub(crate) struct QueueCollector {
    service: Weak<Service>,
    descriptions: Vec<Desc>,
}

impl QueueCollector {
    /// The numbers of this service.
    ///
    /// # Errors
    /// When a name is not valid for Prometheus.
    pub(crate) fn new(service: &Arc<Service>) -> prometheus::Result<Self> {
        let describe = |definition: &Definition| {
            let labels = definition.labels.iter().map(|&label| label.to_owned()).collect();
            Desc::new(definition.name.to_owned(), definition.help.to_owned(), labels, HashMap::new())
        };
        let descriptions = ALL.iter().map(describe).collect::<prometheus::Result<_>>()?;
        Ok(Self { service: Arc::downgrade(service), descriptions })
    }
}

impl Collector for QueueCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(service) = self.service.upgrade().filter(|service| service.leading.is_here()) else {
            return Vec::new();
        };
        let rows = service.following.rows();
        // The encoder refuses a family without metrics.
        ALL.iter()
            .map(|definition| family(definition, &service, &rows))
            .filter(|family| !family.get_metric().is_empty())
            .collect()
    }
}

fn family(definition: &Definition, service: &Service, rows: &Rows) -> MetricFamily {
    let metric = |(values, number): Sample| {
        let labels = definition.labels.iter().zip(values).map(|(name, value)| label(name, value)).collect();
        let mut metric = Metric::from_label(labels);
        if definition.kind == MetricType::GAUGE {
            let mut gauge = Gauge::default();
            gauge.set_value(number);
            metric.set_gauge(gauge);
        } else {
            let mut counter = Counter::default();
            counter.set_value(number);
            metric.set_counter(counter);
        }
        metric
    };
    let mut family = MetricFamily::default();
    family.set_name(definition.name.to_owned());
    family.set_help(definition.help.to_owned());
    family.set_field_type(definition.kind);
    family.set_metric((definition.samples)(service, rows).into_iter().map(metric).collect());
    family
}

fn label(name: &str, value: String) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value);
    pair
}
