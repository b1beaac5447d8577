//! The thread that syncs commits to the disk and compacts partitions, beside the workers.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tributary_runtime::trouble::Troubles;
use tributary_runtime::{LogError, TimestampMillis};

use super::Fsync;
use super::stored_log::StoredLog;
use crate::events;

/// How often upkeep runs when each commit is synced anyway.
const TURN: Duration = Duration::from_millis(200);
/// The log counts as idle after this time without a commit.
const IDLE_AFTER: Duration = Duration::from_secs(2);
/// The subject of troubles with upkeep.
const UPKEEP: &str = "upkeep";
const EXPIRY_INTERVAL: Duration = Duration::from_mins(10);

/// Runs until it is dropped. Then it syncs everything to the disk.
pub(super) struct Upkeep {
    stored: Arc<StoredLog>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Upkeep {
    pub(super) fn start(stored: Arc<StoredLog>, fsync: Fsync) -> Result<Self, LogError> {
        let (stop, stopped) = mpsc::channel();
        let turn = match fsync {
            Fsync::Always => TURN,
            Fsync::Interval(interval) => interval,
        };
        let log = Arc::clone(&stored);
        let run = move || {
            let mut state = Turns::new(&log);
            let mut troubles = Troubles::new();
            while stopped.recv_timeout(turn) == Err(RecvTimeoutError::Timeout) {
                let report = match state.turn(&log) {
                    Ok(()) => troubles.end(UPKEEP, Instant::now()),
                    Err(error) => troubles.note(UPKEEP, error.to_string(), Instant::now()),
                };
                report.iter().for_each(events::upkeep_trouble);
            }
            if let Err(error) = log.database.close() {
                events::last_commits_not_synced(&error);
            }
        };
        let thread = std::thread::Builder::new().name("log-upkeep".to_owned()).spawn(run).map_err(|error| {
            LogError::fatal(format!("cannot start the thread for upkeep of the state folder: {error}")).caused_by(error)
        })?;
        Ok(Self { stored, stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn stored(&self) -> &Arc<StoredLog> {
        &self.stored
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        drop(self.stop.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            events::upkeep_panicked();
        }
    }
}

/// The time of the machine's clock, in milliseconds since 1970.
pub(super) fn now_millis() -> TimestampMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

struct Turns {
    synced: u64,
    sequence: u64,
    changed: Instant,
    expired: Instant,
}

impl Turns {
    fn new(log: &StoredLog) -> Self {
        let now = Instant::now();
        Self { synced: 0, sequence: log.database.sequence(), changed: now, expired: now }
    }

    fn turn(&mut self, log: &StoredLog) -> Result<(), LogError> {
        let now = Instant::now();
        let sequence = log.database.sequence();
        if sequence != self.sequence {
            self.sequence = sequence;
            self.changed = now;
        }
        if sequence != self.synced {
            log.database.sync()?;
            self.synced = sequence;
        }
        log.compact_where_worthwhile(now - self.changed < IDLE_AFTER)?;
        if now - self.expired > EXPIRY_INTERVAL {
            self.expired = now;
            log.drop_expired(now_millis())?;
        }
        Ok(())
    }
}
