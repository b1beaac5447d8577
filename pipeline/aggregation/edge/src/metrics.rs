//! Numbers of the platform, for `/metrics`. Those of the index are the same in every process, so only the process that
//! runs the rounds shows them.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, Metric, MetricFamily, MetricType};
use tributary_aggregation::cache::log::CacheLogStatus;

use crate::platform::Shared;

/// A number of this process.
struct Definition {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    /// Whether every process has the same number.
    is_of_all: bool,
    number: fn(&Shared) -> f64,
}

static ALL: [Definition; 14] = [
    Definition {
        name: "aggregation_cache_entries",
        help: "Questions whose answers are kept.",
        kind: MetricType::GAUGE,
        is_of_all: false,
        number: |shared| shared.flow.cache_status().entries as f64,
    },
    Definition {
        name: "aggregation_cache_hits_total",
        help: "Questions that were answered from the cache.",
        kind: MetricType::COUNTER,
        is_of_all: false,
        number: |shared| shared.flow.cache_status().hits as f64,
    },
    Definition {
        name: "aggregation_cache_misses_total",
        help: "Questions that were not.",
        kind: MetricType::COUNTER,
        is_of_all: false,
        number: |shared| shared.flow.cache_status().misses as f64,
    },
    Definition {
        name: "aggregation_cache_log_entries",
        help: "Entries that the cache in the log has.",
        kind: MetricType::GAUGE,
        is_of_all: false,
        number: |shared| cache_log(shared).entries as f64,
    },
    Definition {
        name: "aggregation_cache_log_dropped_total",
        help: "Entries that were not written to the log: its queue was full, or it did not take them.",
        kind: MetricType::COUNTER,
        is_of_all: false,
        number: |shared| cache_log(shared).dropped as f64,
    },
    Definition {
        name: "aggregation_cache_log_too_large_total",
        help: "Entries that were not written to the log because they are too large.",
        kind: MetricType::COUNTER,
        is_of_all: false,
        number: |shared| cache_log(shared).too_large as f64,
    },
    Definition {
        name: "aggregation_cache_log_unreadable_total",
        help: "Entries of the log that could not be read: sealed with another key, or damaged.",
        kind: MetricType::COUNTER,
        is_of_all: false,
        number: |shared| cache_log(shared).unreadable as f64,
    },
    Definition {
        name: "aggregation_cache_log_passed_total",
        help: "Entries of the log that were read and are not served: too old, or of other settings or another TAK.",
        kind: MetricType::COUNTER,
        is_of_all: false,
        number: |shared| cache_log(shared).passed as f64,
    },
    Definition {
        name: "aggregation_calls_total",
        help: "Calls of source systems.",
        kind: MetricType::COUNTER,
        is_of_all: false,
        number: |shared| shared.flow.places().iter().map(|place| place.calls as f64).sum(),
    },
    Definition {
        name: "aggregation_call_failures_total",
        help: "Calls of source systems that failed, those that were not made included.",
        kind: MetricType::COUNTER,
        is_of_all: false,
        number: |shared| shared.flow.places().iter().map(|place| place.failures as f64).sum(),
    },
    Definition {
        name: "aggregation_calls_in_flight",
        help: "Calls of source systems under way.",
        kind: MetricType::GAUGE,
        is_of_all: false,
        number: |shared| shared.flow.places().iter().map(|place| place.in_flight as f64).sum(),
    },
    Definition {
        name: "aggregation_answer_memory_free_bytes",
        help: "Bytes of the memory for answers that are free.",
        kind: MetricType::GAUGE,
        is_of_all: false,
        number: |shared| shared.flow.free_memory() as f64,
    },
    Definition {
        name: "aggregation_engagements",
        help: "Engagements in the own index.",
        kind: MetricType::GAUGE,
        is_of_all: true,
        number: |shared| shared.engagements() as f64,
    },
    Definition {
        name: "aggregation_index_waiting",
        help: "Transactions that wait for the end of the write lock.",
        kind: MetricType::GAUGE,
        is_of_all: true,
        number: |shared| shared.following.states().waiting() as f64,
    },
];

/// The cache in the log. All is zero if there is none.
fn cache_log(shared: &Shared) -> CacheLogStatus {
    shared.flow.cache_log().map(|log| log.status()).unwrap_or_default()
}

/// Shows the numbers as they are when they are asked for.
pub(crate) struct PlatformCollector {
    shared: Weak<Shared>,
    descriptions: Vec<Desc>,
}

impl PlatformCollector {
    /// Describes the numbers.
    ///
    /// # Errors
    /// When a name is not valid for Prometheus.
    pub(crate) fn new(shared: &Arc<Shared>) -> prometheus::Result<Self> {
        let description =
            |one: &Definition| Desc::new(one.name.to_owned(), one.help.to_owned(), Vec::new(), HashMap::new());
        let descriptions = ALL.iter().map(description).collect::<prometheus::Result<_>>()?;
        Ok(Self { shared: Arc::downgrade(shared), descriptions })
    }
}

impl Collector for PlatformCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(shared) = self.shared.upgrade() else { return Vec::new() };
        let leads = shared.leading.is_here();
        let shown = ALL.iter().filter(|definition| leads || !definition.is_of_all);
        shown.map(|definition| family(definition, (definition.number)(&shared))).collect()
    }
}

fn family(definition: &Definition, number: f64) -> MetricFamily {
    let mut metric = Metric::default();
    if definition.kind == MetricType::COUNTER {
        let mut counter = Counter::default();
        counter.set_value(number);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(number);
        metric.set_gauge(gauge);
    }
    let mut family = MetricFamily::default();
    family.set_name(definition.name.to_owned());
    family.set_help(definition.help.to_owned());
    family.set_field_type(definition.kind);
    family.set_metric(vec![metric]);
    family
}
