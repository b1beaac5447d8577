//! Processes of one namespace.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tributary_harness::process::{KilledOnDrop, signal};
use tributary_harness::{Services, fresh_namespace, wait_until};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// The token of the origin system.
pub(crate) const TOKEN: &str = "the-secret-of-esdh-a";

/// A namespace with one origin system and one client on Kafka.
pub(crate) struct Namespace {
    pub(crate) services: Services,
    pub(crate) name: String,
    folder: TempDir,
}

impl Namespace {
    /// `None` without services: the test is skipped.
    #[track_caller]
    pub(crate) fn new() -> Option<Self> {
        let services = Services::find()?;
        let folder = tempfile::tempdir().unwrap();
        let hash = Sha256::digest(TOKEN).iter().fold(String::new(), |hash, byte| hash + &format!("{byte:02x}"));
        std::fs::write(folder.path().join("tokens.txt"), format!("esdh-a-id - {hash}\n")).unwrap();
        let configuration = "[auth]\nmode = \"tokens\"\ntokens_file = \"tokens.txt\"\n\
            [cases.origins.esdh-a]\nclient_id = \"esdh-a-id\"\ndetails = [\"https://esdh.example\"]\n\
            [cases.clients.journal-1]\nclient_id = \"journal-1-id\"\nchannel = \"kafka\"\nsees = [\"esdh-a\"]\n\
            [kafka.consumer]\n\"session.timeout.ms\" = \"6000\"\n\"heartbeat.interval.ms\" = \"1000\"\n";
        std::fs::write(folder.path().join("dis.toml"), configuration).unwrap();
        Some(Self { services, name: fresh_namespace("cases"), folder })
    }

    /// The name of a topic on the broker.
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.name)
    }

    /// Starts a process, and waits until it is ready.
    pub(crate) fn start(&self, instance: &str) -> Member {
        let (folder, log) = (self.folder.path(), self.log(instance));
        let written = File::options().append(true).create(true).open(&log).unwrap();
        let before = text(&log).matches("ready: ").count();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.args(["run", "--flow", "cases", "--http", "127.0.0.1:0", "--instance", instance]);
        command.args(self.services.flags(&self.name));
        command.arg("--config").arg(folder.join("dis.toml")).arg("--state").arg(folder.join(instance));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(written);
        let mut member = Member(KilledOnDrop(command.spawn().unwrap()));
        wait_until("the process is ready", PATIENCE, || {
            let ended = member.0.0.try_wait().unwrap();
            assert!(ended.is_none(), "it has ended: {}", text(&log));
            text(&log).matches("ready: ").count() > before
        });
        member
    }

    /// What the processes of this instance name have logged.
    pub(crate) fn logged(&self, instance: &str) -> String {
        text(&self.log(instance))
    }

    fn log(&self, instance: &str) -> PathBuf {
        self.folder.path().join(format!("{instance}.log"))
    }
}

/// A process.
pub(crate) struct Member(KilledOnDrop);

impl Member {
    /// Ends it without notice.
    pub(crate) fn kill(mut self) {
        signal(self.0.0.id(), "KILL");
        self.0.0.wait().unwrap();
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
