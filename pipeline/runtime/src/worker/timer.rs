//! Measures how long each stage processes.

use std::time::Instant;

use crate::metrics::{Metrics, StageRun};
use crate::task::Processed;

/// Measures runs of records of one stage, so that the clock is not read for each record.
pub(super) struct RunTimer<'a> {
    metrics: &'a Metrics,
    stage: Option<usize>,
    started: Instant,
    run: StageRun,
}

impl<'a> RunTimer<'a> {
    pub(super) fn new(metrics: &'a Metrics) -> Self {
        Self { metrics, stage: None, started: Instant::now(), run: StageRun::default() }
    }

    pub(super) fn enter(&mut self, stage: usize) {
        if self.stage == Some(stage) {
            return;
        }
        self.leave();
        self.stage = Some(stage);
        self.started = Instant::now();
    }

    pub(super) fn count(&mut self, processed: Processed, records_out: usize) {
        self.run.records_in += 1;
        self.run.records_out += records_out as u64;
        self.run.dead_letters += u64::from(processed == Processed::DeadLetter);
    }

    pub(super) fn leave(&mut self) {
        if let Some(stage) = self.stage.take() {
            self.run.busy = self.started.elapsed();
            self.metrics.add_run(stage, std::mem::take(&mut self.run));
        }
    }
}
