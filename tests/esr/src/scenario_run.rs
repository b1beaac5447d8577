//! Scenarios of the oracle through the program as a process, which is killed at random moments on the way.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tributary_esr_oracle::{Batch, Oracle, scenario};
use tributary_runtime::memory::SimulationRng;

use crate::comparison::{comparable, difference};
use crate::process::{Answer, Exchange};
use crate::summary;

/// One scenario at work.
pub struct ScenarioRun {
    /// Which one.
    pub seed: u64,
    /// The folders and the program.
    pub exchange: Exchange,
    /// Processes killed so far.
    pub kills: u64,
    oracle: Oracle,
    expected_files: BTreeMap<String, String>,
    rng: SimulationRng,
    batches: usize,
}

impl ScenarioRun {
    /// The scenario of that seed, before its first batch; `flags` are those of every run.
    pub fn new(seed: u64, flags: &[String]) -> Self {
        let offices = scenario::offices(seed);
        Self {
            seed,
            exchange: Exchange::new(&offices, flags),
            kills: 0,
            oracle: Oracle::new(&offices),
            expected_files: BTreeMap::new(),
            rng: SimulationRng::new(seed ^ 0x000b_adc0_ffee),
            batches: 0,
        }
    }

    /// Runs a batch without disturbance; how long it took.
    pub fn undisturbed(&mut self, batch: &Batch) -> Duration {
        self.exchange.put(batch);
        let begun = Instant::now();
        let answer = self.exchange.run(&batch.now.to_string());
        let duration = begun.elapsed();
        self.check(batch, &answer);
        duration
    }

    /// One batch that is killed at random moments within about the `usual` time, and started again with the same
    /// arguments, until one process is quicker or `most` were killed.
    pub fn with_kills(&mut self, batch: &Batch, usual: Duration, most: u64) {
        self.exchange.put(batch);
        let now = batch.now.to_string();
        for _ in 0..self.rng.below(most + 1) {
            let delay = usual.mul_f64(self.rng.below(1200) as f64 / 1000.0);
            let answer = self.exchange.run_and_kill(&now, delay);
            // A process whose whole summary is out has done its work, also when it was killed after that.
            if answer.code.is_some() || answer.summary.is_some() {
                return self.check(batch, &answer);
            }
            self.kills += 1;
        }
        let answer = self.exchange.run(&now);
        self.check(batch, &answer);
    }

    /// Compares outbox, records and summary with what the oracle says of the batch.
    pub fn check(&mut self, batch: &Batch, answer: &Answer) {
        let place = format!(
            "seed {}, batch {} as of {}, {} processes killed so far",
            self.seed, self.batches, batch.now, self.kills
        );
        self.batches += 1;
        let expected = self.oracle.run(batch);
        assert!(answer.code.is_none_or(|code| code == 0), "{place}: {answer:?}");
        self.expected_files.extend(comparable(&expected.files));
        if let Some(text) = difference(&self.expected_files, &comparable(self.exchange.watch())) {
            panic!("{place}: files differ\n{text}");
        }
        let left_over = self.exchange.left_over();
        assert!(left_over.is_empty(), "{place}: left in the outbox: {left_over:?}");
        let summary = answer.summary.as_ref().unwrap_or_else(|| panic!("{place}: no summary, {}", answer.stderr));
        assert_eq!(summary::difference(&expected, summary), None, "{place}");
    }
}
