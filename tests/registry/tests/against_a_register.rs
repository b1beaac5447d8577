//! Requests as the flow writes them go to a stand-in register over HTTP, and its answers are read as the flow reads
//! them. The two share no code, so both must read the protocol alike (R 9).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::time::Duration;

use serde_json::Value;
use tributary_flow::configuration::Source;
use tributary_registry::call_answer::{Asked, HttpAnswer, Outcome, Received, TransportError};
use tributary_registry::call_request::CallRequest;
use tributary_registry::configuration::{Kind, RegistrySettings};
use tributary_registry::number::Number;
use tributary_registry_sample::{Answer, Change, Register, SoapVersion};
use tributary_schemas::types::registry::{CallId, UserId};

const NUMBER: &str = "19910824-00026";

const USER: &str = "0ca5e000-0000-4000-8000-000000000002";

struct World {
    register: Register,
    settings: RegistrySettings,
    client: reqwest::Client,
    calls: u32,
}

impl World {
    async fn new(soap: &str, more: &str) -> Self {
        let text = format!(
            "[registry.trembita]\nclient = {{ member_class = \"GOV\", member_code = \"00000002\", subsystem = \"A&B\" }}\n\
             [registry.job.unzr]\nservice = {{ member_code = \"00000001\", soap = \"{soap}\"{more} }}\n"
        );
        let settings = RegistrySettings::load(Some(&Source::new("test", text))).unwrap();
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let client = client.timeout(Duration::from_secs(2)).build().unwrap();
        Self { register: Register::start(None).await.unwrap(), settings, client, calls: 0 }
    }

    fn kind(&self) -> &Kind {
        self.settings.kind(&"unzr".parse().unwrap()).unwrap()
    }

    /// Asks for a number as the flow does.
    async fn ask(&mut self, number: &str) -> Outcome {
        self.calls += 1;
        let id: CallId = format!("0ca5e000-0000-4000-8000-{:012}", self.calls).parse().unwrap();
        let (number, trembita) = (Number::new(number), &self.settings.trembita);
        let user: UserId = USER.parse().unwrap();
        let request = CallRequest { kind: self.kind(), trembita, number: &number, user, id };
        let mut sending = self.client.post(self.register.url()).header("content-type", request.content_type());
        if let Some(action) = request.soap_action() {
            sending = sending.header("soapaction", action);
        }
        let received = match sending.body(request.body()).send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                match response.bytes().await {
                    Ok(body) => Received::Answer(HttpAnswer { status, body: Some(body.to_vec()), retry_after: None }),
                    Err(error) => Received::Failed(failure(&error)),
                }
            }
            Err(error) => Received::Failed(failure(&error)),
        };
        Asked { kind: self.kind(), trembita, number: &number, id }.outcome(received)
    }

    async fn answered(&mut self, answer: Answer) -> String {
        self.register.set(NUMBER, answer);
        self.answered_as_set().await
    }

    async fn answered_as_set(&mut self) -> String {
        match self.ask(NUMBER).await {
            Outcome::Found(_) => "found".to_owned(),
            Outcome::Empty => "empty".to_owned(),
            Outcome::Failed(failure) => {
                let class = format!("{:?}", failure.class).to_lowercase();
                format!("{class} {}{}", failure.code, if failure.is_retryable { ", again" } else { "" })
            }
        }
    }
}

fn failure(error: &reqwest::Error) -> TransportError {
    match () {
        () if error.is_timeout() => TransportError::Timeout,
        () if error.is_connect() => TransportError::Connect,
        () => TransportError::Closed,
    }
}

#[tokio::test]
async fn a_person_is_found_in_both_versions_of_soap() {
    for (soap, version, more) in
        [("1.2", SoapVersion::V12, ""), ("1.1", SoapVersion::V11, ", version = \"v1\", namespace = \"urn:a&b\"")]
    {
        let mut world = World::new(soap, more).await;
        let Outcome::Found(info) = world.ask(NUMBER).await else { panic!("nothing was found") };
        let mapped = world.kind().answer.map(&info);
        let field = |name: &str| mapped.fields.iter().find(|(known, _)| *known == name).and_then(|(_, text)| *text);
        assert_eq!((field("dateBirth"), field("middleName")), (Some("1991-08-24"), None));
        assert_eq!(mapped.lists[0].items.len(), 1);
        let calls = world.register.calls();
        let call = &calls[0];
        assert_eq!((call.version, call.number(), call.user_id.as_str()), (version, NUMBER, USER));
        assert_eq!(call.elements.len(), 1, "a call carries the number and nothing else");
        assert_eq!(call.protocol_version, "4.0");
        let part = |name: &str| call.client.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str());
        assert_eq!((part("memberCode"), part("subsystemCode")), (Some("00000002"), Some("A&B")));
        assert_eq!(call.service.iter().any(|(name, text)| name == "serviceVersion" && text == "v1"), soap == "1.1");
        assert_eq!(call.wrapper.1, if soap == "1.1" { "urn:a&b" } else { "" });
        assert_eq!(call.http_header("soapaction"), (soap == "1.1").then_some("\"urn:unzr\""));
        assert!(world.register.refused().is_empty());
    }
}

