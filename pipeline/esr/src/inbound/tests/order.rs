//! Numbers of files, and lines that a newer file has overtaken (D93, D94, D101).

use tributary_schemas::records::esr::{Decision, FileDecision, LineVerdict, PositionFileDone};
use tributary_schemas::records::tributary::{Alert, FileClose, FileEvent, Severity};

use super::{Inbound, LedgerStatus, POS, RMC, arrived, chunk, confirmation, done, inbound, status, take_in, whole};
use crate::harness::Harness;

const NEWER: &str = "DE_EOE_RMC_20261121_00000018.DAT";

fn file(kind: &str, day: u32, number: u32) -> String {
    format!("DE_EOE_{kind}_202611{day:02}_{number:08}.DAT")
}

/// The code and the text of each warning when these files arrive one after the other.
fn warnings(inbound: &mut Harness<Inbound>, names: &[String]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for name in names {
        let sent = take_in(inbound, name, &whole(name, &[POS]));
        found.extend(inbound.read::<Alert>(&sent));
    }
    let warning = |alert: Alert| {
        assert_eq!(alert.severity, Severity::Warning);
        (alert.code, alert.text)
    };
    found.into_iter().filter(|alert| alert.code.starts_with("file-")).map(warning).collect()
}

fn codes(names: &[String]) -> Vec<String> {
    warnings(&mut inbound(), names).into_iter().map(|(code, _)| code).collect()
}

#[test]
fn d94_numbers_that_follow_each_other_are_not_worth_a_word() {
    let names = [file("RMF", 19, 7), file("RMC", 20, 8), file("RMC", 21, 9), file("RMF", 22, 10), file("RMC", 23, 11)];
    assert_eq!(codes(&names), [""; 0], "both types counted together");
    let names = [file("RMF", 19, 7), file("RMC", 19, 7), file("RMC", 20, 8), file("RMF", 21, 8), file("RMC", 21, 9)];
    assert_eq!(codes(&names), [""; 0], "each type counted alone");
    let other_office = file("RMC", 21, 30).replace("EOE", "LDN");
    assert_eq!(codes(&[file("RMC", 20, 8), other_office, file("RMC", 22, 9)]), [""; 0]);
}

#[test]
fn d94_a_gap_is_a_warning_that_names_the_missing_numbers() {
    let mut one = inbound();
    let [(code, text)] = warnings(&mut one, &[file("RMC", 20, 2), file("RMC", 21, 4)]).try_into().unwrap();
    assert_eq!(code, "file-number-missing");
    let expected =
        format!("{} follows {}, and number 3 is missing: ask ESR for the file", file("RMC", 21, 4), file("RMC", 20, 2));
    assert_eq!(text, expected);
    assert_eq!(warnings(&mut one, &[file("RMC", 22, 5), file("RMC", 21, 4)]), [], "once");
    let names = [file("RMC", 20, 2), file("RMF", 21, 5), file("RMC", 22, 9)];
    let texts: Vec<String> = warnings(&mut inbound(), &names).into_iter().map(|(_, text)| text).collect();
    assert!(texts[0].contains("the numbers 3 to 4 are missing"), "D101: a first RMF follows the RMC: {texts:?}");
    assert!(texts[1].contains("the numbers 3 to 4, 6 to 8 are missing"), "D101: the RMF has number 5: {texts:?}");
}

#[test]
fn d94_a_gap_of_any_size_is_named_in_a_few_words() {
    let mut one = inbound();
    let mut names: Vec<String> = (1..=8).map(|number| file("RMF", 1, number * 1_000)).collect();
    names.push(file("RMC", 2, 99_999_999));
    warnings(&mut one, &[file("RMC", 1, 1)]);
    let found = warnings(&mut one, &names);
    assert!(
        found.last().unwrap().1.contains("1001 to 1999, 2001 to 2999")
            && found.last().unwrap().1.contains("and 4 more")
    );
}

#[test]
fn d94_a_repeat_and_a_number_that_goes_back_are_warnings() {
    assert_eq!(codes(&[file("RMC", 20, 8), file("RMC", 21, 8)]), ["file-number-repeated"]);
    assert_eq!(
        codes(&[file("RMC", 20, 8), file("RMC", 21, 8).replace("_0000000", "_000000")]),
        ["file-number-repeated"]
    );
    let reset = [file("RMC", 20, 8), file("RMC", 21, 1), file("RMC", 22, 2), file("RMC", 23, 3)];
    assert_eq!(codes(&reset), ["file-number-back"], "the numbers continue after a reset");
}

