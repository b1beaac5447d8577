//! TAK over SOAP, played by another server.

use serde_json::json;

use crate::messages::{Engaged, envelope, statuses};
use crate::systems::{Answer, Systems};
use crate::world::{Platform, configuration, folder};

const PATIENT: &str = "191212121212";
const CONTRACT: &str = "urn:riv:clinicalprocess:healthcond:actoutcome:GetLaboratoryOrderOutcomeResponder:4";

/// One answer for both questions: each reads its own part of it.
fn answer(question: &str, entries: &str) -> Answer {
    let body = format!("<t:{question}Response xmlns:t=\"urn:skl:tp:vagvalsinfo:v2\">{entries}</t:{question}Response>");
    Answer::Raw(200, vec![("content-type", "text/xml;charset=UTF-8")], envelope("", &body).into_bytes())
}

fn route(vp: &str) -> String {
    format!(
        "<t:virtualiseringsInfo><t:receiverId>SE-UNIT</t:receiverId><t:tjansteKontrakt>{CONTRACT}</t:tjansteKontrakt>\
         <t:fromTidpunkt>2020-01-01T00:00:00.000+01:00</t:fromTidpunkt>\
         <t:tomTidpunkt>2099-01-01T00:00:00.000+01:00</t:tomTidpunkt><t:adress>{vp}</t:adress></t:virtualiseringsInfo>"
    )
}

fn permission() -> String {
    format!(
        "<t:anropsBehorighetsInfo><t:receiverId>SE-UNIT</t:receiverId><t:senderId>sample-sender-id</t:senderId>\
         <t:tjansteKontrakt>{CONTRACT}</t:tjansteKontrakt><t:fromTidpunkt>2020-01-01T00:00:00.000+01:00</t:fromTidpunkt>\
         <t:tomTidpunkt>2099-01-01T00:00:00.000+01:00</t:tomTidpunkt></t:anropsBehorighetsInfo>"
    )
}

// The catalogue answers while the test waits for the process to be ready.
#[tokio::test(flavor = "multi_thread")]
async fn routes_and_permissions_come_over_soap_and_a_copy_helps_when_tak_is_away() {
    let systems = Systems::start().await;
    let catalogue = Systems::start().await;
    catalogue.set("hamtaAllaVirtualiseringar", answer("hamtaAllaVirtualiseringar", &route(&systems.url)));
    catalogue.set("hamtaAllaAnropsBehorigheter", answer("hamtaAllaAnropsBehorigheter", &permission()));
    let tak = format!("[aggregation.tak]\nurl = \"{}\"\nfile = \"copy.json\"\n", catalogue.url);
    // Calls go to the URL of the route.
    let text =
        configuration(&systems.url, &tak).replace(&format!("url = \"{}\"\ninstance_id", systems.url), "instance_id");
    let platform = Platform::start_in(folder(&text));
    let loaded = platform.get("/api/aggregation/tak").await;
    assert_eq!((loaded["routes"].as_u64(), loaded["permissions"].as_u64()), (Some(1), Some(1)), "{loaded}");
    let engagements = ["SE-UNIT", "SE-OTHER"].map(|address| Engaged::laboratory(PATIENT, address, "1"));
    platform.update(&engagements).await;
    assert_eq!(statuses(&platform.ask(PATIENT).await.body).len(), 1);
    assert_eq!(systems.called(), ["SE-UNIT"]);
    // TAK answers with a fault: an error that keeps what was loaded.
    catalogue.set("hamtaAllaAnropsBehorigheter", Answer::Fault(500, "away".to_owned()));
    let (status, problem) = platform.post("/api/aggregation/tak/reload", &json!({})).await;
    assert_eq!(status, 502, "{problem}");
    assert_eq!(statuses(&platform.ask(PATIENT).await.body).len(), 1);
    // A start while it is away uses the copy.
    let platform = platform.restart();
    assert_eq!(statuses(&platform.ask(PATIENT).await.body).len(), 1);
}
