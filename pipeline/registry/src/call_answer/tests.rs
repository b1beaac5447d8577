//! A test for each line of the table "The register, or the way to it", and for what is a good answer.

use proptest::prelude::*;
use serde_json::json;
use tributary_soap::Version;

use super::*;
use crate::configuration::RegistrySettings;
use crate::harness;

const NUMBER: &str = "19910824-00026";

/// A register that answers one call.
struct Register {
    settings: RegistrySettings,
}

/// The headers of an answer: those of the request.
const CLIENT: &str = "<x:client i:objectType='SUBSYSTEM'><i:xRoadInstance>SEVDEIR</i:xRoadInstance>\
    <i:memberClass>GOV</i:memberClass><i:memberCode>12345678</i:memberCode>\
    <i:subsystemCode>1_EHEALTH_prod</i:subsystemCode></x:client>";
const SERVICE: &str = "<x:service i:objectType='SERVICE'><i:xRoadInstance>SEVDEIR</i:xRoadInstance>\
    <i:memberClass>GOV</i:memberClass><i:memberCode>00000001</i:memberCode>\
    <i:subsystemCode>20_EIS_prod</i:subsystemCode><i:serviceCode>unzr</i:serviceCode></x:service>";

impl Register {
    fn new() -> Self {
        Self::with("")
    }

    fn with(text: &str) -> Self {
        Self { settings: harness::settings_with(text) }
    }

    fn outcome(&self, received: Received) -> Outcome {
        let number = Number::new(NUMBER);
        let kind = harness::unzr(&self.settings);
        Asked { kind, trembita: &self.settings.trembita, number: &number, id: harness::call_id(7) }.outcome(received)
    }

    fn status(&self, status: u16, body: impl Into<Vec<u8>>) -> Outcome {
        self.outcome(answer(status, body))
    }

    /// The outcome of this body element, in an envelope with the right headers.
    fn body(&self, body: &str) -> Outcome {
        self.status(200, envelope(Version::Soap12, &headers(), body))
    }

    /// The outcome of a wrapper with these contents.
    fn contents(&self, contents: &str) -> Outcome {
        self.body(&format!("<unzrResponse>{contents}</unzrResponse>"))
    }
}

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Received {
    Received::Answer(HttpAnswer { status, body: Some(body.into()), retry_after: None })
}

fn headers() -> String {
    let id = harness::call_id(7);
    format!("{CLIENT}{SERVICE}<x:userId>u</x:userId><x:id>{id}</x:id><x:protocolVersion>4.0</x:protocolVersion>")
}

fn envelope(version: Version, headers: &str, body: &str) -> String {
    let namespace = version.namespace();
    format!(
        "<?xml version='1.0' encoding='UTF-8'?><s:Envelope xmlns:s='{namespace}' \
         xmlns:x='http://x-road.eu/xsd/xroad.xsd' xmlns:i='http://x-road.eu/xsd/identifiers' \
         xmlns:n='http://www.w3.org/2001/XMLSchema-instance'><s:Header>{headers}</s:Header><s:Body>{body}</s:Body>\
         </s:Envelope>"
    )
}

fn fault_11(code: &str) -> String {
    let body = format!(
        "<s:Fault><faultcode>{code}</faultcode><faultstring>secret {NUMBER}</faultstring><detail>\
         <x:faultDetail>0d2a6f50-7c4e-4b1a-8f3d-2e9b5c7a1d46</x:faultDetail></detail></s:Fault>"
    );
    envelope(Version::Soap11, "", &body)
}

fn fault_12(value: &str, subcodes: &[&str]) -> String {
    let inner = subcodes
        .iter()
        .rev()
        .fold(String::new(), |inner, code| format!("<s:Subcode><s:Value>{code}</s:Value>{inner}</s:Subcode>"));
    let body = format!(
        "<s:Fault><s:Code><s:Value>{value}</s:Value>{inner}</s:Code><s:Reason><s:Text>secret</s:Text></s:Reason>\
         <s:Detail><x:faultDetail>not an id</x:faultDetail></s:Detail></s:Fault>"
    );
    envelope(Version::Soap12, "", &body)
}

