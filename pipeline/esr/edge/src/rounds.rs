//! The rounds of the service: each publishes files and snapshots that have settled, and the time, and reports events.
//!
//! Several processes of one namespace share the work on Kafka. The process that owns the partition of arrived files
//! runs the rounds.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tributary_connectors::files::{FileEntry, Settling};
use tributary_esr::format::FileName;
use tributary_esr::inbox::Fingerprint;
use tributary_esr::report::Report;
use tributary_flow::{Failure, Process, Round};
use tributary_schemas::records::esr::Decision;

use crate::configured::Configured;
use crate::due::DueWork;
use crate::events;
use crate::exchange::Exchange;
use crate::sources::{SnapshotFailure, Sources, decide};
use crate::summary;

/// What the rounds of one process remember.
pub(crate) struct Rounds {
    sources: Sources,
    /// Files that were sent. They are not sent again before the ledger knows them.
    sent: HashMap<FileName, Fingerprint>,
    /// Which files are complete (D10).
    inbox_settling: Settling,
    snapshot_settling: Settling,
    /// The snapshot files at the last load.
    snapshot_taken: Option<Vec<FileEntry>>,
    /// Decisions of an operator that are not published yet.
    decisions: Vec<(FileName, Decision)>,
    /// The number of the next event to report. `None` while another process has the report.
    next_event: Option<i64>,
    due_work: DueWork,
}

impl Rounds {
    pub(crate) fn new(configured: &Configured, process: &dyn Process) -> Self {
        let settle_seconds = configured.settings.configuration.inbound.settle_seconds;
        let settle_time = Duration::from_secs(u64::from(settle_seconds));
        Self {
            sources: Sources::new(configured, process),
            sent: HashMap::new(),
            inbox_settling: Settling::new(settle_time),
            snapshot_settling: Settling::new(settle_time),
            snapshot_taken: None,
            decisions: configured.decisions.clone(),
            next_event: None,
            due_work: DueWork::default(),
        }
    }

    /// Runs one round.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] for a failure that the next round may fix.
    pub(crate) fn run(&mut self, exchange: &Exchange, round: &Round) -> Result<(), Failure> {
        if round.is_first {
            self.sent.clear();
            self.snapshot_taken = None;
            events::rounds_are_here();
        }
        self.due_work.tell_doubt(exchange, &round.clock)?;
        if round.clock.doubt.as_ref().is_some_and(|doubt| doubt.since_start) {
            // No right time is known, so nothing gets one.
            return Ok(());
        }
        let now = round.clock.now.as_millisecond();
        let parts = [
            self.decide(exchange, now),
            self.take_files(exchange, now),
            self.take_snapshot(exchange, now),
            // A run that waits for input goes as soon as it is taken in.
            if round.is_clock_due || self.due_work.hurries() { self.publish_clock(exchange, round) } else { Ok(()) },
        ];
        // A failure of one part does not stop the others: the clock continues if files cannot be read.
        parts.into_iter().collect()
    }

    /// Publishes the decisions of an operator. A decision that does not fit is reported and dropped, and the service
    /// continues.
    fn decide(&mut self, exchange: &Exchange, now: i64) -> Result<(), Failure> {
        while let Some((file_name, decision)) = self.decisions.pop() {
            match decide(file_name, decision, now, exchange) {
                Ok(()) => {}
                Err(Failure::Refused(reason)) => events::decision_refused(&reason),
                Err(failure) => {
                    self.decisions.push((file_name, decision));
                    return Err(failure);
                }
            }
        }
        Ok(())
    }

    /// Sends files that have settled. A later file in the order (D9) waits for the earlier ones.
    fn take_files(&mut self, exchange: &Exchange, now: i64) -> Result<(), Failure> {
        let entries = self.sources.inbox_entries()?;
        let settled = self.inbox_settling.settled(&entries, Instant::now());
        let found = self.sources.look(exchange, &entries, &self.sent)?;
        for left in found.left {
            events::file_left(&left);
        }
        for file in found.files {
            let name = file.name.to_string();
            if !settled.iter().any(|entry| entry.name == name) {
                return Ok(());
            }
            if self.sources.send_file(&file, now, exchange)? {
                events::file_taken_in(&file.name, file.size);
                self.sent.insert(file.name, Fingerprint { size: file.size, modified: file.modified });
            }
        }
        self.sources.archive(exchange)
    }

    /// Loads the snapshot after its files have changed and settled.
    fn take_snapshot(&mut self, exchange: &Exchange, now: i64) -> Result<(), Failure> {
        let present = self.sources.snapshot_files()?;
        let is_settled = self.snapshot_settling.settled(&present, Instant::now()).len() == present.len();
        if !is_settled || self.snapshot_taken.as_ref() == Some(&present) {
            return Ok(());
        }
        match self.sources.load_snapshot(now, exchange) {
            Ok(report) => events::snapshot_taken_in(&report),
            Err(SnapshotFailure::Unusable(error)) => events::snapshot_unusable(&error),
            Err(SnapshotFailure::Flow(failure)) => return Err(failure),
        }
        // An unusable snapshot is read again only after it has changed.
        self.snapshot_taken = Some(present);
        Ok(())
    }

    fn publish_clock(&mut self, exchange: &Exchange, round: &Round) -> Result<(), Failure> {
        let waits_for = self.known_input(exchange);
        self.due_work.publish_clock(exchange, &round.clock, waits_for)
    }

    /// The names of what lies in the folders and is not taken in yet (D95). What cannot be listed counts, too.
    fn known_input(&mut self, exchange: &Exchange) -> Vec<String> {
        let found = self.sources.inbox_entries().and_then(|entries| self.sources.look(exchange, &entries, &self.sent));
        let mut names: Vec<String> = match found {
            Ok(found) => {
                found.left.iter().for_each(|left| events::file_left(left));
                found.files.iter().map(|file| file.name.to_string()).collect()
            }
            Err(failure) => vec![format!("the inbox ({failure})")],
        };
        match self.sources.snapshot_files() {
            Ok(present) if self.snapshot_taken.as_ref() == Some(&present) => {}
            Ok(_) => names.push("the snapshot of TIS".to_owned()),
            Err(failure) => names.push(format!("the snapshot of TIS ({failure})")),
        }
        names
    }

    /// Starts the report with the next event.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the workers do not answer.
    pub(crate) fn begin_report(&mut self, exchange: &Exchange) -> Result<(), Failure> {
        self.next_event = Some(summary::next_event(exchange)?);
        Ok(())
    }

    /// Reports the events since the last round on standard error.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the workers do not answer.
    pub(crate) fn report(&mut self, exchange: &Exchange) -> Result<(), Failure> {
        let first = self.next_event;
        let news = exchange.process.inspect(move |report: &Report| {
            // Another process had the report before and has reported its events.
            let first = first.unwrap_or_else(|| report.next_sequence());
            (report.next_sequence(), report.events_since(first).cloned().collect::<Vec<_>>())
        })?;
        self.next_event = news.iter().map(|(next, _)| *next).max();
        news.iter().flat_map(|(_, events)| events).for_each(events::reported);
        Ok(())
    }
}
