//! What every store of views must do: the same cases on a folder and on Cassandra.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Runtime;
use tributary_harness::{Cassandra, fresh_namespace};
use tributary_runtime::Shutdown;

use super::cql::{CqlConfig, CqlError, CqlViews};
use super::{
    Change, EmbeddedViews, EmbeddedViewsConfig, Piece, Range, ReadPosition, RowKey, StoredRow, ViewError, ViewStore,
};

/// A store, and how another process opens the same rows.
trait Site {
    fn open(&self) -> Arc<dyn ViewStore>;
}

struct Folder(TempDir);

impl Site for Folder {
    fn open(&self) -> Arc<dyn ViewStore> {
        let config = EmbeddedViewsConfig { folder: self.0.path(), log: "a", max_age: Duration::from_hours(1) };
        Arc::new(EmbeddedViews::open(&config).unwrap())
    }
}

struct Tables {
    config: CqlConfig,
    tokio: Runtime,
}

impl Tables {
    fn find() -> Option<Self> {
        let cassandra = Cassandra::find()?;
        let config = CqlConfig {
            nodes: vec![cassandra.node],
            keyspace: "views_test".to_owned(),
            create: Some(1),
            user: Some((cassandra.user, cassandra.password)),
            ca: None,
            datacenter: None,
            spans_datacenters: false,
            timeout: Duration::from_secs(20),
            log: fresh_namespace("log"),
        };
        Some(Self { config, tokio: Runtime::new().unwrap() })
    }

    fn views(&self, change: impl FnOnce(&mut CqlConfig)) -> CqlViews {
        let mut config = self.config.clone();
        change(&mut config);
        CqlViews::new(config, self.tokio.handle().clone(), &Shutdown::new()).unwrap()
    }
}

impl Site for Tables {
    fn open(&self) -> Arc<dyn ViewStore> {
        Arc::new(self.views(|_| {}))
    }
}

fn in_folder(case: fn(&dyn Site)) {
    case(&Folder(tempfile::tempdir().unwrap()));
}

fn in_tables(case: fn(&dyn Site)) {
    if let Some(tables) = Tables::find() {
        case(&tables);
    }
}

/// Sets a row of a record whose key is the row's.
fn put(offset: i64, key: &str, value: &str) -> Change {
    let (key, value) = (key.as_bytes().to_vec(), value.as_bytes().to_vec());
    Change { of: key.clone(), offset, timestamp: 5, put: vec![(key, value)], delete: Vec::new() }
}

fn delete(offset: i64, key: &str) -> Change {
    let key = key.as_bytes().to_vec();
    Change { of: key.clone(), offset, timestamp: 5, put: Vec::new(), delete: vec![key] }
}

fn at(offset: i64) -> ReadPosition {
    ReadPosition { offset, timestamp: 100 + offset }
}

fn up_to(offset: i64) -> Piece {
    Piece { from: 0, to: at(offset) }
}

fn listed(views: &dyn ViewStore, prefix: &str, after: Option<&str>, limit: usize) -> Vec<(String, String)> {
    let range = Range { topic: "t", prefix: prefix.as_bytes(), after: after.map(str::as_bytes), limit };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    views.rows(range).unwrap().into_iter().map(|row| (text(row.key), text(row.value))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The row of a record whose key is the row's.
fn row(views: &dyn ViewStore, key: &str) -> Option<StoredRow> {
    let key = key.as_bytes().to_vec();
    views.get("t", &[RowKey { of: key.clone(), key }]).unwrap().pop().unwrap()
}

fn rows_and_positions(site: &dyn Site) {
    let views = site.open();
    assert_eq!(views.positions("t", 2).unwrap(), [None, None]);
    views.apply("t", 0, vec![put(0, "f/b", "1"), put(1, "f/d", "2"), put(2, "f/b", "3")], up_to(7)).unwrap();
    views.apply("t", 1, vec![put(8, "f/c", "4"), put(5, "other", "5")], up_to(9)).unwrap();
    views.apply("t", 0, vec![delete(8, "f/d"), put(9, "f/a", "6")], up_to(11)).unwrap();
    drop(views);
    let views = site.open();
    assert_eq!(views.positions("t", 3).unwrap(), [Some(at(11)), Some(at(9)), None]);
    assert_eq!(listed(&*views, "f/", None, 9), pairs(&[("f/a", "6"), ("f/b", "3"), ("f/c", "4")]));
    let found = row(&*views, "f/b").unwrap();
    assert_eq!((found.key, found.timestamp, found.value), (b"f/b".to_vec(), 5, b"3".to_vec()));
    assert_eq!(row(&*views, "f/d"), None);
}

#[test]
fn rows_and_positions_are_there_for_the_next_process() {
    in_folder(rows_and_positions);
}

#[test]
fn rows_and_positions_in_tables_are_there_for_the_next_process() {
    in_tables(rows_and_positions);
}

fn pages(site: &dyn Site) {
    let views = site.open();
    let keys: Vec<String> = (0..300).map(|number| format!("f/{number:03}")).collect();
    let changes = keys.iter().zip(0..).map(|(key, offset)| put(offset, key, key)).collect();
    views.apply("t", 0, changes, up_to(300)).unwrap();
    views.apply("t", 1, vec![put(0, "e", "e"), put(1, "f", "f"), put(2, "g", "g")], up_to(3)).unwrap();
    views.apply("t2", 0, vec![put(0, "f/4", "of another topic")], up_to(1)).unwrap();
    let expected: Vec<_> = keys.iter().map(|key| (key.clone(), key.clone())).collect();
    for limit in [1, 7, 300, 1000] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = listed(&*views, "f/", after.as_deref(), limit);
            assert!(page.len() <= limit);
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            found.extend(page);
        }
        assert_eq!(found, expected, "pages of {limit}");
    }
    assert_eq!(listed(&*views, "f/", Some("a"), 9).len(), 9, "a key before the prefix begins with the first");
    assert_eq!(listed(&*views, "", None, 2), pairs(&[("e", "e"), ("f", "f")]));
    assert_eq!(listed(&*views, "f/299", None, 9).len(), 1);
    assert_eq!(listed(&*views, "f/", Some("f/299"), 9), []);
}

