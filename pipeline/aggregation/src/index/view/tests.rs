//! Questions to the index (A 6.5, 7.5).

use super::*;
use crate::harness::{self, PATIENT};

const DOMAIN: &str = "riv:crm:scheduling";

/// A row with something of its own in every field, or without a time of its content.
fn row(name: &str, content: Option<&str>) -> Engagement {
    let text = |field: &str| format!("{field}-{name}");
    Engagement {
        categorization: text("category"),
        logical_address: text("unit").parse().unwrap(),
        business_object_instance_identifier: text("visit").parse().unwrap(),
        clinical_process_interest_id: text("process").parse().unwrap(),
        most_recent_content: content.map(|content| content.parse().unwrap()),
        source_system: text("system").parse().unwrap(),
        data_controller: text("controller"),
        owner: text("owner"),
        creation_time: Some("20261120143000".parse().unwrap()),
        ..harness::engagement(PATIENT, DOMAIN, "")
    }
}

fn view(rows: &[Engagement]) -> IndexView {
    let mut view = IndexView::default();
    for row in rows {
        view.take(row.key(), Some(row.clone()));
    }
    view
}

fn question() -> SentQuestion {
    let text = |text: &str| Some(text.to_owned());
    SentQuestion {
        registered_resident_identification: text(PATIENT),
        service_domain: text(DOMAIN),
        ..SentQuestion::default()
    }
}

fn found(view: &IndexView, question: &SentQuestion) -> Vec<Engagement> {
    view.find(question).unwrap().engagements
}

#[test]
fn a_question_finds_the_rows_of_a_patient_and_a_domain_as_they_came() {
    let rows = [row("a", Some("20261120143000")), row("b", None)];
    let others = [harness::engagement("201212121212", DOMAIN, "x"), harness::engagement(PATIENT, "riv:other", "x")];
    let view = view(&[&rows[..], &others].concat());
    assert_eq!(found(&view, &question()), rows);
    assert_eq!(view.len(), 4);
}

#[test]
fn a_question_without_a_hit_has_an_empty_answer() {
    let nobody = SentQuestion { registered_resident_identification: Some("201212121212".to_owned()), ..question() };
    assert_eq!(view(&[row("a", None)]).find(&nobody), Ok(Found::default()));
    assert_eq!(IndexView::default().find(&question()), Ok(Found::default()));
}

#[test]
fn a_question_without_patient_or_domain_is_ei000() {
    let view = view(&[row("a", None)]);
    for text in [None, Some(String::new())] {
        let no_patient = SentQuestion { registered_resident_identification: text.clone(), ..question() };
        let no_domain = SentQuestion { service_domain: text, ..question() };
        for (question, field) in [(no_patient, "registeredResidentIdentification"), (no_domain, "serviceDomain")] {
            let refusal = view.find(&question).unwrap_err().to_string();
            assert!(refusal.starts_with("EI000: "), "{refusal}");
            assert!(refusal.contains(&format!("{field} is mandatory but missing")), "{refusal}");
        }
    }
}

#[test]
fn each_optional_field_narrows_the_answer_to_equal_ones() {
    let view = view(&[row("a", None), row("b", None)]);
    let text = |text: &str| Some(text.to_owned());
    let ask = |field: usize, name: &str| {
        let mut question = question();
        match field {
            0 => question.categorization = text(&format!("category-{name}")),
            1 => question.logical_address = text(&format!("unit-{name}")),
            2 => question.business_object_instance_identifier = text(&format!("visit-{name}")),
            3 => question.clinical_process_interest_id = text(&format!("process-{name}")),
            4 => question.source_system = text(&format!("system-{name}")),
            5 => question.data_controller = text(&format!("controller-{name}")),
            _ => question.owner = text(&format!("owner-{name}")),
        }
        found(&view, &question)
    };
    for field in 0..7 {
        assert_eq!(ask(field, "b"), [row("b", None)], "{field}");
        assert_eq!(ask(field, "B"), [], "upper and lower case differ: {field}");
    }
    let both = SentQuestion { categorization: text("category-a"), owner: text("owner-b"), ..question() };
    assert_eq!(found(&view, &both), [], "all given fields must fit");
    let empty = SentQuestion { categorization: text(""), owner: text(""), ..question() };
    assert_eq!(found(&view, &empty).len(), 2, "an empty field is not given");
}

