//! The checks of A 6.3: each alone, and which comes first.

use super::*;
use crate::ei_settings::IndexSettings;
use crate::harness::{self, OWN, PATIENT, sent};
use crate::{process_notification, update};

fn settings() -> IndexSettings {
    IndexSettings {
        alternative_hsa_id: Some("SE-EI-2".to_owned()),
        reserved: vec!["SE-RESERVED".to_owned()],
        ..harness::settings()
    }
}

fn text(refusal: &Refusal) -> String {
    refusal.to_string()
}

/// The refusal of an update to this index.
fn refusal(sent: &[SentTransaction]) -> String {
    text(&update::accept(OWN, sent, &settings()).unwrap_err())
}

fn changed(change: impl FnOnce(&mut SentEngagement)) -> SentTransaction {
    let mut sent = sent("visit-1");
    change(&mut sent.engagement);
    sent
}

fn set(engagement: &mut SentEngagement, field: Field, text: Option<&str>) {
    *engagement.place(field) = text.map(ToOwned::to_owned);
}

fn with(field: Field, text: &str) -> SentTransaction {
    changed(|engagement| set(engagement, field, Some(text)))
}

fn with_owner(sent: SentTransaction, owner: &str) -> SentTransaction {
    let mut sent = sent;
    sent.engagement.owner = Some(owner.to_owned());
    sent
}

#[test]
fn a_valid_update_is_owned_by_the_index_and_has_no_times_whatever_was_sent() {
    let sent = changed(|engagement| {
        engagement.owner = Some("SE-OTHER".to_owned());
        engagement.creation_time = Some("20200101000000".to_owned());
        engagement.update_time = Some("20200101000000".to_owned());
    });
    for address in [OWN, "SE-EI-2"] {
        let accepted = update::accept(address, std::slice::from_ref(&sent), &settings()).unwrap();
        let engagement = &accepted[0].engagement;
        assert_eq!((engagement.owner.as_str(), engagement.creation_time, engagement.update_time), (OWN, None, None));
        assert_eq!(engagement.most_recent_content, Some("20261120143000".parse().unwrap()));
        assert_eq!(engagement.registered_resident_identification.as_str(), PATIENT);
    }
}

#[test]
fn an_update_to_another_address_is_ei003_before_all_else() {
    for (address, shown) in [("SE-WRONG", "SE-WRONG"), ("", "missing")] {
        let refusal = text(&update::accept(address, &[], &settings()).unwrap_err());
        assert!(refusal.starts_with("EI003: "), "{refusal}");
        assert!(refusal.contains(shown) && refusal.contains(OWN), "{refusal}");
    }
    let refusal = text(&update::accept(&"x".repeat(5000), &[], &settings()).unwrap_err());
    assert!(refusal.len() < 200, "{refusal}");
}

#[test]
fn a_request_has_1_to_1000_transactions() {
    assert!(refusal(&[]).starts_with("EI000: "));
    let sent = |count: usize| (0..count).map(|number| sent(&format!("visit-{number}"))).collect::<Vec<_>>();
    assert_eq!(update::accept(OWN, &sent(1000), &settings()).map(|accepted| accepted.len()), Ok(1000));
    assert!(refusal(&sent(1001)).starts_with("EI000: "));
}

#[test]
fn two_transactions_with_the_same_key_are_ei002_with_their_numbers() {
    let refusal = refusal(&[sent("visit-1"), sent("visit-2"), sent("visit-1")]);
    assert!(refusal.starts_with("EI002: ") && refusal.contains("#1 and #3"), "{refusal}");
}

#[test]
fn duplicates_of_an_update_are_compared_after_the_owner_is_set() {
    let twice = [with_owner(sent("visit-1"), "SE-A"), with_owner(sent("visit-1"), "SE-B")];
    assert!(refusal(&twice).contains("#1 and #2"));
    assert!(process_notification::accept(&twice, &settings()).is_ok(), "of a notification the owner is as sent");
    let same = [with_owner(sent("visit-1"), "SE-A"), with_owner(sent("visit-1"), "SE-A")];
    assert!(text(&process_notification::accept(&same, &settings()).unwrap_err()).starts_with("EI002: "));
}

#[test]
fn transactions_that_differ_only_in_their_times_or_in_the_flag_are_duplicates() {
    let later = changed(|engagement| engagement.most_recent_content = None);
    let delete = SentTransaction { delete_flag: true, ..sent("visit-1") };
    for other in [later, delete] {
        assert!(refusal(&[sent("visit-1"), other]).starts_with("EI002: "));
    }
}

#[test]
fn each_mandatory_field_that_is_missing_or_empty_is_ei004() {
    for field in Field::MANDATORY {
        for text in [None, Some("")] {
            let sent = changed(|engagement| set(engagement, field, text));
            let refusal = refusal(&[sent]);
            assert!(
                refusal.starts_with("EI004: ") && refusal.contains(&format!("\"{}\"", field.element())),
                "{refusal}"
            );
        }
    }
    let refusal = text(&process_notification::accept(&[sent("visit-1")], &settings()).unwrap_err());
    assert!(refusal.starts_with("EI004: ") && refusal.contains("\"owner\""), "{refusal}");
}

