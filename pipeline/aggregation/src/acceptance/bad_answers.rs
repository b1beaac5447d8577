//! Bad answers of source systems and of the index: one record fails, and the others are served.

use super::world::*;
use crate::find_content::IndexError;
use crate::port::TransportError;
use crate::soap::ENVELOPE;

const PATIENT: &str = "191212121212";

fn two_systems() -> World {
    let engagements = ["GOOD", "BAD"].map(|address| engagement(address, "c", "1"));
    Setup::default().patient(PATIENT, &engagements).build()
}

async fn assert_only_this_fails(world: &World, what: What, code: &str, text: &str) {
    world.producers.set("BAD", 100, what);
    let answer = world.ask(LABORATORY, PATIENT).await;
    assert_eq!((answer.rows_of("GOOD"), answer.rows.len(), answer.records.len()), (1, 1, 2), "{text}");
    assert_eq!(answer.record("GOOD").status, "DataFromSource");
    answer.assert_failed("BAD", code, text);
}

fn xml(text: impl Into<Vec<u8>>) -> What {
    What::Raw(200, Some("text/xml; charset=utf-8"), text.into())
}

fn enveloped(inside: &str) -> String {
    format!("<e:Envelope xmlns:e='{ENVELOPE}'><e:Body>{inside}</e:Body></e:Envelope>")
}

fn answer_with(inside: &str) -> String {
    enveloped(&format!(
        "<GetLaboratoryOrderOutcomeResponse xmlns='{LABORATORY_CONTRACT}'>{inside}</GetLaboratoryOrderOutcomeResponse>"
    ))
}

#[tokio::test(start_paused = true)]
async fn a_bad_answer_fails_alone() {
    let world = two_systems();
    let good = answer_with("");
    let row = "<laboratoryOrderOutcome>";
    let deep = format!("{}{}", "<a>".repeat(300), "</a>".repeat(300));
    for (what, text) in [
        (xml(""), "the answer is empty"),
        (What::Raw(202, None, Vec::new()), "the answer is empty"),
        (xml(good.get(..good.len() - 9).unwrap()), "does not end"),
        (xml(good.replace("</e:Body></e:Envelope>", "")), "truncated"),
        (xml(answer_with(&format!("{row}</b>"))), "an end tag that does not fit"),
        (xml(format!("{good}<a/>")), "a second root element"),
        (xml(format!("<!DOCTYPE a [<!ENTITY b 'c'>]>{good}")), "DOCTYPE"),
        (xml(answer_with(&format!("{row}&b;</laboratoryOrderOutcome>"))), "undefined entity"),
        (xml(answer_with(&deep)), "nested deeper than 256"),
        (xml(enveloped("<a xmlns='urn:x'/>")), "the answer holds {urn:x}a"),
        (xml("<a/>"), "no SOAP envelope"),
        (xml(b"<a>\xFF</a>".to_vec()), "not UTF-8"),
        (xml(good.replace(ENVELOPE, "http://www.w3.org/2003/05/soap-envelope")), "SOAP 1.2"),
        (What::Raw(200, Some("text/html"), good.clone().into()), "not XML"),
        (What::Raw(500, Some("text/html"), b"<html>".to_vec()), "HTTP status 500"),
        (What::Raw(404, Some("text/xml"), good.clone().into()), "HTTP status 404"),
        (What::Raw(503, None, Vec::new()), "HTTP status 503"),
        (What::Raw(302, None, Vec::new()), "redirect"),
        (What::Refused, "refused"),
        (What::Broken(TransportError::Lost("reset".to_owned())), "lost: reset"),
        (What::Broken(TransportError::Packed("a bad block".to_owned())), "cannot be unpacked"),
    ] {
        assert_only_this_fails(&world, what, "43000", text).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_is_found_whatever_the_http_status() {
    let world = two_systems();
    for status in [200, 400, 500, 503] {
        let fault = What::Fault(status, "VP007 åäö".to_owned());
        assert_only_this_fails(&world, fault, "500", "VP007 åäö").await;
    }
    assert_only_this_fails(&world, What::Fault(500, String::new()), "500", "without a text").await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_too_large_fails_alone() {
    let engagements = ["GOOD", "BAD"].map(|address| engagement(address, "c", "1"));
    let mut setup = Setup::default().patient(PATIENT, &engagements);
    setup.settings.max_answer_bytes = 10_000;
    let row = row("laboratoryOrderOutcome", "BAD", PATIENT, "1");
    assert_only_this_fails(&setup.build(), What::Inside(row.repeat(100)), "43000", "larger than 10000 bytes").await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_drips_is_cut_at_the_service_time_out() {
    let begin = tokio::time::Instant::now();
    assert_only_this_fails(&two_systems(), What::Drip(100), "504", "timeout").await;
    assert_eq!(begin.elapsed(), ms(3010));
}

#[tokio::test(start_paused = true)]
async fn a_port_that_breaks_down_leaves_a_record() {
    let world = two_systems();
    world.producers.set("BAD", 100, What::Panic);
    let answer = world.ask(LABORATORY, PATIENT).await;
    assert_eq!(answer.rows_of("GOOD"), 1);
    answer.assert_failed("BAD", "43000", "Unknown error");
}

#[tokio::test(start_paused = true)]
async fn other_encodings_become_utf_8() {
    let world = two_systems();
    let row = row("laboratoryOrderOutcome", "BAD", PATIENT, "åäö€").replace("c:", "");
    let text = format!("<?xml version='1.0' encoding='UTF-16'?>{}", answer_with(&row));
    let utf16 = text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let mut marked = vec![0xEF, 0xBB, 0xBF];
    marked.extend(answer_with(&row).into_bytes());
    for bytes in [utf16, marked] {
        world.producers.set("BAD", 100, What::Raw(200, Some("text/xml"), bytes));
        let answer = world.ask(LABORATORY, PATIENT).await;
        assert_eq!(answer.rows.first().unwrap()[2], "åäö€", "{}", answer.text);
    }
    // The first 256 characters of Unicode are those of ISO-8859-1.
    let bytes = answer_with(&row.replace('€', "")).chars().map(|letter| letter as u8).collect();
    world.producers.set("BAD", 100, What::Raw(200, Some("text/xml;charset=ISO-8859-1"), bytes));
    assert_eq!(world.ask(LABORATORY, PATIENT).await.rows.first().unwrap()[2], "åäö");
}

#[tokio::test(start_paused = true)]
async fn an_index_that_fails_is_a_fault() {
    let world = two_systems();
    *world.index.error.lock().unwrap() = Some(IndexError::Failed("the answer is empty".to_owned()));
    let fault = world.fault(LABORATORY, PATIENT).await;
    assert_eq!(
        (fault.code.as_str(), fault.text.as_str()),
        ("Server", "The engagement index failed: the answer is empty")
    );
    assert!(world.seen().is_empty());
}
