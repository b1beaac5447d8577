//! The service: watches inbox and snapshot folder, tells the schedule the time, until it is asked to end.
//!
//! Several processes of one namespace share the work on Kafka. The one whose workers have the partition of arrived files
//! also reads the folders and tells the time; when that partition moves, so does this.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tributary_connectors::files::{FileEntry, Settling};
use tributary_connectors::inbox::Fingerprint;
use tributary_esr::inbound::Inbound;
use tributary_esr::report::{Event, Report};
use tributary_schemas::records::esr::Decision;
use tributary_schemas::records::tributary::{Clock, Severity};

use crate::batch::publish_schedule;
use crate::failure::Failure;
use crate::running::RunningFlow;
use crate::settings::Settings;
use crate::sources::{SnapshotFailure, Sources, decide};
use crate::starting;
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
    let Some(mut flow) = starting::start(settings, interrupted, None)? else { return Ok(()) };
    let outcome = Service::new(settings, decisions).run(&mut flow, interrupted);
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
    /// The number of the next event to tell of, while the report is here.
    next_event: Option<i64>,
    told: Option<Instant>,
    /// Decisions of an operator that are not carried out yet.
    decisions: Vec<(String, Decision)>,
    /// Whether this process is the one that reads the folders.
    reads_folders: bool,
}

impl<'a> Service<'a> {
    fn new(settings: &'a Settings, decisions: &[(String, Decision)]) -> Self {
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
            next_event: None,
            told: None,
            decisions: decisions.to_vec(),
            reads_folders: false,
        }
    }

    fn run(&mut self, flow: &mut RunningFlow, interrupted: &AtomicBool) -> Result<(), Failure> {
        if !flow.is_shared() {
            flow.wait_until_ready()?;
            self.next_event = Some(summary::next_event(flow)?);
            flow.settle()?;
        }
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
        match self.becomes_reader(flow) {
            Ok(true) => {
                self.decide(flow)?;
                self.take_files(flow)?;
                self.take_snapshot(flow)?;
                self.tell_time(flow)?;
            }
            Ok(false) => {}
            Err(failure) => return lasting(flow, failure),
        }
        self.report(flow)
    }

    /// Whether this process reads the folders now: it does while it has the partition of arrived files. Who takes it over
    /// first makes sure that the process before can bring in nothing more; what that has brought in and nobody has
    /// processed yet is brought in again, which changes nothing.
    fn becomes_reader(&mut self, flow: &mut RunningFlow) -> Result<bool, Failure> {
        let is_here = !flow.inspect(|_: &Inbound| ())?.is_empty();
        if is_here && !flow.has_sources() {
            flow.take_over_sources()?;
        }
        if is_here && !self.reads_folders {
            self.sent.clear();
            self.settling.clear();
            self.snapshot_taken = None;
            self.told = None;
            tracing::info!("this process reads the inbox and the snapshot of TIS, and starts runs by the clock");
        }
        if !is_here && self.reads_folders {
            flow.leave_sources();
            tracing::info!("another process reads the inbox and the snapshot of TIS now");
        }
        self.reads_folders = is_here;
        Ok(is_here)
    }

    /// Carries out what an operator has decided. What does not fit is said and left: the service goes on.
    fn decide(&mut self, flow: &mut RunningFlow) -> Result<(), Failure> {
        while let Some((file_name, decision)) = self.decisions.pop() {
            match decide(&file_name, decision, now_millis(), flow) {
                Ok(()) => {}
                Err(Failure::Refused(reason)) => tracing::error!("{reason}"),
                Err(failure) => {
                    self.decisions.push((file_name, decision));
                    return lasting(flow, failure);
                }
            }
        }
        Ok(())
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
            // What happened before the report came here was told by the process that had it.
            let first = first.unwrap_or_else(|| report.next_sequence());
            (report.next_sequence(), report.events_since(first).cloned().collect::<Vec<_>>())
        });
        let news = match news {
            Ok(news) => news,
            Err(failure) => return lasting(flow, failure),
        };
        self.next_event = news.iter().map(|(next, _)| *next).max();
        news.iter().flat_map(|(_, events)| events).for_each(tell);
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
