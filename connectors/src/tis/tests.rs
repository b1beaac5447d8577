//! What a snapshot publishes, and when it is refused (D1, D2).

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tributary_runtime::{Cleanup, Partitions, Role};
use tributary_schemas::CodecBuilder;
use tributary_schemas::LocalRegistry;

use super::*;

const HEADER: &str = "baseline";

const fn topic(name: &'static str, records: &'static [&'static str]) -> Topic {
    Topic { name, partitions: Partitions::Flow, cleanup: Cleanup::Compact, role: Role::Inbox, records }
}

static POSTS: Topic = topic("tis.post", &["tis.Post"]);
static PLACEMENTS: Topic = topic("tis.placement", &["tis.Placement"]);
static PEOPLE: Topic = topic("tis.person", &["tis.Person"]);

/// Topic, key, whether it is a tombstone, whether it has the header.
type Sent = (&'static str, String, bool, bool);

#[derive(Default)]
struct Collected(Vec<Sent>);

impl Producer for Collected {
    fn publish(&mut self, output: &Output) -> Result<(), LogError> {
        for record in output.records() {
            let key = String::from_utf8_lossy(record.key).into_owned();
            let marked = record.headers.get(HEADER).is_some();
            self.0.push((record.topic.name, key, record.value.is_none(), marked));
        }
        Ok(())
    }
}

fn posts(folder: &Path, ids: impl Iterator<Item = i64>) {
    let line =
        |id| format!("{{\"id\":{id},\"nationalPostNumber\":\"EOE/RGT00/021/STR/{id}\",\"status\":\"CURRENT\"}}\n");
    let lines: Vec<String> = ids.map(line).collect();
    fs::write(folder.join("posts.jsonl"), lines.concat()).unwrap();
}

fn load(folder: &Path, held: &Held, marked: bool) -> (LoadReport, Vec<Sent>) {
    load_beside(folder, held, marked, &KnownLines::default())
}

fn load_beside(folder: &Path, held: &Held, marked: bool, known: &KnownLines) -> (LoadReport, Vec<Sent>) {
    let codec =
        CodecBuilder::new(Arc::new(LocalRegistry::in_memory())).topics([&POSTS, &PLACEMENTS, &PEOPLE]).build().unwrap();
    let load = Load {
        codec: &codec,
        topics: Topics { posts: &POSTS, placements: &PLACEMENTS, people: &PEOPLE },
        deletions: Deletions {
            from_full_snapshots: true,
            refuse_percent: 20,
            refuse_count: 50,
            setting: "snapshot.refuse_deletions_percent",
        },
        flow_partitions: 4,
        header: marked.then_some(HEADER),
        now: 5,
        known,
    };
    let mut producer = Collected::default();
    let report = load.run(&TisSnapshot::open(folder).unwrap(), held, &mut producer).unwrap();
    (report, producer.0)
}

#[test]
fn records_carry_the_header_and_people_come_first() {
    let folder = tempfile::tempdir().unwrap();
    posts(folder.path(), 1..=2);
    fs::write(folder.path().join("people.jsonl"), "{\"id\":9,\"contactDetails\":{\"surname\":\"Testcase\"}}\n")
        .unwrap();
    let (report, sent) = load(folder.path(), &Held::default(), true);
    assert_eq!(report.loaded(), 3);
    let expected = [("tis.person", "9"), ("tis.post", "1"), ("tis.post", "2")];
    assert_eq!(sent, expected.map(|(topic, key)| (topic, key.to_owned(), false, true)));
}

#[test]
fn d2_what_a_complete_file_does_not_name_is_deleted_and_absent_files_delete_nothing() {
    let folder = tempfile::tempdir().unwrap();
    posts(folder.path(), 1..=2);
    let held = Held { posts: [1, 2, 3].into_iter().collect(), people: [7].into_iter().collect(), ..Held::default() };
    let (report, sent) = load(folder.path(), &held, false);
    assert_eq!(report.deleted, [(Kind::Posts, 1)]);
    assert_eq!(sent.iter().filter(|sent| sent.2).collect::<Vec<_>>(), [&("tis.post", "3".to_owned(), true, false)]);
}

#[test]
fn d2_a_file_with_a_bad_line_deletes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("posts.jsonl"), "not json\n").unwrap();
    let held = Held { posts: [1].into_iter().collect(), ..Held::default() };
    let (report, sent) = load(folder.path(), &held, false);
    assert_eq!((sent.len(), report.warnings().len()), (0, 1));
    assert!(report.warnings()[0].contains("posts.jsonl, line 1"), "{:?}", report.warnings());
}

#[test]
fn d112_a_kind_of_which_the_snapshot_names_nothing_is_a_warning_and_deletes_nothing() {
    let held = || Held { posts: [1].into_iter().collect(), people: [7, 8].into_iter().collect(), ..Held::default() };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("posts.jsonl"), "").unwrap();
    fs::write(folder.path().join("placements.jsonl"), "").unwrap();
    let (report, sent) = load(folder.path(), &held(), false);
    assert!(sent.is_empty() && report.deleted.is_empty());
    let absent = |kind, held, has_file| Absent { kind, held, has_file };
    assert_eq!(report.absent, [absent(Kind::People, 2, false), absent(Kind::Posts, 1, true)]);
    let warnings = report.warnings();
    assert!(warnings[0].contains("no people.jsonl") && warnings[0].contains("2 objects"), "{warnings:?}");
    assert!(warnings[1].contains("posts.jsonl holds no object"), "{warnings:?}");
    let rules = Deletions { from_full_snapshots: true, refuse_percent: 20, refuse_count: 50, setting: "" };
    let none = LoadReport::of_no_snapshot(&held(), &rules).warnings();
    assert!(none.len() == 1 && none[0].contains("no snapshot") && none[0].contains("3 objects"), "{none:?}");
    assert!(LoadReport::of_no_snapshot(&Held::default(), &rules).warnings().is_empty());
    let partial = Deletions { from_full_snapshots: false, ..rules };
    assert!(LoadReport::of_no_snapshot(&held(), &partial).warnings().is_empty(), "it need not name what is held");
}

