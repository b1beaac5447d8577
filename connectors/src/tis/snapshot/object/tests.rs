//! Lines of a snapshot: what is read, and which fault is named.

use super::*;

const PLACEMENT: &str = r#"{"id":"7","traineeId":8,"nationalPostNumber":"EOE/RGT00/021/STR/001","dateFrom":"2026-12-01","dateTo":"","placementType":"In post","lifecycleState":"approved","wholeTimeEquivalent":"0.8","unknown":{"a":[1]},"esrEvents":[{"positionId":5,"status":"EXPORTED"},{"positionId":null}]}"#;

fn fault_of<T: Object + std::fmt::Debug>(line: &str) -> (Option<String>, String) {
    let fault = T::from_line(line.as_bytes()).unwrap_err();
    (fault.field, fault.reason)
}

#[test]
fn ids_as_text_blank_texts_and_unknown_fields_are_accepted() {
    let placement = Placement::from_line(PLACEMENT.as_bytes()).unwrap();
    assert_eq!((placement.id, placement.trainee_id, placement.post_id), (7, 8, None));
    assert_eq!((placement.date_from, placement.date_to), (20_788, None));
    assert_eq!(placement.whole_time_equivalent, Some(0.8));
    assert_eq!(placement.lifecycle_state, LifecycleState::Approved);
    assert_eq!(placement.esr_events.len(), 1);
}

#[test]
fn whole_numbers_may_have_a_decimal_point_and_others_are_refused() {
    let person = |id: &str| Person::from_line(format!(r#"{{"id":{id}}}"#).as_bytes());
    for id in ["7", "7.0", "70e-1", "\"7\"", "\" 7.0 \""] {
        assert_eq!(person(id).unwrap().id, 7, "{id}");
    }
    for id in ["7.5", "1e300", "9007199254740993.0", "\"7.5\"", "\"seven\"", "\"inf\"", "true"] {
        assert_eq!(person(id).unwrap_err().field.as_deref(), Some("id"), "{id}");
    }
    let number = r#"{"id":1,"gmcDetails":{"gmcNumber":7000001.0}}"#;
    assert_eq!(Person::from_line(number.as_bytes()).unwrap().gmc.gmc_number.as_deref(), Some("7000001"));
}

#[test]
fn d113_a_placement_without_a_post_number_is_an_object() {
    for number in ["\"\"", "\"  \"", "null"] {
        let line = PLACEMENT.replace("\"EOE/RGT00/021/STR/001\"", number);
        assert_eq!(Placement::from_line(line.as_bytes()).unwrap().dpn, Dpn::default(), "{number}");
    }
    let absent = PLACEMENT.replacen("\"nationalPostNumber\"", "\"x\"", 1);
    assert_eq!(Placement::from_line(absent.as_bytes()).unwrap().dpn, Dpn::default());
}

#[test]
fn a_missing_or_blank_required_field_is_named() {
    for field in ["id", "traineeId", "dateFrom", "placementType", "lifecycleState"] {
        let renamed = PLACEMENT.replacen(&format!("\"{field}\""), "\"x\"", 1);
        assert_eq!(fault_of::<Placement>(&renamed), (Some(field.to_owned()), "is missing or blank".to_owned()));
    }
    let blank = r#"{"id":1,"nationalPostNumber":"  ","status":"CURRENT"}"#;
    assert_eq!(fault_of::<Post>(blank).0.as_deref(), Some("nationalPostNumber"));
    assert_eq!(fault_of::<Person>(r#"{"contactDetails":{}}"#).0.as_deref(), Some("id"));
}

#[test]
fn a_wrong_value_is_named_with_its_field() {
    let (field, reason) = fault_of::<Placement>(&PLACEMENT.replace("2026-12-01", "2026-02-30"));
    assert_eq!(field.as_deref(), Some("dateFrom"));
    assert_eq!(reason, "`2026-02-30` is not a date as YYYY-MM-DD");
    let (field, reason) = fault_of::<Post>(r#"{"id":1,"nationalPostNumber":"A","status":"GONE"}"#);
    assert_eq!((field.as_deref(), reason.as_str()), (Some("status"), "`GONE` is not CURRENT, INACTIVE or DELETE"));
    let (field, _) = fault_of::<Person>(r#"{"id":1,"contactDetails":{"surname":"Test","email":["a"]}}"#);
    assert_eq!(field.as_deref(), Some("contactDetails.email"));
    assert_eq!(fault_of::<Person>(r#"{"id":1.5}"#).0.as_deref(), Some("id"));
}

#[test]
fn lines_that_are_not_json_objects_are_told_apart() {
    assert!(fault_of::<Post>(r#"{"id":1"#).1.starts_with("is not JSON"));
    assert_eq!(fault_of::<Post>("[1]").1, "is not a JSON object");
    let fault = Post::from_line(b"{\"id\":1,\"owner\":\"\xff\"}").unwrap_err();
    assert_eq!(fault.reason, "is not UTF-8");
}

#[test]
fn nested_details_of_a_person_are_read_and_may_be_null() {
    let line = r#"{"id":3,"contactDetails":{"legalSurname":"Testcase","telephoneNumber":1632960001},
        "personalDetails":null,"gmcDetails":{"gmcNumber":7000001,"gmcEndDate":"2027-01-31T00:00:00"}}"#;
    let person = Person::from_line(line.as_bytes()).unwrap();
    assert_eq!(person.contact.legal_surname.as_deref(), Some("Testcase"));
    assert_eq!(person.contact.telephone_number.as_deref(), Some("1632960001"));
    assert_eq!(person.gmc.gmc_number.as_deref(), Some("7000001"));
    assert_eq!(person.gmc.gmc_end_date, Some(20_849));
    assert_eq!(person.personal, PersonalDetails::default());
}
