//! Queries from tables: what they say when the tables are away, have lost rows, or have rows that nobody removed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tributary_cases::topics::STATE;
use tributary_connectors::views::cql::CqlError;
use tributary_connectors::views::{
    Change, EmbeddedViews, EmbeddedViewsConfig, Piece, Range, ReadPosition, RowKey, StoredRow, ViewError, ViewStore,
};

use super::world::{CONFIGURATION, Site, World, settings};
use super::{CASE, URI};

const OTHER: &str = "7b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e";

/// Tables in a folder, which can be away.
struct Tables {
    rows: EmbeddedViews,
    is_away: AtomicBool,
    _folder: TempDir,
}

impl Tables {
    fn new() -> Arc<Self> {
        let folder = tempfile::tempdir().unwrap();
        let config = EmbeddedViewsConfig { folder: folder.path(), log: "a", max_age: Duration::from_hours(1) };
        let rows = EmbeddedViews::open(&config).unwrap();
        Arc::new(Self { rows, is_away: AtomicBool::new(false), _folder: folder })
    }

    fn go_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::Relaxed);
    }

    fn reached(&self) -> Result<&EmbeddedViews, ViewError> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(CqlError::ConnectTimeout { nodes: "away".to_owned(), after: Duration::from_secs(1) }.into());
        }
        Ok(&self.rows)
    }

    /// The key of the row of the list whose key ends like this.
    fn listed(&self, end: &str) -> Vec<u8> {
        let range = Range { topic: STATE.name, prefix: b"updated/", after: None, limit: 9 };
        let mut keys = self.rows.rows(range).unwrap().into_iter().map(|row| row.key);
        keys.find(|key| key.ends_with(end.as_bytes())).unwrap()
    }

    /// Changes rows behind the back of the flow.
    fn tamper(&self, put: Vec<(Vec<u8>, Vec<u8>)>, delete: Vec<Vec<u8>>) {
        let positions = self.rows.positions(STATE.name, 1).unwrap();
        let change = Change { of: Vec::new(), offset: 0, timestamp: 0, put, delete };
        let position = positions[0].unwrap_or(ReadPosition { offset: 0, timestamp: 0 });
        self.rows.apply(STATE.name, 0, vec![change], Piece { from: 0, to: position }).unwrap();
    }
}

impl ViewStore for Tables {
    fn positions(&self, topic: &str, partitions: i32) -> Result<Vec<Option<ReadPosition>>, ViewError> {
        self.reached()?.positions(topic, partitions)
    }

    fn apply(&self, topic: &str, partition: i32, changes: Vec<Change>, piece: Piece) -> Result<(), ViewError> {
        self.reached()?.apply(topic, partition, changes, piece)
    }

    fn clear(&self, topic: &str) -> Result<(), ViewError> {
        self.reached()?.clear(topic)
    }

    fn get(&self, topic: &str, keys: &[RowKey]) -> Result<Vec<Option<StoredRow>>, ViewError> {
        self.reached()?.get(topic, keys)
    }

    fn rows(&self, range: Range<'_>) -> Result<Vec<StoredRow>, ViewError> {
        self.reached()?.rows(range)
    }
}

async fn world(tables: &Arc<Tables>) -> World {
    let world = Site::new().open_with_tables(settings(CONFIGURATION), tables.clone());
    world.filled().await;
    create(&world, CASE, "2026-11-20T10:00:00Z").await;
    create(&world, OTHER, "2026-11-20T11:00:00Z").await;
    world
}

async fn create(world: &World, id: &str, time: &str) {
    let body = json!({"caseId": id, "created": time, "caseDetailsUri": URI});
    assert_eq!(world.command("esdh-a-id", "CreateCase", body).await.body["status"], "applied");
}

async fn update(world: &World, id: &str, time: &str) {
    let body = json!({"caseId": id, "updated": time});
    assert_eq!(world.command("esdh-a-id", "UpdateCase", body).await.body["status"], "applied");
}

