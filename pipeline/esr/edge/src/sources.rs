//! The sources of the flow besides the inbox: the snapshot of TIS, decisions of an operator.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tributary_connectors::tis::snapshot::{Listing, SnapshotError, TisSnapshot};
use tributary_connectors::tis::{Deletions, Held, KnownLines, Load, LoadError, LoadReport, Topics};
use tributary_esr::baseline::BASELINE_HEADER;
use tributary_esr::configuration::SnapshotContent;
use tributary_esr::format::FileName;
use tributary_esr::inbound::{Inbound, LedgerEntry, LedgerStatus};
use tributary_esr::{configuration, tis, topics};
use tributary_flow::process::Publisher;
use tributary_flow::{Failure, Process};
use tributary_runtime::{TimestampMillis, Topic, remove_durably, write_atomically};
use tributary_schemas::records::esr::{Decision, FileDecision};

use crate::baseline;
use crate::configured::Configured;
use crate::exchange::{Exchange, log_failure};

/// The file in the state folder that exists while the baseline is being loaded (D1).
const BASELINE_MARKER: &str = "baseline-in-progress";

/// The file in the state folder that exists while the stages hold exactly the last snapshot.
const KNOWN_LINES: &str = "snapshot-lines";

/// The topics of the objects of TIS.
const TOPICS: Topics =
    Topics { posts: &topics::TIS_POST, placements: &topics::TIS_PLACEMENT, people: &topics::TIS_PERSON };

/// The sources of one process.
pub(crate) struct Sources {
    snapshot_folder: PathBuf,
    baseline_marker: PathBuf,
    /// Only with the embedded log. On Kafka, other programs may also write the topics of TIS.
    known_lines: Option<PathBuf>,
}

impl Sources {
    /// The configured sources.
    pub(crate) fn new(configured: &Configured, process: &dyn Process) -> Self {
        Self {
            snapshot_folder: configured.folders.tis.clone(),
            baseline_marker: process.state().join(BASELINE_MARKER),
            known_lines: (!process.is_shared()).then(|| process.state().join(KNOWN_LINES)),
        }
    }

    /// Loads the snapshot with its deletions (D2).
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the snapshot cannot be read or published.
    pub(crate) fn load_snapshot(
        &self,
        now: TimestampMillis,
        exchange: &Exchange,
    ) -> Result<LoadReport, SnapshotFailure> {
        let snapshot = TisSnapshot::open(&self.snapshot_folder)?;
        let held = held(exchange)?;
        let deletions = deletions(&exchange.context.settings.configuration.snapshot);
        if snapshot.is_empty() {
            return Ok(LoadReport::of_no_snapshot(&held, &deletions));
        }
        let baseline = held.is_empty() || self.is_baseline_being_loaded(exchange)?;
        if baseline {
            // An interrupted load continues as baseline.
            self.note_baseline(true, now, exchange)?;
        }
        let known = match &self.known_lines {
            Some(path) => KnownLines::take(path).map_err(|error| known_lines_failure(path, &error))?,
            None => KnownLines::default(),
        };
        let load = Load {
            known: &known,
            codec: &exchange.context.codec,
            topics: TOPICS,
            deletions,
            flow_partitions: exchange.process.flow_partitions(),
            header: baseline.then_some(BASELINE_HEADER),
            now,
        };
        let report = load.run(&snapshot, &held, &mut Publisher(&*exchange.process))?;
        if baseline {
            self.note_baseline(false, now, exchange)?;
        }
        if let Some(path) = self.known_lines.as_ref().filter(|_| report.refused.is_none()) {
            exchange.process.sync().map_err(log_failure)?;
            report.known.write(path).map_err(|error| known_lines_failure(path, &error))?;
        }
        Ok(report)
    }

    fn is_baseline_being_loaded(&self, exchange: &Exchange) -> Result<bool, Failure> {
        if exchange.process.is_shared() {
            return baseline::is_being_loaded(&*exchange.process).map_err(log_failure);
        }
        Ok(self.baseline_marker.exists())
    }

    /// Notes whether the baseline is being loaded, where the next process finds the note.
    fn note_baseline(&self, is_loading: bool, now: TimestampMillis, exchange: &Exchange) -> Result<(), Failure> {
        if exchange.process.is_shared() {
            let mut output = exchange.output(now);
            baseline::note_loading(&mut output, is_loading);
            return exchange.publish(&output);
        }
        let noted = if is_loading {
            write_atomically(&self.baseline_marker, b"")
        } else {
            // The sync comes before the removal of the marker. Without the marker, baseline records that a power cut
            // has lost would be loaded as changes (D1).
            exchange.process.sync().map_err(log_failure)?;
            remove_durably(&self.baseline_marker)
        };
        noted.map_err(|error| self.marker_failure(&error))
    }

    fn marker_failure(&self, error: &std::io::Error) -> Failure {
        Failure::unfinished(format!("cannot write {}: {error}", self.baseline_marker.display()))
    }

    /// What the snapshot folder holds of a snapshot.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when the folder cannot be read.
    pub(crate) fn snapshot_listing(&self) -> Result<Listing, Failure> {
        let folder = &self.snapshot_folder;
        Listing::of(folder).map_err(|error| {
            Failure::unfinished(format!("cannot list {}: {error}; check that it is there", folder.display()))
        })
    }
}

