//! Requests that are wrong: each row of the table of bad input that is about a request, and A 7.2 SOAP-1 to SOAP-3.

use reqwest::Method;

use crate::messages::{LABORATORY_PATH, envelope, find_content, laboratory_question, statuses};
use crate::systems::Systems;
use crate::world::{Platform, configuration, folder, refusal};

const PATIENT: &str = "191212121212";

async fn platform(more: &str) -> Platform {
    let systems = Systems::start().await;
    let text = configuration(&systems.url, "").replace("[aggregation]\n", &format!("[aggregation]\n{more}"));
    Platform::start(&text)
}

#[tokio::test]
async fn no_hdr_all_missing_headers_are_named() {
    let platform = platform("").await;
    let request = platform.request(Method::POST, LABORATORY_PATH).header("content-type", "text/xml");
    let answered = platform.send(request.body(laboratory_question(PATIENT))).await;
    assert_eq!(answered.status, 500);
    let expected = "Mandatory HTTP header x-vp-sender-id is missing\n\
                    Mandatory HTTP header x-rivta-original-serviceconsumer-hsaid is missing\n\
                    Mandatory HTTP header x-skltp-correlation-id is missing";
    assert_eq!(answered.fault(), (expected.to_owned(), "Server".to_owned()));
    let request =
        platform.request(Method::POST, "/skltp-ei/find-content-service/v1").header("content-type", "text/xml");
    let answered = platform.send(request.body(find_content(PATIENT, "d", ""))).await;
    assert_eq!(answered.fault().0, "Mandatory HTTP header x-skltp-correlation-id is missing");
}

#[tokio::test]
async fn what_is_no_request_of_the_service_is_a_fault_of_the_client() {
    let platform = platform("").await;
    let doctype =
        format!("<!DOCTYPE x [<!ENTITY a \"b\">]>{}", laboratory_question(PATIENT).split_once("?>\n").unwrap().1);
    let soap_1_2 = laboratory_question(PATIENT)
        .replace("http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2003/05/soap-envelope");
    let other = find_content(PATIENT, "d", "");
    let malformed = laboratory_question(PATIENT).replace("</soapenv:Body>", "");
    let nobody = laboratory_question("");
    for (body, expected) in [
        (doctype, "DOCTYPE"),
        (soap_1_2, ""),
        (other, "FindContent was not recognized"),
        (malformed, ""),
        (String::new(), ""),
        (nobody, "patient"),
    ] {
        let answered = platform.send(platform.soap(LABORATORY_PATH, body.clone())).await;
        assert_eq!(answered.status, 500, "{body}");
        let (text, code) = answered.fault();
        assert!(code == "Client" && text.contains(expected), "{code} {text}: {body}");
        assert_eq!(answered.header("x-skltp-correlation-id"), "test-corr-id", "{body}");
        assert!(!text.contains(PATIENT), "{text}");
    }
}

#[tokio::test]
async fn a_request_of_another_form_is_refused_before_it_is_read() {
    let platform = platform("max_request_bytes = 2000\n").await;
    let question = laboratory_question(PATIENT);
    let post = |content_type: &str| {
        platform.request(Method::POST, LABORATORY_PATH).header("content-type", content_type).body(question.clone())
    };
    for (request, status) in [
        (platform.soap(LABORATORY_PATH, envelope("x", &" ".repeat(3_000))), 413),
        (post("application/json"), 415),
        (post("text/xml").header("content-encoding", "gzip"), 415),
        (post("application/soap+xml"), 500),
    ] {
        let answered = platform.send(request).await;
        assert_eq!(answered.status, status, "{}", answered.body);
        assert_eq!(answered.header("content-type"), "text/xml; charset=UTF-8");
        answered.fault();
    }
    // The server refuses it by its length alone, and the fault still says which question it was.
    let answered = platform.send(platform.soap(LABORATORY_PATH, vec![b' '; 3_000])).await;
    assert_eq!((answered.status, answered.header("x-skltp-correlation-id")), (413, "test-corr-id"));
    let long = post("text/xml").header("x-vp-sender-id", "x".repeat(300)).header("x-skltp-correlation-id", "c");
    let answered = platform.send(long.header("x-rivta-original-serviceconsumer-hsaid", "o")).await;
    assert!(answered.fault().0.contains("longer than 256 bytes"), "{}", answered.body);
    let get = |path: &str| platform.request(Method::GET, path);
    let answered = platform.send(get(LABORATORY_PATH)).await;
    assert_eq!((answered.status, answered.header("allow")), (405, "POST"));
    assert_eq!(platform.send(get("/skltp-ei/update-service/v1")).await.status, 405);
    assert_eq!(platform.send(get("/nothing")).await.status, 404);
    for path in [LABORATORY_PATH, "/skltp-ei/update-service/v1", "/aggregation/process-notification/v1"] {
        let wsdl = platform.send(get(&format!("{path}?wsdl"))).await;
        assert_eq!(wsdl.status, 200, "{path}");
        assert!(wsdl.body.contains(&format!("location=\"{}{path}\"", platform.url)), "{}", wsdl.body);
    }
}

