//! The issuer of tokens that `tests/services/start keycloak` has started.

use std::path::Path;
use std::time::Duration;

use crate::process::signal;
use crate::services::{HOW, restart, variable};
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
    pub fn stop(&self) -> Stopped<'_> {
        let process = std::fs::read_to_string(Path::new(&self.folder).join("keycloak/pid")).unwrap();
        signal(process.trim().parse().unwrap(), "KILL");
        Stopped(self)
    }
}

/// Keycloak is stopped as long as this lives.
pub struct Stopped<'a>(&'a Keycloak);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        restart(&self.0.folder, "keycloak", Duration::ZERO);
    }
}
