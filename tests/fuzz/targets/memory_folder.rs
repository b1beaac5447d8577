//! A folder for files that are written and read again for each input: in memory, where the system has one.

use std::path::Path;
use std::sync::LazyLock;

use tempfile::TempDir;

pub static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder")
});
