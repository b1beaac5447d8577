//! Processes on Kafka: where the services are, and processes of one namespace over the folders of one world.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tributary_harness::process::{KilledOnDrop, signal};
use tributary_harness::{fresh_namespace, wait_until};

use crate::world::World;

pub const PATIENCE: Duration = Duration::from_mins(3);

/// The services of a test run, or of this test alone.
pub struct Services {
    pub kafka: String,
    pub registry: String,
    /// The folder of services that were started for this test alone.
    own: Option<PathBuf>,
}

impl Drop for Services {
    /// Ends what was started here before its folder goes away with the test.
    fn drop(&mut self) {
        if let Some(folder) = &self.own {
            let stopped = script("stop").arg("--dir").arg(folder).status();
            assert!(stopped.is_ok(), "the services in {} cannot be stopped", folder.display());
        }
    }
}

impl Services {
    /// The services of the test run; `None` means that the test is skipped, and counted as skipped.
    #[track_caller]
    pub fn found() -> Option<Self> {
        let found = tributary_harness::Services::find()?;
        Some(Self { kafka: found.kafka, registry: found.registry, own: None })
    }

    /// Ports without a listener.
    pub fn nowhere() -> Self {
        Self { kafka: "127.0.0.1:1".to_owned(), registry: "http://127.0.0.1:1".to_owned(), own: None }
    }

    /// Services of this test alone, in `folder`. They end with the value, at the latest with this process.
    pub fn start(folder: &Path) -> Self {
        let owner = std::process::id().to_string();
        let mut start = script("start");
        start.args(["kafka", "registry", "--owner", &owner, "--dir"]).arg(folder);
        assert!(start.stdout(Stdio::null()).status().unwrap().success());
        let env = fs::read_to_string(folder.join("env")).unwrap();
        let value = |key: &str| env.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
        let own = Some(folder.to_owned());
        Self { kafka: value("TRIBUTARY_KAFKA="), registry: value("TRIBUTARY_REGISTRY="), own }
    }
}

/// A script of the services for tests.
pub fn script(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/services").join(name))
}

/// Adds the flags for a fresh namespace to the world; gives the namespace. The group notices dead members soon.
pub fn join_namespace(world: &mut World, services: &Services, settings: &str) -> String {
    let namespace = fresh_namespace("group");
    let consumer = "[kafka.consumer]\n\"session.timeout.ms\" = \"6000\"\n\"heartbeat.interval.ms\" = \"1000\"\n";
    let text = format!("[esr.inbound]\nsettle_seconds = 0\n{settings}\n[service]\nclock_seconds = 1\n{consumer}");
    fs::write(world.path("my.toml"), text).unwrap();
    let config = world.path("my.toml").display().to_string();
    let flags = ["--config", &config, "--log", "kafka", "--kafka", &services.kafka, "--registry", &services.registry];
    world.flags.extend(flags.map(str::to_owned));
    world.flags.extend(["--namespace", &namespace, "--partitions", "4", "--workers", "1"].map(str::to_owned));
    namespace
}

/// A running service with a state folder of its own.
pub struct Member {
    pub name: String,
    child: KilledOnDrop,
    log: PathBuf,
}

impl Member {
    pub fn start(world: &World, name: &str, instance: &str) -> Self {
        Self::start_with(world, name, instance, |_| {})
    }

    /// The same with a change of the command.
    pub fn start_with(world: &World, name: &str, instance: &str, change: impl FnOnce(&mut Command)) -> Self {
        let log = world.path(&format!("{name}.log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.arg("run");
        for folder in ["inbox", "tis", "outbox"] {
            command.arg(format!("--{folder}")).arg(world.path(folder));
        }
        command.arg("--state").arg(world.path(&format!("state-{name}")));
        command.args(&world.flags).args(["--instance", instance]).env_remove("TRIBUTARY_LOG_LEVEL");
        command.stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        change(&mut command);
        Self { name: name.to_owned(), child: KilledOnDrop(command.spawn().unwrap()), log }
    }

    pub fn logged(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub fn has_logged(&self, part: &str) -> bool {
        self.logged().contains(part)
    }

    pub fn wait_to_log(&self, part: &str) {
        wait_until(&format!("{} logs {part:?}", self.name), PATIENCE, || self.has_logged(part));
    }

    pub fn reads_folders(&self) -> bool {
        self.has_logged("this process reads the inbox")
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn send(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Sends a signal; the exit code, if there is one.
    pub fn end(&mut self, name: &str) -> Option<i32> {
        self.send(name);
        self.exit_code()
    }

    pub fn exit_code(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "{} does not end: {}", self.name, self.logged());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.name, self.logged());
        }
    }
}

pub fn wait_for(world: &World, file: &str) {
    wait_until(&format!("{file} is in the outbox"), PATIENCE, || world.path("outbox").join(file).exists());
}

/// Names in the outbox of one type.
pub fn names_of(world: &World, kind: &str) -> Vec<String> {
    let kind = format!("_{kind}_");
    world.outbox_names().into_iter().filter(|name| name.contains(&kind)).collect()
}
