//! What tables on a disk keep, and what a full disk does.

use std::ops::Bound;
use std::process::Command;

use tributary_runtime::conformance::all_of_tables;
use tributary_runtime::{StateStore, TableStore};

use super::*;

fn writes(entries: &[(&str, Option<&str>)]) -> TableWrites {
    entries.iter().map(|(key, value)| ((*key).into(), value.map(Into::into))).collect()
}

#[test]
fn tables_on_a_disk_conform() {
    let folder = tempfile::tempdir().unwrap();
    all_of_tables(&DiskTables::open(&folder.path().join("new/tables")).unwrap());
}

#[test]
fn a_folder_in_use_is_refused_and_what_an_earlier_process_left_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let tables = DiskTables::open(folder.path()).unwrap();
    let table = tables.create("words");
    table.apply(&writes(&[("a", Some("1"))])).unwrap();
    let refused = DiskTables::open(folder.path()).err().unwrap();
    assert!(refused.to_string().contains("in use by another process") && refused.to_string().contains("--state"));
    assert!(DiskTables::remove(folder.path()).is_err());
    drop((table, tables));
    let again = DiskTables::open(folder.path()).unwrap();
    assert_eq!(again.create("words").get(b"a").unwrap(), None);
    drop(again);
    for _ in 0..2 {
        DiskTables::remove(folder.path()).unwrap();
        assert!(!folder.path().join(DATABASE).exists());
        assert!(folder.path().join("lock").exists(), "the lock is held meanwhile");
    }
    DiskTables::remove(&folder.path().join("none")).unwrap();
}

#[test]
fn a_dropped_table_is_removed_from_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let tables = DiskTables::open(folder.path()).unwrap();
    let names = || {
        let opened = tables.0.opened.read().unwrap();
        opened.as_ref().unwrap().database.list_keyspace_names().len()
    };
    let (first, second) = (tables.create("words"), tables.create("words"));
    for table in [&first, &second] {
        table.apply(&writes(&[("a", Some("1"))])).unwrap();
    }
    assert_eq!(names(), 2);
    drop(first);
    assert_eq!(names(), 1);
    assert_eq!(second.get(b"a").unwrap(), Some(b"1".to_vec()));
}

const FOLDER_VARIABLE: &str = "TRIBUTARY_TEST_FULL_TABLES";
/// Slightly more than the initial size of a journal, in the 512-byte blocks that `sh` counts.
const LARGEST_FILE_BLOCKS: u32 = 68 * 1024 * 2;

/// The same test is both processes: the parent, which checks, and, if a variable is set, the child, whose files cannot
/// grow.
#[test]
fn what_a_full_disk_does_not_take_is_written_when_there_is_room_and_nothing_else_is_lost() {
    if let Ok(folder) = std::env::var(FOLDER_VARIABLE) {
        return fill_the_disk(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let limited = format!("trap '' XFSZ; ulimit -f {LARGEST_FILE_BLOCKS}; exec \"$0\" \"$@\"");
    let test = "tables::tests::what_a_full_disk_does_not_take_is_written_when_there_is_room_and_nothing_else_is_lost";
    let output = Command::new("sh")
        .args(["-c", &limited])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(FOLDER_VARIABLE, folder.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn fill_the_disk(folder: &Path) {
    let tables = DiskTables::open(folder).unwrap();
    let (table, other) = (tables.create("words"), tables.create("words"));
    table.apply(&writes(&[("before", Some("1"))])).unwrap();
    other.apply(&writes(&[("other", Some("1"))])).unwrap();
    let megabyte = vec![b'x'; 1 << 20];
    let large: TableWrites = (0..80_u8).map(|number| (vec![number], Some(megabyte.clone()))).collect();
    for _ in 0..2 {
        let error = table.apply(&large).unwrap_err();
        assert!(matches!(&error, TableError::Unavailable(text) if text.contains("free space on that disk")), "{error}");
        assert_eq!(table.get(b"before").unwrap(), Some(b"1".to_vec()));
        assert_eq!(other.get(b"other").unwrap(), Some(b"1".to_vec()));
        let database = || tables.0.opened.read().unwrap().clone();
        let opened = database().unwrap();
        assert_eq!(other.apply(&writes(&[("other", Some("2"))])).unwrap_err(), error, "nothing is tried for a while");
        assert!(Arc::ptr_eq(&opened, &database().unwrap()));
        drop(opened);
        std::thread::sleep(REOPEN_PAUSE);
    }
    // A part of it has room.
    let part: TableWrites = large.into_iter().take(10).collect();
    table.apply(&part).unwrap();
    let all = KeyRange { from: Bound::Unbounded, to: Bound::Unbounded };
    assert!(table.first(all, 100).unwrap().len() >= 11);
}

#[test]
fn a_store_of_many_entries_is_the_same_on_a_disk() {
    let folder = tempfile::tempdir().unwrap();
    let tables = DiskTables::open(folder.path()).unwrap();
    let mut store: TableStore<u32, String> = TableStore::new(0, "words", tables.create("words"));
    let text = "x".repeat(800);
    for number in 0..20_000 {
        store.put(&number, &text).unwrap();
        if number % 100 == 0 {
            store.commit();
        }
    }
    store.commit();
    for number in (0..20_000).step_by(2) {
        store.delete(&number).unwrap();
    }
    store.commit();
    let keys: Vec<u32> = store.range(5_000..5_010).map(|entry| entry.unwrap().0).collect();
    assert_eq!(keys, [5_001, 5_003, 5_005, 5_007, 5_009]);
    assert_eq!(store.count(..).unwrap(), 10_000);
    store.clear().unwrap();
    assert_eq!(store.count(..).unwrap(), 0);
}

#[test]
fn a_failure_that_comes_late_does_not_close_the_database_that_was_opened_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let tables = DiskTables::open(folder.path()).unwrap();
    let table = tables.create("words");
    let opened = || tables.0.opened.read().unwrap().clone();
    let first = opened().unwrap();
    tables.0.close(Arc::clone(&first));
    assert!(opened().is_none());
    let second = Opened::open(&folder.path().join("other")).unwrap();
    *tables.0.opened.write().unwrap() = Some(Arc::new(second));
    tables.0.close(first);
    assert!(opened().is_some());
    table.apply(&writes(&[("a", Some("1"))])).unwrap();
}