#[tokio::test]
async fn a_number_arrives_byte_for_byte() {
    let mut world = World::new("1.2", "").await;
    for number in [" 1", "1 ", "a<b&c>d\"e'", "]]>", "tab\tline\nreturn\rend", "Ёж-😀"] {
        world.ask(number).await;
        assert_eq!(world.register.calls().last().unwrap().number(), number);
    }
}

#[tokio::test]
async fn each_answer_means_what_the_protocol_says() {
    let service = |code: &str| Answer::Service(code.to_owned());
    let fault = |status, code: &str| Answer::Fault(status, code.to_owned(), Some("id-1".to_owned()));
    let rows = [
        (Answer::Found, "found"),
        (Answer::Empty, "empty"),
        (Answer::Content("<firstName> </firstName><lastName/>".to_owned()), "empty"),
        (Answer::Changed(Change::Version), "found"),
        (Answer::Changed(Change::ContentType("application/octet-stream".to_owned())), "found"),
        (Answer::Changed(Change::Id("another".to_owned())), "decode id, again"),
        (Answer::Changed(Change::NoId), "decode id, again"),
        (Answer::Changed(Change::Client("00000009".to_owned())), "decode client, again"),
        (Answer::Changed(Change::Service("00000009".to_owned())), "decode service, again"),
        (Answer::Changed(Change::Wrapper("otherResponse".to_owned())), "decode wrapper, again"),
        (Answer::Changed(Change::Number("19000101-00001".to_owned())), "decode number, again"),
        (fault(500, "Server.ClientProxy.NetworkError"), "fault Server.ClientProxy.NetworkError, again"),
        (fault(200, "Server.ServerProxy.AccessDenied"), "fault Server.ServerProxy.AccessDenied"),
        (fault(500, "server.serverproxy.access_denied"), "fault server.serverproxy.access_denied"),
        (fault(500, "Client.BadRequest"), "fault Client.BadRequest"),
        (service("-1"), "service -1"),
        (service("-2"), "service -2, again"),
        (Answer::Status(503, Some("7".to_owned())), "http 503, again"),
        (Answer::Status(429, None), "http 429, again"),
        (Answer::Status(404, None), "http 404"),
        (Answer::Redirect("http://127.0.0.1:1/".to_owned()), "http 302"),
        (Answer::CutOff(100), "transport closed, again"),
        (Answer::Hanging, "transport timeout, again"),
        (Answer::Trickling(Duration::from_millis(300)), "transport timeout, again"),
        (Answer::Late(Duration::from_millis(50), Box::new(Answer::Empty)), "empty"),
    ];
    let mut world = World::new("1.2", "").await;
    for (answer, expected) in rows {
        let shown = format!("{answer:?}");
        assert_eq!(world.answered(answer).await, expected, "{shown}");
    }
    let receiver = Answer::Subcode("Receiver".to_owned(), "Busy".to_owned());
    assert_eq!(world.answered(receiver).await, "fault Busy, again");
    let raw = world.answered(Answer::Raw(b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>".to_vec())).await;
    assert!(raw.starts_with("decode "), "{raw}");
    assert!(world.answered(Answer::Raw(Vec::new())).await.starts_with("decode "));
    assert!(world.answered(Answer::Endless(4 << 20)).await.starts_with("decode "));
}

#[tokio::test]
async fn a_register_goes_away_and_comes_back() {
    let mut world = World::new("1.2", "").await;
    world.register.set(NUMBER, [Answer::Empty, Answer::Found]);
    assert_eq!(world.ask(NUMBER).await, Outcome::Empty);
    world.register.down();
    // A connection that was kept ends, and a new one is refused.
    let away = world.answered_as_set().await;
    assert!(matches!(&*away, "transport connect, again" | "transport closed, again"), "{away}");
    world.register.up().await.unwrap();
    let found = world.ask(NUMBER).await;
    assert!(matches!(found, Outcome::Found(Value::Object(_))), "{found:?}");
    assert_eq!(world.register.calls_of(NUMBER), 2);
}
