//! One batch: reads all input, exports once as of a time, and reports the result.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use tributary_esr::schedule::Schedule;
use tributary_flow::{BatchRequest, Failure, json_text};
use tributary_schemas::records::esr::{FileKind, RunRequested};

use crate::continuation::Continuation;
use crate::exchange::Exchange;
use crate::sources::{SnapshotFailure, Sources, decide};
use crate::summary::{self, Summary};
use crate::text;

/// Runs a batch and prints its summary.
///
/// # Errors
/// As [`run`], and when the summary cannot be printed. The same command then prints it again.
pub(crate) fn run_and_print(exchange: &Exchange, request: &BatchRequest<'_>) -> Result<(), Failure> {
    let summary = run(exchange, request.now, request.progress)?;
    let text = if request.as_json { json_text(&summary)? } else { text::summary(&summary) };
    (request.print)(&text)?;
    finish(exchange)
}

/// Runs a batch as of `now`, or continues one that was interrupted. `progress` receives the current step. After the
/// summary is delivered, call [`finish`].
///
/// # Errors
/// [`Failure::Refused`] when nothing was changed, [`Failure::Unfinished`] when the batch must run again to finish.
pub(crate) fn run(exchange: &Exchange, now: Timestamp, progress: &dyn Fn(&str, &str)) -> Result<Summary, Failure> {
    Batch { exchange, now, progress }.run()
}

/// Notes that the summary was delivered. Until then the same request continues the same batch.
///
/// # Errors
/// [`Failure::Unfinished`] when the state folder cannot be written.
pub(crate) fn finish(exchange: &Exchange) -> Result<(), Failure> {
    Continuation::end(exchange)
}

struct Batch<'a> {
    exchange: &'a Exchange,
    now: Timestamp,
    progress: &'a dyn Fn(&str, &str),
}

impl Batch<'_> {
    fn run(&self) -> Result<Summary, Failure> {
        let exchange = self.exchange;
        exchange.context.time.set(self.millis());
        exchange.process.wait_until_ready()?;
        exchange.process.demand_all_partitions();
        let next_event = summary::next_event(exchange)?;
        // The work that an interrupted batch has left comes first.
        exchange.settle()?;
        self.refuse_going_back()?;
        let begun = Continuation::begin(exchange, self.now, next_event)?;
        let mut sources = Sources::new(&exchange.configured, &*exchange.process);
        let mut warnings = Vec::new();
        self.decide()?;
        self.take_files(&mut sources, &mut warnings)?;
        self.take_snapshot(&sources, &mut warnings)?;
        self.export(FileKind::App, begun)?;
        self.export(FileKind::Dnc, begun)?;
        sources.archive(exchange)?;
        self.step("collecting the summary");
        summary::collect(exchange, self.now, begun.first_event, warnings)
    }

    /// Reports a step that has no parts.
    fn step(&self, name: &str) {
        (self.progress)(name, name);
    }

    fn millis(&self) -> i64 {
        self.now.as_millisecond()
    }

    /// Refuses a time before the last run (D36).
    fn refuse_going_back(&self) -> Result<(), Failure> {
        let last =
            self.exchange.process.inspect(|schedule: &Schedule| schedule.last_run())?.into_iter().flatten().max();
        let Some(last) = last.filter(|last| self.millis() < *last) else { return Ok(()) };
        let last = Timestamp::from_millisecond(last).map_or_else(|_| last.to_string(), |last| last.to_string());
        let text = format!(
            "--now {} lies before the last run, which was as of {last}: give that time or a later one (D36). If the \
             clock of that run was wrong, `tributary esr forget-runs --after TIME` makes it count no more (D103)",
            self.now
        );
        Err(Failure::refused(text))
    }

    fn decide(&self) -> Result<(), Failure> {
        for (file_name, decision) in &self.exchange.configured.decisions {
            decide(*file_name, *decision, self.millis(), self.exchange)?;
        }
        self.exchange.settle()
    }

    fn take_files(&self, sources: &mut Sources, warnings: &mut Vec<String>) -> Result<(), Failure> {
        let found = sources.look(self.exchange, &sources.inbox_entries()?, &HashMap::new())?;
        warnings.extend(found.left);
        let total = found.files.len();
        for (number, file) in found.files.iter().enumerate() {
            (self.progress)("taking in files", &format!("taking in file {} of {total}", number + 1));
            self.exchange.process.check()?;
            if !sources.send_file(file, self.millis(), self.exchange)? {
                warnings.push(format!("{} changed while it was read and is left for the next run", file.name));
            }
        }
        self.exchange.settle()
    }

    fn take_snapshot(&self, sources: &Sources, warnings: &mut Vec<String>) -> Result<(), Failure> {
        self.step("loading the snapshot");
        match sources.load_snapshot(self.millis(), self.exchange) {
            Ok(report) => warnings.extend(report.warnings()),
            Err(SnapshotFailure::Unusable(error)) => {
                warnings
                    .push(format!("the snapshot is not taken in; the run continues with the former objects: {error}"));
            }
            Err(SnapshotFailure::Flow(failure)) => return Err(failure),
        }
        self.step("joining");
        self.exchange.settle()
    }

    fn export(&self, kind: FileKind, begun: Continuation) -> Result<(), Failure> {
        self.step(if kind == FileKind::App { "exporting applicants" } else { "exporting notifications" });
        if begun.continues && self.has_run(kind)? {
            return Ok(());
        }
        let request = RunRequested {
            now: self.millis(),
            kind,
            offices: self.exchange.context.offices.to_vec(),
            include_late: self.exchange.configured.include_late,
        };
        self.exchange.publish_schedule(self.millis(), &request)?;
        self.exchange.settle()
    }

    /// Whether the interrupted process has already started this run.
    fn has_run(&self, kind: FileKind) -> Result<bool, Failure> {
        let (now, offices) = (self.millis(), Arc::clone(&self.exchange.context.offices));
        let has_run =
            self.exchange.process.inspect(move |schedule: &Schedule| schedule.has_run(kind, &offices, now))?;
        Ok(has_run.contains(&true))
    }
}
