//! What all uses of the embedded key-value store share: opening a database, waiting for its disk, and its errors.

use std::io;
use std::time::Duration;

use fjall::{Keyspace, PersistMode};

const OPEN_ATTEMPTS: u32 = 20;
const OPEN_PAUSE: Duration = Duration::from_millis(100);
/// A change waits while at least this many memtables are waiting to be written.
const WAITING_MEMTABLES: usize = 3;
const MEMTABLE_PAUSE: Duration = Duration::from_millis(2);

/// Opens a database of this process. The threads of an earlier use may hold its lock for a moment longer.
pub(crate) fn open_patiently<T>(open: impl Fn() -> Result<T, fjall::Error>) -> Result<T, fjall::Error> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match open() {
            Err(fjall::Error::Locked) if attempt < OPEN_ATTEMPTS => std::thread::sleep(OPEN_PAUSE),
            opened => return opened,
        }
    }
}

/// Waits while the disk is behind. The database itself would wait too, but forever if its disk is full.
pub(crate) fn wait_for_memtables(database: &fjall::Database, space: &Keyspace) -> Result<(), fjall::Error> {
    while space.sealed_memtable_count() >= WAITING_MEMTABLES {
        database.persist(PersistMode::Buffer)?;
        std::thread::sleep(MEMTABLE_PAUSE);
    }
    Ok(())
}

/// Whether an error is of the disk, and may pass. One in the content does not.
pub(crate) fn may_pass(error: &fjall::Error) -> bool {
    match error {
        fjall::Error::Io(source) | fjall::Error::Storage(fjall::LsmError::Io(source)) => !is_about_content(source),
        fjall::Error::Poisoned | fjall::Error::Locked => true,
        _ => false,
    }
}

/// Whether an error of a read is about the content of the files rather than the disk.
pub(crate) fn is_about_content(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, InvalidData, NotFound, Other, UnexpectedEof};
    matches!(error.kind(), AlreadyExists | InvalidData | NotFound | Other | UnexpectedEof)
}

/// What the operating system said, if it said anything.
pub(crate) fn describe(error: &fjall::Error) -> String {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => error.to_string(),
        fjall::Error::Poisoned => "an earlier write failed".to_owned(),
        other => other.to_string(),
    }
}
