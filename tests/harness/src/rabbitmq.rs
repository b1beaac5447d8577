//! The RabbitMQ that `tests/services/start rabbitmq` has started: where it is, and how it is stopped and changed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::services::variable;
use crate::skipped::skip;

/// A broker with the virtual host `dis`, and users whose passwords are `NAME-password`: `tributary` may do everything,
/// `alpha`, `beta` and `gamma` may only read the queue `dis_notifications_NAME`.
#[derive(Debug, Clone)]
pub struct RabbitMq {
    /// Its URL without encryption.
    pub url: String,
    /// Its URL with TLS.
    pub tls: String,
    folder: String,
}

impl RabbitMq {
    /// The broker that the environment names. `None` means that this test is skipped, as for
    /// [`Services::find`](crate::Services::find).
    #[track_caller]
    pub fn find() -> Option<Self> {
        let found = (|| {
            let (url, tls) = (variable("TRIBUTARY_RABBITMQ")?, variable("TRIBUTARY_RABBITMQ_TLS")?);
            Some(Self { url, tls, folder: variable("TRIBUTARY_SERVICES_DIR")? })
        })();
        if found.is_none() {
            skip("no RabbitMQ (see tests/services/README.md)");
        }
        found
    }

    /// The certification authority of the broker (`ca.pem`), or one that it does not use (`other-ca.pem`).
    pub fn certificates(&self, name: &str) -> PathBuf {
        Path::new(&self.folder).join("rabbitmq").join(name)
    }

    /// Closes the ports of the broker. Its data stays.
    pub fn stop(&self) {
        self.control(&["stop_app"]);
    }

    /// Opens the ports of a stopped broker.
    pub fn start(&self) {
        self.control(&["start_app"]);
    }

    /// Stops the broker, and removes all its queues and messages. The users stay.
    pub fn forget(&self) {
        self.stop();
        self.control(&["reset"]);
    }

    /// Kills the broker (-9), and starts it again on the same ports and data.
    pub fn kill_and_restart(&self) {
        Self::run("restart", &["rabbitmq", "--dir", &self.folder]);
    }

    /// A queue that holds `most` messages rejects further ones.
    pub fn limit(&self, queue: &str, most: u32) {
        let policy = format!("{{\"max-length\":{most},\"overflow\":\"reject-publish\"}}");
        let pattern = format!("^{queue}$");
        self.control(&["set_policy", "-p", "dis", "full", &pattern, &policy, "--apply-to", "queues"]);
    }

    /// No queue is limited.
    pub fn lift_limit(&self) {
        self.control(&["clear_policy", "-p", "dis", "full"]);
    }

    /// Closes all connections of the broker.
    pub fn close_connections(&self) {
        self.control(&["close_all_connections", "--vhost", "dis", "a test"]);
    }

    /// How long a test waits for the broker.
    pub const PATIENCE: Duration = Duration::from_mins(1);

    fn control(&self, arguments: &[&str]) {
        Self::run("rabbitmqctl", &[&["--dir", &self.folder], arguments].concat());
    }

    fn run(script: &str, arguments: &[&str]) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services").join(script);
        let output = Command::new(script).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
