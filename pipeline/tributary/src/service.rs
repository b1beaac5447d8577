//! The service: watches inbox and snapshot folder, tells the schedule the time, until it is asked to end.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tributary_connectors::files::{FileEntry, Settling};
use tributary_connectors::inbox::Fingerprint;
use tributary_esr::report::{Event, Report};
use tributary_schemas::{Clock, Decision, Severity};

use crate::batch::publish_schedule;
use crate::failure::Failure;
use crate::running::RunningFlow;
use crate::settings::Settings;
use crate::sources::{SnapshotFailure, Sources, decide};
use crate::summary;

/// How often it is looked whether to end.
const ATTENTION: Duration = Duration::from_millis(100);

/// Runs until `interrupted` is set.
///
/// # Errors
/// [`Failure`] when it cannot start, or when a worker has ended with an error.
pub fn run(
    settings: &Settings,
    decisions: &[(String, Decision)],
    interrupted: &Arc<AtomicBool>,
) -> Result<(), Failure> {
    let mut flow = RunningFlow::start(settings, Arc::clone(interrupted))?;
    let outcome = Service::new(settings).run(decisions, &mut flow, interrupted);
    let was_interrupted = interrupted.load(Ordering::Relaxed);
    tracing::info!("ending: committing, writing snapshots of the state");
    flow.stop()?;
    if was_interrupted { Ok(()) } else { outcome }
}

struct Service<'a> {
    settings: &'a Settings,
    /// How long a file must stay as it is before it counts as complete (D10).
    settle_time: Duration,
    sources: Sources,
    /// Files that were sent, so that they are not sent again before the ledger knows them.
    sent: HashMap<String, Fingerprint>,
    /// Files that are not yet sent, and since when they are as they are.
    settling: HashMap<String, (Fingerprint, Instant)>,
    snapshot_settling: Settling,
    /// The snapshot files as they were when they were last taken in.
    snapshot_taken: Option<Vec<FileEntry>>,
    next_event: i64,
    told: Option<Instant>,
}

impl<'a> Service<'a> {
    fn new(settings: &'a Settings) -> Self {
        let settle_seconds = settings.configuration.esr.configuration.inbound.settle_seconds;
        let settle_time = Duration::from_secs(u64::from(settle_seconds));
        Self {
            settings,
            settle_time,
            sources: Sources::new(settings),
            sent: HashMap::new(),
            settling: HashMap::new(),
            snapshot_settling: Settling::new(settle_time),
            snapshot_taken: None,
            next_event: 0,
            told: None,
        }
    }

    fn run(
        &mut self,
        decisions: &[(String, Decision)],
        flow: &mut RunningFlow,
        interrupted: &AtomicBool,
    ) -> Result<(), Failure> {
        flow.wait_until_ready()?;
        self.next_event = summary::next_event(flow)?;
        for (file_name, decision) in decisions {
            decide(file_name, *decision, now_millis(), flow)?;
        }
        flow.settle()?;
        tracing::info!(
            inbox = %self.settings.folders.inbox.display(),
            tis = %self.settings.folders.tis.display(),
            outbox = %self.settings.folders.outbox.display(),
            "watching"
        );
        let pause = Duration::from_secs(self.settings.configuration.process.service.poll_seconds.max(1));
        while !interrupted.load(Ordering::Relaxed) {
            flow.check()?;
            self.round(flow)?;
            let until = Instant::now() + pause;
            while Instant::now() < until && !interrupted.load(Ordering::Relaxed) {
                std::thread::sleep(ATTENTION);
            }
        }
        Ok(())
    }

    fn round(&mut self, flow: &mut RunningFlow) -> Result<(), Failure> {
        self.take_files(flow)?;
        self.take_snapshot(flow)?;
        self.tell_time(flow)?;
        self.report(flow)
    }

