//! The folders of an exchange, which several services share, and how the services start.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tributary_esr_oracle::Batch;
use tributary_esr_tests::snapshot_folder;
use tributary_harness::process::program;
use tributary_tests::chaos::{Program, ServiceCommand, Site, replace_link};

/// As little waiting as possible, and no runs by the clock: today's are over when a service starts.
pub const WITHOUT_CLOCK: &str = r#"
esr.inbound.settle_seconds = 1
esr.schedule.applicants = "00:00"
esr.schedule.notifications = "00:00"
service.clock_seconds = 1
"#;

/// The program of which processes start: that of one release or of another.
#[derive(Clone)]
pub struct Release(Arc<Mutex<PathBuf>>);

impl Release {
    pub fn program(&self) -> PathBuf {
        self.0.lock().unwrap().clone()
    }

    pub fn choose(&self, program: &Path) {
        program.clone_into(&mut self.0.lock().unwrap());
    }
}

pub struct Folders {
    folder: TempDir,
    command: ServiceCommand,
    release: Release,
    /// Snapshots laid out so far.
    snapshots: usize,
}

impl Folders {
    /// Empty folders of an exchange that serves these offices.
    pub fn new(site: &Site, outbox: &Path, offices: &[&str], settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::create_dir(path("inbox")).unwrap();
        let flags = [
            ["--inbox", &path("inbox")],
            ["--tis", &path("tis")],
            ["--outbox", &outbox.display().to_string()],
            ["--offices", &offices.join(",")],
        ];
        let flags: Vec<String> = flags.concat().into_iter().map(str::to_owned).collect();
        let program = program().unwrap_or_else(|text| panic!("{text}"));
        let command = ServiceCommand::new(site, &program, settings, &flags);
        Self { folder, command, release: Release(Arc::new(Mutex::new(program))), snapshots: 0 }
    }

    /// Adds the files of the batch to the inbox, and replaces the snapshot as a whole.
    pub fn put(&mut self, batch: &Batch) {
        let path = |name: &str| self.folder.path().join(name);
        for (name, content) in &batch.files {
            fs::write(path("written"), content).unwrap();
            fs::rename(path("written"), path("inbox").join(name)).unwrap();
        }
        self.snapshots += 1;
        let folder = path(&format!("tis-{}", self.snapshots));
        fs::create_dir(&folder).unwrap();
        snapshot_folder::lay_out(&folder, &batch.snapshot);
        replace_link(folder, &path("tis"));
    }

    /// The service, of the release that is chosen when it starts.
    pub fn service(&self) -> Program {
        let (command, release) = (self.command.clone(), self.release.clone());
        Box::new(move |state, instance| command.with_program(&release.program()).command(state, instance))
    }

    /// The release of processes that start from now on.
    pub fn release(&self) -> Release {
        self.release.clone()
    }

    /// A batch of another release, beside the services; it should be refused.
    pub fn with_release(&self, program: &Path) -> Output {
        let command = self.command.with_program(program);
        let mut command = command.command(&self.folder.path().join("state-of-other"), "other");
        command.args(["--once", "--output", "json", "--now", "2040-01-01T00:00:00Z", "--confirm-now"]).output().unwrap()
    }

    /// A batch once all services have ended; its summary.
    pub fn batch(&self, now: &str) -> serde_json::Value {
        let command = self.command.with_program(&self.release.program());
        let mut command: Command = command.command(&self.folder.path().join("state-of-batch"), "batch");
        command.args(["--once", "--output", "json", "--records", "--now", now]);
        let answer = command.output().unwrap();
        assert!(answer.status.success(), "{answer:?}");
        serde_json::from_slice(&answer.stdout).unwrap()
    }
}
