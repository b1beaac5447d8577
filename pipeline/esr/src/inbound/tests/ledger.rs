//! Which files are taken in, parked, ignored, refused (D9-D11).

use tributary_schemas::records::esr::{
    Decision, FileArrived, FileChunk, FileDecision, FileEnd, PositionLine, ReconciliationLine,
};
use tributary_schemas::records::tributary::{FileClose, FileStatus, Severity};

use super::{
    LedgerStatus, POR, POS, RMC, RTC, alerts, arrived, chunk, confirmation, done, hash, inbound, row, status, statuses,
    take_in, whole,
};
use crate::harness::Harness;
use crate::topics;

fn decide(decision: Decision) -> FileDecision {
    FileDecision { file_name: RMC.parse().unwrap(), decision }
}

/// A file whose trailer counts one line too many.
fn suspect() -> Vec<u8> {
    let text = String::from_utf8(whole(RMC, &[POS])).unwrap();
    text.replace("TRL,3", "TRL,4").into_bytes()
}

#[test]
fn d10_a_file_without_header_or_trailer_or_with_a_wrong_count_is_parked_with_an_alert() {
    let good = String::from_utf8(whole(RMC, &[POS])).unwrap();
    let lines: Vec<&str> = good.lines().collect();
    let cases = [
        ("the header (HDR) is missing", format!("{POS}\nTRL,2\n")),
        ("the trailer (TRL) is missing", format!("{}\n{POS}\n", lines[0])),
        ("the trailer counts 4 lines, the file has 3", good.replace("TRL,3", "TRL,4")),
        ("the header names the file", good.replace("00000017", "00000018")),
        ("the header names the office `LDN`", good.replace("130000,\"EOE\"", "130000,\"LDN\"")),
        ("the file is empty", String::new()),
    ];
    for (reason, content) in cases {
        let mut inbound = inbound();
        let sent = inbound.give("", &arrived(RMC, content.as_bytes()));
        assert_eq!(alerts(&inbound, &sent), [(Severity::Error, "file-suspect".to_owned())], "{reason}");
        let event = inbound.read::<tributary_schemas::records::tributary::FileEvent>(&sent).remove(0);
        assert_eq!(event.status, FileStatus::Parked);
        assert!(event.note.starts_with(reason), "{}", event.note);
        assert_eq!(inbound.give("", &chunk(RMC, content.as_bytes())).len(), 0, "no line is sent, and no RTC");
        assert_eq!(status(&inbound, RMC), LedgerStatus::Parked);
    }
}

