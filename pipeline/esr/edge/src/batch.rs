//! One batch: reads all input, exports once as of a time, and reports the result.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use tributary_connectors::files::FileError;
use tributary_esr::schedule::Schedule;
use tributary_esr::topics;
use tributary_flow::{BatchRequest, Failure, json_text, table};
use tributary_schemas::records::esr::{FileKind, RunRequested};
use tributary_schemas::records::tributary::FileRetry;

use crate::continuation::Continuation;
use crate::events;
use crate::exchange::Exchange;
use crate::inbox_folder::{self, InboxFolder, Sent};
use crate::new_state;
use crate::sources::{SnapshotFailure, Sources, decide};
use crate::summary::{self, Noted, Summary};
use crate::text;

/// Runs a batch and prints its summary.
///
/// # Errors
/// As [`run`], and when the summary cannot be printed. The same command then prints it again.
pub(crate) fn run_and_print(exchange: &Exchange, request: &BatchRequest<'_>) -> Result<(), Failure> {
    let summary = run(exchange, request.now, request.progress)?;
    let text = if request.as_json { json_text(&summary)? } else { text::summary(&summary) };
    (request.print)(&text)?;
    // While files are not written, the batch is not finished: the same command tries them again.
    refuse_not_written(exchange)?;
    finish(exchange)
}

/// Fails if something else has the name of a file of this exchange (D63).
fn refuse_not_written(exchange: &Exchange) -> Result<(), Failure> {
    let names = exchange.outbox.not_written();
    if names.is_empty() {
        return Ok(());
    }
    let files = table::counted(names.len() as u64, "file is", "files are");
    Err(Failure::unfinished(format!(
        "{files} not written, because something else has the name in the outbox: {}; the warnings of the summary say \
         what to do. The same command then writes what is missing",
        names.join(", ")
    )))
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
        let mut noted = Noted { warnings: self.warn_of_new_state()?, ..Noted::default() };
        let begun = Continuation::begin(exchange, self.now, next_event)?;
        let mut inbox = InboxFolder::new(&exchange.configured);
        let sources = Sources::new(&exchange.configured, &*exchange.process);
        self.retry_files()?;
        self.decide()?;
        self.take_files(&mut inbox, &mut noted)?;
        self.take_snapshot(&sources, &mut noted.warnings)?;
        self.export(FileKind::App, begun)?;
        self.export(FileKind::Dnc, begun)?;
        self.archive(&inbox, &mut noted.warnings)?;
        self.step("collecting the summary");
        summary::collect(exchange, self.now, begun.first_event, noted)
    }

    /// Reports a step that has no parts.
    fn step(&self, name: &str) {
        (self.progress)(name, name);
    }

    fn millis(&self) -> i64 {
        self.now.as_millisecond()
    }

    /// Warns if the state is new and others have written files before (D114): at once, and in the summary.
    fn warn_of_new_state(&self) -> Result<Vec<String>, Failure> {
        let warning = new_state::warning(self.exchange)?;
        if let Some(warning) = &warning {
            events::state_is_new(warning);
        }
        Ok(warning.into_iter().collect())
    }

    /// Tries again to write files whose names something else had (D63).
    fn retry_files(&self) -> Result<(), Failure> {
        let waiting = |schedule: &Schedule| schedule.retries().map(str::to_owned).collect::<Vec<_>>();
        for file_name in self.exchange.process.inspect(waiting)?.into_iter().flatten() {
            let retry = FileRetry { file_name };
            self.exchange.publish_record(&topics::WRITER, retry.file_name.as_bytes(), self.millis(), &retry)?;
        }
        self.exchange.settle()
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

    /// Takes in what is new in the inbox. Parked files are compared by their content (D109).
    fn take_files(&self, inbox: &mut InboxFolder, noted: &mut Noted) -> Result<(), Failure> {
        let listing = inbox.list().map_err(Failure::unfinished)?;
        let look = inbox.look(self.exchange, &listing, &mut HashMap::new())?;
        noted.warnings.extend(look.left);
        noted.warnings.extend(look.failed.into_iter().map(|(_, text)| text));
        let mut files = [look.files, look.undecided].concat();
        files.sort_by_key(|file| file.name);
        let known = inbox_folder::known(self.exchange, files.iter().copied())?;
        let total = files.len();
        for (number, file) in files.iter().enumerate() {
            (self.progress)("taking in files", &format!("taking in file {} of {total}", number + 1));
            self.exchange.process.check()?;
            noted.warnings.push(match inbox.send(file, known.get(&file.name), self.millis(), self.exchange)? {
                Sent::TakenIn | Sent::Known => continue,
                Sent::Changing => format!("{} changed while it was read and is left for the next run", file.name),
                Sent::Failed(error) => {
                    if matches!(error, FileError::TooLarge { .. }) {
                        noted.refused.push(file.name);
                    }
                    inbox_folder::left(&error)
                }
            });
        }
        self.exchange.settle()
    }

    /// Archives processed files. What cannot be moved is in the ledger and is moved by a later run.
    fn archive(&self, inbox: &InboxFolder, warnings: &mut Vec<String>) -> Result<(), Failure> {
        if !inbox.archives() {
            return Ok(());
        }
        match inbox.list() {
            Ok(listing) => {
                let failed = inbox.archive(self.exchange, &listing)?;
                warnings.extend(failed.into_iter().map(|(_, text)| text));
            }
            Err(error) => warnings.push(format!("processed files are not moved into the archive: {error}")),
        }
        Ok(())
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
        // A batch may make a run for a time to come.
        let sign = Some(self.millis()).filter(|_| self.now <= Timestamp::now());
        self.exchange.publish_schedule(self.millis(), &request, sign)?;
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
