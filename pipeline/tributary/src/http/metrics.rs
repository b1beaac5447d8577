//! `/metrics`: counters in the text form of Prometheus. Every name begins with `tributary_`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};
use tributary_runtime::Metrics;
use tributary_runtime::metrics::{ALL, Definition, Sample};

/// The prefix that the registry gives every name.
const PREFIX: &str = "tributary";

/// Upper bounds of the buckets of request durations, in seconds.
const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// A registry that adds `tributary_` to every name.
pub(super) fn registry() -> prometheus::Result<Registry> {
    Registry::new_custom(Some(PREFIX.to_owned()), None)
}

/// All counters as text, and its media type.
pub(super) fn text(registry: &Registry) -> prometheus::Result<(&'static str, String)> {
    let text = TextEncoder::new().encode_to_string(&registry.gather())?;
    Ok((prometheus::TEXT_FORMAT, text))
}

/// Counters of the HTTP port.
#[derive(Clone)]
pub(super) struct HttpMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
    pub(super) in_work: IntGauge,
    pub(super) connections: IntGauge,
}

impl HttpMetrics {
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let requests = Opts::new("http_requests_total", "Requests answered, by route, method and status.");
        let seconds =
            HistogramOpts::new("http_request_seconds", "Time from the head of a request to that of its answer.")
                .buckets(SECONDS.to_vec());
        let metrics = Self {
            requests: IntCounterVec::new(requests, &["route", "method", "status"])?,
            seconds: HistogramVec::new(seconds, &["route"])?,
            in_work: IntGauge::new("http_requests_in_work", "Requests that have a place among those in work.")?,
            connections: IntGauge::new("http_connections", "Open connections.")?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.in_work.clone()))?;
        registry.register(Box::new(metrics.connections.clone()))?;
        Ok(metrics)
    }

    pub(super) fn answered(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        self.requests.with_label_values(&[route, method_label(method), status.as_str()]).inc();
        self.seconds.with_label_values(&[route]).observe(took.as_secs_f64());
    }
}

/// Callers may invent methods, which must not create new labels.
fn method_label(method: &Method) -> &str {
    match *method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::DELETE | Method::PATCH | Method::OPTIONS => {
            method.as_str()
        }
        _ => "other",
    }
}

/// The counters of one group of workers, for [`Site::registry`](super::Site::registry).
pub struct WorkerCollector {
    flow: String,
    group: String,
    metrics: Arc<Metrics>,
    descriptions: Vec<Desc>,
}

impl WorkerCollector {
    /// Counters of the workers of `group` in `flow`.
    ///
    /// # Errors
    /// When a name is not valid for Prometheus.
    pub fn new(flow: &str, group: &str, metrics: Arc<Metrics>) -> prometheus::Result<Self> {
        let labels = HashMap::from([("flow".to_owned(), flow.to_owned()), ("group".to_owned(), group.to_owned())]);
        let describe = |definition: &&Definition| {
            let variable = vec!["stage".to_owned()];
            Desc::new(short_name(definition).to_owned(), definition.help.to_owned(), variable, labels.clone())
        };
        let descriptions = ALL.iter().map(describe).collect::<prometheus::Result<_>>()?;
        Ok(Self { flow: flow.to_owned(), group: group.to_owned(), metrics, descriptions })
    }

    fn metric(&self, sample: &Sample) -> Metric {
        let mut labels = vec![label("flow", &self.flow), label("group", &self.group)];
        labels.extend(sample.stage.map(|stage| label("stage", stage)));
        let mut metric = Metric::from_label(labels);
        let mut counter = Counter::default();
        counter.set_value(sample.value);
        metric.set_counter(counter);
        metric
    }
}

impl Collector for WorkerCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let samples = self.metrics.samples();
        let family = |definition: &&'static Definition| {
            let own = samples.iter().filter(|sample| sample.definition == *definition);
            let mut family = MetricFamily::default();
            family.set_name(short_name(definition).to_owned());
            family.set_help(definition.help.to_owned());
            family.set_field_type(MetricType::COUNTER);
            family.set_metric(own.map(|sample| self.metric(sample)).collect());
            family
        };
        // A group without stages has families without metrics, which the encoder refuses.
        ALL.iter().map(family).filter(|family| !family.get_metric().is_empty()).collect()
    }
}

/// The name without the prefix that the registry adds.
fn short_name(definition: &Definition) -> &'static str {
    definition.name.strip_prefix("tributary_").unwrap_or(definition.name)
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

#[cfg(test)]
mod tests {
    use tributary_runtime::{Cleanup, Levels, Partitions, Role, Stage, Topic, Topology};

    use super::*;

    static INBOX: Topic = Topic {
        name: "toy.in",
        partitions: Partitions::Flow,
        cleanup: Cleanup::Compact,
        role: Role::Inbox,
        records: &[],
    };

    fn topology() -> Topology {
        let stage = Stage { name: "join", inbox: &INBOX, changelog: None, processor: Box::new(|_| unreachable!()) };
        Topology { flow: "toy", stages: vec![stage], dead_letters: &INBOX, flow_partitions: 1, levels: Levels::ONE }
    }

    #[test]
    fn every_name_begins_with_tributary_once_and_groups_stand_side_by_side() {
        let registry = registry().unwrap();
        HttpMetrics::register(&registry).unwrap().answered("/livez", &Method::GET, StatusCode::OK, Duration::ZERO);
        for group in ["main", "writer"] {
            let metrics = Arc::new(Metrics::new(&topology()));
            registry.register(Box::new(WorkerCollector::new("toy", group, metrics).unwrap())).unwrap();
        }
        let (_, text) = text(&registry).unwrap();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.starts_with("tributary_") && !line.contains("tributary_tributary"), "{line}");
        }
        let expected = [
            r#"tributary_commits_total{flow="toy",group="writer"} 0"#,
            r#"tributary_stage_records_in_total{flow="toy",group="main",stage="join"} 0"#,
            r#"tributary_http_requests_total{method="GET",route="/livez",status="200"} 1"#,
        ];
        for line in expected {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert_eq!(text.matches("# TYPE tributary_commits_total counter").count(), 1);
    }
}
