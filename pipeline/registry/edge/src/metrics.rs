//! Numbers of the flow, for `/metrics`. Those of rows are the same in every process, so only the process that runs the
//! rounds shows them.

use std::sync::{Arc, Weak};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use tributary_registry::caller::BreakerState;
use tributary_schemas::records::registry::JobStatus;
use tributary_schemas::types::registry::KindName;

use crate::calling::{BUCKETS, CallCounts, CallsOfKind};
use crate::platform::Shared;

const JOBS: (&str, &str) = ("registry_jobs", "Rows by kind and by the status of their job.");
const CALLS: (&str, &str) = ("registry_calls_total", "Calls of registers by their outcome: found, empty, or a class.");
const SECONDS: (&str, &str) = ("registry_call_seconds", "How long calls of registers take.");
const LATE: (&str, &str) = ("registry_late_answers_total", "Answers that changed nothing, because their run was over.");
const BREAKER: (&str, &str) =
    ("registry_breaker_open", "Whether no call, or one that tries, is made because of errors: 1, or 0.");
const IN_FLIGHT: (&str, &str) = ("registry_in_flight", "Calls of registers under way.");

const ALL: [((&str, &str), &[&str]); 6] = [
    (JOBS, &["kind", "status"]),
    (CALLS, &["kind", "outcome"]),
    (SECONDS, &["kind"]),
    (LATE, &["kind"]),
    (BREAKER, &["kind"]),
    (IN_FLIGHT, &["kind"]),
];

/// The numbers, as long as the flow runs.
pub(crate) struct RegistryCollector {
    shared: Weak<Shared>,
    descriptions: Vec<Desc>,
}

impl RegistryCollector {
    /// The numbers of a running flow.
    ///
    /// # Errors
    /// A name that is not valid for Prometheus.
    pub(crate) fn new(shared: &Arc<Shared>) -> prometheus::Result<Self> {
        let described = ALL.iter().map(|((name, help), labels)| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            Desc::new((*name).to_owned(), (*help).to_owned(), labels, std::collections::HashMap::new())
        });
        Ok(Self { shared: Arc::downgrade(shared), descriptions: described.collect::<prometheus::Result<_>>()? })
    }
}

impl Collector for RegistryCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(shared) = self.shared.upgrade() else { return Vec::new() };
        let kinds: Vec<(&KindName, CallsOfKind)> = shared
            .settings()
            .kinds
            .keys()
            .filter_map(|kind| shared.calling.status(kind).map(|status| (kind, status)))
            .collect();
        let calls = kinds.iter().flat_map(|(kind, status)| {
            let outcomes = status.counts.outcomes.iter();
            outcomes.map(|(outcome, count)| counter(&[("kind", kind.as_str()), ("outcome", outcome)], *count))
        });
        let open = |state: BreakerState| f64::from(u8::from(state != BreakerState::Closed));
        let of_kind = |number: fn(&CallsOfKind) -> f64| {
            kinds.iter().map(|(kind, status)| gauge(&[("kind", kind.as_str())], number(status))).collect()
        };
        let seconds = kinds.iter().map(|(kind, status)| histogram(kind, &status.counts)).collect();
        let breakers =
            kinds.iter().map(|(kind, status)| gauge(&[("kind", kind.as_str())], open(status.breaker))).collect();
        let mut families = vec![
            family(CALLS, MetricType::COUNTER, calls.collect()),
            family(SECONDS, MetricType::HISTOGRAM, seconds),
            family(BREAKER, MetricType::GAUGE, breakers),
            family(IN_FLIGHT, MetricType::GAUGE, of_kind(|status| status.in_flight as f64)),
            late_answers(&shared),
        ];
        if shared.leading.is_here() {
            families.push(jobs(&shared));
        }
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}

/// The rows, which are the same in every process.
fn jobs(shared: &Shared) -> MetricFamily {
    let jobs = shared.following().look(|views| {
        let of_kind = |kind: &KindName| {
            let gauge_of = |status: &JobStatus| {
                let labels = [("kind", kind.as_str()), ("status", status.symbol())];
                gauge(&labels, views.rows.count(kind, *status) as f64)
            };
            JobStatus::ALL.iter().map(gauge_of).collect::<Vec<_>>()
        };
        shared.settings().kinds.keys().flat_map(of_kind).collect()
    });
    family(JOBS, MetricType::GAUGE, jobs)
}

/// The late answers of the partitions of this process.
fn late_answers(shared: &Shared) -> MetricFamily {
    let late = shared.following().look(|views| {
        let of_kind = |kind: &KindName| {
            let count = views.late_answers.get(kind).copied().unwrap_or_default();
            counter(&[("kind", kind.as_str())], count)
        };
        shared.settings().kinds.keys().map(of_kind).collect()
    });
    family(LATE, MetricType::COUNTER, late)
}

fn family((name, help): (&str, &str), kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn labelled(labels: &[(&str, &str)]) -> Metric {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    let mut metric = Metric::default();
    metric.set_label(labels.iter().map(pair).collect());
    metric
}

fn gauge(labels: &[(&str, &str)], number: f64) -> Metric {
    let (mut metric, mut gauge) = (labelled(labels), Gauge::default());
    gauge.set_value(number);
    metric.set_gauge(gauge);
    metric
}

fn counter(labels: &[(&str, &str)], count: u64) -> Metric {
    let (mut metric, mut counter) = (labelled(labels), Counter::default());
    counter.set_value(count as f64);
    metric.set_counter(counter);
    metric
}

fn histogram(kind: &KindName, counts: &CallCounts) -> Metric {
    let mut total = 0;
    let buckets = BUCKETS.iter().zip(counts.buckets).map(|(bound, count)| {
        total += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(total);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(counts.buckets.iter().sum());
    histogram.set_sample_sum(counts.seconds);
    let mut metric = labelled(&[("kind", kind.as_str())]);
    metric.set_histogram(histogram);
    metric
}