#[test]
fn pages_put_together_are_the_range() {
    in_folder(pages);
}

#[test]
fn pages_from_tables_put_together_are_the_range() {
    in_tables(pages);
}

/// A record with two rows moves one of them.
fn moved(site: &dyn Site) {
    let views = site.open();
    let change = |offset: i64, old: &str, new: &str| Change {
        of: b"k".to_vec(),
        offset,
        timestamp: offset,
        put: vec![(b"id/k".to_vec(), new.into()), (format!("by/{new}").into(), b"k".to_vec())],
        delete: if old.is_empty() { Vec::new() } else { vec![format!("by/{old}").into()] },
    };
    views.apply("t", 0, vec![change(0, "", "1"), change(1, "1", "2")], up_to(2)).unwrap();
    assert_eq!(listed(&*views, "", None, 9), pairs(&[("by/2", "k"), ("id/k", "2")]));
    views.apply("t", 0, vec![change(2, "2", "3")], up_to(3)).unwrap();
    assert_eq!(listed(&*views, "", None, 9), pairs(&[("by/3", "k"), ("id/k", "3")]));
    let key = RowKey { of: b"k".to_vec(), key: b"id/k".to_vec() };
    let missing = RowKey { of: b"l".to_vec(), key: b"id/l".to_vec() };
    let found = views.get("t", &[missing.clone(), key, missing]).unwrap();
    assert_eq!(found.into_iter().map(|row| row.map(|row| row.timestamp)).collect::<Vec<_>>(), [None, Some(2), None]);
}

#[test]
fn a_change_moves_several_rows_at_once() {
    in_folder(moved);
}

#[test]
fn a_change_in_tables_moves_several_rows_at_once() {
    in_tables(moved);
}

fn cleared(site: &dyn Site) {
    let views = site.open();
    views.apply("t", 0, vec![put(10, "k", "1"), put(11, "l", "1")], up_to(12)).unwrap();
    views.apply("tt", 0, vec![put(0, "k", "1")], up_to(1)).unwrap();
    views.clear("t").unwrap();
    assert_eq!((listed(&*views, "", None, 9).len(), views.positions("t", 1).unwrap()), (0, vec![None]));
    assert_eq!(views.positions("tt", 1).unwrap(), [Some(at(1))]);
    // The log has other records at offsets that were read before.
    views.apply("t", 0, vec![put(3, "k", "2")], up_to(4)).unwrap();
    assert_eq!(listed(&*views, "", None, 9), pairs(&[("k", "2")]));
    views.clear("t").unwrap();
    // A thread that has not noticed it must not go on: there would be a gap.
    let piece = Piece { from: 4, to: at(5) };
    assert!(matches!(views.apply("t", 0, vec![put(4, "l", "2")], piece), Err(ViewError::Cleared { .. })));
    assert_eq!((listed(&*views, "", None, 9).len(), views.positions("t", 1).unwrap()), (0, vec![None]));
    drop(views);
    let views = site.open();
    views.apply("t", 0, vec![put(1, "k", "3")], up_to(2)).unwrap();
    assert_eq!(listed(&*views, "", None, 9), pairs(&[("k", "3")]));
    assert_eq!(views.positions("t", 1).unwrap(), [Some(at(2))]);
}

#[test]
fn a_topic_is_cleared_and_begins_again_at_lower_offsets() {
    in_folder(cleared);
}

#[test]
fn a_topic_in_tables_is_cleared_and_begins_again_at_lower_offsets() {
    in_tables(cleared);
}

