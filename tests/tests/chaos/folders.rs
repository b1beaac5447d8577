//! The folders of an exchange, which several services share, and how these are started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tributary_harness::Services;
use tributary_harness::process::program;
use tributary_oracle::Batch;
use tributary_tests::snapshot_folder;

use crate::fault::SESSION_TIMEOUT_MILLIS;
use crate::outbox::link;
use crate::processes::Program;

/// As little waiting as possible, and no runs by the clock: today's are over when a service starts.
const CONFIGURATION: &str = r#"
esr.inbound.settle_seconds = 1
esr.schedule.applicants = "00:00"
esr.schedule.notifications = "00:00"
service.clock_seconds = 1
"#;

pub struct Folders {
    folder: TempDir,
    outbox: PathBuf,
    flags: Vec<String>,
    /// Snapshots laid out so far.
    snapshots: usize,
}

impl Folders {
    /// Empty folders of an exchange that serves these offices.
    pub fn new(services: &Services, namespace: &str, partitions: i32, outbox: PathBuf, offices: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("inbox")).unwrap();
        let config = folder.path().join("my.toml");
        let session = format!("kafka.consumer.\"session.timeout.ms\" = \"{SESSION_TIMEOUT_MILLIS}\"\n");
        fs::write(&config, format!("{CONFIGURATION}{session}")).unwrap();
        let flags = [
            ["--config", &config.display().to_string()],
            ["--log", "kafka"],
            ["--kafka", &services.proxied],
            ["--registry", &services.registry],
            ["--namespace", namespace],
            ["--partitions", &partitions.to_string()],
            ["--workers", "1"],
            ["--offices", &offices.join(",")],
        ];
        let flags = flags.concat().into_iter().map(str::to_owned).collect();
        Self { folder, outbox, flags, snapshots: 0 }
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
        link(folder, &path("tis"));
    }

    /// The service.
    pub fn service(&self) -> Program {
        let (folder, outbox, flags) = (self.folder.path().to_owned(), self.outbox.clone(), self.flags.clone());
        Box::new(move |state, instance| command(&folder, &outbox, &flags, state, instance))
    }

    /// A batch once all services have ended; its summary.
    pub fn batch(&self, now: &str) -> serde_json::Value {
        let state = self.folder.path().join("state-of-batch");
        let mut command = command(self.folder.path(), &self.outbox, &self.flags, &state, "batch");
        command.args(["--once", "--output", "json", "--records", "--now", now]);
        let answer = command.output().unwrap();
        assert!(answer.status.success(), "{answer:?}");
        serde_json::from_slice(&answer.stdout).unwrap()
    }
}

fn command(folder: &Path, outbox: &Path, flags: &[String], state: &Path, instance: &str) -> Command {
    let mut command = Command::new(program().unwrap_or_else(|text| panic!("{text}")));
    command.arg("run").arg("--inbox").arg(folder.join("inbox")).arg("--tis").arg(folder.join("tis"));
    command.arg("--outbox").arg(outbox).arg("--state").arg(state);
    command.args(flags).args(["--instance", instance]).env_remove("TRIBUTARY_LOG_LEVEL");
    command
}
