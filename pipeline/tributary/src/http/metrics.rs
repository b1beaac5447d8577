//! `/metrics`: counters in the text form of Prometheus. Every name begins with `tributary_`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};
use tributary_runtime::Metrics;

/// Put before every name by the registry.
const PREFIX: &str = "tributary";

/// Upper bounds of the durations of requests, in seconds.
const SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// A registry that puts `tributary_` before every name.
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

/// A caller may invent methods; labels must not grow with that.
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

/// Name and explanation of each counter of a stage, in the order of [`WorkerCollector::stage_families`].
const STAGE_COUNTERS: [(&str, &str); 4] = [
    ("stage_records_in_total", "Records processed by a stage; aborted work counts again."),
    ("stage_records_out_total", "Records sent by a stage, dead letters included, changelog records not."),
    ("stage_dead_letters_total", "Records dead-lettered by a stage."),
    ("stage_busy_seconds_total", "Time spent in processing by a stage, over all workers."),
];

/// The same for a group of workers.
const GROUP_COUNTERS: [(&str, &str); 7] = [
    ("commits_total", "Transactions committed."),
    ("commit_seconds_total", "Time spent in commits, over all workers."),
    ("aborts_total", "Transactions aborted."),
    ("worker_restarts_total", "Times a worker started again with a new log."),
    ("restored_tasks_total", "Tasks restored."),
    ("restored_entries_total", "Entries restored, from snapshots and changelogs."),
    ("restore_seconds_total", "Time spent in restoring, over all workers."),
];

impl WorkerCollector {
    /// The counters of the workers of `group` of `flow`.
    ///
    /// # Errors
    /// When a name is not one that Prometheus knows.
    pub fn new(flow: &str, group: &str, metrics: Arc<Metrics>) -> prometheus::Result<Self> {
        let labels = HashMap::from([("flow".to_owned(), flow.to_owned()), ("group".to_owned(), group.to_owned())]);
        let describe = |(name, help): &(&str, &str), variable: &[&str]| {
            let variable = variable.iter().map(|&label| label.to_owned()).collect();
            Desc::new((*name).to_owned(), (*help).to_owned(), variable, labels.clone())
        };
        let stages = STAGE_COUNTERS.iter().map(|counter| describe(counter, &["stage"]));
        let groups = GROUP_COUNTERS.iter().map(|counter| describe(counter, &[]));
        let descriptions = stages.chain(groups).collect::<prometheus::Result<_>>()?;
        Ok(Self { flow: flow.to_owned(), group: group.to_owned(), metrics, descriptions })
    }

    fn metric(&self, stage: Option<&str>, value: f64) -> Metric {
        let mut labels = vec![label("flow", &self.flow), label("group", &self.group)];
        labels.extend(stage.map(|stage| label("stage", stage)));
        let mut metric = Metric::from_label(labels);
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
        metric
    }

    fn stage_families(&self) -> impl Iterator<Item = MetricFamily> {
        let stages = self.metrics.stages();
        STAGE_COUNTERS.iter().enumerate().map(move |(index, counter)| {
            let value = |stage: &tributary_runtime::StageFigures| match index {
                0 => stage.records_in as f64,
                1 => stage.records_out as f64,
                2 => stage.dead_letters as f64,
                _ => stage.busy.as_secs_f64(),
            };
            family(*counter, stages.iter().map(|stage| self.metric(Some(stage.name), value(stage))).collect())
        })
    }

    fn group_families(&self) -> impl Iterator<Item = MetricFamily> {
        let workers = self.metrics.workers();
        let values = [
            workers.commits as f64,
            workers.commit_time.as_secs_f64(),
            workers.aborts as f64,
            workers.restarts as f64,
            workers.restored_tasks as f64,
            workers.restored_entries as f64,
            workers.restore_time.as_secs_f64(),
        ];
        let pairs = GROUP_COUNTERS.into_iter().zip(values);
        pairs.map(|(counter, value)| family(counter, vec![self.metric(None, value)]))
    }
}

impl Collector for WorkerCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.stage_families().chain(self.group_families()).collect()
    }
}

fn family((name, help): (&str, &str), metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(MetricType::COUNTER);
    family.set_metric(metrics);
    family
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

#[cfg(test)]
mod tests {
    use tributary_runtime::Topology;

    use super::*;

    #[test]
    fn every_name_begins_with_tributary_and_groups_stand_side_by_side() {
        let registry = registry().unwrap();
        HttpMetrics::register(&registry).unwrap().answered("/livez", &Method::GET, StatusCode::OK, Duration::ZERO);
        for group in ["main", "writer"] {
            let topology = Topology { flow: "esr", ..empty_topology() };
            let metrics = Arc::new(Metrics::new(&topology));
            registry.register(Box::new(WorkerCollector::new("esr", group, metrics).unwrap())).unwrap();
        }
        let (_, text) = text(&registry).unwrap();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.starts_with("tributary_"), "{line}");
        }
        assert!(text.contains(r#"tributary_commits_total{flow="esr",group="writer"} 0"#), "{text}");
        assert!(
            text.contains(r#"tributary_http_requests_total{method="GET",route="/livez",status="200"} 1"#),
            "{text}"
        );
    }
}
