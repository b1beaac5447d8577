//! Programs as processes: where they are, and how they end.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The program: the one that `TRIBUTARY_BIN` names, or the one built beside this test.
///
/// # Errors
/// A sentence that says how to build it.
pub fn program() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("TRIBUTARY_BIN") {
        let path = PathBuf::from(path);
        return if path.is_file() { Ok(path) } else { Err(format!("TRIBUTARY_BIN {} is not a file", path.display())) };
    }
    built("tributary", "run `cargo build -p tributary` first, or name the program in TRIBUTARY_BIN")
}

/// A program built beside this test: its path in the folder of the profile, and how it comes there.
///
/// # Errors
/// A sentence that says how to build it.
pub fn built(name: &str, how: &str) -> Result<PathBuf, String> {
    // A test lies in <target>/<profile>/deps.
    let test = std::env::current_exe().map_err(|error| error.to_string())?;
    let profile = test.parent().and_then(Path::parent).ok_or("this test lies in no target folder")?;
    let path = profile.join(name);
    if path.is_file() { Ok(path) } else { Err(format!("{} is missing: {how}", path.display())) }
}

/// Sends a signal to a process that this test has started.
pub fn signal(id: u32, name: &str) {
    // No library of the tree sends signals to others, and `kill` is everywhere.
    let status = Command::new("kill").args([&format!("-{name}"), &id.to_string()]).stderr(Stdio::null()).status();
    assert!(status.is_ok(), "`kill` cannot be started");
}

/// A process that is killed when it is dropped: a failed test leaves none behind.
#[derive(Debug)]
pub struct KilledOnDrop(pub Child);

impl Deref for KilledOnDrop {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for KilledOnDrop {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        // One that has ended already is not signalled any more.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_ends_with_its_test() {
        let process = KilledOnDrop(Command::new("sleep").arg("1000").spawn().unwrap());
        let id = process.id().to_string();
        let is_there = || Command::new("kill").args(["-0", &id]).stderr(Stdio::null()).status().unwrap().success();
        assert!(is_there());
        drop(process);
        assert!(!is_there());
    }
}