fn failure(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed(failure) => failure,
        other => panic!("no failure: {other:?}"),
    }
}

/// Class, code, and whether it is asked again.
fn shown(outcome: Outcome) -> (ErrorClass, String, bool) {
    let failure = failure(outcome);
    (failure.class, failure.code.to_string(), failure.is_retryable)
}

fn is(class: ErrorClass, code: &str, again: bool) -> (ErrorClass, String, bool) {
    (class, code.to_owned(), again)
}

#[test]
fn refused_dns_tls_ends_early_time_out_are_transport_and_again() {
    for (error, code) in [
        (TransportError::Connect, "connect"),
        (TransportError::Dns, "dns"),
        (TransportError::Tls, "tls"),
        (TransportError::Closed, "closed"),
        (TransportError::Timeout, "timeout"),
    ] {
        let outcome = Register::new().outcome(Received::Failed(error));
        assert!(failure(outcome.clone()).is_technical());
        assert_eq!(shown(outcome), is(ErrorClass::Transport, code, true));
    }
}

#[test]
fn no_soap_and_5xx_or_429_is_http_and_again_not_before_retry_after() {
    for status in [500, 502, 503, 599, 429] {
        for body in ["", "busy", "<html/>", "<!DOCTYPE a><a/>"] {
            let failure = failure(Register::new().status(status, body));
            assert_eq!((failure.class, failure.code.as_str()), (ErrorClass::Http, status.to_string().as_str()));
            assert!(failure.is_retryable && failure.is_technical());
        }
    }
    let waits = HttpAnswer { status: 503, body: Some(Vec::new()), retry_after: Some(7000) };
    assert_eq!(failure(Register::new().outcome(Received::Answer(waits))).retry_after, Some(7000));
    let endless = HttpAnswer { status: 503, body: None, retry_after: None };
    assert_eq!(failure(Register::new().outcome(Received::Answer(endless))).code.as_str(), "503");
}

#[test]
fn no_soap_and_any_other_status_is_http_and_failed() {
    for status in [301, 302, 307, 400, 401, 403, 404, 418] {
        let outcome = Register::new().status(status, "moved");
        assert!(!failure(outcome.clone()).is_technical());
        assert_eq!(shown(outcome), is(ErrorClass::Http, &status.to_string(), false));
    }
    let good = envelope(Version::Soap12, &headers(), "<unzrResponse/>");
    let outcome = Register::new().status(404, good);
    assert_eq!(shown(outcome), is(ErrorClass::Http, "404", false), "only success counts (R 9.5)");
}

#[test]
fn a_fault_of_the_server_or_receiver_is_again_whatever_the_status_is() {
    for status in [200, 404, 500] {
        for (body, code) in [
            (fault_11("s:Server"), "Server"),
            (fault_11("Server.ClientProxy.NetworkError"), "Server.ClientProxy.NetworkError"),
            (fault_11("server.clientproxy.network_error"), "server.clientproxy.network_error"),
            (fault_12("s:Receiver", &[]), "Receiver"),
            (fault_12("s:Receiver", &["a:One", "b:Two.Three"]), "Two.Three"),
        ] {
            let outcome = Register::new().status(status, body);
            assert!(failure(outcome.clone()).is_technical());
            assert_eq!(shown(outcome), is(ErrorClass::Fault, code, true));
        }
    }
}

#[test]
fn access_denied_and_unknown_service_are_faults_that_failed() {
    for code in [
        "Server.ServerProxy.AccessDenied",
        "Server.ServerProxy.UnknownService",
        "server.serverproxy.access_denied",
        "server.serverproxy.unknown_service",
        "SERVER.SERVERPROXY.ACCESS_DENIED",
    ] {
        assert_eq!(shown(Register::new().status(500, fault_11(code))), is(ErrorClass::Fault, code, false));
        assert_eq!(
            shown(Register::new().status(500, fault_12("s:Receiver", &[code]))),
            is(ErrorClass::Fault, code, false)
        );
    }
}

