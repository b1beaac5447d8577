//! The metadata of cases in tables of a CQL database, which answer queries of them in the place of this process's
//! memory.
//!
//! Each process fills the tables with what it reads, and all write the same. A query waits until the tables have what
//! the log had at the time of the request. This process's memory says which cases live, so a row that is missing is
//! never taken for a deletion, and a row that a killed process has left behind is not shown.

mod filling;
mod layout;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tributary_cases::topics::STATE;
use tributary_connectors::views::cql::{CqlConfig, CqlViews};
use tributary_connectors::views::{Range, StoredRow, ViewError, ViewStore};
use tributary_flow::http::Problem;
use tributary_flow::{Failure, Process, log_failure};
use tributary_runtime::Shutdown;
use tributary_schemas::Codec;
use tributary_schemas::records::cases::CaseState;
use tributary_schemas::types::cases::CaseId;
use uuid::Uuid;

use crate::events;
use crate::wanted::Wanted;
use filling::Filling;
use layout::Stored;

/// How long a query waits until the tables have caught up with the log.
const PATIENCE: Duration = Duration::from_secs(10);

/// When a caller may ask again while the database is away.
const RETRY: Duration = Duration::from_secs(5);

/// The tables, and the thread that fills them.
pub(crate) struct CaseTables {
    store: Arc<dyn ViewStore>,
    codec: Codec,
    partitions: i32,
    shared: Arc<Shared>,
    stop: Shutdown,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    last: watch::Sender<Option<Look>>,
    wanted: Wanted,
}

/// A whole look at the log.
#[derive(Clone)]
struct Look {
    begun: Instant,
    /// The positions up to which the tables have everything; `None` if the look failed.
    filled: Option<Vec<i64>>,
}

impl Shared {
    fn looked(&self, look: Look) {
        self.last.send_replace(Some(look));
    }
}

/// A row of the tables.
pub(crate) struct TableRow {
    /// The offset of its record.
    pub(crate) offset: i64,
    pub(crate) case: CaseState,
}

/// A piece of a list, in its order.
pub(crate) struct Piece {
    pub(crate) rows: Vec<TableRow>,
    /// After which key the next piece begins; `None` if there is none.
    pub(crate) next: Option<Vec<u8>>,
}

/// The file with the name of a log of one process alone.
const NAME_OF_LOG: &str = "log-of-views";

/// Opens the tables of the log of a process. Nothing is connected.
///
/// # Errors
/// [`Failure::Refused`] for settings that can never work, or a state folder that cannot be used.
pub(crate) fn open(mut config: CqlConfig, process: &dyn Process) -> Result<Arc<dyn ViewStore>, Failure> {
    config.log = match process.shared_log() {
        Some(name) => name,
        None => own_log(&process.state().join(NAME_OF_LOG)).map_err(Failure::refused)?,
    };
    Ok(Arc::new(CqlViews::new(config, process.tokio().clone(), process.shutdown()).map_err(Failure::refused)?))
}