#[test]
fn white_space_around_a_mandatory_field_is_ei004() {
    for field in Field::MANDATORY {
        for text in [" x", "x ", "x\n", " "] {
            let refusal = refusal(&[with(field, text)]);
            assert!(refusal.starts_with("EI004: ") && refusal.contains("white space"), "{refusal}");
        }
        assert!(update::accept(OWN, &[with(field, "x y")], &settings()).is_ok());
    }
}

#[test]
fn each_field_has_a_greatest_length_in_characters() {
    for field in Field::MANDATORY {
        assert!(update::accept(OWN, &[with(field, &"å".repeat(field.most()))], &settings()).is_ok(), "{field:?}");
        let refusal = refusal(&[with(field, &"å".repeat(field.most() + 1))]);
        assert!(refusal.starts_with("EI004: ") && refusal.contains(&format!("\"{}\"", field.element())), "{refusal}");
        assert!(!refusal.contains('å'), "{refusal}");
    }
    let long = with_owner(sent("visit-1"), &"x".repeat(65));
    assert!(text(&process_notification::accept(&[long], &settings()).unwrap_err()).contains("\"owner\""));
}

#[test]
fn each_time_that_is_none_is_ei004() {
    for text in ["2026-11-20", "20261320000000", "2026112014300", "", "x"] {
        let set = |engagement: &mut SentEngagement, name: &str| match name {
            "mostRecentContent" => engagement.most_recent_content = Some(text.to_owned()),
            "creationTime" => engagement.creation_time = Some(text.to_owned()),
            _ => engagement.update_time = Some(text.to_owned()),
        };
        for name in ["mostRecentContent", "creationTime", "updateTime"] {
            let refusal = refusal(&[changed(|engagement| set(engagement, name))]);
            assert!(refusal.starts_with("EI004: ") && refusal.contains(&format!("\"{name}\"")), "{refusal}");
        }
    }
}

#[test]
fn reserved_addresses_are_ei005_and_ei006_with_number_and_address() {
    for (field, code) in [(Field::LogicalAddress, "EI005: "), (Field::SourceSystem, "EI006: ")] {
        let refusal = refusal(&[sent("visit-2"), with(field, "SE-RESERVED")]);
        assert!(refusal.starts_with(code) && refusal.contains("#2") && refusal.contains("SE-RESERVED"), "{refusal}");
    }
}

/// One transaction that breaks every check, mended one after the other.
#[test]
fn the_checks_of_a_transaction_come_in_order() {
    let mut sent = [sent("visit-1"), sent("visit-1")];
    let broken = &mut sent[1].engagement;
    for (field, text) in [
        (Field::LogicalAddress, "SE-RESERVED"),
        (Field::SourceSystem, "SE-RESERVED"),
        (Field::DataController, " x"),
        (Field::Categorization, ""),
    ] {
        set(broken, field, Some(text));
    }
    set(broken, Field::ServiceDomain, Some(&"x".repeat(256)));
    broken.most_recent_content = Some("soon".to_owned());
    let first = sent[1].clone();
    assert!(refusal(&[first.clone(), first]).starts_with("EI004: "), "the first of two is checked whole before");
    let corrections: [(&str, Field, &str); 5] = [
        ("white space", Field::DataController, "x"),
        ("EI005", Field::LogicalAddress, "x"),
        ("EI006", Field::SourceSystem, "x"),
        ("missing", Field::Categorization, "x"),
        ("too long", Field::ServiceDomain, "x"),
    ];
    for (expected, field, text) in corrections {
        let refusal = refusal(&sent);
        assert!(refusal.contains(expected), "{expected}: {refusal}");
        set(&mut sent[1].engagement, field, Some(text));
    }
    assert!(refusal(&sent).contains("mostRecentContent"));
    sent[1].engagement = sent[0].engagement.clone();
    sent[1].engagement.most_recent_content = Some("soon".to_owned());
    assert!(refusal(&sent).starts_with("EI002: "), "duplicates come before all other checks of a transaction");
}

#[test]
fn one_bad_transaction_refuses_the_whole_request() {
    let mut all: Vec<SentTransaction> = (0..10).map(|number| sent(&format!("visit-{number}"))).collect();
    all[9].engagement.data_controller = None;
    assert!(refusal(&all).starts_with("EI004: "));
}

#[test]
fn debug_of_what_was_sent_shows_nothing_of_it() {
    let shown = format!("{:?}", sent("visit-1"));
    assert!(!shown.contains(PATIENT) && !shown.contains("visit-1"), "{shown}");
    let accepted = update::accept(OWN, &[sent("visit-1")], &settings()).unwrap();
    let shown = format!("{accepted:?}");
    assert!(!shown.contains(PATIENT) && !shown.contains("visit-1"), "{shown}");
}