#[test]
fn other_faults_failed() {
    for (body, code) in [
        (fault_11("s:Client"), "Client"),
        (fault_11("Client.InvalidRequest"), "Client.InvalidRequest"),
        (fault_11("s:MustUnderstand"), "MustUnderstand"),
        (fault_11("Serverless"), "Serverless"),
        (fault_12("s:Sender", &["x:Bad"]), "Bad"),
        (envelope(Version::Soap12, "", "<s:Fault/>"), "other"),
    ] {
        let outcome = Register::new().status(500, body);
        assert!(!failure(outcome.clone()).is_technical());
        assert_eq!(shown(outcome), is(ErrorClass::Fault, code, false));
    }
}

#[test]
fn the_id_of_a_fault_is_kept_if_it_is_one_and_no_text() {
    let of_11 = failure(Register::new().status(500, fault_11("Server")));
    assert_eq!(of_11.id.as_ref().map(ErrorCode::as_str), Some("0d2a6f50-7c4e-4b1a-8f3d-2e9b5c7a1d46"));
    assert!(!format!("{of_11:?}").contains(NUMBER));
    assert_eq!(failure(Register::new().status(500, fault_12("s:Receiver", &[]))).id, None);
}

#[test]
fn a_fault_code_anywhere_in_the_wrapper_is_service_and_failed() {
    for contents in [
        "<faultCode>E1</faultCode><faultString>secret</faultString>",
        "<x:a><b><faultCode> E1 </faultCode></b></x:a>",
        "<response/><error><faultCode>E1</faultCode></error>",
        "<firstName>Тест</firstName><faultCode>E1</faultCode>",
    ] {
        let outcome = Register::new().contents(contents);
        assert!(!failure(outcome.clone()).is_technical());
        assert_eq!(shown(outcome), is(ErrorClass::Service, "E1", false), "{contents}");
    }
    assert_eq!(Register::new().contents("<faultCode/><faultCode n:nil='true'>E1</faultCode>"), Outcome::Empty);
    assert_eq!(shown(Register::new().contents("<faultString>x y</faultString>")).1, "other");
}

#[test]
fn a_fault_code_in_retry_codes_is_again() {
    assert_eq!(shown(Register::new().contents("<faultCode>-2</faultCode>")), is(ErrorClass::Service, "-2", true));
    assert_eq!(shown(Register::new().contents("<faultCode>-1</faultCode>")), is(ErrorClass::Service, "-1", false));
    let again = failure(Register::new().contents("<faultCode>-2</faultCode>"));
    assert!(!again.is_technical(), "the register has answered, so the breaker closes");
}

#[test]
fn what_cannot_be_read_is_decode() {
    let good = envelope(Version::Soap12, &headers(), "<unzrResponse><firstName>Тест</firstName></unzrResponse>");
    let deep = format!("<unzrResponse>{}{}</unzrResponse>", "<a>".repeat(300), "</a>".repeat(300));
    let many = format!("<unzrResponse>{}</unzrResponse>", "<a/>".repeat(MOST_ELEMENTS));
    let register = Register::new();
    for (body, code) in [
        (b"{}".to_vec(), "not_xml"),
        (b"<a/>".to_vec(), "not_soap"),
        (good.split("</s:Body>").next().unwrap_or_default().into(), "truncated"),
        (good.replace("Тест", "\u{1}").into(), "not_xml"),
        ([good.as_bytes(), b"<a/>"].concat(), "not_xml"),
        (good.bytes().map(|byte| if byte >= 0x80 { 0xFF } else { byte }).collect(), "not_utf8"),
        (good.replace("<s:Envelope", "<!DOCTYPE a><s:Envelope").into(), "doctype"),
        (envelope(Version::Soap12, &headers(), &deep).into(), "too_deep"),
        (envelope(Version::Soap12, &headers(), &many).into(), "too_large"),
        (" ".repeat((1 << 20) + 1).into(), "too_large"),
        (Vec::new(), "empty"),
        (envelope(Version::Soap12, &headers(), " ").into(), "empty"),
        (envelope(Version::Soap12, &headers(), "<a/><b/>").into(), "not_soap"),
    ] {
        let outcome = register.status(200, body);
        assert!(!failure(outcome.clone()).is_technical());
        assert_eq!(shown(outcome), is(ErrorClass::Decode, code, true));
    }
    let endless = Received::Answer(HttpAnswer { status: 200, body: None, retry_after: None });
    assert_eq!(shown(register.outcome(endless)), is(ErrorClass::Decode, "too_large", true));
}