#[test]
fn d94_a_file_that_comes_after_a_newer_one_is_a_warning_once() {
    let mut inbound = inbound();
    warnings(&mut inbound, &[file("RMC", 20, 1), file("RMC", 22, 3)]);
    let late = file("RMC", 21, 2);
    let found = warnings(&mut inbound, &[late.clone(), late.clone(), file("RMC", 23, 4)]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "file-late");
    assert!(found[0].1.starts_with(&late) && found[0].1.contains(&file("RMC", 22, 3)), "{found:?}");
}

#[test]
fn d94_a_parked_file_has_come_and_is_judged_once() {
    let mut inbound = inbound();
    warnings(&mut inbound, &[file("RMC", 20, 1)]);
    let parked = file("RMC", 21, 3);
    let suspect = b"no header\n";
    let sent = inbound.give("", &arrived(&parked, suspect));
    let codes: Vec<String> = inbound.read::<Alert>(&sent).into_iter().map(|alert| alert.code).collect();
    assert_eq!(codes, ["file-number-missing", "file-suspect"]);
    assert_eq!(warnings(&mut inbound, &[file("RMC", 22, 4)]), []);
    inbound.give("", &FileDecision { file_name: parked.parse().unwrap(), decision: Decision::Accept });
    let sent = inbound.give("", &arrived(&parked, suspect));
    assert!(inbound.read::<Alert>(&sent).iter().all(|alert| alert.code == "file-suspect"));
}

fn overtaken(line: i32) -> LineVerdict {
    LineVerdict {
        line,
        record_type: "POS".to_owned(),
        id: Some(7_000_001),
        accepted: true,
        severity: Severity::Warning,
        text: format!("overtaken by {NEWER}"),
        overtaken_by: Some(NEWER.parse().unwrap()),
        ..LineVerdict::default()
    }
}

#[test]
fn d93_an_overtaken_line_is_accepted_has_a_row_and_its_file_is_named_once() {
    let mut inbound = inbound();
    let noted = POS.replace("\"EOE\",\"R1F\"", "\"LDN\",\"R1F\"");
    let content = whole(RMC, &[&noted, POS, POS]);
    inbound.give("", &arrived(RMC, &content));
    inbound.give("", &chunk(RMC, &content));
    let sent = inbound.give("", &done(RMC, vec![overtaken(2), overtaken(4)]));
    let rows = confirmation(&inbound, &sent);
    assert!(rows[1].contains(r#","SUCCESS","WARNING",""#), "{}", rows[1]);
    assert!(rows[1].ends_with(&format!("; overtaken by {NEWER}\",,")), "{}", rows[1]);
    assert_eq!(rows[2], format!(r#"RTC,RECORD,"POS",4,7000001,"","SUCCESS","WARNING","overtaken by {NEWER}",,"#));
    assert_eq!(rows[3], r#"RTC,SUMMARY,"POS",,,"","","","",3,3"#);
    let event = inbound.read::<FileEvent>(&sent).remove(0);
    assert_eq!((event.rejected.len(), event.counts[0].accepted), (0, 3));
    let alerts = inbound.read::<Alert>(&sent);
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!((alerts[0].severity, alerts[0].code.as_str()), (Severity::Warning, "lines-overtaken"));
    assert_eq!(alerts[0].text, format!("2 lines of {RMC} changed nothing: overtaken by {NEWER}"));
}

#[test]
fn the_verdicts_of_a_partition_may_come_in_several_records() {
    let mut inbound = inbound();
    let content = whole(RMC, &[POS, POS]);
    inbound.give("", &arrived(RMC, &content));
    inbound.give("", &chunk(RMC, &content));
    let first = PositionFileDone { more: true, ..done(RMC, vec![overtaken(2)]) };
    assert_eq!(inbound.give("", &first).len(), 0);
    assert_eq!(status(&inbound, RMC), LedgerStatus::Confirming);
    let sent = inbound.give("", &done(RMC, vec![overtaken(3)]));
    let rows = confirmation(&inbound, &sent);
    assert_eq!(rows.iter().filter(|row| row.contains("overtaken by")).count(), 2, "{rows:?}");
    assert_eq!(inbound.read::<FileClose>(&sent).len(), 1);
    assert_eq!(inbound.give("", &first).len(), 0, "the partition has answered");
}
