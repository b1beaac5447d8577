//! Descriptors that are taken, and what is said about others.

use super::*;

const OWN: &str = r#"name = "Own.v1"
path = "/Own/service/v1"
contract = "urn:example:OwnResponder:1"
interaction = "GetOwn"
wsdl_namespace = "urn:example:Own:1:rivtabp21"
[query]
patient = "patientId/id"
domain = "example"
[requests]
group_by = "sourceSystem"
[response]
concatenate = ["row"]
"#;

fn with(line: &str, instead: &str) -> Source {
    assert!(OWN.contains(line), "{line}");
    Source::new("own.toml", OWN.replace(line, instead))
}

#[test]
fn the_built_in_descriptors_are_those_of_the_contracts() {
    let all = Descriptors::read(&[]).unwrap();
    let names: Vec<_> = all.iter().map(|one| (one.name.as_str(), one.path.as_str())).collect();
    let expected = [
        ("GetAggregatedCareDocumentation.v3", "/GetAggregatedCareDocumentation/service/v3"),
        ("GetAggregatedLaboratoryOrderOutcome.v4", "/GetAggregatedLaboratoryOrderOutcome/service/v4"),
        ("GetAggregatedRequestActivities.v1", "/GetAggregatedRequestActivities/service/v1"),
        ("GetAggregatedRequestActivities.v2", "/GetAggregatedRequestActivities/service/v2"),
        ("GetAggregatedSubjectOfCareSchedule.v1", "/GetAggregatedSubjectOfCareSchedule/service/v1"),
    ];
    assert_eq!(names, expected);
    let schedule = all.iter().find(|one| one.interaction == "GetSubjectOfCareSchedule").unwrap();
    let action = "urn:riv:crm:scheduling:GetSubjectOfCareScheduleResponder:1:GetSubjectOfCareSchedule";
    assert_eq!(schedule.soap_action(), action);
    assert_eq!(schedule.requests.group_by, GroupBy::LogicalAddress);
}

#[test]
fn a_descriptor_of_the_same_name_replaces_a_built_in_one() {
    let own = with("Own.v1", "GetAggregatedRequestActivities.v1");
    let all = Descriptors::read(&[own]).unwrap();
    assert_eq!(all.iter().count(), 5);
    assert!(all.iter().any(|one| one.interaction == "GetOwn"));
    let selected = all.clone().select(&["GetAggregatedRequestActivities.v1".to_owned()]).unwrap();
    assert_eq!(selected.iter().count(), 1);
    let error = all.select(&["No.v1".to_owned()]).unwrap_err().to_string();
    assert!(error.starts_with("expected one of the services GetAggregatedCareDocumentation.v3, "), "{error}");
    assert!(error.ends_with("found \"No.v1\""), "{error}");
}

#[test]
fn a_wrong_entry_is_reported_with_file_line_and_expectation() {
    for (line, instead, expected) in [
        ("domain =", "domian =", "own.toml:8: expected "),
        ("name = \"Own.v1\"\n", "", "own.toml:1: expected the entry `name`, found none"),
        ("\"Own.v1\"", "\"Own v1\"", "own.toml:1: expected a name of letters"),
        ("\"/Own/service/v1\"", "\"Own\"", "own.toml:2: expected a path such as"),
        ("\"/Own/service/v1\"", "\"/Own?x\"", "own.toml:2: expected a path such as"),
        ("urn:example:OwnResponder:1", "urn:<a>", "own.toml:3: expected a namespace, found \"urn:<a>\""),
        ("\"GetOwn\"", "\"Get Own\"", "own.toml:4: expected a local name, found \"Get Own\""),
        ("[query]", "service_timeout_ms = 0\n[query]", "own.toml:6: expected 1 to 86400000 milliseconds, found 0"),
        ("[query]", "url = \"ftp://a\"\n[query]", "own.toml:6: expected an http or https URL, found \"ftp://a\""),
        ("patientId/id", "patientId//id", "own.toml:7: expected a path of local names"),
        ("[requests]", "most_recent_content_days = 0\n[requests]", "own.toml:9: expected 1 to 36600 days, found 0"),
        ("\"sourceSystem\"", "\"owner\"", "own.toml:10: expected "),
        (
            "[response]",
            "body = [{ element = \"a\", from = \"b\" }]\n[response]",
            "own.toml:11: expected \"engagement.\"",
        ),
        ("[response]", "keep = [{ request = \"a\", engagement = \"b\" }]\n[response]", "own.toml:11: expected "),
        ("[\"row\"]", "[]", "own.toml:12: expected at least one element"),
        ("[\"row\"]", "[\"row\", \"row\"]", "own.toml:12: expected another element"),
        ("[\"row\"]", "[\"p:row\"]", "own.toml:12: expected a name such as"),
        ("[\"row\"]", "[\"row\"]\nappend = \"<p:a/>\"", "own.toml:13: expected well-formed elements"),
        ("[\"row\"]", "[\"row\"]\nappend = \"<a></a></a><a>\"", "own.toml:13: expected well-formed elements"),
        ("[\"row\"]", "[\"row\"]\nappend = \"text\"", "own.toml:13: expected well-formed elements"),
        (
            "[\"row\"]",
            "[\"row\"]\nchecks = [{ path = \"a\", pattern = \"[\" }]",
            "own.toml:13: expected a regular expression, found \"[\"",
        ),
    ] {
        let error = Descriptor::read(&with(line, instead)).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error} should begin with {expected}");
    }
    assert!(Descriptor::read(&Source::new("own.toml", OWN)).is_ok());
}

#[test]
fn two_services_on_one_path_are_refused() {
    let path = "/GetAggregatedRequestActivities/service/v1";
    let error = Descriptors::read(&[with("/Own/service/v1", path)]).unwrap_err().to_string();
    let expected =
        format!("own.toml:2: expected a path of its own, found \"{path}\" of GetAggregatedRequestActivities.v1");
    assert_eq!(error, expected);
    let first = Source::new("first.toml", OWN);
    let error = Descriptors::read(&[first, with("Own.v1", "Other.v1")]).unwrap_err().to_string();
    assert!(error.contains("expected a path of its own"), "{error}");
    let error = Descriptors::read(&[Source::new("first.toml", OWN), Source::new("own.toml", OWN)]).unwrap_err();
    assert_eq!((error.file.as_str(), error.problem.contains("a second time")), ("own.toml", true));
}

#[test]
fn times_that_do_not_fit_the_general_ones_are_refused_with_their_line() {
    let general = crate::timeouts::Timeouts::default();
    let own = Descriptor::read(&with("[query]", "service_timeout_ms = 4600\n[query]")).unwrap();
    let error = crate::flow::Service::new(own, &general).map(|_| ()).unwrap_err().to_string();
    let expected = "own.toml:6: expected service_timeout_ms = 4600 to be less than aggregate_timeout_ms = 4500";
    assert!(error.starts_with(expected), "{error}");
}