#[test]
fn a_process_that_is_behind_overwrites_nothing_newer() {
    let Some(tables) = Tables::find() else { return };
    let (ahead, behind) = (tables.open(), tables.open());
    let early = || vec![put(0, "a", "1"), put(1, "b", "1"), put(2, "c", "1")];
    ahead.apply("t", 0, early(), up_to(3)).unwrap();
    ahead.apply("t", 0, vec![put(3, "a", "2"), delete(4, "b")], up_to(5)).unwrap();
    behind.apply("t", 0, early(), up_to(3)).unwrap();
    for views in [ahead, behind] {
        assert_eq!(listed(&*views, "", None, 9), pairs(&[("a", "2"), ("c", "1")]));
        assert_eq!(views.positions("t", 1).unwrap(), [Some(at(5))]);
    }
}

#[test]
fn another_process_sees_that_a_topic_was_cleared_with_the_next_positions() {
    let Some(tables) = Tables::find() else { return };
    let (one, other) = (tables.open(), tables.open());
    one.apply("t", 0, vec![put(7, "k", "1")], up_to(8)).unwrap();
    assert_eq!(other.positions("t", 1).unwrap(), [Some(at(8))]);
    one.clear("t").unwrap();
    one.apply("t", 0, vec![put(1, "k", "2")], up_to(2)).unwrap();
    assert_eq!(other.positions("t", 1).unwrap(), [Some(at(2))]);
    assert_eq!(listed(&*other, "", None, 9), pairs(&[("k", "2")]));
}

#[test]
fn logs_in_one_keyspace_do_not_see_each_other() {
    let Some(tables) = Tables::find() else { return };
    let one = tables.views(|_| {});
    let other = tables.views(|config| config.log.push('x'));
    one.apply("t", 0, vec![put(0, "k", "1")], up_to(1)).unwrap();
    assert_eq!((listed(&other, "", None, 9).len(), other.positions("t", 1).unwrap()), (0, vec![None]));
}

#[test]
fn rows_as_large_as_a_command_are_kept() {
    let Some(tables) = Tables::find() else { return };
    let views = tables.open();
    let large = "x".repeat(200 * 1024);
    let mut change = put(0, "k", &large);
    change.put.push((b"l".to_vec(), large.clone().into()));
    views.apply("t", 0, vec![change], up_to(1)).unwrap();
    assert_eq!(listed(&*views, "", None, 9), pairs(&[("k", &large), ("l", &large)]));
}

#[test]
fn what_is_wrong_with_the_database_is_said() {
    let Some(tables) = Tables::find() else { return };
    let failed = |views: CqlViews| match views.positions("t", 1).unwrap_err() {
        ViewError::Cql(error) => error,
        other => panic!("{other}"),
    };
    let wrong = failed(tables.views(|config| config.user = Some(("cassandra".to_owned(), "invented".to_owned()))));
    assert!(matches!(wrong, CqlError::Connect { .. }), "{wrong}");
    assert!(!format!("{wrong} {wrong:?}").contains("invented"), "{wrong}");
    let away = failed(tables.views(|config| config.nodes = vec!["127.0.0.1:1".to_owned()]));
    assert!(matches!(away, CqlError::Connect { .. }) && away.to_string().contains("127.0.0.1:1"), "{away}");
    let absent = failed(tables.views(|config| {
        config.keyspace = "absent".to_owned();
        config.create = None;
    }));
    assert!(matches!(&absent, CqlError::Differs { difference, .. } if difference == "it is not there"), "{absent}");
}

#[test]
fn nobody_waits_for_the_database_after_the_process_was_asked_to_end() {
    // A port that takes connections, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tokio = Runtime::new().unwrap();
    let end = Shutdown::new();
    let config = CqlConfig {
        nodes: vec![silent.local_addr().unwrap().to_string()],
        timeout: Duration::from_hours(1),
        ..never_connected()
    };
    let views = CqlViews::new(config, tokio.handle().clone(), &end).unwrap();
    let waiting = std::thread::spawn(move || views.positions("t", 1));
    let accepted = silent.accept().unwrap();
    end.trigger();
    assert!(matches!(waiting.join().unwrap(), Err(ViewError::Cql(CqlError::Ending))));
    drop(accepted);
}

fn never_connected() -> CqlConfig {
    CqlConfig {
        nodes: vec!["127.0.0.1:9042".to_owned()],
        keyspace: "views".to_owned(),
        create: None,
        user: None,
        ca: None,
        datacenter: None,
        spans_datacenters: false,
        timeout: Duration::from_secs(1),
        log: "a".to_owned(),
    }
}

#[test]
fn a_setting_that_can_never_work_is_refused() {
    let tokio = Runtime::new().unwrap();
    let refused = |change: &dyn Fn(&mut CqlConfig)| {
        let mut config = never_connected();
        change(&mut config);
        CqlViews::new(config, tokio.handle().clone(), &Shutdown::new())
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    assert_eq!(refused(&|_| {}), "");
    assert!(refused(&|config| config.keyspace = "a\"; DROP".to_owned()).starts_with("keyspace of the CQL database"));
    assert!(refused(&|config| config.nodes.clear()).starts_with("nodes of the CQL database"));
    assert!(refused(&|config| config.ca = Some("no certificate".to_owned())).starts_with("ca of the CQL database"));
}
