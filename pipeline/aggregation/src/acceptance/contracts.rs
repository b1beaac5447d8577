//! Contracts as data.

use tributary_flow::configuration::Source;

use super::world::*;
use crate::engagement::Field;

const PATIENT: &str = "191212121212";

const OWN: &str = r#"
name = "GetAggregatedThings.v1"
path = "/GetAggregatedThings/service/v1"
contract = "urn:example:things:GetThingsResponder:1"
interaction = "GetThings"
wsdl_namespace = "urn:example:things:GetThings:1:rivtabp21"
url = "http://things.example/"
service_timeout_ms = 300
aggregate_timeout_ms = 400
aggregated_service_timeout_ms = 500
[query]
patient = "person"
domain = "example:things"
categories = ["thing"]
most_recent_content_days = 30
[requests]
group_by = "logicalAddress"
body = [{ element = "person", from = "engagement.registeredResidentIdentification" },
        { element = "kind", from = "request.kind" },
        { element = "owner", from = "engagement.owner" },
        { element = "fixed", from = "text:a<b" }]
[response]
concatenate = ["things", "{urn:example:more}more"]
append = '<p:result xmlns:p="urn:example:p"><code>INFO</code></p:result>'
"#;

#[tokio::test(start_paused = true)]
async fn new_contract_by_descriptor_alone() {
    let engagements = ["SYS-1", "SYS-2", "SYS-3"].map(|address| engagement(address, "thing", "1"));
    let setup = Setup { descriptors: vec![Source::new("own.toml", OWN)], ..Setup::default() };
    let world = setup.patient(PATIENT, &engagements).build();
    let more = "<m:more xmlns:m='urn:example:more'>1</m:more>";
    let inside = |address: &str| format!("{more}{}<c:other/>", row("things", address, PATIENT, "1"));
    world.producers.set("SYS-1", 200, What::Inside(inside("SYS-1")));
    world.producers.set("SYS-2", 100, What::Inside(inside("SYS-2")));
    world.producers.set("SYS-3", 350, What::Rows);
    let service = world.service("GetAggregatedThings.v1").clone();
    let asked_for = format!("<q:person>{PATIENT}</q:person><q:kind>1</q:kind><q:kind>2</q:kind>");
    let reply = world.flow.ask(&service, asked(request(&service, &asked_for, ""))).await;
    let answer = Answered::of(&service, &reply);
    // In the order of arrival, the elements of the second name after those of the first, and nothing else.
    let systems: Vec<_> = answer.rows.iter().map(|[system, ..]| system.as_str()).collect();
    assert_eq!(systems, ["SYS-2", "SYS-1"]);
    let (_, after) = answer.text.rsplit_once("</c:things>").unwrap();
    let end = "<p:result xmlns:p=\"urn:example:p\"><code>INFO</code></p:result></agg:GetThingsResponse>";
    assert!(after.matches("<m:more").count() == 2 && after.contains(end), "{after}");
    assert!(!answer.text.contains("other"));
    answer.assert_failed("SYS-3", "504", "timeout: no complete answer within 300 ms");
    let find = world.index.seen.lock().unwrap()[0].find.clone();
    assert_eq!(find.most_recent_content.as_deref(), Some("20261029000000"));
    assert_eq!((find.service_domain.as_str(), find.categorization.as_deref()), ("example:things", Some("thing")));
    for seen in world.seen() {
        assert_eq!(seen.url, "http://things.example/");
        let body = "<q:person>191212121212</q:person><q:kind>1</q:kind><q:kind>2</q:kind><q:fixed>a&lt;b</q:fixed>";
        assert!(seen.body.contains(body), "{}", seen.body);
    }
}

#[tokio::test(start_paused = true)]
async fn two_versions_side_by_side() {
    let (first, second) = ("GetAggregatedRequestActivities.v1", "GetAggregatedRequestActivities.v2");
    let engagements = ["SYS-1", "SYS-2"].map(|address| engagement(address, "1", "1"));
    let world = Setup::default().patient(PATIENT, &engagements).build();
    for service in [first, second] {
        let answer = world.ask(service, PATIENT).await;
        answer.assert_all_from_source(&["SYS-1", "SYS-2"]);
        let contract = &world.service(service).descriptor().contract;
        assert_eq!(&answer.message.name().namespace, contract);
        let seen = world.seen();
        let last = seen.last().unwrap();
        assert_eq!(&last.message().name().namespace, contract);
    }
    let seen = world.index.seen.lock().unwrap();
    let categories: Vec<_> = seen.iter().map(|question| question.find.categorization.as_deref()).collect();
    assert_eq!(categories, [None, Some("req-act")]);
}

#[tokio::test(start_paused = true)]
async fn every_built_in_service_answers() {
    for service in [
        "GetAggregatedSubjectOfCareSchedule.v1",
        "GetAggregatedRequestActivities.v1",
        "GetAggregatedRequestActivities.v2",
        "GetAggregatedCareDocumentation.v3",
        "GetAggregatedLaboratoryOrderOutcome.v4",
    ] {
        let world = Setup::default().patient(PATIENT, &[engagement("SYS", "1", "1")]).build();
        let answer = world.ask(service, PATIENT).await;
        assert_eq!(answer.rows_of("SYS"), 1, "{service}");
        let has_result = service == "GetAggregatedCareDocumentation.v3";
        assert_eq!(answer.text.contains("resultCode>INFO<"), has_result, "{}", answer.text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_named_source_system_is_the_only_one_called() {
    for (service, element) in [
        (
            "GetAggregatedRequestActivities.v2",
            "<q:sourceSystemHSAId><q:extension>S</q:extension></q:sourceSystemHSAId>",
        ),
        ("GetAggregatedCareDocumentation.v3", "<q:sourceSystemId><q:extension>S</q:extension></q:sourceSystemId>"),
        ("GetAggregatedLaboratoryOrderOutcome.v4", "<q:sourceSystemHSAId>S</q:sourceSystemHSAId>"),
    ] {
        for (element, expected) in [(element.replace(">S<", ">SYS-2<"), 1), (element.replace(">S<", "><"), 2)] {
            let engagements = ["SYS-1", "SYS-2"].map(|address| engagement(address, "1", "1"));
            let world = Setup::default().patient(PATIENT, &engagements).build();
            let service = world.service(service).clone();
            let inside = format!("{}{element}", naming(&service, PATIENT));
            let reply = world.flow.ask(&service, asked(request(&service, &inside, ""))).await;
            assert_eq!(Answered::of(&service, &reply).records.len(), expected, "{element}");
        }
    }
}

#[test]
fn every_field_has_its_element() {
    for field in Field::ALL {
        assert_eq!(Field::named(field.element()), Some(field));
    }
    assert_eq!(Field::named("any"), None);
}