/// Which objects a snapshot deletes, and when that is refused (D2).
fn deletions(settings: &configuration::SnapshotSettings) -> Deletions {
    Deletions {
        from_full_snapshots: settings.content == SnapshotContent::Full,
        refuse_percent: settings.refuse_deletions_percent,
        refuse_count: settings.refuse_deletions_count,
        setting: "esr.snapshot.refuse_deletions_percent",
    }
}

fn known_lines_failure(path: &Path, error: &std::io::Error) -> Failure {
    Failure::unfinished(format!("cannot write {}: {error}", path.display()))
}

/// Why a snapshot was not loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotFailure {
    /// The snapshot is incomplete or cannot be read. The flow continues with the objects that it holds.
    #[error("{0}")]
    Unusable(#[from] SnapshotError),
    /// The flow cannot continue.
    #[error("{0}")]
    Flow(#[from] Failure),
}

impl From<LoadError> for SnapshotFailure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Snapshot(error) => Self::Unusable(error),
            LoadError::Log(error) => Self::Flow(log_failure(error)),
            LoadError::Encode(error) => Self::Flow(Failure::unfinished(error)),
        }
    }
}

/// Publishes the decision of an operator about a file, after checking that it can have an effect (D10, D12).
///
/// # Errors
/// [`Failure::Refused`] when it can have no effect.
pub(crate) fn decide(
    file_name: FileName,
    decision: Decision,
    now: TimestampMillis,
    exchange: &Exchange,
) -> Result<(), Failure> {
    let entry = ledger(exchange)?.remove(&file_name);
    let Some(entry) = entry else {
        return Err(Failure::refused(format!("{file_name} was never taken in, so nothing can be decided about it")));
    };
    let is_parked = entry.status == LedgerStatus::Parked;
    let is_done_already = match decision {
        Decision::Accept => !is_parked && entry.accepted,
        Decision::Refuse => entry.status == LedgerStatus::Refused,
        Decision::Release => false,
    };
    if is_done_already {
        return Ok(());
    }
    let (fits, expected) = match decision {
        Decision::Accept | Decision::Refuse => (is_parked, "parked"),
        Decision::Release => (entry.confirmation_held, "one whose confirmation is held back"),
    };
    if !fits {
        return Err(Failure::refused(format!("{file_name} is not {expected}, so there is nothing to decide")));
    }
    let record = FileDecision { file_name, decision };
    exchange.publish_record(&topics::INBOUND, file_name.to_string().as_bytes(), now, &record)
}

/// What `visit` returns for the ledger of arrived files.
///
/// # Errors
/// [`Failure::Unfinished`] when the ledger cannot be read.
pub(crate) fn of_ledger<T: Send + 'static>(
    exchange: &Exchange,
    visit: impl Fn(&Inbound) -> Vec<(FileName, T)> + Send + Sync + 'static,
) -> Result<HashMap<FileName, T>, Failure> {
    let process = &exchange.process;
    let ledgers = process.inspect_all(topics::INBOUND.partition_count(process.flow_partitions()), visit)?;
    let moving = || Failure::unfinished("the ledger of arrived files is moving to another worker or process");
    Ok(ledgers.ok_or_else(moving)?.into_iter().flatten().collect())
}

fn ledger(exchange: &Exchange) -> Result<HashMap<FileName, LedgerEntry>, Failure> {
    of_ledger(exchange, |inbound| inbound.ledger().map(|(name, entry)| (name, entry.clone())).collect())
}

/// The objects that the `tis` stages hold. If other processes own some stages, or records are still unprocessed, the
/// topics say what the stages will hold (D2).
fn held(exchange: &Exchange) -> Result<Held, Failure> {
    let process = &exchange.process;
    if !process.is_shared() || process.is_idle().map_err(log_failure)? {
        let all = process.flow_partitions();
        let posts = process.inspect_all(all, |posts: &tis::TisPosts| posts.ids().collect::<Vec<_>>())?;
        let placements =
            process.inspect_all(all, |placements: &tis::TisPlacements| placements.ids().collect::<Vec<_>>())?;
        let people = process.inspect_all(all, |people: &tis::TisPeople| people.ids().collect::<Vec<_>>())?;
        if let (Some(posts), Some(placements), Some(people)) = (posts, placements, people) {
            return Ok(Held {
                posts: posts.into_iter().flatten().collect(),
                placements: placements.into_iter().flatten().collect(),
                people: people.into_iter().flatten().collect(),
            });
        }
        if !process.is_shared() {
            return Err(Failure::unfinished("the objects of TIS are moving to another worker"));
        }
    }
    Ok(Held {
        posts: ids_of(&topics::TIS_POST, exchange)?,
        placements: ids_of(&topics::TIS_PLACEMENT, exchange)?,
        people: ids_of(&topics::TIS_PERSON, exchange)?,
    })
}

fn ids_of<C: FromIterator<i64>>(topic: &'static Topic, exchange: &Exchange) -> Result<C, Failure> {
    let id = |key: &Vec<u8>| std::str::from_utf8(key).ok()?.parse().ok();
    Ok(exchange.process.keys(topic).map_err(log_failure)?.iter().filter_map(id).collect())
}
