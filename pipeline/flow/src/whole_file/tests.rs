//! Files are written whole, once, from rows in any order.

use std::sync::{Arc, Mutex};

use tributary_runtime::{Cleanup, Partitions, ProcessError, Role, Topic};
use tributary_schemas::records::tributary::{
    Alert, FileClose, FileEvent, FileRetry, FileRow, FileStatus, FileWritten, Severity,
};
use tributary_schemas::{CodecBuilder, LocalRegistry};

use super::{FileSink, NotWritten, Writer, WriterSettings, checksum};
use crate::testing::{Harness, Sent};

const NAME: &str = "DE_EOE_APP_20261120_00000017.DAT";
const LINES: [&str; 3] = ["HDR,1", "APP,\"Zoë\"", "TRL,3"];

/// An outbox in memory that records each write.
#[derive(Default)]
struct Outbox {
    written: Mutex<Vec<(String, String)>>,
    full: Mutex<bool>,
    in_the_way: Mutex<Option<&'static str>>,
}

impl FileSink for Outbox {
    fn write(&self, name: &str, content: &[u8]) -> Result<(), NotWritten> {
        if *self.full.lock().unwrap() {
            return Err(NotWritten::Unavailable("the disk is full: make room".to_owned()));
        }
        if let Some(other) = *self.in_the_way.lock().unwrap() {
            return Err(NotWritten::InTheWay(other.to_owned()));
        }
        let content = String::from_utf8(content.to_vec()).unwrap();
        self.written.lock().unwrap().push((name.to_owned(), content));
        Ok(())
    }
}

const fn topic(name: &'static str, records: &'static [&'static str]) -> Topic {
    Topic { name, partitions: Partitions::Flow, cleanup: Cleanup::Compact, role: Role::Inbox, records }
}

static ROWS: Topic = topic("test.rows", &["tributary.FileRow", "tributary.FileClose", "tributary.FileRetry"]);
static EVENTS: Topic = topic("test.event", &["tributary.FileEvent", "tributary.Alert"]);
static RETRIES: Topic = topic("test.retries", &["tributary.FileRetry"]);
static EXPORTS: Topic = topic("test.exports", &["tributary.FileWritten"]);

fn writer() -> (Harness<Writer>, Arc<Outbox>) {
    let outbox = Arc::new(Outbox::default());
    let sink: Arc<dyn FileSink> = Arc::clone(&outbox) as Arc<dyn FileSink>;
    let topics = [&ROWS, &EVENTS, &EXPORTS, &RETRIES];
    let codec = CodecBuilder::new(Arc::new(LocalRegistry::in_memory())).topics(topics).build().unwrap();
    let settings = WriterSettings {
        line_end: "\n",
        frame_lines: 2,
        events: &EVENTS,
        acknowledgements: &EXPORTS,
        retries: &RETRIES,
    };
    let writer = Writer::new(codec.clone(), settings, sink);
    (Harness::new(codec, writer, 0), outbox)
}

fn row(row: usize) -> FileRow {
    FileRow { file_name: NAME.to_owned(), row: row as i32, line: LINES[row].to_owned() }
}

fn close() -> FileClose {
    let sum = LINES.iter().fold(0, |sum, line| checksum(sum, line));
    FileClose {
        file_name: NAME.to_owned(),
        party: "EOE".to_owned(),
        kind: "APP".to_owned(),
        number: 17,
        rows: 3,
        crc32c: i64::from(sum),
        acknowledged: true,
        counts: Vec::new(),
    }
}

fn written(outbox: &Outbox) -> Vec<(String, String)> {
    outbox.written.lock().unwrap().clone()
}

fn content() -> Vec<(String, String)> {
    vec![(NAME.to_owned(), "HDR,1\nAPP,\"Zoë\"\nTRL,3\n".to_owned())]
}

fn give_rows(writer: &mut Harness<Writer>, order: &[usize]) -> Vec<Sent> {
    order.iter().flat_map(|at| writer.give(NAME, &row(*at))).collect()
}

#[test]
fn rows_in_any_order_give_the_bytes_of_the_file_once() {
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2]] {
        let (mut writer, outbox) = writer();
        assert_eq!(give_rows(&mut writer, &order).len(), 0);
        assert_eq!(written(&outbox), [], "nothing is written before the file is closed");
        writer.give(NAME, &close());
        assert_eq!(written(&outbox), content());
    }
}

