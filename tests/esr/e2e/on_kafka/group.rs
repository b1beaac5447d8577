//! Processes on Kafka: where the services are, and processes of one namespace over the folders of one world.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
    /// Those of the test run; `None` means that the test is skipped.
    pub fn found() -> Option<Self> {
        let named = |name| std::env::var(name).ok().filter(|address: &String| !address.is_empty());
        let found = named("TRIBUTARY_KAFKA").zip(named("TRIBUTARY_REGISTRY"));
        if found.is_none() {
            let all = std::env::var("TRIBUTARY_TESTS").is_ok_and(|tests| tests == "all");
            assert!(!all, "TRIBUTARY_KAFKA is not set, and TRIBUTARY_TESTS=all allows no test to be skipped");
            eprintln!("skipped: TRIBUTARY_KAFKA and TRIBUTARY_REGISTRY do not say where the services are");
        }
        found.map(|(kafka, registry)| Self { kafka, registry, own: None })
    }

    /// Ports that nobody listens on.
    pub fn nowhere() -> Self {
        Self { kafka: "127.0.0.1:1".to_owned(), registry: "http://127.0.0.1:1".to_owned(), own: None }
    }

    /// Services that nobody else uses, in `folder`; they end with the value, at the latest with this process.
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

/// The world's flags for a namespace that nobody has used. Members that are gone are noticed soon.
pub fn join_namespace(world: &mut World, services: &Services, settings: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let namespace = format!("group-{now}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
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
    child: Child,
    log: std::path::PathBuf,
}

impl Member {
    pub fn start(world: &World, name: &str, instance: &str) -> Self {
        let log = world.path(&format!("{name}.log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_tributary"));
        command.arg("run");
        for folder in ["inbox", "tis", "outbox"] {
            command.arg(format!("--{folder}")).arg(world.path(folder));
        }
        command.arg("--state").arg(world.path(&format!("state-{name}")));
        command.args(&world.flags).args(["--instance", instance]).env_remove("TRIBUTARY_LOG_LEVEL");
        command.stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        Self { name: name.to_owned(), child: command.spawn().unwrap(), log }
    }

    pub fn told(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub fn has_told(&self, part: &str) -> bool {
        self.told().contains(part)
    }

    pub fn wait_to_tell(&self, part: &str) {
        wait_until(&format!("{} does not tell {part:?}", self.name), || self.has_told(part));
    }

    pub fn reads_folders(&self) -> bool {
        self.has_told("this process reads the inbox")
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends a signal; the exit code, if there is one.
    pub fn end(&mut self, signal: &str) -> Option<i32> {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
        self.exit_code()
    }

    pub fn exit_code(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "{} does not end: {}", self.name, self.told());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.name, self.told());
        }
    }
}

pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

pub fn wait_for(world: &World, file: &str) {
    let what = format!("{file} does not appear; there are {:?}", world.outbox_names());
    wait_until(&what, || world.path("outbox").join(file).exists());
}

/// Names in the outbox of one type.
pub fn names_of(world: &World, kind: &str) -> Vec<String> {
    let kind = format!("_{kind}_");
    world.outbox_names().into_iter().filter(|name| name.contains(&kind)).collect()
}