#[test]
fn d10_a_parked_file_that_is_accepted_is_taken_in_when_it_comes_again() {
    let mut inbound = inbound();
    take_in(&mut inbound, RMC, &suspect());
    assert_eq!(inbound.give("", &decide(Decision::Accept)).len(), 0, "the file must arrive again first");
    let sent = take_in(&mut inbound, RMC, &suspect());
    assert_eq!(inbound.read::<PositionLine>(&sent).len(), 1);
    assert_eq!(statuses(&inbound, &sent), [FileStatus::Processed]);
    assert_eq!(confirmation(&inbound, &sent)[1], r#"RTC,SUMMARY,"POS",,,"","","","",1,1"#);
    let (_, entry) = inbound.processor.ledger().next().unwrap();
    assert!(entry.accepted, "a batch that was interrupted and decides again finds the decision done");
}

#[test]
fn d10_acceptance_is_of_the_content_that_was_parked() {
    let mut inbound = inbound();
    take_in(&mut inbound, RMC, &suspect());
    inbound.give("", &decide(Decision::Accept));
    let other = String::from_utf8(suspect()).unwrap().replace("TRL,4", "TRL,5").into_bytes();
    let sent = take_in(&mut inbound, RMC, &other);
    assert_eq!(statuses(&inbound, &sent), [FileStatus::Parked]);
}

#[test]
fn d10_a_parked_file_that_is_refused_has_an_rtc_with_one_fail_row_and_its_name_is_used_up() {
    let mut inbound = inbound();
    take_in(&mut inbound, RMC, &suspect());
    let sent = inbound.give("", &decide(Decision::Refuse));
    assert_eq!(statuses(&inbound, &sent), [FileStatus::Refused]);
    assert_eq!(row(&inbound, &sent), Some((FileStatus::Refused, "refused by an operator".to_owned())));
    let rows = confirmation(&inbound, &sent);
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert!(rows[1].contains("\"FAIL\",\"ERROR\""), "{}", rows[1]);
    assert_eq!(statuses_of_next(&mut inbound, &suspect()), [FileStatus::Ignored]);
    assert_eq!(statuses_of_next(&mut inbound, &whole(RMC, &[POS])), [FileStatus::Refused]);
    assert_eq!(inbound.dead_letter("", &decide(Decision::Accept)), "decision-does-not-fit");
}

fn statuses_of_next(inbound: &mut Harness<super::Inbound>, content: &[u8]) -> Vec<FileStatus> {
    let sent = take_in(inbound, RMC, content);
    statuses(inbound, &sent)
}

#[test]
fn d10_other_content_under_the_name_of_a_parked_file_is_a_new_attempt() {
    let mut inbound = inbound();
    take_in(&mut inbound, RMC, &suspect());
    assert_eq!(statuses_of_next(&mut inbound, &suspect()), [FileStatus::Ignored], "the same file stays parked");
    let sent = take_in(&mut inbound, RMC, &whole(RMC, &[POS]));
    assert_eq!(statuses(&inbound, &sent), [FileStatus::Processed]);
    assert_eq!(alerts(&inbound, &sent), []);
    assert_eq!(status(&inbound, RMC), LedgerStatus::Processed);
}

#[test]
fn d11_the_same_file_again_is_ignored_with_a_note() {
    let mut inbound = inbound();
    take_in(&mut inbound, RMC, &whole(RMC, &[POS]));
    let sent = take_in(&mut inbound, RMC, &whole(RMC, &[POS]));
    let events = inbound.read::<tributary_schemas::records::tributary::FileEvent>(&sent);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].status, FileStatus::Ignored);
    assert!(!events[0].note.is_empty());
    assert_eq!(sent.len(), 1, "no alert, no line, no second RTC, and the row of the file stays");
}

#[test]
fn d11_other_content_under_a_processed_name_is_refused_with_an_alert() {
    let mut inbound = inbound();
    take_in(&mut inbound, RMC, &whole(RMC, &[POS]));
    let sent = take_in(&mut inbound, RMC, &whole(RMC, &[POS, POR]));
    assert_eq!(statuses(&inbound, &sent), [FileStatus::Refused]);
    assert_eq!(alerts(&inbound, &sent), [(Severity::Error, "file-name-used-up".to_owned())]);
    assert_eq!(sent.len(), 2, "no line is sent, and no second RTC");
    assert_eq!(status(&inbound, RMC), LedgerStatus::Processed);
    assert_eq!(statuses_of_next(&mut inbound, &whole(RMC, &[POS])), [FileStatus::Ignored], "the first file counts");
}

#[test]
fn d109_a_file_that_only_moved_is_the_one_that_was_taken_in() {
    let mut inbound = inbound();
    let content = whole(RMC, &[POS]);
    take_in(&mut inbound, RMC, &content);
    let moved = FileArrived { inode: Some(8), changed: Some(2), ..arrived(RMC, &content) };
    assert_eq!(inbound.give("", &moved).len(), 0, "nobody sent it again");
    let entry = inbound.processor.ledger().next().unwrap().1;
    assert_eq!((entry.print().inode, entry.print().changed), (Some(8), Some(2)));
    let touched = FileArrived { modified: 2, ..moved };
    let sent = inbound.give("", &touched);
    assert_eq!(statuses(&inbound, &sent), [FileStatus::Ignored]);
}

#[test]
fn d110_a_header_or_trailer_in_the_middle_parks_a_file_and_padding_is_noted() {
    let mut inbound = inbound();
    let content = whole(RMC, &[POS]);
    let sent = inbound.give("", &FileArrived { misplaced_line: Some(2), ..arrived(RMC, &content) });
    assert_eq!(statuses(&inbound, &sent), [FileStatus::Parked]);
    let other = whole(RMC, &[POS, POR]);
    let sent = inbound.give("", &FileArrived { padding: Some(3), ..arrived(RMC, &other) });
    assert_eq!(alerts(&inbound, &sent), [(Severity::Info, "file-padded".to_owned())]);
    assert_eq!(status(&inbound, RMC), LedgerStatus::Receiving);
}