#[test]
fn a_row_that_comes_again_stands_in_the_file_once() {
    let (mut writer, outbox) = writer();
    give_rows(&mut writer, &[0, 1, 1, 2, 0]);
    writer.give(NAME, &close());
    assert_eq!(written(&outbox), content());
}

#[test]
fn d50_the_event_of_a_written_file_has_its_number_and_rows() {
    let (mut writer, _) = writer();
    give_rows(&mut writer, &[0, 1, 2]);
    let sent = writer.give(NAME, &close());
    let event = writer.read::<FileEvent>(&sent).remove(0);
    assert_eq!(
        (event.status, event.number, event.rows),
        (FileStatus::Written, 17, 1),
        "header and trailer are no rows"
    );
    let written = sent.iter().find(|sent| sent.topic == EXPORTS.name).unwrap();
    assert_eq!(written.text_key(), format!("EOE/written/{NAME}"));
    let expected = FileWritten { file_name: NAME.to_owned(), party: "EOE".to_owned() };
    assert_eq!(writer.read::<FileWritten>(&sent), [expected]);
}

#[test]
fn an_unacknowledged_file_is_only_reported() {
    let (mut writer, _) = writer();
    give_rows(&mut writer, &[0, 1, 2]);
    let sent = writer.give(NAME, &FileClose { acknowledged: false, ..close() });
    writer.only::<FileEvent>(&sent, &EVENTS);
}

#[test]
fn a_file_whose_transaction_was_aborted_is_written_again_with_the_same_bytes() {
    let (mut writer, outbox) = writer();
    give_rows(&mut writer, &[0, 1, 2]);
    writer.aborted(NAME, &close());
    writer.give(NAME, &close());
    assert_eq!(written(&outbox), [content(), content()].concat(), "the same name and bytes: one file");
}

#[test]
fn what_cannot_be_written_is_tried_again_and_reported_when_it_is_there() {
    let (mut writer, outbox) = writer();
    give_rows(&mut writer, &[0, 1, 2]);
    *outbox.full.lock().unwrap() = true;
    let error = writer.try_give(NAME, &close()).err();
    assert!(
        matches!(error, Some(ProcessError::Retry(reason)) if reason.contains(NAME) && reason.contains("make room"))
    );
    *outbox.full.lock().unwrap() = false;
    assert_eq!(writer.give(NAME, &close()).len(), 2);
    assert_eq!(written(&outbox), content());
}

#[test]
fn a_file_with_missing_or_other_rows_is_never_written() {
    let (mut writer, outbox) = writer();
    give_rows(&mut writer, &[0, 2]);
    assert!(matches!(writer.try_give(NAME, &close()).err(), Some(ProcessError::Stop(_))), "a row is missing");
    writer.give(NAME, &FileRow { line: "APP,other".to_owned(), ..row(1) });
    assert!(matches!(writer.try_give(NAME, &close()).err(), Some(ProcessError::Stop(_))), "another row was sent");
    assert_eq!(written(&outbox), []);
}

#[test]
fn rows_of_a_written_file_are_forgotten_and_those_of_another_stay() {
    let (mut writer, outbox) = writer();
    let other = NAME.replace("017", "018");
    writer.give(&other, &FileRow { file_name: other.clone(), ..row(0) });
    give_rows(&mut writer, &[0, 1, 2]);
    writer.give(NAME, &close());
    assert_eq!(writer.processor.rows.iter().map(|((name, _), _)| name.clone()).collect::<Vec<_>>(), [other]);
    assert_eq!(written(&outbox), content());
}

fn in_the_way(outbox: &Outbox, other: Option<&'static str>) {
    *outbox.in_the_way.lock().unwrap() = other;
}

/// The alerts among what was sent.
fn alerts(writer: &Harness<Writer>, sent: &[Sent]) -> Vec<String> {
    let alerts = writer.read::<Alert>(sent);
    assert!(alerts.iter().all(|alert| alert.severity == Severity::Error && alert.code == "file-in-the-way"));
    assert!(alerts.iter().all(|alert| alert.subject == NAME));
    alerts.into_iter().map(|alert| alert.text).collect()
}

