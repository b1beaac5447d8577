//! Runs one flow for a batch or a demo: opens the log, does the work, and ends.

use std::path::Path;
use std::sync::Arc;

use tributary_flow::declaration::Declaration;
use tributary_flow::statistics::Statistics;
use tributary_flow::{ConfiguredFlow, Failure, Host, LogInWords, Process as _, RunningFlow};
use tributary_schemas::registry::without_credentials;

use super::starting::start_patiently;
use super::{FlowToRun, Surroundings};

/// Runs one flow on the log that the command line names.
pub(crate) struct ProcessHost<'a> {
    pub(crate) surroundings: Surroundings,
    pub(crate) declaration: &'static Declaration,
    /// Receives the steps of starting and ending, and the counters of the workers.
    pub(crate) statistics: &'a Statistics,
}

impl Host for ProcessHost<'_> {
    fn run(
        &self,
        flow: &Arc<dyn ConfiguredFlow>,
        state: &Path,
        work: &mut dyn FnMut(&dyn RunningFlow) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut surroundings = self.surroundings.clone();
        state.clone_into(&mut surroundings.settings.state);
        let give_up_after = surroundings.settings.give_up_after;
        let flows = [FlowToRun { declaration: self.declaration, configured: Arc::clone(flow) }];
        self.statistics.step("starting");
        let started = start_patiently(&surroundings, &flows, Some(give_up_after), &|_| {})?;
        let mut started = started.ok_or_else(|| Failure::unfinished("interrupted; nothing was changed"))?;
        let Some(running) = started.pop() else { return Ok(()) };
        let outcome = work(&*running.flow);
        self.statistics.step("ending");
        self.statistics.add(running.process.metrics());
        // The failure of the work says more than the failures that follow from it.
        let stopped = running.stop();
        outcome.and(stopped)
    }

    fn log(&self) -> LogInWords {
        let Some(kafka) = &self.surroundings.settings.kafka else {
            let description = "embedded, in the folder `state`".to_owned();
            return LogInWords { description, options: String::new() };
        };
        let (bootstrap, namespace) = (&kafka.cluster.bootstrap, &kafka.cluster.namespace);
        let registry = without_credentials(&kafka.registry);
        LogInWords {
            description: format!("Kafka at {bootstrap}, names start with {}", kafka.cluster.name("")),
            options: format!(
                " \\\n    --log kafka --kafka {bootstrap} --namespace {namespace} \\\n    --registry {registry}"
            ),
        }
    }
}
