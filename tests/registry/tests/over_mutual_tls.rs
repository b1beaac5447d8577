//! Requests as the flow writes them go through the connector to a stand-in register with mutual TLS, and its answers
//! are read as the flow reads them (R 9.3).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tributary_connectors::soap::mutual_tls::{
    AnswerHead, MutualTlsAnswer, MutualTlsCallError, MutualTlsClient, MutualTlsFiles, MutualTlsIdentity,
    MutualTlsRequest, MutualTlsSettings,
};
use tributary_flow::configuration::Source;
use tributary_registry::call_answer::{Asked, HttpAnswer, Outcome, Received, TransportError, retry_after};
use tributary_registry::call_request::CallRequest;
use tributary_registry::configuration::{Kind, RegistrySettings};
use tributary_registry::number::Number;
use tributary_registry_sample::{Answer, Register, SoapVersion, Tls};
use tributary_schemas::types::registry::{CallId, UserId};

const NUMBER: &str = "19910824-00026";

const USER: &str = "0ca5e000-0000-4000-8000-000000000002";

/// Longer than any good answer takes.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Shorter than what the register drips.
const IMPATIENCE: Duration = Duration::from_millis(500);

struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(parameters, key) }
    }

    fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate of this authority, and its key.
    fn sign(&self, name: &str) -> (String, String) {
        let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        (parameters.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// A register with a certificate of this authority, which wants one of it.
    fn of_register(&self) -> Tls {
        let (certificate, key) = self.sign("localhost");
        let client_ca = Some(self.pem().into_bytes());
        Tls { certificate: certificate.into_bytes(), key: key.into_bytes(), client_ca }
    }
}

struct World {
    register: Register,
    settings: RegistrySettings,
    client: MutualTlsClient,
    folder: TempDir,
    calls: u32,
}

impl World {
    async fn new(soap: &str, authority: &Authority) -> Self {
        let text = format!(
            "[registry.trembita.client]\nmember_class = \"GOV\"\nmember_code = \"00000002\"\nsubsystem = \"A\"\n\
             [registry.job.unzr]\nservice = {{ member_code = \"00000001\", soap = \"{soap}\" }}\n"
        );
        let settings = RegistrySettings::load(Some(&Source::new("test", text))).unwrap();
        let register = Register::start(Some(authority.of_register())).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        identify(&folder, authority);
        let client = client(&register, &settings, &folder, true, TIMEOUT);
        Self { register, settings, client, folder, calls: 0 }
    }

    /// Calls from now on give up early.
    fn be_impatient(&mut self) {
        self.client = client(&self.register, &self.settings, &self.folder, true, IMPATIENCE);
    }

    fn kind(&self) -> &Kind {
        self.settings.kind(&"unzr".parse().unwrap()).unwrap()
    }

    async fn ask(&mut self) -> Outcome {
        self.calls += 1;
        let id: CallId = format!("0ca5e000-0000-4000-8000-{:012}", self.calls).parse().unwrap();
        let (number, trembita, user) = (Number::new(NUMBER), &self.settings.trembita, USER.parse::<UserId>().unwrap());
        let request = CallRequest { kind: self.kind(), trembita, number: &number, user, id };
        let mut headers = vec![("content-type".to_owned(), request.content_type())];
        headers.extend(request.soap_action().map(|action| ("soapaction".to_owned(), action)));
        let body = request.body().into_bytes();
        let received = received(self.client.call(MutualTlsRequest { headers: &headers, body }).await);
        Asked { kind: self.kind(), trembita, number: &number, id }.outcome(received)
    }

    async fn answered(&mut self) -> String {
        match self.ask().await {
            Outcome::Found(_) => "found".to_owned(),
            Outcome::Empty => "empty".to_owned(),
            Outcome::Failed(failure) => {
                let class = format!("{:?}", failure.class).to_lowercase();
                let wait = failure.retry_after.map(|wait| format!(" after {wait}")).unwrap_or_default();
                format!("{class} {}{}{wait}", failure.code, if failure.is_retryable { ", again" } else { "" })
            }
        }
    }

    async fn answered_with(&mut self, answer: Answer) -> String {
        self.register.set(NUMBER, answer);
        self.answered().await
    }
}

/// Writes what a client needs: whom to trust, and who it is.
fn identify(folder: &TempDir, authority: &Authority) {
    let (certificate, key) = authority.sign("client.example");
    for (name, content) in [("ca.pem", authority.pem()), ("client.pem", certificate), ("client.key", key)] {
        fs::write(folder.path().join(name), content).unwrap();
    }
}

fn client(
    register: &Register,
    settings: &RegistrySettings,
    folder: &TempDir,
    has_identity: bool,
    timeout: Duration,
) -> MutualTlsClient {
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    let identity = MutualTlsIdentity { certificate: path("client.pem"), key: path("client.key") };
    let files = MutualTlsFiles { ca: path("ca.pem"), identity: has_identity.then_some(identity) };
    let settings = MutualTlsSettings {
        url: register.url(),
        allow_plain_http: false,
        files: Some(files),
        timeout,
        largest_header: 16 * 1024,
        largest_answer: settings.trembita.max_answer,
    };
    MutualTlsClient::new(&settings).unwrap()
}

/// What the flow reads in place of what the connector says.
fn received(result: Result<MutualTlsAnswer, MutualTlsCallError>) -> Received {
    let answer = |head: AnswerHead, body: Option<Vec<u8>>| {
        let wait = head.retry_after.and_then(|header| retry_after(&header, 0));
        Received::Answer(HttpAnswer { status: head.status, body, retry_after: wait })
    };
    Received::Failed(match result {
        Ok(MutualTlsAnswer { head, body }) => return answer(head, Some(body)),
        Err(MutualTlsCallError::TooLarge { head, .. }) => return answer(head, None),
        // Bytes that nobody can read are no message.
        Err(MutualTlsCallError::Packed { head, .. }) => return answer(head, Some(Vec::new())),
        Err(MutualTlsCallError::Dns) => TransportError::Dns,
        Err(MutualTlsCallError::Tls(_)) => TransportError::Tls,
        Err(MutualTlsCallError::Closed(_)) => TransportError::Closed,
        Err(MutualTlsCallError::Timeout(_)) => TransportError::Timeout,
        Err(MutualTlsCallError::Refused(_) | MutualTlsCallError::NotMade(_)) => TransportError::Connect,
    })
}

#[tokio::test]
async fn a_register_that_knows_the_certificate_answers_in_both_versions_of_soap() {
    let authority = Authority::new("own");
    for (soap, version) in [("1.2", SoapVersion::V12), ("1.1", SoapVersion::V11)] {
        let mut world = World::new(soap, &authority).await;
        assert_eq!(world.answered().await, "found");
        assert_eq!(world.answered_with(Answer::Empty).await, "empty");
        let calls = world.register.calls();
        assert_eq!((calls.len(), calls[0].version, calls[0].number()), (2, version, NUMBER));
        assert_eq!(calls[0].http_header("soapaction"), (soap == "1.1").then_some("\"urn:unzr\""));
        let content_type = calls[0].http_header("content-type").unwrap();
        assert_eq!(content_type.contains("action=\"urn:unzr\""), soap == "1.2", "{content_type}");
        assert!(world.register.refused().is_empty());
    }
}

#[tokio::test]
async fn without_the_right_certificates_it_is_an_error_of_tls() {
    let (authority, other) = (Authority::new("own"), Authority::new("other"));
    let mut world = World::new("1.2", &authority).await;
    // Nobody.
    world.client = client(&world.register, &world.settings, &world.folder, false, TIMEOUT);
    assert_eq!(world.answered().await, "transport tls, again");
    // Somebody else.
    identify(&world.folder, &other);
    fs::write(world.folder.path().join("ca.pem"), authority.pem()).unwrap();
    world.client = client(&world.register, &world.settings, &world.folder, true, TIMEOUT);
    assert_eq!(world.answered().await, "transport tls, again");
    // A register that is somebody else.
    identify(&world.folder, &authority);
    fs::write(world.folder.path().join("ca.pem"), other.pem()).unwrap();
    assert_eq!(world.answered().await, "transport tls, again");
    assert!(world.register.calls().is_empty() && world.register.refused().is_empty());
    fs::write(world.folder.path().join("ca.pem"), authority.pem()).unwrap();
    assert_eq!(world.answered().await, "found");
}

#[tokio::test]
async fn certificates_are_replaced_while_calls_go_on() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let mut world = World::new("1.2", &old).await;
    assert_eq!(world.answered().await, "found");
    // The files come first. Those of a half replaced pair change nothing.
    let (certificate, key) = new.sign("client.example");
    fs::write(world.folder.path().join("client.pem"), certificate).unwrap();
    assert_eq!(world.answered().await, "found");
    fs::write(world.folder.path().join("client.key"), key).unwrap();
    assert_eq!(world.answered().await, "transport tls, again", "the register does not know them yet");
    world.register.change_tls(new.of_register()).await.unwrap();
    fs::write(world.folder.path().join("ca.pem"), new.pem()).unwrap();
    assert_eq!(world.answered().await, "found");
    assert_eq!(world.register.calls().len(), 3);
}

#[tokio::test]
async fn an_answer_that_is_late_or_not_whole_is_told_apart() {
    let mut world = World::new("1.2", &Authority::new("own")).await;
    assert_eq!(world.answered_with(Answer::CutOff(100)).await, "transport closed, again");
    assert_eq!(world.answered_with(Answer::Endless(4 << 20)).await, "decode too_large, again");
    let busy = Answer::Status(503, Some("7".to_owned()));
    assert_eq!(world.answered_with(busy).await, "http 503, again after 7000");
    assert_eq!(world.answered_with(Answer::Redirect("https://localhost:1/".to_owned())).await, "http 302");
    world.be_impatient();
    for answer in [Answer::Hanging, Answer::Trickling(Duration::from_millis(50))] {
        let shown = format!("{answer:?}");
        assert_eq!(world.answered_with(answer).await, "transport timeout, again", "{shown}");
    }
    world.register.down();
    // A connection that was kept ends, and a new one is refused.
    world.client = client(&world.register, &world.settings, &world.folder, true, TIMEOUT);
    // Its port is closed a moment later. Until then a connection may come about, and ends.
    let refused = async { while world.answered().await != "transport connect, again" {} };
    tokio::time::timeout(Duration::from_secs(20), refused).await.unwrap();
}
