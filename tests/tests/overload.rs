//! Input that comes faster than the output can be written: memory stays as it is, what is left to do is reported, and
//! when the output flows again everything is done.
//!
//! The output is slow because the broker limits the client, as a shared cluster does. `TRIBUTARY_OVERLOAD_SECONDS` says
//! for how long; `tests/overload` sets it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tributary_connectors::kafka::{KafkaConfiguration, KafkaLag};
use tributary_harness::process::{KilledOnDrop, built, signal};
use tributary_harness::{Services, fresh_namespace};
use tributary_position_join::flow::{FLOW, INBOXES};
use tributary_runtime::Lag;

const PARTITIONS: i32 = 4;
const POSITIONS: &str = "3000";
/// Input records per second, and what the process may write: about a third of what they make.
const RATE: u64 = 3_000;
const BYTES_PER_SECOND: u32 = 1_000_000;
/// The broker averages over about ten seconds before it slows a client down.
const UNTIL_SLOW: u64 = 15;

struct Overload {
    services: Services,
    namespace: String,
    join: Option<KilledOnDrop>,
}

/// What was seen while the input came too fast.
#[derive(Debug, Default)]
struct Samples {
    /// Resident memory of the process, in megabytes, once a second.
    memory: Vec<u64>,
    most_lag: u64,
}

impl Samples {
    /// The most memory in each tenth of the time, in megabytes.
    fn tenths(&self) -> Vec<u64> {
        let length = self.memory.len().div_ceil(10).max(1);
        self.memory.chunks(length).filter_map(|tenth| tenth.iter().max().copied()).collect()
    }
}

impl Overload {
    fn command(&self, program: &str) -> Command {
        let how = "run `cargo build -p tributary-position-join --examples` first";
        let program = built(&format!("examples/{program}"), how).unwrap();
        let mut command = Command::new(program);
        command.args(["--kafka", &self.services.kafka, "--namespace", &self.namespace]).stdin(Stdio::null());
        command.args(["--partitions", &PARTITIONS.to_string()]);
        command
    }

    fn start_join(&mut self) {
        let mut command = self.command("position_join");
        let join = command.args(["--instance", &self.namespace]).stdout(Stdio::null()).spawn().unwrap();
        self.join = Some(KilledOnDrop(join));
    }

    /// What the program that makes and measures the data says.
    fn data(&self, arguments: &[&str]) -> String {
        let output = self.command("position_join_data").args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(output.status.success(), "{arguments:?}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// Changes at a steady rate, and how long they took.
    fn latency(&self, rate: u64, seconds: u64) -> String {
        let (rate, seconds) = (rate.to_string(), seconds.to_string());
        let content = ["--positions", POSITIONS, "--bucket", "50", "--skip-seconds", "3"];
        self.data(&[&["latency", "--rate", &rate, "--seconds", &seconds], content.as_slice()].concat())
    }

    fn lag(&self) -> KafkaLag {
        let configuration = KafkaConfiguration::new(&self.services.kafka, &self.namespace, "overload");
        KafkaLag::open(&configuration, &[(FLOW, INBOXES.to_vec())], PARTITIONS).unwrap()
    }

    fn settle(&self) {
        let (lag, deadline) = (self.lag(), Instant::now() + Duration::from_mins(5));
        while lag.lag() != Ok(0) {
            assert!(Instant::now() < deadline, "does not settle: {:?}", lag.lag());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn memory(&self) -> u64 {
        let id = self.join.as_ref().unwrap().id();
        let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let resident = text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        resident.unwrap().parse::<u64>().unwrap() / 1024
    }

    /// Looks once a second until all changes have been sent.
    fn sample(&self, during: Duration) -> Samples {
        let (lag, started, mut samples) = (self.lag(), Instant::now(), Samples::default());
        while started.elapsed() < during {
            std::thread::sleep(Duration::from_secs(1));
            samples.memory.push(self.memory());
            samples.most_lag = samples.most_lag.max(lag.lag().unwrap());
        }
        samples
    }
}

/// Sends changes that come too fast, beside the test.
fn flood(services: &Services, namespace: &str, seconds: u64) -> JoinHandle<String> {
    let flood = Overload { services: services.clone(), namespace: namespace.to_owned(), join: None };
    std::thread::spawn(move || flood.latency(RATE, seconds))
}

#[test]
fn more_input_than_output_takes_no_more_memory_and_is_made_up_for() {
    let Some(services) = Services::find() else {
        return;
    };
    let seconds = std::env::var("TRIBUTARY_OVERLOAD_SECONDS").map_or(30, |text| text.parse::<u64>().unwrap());
    let namespace = fresh_namespace("overload");
    let mut overload = Overload { services: services.clone(), namespace: namespace.clone(), join: None };
    overload.data(&["load", "--positions", POSITIONS, "--bucket", "50", "--changes", "0"]);
    overload.start_join();
    overload.settle();
    let before = overload.latency(RATE / 3, 10);

    let client = format!("tributary-{namespace}");
    services.limit(&client, BYTES_PER_SECOND);
    let flood = flood(&services, &namespace, seconds);
    let samples = overload.sample(Duration::from_secs(seconds));
    services.limit(&client, 0);
    let meanwhile = flood.join().unwrap();
    overload.settle();

    let after = overload.latency(RATE / 3, 10);
    let mut join = overload.join.take().unwrap();
    signal(join.id(), "TERM");
    assert!(join.wait().unwrap().success());
    let verified = overload.data(&["verify"]);
    println!("{seconds} s, memory by tenths {:?} MB, lag up to {} records", samples.tenths(), samples.most_lag);
    println!("before {before}\nmeanwhile {meanwhile}\nafter {after}\n{verified}");
    assert!(
        samples.most_lag > RATE * UNTIL_SLOW / 2,
        "the output was not too slow, or the lag is not reported: {samples:?}"
    );
    let (first, later) = samples.memory.split_at(samples.memory.len() / 2);
    let (first, later) = (*first.iter().max().unwrap(), *later.iter().max().unwrap());
    assert!(later <= first + first / 4 + 20, "memory grows with what is left to do: {samples:?}");
}
