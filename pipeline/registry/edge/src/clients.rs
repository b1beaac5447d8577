//! The clients that may look numbers up: a file with a type and a status for each.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::events;

/// The largest file, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// How often it is looked at.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The type of clients of the National Health Service, which alone may look numbers up (R 1.7).
const NHS: &str = "NHS";

/// The status of a legal entity that works.
const ACTIVE: &str = "ACTIVE";

/// Why the file cannot be used. No text repeats its content.
#[derive(Debug, thiserror::Error)]
pub enum ClientsError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not have the form.
    #[error("{path}, line {line}: expected tables `[client.NAME]` with a `type` and a `status`")]
    Form {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

/// Why a client is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not known, or of another type.
    Unknown,
    /// Its legal entity is not active.
    NotActive,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    client: BTreeMap<String, Client>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Client {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

type Names = BTreeMap<String, Client>;

/// The clients of a file. A changed file is read again. One that cannot be used is told once, and the former clients
/// stay in effect.
pub struct Clients {
    path: PathBuf,
    current: RwLock<Arc<Names>>,
    looked: Mutex<Looked>,
}

/// The last look at the file.
struct Looked {
    at: Instant,
    /// What it held, good or bad, or why it could not be read.
    found: Result<Vec<u8>, String>,
}

impl Clients {
    /// Reads the file.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn load(path: &Path) -> Result<Self, ClientsError> {
        let content = read(path)?;
        let current = RwLock::new(Arc::new(parse(path, &content)?));
        let looked = Mutex::new(Looked { at: Instant::now(), found: Ok(content) });
        Ok(Self { path: path.to_owned(), current, looked })
    }

    /// Checks a client: its type, then its status.
    ///
    /// # Errors
    /// Why it may not look anything up.
    pub fn check(&self, name: &str) -> Result<(), Refusal> {
        let current = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        match current.get(name) {
            Some(client) if client.kind == NHS && client.status == ACTIVE => Ok(()),
            Some(client) if client.kind == NHS => Err(Refusal::NotActive),
            _ => Err(Refusal::Unknown),
        }
    }

    /// Whether it is time to look at the file.
    pub fn is_due(&self) -> bool {
        self.looked.lock().unwrap_or_else(PoisonError::into_inner).at.elapsed() >= LOOK_AGAIN_AFTER
    }

    /// Reads the file and uses a change. This call blocks.
    pub fn refresh(&self) {
        let content = read(&self.path);
        let found = match &content {
            Ok(content) => Ok(content.clone()),
            Err(error) => Err(error.to_string()),
        };
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.at = Instant::now();
        if looked.found == found {
            return;
        }
        looked.found = found;
        match content.and_then(|content| parse(&self.path, &content)) {
            Ok(names) => {
                events::clients_read(names.len());
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(names);
            }
            Err(error) => events::clients_unusable(&error),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ClientsError> {
    let read = || {
        let mut content = Vec::new();
        File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut content)?;
        if content.len() as u64 > MAX_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {MAX_BYTES} bytes")));
        }
        Ok(content)
    };
    read().map_err(|source| ClientsError::Read { path: path.to_owned(), source })
}

fn parse(path: &Path, content: &[u8]) -> Result<Names, ClientsError> {
    let wrong = |offset: usize| {
        let before = content.iter().take(offset).filter(|byte| **byte == b'\n').count();
        ClientsError::Form { path: path.to_owned(), line: before + 1 }
    };
    let text = str::from_utf8(content).map_err(|error| wrong(error.valid_up_to()))?;
    let table: Table = toml::from_str(text).map_err(|error| wrong(error.span().map_or(0, |span| span.start)))?;
    Ok(table.client)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[client.admin]\ntype = \"NHS\"\nstatus = \"ACTIVE\"\n";

    fn file(content: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clients.toml");
        std::fs::write(&path, content).unwrap();
        (folder, path)
    }

    #[test]
    fn a_client_must_be_known_of_the_health_service_and_active() {
        let text = format!(
            "{GOOD}[client.msp]\ntype = \"MSP\"\nstatus = \"CLOSED\"\n\
             [client.closed]\ntype = \"NHS\"\nstatus = \"CLOSED\"\n"
        );
        let (_folder, path) = file(&text);
        let clients = Clients::load(&path).unwrap();
        assert_eq!(clients.check("admin"), Ok(()));
        assert_eq!(clients.check("msp"), Err(Refusal::Unknown));
        assert_eq!(clients.check("closed"), Err(Refusal::NotActive));
        assert_eq!(clients.check("Admin"), Err(Refusal::Unknown));
    }

    #[test]
    fn a_changed_file_counts_and_a_broken_one_does_not() {
        let (_folder, path) = file(GOOD);
        let clients = Clients::load(&path).unwrap();
        for broken in ["[client.admin", "[client.admin]\ntype = \"NHS\"\n", "[clients]\n"] {
            std::fs::write(&path, broken).unwrap();
            clients.refresh();
            assert_eq!(clients.check("admin"), Ok(()), "{broken}");
        }
        std::fs::remove_file(&path).unwrap();
        clients.refresh();
        assert_eq!(clients.check("admin"), Ok(()));
        std::fs::write(&path, GOOD.replace("ACTIVE", "SUSPENDED")).unwrap();
        clients.refresh();
        assert_eq!(clients.check("admin"), Err(Refusal::NotActive));
    }

    #[test]
    fn a_wrong_line_is_named_without_its_content() {
        let (_folder, path) = file(&format!("{GOOD}\n[client.other]\ntype = 7\n"));
        let error = Clients::load(&path).err().unwrap().to_string();
        assert!(error.ends_with("line 6: expected tables `[client.NAME]` with a `type` and a `status`"), "{error}");
    }
}