#[test]
fn an_answer_that_is_kept_can_be_read_again_and_a_deeper_one_is_decode() {
    // At each level there are two elements of the same name, so that each is in a list.
    let nested =
        |levels: usize| format!("<firstName>x</firstName>{}{}", "<a/><a>".repeat(levels), "</a>".repeat(levels));
    let Outcome::Found(info) = Register::new().contents(&nested(DEEPEST - 1)) else { panic!("it is not found") };
    assert_eq!(serde_json::from_str::<Value>(&info.to_string()).unwrap(), info);
    assert_eq!(shown(Register::new().contents(&nested(DEEPEST))), is(ErrorClass::Decode, "too_deep", true));
}

#[test]
fn another_wrapper_is_decode() {
    for body in ["<unzr/>", "<unzrresponse/>", "<checkunzrResponse/>", "<unzrResponse2/>", "<Response/>", "<Fault/>"] {
        assert_eq!(shown(Register::new().body(body)), is(ErrorClass::Decode, "wrapper", true), "{body}");
    }
}

#[test]
fn another_or_no_id_service_or_client_is_decode() {
    let right = headers();
    let id = format!("<x:id>{}</x:id>", harness::call_id(7));
    for (headers, code) in [
        (right.replace(&id, ""), "id"),
        (right.replace(&id, "<x:id>1</x:id>"), "id"),
        (format!("{right}<x:id>1</x:id>"), "id"),
        (right.replace(CLIENT, ""), "client"),
        (right.replace("1_EHEALTH_prod", "1_EHEALTH_test"), "client"),
        (right.replace("<i:subsystemCode>1_EHEALTH_prod</i:subsystemCode>", ""), "client"),
        (right.replace(SERVICE, ""), "service"),
        (right.replace(">unzr<", ">checkunzr<"), "service"),
        (right.replace("</x:service>", "<i:serviceVersion>v1</i:serviceVersion></x:service>"), "service"),
    ] {
        let body = envelope(Version::Soap12, &headers, "<unzrResponse><firstName>x</firstName></unzrResponse>");
        assert_eq!(shown(Register::new().status(200, body)), is(ErrorClass::Decode, code, true));
    }
    let blank = right.replace("</x:service>", "<i:serviceVersion> </i:serviceVersion></x:service>");
    let body = envelope(Version::Soap12, &blank, "<unzrResponse/>");
    assert_eq!(Register::new().status(200, body), Outcome::Empty);
}

#[test]
fn an_element_of_the_number_that_says_another_is_decode() {
    let other = "<request><UNZR>19910824-00027</UNZR></request><firstName>Тест</firstName>";
    assert_eq!(shown(Register::new().contents(other)), is(ErrorClass::Decode, "number", true));
    let same = format!("<request><UNZR>{NUMBER}</UNZR></request><firstName>Тест</firstName><UNZR/>");
    assert!(matches!(Register::new().contents(&same), Outcome::Found(_)));
}