/// A name that no other log has. It is made once, and removed with the state.
fn own_log(file: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{} cannot be used: {error}", file.display());
    match std::fs::read_to_string(file) {
        Ok(name) if name.trim().parse::<Uuid>().is_ok() => return Ok(name.trim().to_owned()),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let name = Uuid::new_v4().to_string();
    std::fs::write(file, &name).map_err(failed)?;
    Ok(name)
}

/// Where a list begins.
pub(crate) fn before(updated: i64) -> Vec<u8> {
    layout::before(updated)
}

/// Where a list goes on after a case.
pub(crate) fn after(updated: i64, id: CaseId) -> Vec<u8> {
    layout::by_updated(updated, id)
}

impl CaseTables {
    /// Starts to fill the tables. The database need not be there yet.
    ///
    /// # Errors
    /// [`Failure`] when the log does not answer.
    pub(crate) fn start(process: &Arc<dyn Process>, store: Arc<dyn ViewStore>) -> Result<Self, Failure> {
        let shared = Arc::new(Shared { last: watch::Sender::new(None), wanted: Wanted::default() });
        let follower = process.follower().map_err(log_failure)?;
        let partitions = process.flow_partitions();
        let ends = follower.ends(&STATE, partitions).map_err(log_failure)?;
        let stop = process.shutdown().child();
        let filling = Filling {
            process: Arc::clone(process),
            store: Arc::clone(&store),
            shared: Arc::clone(&shared),
            stop: stop.clone(),
            ends_at_start: (!process.is_shared()).then_some(ends),
            filled: None,
        };
        let thread = std::thread::Builder::new().name("cases-tables".to_owned());
        let thread = thread.spawn(move || filling.run(follower)).map_err(Failure::unfinished)?;
        let (codec, thread) = (process.codec().clone(), Mutex::new(Some(thread)));
        Ok(Self { store, codec, partitions, shared, stop, thread })
    }

    /// Waits until the tables have everything that the log has now. Returns the positions up to which they have it.
    ///
    /// # Errors
    /// 503 when the database cannot be used, or that takes too long.
    pub(crate) async fn catch_up(&self) -> Result<Vec<i64>, Problem> {
        let asked = Instant::now();
        let mut last = self.shared.last.subscribe();
        self.shared.wanted.want();
        let looked = last.wait_for(|last| last.as_ref().is_some_and(|look| look.begun >= asked));
        match tokio::time::timeout(PATIENCE, looked).await {
            Ok(Ok(look)) => look.as_ref().and_then(|look| look.filled.clone()).ok_or_else(unavailable),
            _ => Err(unavailable()),
        }
    }

    /// The row of a case.
    ///
    /// # Errors
    /// 503.
    pub(crate) async fn case(&self, id: CaseId) -> Result<Option<CaseState>, Problem> {
        let key = layout::by_id(id);
        let row = self.read(move |store| store.get(STATE.name, &[key])).await?.pop().flatten();
        let case = row.map(|row| self.decoded(&row)).transpose()?.flatten();
        Ok(case.map(|row| row.case))
    }

    /// Up to `limit` rows after a key, in the order of a list.
    ///
    /// # Errors
    /// 503.
    pub(crate) async fn list(&self, after: Vec<u8>, limit: usize) -> Result<Piece, Problem> {
        let read = move |store: &dyn ViewStore| {
            store.rows(Range { topic: STATE.name, prefix: layout::LIST, after: Some(&after), limit })
        };
        let rows = self.read(read).await?;
        let next = rows.last().filter(|_| rows.len() >= limit).map(|row| row.key.clone());
        let rows = rows.iter().filter_map(|row| self.decoded(row).transpose()).collect::<Result<_, _>>()?;
        Ok(Piece { rows, next })
    }

    /// Fails if the tables have not everything that they had before, so that what was read meanwhile may have gaps.
    ///
    /// # Errors
    /// 503.
    pub(crate) async fn check(&self, filled: &[i64]) -> Result<(), Problem> {
        let partitions = self.partitions;
        let positions = self.read(move |store| store.positions(STATE.name, partitions)).await?;
        let has = |(position, filled): (Option<i64>, &i64)| position.unwrap_or(0) >= *filled;
        let offsets = positions.into_iter().map(|position| position.map(|position| position.offset));
        if offsets.zip(filled).all(has) { Ok(()) } else { Err(unavailable()) }
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn ViewStore) -> Result<T, ViewError> + Send + 'static,
    ) -> Result<T, Problem> {
        let store = Arc::clone(&self.store);
        let failed = |error: &dyn std::fmt::Display| {
            events::tables_unreadable(error);
            unavailable()
        };
        let read = tokio::task::spawn_blocking(move || read(&*store)).await;
        read.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }

    /// The case of a row; `None` for one that can never be read.
    fn decoded(&self, row: &StoredRow) -> Result<Option<TableRow>, Problem> {
        let key = String::from_utf8_lossy(&row.key);
        let Some(stored) = Stored::read(&row.value) else {
            events::row_unreadable(STATE.name, &key, &"it has another form");
            return Ok(None);
        };
        match self.codec.open(stored.record).and_then(|framed| framed.read::<CaseState>()) {
            Ok(case) => Ok(Some(TableRow { offset: stored.offset, case })),
            Err(error) if error.is_transient() => {
                events::tables_unreadable(&error);
                Err(unavailable())
            }
            Err(error) => {
                events::row_unreadable(STATE.name, &key, &error);
                Ok(None)
            }
        }
    }
}

impl Drop for CaseTables {
    fn drop(&mut self) {
        self.stop.trigger();
        self.shared.wanted.want();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            events::tables_panicked();
        }
    }
}

/// Of the rows of a case that was moved while the list was read, the newest one stays.
pub(crate) fn keep_newest(rows: &mut Vec<TableRow>) {
    let mut newest: HashMap<CaseId, i64> = HashMap::new();
    for row in rows.iter() {
        let offset = newest.entry(row.case.id).or_insert(row.offset);
        *offset = row.offset.max(*offset);
    }
    rows.retain(|row| newest.get(&row.case.id) == Some(&row.offset));
}

/// 503: the database cannot be used. It is never said that a case is not there then.
pub(crate) fn unavailable() -> Problem {
    let detail =
        "the tables of cases cannot be read, or have not caught up with the log; the log of the service says why";
    Problem::unavailable("ViewUnavailable", detail, RETRY)
}