    /// Sends files that have settled. Those that come later in the order (D9) wait for the earlier ones.
    fn take_files(&mut self, flow: &mut RunningFlow) -> Result<(), Failure> {
        let found = match self.sources.look(flow, &self.sent) {
            Ok(found) => found,
            Err(failure) => return lasting(flow, failure),
        };
        for left in found.left {
            tracing::warn!("{left}");
        }
        for file in found.files {
            let name = file.name.original();
            let fingerprint = Fingerprint { size: file.size, modified: file.modified };
            let since = self.settling.entry(name.clone()).or_insert((fingerprint, Instant::now()));
            if since.0 != fingerprint {
                *since = (fingerprint, Instant::now());
            }
            if since.1.elapsed() < self.settle_time {
                return Ok(());
            }
            match self.sources.send_file(&file, now_millis(), flow) {
                Ok(true) => {
                    tracing::info!(file = name, bytes = file.size, "taken in");
                    self.settling.remove(&name);
                    self.sent.insert(name, fingerprint);
                }
                Ok(false) => {
                    self.settling.remove(&name);
                }
                Err(failure) => return lasting(flow, failure),
            }
        }
        self.sources.archive(flow).or_else(|failure| lasting(flow, failure))
    }

    /// Loads the snapshot when its files have changed and then settled.
    fn take_snapshot(&mut self, flow: &mut RunningFlow) -> Result<(), Failure> {
        let present = match self.sources.snapshot_files() {
            Ok(present) => present,
            Err(failure) => return lasting(flow, failure),
        };
        let is_settled = self.snapshot_settling.settled(&present, Instant::now()).len() == present.len();
        if !is_settled || self.snapshot_taken.as_ref() == Some(&present) {
            return Ok(());
        }
        match self.sources.load_snapshot(now_millis(), flow) {
            Ok(report) => {
                report.warnings().iter().for_each(|warning| tracing::warn!("{warning}"));
                tracing::info!(objects = report.loaded(), "snapshot taken in");
            }
            Err(SnapshotFailure::Unusable(error)) => tracing::warn!("the snapshot is not taken in: {error}"),
            Err(SnapshotFailure::Flow(failure)) => return lasting(flow, failure),
        }
        // What was unusable is looked at again when it has changed.
        self.snapshot_taken = Some(present);
        Ok(())
    }

    fn tell_time(&mut self, flow: &mut RunningFlow) -> Result<(), Failure> {
        let every = Duration::from_secs(self.settings.configuration.process.service.clock_seconds.max(1));
        if self.told.is_some_and(|told| told.elapsed() < every) {
            return Ok(());
        }
        self.told = Some(Instant::now());
        let now = now_millis();
        publish_schedule(flow, now, &Clock { now }).or_else(|failure| lasting(flow, failure))
    }

    /// Tells on standard error what has happened since the last round.
    fn report(&mut self, flow: &mut RunningFlow) -> Result<(), Failure> {
        let first = self.next_event;
        let news = flow.inspect(move |report: &Report| {
            (report.next_sequence(), report.events_since(first).cloned().collect::<Vec<_>>())
        });
        let news = match news {
            Ok(news) => news,
            Err(failure) => return lasting(flow, failure),
        };
        for (next, events) in news {
            self.next_event = self.next_event.max(next);
            events.iter().for_each(tell);
        }
        Ok(())
    }
}

fn tell(event: &Event) {
    match event {
        Event::File(file) => tracing::info!(
            file = file.file_name,
            rows = file.rows,
            rejected = file.rejected.len(),
            note = file.note,
            "file {}",
            file.status.symbol().to_lowercase()
        ),
        Event::Alert(alert) if alert.severity == Severity::Error => {
            tracing::error!(code = alert.code, subject = alert.subject, "{}", alert.text);
        }
        Event::Alert(alert) => tracing::warn!(code = alert.code, subject = alert.subject, "{}", alert.text),
    }
}

/// The service lives through what may pass: it says so and tries again in the next round.
fn lasting(flow: &RunningFlow, failure: Failure) -> Result<(), Failure> {
    flow.check()?;
    match failure {
        Failure::Unfinished(reason) => {
            tracing::error!("will be tried again: {reason}");
            Ok(())
        }
        refused @ Failure::Refused(_) => Err(refused),
    }
}

fn now_millis() -> i64 {
    Timestamp::now().as_millisecond()
}
