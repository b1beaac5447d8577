//! Confirmations (RTC) and their rows (3.4, D3, D4, D8, D12, D51, D53).

use tributary_schemas::records::esr::{Decision, FileDecision, LineVerdict, PositionFileDone};
use tributary_schemas::records::tributary::{Alert, FileClose, FileEvent, FileStatus, Severity};

use super::{
    LedgerStatus, POR, POS, RMC, RMF, RTC, alerts, arrived, chunk, confirmation, done, inbound, row, status, statuses,
    take_in, whole,
};
use crate::harness::{Harness, millis};
use crate::topics;

fn verdict(line: i32, accepted: bool, severity: Severity, text: &str) -> LineVerdict {
    LineVerdict {
        line,
        record_type: "POS".to_owned(),
        id: Some(7_000_001),
        accepted,
        severity,
        column: 10,
        text: text.to_owned(),
        ..LineVerdict::default()
    }
}

/// What is sent when the only position partition has these verdicts about the lines of a file.
fn confirmed(lines: &[&str], verdicts: Vec<LineVerdict>) -> (Vec<String>, FileEvent) {
    let mut inbound = inbound();
    let content = whole(RMC, lines);
    inbound.give("", &arrived(RMC, &content));
    inbound.give("", &chunk(RMC, &content));
    let sent = inbound.give("", &done(RMC, verdicts));
    let event = inbound.read::<FileEvent>(&sent).remove(0);
    (confirmation(&inbound, &sent), event)
}

