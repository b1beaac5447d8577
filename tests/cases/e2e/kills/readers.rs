//! Clients: they read their notifications from any process, acknowledge some, and ask for each case at once.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::cluster::Cluster;
use crate::origins::{Origins, Outcomes};

/// What a client was told.
#[derive(Debug, Clone)]
pub struct Notification {
    pub position: i64,
    pub message: String,
    pub case: String,
    pub kind: i64,
}

struct Client {
    name: &'static str,
    /// The origin systems that it sees.
    sees: &'static [&'static str],
    told: Arc<Mutex<Vec<Notification>>>,
    reading: JoinHandle<()>,
}

/// The clients.
pub struct Readers {
    clients: Vec<Client>,
    origins: Arc<Origins>,
    living: Arc<AtomicUsize>,
}

impl Readers {
    pub fn start(
        cluster: &Arc<Cluster>,
        origins: &Arc<Origins>,
        clients: &[(&'static str, &'static [&'static str])],
    ) -> Self {
        let living = Arc::new(AtomicUsize::new(0));
        let clients = clients.iter().map(|(name, sees)| {
            let told = Arc::new(Mutex::new(Vec::new()));
            let reading = read(name, Arc::clone(cluster), Arc::clone(origins), Arc::clone(&told), Arc::clone(&living));
            Client { name, sees, told, reading: tokio::spawn(reading) }
        });
        Self { clients: clients.collect(), origins: Arc::clone(origins), living }
    }

    /// Waits until each client has as many notifications as commands were applied that it may see.
    pub async fn finish(self, outcomes: &Outcomes, deadline: Instant) -> BTreeMap<&'static str, Vec<Notification>> {
        let mut all = BTreeMap::new();
        for Client { name, sees, told, reading } in self.clients {
            let is_seen = |case: &String| sees.contains(&self.origins.cases[case].origin);
            let applied = outcomes.iter().filter(|((case, _), status)| *status == "applied" && is_seen(case)).count();
            while told.lock().unwrap().len() < applied && !reading.is_finished() {
                assert!(Instant::now() < deadline, "{name} has {} of {applied}", told.lock().unwrap().len());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            // More than expected would come now.
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(!reading.is_finished(), "the reader {name} failed");
            reading.abort();
            let told = told.lock().unwrap().clone();
            assert_eq!(told.len(), applied, "{name}");
            let messages: HashSet<&str> = told.iter().map(|told| told.message.as_str()).collect();
            assert_eq!(messages.len(), told.len(), "{name} was told of a command twice");
            assert!(told.windows(2).all(|pair| pair[0].position < pair[1].position), "positions of {name}");
            all.insert(name, told);
        }
        assert!(self.living.load(Ordering::Relaxed) > 0, "no reader found a living case");
        all
    }
}

async fn read(
    name: &'static str,
    cluster: Arc<Cluster>,
    origins: Arc<Origins>,
    told: Arc<Mutex<Vec<Notification>>>,
    living: Arc<AtomicUsize>,
) {
    let mut after = 0;
    loop {
        let path = format!("/api/Notifications?after={after}&limit=20&wait=2");
        let answer = cluster.ask(Method::GET, name, &path, None, |answer| answer.status == 200).await;
        let items = answer.body["items"].as_array().unwrap().clone();
        for item in &items {
            let notification = Notification {
                position: item["position"].as_i64().unwrap(),
                message: item["messageId"].as_str().unwrap().to_owned(),
                case: item["id"].as_str().unwrap().to_owned(),
                kind: item["notificationType"].as_i64().unwrap(),
            };
            after = notification.position;
            look_at(name, &cluster, &origins, &notification, &living).await;
            told.lock().unwrap().push(notification);
        }
        if !items.is_empty() {
            let body = json!({"position": after});
            let path = "/api/Notifications/Acknowledged";
            cluster.ask(Method::PUT, name, path, Some(&body), |answer| answer.status == 200).await;
        }
    }
}

/// A process that has told of a case, and every other one, must know it, unless it may be deleted.
async fn look_at(name: &str, cluster: &Cluster, origins: &Origins, notification: &Notification, living: &AtomicUsize) {
    let path = format!("/api/Cases/{}", notification.case);
    let answer = cluster.ask(Method::GET, name, &path, None, |answer| matches!(answer.status, 200 | 404)).await;
    if answer.status == 200 {
        living.fetch_add(1, Ordering::Relaxed);
        return;
    }
    assert_eq!(answer.code(), "CaseNotFound");
    let case = &origins.cases[&notification.case];
    assert!(case.may_be_deleted.load(Ordering::SeqCst), "{name} got 404 for the living case {}", case.id);
}
