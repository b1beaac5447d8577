//! The files of a certificate, and what is made of them.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest as _, Sha256};
use tributary_runtime::trouble::{Report, Troubles};

use super::{MutualTlsError, MutualTlsFiles};
use crate::files::open_regular;
use crate::soap::{SoapClient, SoapClientSettings, SoapIdentity, SoapTls};

/// The largest file, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

/// How old a file must be for its time to be believed. A file system counts time in steps: what is written twice within
/// one has the same time.
const SETTLED: Duration = Duration::from_secs(2);

/// A hash of the contents of all files.
type Digest = [u8; 32];

/// What tells a version of a file from another one without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// The files as they were when they were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    stamps: [Option<Stamp>; 3],
    /// Whether a change after that has other stamps.
    is_settled: bool,
}

/// What was found when the files were looked at.
#[derive(Debug, Default)]
pub(in crate::soap) struct Found {
    /// A client with new certificates.
    pub(in crate::soap) client: Option<SoapClient>,
    /// What is to be said of files that cannot be used.
    pub(in crate::soap) report: Option<Report>,
}

/// The files that a client was made of, and what has become of them since.
#[derive(Debug)]
pub(in crate::soap) struct WatchedFiles {
    files: MutualTlsFiles,
    settings: SoapClientSettings,
    /// The contents that are in use.
    used: Digest,
    /// The contents that cannot be used, if these are there now, and why.
    unusable: Option<(Option<Digest>, String)>,
    seen: Option<Seen>,
    troubles: Troubles,
}

impl WatchedFiles {
    /// Reads the files for the first time. `settings` has no certificates.
    pub(in crate::soap) fn new(
        files: MutualTlsFiles,
        settings: SoapClientSettings,
    ) -> Result<(Self, SoapClient), MutualTlsError> {
        let seen = look(&files).ok();
        let (used, tls) = read(&files)?;
        let client = SoapClient::new(&SoapClientSettings { tls, ..settings.clone() })?;
        let watched = Self { files, settings, used, unusable: None, seen, troubles: Troubles::new() };
        Ok((watched, client))
    }

    /// The name of the certificate, for people.
    pub(in crate::soap) fn name(&self) -> String {
        let certificate = self.files.identity.as_ref().map(|identity| &identity.certificate);
        certificate.unwrap_or(&self.files.ca).display().to_string()
    }

    /// Looks at the files, and reads them if they may have changed.
    pub(in crate::soap) fn look_again(&mut self, now: Instant) -> Found {
        // Before reading: what changes while it is read is then read again.
        let seen = look(&self.files).ok();
        let is_same = seen.is_some_and(|seen| seen.is_settled && self.seen == Some(seen));
        self.seen = seen;
        let client = if is_same { None } else { self.read_again() };
        let name = self.name();
        let report = match &self.unusable {
            Some((_, reason)) => self.troubles.note(&name, reason.as_str(), now),
            None => self.troubles.end(&name, now),
        };
        Found { client, report }
    }

    fn read_again(&mut self) -> Option<SoapClient> {
        let (digest, tls) = match read(&self.files) {
            Ok(read) => read,
            Err(error) => {
                self.unusable = Some((None, error.to_string()));
                return None;
            }
        };
        if digest == self.used {
            self.unusable = None;
            return None;
        }
        if self.unusable.as_ref().is_some_and(|(known, _)| *known == Some(digest)) {
            return None;
        }
        match SoapClient::new(&SoapClientSettings { tls, ..self.settings.clone() }) {
            Ok(client) => {
                (self.used, self.unusable) = (digest, None);
                Some(client)
            }
            Err(error) => {
                self.unusable = Some((Some(digest), error.to_string()));
                None
            }
        }
    }
}

/// The authority, the certificate and its key.
fn paths(files: &MutualTlsFiles) -> [Option<&Path>; 3] {
    let identity = files.identity.as_ref();
    let certificate = identity.map(|identity| identity.certificate.as_path());
    [Some(&files.ca), certificate, identity.map(|identity| identity.key.as_path())]
}

fn look(files: &MutualTlsFiles) -> io::Result<Seen> {
    let now = SystemTime::now();
    let mut seen = Seen { stamps: [None; 3], is_settled: true };
    for (path, stamp) in paths(files).into_iter().zip(&mut seen.stamps) {
        let Some(path) = path else { continue };
        let metadata = fs::metadata(path)?;
        seen.is_settled &= now.duration_since(metadata.modified()?).is_ok_and(|age| age >= SETTLED);
        *stamp = Some(Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        });
    }
    Ok(seen)
}

fn read(files: &MutualTlsFiles) -> Result<(Digest, SoapTls), MutualTlsError> {
    let mut hash = Sha256::new();
    let mut content = |path: &Path| {
        let content = read_file(path)?;
        hash.update((content.len() as u64).to_be_bytes());
        hash.update(&content);
        Ok::<_, MutualTlsError>(content)
    };
    let ca = Some(content(&files.ca)?);
    let identity = match &files.identity {
        None => None,
        Some(paths) => Some(SoapIdentity { certificate: content(&paths.certificate)?, key: content(&paths.key)? }),
    };
    Ok((hash.finalize().into(), SoapTls { ca, identity }))
}

fn read_file(path: &Path) -> Result<Vec<u8>, MutualTlsError> {
    let mut content = Vec::new();
    let file = open_regular(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut content));
    file.map_err(|error| MutualTlsError::File { path: path.to_owned(), error })?;
    if content.len() as u64 > LARGEST_FILE {
        return Err(MutualTlsError::LargeFile { path: path.to_owned(), limit: LARGEST_FILE });
    }
    Ok(content)
}