#[test]
fn d53_accepted_lines_are_counted_and_have_no_row_of_their_own() {
    let (rows, event) = confirmed(&[POS, POS, POR], Vec::new());
    assert_eq!(
        rows[1..3],
        [r#"RTC,SUMMARY,"POR",,,"","","","",1,1"#.to_owned(), r#"RTC,SUMMARY,"POS",,,"","","","",2,2"#.to_owned()]
    );
    assert_eq!(rows[3], "TRL,4", "header and trailer are counted (2.4)");
    assert_eq!((event.status, event.rejected.len()), (FileStatus::Processed, 0));
}

#[test]
fn d53_a_rejected_a_warned_and_a_noted_line_have_one_row_each() {
    let rejected = POS.replace(",\"C\",", ",\"X\",");
    let noted = POS.replace("\"EOE\",\"R1F\"", "\"LDN\",\"R1F\"");
    let warning = verdict(4, true, Severity::Warning, "the pairing has ended");
    let (rows, event) = confirmed(&[&rejected, &noted, POS], vec![warning]);
    assert!(rows[1].starts_with(r#"RTC,RECORD,"POS",2,"#), "{}", rows[1]);
    assert!(rows[1].contains(r#","FAIL","ERROR",""#), "{}", rows[1]);
    let of_noted = r#"RTC,RECORD,"POS",3,7000001,"EOE/R1F01/300/STR/001","SUCCESS","INFO",""#;
    assert!(rows[2].starts_with(of_noted), "D6: {}", rows[2]);
    assert_eq!(rows[3], r#"RTC,RECORD,"POS",4,7000001,"","SUCCESS","WARNING","the pairing has ended",,"#);
    assert_eq!(rows[4], r#"RTC,SUMMARY,"POS",,,"","","","",3,2"#, "noted and warned lines count as accepted");
    assert_eq!((event.rejected.len(), event.rejected[0].line), (1, 2));
    assert_eq!((event.counts[0].received, event.counts[0].accepted), (3, 2));
}

#[test]
fn d53_what_the_position_rejects_is_not_counted_as_accepted() {
    let (rows, event) = confirmed(&[POS, POS], vec![verdict(3, false, Severity::Error, "not known")]);
    assert_eq!(rows[1], r#"RTC,RECORD,"POS",3,7000001,"","FAIL","ERROR","not known",,"#);
    assert_eq!(rows[2], r#"RTC,SUMMARY,"POS",,,"","","","",2,1"#);
    assert_eq!((event.rejected[0].line, event.rejected[0].column), (3, 10));
}

#[test]
fn d53_several_things_to_say_of_a_line_are_one_row_of_the_most_serious_kind() {
    let noted = POS.replace("\"EOE\",\"R1F\"", "\"LDN\",\"R1F\"");
    let (rows, _) = confirmed(&[&noted], vec![verdict(2, false, Severity::Error, "not known")]);
    assert_eq!(rows.len(), 4);
    assert!(rows[1].contains(r#","FAIL","ERROR",""#) && rows[1].contains("; not known\""), "{}", rows[1]);
}

#[test]
fn d3_a_line_that_is_not_utf_8_is_noted_and_accepted() {
    let mut inbound = inbound();
    let mut content = whole(RMC, &[POR]);
    let at = content.windows(6).position(|bytes| bytes == b"Sample").unwrap();
    content[at] = 0xE9;
    let sent = take_in(&mut inbound, RMC, &content);
    let rows = confirmation(&inbound, &sent);
    assert!(rows[1].contains(r#","SUCCESS","INFO",""#), "{}", rows[1]);
    assert_eq!(rows[2], r#"RTC,SUMMARY,"POR",,,"","","","",1,1"#);
}

#[test]
fn d4_a_rejected_line_is_a_dead_letter_as_it_came_with_the_reason_beside_it() {
    let mut inbound = inbound();
    let content = whole(RMC, &["POS,1,2", POS]);
    inbound.give("", &arrived(RMC, &content));
    let sent = inbound.give("", &chunk(RMC, &content));
    let letter = sent.iter().find(|sent| sent.topic == topics::DEAD_LETTER.name).unwrap();
    assert_eq!(letter.value.as_deref(), Some(b"POS,1,2".as_slice()));
    assert_eq!(letter.text_key(), format!("{RMC}:2"));
    assert_eq!([letter.header("file"), letter.header("line")], [Some(RMC.to_owned()), Some("2".to_owned())]);
    assert!(!letter.header("__connect.errors.exception.message").unwrap_or_default().is_empty());
    assert_eq!(sent.len(), 3, "the dead letter, the good line and the end of the file");
}

#[test]
fn the_rtc_waits_for_every_position_partition() {
    let mut inbound = inbound().partitions(2);
    let content = whole(RMC, &[POS]);
    inbound.give("", &arrived(RMC, &content));
    inbound.give("", &chunk(RMC, &content));
    let answer = |partition| PositionFileDone { partition, partitions: 2, ..done(RMC, Vec::new()) };
    assert_eq!(inbound.give("", &answer(1)).len(), 0);
    assert_eq!(inbound.give("", &answer(1)).len(), 0, "the same answer again");
    assert_eq!(status(&inbound, RMC), LedgerStatus::Confirming);
    let sent = inbound.give("", &answer(0));
    let close = inbound.read::<FileClose>(&sent).remove(0);
    assert_eq!((close.file_name.as_str(), close.kind.as_str(), close.number), (RTC, "RTC", 17));
    assert_eq!(close.rows as usize, confirmation(&inbound, &sent).len());
    assert_eq!(inbound.give("", &answer(0)).len(), 0, "the file is already processed");
}

#[test]
fn d51_the_header_names_this_run_and_the_last_rtc_of_the_office() {
    let mut inbound = inbound();
    let header = |inbound: &mut Harness<super::Inbound>, name: &str, now: &str| {
        inbound.now = millis(now);
        let sent = take_in(inbound, name, &whole(name, &[]));
        inbound.read::<tributary_schemas::records::tributary::FileRow>(&sent).remove(0).line
    };
    let first = header(&mut inbound, RMC, "2026-06-20T14:30:00Z");
    assert_eq!(first, format!("HDR,\"{RTC}\",20260620 153000,\"EOE\",,20260620 153000,\"01\""), "London time");
    let other_office = header(&mut inbound, "DE_LDN_RMC_20261120_00000017.DAT", "2026-06-21T14:30:00Z");
    assert!(other_office.contains("\"LDN\",,"), "{other_office}");
    let second = header(&mut inbound, &RMC.replace("017", "018"), "2026-06-22T14:30:00Z");
    assert!(second.ends_with(",\"EOE\",20260620 153000,20260622 153000,\"01\""), "{second}");
}

#[test]
fn d8_positions_that_a_full_file_does_not_name_are_reported_and_nothing_else() {
    let mut inbound = inbound();
    let content = whole(RMF, &[POS]);
    inbound.give("", &arrived(RMF, &content));
    inbound.give("", &chunk(RMF, &content));
    let answer = PositionFileDone { unnamed: 2, unnamed_examples: vec![71, 72], ..done(RMF, Vec::new()) };
    let sent = inbound.give("", &answer);
    let alert = inbound.read::<Alert>(&sent).remove(0);
    assert_eq!((alert.severity, alert.code.as_str()), (Severity::Warning, "positions-not-named"));
    assert!(alert.text.starts_with("2 positions of EOE") && alert.text.ends_with("71, 72"), "{}", alert.text);
    assert_eq!(confirmation(&inbound, &sent).len(), 3, "these positions have no row in the RTC");
}

fn decide(name: &str, decision: Decision) -> FileDecision {
    FileDecision { file_name: name.parse().unwrap(), decision }
}

#[test]
fn d12_the_second_confirmation_of_a_name_is_held_back_until_it_is_released() {
    let mut inbound = inbound();
    let sent = take_in(&mut inbound, RMF, &whole(RMF, &[POS]));
    assert_eq!(confirmation(&inbound, &sent).len(), 3);
    let sent = take_in(&mut inbound, RMC, &whole(RMC, &[POS, POR]));
    assert_eq!(confirmation(&inbound, &sent).len(), 0);
    assert_eq!(statuses(&inbound, &sent), [FileStatus::Processed, FileStatus::Held], "its lines are taken in");
    assert_eq!(alerts(&inbound, &sent), [(Severity::Warning, "confirmation-held".to_owned())]);
    let held = "the RTC of another file has the same name (D12)".to_owned();
    assert_eq!(row(&inbound, &sent), Some((FileStatus::Processed, held)), "the view shows what became of the file");
    assert_eq!(inbound.dead_letter("", &decide(RMF, Decision::Release)), "decision-does-not-fit");
    let sent = inbound.give("", &decide(RMC, Decision::Release));
    assert_eq!(
        confirmation(&inbound, &sent)[1..3],
        [r#"RTC,SUMMARY,"POR",,,"","","","",1,1"#.to_owned(), r#"RTC,SUMMARY,"POS",,,"","","","",1,1"#.to_owned()]
    );
    assert_eq!(inbound.read::<FileClose>(&sent).len(), 1);
    assert_eq!(row(&inbound, &sent), Some((FileStatus::Processed, String::new())));
    assert_eq!(inbound.dead_letter("", &decide(RMC, Decision::Release)), "decision-does-not-fit", "once");
}

#[test]
fn d12_files_of_other_offices_dates_or_numbers_have_confirmations_of_their_own() {
    let mut inbound = inbound();
    take_in(&mut inbound, RMF, &whole(RMF, &[POS]));
    for name in [RMC.replace("017", "018"), RMC.replace("20261120", "20261121"), RMC.replace("EOE", "LDN")] {
        let sent = take_in(&mut inbound, &name, &whole(&name, &[POS]));
        assert_eq!(statuses(&inbound, &sent), [FileStatus::Processed], "{name}");
        assert_eq!(inbound.read::<FileClose>(&sent).len(), 1, "{name}");
    }
}

#[test]
fn d12_the_confirmation_of_a_refused_file_takes_its_name_too() {
    let mut inbound = inbound();
    inbound.give("", &arrived(RMF, b"no header\n"));
    let sent = inbound.give("", &decide(RMF, Decision::Refuse));
    assert_eq!(inbound.read::<FileClose>(&sent)[0].file_name, RTC);
    let sent = take_in(&mut inbound, RMC, &whole(RMC, &[POS]));
    assert_eq!(inbound.read::<FileClose>(&sent).len(), 0, "ESR would receive two files with one name");
    assert_eq!(statuses(&inbound, &sent), [FileStatus::Processed, FileStatus::Held]);
}

#[test]
fn d12_the_confirmation_of_a_file_that_is_refused_after_the_other_one_is_held_back_until_it_is_released() {
    let mut inbound = inbound();
    take_in(&mut inbound, RMF, &whole(RMF, &[POS]));
    inbound.give("", &arrived(RMC, b"no header\n"));
    let sent = inbound.give("", &decide(RMC, Decision::Refuse));
    assert_eq!(inbound.read::<FileClose>(&sent).len(), 0, "ESR would receive two files with one name");
    assert_eq!(statuses(&inbound, &sent), [FileStatus::Refused, FileStatus::Held]);
    let sent = inbound.give("", &decide(RMC, Decision::Release));
    let rows = confirmation(&inbound, &sent);
    assert!(rows.len() == 3 && rows[1].contains("\"FAIL\",\"ERROR\""), "{rows:?}");
}
