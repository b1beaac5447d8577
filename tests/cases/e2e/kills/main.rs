//! Processes of the distribution are killed while origin systems send and clients read: each accepted command takes
//! effect once, each notification comes once, and 404 is never the answer for a living case.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panicking; its modules are its own")]

mod cluster;
mod origins;
mod readers;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::Cluster;
use origins::Origins;
use readers::Readers;
use tributary_harness::{Cassandra, Services, fresh_namespace};

/// How long the tests wait for what must become true.
const PATIENCE: Duration = Duration::from_mins(3);

/// Cases of each origin system.
const CASES: u32 = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_on_the_embedded_log_loses_and_repeats_nothing() {
    let cluster = Cluster::embedded(None);
    run(cluster, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_processes_on_kafka_lose_and_repeat_nothing() {
    let Some(services) = Services::find() else { return };
    let cluster = Cluster::on_kafka(&services, &fresh_namespace("cases-kills"), None, 3);
    run(cluster, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_with_tables_loses_and_repeats_nothing() {
    let Some(cassandra) = Cassandra::find() else { return };
    let cluster = Cluster::embedded(Some(&cassandra));
    run(cluster, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_processes_on_kafka_that_share_tables_lose_and_repeat_nothing() {
    let (Some(services), Some(cassandra)) = (Services::find(), Cassandra::find()) else { return };
    let cluster = Cluster::on_kafka(&services, &fresh_namespace("cases-kills-cql"), Some(&cassandra), 3);
    run(cluster, 4).await;
}

/// Sends, reads and kills at once, and then compares.
async fn run(cluster: Cluster, kills: u32) {
    let cluster = Arc::new(cluster);
    let origins = Arc::new(Origins::new(&["esdh-a", "esdh-b"], CASES));
    let readers =
        Readers::start(&cluster, &origins, &[("journal-1", &["esdh-a", "esdh-b"]), ("journal-2", &["esdh-a"])]);
    let sending = origins.send_all(&cluster);
    for number in 0..kills {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        cluster.kill_and_start(number);
    }
    sending.await.unwrap();
    let outcomes = origins.outcomes(&cluster, Instant::now() + PATIENCE).await;
    origins.check_outcomes(&outcomes);
    let told = readers.finish(&outcomes, Instant::now() + PATIENCE).await;
    for (client, notifications) in &told {
        origins::check_notifications(client, notifications);
    }
    origins.check_list(&cluster).await;
    cluster.end();
}
