//! The CQL database that `tests/services/start cassandra` has started.

use crate::services::{HOW, Stopped, variable};
use crate::skipped::skip;

/// Apache Cassandra, one node.
#[derive(Debug, Clone)]
pub struct Cassandra {
    /// `host:port` of its port for CQL.
    pub node: String,
    /// A user who may do everything.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// Folder of the services.
    folder: String,
}

impl Cassandra {
    /// The one that the environment names. `None` means that this test is skipped, as for
    /// [`Services::find`](crate::Services::find).
    #[track_caller]
    pub fn find() -> Option<Self> {
        let found = (|| {
            let node = variable("TRIBUTARY_CQL")?;
            let (user, password) = (variable("TRIBUTARY_CQL_USER")?, variable("TRIBUTARY_CQL_PASSWORD")?);
            Some(Self { node, user, password, folder: variable("TRIBUTARY_SERVICES_DIR")? })
        })();
        if found.is_none() {
            skip(&format!("no Cassandra{HOW}"));
        }
        found
    }

    /// Kills it (-9). It is started again, on its ports and data, when the returned value is dropped.
    pub fn stop(&self) -> Stopped {
        Stopped::kill(&self.folder, "cassandra")
    }
}
