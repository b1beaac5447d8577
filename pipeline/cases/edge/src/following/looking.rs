//! Looks at queues, which may be on a disk.

use std::sync::Arc;
use std::time::Duration;

use tributary_flow::http::Problem;
use tributary_runtime::TableError;
use tributary_schemas::types::cases::ClientName;

use super::Following;
use crate::events;
use crate::kept_queues::Entry;
use crate::rows::{Look, Rows};
use crate::waiting::Awaited;

/// The subject of troubles with reading from the disk.
const READING: &str = "reading";

impl Following {
    /// A look at the rows that reads queues, which may wait for a disk. It should read a bounded piece of a queue only:
    /// changes of the rows wait for it.
    ///
    /// # Errors
    /// A [`Problem`] with status 503 when the disk does not answer.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Rows) -> Result<T, TableError> + Send + 'static,
    ) -> Result<T, Problem> {
        if !self.shared.is_in_table {
            return look(&self.rows()).map_err(|_| unreadable());
        }
        let shared = Arc::clone(&self.shared);
        let looked = tokio::task::spawn_blocking(move || look(&shared.read())).await;
        let looked =
            looked.map_err(|error| error.to_string()).and_then(|looked| looked.map_err(|error| error.to_string()));
        let failure = looked.as_ref().err().cloned();
        self.shared.note(READING, failure).iter().for_each(events::notifications_trouble);
        looked.map_err(|_| unreadable())
    }

    /// A look at the queue of a client, as [`Rows::look`]. It waits for a disk only if not all of it is in memory.
    ///
    /// # Errors
    /// As [`Following::look`].
    pub(crate) async fn look_at(
        &self,
        client: &ClientName,
        (after, upto): (i64, i64),
        most: usize,
    ) -> Result<Look, Problem> {
        {
            let rows = self.rows();
            if rows.entries.is_in_memory(client, after.saturating_add(1)) {
                return rows.look(client, (after, upto), most).map_err(|_| unreadable());
            }
        }
        let client = client.clone();
        self.look(move |rows| rows.look(&client, (after, upto), most)).await
    }

    /// The first notifications of a client after a position that it may still see, at most `limit`.
    ///
    /// # Errors
    /// As [`Following::look`].
    pub(crate) async fn notifications(
        &self,
        client: &ClientName,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Entry>, Problem> {
        let (mut found, mut after) = (Vec::new(), after);
        loop {
            let look = self.look_at(client, (after, i64::MAX), limit - found.len()).await?;
            found.extend(look.entries);
            if look.is_end || found.len() == limit {
                return Ok(found);
            }
            after = look.looked;
        }
    }

    /// Waits until a client has a notification that it may see: after this position, or after what it has acknowledged.
    /// Ends without one if the time is over, or the process ends.
    ///
    /// # Errors
    /// As [`Following::look`].
    pub(crate) async fn wait_for_notification(
        &self,
        client: &ClientName,
        after: Option<i64>,
        time: Duration,
    ) -> Result<(), Problem> {
        let mut waiter = self.waiter(Awaited::Queue(client.clone()));
        let look = async {
            loop {
                let after = after.unwrap_or_else(|| self.rows().position(client).acknowledged);
                if !self.notifications(client, after, 1).await?.is_empty() {
                    return Ok(());
                }
                waiter.changed().await;
            }
        };
        tokio::select! {
            found = tokio::time::timeout(time, look) => found.unwrap_or(Ok(())),
            () = self.ending() => Ok(()),
        }
    }
}

/// 503: a disk does not answer.
fn unreadable() -> Problem {
    let detail = "the notifications cannot be read from the disk; the log of the service says why";
    Problem::unavailable("ViewUnavailable", detail, Duration::from_secs(1))
}
