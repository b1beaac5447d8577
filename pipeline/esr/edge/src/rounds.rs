//! The rounds of the service: each publishes files and snapshots that have settled, and the time, and reports events.
//!
//! Several processes of one namespace share the work on Kafka. The process that owns the partition of arrived files
//! runs the rounds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tributary_esr::format::FileName;
use tributary_esr::report::{Event, Report};
use tributary_esr::topics;
use tributary_flow::{Failure, Process, Round, framed};
use tributary_schemas::records::esr::Decision;
use tributary_schemas::records::tributary::Severity;

use crate::configured::Configured;
use crate::due::DueWork;
use crate::events;
use crate::exchange::Exchange;
use crate::intake::Intake;
use crate::new_state;
use crate::snapshot_watch::SnapshotWatch;
use crate::sources::{SnapshotFailure, Sources, decide};
use crate::summary;

/// What the rounds of one process remember.
pub(crate) struct Rounds {
    intake: Intake,
    sources: Sources,
    /// When the snapshot is loaded.
    snapshot: SnapshotWatch,
    /// Whether this process has looked for signs of another state.
    is_state_checked: bool,
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
            intake: Intake::new(configured),
            sources: Sources::new(configured, process),
            snapshot: SnapshotWatch::new(configured.folders.tis.clone(), settle_time),
            is_state_checked: false,
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
            self.intake.begin();
            self.snapshot.forget();
            events::rounds_are_here();
        }
        self.due_work.tell_doubt(exchange, &round.clock)?;
        if round.clock.doubt.as_ref().is_some_and(|doubt| doubt.since_start) {
            // No right time is known, so nothing gets one.
            return Ok(());
        }
        let now = round.clock.now.as_millisecond();
        if !self.is_state_checked && self.warn_of_new_state(exchange, now)? {
            // The rest follows in the next round, so that the warning comes first.
            return Ok(());
        }
        let parts = [
            self.decide(exchange, now),
            self.intake.round(exchange, now),
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

    /// Loads the snapshot after its files have changed and settled.
    fn take_snapshot(&mut self, exchange: &Exchange, now: i64) -> Result<(), Failure> {
        let listing = self.sources.snapshot_listing()?;
        let at = Instant::now();
        let is_due = self.snapshot.is_due(&listing, at);
        let overdue = self.snapshot.overdue(at);
        overdue.iter().for_each(events::snapshot_trouble);
        if !is_due {
            return Ok(());
        }
        let trouble = match self.sources.load_snapshot(now, exchange) {
            Ok(report) => {
                events::snapshot_taken_in(&report);
                self.snapshot.loaded(listing, at)
            }
            Err(SnapshotFailure::Unusable(error)) => self.snapshot.failed(listing, &error, at),
            Err(SnapshotFailure::Flow(failure)) => return Err(failure),
        };
        trouble.iter().for_each(events::snapshot_trouble);
        Ok(())
    }

    /// Warns if the state is new and others have written files before (D114). Returns whether it has warned.
    fn warn_of_new_state(&mut self, exchange: &Exchange, now: i64) -> Result<bool, Failure> {
        let warning = new_state::warning(exchange)?;
        if let Some(text) = &warning {
            let alert = framed::alert(Severity::Warning, "state-is-new", "state", text.clone());
            exchange.publish_record(&topics::EVENT, alert.subject.as_bytes(), now, &alert)?;
        }
        self.is_state_checked = true;
        Ok(warning.is_some())
    }

    fn publish_clock(&mut self, exchange: &Exchange, round: &Round) -> Result<(), Failure> {
        let waits_for = self.known_input();
        self.due_work.publish_clock(exchange, &round.clock, waits_for)
    }

    /// The names of what lies in the folders and is not taken in yet (D95). What cannot be listed counts, too.
    fn known_input(&self) -> Vec<String> {
        let mut names = self.intake.unread().to_vec();
        match self.sources.snapshot_listing() {
            Ok(listing) if !self.snapshot.is_new(&listing) => {}
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
        log(news.iter().flat_map(|(_, events)| events));
        Ok(())
    }
}

/// Logs events. A run may raise an alert for each row of a file, so of each code the first are logged and the others
/// counted.
fn log<'a>(news: impl Iterator<Item = &'a Event>) {
    let mut alerts: BTreeMap<&str, usize> = BTreeMap::new();
    for event in news {
        if let Event::Alert(alert) = event {
            let count = alerts.entry(&alert.code).or_default();
            *count += 1;
            if *count > events::SINGLE_LINES {
                continue;
            }
        }
        events::reported(event);
    }
    for (code, count) in alerts {
        if count > events::SINGLE_LINES {
            events::more_alerts(code, count - events::SINGLE_LINES);
        }
    }
}