#[test]
fn content_below_at_of_which_nothing_is_mapped_is_decode() {
    let unmapped = is(ErrorClass::Decode, "unmapped", true);
    assert_eq!(shown(Register::new().contents("<name>Тест</name>")), unmapped);
    assert_eq!(shown(Register::new().contents("Тест")), unmapped);
    let below = Register::with("[registry.job.unzr.answer]\nat = \"a.b\"\n");
    assert_eq!(shown(below.contents("<a><b><name>Тест</name></b></a>")), unmapped);
    assert_eq!(shown(below.contents("<other>Тест</other>")), unmapped, "it is not taken for an empty answer");
    assert_eq!(below.contents("<a><b/><c>x</c></a>"), Outcome::Empty);
}

#[test]
fn found_keeps_the_whole_answer_of_either_version() {
    let contents = "<x:firstName>Тест</x:firstName><lastName n:nil='true'>x</lastName><more><b>1</b><b> </b></more>";
    for version in [Version::Soap11, Version::Soap12] {
        let body = envelope(version, &headers(), &format!("<p:unzrResponse xmlns:p='u'>{contents}</p:unzrResponse>"));
        let expected = json!({"firstName": "Тест", "lastName": null, "more": {"b": ["1", null]}});
        assert_eq!(Register::new().status(200, body), Outcome::Found(expected));
    }
}

#[test]
fn blank_and_nil_elements_alone_are_empty() {
    for contents in [
        "",
        " ",
        "<firstName/>",
        "<firstName> </firstName><documents><type/></documents>",
        "<firstName n:nil='1'>x</firstName>",
        "<!-- nothing -->",
    ] {
        assert_eq!(Register::new().contents(contents), Outcome::Empty, "{contents}");
    }
}

const TAX_STATUS: &str = "[registry.job.unzr.answer]\n\
    status = { element = \"RESULT\", found = [\"0\"], empty = [\"1\"], retry = [\"-2\"] }\n";

#[test]
fn a_status_element_says_found_empty_or_again_and_any_other_value_is_service() {
    let register = Register::with(TAX_STATUS);
    let with = |status: &str| register.contents(&format!("<RESULT>{status}</RESULT><firstName>Тест</firstName>"));
    assert!(matches!(with("0"), Outcome::Found(_)));
    assert_eq!(with("1"), Outcome::Empty);
    assert_eq!(shown(with("-2")), is(ErrorClass::Service, "-2", true));
    assert_eq!(shown(with("5")), is(ErrorClass::Service, "5", false));
    assert_eq!(shown(with("not found")), is(ErrorClass::Service, "other", false));
    assert_eq!(shown(register.contents("<firstName>Тест</firstName>")), is(ErrorClass::Decode, "status", true));
    assert_eq!(shown(register.contents("<RESULT/>")), is(ErrorClass::Decode, "status", true));
    assert_eq!(shown(register.contents("<RESULT>0</RESULT>")), is(ErrorClass::Decode, "unmapped", true));
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    assert_eq!(retry_after(" 120 ", 0), Some(120_000));
    assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_770_000), Some(7000));
    assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_780_000), Some(0));
    assert_eq!(retry_after("99999999999999999999", 0), Some(i64::MAX));
    for wrong in ["", "soon", "-1", "1.5"] {
        assert_eq!(retry_after(wrong, 0), None, "{wrong}");
    }
}

proptest! {
    #[test]
    fn no_body_is_ever_repeated_in_an_error(body in any::<Vec<u8>>(), status in 100_u16..600) {
        let outcome = Register::new().status(status, body);
        prop_assert!(matches!(outcome, Outcome::Failed(_)));
    }

    #[test]
    fn no_text_of_a_fault_is_kept(code in "\\PC{0,80}", status in prop::sample::select(vec![200_u16, 500])) {
        let escaped = code.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let kept = failure(Register::new().status(status, fault_11(&escaped))).code;
        let local = code.trim().rsplit(':').next().unwrap_or_default().to_owned();
        prop_assert!(kept.as_str() == "other" || kept.as_str() == local);
    }
}