async fn listed(world: &World) -> Vec<String> {
    let list = world.get("journal-id", "/api/Cases").await;
    assert_eq!(list.status, 200, "{}", list.body);
    list.body.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_case_that_moves_in_the_list_is_there_once() {
    let tables = Tables::new();
    let world = world(&tables).await;
    assert_eq!(listed(&world).await, [CASE, OTHER]);
    let stale = (tables.listed(CASE), tables.rows.rows(first()).unwrap().remove(0).value);
    update(&world, CASE, "2026-11-20T12:00:00Z").await;
    assert_eq!(listed(&world).await, [OTHER, CASE]);
    // A killed process may have left the row of before.
    tables.tamper(vec![stale.clone()], Vec::new());
    assert_eq!(listed(&world).await, [OTHER, CASE]);
    let delete = world.command("esdh-a-id", "DeleteCase", json!({"caseId": CASE})).await;
    assert_eq!(delete.body["status"], "applied");
    // Otherwise the thread that fills the tables may still be about to write its position.
    assert_eq!(listed(&world).await, [OTHER]);
    tables.tamper(vec![stale], Vec::new());
    assert_eq!(listed(&world).await, [OTHER]);
    assert_eq!(world.get("journal-id", &format!("/api/Cases/{CASE}")).await.code(), "CaseNotFound");
}

fn first() -> Range<'static> {
    Range { topic: STATE.name, prefix: b"updated/", after: None, limit: 1 }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_living_case_whose_row_is_lost_is_never_said_to_be_deleted() {
    let tables = Tables::new();
    let world = world(&tables).await;
    let path = format!("/api/Cases/{CASE}");
    assert_eq!(world.get("journal-id", &path).await.status, 200);
    tables.tamper(Vec::new(), vec![format!("id/{CASE}").into_bytes()]);
    let lost = world.get("journal-id", &path).await;
    assert_eq!((lost.status, lost.code()), (503, "ViewUnavailable"));
    assert_eq!(world.get("blind-id", &path).await.code(), "CaseNotFound", "as if it were not there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_are_cleared_are_filled_again_and_no_list_has_gaps_meanwhile() {
    let tables = Tables::new();
    let world = world(&tables).await;
    assert_eq!(listed(&world).await.len(), 2);
    tables.rows.clear(STATE.name).unwrap();
    for _ in 0..2_000 {
        let list = world.get("journal-id", "/api/Cases").await;
        if list.status == 200 {
            assert_eq!(list.body.as_array().map(Vec::len), Some(2), "{}", list.body);
            return;
        }
        assert_eq!(list.code(), "ViewUnavailable");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the tables are not filled again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_tables_are_away_commands_and_notifications_go_on() {
    let tables = Tables::new();
    let world = world(&tables).await;
    tables.go_away(true);
    update(&world, CASE, "2026-11-20T12:00:00Z").await;
    let told = world.get("journal-id", "/api/Notifications").await;
    assert_eq!(told.body["items"].as_array().map(Vec::len), Some(3));
    let hidden = json!({"caseId": CASE, "updated": "2026-11-20T13:00:00Z", "consumers": ["blind"]});
    assert_eq!(world.command("esdh-a-id", "UpdateCase", hidden).await.body["status"], "applied");
    let told = world.get("journal-id", "/api/Notifications").await;
    assert_eq!(told.body["items"].as_array().map(Vec::len), Some(1), "{}", told.body);
    for path in ["/api/Cases", &format!("/api/Cases/{OTHER}"), &format!("/api/Cases/{OTHER}/CaseDetails")] {
        assert_eq!(world.get("journal-id", path).await.code(), "ViewUnavailable", "{path}");
    }
    let hidden = world.get("journal-id", &format!("/api/Cases/{CASE}")).await;
    assert_eq!(hidden.code(), "CaseNotFound", "as if it were not there");
    assert_eq!(world.get("journal-id", "/api/Cases/Deleted").await.status, 200);
    tables.go_away(false);
    for _ in 0..2_000 {
        if world.get("journal-id", &format!("/api/Cases/{OTHER}")).await.status == 200 {
            assert_eq!(listed(&world).await, [OTHER]);
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("queries do not return");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_a_log_that_has_lost_its_end_are_filled_from_its_start() {
    let tables = Tables::new();
    let far = Piece { from: 0, to: ReadPosition { offset: 1_000, timestamp: 0 } };
    let garbage = Change {
        of: Vec::new(),
        offset: 999,
        timestamp: 0,
        put: vec![(format!("id/{CASE}").into_bytes(), b"other".to_vec())],
        delete: Vec::new(),
    };
    for partition in 0..3 {
        tables.rows.apply(STATE.name, partition, vec![garbage.clone()], far).unwrap();
    }
    let world = world(&tables).await;
    for _ in 0..2_000 {
        if world.get("journal-id", &format!("/api/Cases/{CASE}")).await.status == 200 {
            assert_eq!(listed(&world).await, [CASE, OTHER]);
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the tables are not filled again");
}
