//! The tables of notifications in the folder of the flow.

use std::sync::Arc;

use tributary_cases::configuration::NotificationStore;
use tributary_connectors::tables::DiskTables;
use tributary_flow::{Failure, Process};
use tributary_runtime::Tables;

use crate::events;

/// The folder in that of the flow.
const FOLDER: &str = "tables";

/// Opens the tables, if the settings keep notifications in some. If not, removes what an earlier process has left.
///
/// # Errors
/// [`Failure::Refused`] when the folder cannot be used, or another process uses it.
pub(crate) fn open(store: NotificationStore, process: &dyn Process) -> Result<Option<Arc<dyn Tables>>, Failure> {
    let folder = process.state().join(FOLDER);
    match store {
        NotificationStore::Disk => {
            let tables = DiskTables::open(&folder).map_err(|error| {
                Failure::refused(format!("[cases] notifications.store = \"disk\" needs a folder of its own: {error}"))
            })?;
            Ok(Some(Arc::new(tables)))
        }
        NotificationStore::Memory => {
            if let Err(error) = DiskTables::remove(&folder) {
                events::tables_stay(&error);
            }
            Ok(None)
        }
    }
}