#[tokio::test]
async fn soap_2_and_soap_3_another_action_counts_only_if_it_is_checked() {
    for (more, status) in [("", 200), ("check_soap_action = true\n", 500)] {
        let platform = platform(more).await;
        let request =
            platform.soap(LABORATORY_PATH, laboratory_question(PATIENT)).header("soapaction", "\"urn:wrong\"");
        let answered = platform.send(request).await;
        assert_eq!(answered.status, status);
        if status == 500 {
            assert_eq!(answered.fault().0, "The given SOAPAction urn:wrong does not match an operation.");
        }
    }
}

#[tokio::test]
async fn a_byte_order_mark_and_utf_16_are_read() {
    let platform = platform("").await;
    let question = laboratory_question(PATIENT);
    let mut utf_16 = vec![0xFF, 0xFE];
    let text = question.replace("UTF-8", "UTF-16");
    utf_16.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    for (body, content_type) in
        [(format!("\u{feff}{question}").into_bytes(), "text/xml; charset=utf-8"), (utf_16, "text/xml; charset=utf-16")]
    {
        let request = platform.soap(LABORATORY_PATH, body);
        let answered = platform.send(request.header("content-type", content_type)).await;
        assert!(answered.status == 200 || answered.status == 415, "{}", answered.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_goes_away_is_in_the_audit_and_its_calls_are_cancelled() {
    let systems = Systems::start().await;
    systems.set("SE-SLOW", crate::systems::Answer::Late(20_000, 1));
    let platform = Platform::start(&configuration(&systems.url, ""));
    platform.update(&[crate::messages::Engaged::laboratory(PATIENT, "SE-SLOW", "1")]).await;
    let question = platform.soap(LABORATORY_PATH, laboratory_question(PATIENT));
    let asked = tokio::time::timeout(std::time::Duration::from_millis(500), question.send()).await;
    assert!(asked.is_err(), "the source system answered too early");
    platform
        .wait_until("the audit says that it went away", async || {
            let calls = platform.get("/api/aggregation/calls?correlation=test-corr-id").await;
            calls[0]["outcome"] == "abandoned" && calls[0]["addresses"][0]["address"] == "SE-SLOW"
        })
        .await;
    let why = String::from_utf8(platform.command(&["why", "test-corr-id"]).stdout).unwrap();
    assert!(why.contains("SE-SLOW: in the index, called, the question ended before its answer"), "{why}");
    let why = String::from_utf8(platform.command(&["why", "test-corr-id", "SE-OTHER"]).stdout).unwrap();
    assert!(why.contains("it ended before that was known"), "{why}");
    platform
        .wait_until("the call is cancelled", async || {
            platform.get("/api/aggregation/producers").await[0]["in_flight"] == 0
        })
        .await;
    assert!(statuses(&platform.ask("188803099368").await.body).is_empty());
}

#[test]
fn a_wrong_configuration_is_refused_with_file_and_line() {
    let least = "[aggregation.ei]\nhsa_id = \"SE-EI\"\n";
    for (text, expected) in [
        ("[aggregation]\nlogical_adress = \"x\"\n[aggregation.tak]\noff = true\n", "agp.toml:2: "),
        ("[aggregation.tak]\nfile = \"absent.json\"\n", "absent.json"),
        ("[aggregation]\nservice_timeout_ms = 9000\n[aggregation.tak]\noff = true\n", "aggregate_timeout_ms"),
        ("", "[aggregation.tak]"),
    ] {
        let folder = folder(&format!("{text}{least}"));
        let (code, said) = refusal(&folder);
        assert!(code == Some(2) && said.contains(expected), "{text}: {code:?} {said}");
    }
}
