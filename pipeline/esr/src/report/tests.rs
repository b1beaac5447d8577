//! The report keeps events in one order, and a limited number of them.

use tributary_schemas::records::tributary::{Alert, FileEvent, FileRow, FileStatus, Severity};

use super::{Event, KEPT, Report};
use crate::harness::{Harness, stage};
use crate::topics;

fn alert(text: &str) -> Alert {
    Alert { severity: Severity::Warning, code: "sample".to_owned(), subject: "7".to_owned(), text: text.to_owned() }
}

fn texts(report: &Harness<Report>, since: i64) -> Vec<String> {
    let events = report.processor.events_since(since).map(|event| match event {
        Event::Alert(alert) => alert.text.clone(),
        Event::File(file) => file.file_name.clone(),
    });
    events.collect()
}

#[test]
fn events_are_kept_in_the_order_in_which_they_came_each_with_the_next_number() {
    let mut report = stage(Report::new);
    assert_eq!(report.processor.next_sequence(), 0);
    report.give("b", &alert("first"));
    report.give("a", &FileEvent { file_name: "second".to_owned(), ..FileEvent::default() });
    report.give("b", &alert("third"));
    assert_eq!(report.processor.next_sequence(), 3);
    assert_eq!(texts(&report, 0), ["first", "second", "third"]);
    assert_eq!(texts(&report, 2), ["third"]);
    assert_eq!(texts(&report, 3), [""; 0]);
}

#[test]
fn equal_events_are_two_and_what_is_no_event_is_a_dead_letter() {
    let mut report = stage(Report::new);
    report.give("a", &alert("again"));
    report.give("a", &alert("again"));
    assert_eq!(texts(&report, 0), ["again", "again"]);
    assert_eq!(report.dead_letter("a", &FileRow::default()), "unexpected-record-type");
    assert_eq!(report.processor.next_sequence(), 2);
}

#[test]
fn the_view_has_each_written_file_and_each_alert_as_long_as_it_is_kept() {
    let mut report = stage(Report::new);
    let refused = FileEvent { status: FileStatus::Refused, ..FileEvent::default() };
    assert_eq!(report.give("a", &refused), [], "the row of a file from ESR comes from its ledger");
    let event = FileEvent { file_name: "A.DAT".to_owned(), status: FileStatus::Written, ..FileEvent::default() };
    let sent = report.give("a", &event);
    assert_eq!(report.only::<FileEvent>(&sent, &topics::VIEW), (b"file/A.DAT".to_vec(), event));
    let keys: Vec<String> = ["first", "second"].map(|text| report.give("a", &alert(text))[0].text_key()).into();
    assert!(keys[1] < keys[0] && keys.iter().all(|key| key.starts_with("alert/")), "{keys:?}");
    for number in 0..KEPT - 3 {
        report.give("a", &alert(&number.to_string()));
    }
    assert_eq!(report.take_tombstones(), [""; 0]);
    report.give("a", &alert("the file leaves the report and stays in the view"));
    assert_eq!(report.take_tombstones(), [""; 0]);
    report.give("a", &alert("the first alert leaves both"));
    assert_eq!(report.take_tombstones(), [keys[0].clone()]);
}

#[test]
fn the_oldest_events_make_room_and_numbers_go_on() {
    let mut report = stage(Report::new);
    for number in 0..KEPT + 2 {
        report.give("a", &alert(&number.to_string()));
    }
    assert_eq!(report.processor.next_sequence(), KEPT + 2);
    let kept = texts(&report, 0);
    assert_eq!(kept.len() as i64, KEPT);
    assert_eq!((kept[0].as_str(), kept[kept.len() - 1].clone()), ("2", (KEPT + 1).to_string()));
}
