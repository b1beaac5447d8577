//! Processes with a clock of their own: `libfaketime` changes what they believe the time to be. Their monotonic clock
//! stays right.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::skipped::skip;

/// The library.
#[derive(Debug, Clone)]
pub struct FakeTime(PathBuf);

impl FakeTime {
    /// Where it is installed. `None` means that this test is skipped, and counted as skipped.
    #[track_caller]
    pub fn find() -> Option<Self> {
        let folders = fs::read_dir("/usr/lib").into_iter().flatten().filter_map(Result::ok);
        let found =
            folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|library| library.exists());
        if found.is_none() {
            skip("faketime is not installed");
        }
        found.map(Self)
    }

    /// Gives the process of a command the clock of this file, which must exist when it starts.
    pub fn give_to(&self, command: &mut Command, file: &Path) {
        command.env("LD_PRELOAD", &self.0).env("FAKETIME_TIMESTAMP_FILE", file).env("FAKETIME_NO_CACHE", "1");
        command.env("DONT_FAKE_MONOTONIC", "1").env("TZ", "UTC");
    }
}

/// Sets the clock of a file: this number of seconds after that of the machine.
pub fn set_clock(file: &Path, seconds: i64) {
    let new = file.with_extension("new");
    fs::write(&new, format!("{seconds:+}\n")).unwrap();
    fs::rename(new, file).unwrap();
}
