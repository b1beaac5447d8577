//! How long each step of a batch took, and what each stage did in it.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tributary_runtime::Metrics;

/// The steps of a batch, in order.
pub struct Statistics {
    begun: Instant,
    steps: RefCell<Vec<(String, Instant)>>,
    metrics: RefCell<Vec<Arc<Metrics>>>,
}

impl Statistics {
    /// Starts the measurement.
    pub fn begin() -> Self {
        Self { begun: Instant::now(), steps: RefCell::default(), metrics: RefCell::default() }
    }

    /// Starts a step, unless it is the current one.
    pub fn step(&self, name: &str) {
        let mut steps = self.steps.borrow_mut();
        if steps.last().is_none_or(|(last, _)| last != name) {
            steps.push((name.to_owned(), Instant::now()));
        }
    }

    /// Adds the counters of groups of workers.
    pub fn add(&self, metrics: Vec<Arc<Metrics>>) {
        self.metrics.borrow_mut().extend(metrics);
    }

    /// A line for each step, then one for each stage, then one for the workers of each group.
    pub fn text(&self) -> String {
        let end = Instant::now();
        let steps = self.steps.borrow();
        let mut text = String::new();
        for (at, (name, begun)) in steps.iter().enumerate() {
            let next = steps.get(at + 1).map_or(end, |(_, begun)| *begun);
            push(&mut text, format_args!("step   {name:<24} {:>8.3} s", (next - *begun).as_secs_f64()));
        }
        push(&mut text, format_args!("step   {:<24} {:>8.3} s", "all", (end - self.begun).as_secs_f64()));
        let metrics = self.metrics.borrow();
        for stage in metrics.iter().flat_map(|metrics| metrics.stages()) {
            let (name, taken, sent) = (stage.name, stage.records_in, stage.records_out);
            let rate = per_second(taken, stage.busy);
            let busy = stage.busy.as_secs_f64();
            push(
                &mut text,
                format_args!("stage  {name:<14} {taken:>9} in {sent:>9} out {busy:>8.3} s {rate:>9.0} records/s"),
            );
        }
        for metrics in metrics.iter() {
            let workers = metrics.workers();
            let (commit, restore) = (workers.commit_time.as_secs_f64(), workers.restore_time.as_secs_f64());
            let (commits, aborts, entries) = (workers.commits, workers.aborts, workers.restored_entries);
            push(
                &mut text,
                format_args!(
                    "work   {commits} commits {commit:.3} s, {aborts} aborted, {entries} entries restored {restore:.3} s"
                ),
            );
        }
        text
    }
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing into a text cannot fail.
    let _ = writeln!(text, "{line}");
}

fn per_second(records: u64, busy: Duration) -> f64 {
    if busy.is_zero() { 0.0 } else { records as f64 / busy.as_secs_f64() }
}
