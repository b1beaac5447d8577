//! The process is killed while updates come (kill -9): every `OK` is whole, nothing else is partial, and a subscriber
//! ends equal to the index.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::messages::{self, Engaged, LABORATORY_DOMAIN, texts};
use crate::systems::Systems;
use crate::world::{Platform, configuration, folder};

/// How often it is killed.
const KILLS: u64 = 50;

/// Updates that are under way at once.
const SENDERS: usize = 3;

/// The pause of a sender between two of them.
const PAUSE: Duration = Duration::from_millis(10);

/// So many that the answer about none of them is cut.
const PATIENTS: usize = 97;

/// Transactions of an update.
const TRANSACTIONS: usize = 12;

const NOTIFIED: &str = "[aggregation.tak]\nfile = \"tak.json\"\n[aggregation.notification]\nredelivery_delay_ms = 50\n";

fn patient(number: usize) -> String {
    format!("1990010100{:02}", number % PATIENTS)
}

/// The objects of an update: for several patients, so that they are in several partitions.
fn engaged(name: &str) -> Vec<Engaged> {
    let first = name.bytes().map(usize::from).sum::<usize>();
    let one = |number: usize| Engaged::laboratory(&patient(first + number), "SE-UNIT", &format!("{name}-{number}"));
    (0..TRANSACTIONS).map(one).collect()
}

/// Sends updates until the process is gone. Returns the names of those that were accepted, and of all.
async fn send(client: reqwest::Client, url: String, sender: String) -> (Vec<String>, Vec<String>) {
    let (mut accepted, mut all) = (Vec::new(), Vec::new());
    for number in 0.. {
        let name = format!("{sender}-{number}");
        all.push(name.clone());
        let request = client.post(format!("{url}/skltp-ei/update-service/v1")).header("content-type", "text/xml");
        let request = request.header("x-skltp-correlation-id", &name);
        let Ok(response) = request.body(messages::update("SE-EI", &engaged(&name))).send().await else { break };
        let Ok(body) = response.text().await else { break };
        if texts(&body, "ResultCode") == ["OK"] {
            accepted.push(name);
        }
        tokio::time::sleep(PAUSE).await;
    }
    (accepted, all)
}

/// How many objects of each update the index has.
async fn found(platform: &Platform) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for number in 0..PATIENTS {
        let found = platform.find(&patient(number), LABORATORY_DOMAIN, "").await;
        for object in texts(&found, "businessObjectInstanceIdentifier") {
            *counts.entry(object.rsplit_once('-').unwrap().0.to_owned()).or_default() += 1;
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_in_mid_update() {
    let systems = Systems::start().await;
    let folder = folder(&configuration(&systems.url, NOTIFIED));
    std::fs::write(folder.path().join("tak.json"), "{\"subscribers\": [{\"address\": \"SE-ALL\"}]}").unwrap();
    let mut platform = Platform::start_in(folder);
    let (mut accepted, mut all) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..KILLS {
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            senders.spawn(send(platform.client.clone(), platform.url.clone(), format!("{seed}.{sender}")));
        }
        // A fixed sequence of times that hits every phase, the first round and the restore included.
        tokio::time::sleep(Duration::from_millis(20 + seed * 37 % 300)).await;
        platform = platform.kill();
        while let Some(sent) = senders.join_next().await {
            let (some, of) = sent.unwrap();
            accepted.extend(some);
            all.extend(of);
        }
    }
    assert!(accepted.len() > KILLS as usize, "hardly anything was accepted: {}", accepted.len());
    let whole = |counts: &BTreeMap<String, usize>| {
        counts.values().all(|count| *count == TRANSACTIONS)
            && accepted.iter().all(|name| counts.contains_key(name))
            && counts.keys().all(|name| all.contains(name))
    };
    let end = Instant::now() + Duration::from_mins(1);
    let mut counts = found(&platform).await;
    while !whole(&counts) {
        let partial: Vec<_> = counts.iter().filter(|(_, count)| **count != TRANSACTIONS).take(5).collect();
        let lost: Vec<_> = accepted.iter().filter(|name| !counts.contains_key(*name)).take(5).collect();
        assert!(Instant::now() < end, "partial {partial:?}, lost {lost:?} of {} updates", all.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
        counts = found(&platform).await;
    }
    platform
        .wait_until("the subscriber knows what the index knows", async || {
            let mut told = BTreeSet::new();
            for call in systems.calls() {
                told.extend(texts(&call.body, "businessObjectInstanceIdentifier"));
            }
            told.len() == counts.len() * TRANSACTIONS
        })
        .await;
}
