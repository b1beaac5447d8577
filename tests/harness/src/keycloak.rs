//! The issuer of tokens that `tests/services/start keycloak` has started.

use crate::services::{HOW, Stopped, variable};
use crate::skipped::skip;

/// Keycloak, with the realm of `deploy/cases/keycloak-realm.json`.
#[derive(Debug, Clone)]
pub struct Keycloak {
    /// Its URL, without the realm.
    pub url: String,
    /// The name of its administrator.
    pub admin: String,
    /// The administrator's password.
    pub password: String,
    /// Folder of the services.
    folder: String,
}

impl Keycloak {
    /// The one that the environment names. `None` means that this test is skipped, as for
    /// [`Services::find`](crate::Services::find).
    #[track_caller]
    pub fn find() -> Option<Self> {
        let found = (|| {
            let url = variable("TRIBUTARY_KEYCLOAK")?;
            let (admin, password) = (variable("TRIBUTARY_KEYCLOAK_ADMIN")?, variable("TRIBUTARY_KEYCLOAK_PASSWORD")?);
            Some(Self { url, admin, password, folder: variable("TRIBUTARY_SERVICES_DIR")? })
        })();
        if found.is_none() {
            skip(&format!("no Keycloak{HOW}"));
        }
        found
    }

    /// Kills it (-9). It is started again, on its port and data, when the returned value is dropped.
    pub fn stop(&self) -> Stopped {
        Stopped::kill(&self.folder, "keycloak")
    }
}
