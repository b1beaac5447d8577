//! Small files that are read again when they change.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use sha2::{Digest, Sha256};

use super::HttpError;
use crate::events;

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// A file, and the entry of the configuration that names it.
#[derive(Debug, Clone)]
pub(super) struct NamedFile {
    pub(super) path: PathBuf,
    pub(super) entry: &'static str,
}

type Parse<T> = Box<dyn Fn(&[Vec<u8>]) -> Result<T, HttpError> + Send + Sync>;

/// The content of a few files. If a changed file cannot be used, the error is logged and the former content stays in
/// effect.
pub(super) struct Reloaded<T> {
    files: Vec<NamedFile>,
    parse: Parse<T>,
    current: RwLock<Arc<T>>,
    /// The digest of the last contents that were tried, good or bad.
    tried: Mutex<Vec<u8>>,
}

impl<T> Reloaded<T> {
    pub(super) fn load(files: Vec<NamedFile>, parse: Parse<T>) -> Result<Self, HttpError> {
        let contents = read_all(&files)?;
        let current = RwLock::new(Arc::new(parse(&contents)?));
        Ok(Self { tried: Mutex::new(digest(&contents)), files, parse, current })
    }

    pub(super) fn current(&self) -> Arc<T> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the files and uses a change. This call blocks.
    pub(super) fn refresh(&self) {
        let contents = read_all(&self.files);
        let found = match &contents {
            Ok(contents) => digest(contents),
            Err(error) => error.to_string().into_bytes(),
        };
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        if *tried == found {
            return;
        }
        *tried = found;
        let names: Vec<&str> = self.files.iter().map(|file| file.entry).collect();
        match contents.and_then(|contents| (self.parse)(&contents)) {
            Ok(parsed) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(parsed);
                events::files_reloaded(&names);
            }
            Err(error) => events::files_unusable(&names, &error),
        }
    }
}

fn read_all(files: &[NamedFile]) -> Result<Vec<Vec<u8>>, HttpError> {
    let read = |file: &NamedFile| {
        read_bounded(&file.path).map_err(|source| HttpError::Read {
            path: file.path.clone(),
            entry: file.entry,
            source,
        })
    };
    files.iter().map(read).collect()
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {MAX_BYTES} bytes")));
    }
    Ok(content)
}

fn digest(contents: &[Vec<u8>]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for content in contents {
        hash.update((content.len() as u64).to_le_bytes());
        hash.update(content);
    }
    hash.finalize().to_vec()
}
