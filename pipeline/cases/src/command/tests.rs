//! The form of commands.

use super::*;

const GUID: &str = "6B1F3C1E-0F5B-4A53-9D0C-1D2A3B4C5D6E";

fn sender() -> Sender {
    Sender {
        origin: "a".parse().unwrap(),
        request: None,
        made: "00000000-0000-4000-8000-000000000001".parse().unwrap(),
    }
}

fn create() -> Fields {
    Fields {
        case_id: Some(GUID.to_owned()),
        created: Some("2026-11-20T14:30:00.1234567+01:00".to_owned()),
        case_details_uri: Some("https://esdh.example/1".to_owned()),
        ..Fields::default()
    }
}

fn wrong(queue: Queue, fields: &Fields) -> Vec<&'static str> {
    check(queue, sender(), fields).unwrap_err().iter().map(|error| error.field).collect()
}

#[test]
fn a_time_is_kept_in_utc_to_the_microsecond() {
    let command = check(Queue::Create, sender(), &create()).unwrap();
    let expected: jiff::Timestamp = "2026-11-20T13:30:00.123456Z".parse().unwrap();
    assert_eq!(command.created, Some(expected.as_microsecond()));
    assert_eq!(command.case_id.to_string(), GUID.to_lowercase());
    assert_eq!(command.command_id, sender().made);
}

#[test]
fn each_missing_or_malformed_field_is_named() {
    assert_eq!(wrong(Queue::Create, &Fields::default()), ["caseId", "created", "caseDetailsUri"]);
    assert_eq!(wrong(Queue::Update, &Fields::default()), ["caseId", "updated"]);
    assert_eq!(wrong(Queue::Close, &Fields::default()), ["caseId"]);
    let odd = Fields {
        command_id: Some("x".to_owned()),
        event_time: Some("yesterday".to_owned()),
        consumers: Consumers::Only(vec!["a b".to_owned()]),
        correlation_id: Some("\n".to_owned()),
        ..create()
    };
    assert_eq!(wrong(Queue::Create, &odd), ["commandId", "consumers", "eventTime", "correlationId"]);
}

#[test]
fn only_times_of_rfc_3339_with_an_offset_are_taken() {
    for (text, expected) in [
        ("2026-11-20T14:30:00Z", true),
        ("2026-11-20t14:30:00.5z", true),
        ("2026-11-20T14:30:00-05:30", true),
        ("2026-11-20T14:30:00", false),
        ("2026-11-20 14:30:00Z", false),
        ("2026-11-20T14:30Z", false),
        ("20261120T143000Z", false),
        ("2026-11-20T14:30:00.Z", false),
        ("2026-11-20T14:30:00+0100", false),
        ("2026-11-20T14:30:00+01:00[Europe/Copenhagen]", false),
        ("2026-02-30T14:30:00Z", false),
        ("", false),
    ] {
        assert_eq!(micros(text).is_ok(), expected, "{text}");
    }
}

#[test]
fn fields_that_the_type_does_not_have_are_ignored() {
    let fields = Fields { created: Some("nonsense".to_owned()), consumers: Consumers::Anyone, ..create() };
    let command = check(Queue::Delete, sender(), &fields).unwrap();
    assert_eq!((command.created, command.case_details_uri, command.any_consumer), (None, None, false));
}