#[test]
fn the_time_of_the_content_is_at_least_the_one_asked_for_and_rows_without_one_drop_out() {
    let view = view(&[row("a", Some("20261120143000")), row("b", Some("20261120143001")), row("c", None)]);
    for (least, count) in [("20261120142959", 2), ("20261120143000", 2), ("20261120143001", 1), ("20261120143002", 0)] {
        let question = SentQuestion { most_recent_content: Some(least.to_owned()), ..question() };
        assert_eq!(found(&view, &question).len(), count, "{least}");
    }
    let wrong = SentQuestion { most_recent_content: Some("2026".to_owned()), ..question() };
    assert!(view.find(&wrong).unwrap_err().to_string().starts_with("EI004: "));
}

#[test]
fn an_object_that_is_not_given_is_found_as_na() {
    let row = harness::engagement(PATIENT, DOMAIN, "x");
    let view = view(std::slice::from_ref(&row));
    let question = SentQuestion { business_object_instance_identifier: Some("NA".to_owned()), ..question() };
    assert_eq!(found(&view, &question), [row]);
}

#[test]
fn a_changed_row_takes_the_place_of_the_one_before_and_a_deleted_one_is_gone() {
    let (before, after) = (row("a", None), row("a", Some("20261120143000")));
    let mut view = view(&[before.clone(), row("b", None)]);
    view.take(after.key(), Some(after.clone()));
    assert_eq!(found(&view, &question()), [after.clone(), row("b", None)]);
    view.take(after.key(), None);
    view.take(after.key(), None);
    assert_eq!(found(&view, &question()), [row("b", None)]);
    view.take(before.key(), Some(before.clone()));
    assert_eq!((found(&view, &question()), view.len()), (vec![row("b", None), before], 2));
}

#[test]
fn nothing_is_kept_of_what_is_gone() {
    let rows: Vec<Engagement> = (0..20).map(|number| row(&number.to_string(), None)).collect();
    let mut view = view(&rows);
    for row in &rows {
        view.take(row.key(), None);
    }
    assert_eq!((view.is_empty(), view.of_patient.len(), view.pool.len(), view.rows.len()), (true, 0, 0, 20));
    for row in &rows {
        view.take(row.key(), Some(row.clone()));
    }
    assert_eq!((view.len(), view.rows.len()), (20, 20), "places are used again");
}

#[test]
fn an_answer_is_cut_at_10_000_engagements() {
    let numbered = |number: usize| Engagement {
        business_object_instance_identifier: format!("visit-{number}").parse().unwrap(),
        ..row("a", None)
    };
    let mut view = view(&(0..MOST_FOUND).map(numbered).collect::<Vec<_>>());
    let all = view.find(&question()).unwrap();
    assert_eq!((all.engagements.len(), all.left_out), (10_000, 0));
    let one_more = numbered(MOST_FOUND);
    view.take(one_more.key(), Some(one_more));
    let cut = view.find(&question()).unwrap();
    assert_eq!((cut.engagements.len(), cut.left_out), (10_000, 1));
}

#[test]
fn the_engagements_of_a_patient_can_be_listed_in_one_domain_or_in_all() {
    let view = view(&[row("a", None), harness::engagement(PATIENT, "riv:other", "x")]);
    let patient = PATIENT.parse().unwrap();
    assert_eq!(view.of_patient(&patient, None).len(), 2);
    assert_eq!(view.of_patient(&patient, Some(DOMAIN)), [row("a", None)]);
}

#[test]
fn debug_shows_no_contents() {
    let view = view(&[row("a", None)]);
    let shown = format!("{view:?} {:?} {:?}", question(), view.find(&question()).unwrap());
    assert!(!shown.contains(PATIENT) && !shown.contains("visit-a") && !shown.contains("process-a"), "{shown}");
}
