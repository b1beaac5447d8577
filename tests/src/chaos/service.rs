//! How processes of a flow are started by a program that has `tributary run`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tempfile::TempDir;

use super::SESSION_TIMEOUT_MILLIS;
use super::processes::Program;
use super::subject::Site;

/// `tributary run` for one flow at a site, without state folder and instance name.
#[derive(Debug, Clone)]
pub struct ServiceCommand {
    program: PathBuf,
    flags: Vec<String>,
    settings: Arc<TempDir>,
}

impl ServiceCommand {
    /// Runs the flow of the site's subject with `settings`, the lines of a configuration file, and further `flags`.
    pub fn new(site: &Site, program: &Path, settings: &str, flags: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("my.toml");
        let session = format!("kafka.consumer.\"session.timeout.ms\" = \"{SESSION_TIMEOUT_MILLIS}\"\n");
        fs::write(&file, format!("{settings}{session}")).unwrap();
        let own = [
            ["--flow", site.subject.name],
            ["--config", &file.display().to_string()],
            ["--log", "kafka"],
            ["--kafka", &site.services.proxied],
            ["--registry", &site.services.registry],
            ["--namespace", &site.namespace],
            ["--partitions", &site.subject.partitions.to_string()],
            ["--workers", "1"],
            // Several processes run on this machine.
            ["--http", "127.0.0.1:0"],
        ];
        let mut all: Vec<String> = own.concat().into_iter().map(str::to_owned).collect();
        all.extend_from_slice(flags);
        Self { program: program.to_owned(), flags: all, settings: Arc::new(folder) }
    }

    /// The command for a process with this state folder and instance name.
    pub fn command(&self, state: &Path, instance: &str) -> Command {
        assert!(self.settings.path().exists(), "the settings are gone");
        let mut command = Command::new(&self.program);
        command.arg("run").args(&self.flags).args(["--instance", instance]).arg("--state").arg(state);
        command.env_remove("TRIBUTARY_LOG_LEVEL");
        command
    }

    /// The same with another program: another release.
    #[must_use]
    pub fn with_program(&self, program: &Path) -> Self {
        Self { program: program.to_owned(), ..self.clone() }
    }

    /// The service, as the driver starts it.
    pub fn service(&self) -> Program {
        let service = self.clone();
        Box::new(move |state, instance| service.command(state, instance))
    }
}
