//! Origin systems: the commands of their cases, in any order, some of them twice; and what must have become of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::cluster::Cluster;
use crate::readers::Notification;

/// The command types, in the order in which a case would see them without any disorder.
pub const TYPES: [&str; 4] = ["CreateCase", "UpdateCase", "CloseCase", "DeleteCase"];

/// Commands that are under way at once.
const AT_ONCE: usize = 8;

/// A case and its commands.
pub struct Case {
    pub origin: &'static str,
    pub id: String,
    /// Types in the order in which they are sent.
    order: Vec<usize>,
    /// Whether its delete command may have taken effect.
    pub may_be_deleted: AtomicBool,
}

/// All cases.
pub struct Origins {
    pub cases: HashMap<String, Arc<Case>>,
}

/// What became of a command, by case and type.
pub type Outcomes = BTreeMap<(String, usize), String>;

impl Origins {
    /// Every second case is deleted. The order of the commands of a case is one of the 24.
    pub fn new(origins: &[&'static str], cases: u32) -> Self {
        let mut all = HashMap::new();
        for (index, origin) in origins.iter().enumerate() {
            for number in 0..cases {
                let id = format!("{index:08x}-0000-4000-8000-{number:012x}");
                let mut order = permutation(number as usize / 2 % 24);
                if number % 2 == 1 {
                    order.retain(|kind| *kind != 3);
                }
                let case = Case { origin, id: id.clone(), order, may_be_deleted: AtomicBool::new(false) };
                all.insert(id, Arc::new(case));
            }
        }
        Self { cases: all }
    }

    /// Sends the commands of all cases, of several cases at once.
    pub fn send_all(&self, cluster: &Arc<Cluster>) -> JoinHandle<()> {
        let mut lanes: Vec<Vec<Arc<Case>>> = vec![Vec::new(); AT_ONCE];
        let mut cases: Vec<&Arc<Case>> = self.cases.values().collect();
        cases.sort_by_key(|case| case.id.clone());
        for (number, case) in cases.into_iter().enumerate() {
            lanes[number % AT_ONCE].push(Arc::clone(case));
        }
        let cluster = Arc::clone(cluster);
        tokio::spawn(async move {
            let lanes = lanes.into_iter().map(|lane| {
                let cluster = Arc::clone(&cluster);
                tokio::spawn(async move {
                    for case in lane {
                        case.send(&cluster).await;
                    }
                })
            });
            for lane in lanes.collect::<Vec<_>>() {
                lane.await.unwrap();
            }
        })
    }

    /// Waits until every command has its outcome.
    pub async fn outcomes(&self, cluster: &Cluster, deadline: Instant) -> Outcomes {
        let mut outcomes = Outcomes::new();
        for case in self.cases.values() {
            for kind in &case.order {
                let path = format!("/api/Commands/{}", case.command(*kind));
                let is_final = |answer: &crate::cluster::Answer| {
                    let status = answer.body["status"].as_str().unwrap_or_default();
                    answer.status == 200 && !matches!(status, "accepted" | "parked")
                };
                let answer = cluster.ask(Method::GET, case.origin, &path, None, is_final).await;
                assert!(Instant::now() < deadline, "outcomes are missing");
                let status = answer.body["status"].as_str().unwrap().to_owned();
                outcomes.insert((case.id.clone(), *kind), status);
            }
        }
        outcomes
    }

    /// Without a delete command everything is applied, in any order.
    pub fn check_outcomes(&self, outcomes: &Outcomes) {
        for ((case, kind), status) in outcomes {
            let is_deleted = self.cases[case].has_delete();
            let is_right = match status.as_str() {
                "applied" => true,
                "dropped" => is_deleted && *kind != 3,
                "unchanged" => is_deleted && *kind == 3,
                _ => false,
            };
            assert!(is_right, "{} of {case} is {status}", TYPES[*kind]);
        }
    }

    /// The list has the cases that live, closed, with the time of their update.
    pub async fn check_list(&self, cluster: &Cluster) {
        let answer = cluster.ask(Method::GET, "journal-1", "/api/Cases", None, |answer| answer.status == 200).await;
        let rows = answer.body.as_array().unwrap();
        let listed: BTreeMap<&str, &Value> = rows.iter().map(|row| (row["id"].as_str().unwrap(), row)).collect();
        let living = self.cases.values().filter(|case| !case.has_delete());
        let expected: BTreeSet<&str> = living.map(|case| case.id.as_str()).collect();
        assert_eq!(listed.keys().copied().collect::<BTreeSet<_>>(), expected);
        for row in rows {
            assert_eq!(
                (row["status"].as_str(), row["updated"].as_str()),
                (Some("Closed"), Some("2026-11-20T11:00:00Z"))
            );
        }
    }
}

impl Case {
    fn has_delete(&self) -> bool {
        self.order.contains(&3)
    }

    fn command(&self, kind: usize) -> String {
        format!("{}-000{kind}-4000-8000-{}", &self.id[..8], &self.id[24..])
    }

    async fn send(&self, cluster: &Cluster) {
        for (index, kind) in self.order.iter().enumerate() {
            let mut body = json!({"caseId": self.id, "commandId": self.command(*kind)});
            match kind {
                0 => {
                    body["created"] = "2026-11-20T10:00:00Z".into();
                    body["caseDetailsUri"] = format!("https://esdh.example/{}", self.id).into();
                }
                1 => body["updated"] = "2026-11-20T12:00:00+01:00".into(),
                _ => {}
            }
            if *kind == 3 {
                self.may_be_deleted.store(true, Ordering::SeqCst);
            }
            let path = format!("/api/Commands/{}", TYPES[*kind]);
            // One that is not answered is sent again, and some are sent twice in any case.
            for _ in 0..=usize::from(index == 1) {
                cluster.ask(Method::POST, self.origin, &path, Some(&body), |answer| answer.status == 202).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Each case was told of in an order that makes sense, each change once.
pub fn check_notifications(client: &str, notifications: &[Notification]) {
    let mut kinds: HashMap<&str, Vec<i64>> = HashMap::new();
    for notification in notifications {
        kinds.entry(&notification.case).or_default().push(notification.kind);
    }
    for (case, kinds) in kinds {
        let mut sorted = kinds.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), kinds.len(), "{client} was told twice of {case}: {kinds:?}");
        assert_eq!(kinds[0], 0, "{client} was told of {case} before it was created: {kinds:?}");
        assert!(!kinds[..kinds.len() - 1].contains(&3), "{client} was told of {case} after its end: {kinds:?}");
    }
}

/// The permutation of 0 to 3 with this number.
fn permutation(mut number: usize) -> Vec<usize> {
    let mut left = vec![0, 1, 2, 3];
    let mut order = Vec::new();
    for choices in (1..=4).rev() {
        order.push(left.remove(number % choices));
        number /= choices;
    }
    order
}