#[test]
fn a_decision_that_does_not_fit_is_a_dead_letter() {
    let mut inbound = inbound();
    assert_eq!(inbound.dead_letter("", &decide(Decision::Accept)), "unknown-file");
    take_in(&mut inbound, RMC, &whole(RMC, &[POS]));
    for decision in [Decision::Accept, Decision::Refuse, Decision::Release] {
        assert_eq!(inbound.dead_letter("", &decide(decision)), "decision-does-not-fit");
    }
}

#[test]
fn d9_lines_go_to_their_positions_in_order_and_the_end_of_the_file_to_every_partition() {
    let mut inbound = inbound().partitions(3);
    let content = whole(RMC, &[POS, POR, POS]);
    inbound.give("", &arrived(RMC, &content));
    let sent = inbound.give("", &chunk(RMC, &content));
    assert!(sent.iter().all(|sent| sent.topic == topics::POSITION_INBOX.name));
    assert_eq!(sent[0].key, 7_000_001_i64.to_be_bytes());
    assert_eq!(sent[1].key, 7_000_002_i64.to_be_bytes());
    let lines: Vec<i32> = inbound.read::<PositionLine>(&sent).iter().map(|line| line.line).collect();
    assert_eq!(lines, [2, 4]);
    let other = inbound.read::<ReconciliationLine>(&sent).remove(0);
    assert_eq!((other.line, other.office.as_str(), other.file_name.to_string().as_str()), (3, "EOE", RMC));
    assert_eq!(inbound.read::<FileEnd>(&sent[3..]).len(), 3, "after all lines");
    assert_eq!(sent[0].header("correlation"), Some(format!("{RMC}:2")));
}

#[test]
fn a_delivery_that_was_interrupted_goes_on_where_it_stopped() {
    let mut inbound = inbound();
    let content = whole(RMC, &[POS, POR]);
    let cut = content.iter().position(|byte| *byte == b'\n').unwrap() + POS.len() + 2;
    let (first, rest) = content.split_at(cut);
    let first = FileChunk { last: false, content: first.to_vec(), ..chunk(RMC, &content) };
    let rest = FileChunk { index: 1, first_line_number: 3, content: rest.to_vec(), ..chunk(RMC, &content) };
    inbound.give("", &arrived(RMC, &content));
    assert_eq!(inbound.give("", &rest).len(), 0, "an earlier chunk is missing");
    assert_eq!(inbound.give("", &first).len(), 1);
    assert_eq!(inbound.give("", &arrived(RMC, &content)).len(), 0, "the delivery starts again");
    assert_eq!(inbound.give("", &first).len(), 0, "this chunk has been taken in");
    let sent = inbound.give("", &rest);
    assert_eq!(inbound.read::<ReconciliationLine>(&sent)[0].line, 3);
    let sent = inbound.give("", &done(RMC, Vec::new()));
    assert_eq!(inbound.read::<FileClose>(&sent)[0].file_name, RTC);
}

#[test]
fn chunks_of_other_content_are_not_taken_in() {
    let mut inbound = inbound();
    let content = whole(RMC, &[POS]);
    inbound.give("", &arrived(RMC, &content));
    let other = FileChunk { sha256: hash(b"other"), ..chunk(RMC, &content) };
    assert_eq!(inbound.give("", &other).len(), 0);
    assert_eq!(status(&inbound, RMC), LedgerStatus::Receiving);
}

#[test]
fn d105_a_file_dated_more_than_400_days_ahead_is_parked_until_it_is_accepted() {
    let mut inbound = inbound();
    for (name, expected) in [
        ("DE_EOE_RMC_20271225_00000018.DAT", LedgerStatus::Receiving),
        ("DE_EOE_RMC_20271226_00000019.DAT", LedgerStatus::Parked),
        ("DE_EOE_RMC_99991231_00000020.DAT", LedgerStatus::Parked),
        ("DE_EOE_RMC_20000101_00000021.DAT", LedgerStatus::Receiving),
    ] {
        inbound.give("", &arrived(name, &whole(name, &[POS])));
        assert_eq!(status(&inbound, name), expected, "{name}");
    }
}
