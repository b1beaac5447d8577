//! The system regression of the platform: request activities and booked times, and the TAK matrix (A 7.4).

use super::world::*;
use crate::tak::Tak;

const ACTIVITIES_1: &str = "GetAggregatedRequestActivities.v1";
const ACTIVITIES_2: &str = "GetAggregatedRequestActivities.v2";
const SCHEDULE: &str = "GetAggregatedSubjectOfCareSchedule.v1";
const SERVICES: [&str; 3] = [ACTIVITIES_1, ACTIVITIES_2, SCHEDULE];
const PATIENT: &str = "191212121212";

/// Systems with that many rows each.
fn systems(count: usize, rows: usize) -> World {
    let addresses = (0..count).map(|number| format!("SYS-{number:02}"));
    let of_system = |address: String| (0..rows).map(move |row| engagement(&address, "1", &row.to_string()));
    let engagements: Vec<_> = addresses.flat_map(of_system).collect();
    Setup::default().patient(PATIENT, &engagements).build()
}

#[tokio::test(start_paused = true)]
async fn no_engagement_gives_no_row_and_no_record() {
    for service in SERVICES {
        let answer = systems(0, 0).ask(service, PATIENT).await;
        assert_eq!((answer.rows.len(), answer.records.len()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn all_rows_of_all_systems_come() {
    for service in SERVICES {
        for (count, rows) in [(1, 1), (3, 1), (1, 1000), (20, 5)] {
            let answer = systems(count, rows).ask(service, PATIENT).await;
            assert_eq!((answer.rows.len(), answer.records.len()), (count * rows, count), "{service}");
            assert!(answer.records.iter().all(|record| record.status == "DataFromSource"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_three_is_empty() {
    for service in SERVICES {
        let world = systems(3, 1);
        world.producers.set("SYS-01", 100, What::Inside(String::new()));
        let answer = world.ask(service, PATIENT).await;
        assert_eq!(answer.rows.len(), 2);
        answer.assert_all_from_source(&["SYS-00", "SYS-01", "SYS-02"]);
    }
}

#[tokio::test(start_paused = true)]
async fn one_of_three_times_out_and_no_result_is_invented() {
    for service in SERVICES {
        let world = systems(3, 1);
        world.producers.set("SYS-01", 60_000, What::Rows);
        let answer = world.ask(service, PATIENT).await;
        assert_eq!((answer.rows.len(), answer.records.len()), (2, 3));
        answer.assert_failed("SYS-01", "504", "timeout");
        assert!(!answer.text.contains("resultCode"), "{}", answer.text);
    }
}

#[tokio::test(start_paused = true)]
async fn all_time_out_without_a_fault() {
    for service in SERVICES {
        let world = systems(3, 1);
        for address in ["SYS-00", "SYS-01", "SYS-02"] {
            world.producers.set(address, 60_000, What::Rows);
        }
        let answer = world.ask(service, PATIENT).await;
        assert!(answer.rows.is_empty());
        answer.records.iter().for_each(|record| answer.assert_failed(&record.address, "504", "timeout"));
    }
}

#[tokio::test(start_paused = true)]
async fn one_or_all_of_three_answer_with_a_fault() {
    for service in SERVICES {
        let world = systems(3, 1);
        let addresses = ["SYS-00", "SYS-01", "SYS-02"];
        for (index, address) in addresses.into_iter().enumerate() {
            world.producers.set(address, 100, What::Fault(500, "VP009 no answer".to_owned()));
            let answer = world.ask(service, PATIENT).await;
            assert_eq!((answer.rows.len(), answer.records.len()), (2 - index, 3));
            answer.assert_failed(address, "500", "VP009 no answer");
        }
    }
}

/// Entries of the catalogue for receivers.
fn tak(permission: Option<&str>, route: Option<&str>) -> Tak {
    let contract = "urn:riv:crm:requeststatus:GetRequestActivitiesResponder:1";
    let permission = permission.map(|receiver| {
        format!(r#"{{"contract": "{contract}", "receiver": "{receiver}", "sender": "sample-sender-id"}}"#)
    });
    let route = route.map(|receiver| {
        format!(r#"{{"contract": "{contract}", "receiver": "{receiver}", "url": "http://{receiver}.example"}}"#)
    });
    let (permissions, routes) = (permission.unwrap_or_default(), route.unwrap_or_default());
    let parents = r#"{"SYS-00": "PARENT"}"#;
    let text = format!(r#"{{"permissions": [{permissions}], "routes": [{routes}], "parents": {parents}}}"#);
    Tak::read(text.as_bytes()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn tak_matrix() {
    for (permission, route, reason) in [
        (Some("*"), Some("*"), None),
        (Some("SYS-00"), Some("SYS-00"), None),
        (Some("PARENT"), Some("PARENT"), None),
        (Some("*"), Some("SYS-00"), None),
        (Some("SYS-00"), Some("*"), None),
        (Some("*"), None, Some("route")),
        (Some("OTHER"), Some("*"), Some("permission")),
        (None, Some("*"), Some("permission")),
        (None, None, Some("permission")),
    ] {
        let mut setup = Setup::default().patient(PATIENT, &[engagement("SYS-00", "1", "1")]);
        setup.tak = Some(tak(permission, route));
        setup.settings.platform_url = None;
        let mut world = setup.build();
        let answer = world.ask(ACTIVITIES_1, PATIENT).await;
        let expected = usize::from(reason.is_none());
        assert_eq!((answer.rows.len(), answer.records.len()), (expected, expected), "{permission:?} {route:?}");
        let filtered = world.audit.recv().await.unwrap().filtered;
        assert_eq!(filtered.first().map(|one| one.reason.name()), reason);
        let urls: Vec<_> = world.seen().into_iter().map(|seen| seen.url).collect();
        let url = route.filter(|_| reason.is_none()).map(|receiver| format!("http://{receiver}.example"));
        assert_eq!(urls, url.into_iter().collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn the_original_consumer_may_have_the_permission() {
    let mut setup = Setup::default().with_tak().patient(PATIENT, &[engagement("HSA-ID-11", "c", "1")]);
    setup.settings.timeouts = crate::timeouts::Timeouts::default();
    let world = setup.build();
    assert!(world.ask(LABORATORY, PATIENT).await.records.is_empty());
    let service = world.service(LABORATORY).clone();
    let mut asked = asked(request(&service, &naming(&service, PATIENT), ""));
    for (name, value) in &mut asked.headers {
        if name == ORIGINAL_CONSUMER {
            *value = "sample-original-consumer-hsaid".to_owned();
        }
    }
    let reply = world.flow.ask(&service, asked).await;
    Answered::of(&service, &reply).assert_all_from_source(&["HSA-ID-11"]);
}

#[tokio::test(start_paused = true)]
async fn an_address_in_another_letter_case_is_called_as_the_index_has_it() {
    let mut setup = Setup::default().patient(PATIENT, &[engagement("sys-00", "1", "1")]);
    setup.tak = Some(tak(Some("*"), Some("*")));
    let world = setup.build();
    let answer = world.ask(ACTIVITIES_1, PATIENT).await;
    answer.assert_all_from_source(&["sys-00"]);
    assert_eq!(world.called(), ["sys-00"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_of_types_is_asked_of_these_only() {
    let engagements = [engagement("SYS-00", "1", "1"), engagement("SYS-01", "2", "1"), engagement("SYS-02", "4", "1")];
    let mut world = Setup::default().patient(PATIENT, &engagements).build();
    let service = world.service(ACTIVITIES_1).clone();
    let types = "<q:typeOfRequest/><q:typeOfRequest>2</q:typeOfRequest><q:typeOfRequest>4</q:typeOfRequest>\
                 <q:fromDate>20260101000000</q:fromDate><x:more xmlns:x='urn:x'>1</x:more>";
    let inside = format!("{}{types}", naming(&service, PATIENT));
    let reply = world.flow.ask(&service, asked(request(&service, &inside, ""))).await;
    Answered::of(&service, &reply).assert_all_from_source(&["SYS-01", "SYS-02"]);
    // The body goes on as it came, unknown elements too.
    assert!(world.seen().iter().all(|seen| seen.body.contains(&inside)));
    let filtered = world.audit.recv().await.unwrap().filtered;
    assert_eq!(filtered.iter().map(|one| one.reason.name()).collect::<Vec<_>>(), ["service"]);
    let only_empty = format!("{}<q:typeOfRequest/>", naming(&service, PATIENT));
    let reply = world.flow.ask(&service, asked(request(&service, &only_empty, ""))).await;
    assert_eq!(Answered::of(&service, &reply).records.len(), 3);
}