#[test]
fn d63_a_file_with_another_in_its_way_is_not_written_and_no_other_file_waits_for_it() {
    let (mut writer, outbox) = writer();
    give_rows(&mut writer, &[0, 1, 2]);
    in_the_way(&outbox, Some("another file has this name"));
    let sent = writer.give(NAME, &close());
    assert_eq!(alerts(&writer, &sent), ["another file has this name"]);
    assert_eq!((writer.read::<FileEvent>(&sent), writer.read::<FileWritten>(&sent)), (vec![], vec![]));
    assert_eq!(writer.read::<FileRetry>(&sent), [FileRetry { file_name: NAME.to_owned() }], "it asks to come again");
    in_the_way(&outbox, None);
    let other = NAME.replace("017", "018");
    for row in [0, 1, 2].map(row) {
        writer.give(&other, &FileRow { file_name: other.clone(), ..row });
    }
    let sent = writer.give(&other, &FileClose { file_name: other.clone(), ..close() });
    assert_eq!(writer.read::<FileWritten>(&sent)[0].file_name, other);
}

#[test]
fn d63_a_kept_file_is_written_with_the_same_bytes_when_its_name_is_free_and_reported_once() {
    let (mut writer, outbox) = writer();
    give_rows(&mut writer, &[0, 1, 2]);
    in_the_way(&outbox, Some("another file has this name"));
    writer.give(NAME, &close());
    let retry = FileRetry { file_name: NAME.to_owned() };
    let sent = writer.give(NAME, &retry);
    assert_eq!((alerts(&writer, &sent).len(), writer.read::<FileRetry>(&sent).len()), (0, 1), "it was reported");
    in_the_way(&outbox, None);
    let sent = writer.give(NAME, &retry);
    assert_eq!(written(&outbox), content());
    assert_eq!((writer.read::<FileEvent>(&sent).len(), writer.read::<FileWritten>(&sent).len()), (1, 1));
    assert_eq!(writer.read::<FileRetry>(&sent), []);
    assert_eq!(writer.give(NAME, &retry), [], "a request that comes late finds nothing to write");
    let left = [writer.processor.unwritten.iter().count(), writer.processor.unwritten_rows.iter().count()];
    assert_eq!(left, [0, 0]);
}

#[test]
fn f12_a_kept_file_is_reported_again_when_the_reason_changes_and_each_hour() {
    let (mut writer, outbox) = writer();
    give_rows(&mut writer, &[0, 1, 2]);
    in_the_way(&outbox, Some("one"));
    writer.give(NAME, &close());
    let retry = FileRetry { file_name: NAME.to_owned() };
    let said = |writer: &mut Harness<Writer>, minute: i64, reason| {
        in_the_way(&outbox, Some(reason));
        writer.now = minute * 60_000;
        let sent = writer.give(NAME, &retry);
        alerts(writer, &sent)
    };
    assert!((1..60).all(|minute| said(&mut writer, minute, "one").is_empty()));
    assert_eq!(said(&mut writer, 60, "one"), ["one"]);
    assert_eq!(said(&mut writer, 61, "two"), ["two"]);
    assert!(said(&mut writer, 120, "two").is_empty());
}

#[test]
fn d63_two_files_may_wait_for_one_name() {
    let (mut writer, outbox) = writer();
    in_the_way(&outbox, Some("another file has this name"));
    give_rows(&mut writer, &[0, 1, 2]);
    writer.give(NAME, &close());
    for (row, line) in (0..).zip(["HDR,1", "TRL,2"]) {
        writer.give(NAME, &FileRow { file_name: NAME.to_owned(), row, line: line.to_owned() });
    }
    let sum = checksum(checksum(0, "HDR,1"), "TRL,2");
    writer.give(NAME, &FileClose { rows: 2, crc32c: i64::from(sum), ..close() });
    in_the_way(&outbox, None);
    writer.give(NAME, &FileRetry { file_name: NAME.to_owned() });
    let mut contents: Vec<String> = written(&outbox).into_iter().map(|(_, content)| content).collect();
    contents.sort();
    assert_eq!(contents, ["HDR,1\nAPP,\"Zoë\"\nTRL,3\n", "HDR,1\nTRL,2\n"]);
}
