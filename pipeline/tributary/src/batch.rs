//! One batch: take in all there is, export once as of a moment, and say what came of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use jiff::Timestamp;
use tributary_esr::schedule::Schedule;
use tributary_esr::topics;
use tributary_runtime::{Headers, Output};
use tributary_schemas::AvroRecord;
use tributary_schemas::records::esr::{Decision, FileKind, RunRequested};

use crate::continuation::Continuation;
use crate::failure::Failure;
use crate::figures::Figures;
use crate::running::RunningFlow;
use crate::settings::Settings;
use crate::sources::{SnapshotFailure, Sources, decide};
use crate::starting;
use crate::summary::{self, Summary};

/// What a batch is asked for.
#[derive(Debug, Clone)]
pub struct BatchRequest {
    /// The moment as of which it runs.
    pub now: Timestamp,
    /// Whether records that missed their window are sent (D25).
    pub include_late: bool,
    /// Whether the summary names every applicant record.
    pub records: bool,
    /// Whether the time of each step and the work of each stage are printed on standard error.
    pub figures: bool,
    /// Decisions of an operator, by file name.
    pub decisions: Vec<(String, Decision)>,
}

impl BatchRequest {
    /// A batch as of `now`, without anything special.
    pub fn new(now: Timestamp) -> Self {
        Self { now, include_late: false, records: false, figures: false, decisions: Vec::new() }
    }
}

/// Runs a batch, or goes on with one that was interrupted; `progress` hears what is being done. Once the summary is
/// delivered, [`finish`] is due.
///
/// # Errors
/// [`Failure::Refused`] when nothing was changed, [`Failure::Unfinished`] when it must be run again to finish.
pub fn run(
    settings: &Settings,
    request: &BatchRequest,
    interrupted: &Arc<AtomicBool>,
    progress: &dyn Fn(&str),
) -> Result<Summary, Failure> {
    let figures = Figures::begin();
    let progress = |what: &str| {
        figures.step(what);
        progress(what);
    };
    progress("starting");
    let Some(mut flow) = starting::start(settings, interrupted, Some(settings.give_up_after))? else {
        return Err(Failure::unfinished("interrupted; nothing was changed"));
    };
    let summary = Batch { settings, request, progress: &progress }.run(&mut flow)?;
    progress("ending");
    let metrics = flow.metrics();
    flow.stop()?;
    if request.figures {
        eprint!("{}", figures.text(&metrics));
    }
    Ok(summary)
}

/// Says that the summary was delivered. Until then the same request goes on with the same batch.
///
/// # Errors
/// [`Failure::Unfinished`] when the state folder cannot be written.
pub fn finish(settings: &Settings) -> Result<(), Failure> {
    Continuation::end(settings)
}

struct Batch<'a> {
    settings: &'a Settings,
    request: &'a BatchRequest,
    progress: &'a dyn Fn(&str),
}

impl Batch<'_> {
    fn run(&self, flow: &mut RunningFlow) -> Result<Summary, Failure> {
        flow.wait_until_ready()?;
        flow.demand_all_partitions();
        let next_event = summary::next_event(flow)?;
        // What an interrupted batch has left behind comes first.
        flow.settle()?;
        self.refuse_going_back(flow)?;
        let begun = Continuation::begin(self.settings, self.request, next_event)?;
        let mut sources = Sources::new(self.settings);
        let mut warnings = Vec::new();
        self.decide(flow)?;
        self.take_files(&mut sources, flow, &mut warnings)?;
        self.take_snapshot(&sources, flow, &mut warnings)?;
        self.export(FileKind::App, begun, flow)?;
        self.export(FileKind::Dnc, begun, flow)?;
        sources.archive(flow)?;
        (self.progress)("collecting the summary");
        summary::collect(flow, self.request.now, begun.first_event, self.request.records, warnings)
    }

    fn now(&self) -> i64 {
        self.request.now.as_millisecond()
    }

    /// Time does not run backwards (D36).
    fn refuse_going_back(&self, flow: &RunningFlow) -> Result<(), Failure> {
        let last = flow.inspect(|schedule: &Schedule| schedule.last_run())?.into_iter().flatten().max();
        let Some(last) = last.filter(|last| self.now() < *last) else { return Ok(()) };
        let last = Timestamp::from_millisecond(last).map_or_else(|_| last.to_string(), |last| last.to_string());
        let text = format!(
            "--now {} lies before the last run, which was as of {last}: give that moment or a later one (D36)",
            self.request.now
        );
        Err(Failure::Refused(text))
    }

    fn decide(&self, flow: &mut RunningFlow) -> Result<(), Failure> {
        for (file_name, decision) in &self.request.decisions {
            decide(file_name, *decision, self.now(), flow)?;
        }
        flow.settle()
    }

    fn take_files(
        &self,
        sources: &mut Sources,
        flow: &mut RunningFlow,
        warnings: &mut Vec<String>,
    ) -> Result<(), Failure> {
        let found = sources.look(flow, &HashMap::new())?;
        warnings.extend(found.left);
        let total = found.files.len();
        for (number, file) in found.files.iter().enumerate() {
            (self.progress)(&format!("taking in file {} of {total}", number + 1));
            flow.check()?;
            if !sources.send_file(file, self.now(), flow)? {
                warnings
                    .push(format!("{} changed while it was read and is left for the next run", file.name.original()));
            }
        }
        flow.settle()
    }

    fn take_snapshot(
        &self,
        sources: &Sources,
        flow: &mut RunningFlow,
        warnings: &mut Vec<String>,
    ) -> Result<(), Failure> {
        (self.progress)("loading the snapshot");
        match sources.load_snapshot(self.now(), flow) {
            Ok(report) => warnings.extend(report.warnings()),
            Err(SnapshotFailure::Unusable(error)) => {
                warnings.push(format!("the snapshot is not taken in, and the run goes on with what was held: {error}"));
            }
            Err(SnapshotFailure::Flow(failure)) => return Err(failure),
        }
        (self.progress)("joining");
        flow.settle()
    }

    fn export(&self, kind: FileKind, begun: Continuation, flow: &mut RunningFlow) -> Result<(), Failure> {
        (self.progress)(if kind == FileKind::App { "exporting applicants" } else { "exporting notifications" });
        if begun.continues && self.has_run(kind, flow)? {
            return Ok(());
        }
        let request = RunRequested {
            now: self.now(),
            kind,
            offices: flow.context().offices.to_vec(),
            include_late: self.request.include_late,
        };
        publish_schedule(flow, self.now(), &request)?;
        flow.settle()
    }

    /// Whether the process that was interrupted has started this run already.
    fn has_run(&self, kind: FileKind, flow: &RunningFlow) -> Result<bool, Failure> {
        let (now, offices) = (self.now(), Arc::clone(&flow.context().offices));
        let has_run = flow.inspect(move |schedule: &Schedule| schedule.has_run(kind, &offices, now))?;
        Ok(has_run.contains(&true))
    }
}

/// Publishes a record for the `schedule` stage.
///
/// # Errors
/// [`Failure::Unfinished`] when the log does not take it.
pub fn publish_schedule<R: AvroRecord>(flow: &mut RunningFlow, now: i64, record: &R) -> Result<(), Failure> {
    let mut value = Vec::new();
    flow.context().codec.encode(record, &mut value).map_err(Failure::unfinished)?;
    let mut output = Output::new(flow.flow_partitions());
    output.inherit(now, Headers::default());
    output.send(&topics::SCHEDULE, b"", |buffer| buffer.extend_from_slice(&value));
    flow.publish(&output)
}
