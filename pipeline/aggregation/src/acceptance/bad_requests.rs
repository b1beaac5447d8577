//! Bad requests, and consumers that go away.

use std::sync::atomic::Ordering;

use super::world::*;
use crate::soap::{ENVELOPE, Fault, FaultCode};

const PATIENT: &str = "191212121212";

fn world() -> World {
    Setup::default().patient(PATIENT, &[engagement("SYS", "c", "1")]).build()
}

#[tokio::test(start_paused = true)]
async fn a_bad_request_is_the_clients_fault() {
    let mut world = world();
    let service = world.service(LABORATORY).clone();
    let good = request(&service, &naming(&service, PATIENT), "");
    for (body, text) in [
        (good.replace(ENVELOPE, "http://www.w3.org/2003/05/soap-envelope"), "SOAP 1.2"),
        (format!("<!DOCTYPE a>{good}"), "DOCTYPE"),
        (good.replace("</e:Envelope>", ""), "truncated"),
        (good.replace("</e:Body>", "</e:Bod>"), "malformed"),
        (format!("{good}<a/>"), "second root"),
        (String::new(), "empty"),
        ("no XML".to_owned(), "malformed"),
        (good.replace("q:GetLab", "q:GetOtherLab"), "was not recognized"),
        (good.replace(PATIENT, "  "), "no patient id in patientId/id"),
        (good.replace("q:id", "q:no"), "no patient id in patientId/id"),
        (good.replace(PATIENT, &"1".repeat(300)), "longer than 32"),
    ] {
        let reply = world.flow.ask(&service, asked(body)).await;
        let fault = fault_of(&reply);
        assert_eq!(fault.code, "Client");
        assert!(fault.text.contains(text), "{} should contain {text}", fault.text);
        assert_eq!(reply.correlation.as_deref(), Some("test-corr-id"));
        assert_eq!(world.audit.recv().await.unwrap().outcome, AuditOutcome::Fault);
    }
    assert!(world.index.seen.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_too_large_is_refused() {
    let mut setup = Setup::default();
    setup.settings.max_request_bytes = 1000;
    let world = setup.build();
    let service = world.service(LABORATORY).clone();
    let body = request(&service, &naming(&service, PATIENT), &" ".repeat(1000));
    let fault = fault_of(&world.flow.ask(&service, asked(body)).await);
    assert_eq!(fault, Fault::new(FaultCode::Client, "the message is larger than 1000 bytes"));
}

#[tokio::test(start_paused = true)]
async fn a_request_in_another_encoding_is_answered() {
    let world = world();
    let service = world.service(LABORATORY).clone();
    let body = request(&service, &naming(&service, PATIENT), "<x:a xmlns:x='urn:x'>å</x:a>");
    let utf16: Vec<u8> = body.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let reply = world.flow.ask(&service, asked(utf16)).await;
    Answered::of(&service, &reply).assert_all_from_source(&["SYS"]);
    assert!(world.seen()[0].body.contains(">å<"));
}

#[tokio::test(start_paused = true)]
async fn a_reference_to_a_page_is_refused_by_name() {
    let world = world();
    let service = world.service("GetAggregatedCareDocumentation.v3").clone();
    let inside = format!("{}<q:hasMoreReference>1</q:hasMoreReference>", naming(&service, PATIENT));
    let fault = fault_of(&world.flow.ask(&service, asked(request(&service, &inside, ""))).await);
    assert_eq!(fault.code, "Client");
    assert!(fault.text.contains("hasMoreReference"), "{}", fault.text);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_goes_away_cancels_its_calls() {
    let mut world = world();
    world.producers.set("SYS", 2000, What::Rows);
    let service = world.service(LABORATORY).clone();
    let body = request(&service, &naming(&service, PATIENT), "");
    let question = world.flow.ask(&service, asked(body));
    assert!(tokio::time::timeout(ms(1000), question).await.is_err());
    let entry = world.audit.recv().await.unwrap();
    assert_eq!((entry.outcome, entry.patient.unwrap().as_str()), (AuditOutcome::Abandoned, PATIENT));
    tokio::time::sleep(ms(10_000)).await;
    let counts = &world.producers.counts;
    assert_eq!((counts.cancelled.load(Ordering::Relaxed), counts.answered.load(Ordering::Relaxed)), (1, 0));
    assert_eq!(world.flow.places()[0].in_flight, 0);
    assert_eq!(world.ask(LABORATORY, PATIENT).await.rows.len(), 1);
}
