//! What is special about booked times (A 7.3).

use super::world::*;
use crate::engagement::Engagement;

const SCHEDULE: &str = "GetAggregatedSubjectOfCareSchedule.v1";
const PATIENT: &str = "191212121212";

#[tokio::test(start_paused = true)]
async fn the_actor_goes_on_unchanged() {
    let world = Setup::default().patient(PATIENT, &[engagement("CLINIC-1", "Booking", "1")]).build();
    let service = world.service(SCHEDULE).clone();
    let actor = format!(
        "<i:Actor xmlns:i=\"urn:riv:interoperability:headers:1\"><i:actorId>{PATIENT}</i:actorId>\
         <i:actorType>subject_of_care</i:actorType></i:Actor>"
    );
    let reply = world.flow.ask(&service, asked(request(&service, &naming(&service, PATIENT), &actor))).await;
    Answered::of(&service, &reply).assert_all_from_source(&["CLINIC-1"]);
    let seen = world.seen();
    let rest = actor.strip_prefix("<i:Actor").unwrap();
    assert!(seen[0].body.contains(rest.split_once('>').unwrap().1), "{}", seen[0].body);
    assert_eq!(seen[0].message().other_headers().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn each_logical_address_is_called_once_with_a_new_body() {
    let booking = |address: &str, object: &str| Engagement {
        source_system: "ONE-SYSTEM".to_owned(),
        ..engagement(address, "Booking", object)
    };
    let bookings = [booking("CLINIC-1", "1"), booking("CLINIC-1", "2"), booking("CLINIC-2", "3")];
    let world = Setup::default().patient(PATIENT, &bookings).build();
    let service = world.service(SCHEDULE).clone();
    let inside = format!(
        "<q:healthcare_facility>THEIR-OWN</q:healthcare_facility>{}<x:more xmlns:x='urn:x'/>",
        naming(&service, PATIENT)
    );
    let reply = world.flow.ask(&service, asked(request(&service, &inside, ""))).await;
    let answer = Answered::of(&service, &reply);
    assert_eq!((answer.rows_of("CLINIC-1"), answer.rows_of("CLINIC-2")), (2, 1));
    assert_eq!(world.called(), ["CLINIC-1", "CLINIC-2"]);
    for seen in world.seen() {
        let value = |name: &str| seen.message().values(&[name.to_owned()]);
        assert_eq!(value("healthcare_facility"), [seen.address.as_str()]);
        assert_eq!(value("subject_of_care"), [PATIENT]);
        assert!(value("more").is_empty());
        let action = "\"urn:riv:crm:scheduling:GetSubjectOfCareScheduleResponder:1:GetSubjectOfCareSchedule\"";
        assert_eq!(seen.header("soapaction"), Some(action));
    }
    // The category of bookings is not sent (A 3.7).
    assert_eq!(world.index.seen.lock().unwrap()[0].find.categorization, None);
}
