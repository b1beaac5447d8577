//! Two processes of one namespace on Kafka.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tributary_harness::{Services, fresh_namespace};
use tributary_registry_sample::Register;

use crate::world::{NUMBER, PATIENCE, World, configuration, folder};

/// A process that is gone is noticed soon.
const KAFKA: &str = "[kafka.consumer]\n\"session.timeout.ms\" = \"6000\"\n\"heartbeat.interval.ms\" = \"1000\"\n";

/// A process of its own, and a register that it does not call: both call the first one's.
async fn start(services: &Services, namespace: &str, instance: &str, register: &Register) -> World {
    let folder = folder(&configuration(register, "", KAFKA));
    let mut flags = services.flags(namespace);
    // One worker each: both processes have a partition.
    flags.extend(["--instance", instance, "--workers", "1"].map(str::to_owned));
    World::start_on(folder, Register::start(None).await.unwrap(), &flags)
}

fn number(number: u32) -> String {
    format!("19940101-{number:05}")
}

/// What one process has committed, the other one shows at once. Each number is called once, by whichever process has
/// its partition, and after one is gone, the other makes its calls.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_rows_and_calls() {
    let Some(services) = Services::find() else { return };
    let namespace = fresh_namespace("registry");
    let register = Register::start(None).await.unwrap();
    let (first, second) =
        (start(&services, &namespace, "one", &register).await, start(&services, &namespace, "two", &register).await);
    for index in 0..20 {
        let (asked, other) = if index % 2 == 0 { (&first, &second) } else { (&second, &first) };
        let row = asked.sync(&number(index), None).await;
        let seen = other.row(&number(index)).await;
        assert_eq!(seen["id"], row["id"], "the other process has it at once");
        assert!(other.row_with(&number(index), "processed").await["info"].is_object());
    }
    let calls = (0..20).map(|index| register.calls_of(&number(index)));
    assert!(calls.clone().all(|count| count == 1), "{:?}", calls.collect::<Vec<_>>());
    // A pause is one of all processes.
    let (status, _) = first.admin(Method::POST, "kinds/unzr/pause", None).await;
    assert_eq!(status, 200);
    let paused = second.admin(Method::GET, "kinds", None).await.1;
    assert_eq!(paused[0]["paused"], json!(true), "{paused}");
    let row = first.sync(NUMBER, None).await;
    assert_eq!(register.calls_of(NUMBER), 0);
    // One process is killed while its job waits.
    drop(first);
    second.admin(Method::POST, "kinds/unzr/resume", None).await;
    let deadline = std::time::Instant::now() + 2 * PATIENCE;
    while second.row(NUMBER).await["jobStatus"] != "processed" {
        assert!(std::time::Instant::now() < deadline, "{}", second.job(&row).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(register.calls_of(NUMBER), 1);
    let id = row["databaseId"].as_str().unwrap();
    let audit = second.admin(Method::GET, &format!("audit?resource_id={id}&action=outcome"), None).await.1;
    assert_eq!(audit["entries"].as_array().map(Vec::len), Some(1), "{audit}");
    assert_eq!(audit["next"], Value::Null);
    let (code, said) = second.process.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains(NUMBER), "{said}");
}
