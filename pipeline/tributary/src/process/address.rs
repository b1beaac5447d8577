//! Where a service is asked: noted in its state folder, so that commands find it.

use std::path::{Path, PathBuf};

use tributary_connectors::embedded::is_in_use;
use tributary_runtime::write_atomically;

use crate::events;

const FILE: &str = "http-address";

/// The note of a running service; removed at its end. It stays after a kill.
pub(crate) struct NotedAddress(PathBuf);

impl NotedAddress {
    /// Notes the URL. The state folder belongs to this process.
    pub(super) fn write(state: &Path, url: &str) -> Option<Self> {
        let path = state.join(FILE);
        // No request goes to an unspecified address.
        let url = url.replace("//0.0.0.0:", "//localhost:").replace("//[::]:", "//localhost:");
        match write_atomically(&path, url.as_bytes()) {
            Ok(()) => Some(Self(path)),
            Err(error) => {
                events::address_not_noted(&path, &url, &error);
                None
            }
        }
    }
}

impl Drop for NotedAddress {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            events::address_stays(&self.0, &error);
        }
    }
}

/// The URL of the service that uses this state folder, as far as it is noted. A note that a killed process has left
/// does not count: another program may listen there now, and must not be sent a token.
pub(crate) fn address_in(state: &Path) -> Option<String> {
    if !is_in_use(state) {
        return None;
    }
    let text = std::fs::read_to_string(state.join(FILE)).ok()?;
    Some(text.trim().to_owned()).filter(|url| !url.is_empty())
}