#[test]
fn d113_an_id_with_lines_of_different_content_is_a_warning_and_the_last_line_counts() {
    let folder = tempfile::tempdir().unwrap();
    let line = |id: i64, owner: &str| {
        format!("{{\"id\":{id},\"nationalPostNumber\":\"A\",\"status\":\"CURRENT\",\"owner\":\"{owner}\"}}\n")
    };
    let lines = [line(2, "one"), line(1, "one"), line(3, "one"), line(1, "two"), line(2, "one"), line(1, "one")];
    fs::write(folder.path().join("posts.jsonl"), lines.concat()).unwrap();
    let (report, sent) = load(folder.path(), &Held::default(), false);
    assert_eq!(report.contradicted, [(Kind::Posts, vec![1])], "2 has two equal lines");
    assert_eq!(sent.iter().map(|sent| sent.1.as_str()).collect::<Vec<_>>(), ["2", "3", "2", "1"], "the last one of 1");
    let warnings = report.warnings();
    assert!(
        warnings.len() == 1 && warnings[0].contains("posts.jsonl") && warnings[0].contains("ids 1:"),
        "{warnings:?}"
    );
    let many: String = (1..=12).flat_map(|id| [line(id, "one"), line(id, "two")]).collect();
    fs::write(folder.path().join("posts.jsonl"), many).unwrap();
    let warnings = load(folder.path(), &Held::default(), false).0.warnings();
    assert!(warnings[0].contains("9, 10 and 2 more"), "{warnings:?}");
}

#[test]
fn d113_of_several_lines_of_an_id_only_the_last_one_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let line =
        |id: i64, number: &str| format!("{{\"id\":{id},\"nationalPostNumber\":\"{number}\",\"status\":\"CURRENT\"}}\n");
    let write = |lines: &[String]| fs::write(folder.path().join("posts.jsonl"), lines.concat()).unwrap();
    write(&[line(1, "A"), line(2, "B")]);
    let known = load(folder.path(), &Held::default(), false).0.known;
    let held = Held { posts: [1, 2].into_iter().collect(), ..Held::default() };
    let keys = |sent: Vec<Sent>| sent.into_iter().map(|sent| sent.1).collect::<Vec<_>>();
    write(&[line(1, "X"), line(3, "C"), line(2, "B"), line(1, "Y")]);
    assert_eq!(keys(load_beside(folder.path(), &held, false, &known).1), ["3", "1"]);
    write(&[line(1, "X"), line(2, "B"), line(1, "A")]);
    let (report, sent) = load_beside(folder.path(), &held, false, &known);
    assert_eq!(keys(sent), Vec::<String>::new(), "the last line is what is held");
    assert_eq!(report.contradicted, [(Kind::Posts, vec![1])]);
}

#[test]
fn d2_a_snapshot_that_deletes_too_much_is_refused_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    posts(folder.path(), 1..=100);
    let held = Held { posts: (1..=160).collect(), ..Held::default() };
    let (report, sent) = load(folder.path(), &held, false);
    assert!(report.refused.is_some() && sent.is_empty());
    let held = Held { posts: (1..=150).collect(), ..Held::default() };
    assert_eq!(load(folder.path(), &held, false).1.len(), 150);
}

#[test]
fn lines_that_are_known_are_not_sent_again_and_not_deleted() {
    let folder = tempfile::tempdir().unwrap();
    posts(folder.path(), 1..=3);
    let known = load(folder.path(), &Held::default(), true).0.known;
    let held = Held { posts: [1, 2, 3].into_iter().collect(), ..Held::default() };
    let (report, sent) = load_beside(folder.path(), &held, false, &known);
    assert_eq!((report.loaded(), sent.len()), (3, 0));
    posts(folder.path(), 2..=4);
    let (report, sent) = load_beside(folder.path(), &held, false, &report.known);
    let keys: Vec<(&str, bool)> = sent.iter().map(|sent| (sent.1.as_str(), sent.2)).collect();
    assert_eq!(keys, [("4", false), ("1", true)]);
    // An object that is known but not held is sent.
    let held = Held { posts: [2, 3].into_iter().collect(), ..Held::default() };
    assert_eq!(load_beside(folder.path(), &held, false, &report.known).1.len(), 1);
}

#[test]
fn an_id_with_several_lines_is_always_read() {
    let folder = tempfile::tempdir().unwrap();
    let line = |owner: &str| {
        format!("{{\"id\":1,\"nationalPostNumber\":\"A\",\"status\":\"CURRENT\",\"owner\":\"{owner}\"}}\n")
    };
    fs::write(folder.path().join("posts.jsonl"), line("one") + &line("two")).unwrap();
    let known = load(folder.path(), &Held::default(), true).0.known;
    fs::write(folder.path().join("posts.jsonl"), line("one")).unwrap();
    let held = Held { posts: [1].into_iter().collect(), ..Held::default() };
    assert_eq!(load_beside(folder.path(), &held, false, &known).1.len(), 1);
}

#[test]
fn a_snapshot_is_refused_above_both_limits() {
    let rule = Deletions { from_full_snapshots: true, refuse_percent: 20, refuse_count: 50, setting: "" };
    assert!(rule.are_refused(51, 100));
    assert!(!rule.are_refused(50, 100), "not more than 50");
    assert!(!rule.are_refused(60, 300), "exactly 20 %");
    assert!(rule.are_refused(61, 300));
}
