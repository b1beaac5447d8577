//! A folder on a small disk of its own, which can be filled.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

/// What takes the room on the disk.
const FILLER: &str = ".filler";

/// A folder on a disk that can be filled.
#[derive(Clone)]
pub struct SmallDisk {
    disk: Arc<Disk>,
}

/// If the system allows no mount, a link to the folder leads to a file while the disk is "full".
enum Disk {
    /// The disk exists as long as a process has it open, so nothing of it can be left behind.
    Mounted(File),
    Linked(TempDir),
}

/// The disk is full as long as this lives.
pub struct FullDisk(SmallDisk);

impl Default for SmallDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl SmallDisk {
    /// An empty disk of 1 MB.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mounted = run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(folder.path()));
        let disk = if mounted {
            let disk = File::open(folder.path()).unwrap();
            assert!(
                run(Command::new("umount").arg("-l").arg(folder.path())),
                "cannot unmount {}",
                folder.path().display()
            );
            Disk::Mounted(disk)
        } else {
            eprintln!("no disk can be mounted here: the folder is made unwritable in another way");
            fs::create_dir(folder.path().join("real")).unwrap();
            replace_link("real", &folder.path().join("folder"));
            Disk::Linked(folder)
        };
        Self { disk: Arc::new(disk) }
    }

    /// The folder, as the processes know it.
    pub fn path(&self) -> PathBuf {
        match self.disk.as_ref() {
            Disk::Mounted(disk) => PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), disk.as_raw_fd())),
            Disk::Linked(folder) => folder.path().join("folder"),
        }
    }

    /// Where the files are, also while the disk is full.
    pub fn files(&self) -> PathBuf {
        match self.disk.as_ref() {
            Disk::Mounted(_) => self.path(),
            Disk::Linked(folder) => folder.path().join("real"),
        }
    }

    /// Fills the disk, until the value is dropped.
    pub fn fill(&self) -> FullDisk {
        match self.disk.as_ref() {
            Disk::Mounted(_) => {
                let mut filler = File::create(self.path().join(FILLER)).unwrap();
                while filler.write_all(&[0; 4096]).is_ok() {}
            }
            Disk::Linked(folder) => replace_link("/dev/null", &folder.path().join("folder")),
        }
        FullDisk(self.clone())
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        match self.0.disk.as_ref() {
            Disk::Mounted(_) => fs::remove_file(self.0.path().join(FILLER)).unwrap(),
            Disk::Linked(folder) => replace_link("real", &folder.path().join("folder")),
        }
    }
}

fn run(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Makes `path` a link to `target`. There is no moment without a link.
pub fn replace_link(target: impl AsRef<Path>, path: &Path) {
    let new = path.with_extension("new");
    std::os::unix::fs::symlink(target, &new).unwrap();
    fs::rename(new, path).unwrap();
}

/// The names of the files in a folder.
pub fn file_names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
