//! The services that `tests/services/start` has started: where they are, and how one is killed and started again.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::process::signal;
use crate::skipped::skip;

/// Where a skipped test finds more.
pub(crate) const HOW: &str = " (see tests/services/README.md)";

/// A broker and a registry.
#[derive(Debug, Clone)]
pub struct Services {
    /// `host:port` of the broker.
    pub kafka: String,
    /// `host:port` where a proxy of a test has to listen. A client that starts from there stays behind the proxy.
    pub proxied: String,
    /// `host:port` where that proxy finds the broker.
    pub proxy_target: String,
    /// URL of the registry.
    pub registry: String,
    /// Folder of `tests/services`, for restarts.
    folder: String,
}

impl Services {
    /// The services that the environment names. `None` means that this test is skipped, and counted as skipped. If no
    /// test may be skipped, it fails.
    #[track_caller]
    pub fn find() -> Option<Self> {
        let found = (|| {
            let kafka = variable("TRIBUTARY_KAFKA")?;
            let proxied = variable("TRIBUTARY_KAFKA_PROXIED")?;
            let proxy_target = variable("TRIBUTARY_KAFKA_PROXY_TARGET")?;
            let registry = variable("TRIBUTARY_REGISTRY")?;
            Some(Self { kafka, proxied, proxy_target, registry, folder: variable("TRIBUTARY_SERVICES_DIR")? })
        })();
        if found.is_none() {
            skip(&format!("no Kafka and registry{HOW}"));
        }
        found
    }

    /// The flags of `tributary run` on these services, with a namespace.
    pub fn flags(&self, namespace: &str) -> Vec<String> {
        let flags = [
            ["--log", "kafka"],
            ["--kafka", &self.kafka],
            ["--registry", &self.registry],
            ["--namespace", namespace],
            ["--partitions", "2"],
        ];
        flags.concat().into_iter().map(str::to_owned).collect()
    }

    /// Kills `kafka` or `registry` (-9) and starts it again after `pause`, on the same ports and data.
    pub fn restart(&self, service: &str, pause: Duration) {
        restart(&self.folder, service, pause);
    }

    /// Freezes `kafka` or `registry` for a while, its connections open.
    pub fn freeze(&self, service: &str, pause: Duration) {
        let process = std::fs::read_to_string(Path::new(&self.folder).join(service).join("pid")).unwrap();
        let process = process.trim().parse().unwrap();
        signal(process, "STOP");
        std::thread::sleep(pause);
        signal(process, "CONT");
    }

    /// Limits how many bytes a second a client may send to the broker; 0 lifts the limit.
    pub fn limit(&self, client: &str, bytes_per_second: u32) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services/limit");
        let bytes = bytes_per_second.to_string();
        let output = Command::new(script).args(["--dir", &self.folder, client, &bytes]).output().unwrap();
        assert!(output.status.success(), "{client} is not limited: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// What the broker has written to its logs, since its first start.
    pub fn broker_log(&self) -> String {
        let folder = std::fs::read_to_string(Path::new(&self.folder).join("logs.path")).unwrap();
        let logs = std::fs::read_dir(folder.trim()).unwrap().map(|entry| entry.unwrap().path());
        let is_of_broker =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"kafka-"));
        logs.filter(is_of_broker).map(|path| std::fs::read_to_string(path).unwrap()).collect()
    }

    /// What the registry answers to a GET of a path behind its URL.
    pub fn ask_registry(&self, path: &str) -> String {
        let address = self.registry.strip_prefix("http://").expect("the registry of the tests speaks plain HTTP");
        let (host, base) = address.split_once('/').unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        write!(stream, "GET /{base}/{path} HTTP/1.0\r\nHost: {host}\r\nAccept: application/json\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.split(' ').nth(1) == Some("200"), "{path}: {answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}

/// `host:port` of the broker; `None` means that this test is skipped, as for [`Services::find`].
#[track_caller]
pub fn kafka() -> Option<String> {
    let found = variable("TRIBUTARY_KAFKA");
    if found.is_none() {
        skip(&format!("no Kafka{HOW}"));
    }
    found
}

/// URL of the registry; `None` means that this test is skipped, as for [`Services::find`].
#[track_caller]
pub fn registry() -> Option<String> {
    let found = variable("TRIBUTARY_REGISTRY");
    if found.is_none() {
        skip(&format!("no registry{HOW}"));
    }
    found
}

/// A service is stopped as long as this lives. Then it is started again, on its ports and data.
pub struct Stopped {
    folder: String,
    service: &'static str,
}

impl Stopped {
    /// Kills a service (-9) that `tests/services/start` has started in this folder.
    pub(crate) fn kill(folder: &str, service: &'static str) -> Self {
        let process = std::fs::read_to_string(Path::new(folder).join(service).join("pid")).unwrap();
        signal(process.trim().parse().unwrap(), "KILL");
        Self { folder: folder.to_owned(), service }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        restart(&self.folder, self.service, Duration::ZERO);
    }
}

/// Kills a service (-9), if it runs, and starts it again after `pause`, on the same ports and data.
fn restart(folder: &str, service: &str, pause: Duration) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services/restart");
    let pause = pause.as_secs_f64().to_string();
    let output = Command::new(script).args([service, "--dir", folder, "--pause", &pause]).output().unwrap();
    assert!(output.status.success(), "{service} did not return: {}", String::from_utf8_lossy(&output.stderr));
}

/// A variable of the environment that is not empty.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// A namespace that nobody has used.
pub fn fresh_namespace(about: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    format!("{about}-{now}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
