//! Answers of source systems that are wrong: that record fails, and the others are served.

use std::io::Write;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::messages::{Engaged, statuses, texts};
use crate::systems::{Answer, Systems};
use crate::world::{Platform, configuration};

const PATIENT: &str = "191212121212";

const XML: (&str, &str) = ("content-type", "text/xml");

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn answers() -> Vec<(&'static str, Answer, &'static str)> {
    let raw = |headers: Vec<(&'static str, &'static str)>, body: Vec<u8>| Answer::Raw(200, headers, body);
    let envelope = |body: &str| crate::messages::envelope("x", body).into_bytes();
    let response = format!("<q:GetLaboratoryOrderOutcomeResponse xmlns:q=\"{}\"/>", crate::messages::LABORATORY);
    let deep = format!("{}{}", "<a>".repeat(400), "</a>".repeat(400));
    let mut truncated = envelope(&response);
    truncated.truncate(200);
    let mut doctype = b"<!DOCTYPE x SYSTEM \"http://127.0.0.1:1/x\">".to_vec();
    doctype.extend(envelope(&response));
    vec![
        ("bomb", raw(vec![XML, ("content-encoding", "gzip")], gzip(&vec![b' '; 50 << 20])), "43000"),
        ("no-gzip", raw(vec![XML, ("content-encoding", "gzip")], b"not packed".to_vec()), "43000"),
        ("large", raw(vec![XML], vec![b' '; 2 << 20]), "43000"),
        ("truncated", raw(vec![XML], truncated), "43000"),
        ("doctype", raw(vec![XML], doctype), "43000"),
        ("deep", raw(vec![XML], envelope(&deep)), "43000"),
        ("other", raw(vec![XML], envelope("<x/>")), "43000"),
        ("empty", raw(vec![XML], Vec::new()), "43000"),
        ("empty-202", Answer::Raw(202, vec![], Vec::new()), "43000"),
        ("json", raw(vec![("content-type", "application/json")], b"{}".to_vec()), "43000"),
        ("error", Answer::Raw(502, vec![("content-type", "text/html")], b"<html>".to_vec()), "43000"),
        ("redirect", Answer::Raw(302, vec![("location", "/elsewhere")], Vec::new()), "43000"),
        ("fault-400", Answer::Fault(400, "VP007 not allowed".to_owned()), "500"),
        ("fault-200", Answer::Fault(200, "VP009 no contact".to_owned()), "500"),
        ("drip", Answer::Drip, "504"),
    ]
}

#[tokio::test]
async fn each_bad_answer_fails_its_own_record_and_no_other() {
    let systems = Systems::start().await;
    let text =
        configuration(&systems.url, "").replace("[aggregation]\n", "[aggregation]\nmax_answer_bytes = 1000000\n");
    let platform = Platform::start(&text);
    let mut engagements =
        vec![Engaged::laboratory(PATIENT, "good", "good"), Engaged::laboratory(PATIENT, "packed", "p")];
    for (address, answer, _) in answers() {
        systems.set(address, answer);
        engagements.push(Engaged::laboratory(PATIENT, address, address));
    }
    let rows = crate::messages::envelope(
        "x",
        &format!(
            "<q:GetLaboratoryOrderOutcomeResponse xmlns:q=\"{}\"><q:laboratoryOrderOutcome><q:system>packed</q:system>\
             </q:laboratoryOrderOutcome></q:GetLaboratoryOrderOutcomeResponse>",
            crate::messages::LABORATORY
        ),
    );
    systems.set("packed", Answer::Raw(200, vec![XML, ("content-encoding", "gzip")], gzip(rows.as_bytes())));
    platform.update(&engagements).await;
    let began = Instant::now();
    let answered = platform.ask(PATIENT).await;
    assert!(began.elapsed().as_secs() < 5, "the drip holds the question");
    assert_eq!(answered.status, 200);
    let mut found = texts(&answered.body, "system");
    found.sort();
    assert_eq!(found, ["good", "packed"]);
    let statuses = statuses(&answered.body);
    assert_eq!(statuses.len(), answers().len() + 2);
    for (address, _, code) in answers() {
        let record = statuses.iter().find(|one| one.address == address).unwrap();
        let expected = ("NoDataSynchFailed", Some(code));
        assert_eq!((record.status.as_str(), record.code.as_deref()), expected, "{record:?}");
        assert!(record.text.as_ref().is_some_and(|text| !text.is_empty()), "{record:?}");
    }
    let text = |address: &str| statuses.iter().find(|one| one.address == address).unwrap().text.clone().unwrap();
    assert!(text("fault-400").contains("VP007 not allowed"));
    assert!(text("drip").contains("timeout"));
    assert!(text("bomb").contains("larger than 1000000 bytes"), "{}", text("bomb"));
    assert!(!systems.called().contains(&"elsewhere".to_owned()));
}

#[tokio::test]
async fn a_source_system_that_is_not_there_fails_its_record() {
    let platform = Platform::start(&configuration("http://127.0.0.1:1/vp", ""));
    platform.update(&[Engaged::laboratory(PATIENT, "SE-GONE", "1")]).await;
    let answered = platform.ask(PATIENT).await;
    let records = statuses(&answered.body);
    assert_eq!((records.len(), records[0].code.as_deref()), (1, Some("43000")), "{records:?}");
    assert!(records[0].text.as_ref().unwrap().contains("refused"), "{records:?}");
    let producers = platform.get("/api/aggregation/producers").await;
    assert_eq!((producers[0]["address"].as_str(), producers[0]["failures"].as_u64()), (Some("SE-GONE"), Some(1)));
}
