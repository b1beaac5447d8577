//! An index, source systems and a catalogue in memory (A 7.1).

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tributary_flow::configuration::Source;

pub(super) use crate::audit::{AuditEntry, AuditOutcome};
pub(super) use crate::cache_flow::{Asked, Reply, ReplyKind};
pub(super) use crate::caller::{CORRELATION, Header, ORIGINAL_CONSUMER, SENDER};
use crate::descriptor::{Descriptor, Descriptors};
use crate::engagement::Engagement;
use crate::find_content::{Found, IndexError};
pub(super) use crate::flow::{Connections, Flow, FlowSettings, Service};
use crate::local_time::Stockholm;
use crate::port::{Answering, Index, IndexQuestion, OutgoingCall, ProducerAnswer, Producers, TransportError};
use crate::soap::{ENVELOPE, Fault, FaultCode, Message, Name};
use crate::tak::Tak;
use crate::timeouts::Timeouts;

/// The service that most tests ask.
pub(super) const LABORATORY: &str = "GetAggregatedLaboratoryOrderOutcome.v4";
pub(super) const LABORATORY_CONTRACT: &str =
    "urn:riv:clinicalprocess:healthcond:actoutcome:GetLaboratoryOrderOutcomeResponder:4";

pub(super) fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What an address does when it is called.
#[derive(Clone)]
pub(super) struct Behaviour {
    pub(super) delay: Duration,
    pub(super) answer: What,
}

#[derive(Clone)]
pub(super) enum What {
    /// A row for each engagement of the patient at this address.
    Rows,
    /// These rows, as text inside the response element.
    Inside(String),
    /// A SOAP fault.
    Fault(u16, String),
    /// Status, content type and bytes.
    Raw(u16, Option<&'static str>, Vec<u8>),
    /// No connection.
    Refused,
    /// An error of the transport.
    Broken(TransportError),
    /// So many bytes, one each second.
    Drip(usize),
    /// The port breaks down.
    Panic,
}

/// A call as a source system saw it.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) address: String,
    pub(super) url: String,
    pub(super) headers: Vec<Header>,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn message(&self) -> Message {
        Message::read(self.body.clone().into_bytes(), None, 1 << 20, &[]).unwrap()
    }
}

/// Counts calls that have begun, that were answered, and that were cancelled.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) begun: AtomicUsize,
    pub(super) answered: AtomicUsize,
    pub(super) cancelled: AtomicUsize,
}

struct Running(Arc<Counts>, bool);

impl Drop for Running {
    fn drop(&mut self) {
        let count = if self.1 { &self.0.answered } else { &self.0.cancelled };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// The engagements of each patient.
type Engagements = Arc<Mutex<HashMap<String, Vec<Engagement>>>>;

#[derive(Default)]
pub(super) struct StubProducers {
    behaviours: Mutex<HashMap<String, Behaviour>>,
    engagements: Engagements,
    pub(super) seen: Mutex<Vec<Seen>>,
    pub(super) counts: Arc<Counts>,
}

impl StubProducers {
    pub(super) fn set(&self, address: &str, delay: u64, answer: What) {
        let behaviour = Behaviour { delay: ms(delay), answer };
        self.behaviours.lock().unwrap().insert(address.to_owned(), behaviour);
    }

    /// The text of an answer: a row for each engagement that the patient has at this address.
    fn rows(&self, address: &str, request: &Message) -> String {
        let patient = patient_of(request);
        let all = self.engagements.lock().unwrap().get(&patient).cloned().unwrap_or_default();
        let of_address = all.iter().filter(|one| one.source_system == address || one.logical_address == address);
        let row = |one: &Engagement| row(&row_of(request), address, &patient, &one.business_object);
        response(request, &of_address.map(row).collect::<String>())
    }
}

impl Producers for StubProducers {
    fn call(&self, call: OutgoingCall) -> Answering<Result<ProducerAnswer, TransportError>> {
        let OutgoingCall { address, url, headers, body, limit, mut share } = call;
        let body = String::from_utf8(body.to_bytes()).unwrap();
        let seen = Seen { address: address.clone(), url, headers, body };
        let request = seen.message();
        self.seen.lock().unwrap().push(seen);
        let known = self.behaviours.lock().unwrap().get(&address).cloned();
        let Behaviour { delay, answer } = known.unwrap_or(Behaviour { delay: ms(500), answer: What::Rows });
        let rows = self.rows(&address, &request);
        let counts = self.counts.clone();
        Box::pin(async move {
            counts.begun.fetch_add(1, Ordering::Relaxed);
            let mut running = Running(counts, false);
            sleep(delay).await;
            let xml = Some("text/xml; charset=UTF-8");
            let (status, content_type, body) = match answer {
                What::Rows => (200, xml, rows.into_bytes()),
                What::Inside(inside) => (200, xml, response(&request, &inside).into_bytes()),
                What::Fault(status, text) => (status, xml, Fault::new(FaultCode::Server, text).write().into_bytes()),
                What::Raw(status, content_type, body) => (status, content_type, body),
                What::Refused => {
                    running.1 = true;
                    return Err(TransportError::Refused("no one listens".to_owned()));
                }
                What::Broken(error) => {
                    running.1 = true;
                    return Err(error);
                }
                What::Drip(bytes) => {
                    sleep(Duration::from_secs(bytes as u64)).await;
                    (200, xml, rows.into_bytes())
                }
                What::Panic => panic!("the port breaks down"),
            };
            if body.len() > limit {
                running.1 = true;
                return Err(TransportError::TooLarge(limit));
            }
            share.grow_to(body.len()).await;
            running.1 = true;
            Ok(ProducerAnswer { status, content_type: content_type.map(str::to_owned), body, share })
        })
    }
}

fn patient_of(request: &Message) -> String {
    let paths = ["patientId/id", "patientId/extension", "subject_of_care", "subjectOfCareId", "person"];
    let path = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    paths.iter().flat_map(|one| request.values(&path(one))).next().unwrap_or_default()
}

/// The name of a row in the answer to a request.
fn row_of(request: &Message) -> String {
    let local = request.name().local.trim_start_matches("Get").to_owned();
    match local.as_str() {
        "SubjectOfCareSchedule" => "timeslotDetail".to_owned(),
        "RequestActivities" => "requestActivity".to_owned(),
        _ => local.get(..1).unwrap().to_lowercase() + local.get(1..).unwrap(),
    }
}

/// A row with the system, the patient and an object.
pub(super) fn row(name: &str, address: &str, patient: &str, object: &str) -> String {
    format!("<c:{name}><c:system>{address}</c:system><c:person>{patient}</c:person><c:id>{object}</c:id></c:{name}>")
}

/// An answer to a request. Its prefixes are those of another program.
pub(super) fn response(request: &Message, inside: &str) -> String {
    let Name { namespace, local } = request.name();
    format!(
        "<?xml version='1.0' encoding='UTF-8'?><soapenv:Envelope xmlns:soapenv=\"{ENVELOPE}\"><soapenv:Body>\
         <c:{local}Response xmlns:c=\"{namespace}\">{inside}</c:{local}Response></soapenv:Body></soapenv:Envelope>"
    )
}

pub(super) struct StubIndex {
    engagements: Engagements,
    pub(super) delay: Mutex<Duration>,
    pub(super) error: Mutex<Option<IndexError>>,
    pub(super) seen: Mutex<Vec<IndexQuestion>>,
}

impl Index for StubIndex {
    fn find(&self, question: IndexQuestion) -> Answering<Result<Found, IndexError>> {
        self.seen.lock().unwrap().push(question.clone());
        let patient = question.find.patient.as_str().to_owned();
        let delay = if patient == "EI:TIMEOUT" { ms(60_000) } else { *self.delay.lock().unwrap() };
        let engagements = self.engagements.lock().unwrap().get(&patient).cloned().unwrap_or_default();
        let mut answer = match self.error.lock().unwrap().clone() {
            Some(error) => Err(error),
            None => Ok(Found { engagements, ..Found::default() }),
        };
        if patient == "EI:INV_ID" {
            answer = Err(IndexError::Fault(Fault::new(FaultCode::Client, "Invalid Id: EI:INV_ID")));
        }
        Box::pin(async move {
            sleep(delay).await;
            answer
        })
    }
}

/// An engagement at a system that is its own address.
pub(super) fn engagement(address: &str, category: &str, object: &str) -> Engagement {
    Engagement {
        categorization: category.to_owned(),
        logical_address: address.to_owned(),
        source_system: address.to_owned(),
        business_object: object.to_owned(),
        ..Engagement::default()
    }
}

fn of_patient(patient: &str, engagements: &[Engagement]) -> Vec<Engagement> {
    let own = engagements.iter().map(|one| Engagement { patient: patient.parse().ok(), ..one.clone() });
    own.collect()
}

/// What a test sets up.
pub(super) struct Setup {
    /// The index, if not one that knows [`Setup::engagements`].
    pub(super) index: Option<Arc<dyn Index>>,
    pub(super) settings: FlowSettings,
    pub(super) tak: Option<Tak>,
    pub(super) descriptors: Vec<Source>,
    pub(super) engagements: HashMap<String, Vec<Engagement>>,
    pub(super) audit_queue: usize,
    /// When it was midday.
    pub(super) midday: Instant,
    /// What seals the cache in the log, if there is one.
    pub(super) cache_key: [u8; 32],
}

impl Default for Setup {
    fn default() -> Self {
        let settings = FlowSettings {
            timeouts: Timeouts::new(ms(3000), ms(4000), ms(5000)).unwrap(),
            index_timeout: Some(ms(1000)),
            platform_url: Some("http://vp.example/vp".to_owned()),
            instance: "dev_env".to_owned(),
            index_sender: "ei-sender-id".to_owned(),
            ..FlowSettings::default()
        };
        let (descriptors, engagements) = (Vec::new(), HashMap::new());
        let (midday, cache_key) = (Instant::now(), [7; 32]);
        Self { index: None, settings, tak: None, descriptors, engagements, audit_queue: 100, midday, cache_key }
    }
}

impl Setup {
    pub(super) fn patient(mut self, patient: &str, engagements: &[Engagement]) -> Self {
        self.engagements.insert(patient.to_owned(), of_patient(patient, engagements));
        self
    }

    /// The TAK of the platform's own tests.
    pub(super) fn with_tak(mut self) -> Self {
        let permission = |sender: &str, receiver: String| {
            format!(r#"{{"contract": "{LABORATORY_CONTRACT}", "receiver": "{receiver}", "sender": "{sender}"}}"#)
        };
        let route = |receiver: String| format!(r#"{{"contract": "{LABORATORY_CONTRACT}", "receiver": "{receiver}"}}"#);
        let own = (1..=6).map(|number| permission("sample-sender-id", format!("HSA-ID-{number}")));
        let original =
            [1, 11, 12, 31, 32].map(|number| permission("sample-original-consumer-hsaid", format!("HSA-ID-{number}")));
        let permissions: Vec<String> = own.chain(original).collect();
        let routes = [1, 2, 3, 4, 5, 6, 11, 12, 31, 32, 77].map(|number| route(format!("HSA-ID-{number}")));
        let (permissions, routes) = (permissions.join(","), routes.join(","));
        let text = format!(r#"{{"routes": [{routes}], "permissions": [{permissions}]}}"#);
        self.tak = Some(Tak::read(text.as_bytes()).unwrap());
        self
    }

    pub(super) fn build(self) -> World {
        let engagements: Engagements = Arc::new(Mutex::new(self.engagements));
        let producers = Arc::new(StubProducers { engagements: engagements.clone(), ..StubProducers::default() });
        for (address, delay) in [("HSA-ID-1", 1000), ("HSA-ID-2", 2000), ("HSA-ID-3", 4000)] {
            producers.set(address, delay, What::Rows);
        }
        let index = Arc::new(StubIndex {
            engagements,
            delay: Mutex::new(ms(10)),
            error: Mutex::default(),
            seen: Mutex::default(),
        });
        let (sender, audit) = mpsc::channel(self.audit_queue);
        let begin = self.midday;
        let midday: jiff::Timestamp = "2026-11-28T12:00:00Z".parse().unwrap();
        let connections = Connections {
            index: self.index.unwrap_or_else(|| index.clone()),
            producers: producers.clone(),
            tak: self.tak.map(Arc::new),
            audit: sender,
            clock: Arc::new(move || midday + jiff::SignedDuration::try_from(begin.elapsed()).unwrap()),
            stockholm: Stockholm::load().unwrap(),
        };
        let descriptors = Descriptors::read(&self.descriptors).unwrap();
        let service = |one: &Descriptor| {
            let service = Service::new(one.clone(), &self.settings.timeouts).unwrap();
            (one.name.clone(), Arc::new(service))
        };
        let services: HashMap<String, Arc<Service>> = descriptors.iter().map(service).collect();
        let flow = super::cache_in_log::flow(self.settings, connections, self.cache_key, &services);
        World { index, producers, flow, audit, services }
    }
}

pub(super) struct World {
    pub(super) index: Arc<StubIndex>,
    pub(super) producers: Arc<StubProducers>,
    pub(super) flow: Arc<Flow>,
    pub(super) audit: mpsc::Receiver<AuditEntry>,
    pub(super) services: HashMap<String, Arc<Service>>,
}

/// A record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SeenRecord {
    pub(super) address: String,
    pub(super) status: String,
    pub(super) code: Option<String>,
    pub(super) text: Option<String>,
}

/// An answer as a consumer reads it.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub(super) text: String,
    pub(super) message: Message,
    /// The fields `system`, `person` and `id` of each row.
    pub(super) rows: Vec<[String; 3]>,
    pub(super) records: Vec<SeenRecord>,
}

impl Answered {
    pub(super) fn of(service: &Service, reply: &Reply) -> Self {
        let text = reply.body().to_owned();
        let wanted = &service.descriptor().response.concatenate;
        let message = Message::read(text.clone().into_bytes(), None, 1 << 26, wanted).unwrap();
        let field = |row: &[(Name, String)], name: &str| {
            row.iter().find(|(known, _)| known.local == name).map(|(_, text)| text.clone()).unwrap_or_default()
        };
        let rows = message.rows(0).map(|row| row.children());
        let rows = rows.map(|row| ["system", "person", "id"].map(|name| field(&row, name))).collect();
        let records = text.split("<h:ProcessingStatusList>").skip(1).map(|record| SeenRecord {
            address: between(record, "logicalAddress").unwrap(),
            status: between(record, "statusCode").unwrap(),
            code: between(record, "code"),
            text: between(record, "text"),
        });
        let records = records.collect();
        Self { text, message, rows, records }
    }

    /// How many rows came from a system.
    pub(super) fn rows_of(&self, system: &str) -> usize {
        self.rows.iter().filter(|[from, ..]| from == system).count()
    }

    pub(super) fn record(&self, address: &str) -> &SeenRecord {
        self.records.iter().find(|record| record.address == address).unwrap()
    }

    /// The addresses and states of all records, by address.
    pub(super) fn statuses(&self) -> Vec<(String, String)> {
        let mut all: Vec<_> =
            self.records.iter().map(|record| (record.address.clone(), record.status.clone())).collect();
        all.sort();
        all
    }

    /// Checks that these addresses, and no others, have fresh data.
    pub(super) fn assert_all_from_source(&self, addresses: &[&str]) {
        let expected = addresses.iter().map(|address| ((*address).to_owned(), "DataFromSource".to_owned()));
        assert_eq!(self.statuses(), expected.collect::<Vec<_>>());
    }

    /// Checks the record of a failed address.
    pub(super) fn assert_failed(&self, address: &str, code: &str, text: &str) {
        let record = self.record(address);
        assert_eq!((record.status.as_str(), record.code.as_deref()), ("NoDataSynchFailed", Some(code)));
        let found = record.text.as_deref().unwrap();
        assert!(found.to_lowercase().contains(&text.to_lowercase()), "{found} should contain {text}");
    }
}

fn between(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<h:{name}>"))?;
    rest.split_once("</").map(|(value, _)| value.to_owned())
}

pub(super) fn mandatory_headers() -> Vec<Header> {
    [(SENDER, "sample-sender-id"), (ORIGINAL_CONSUMER, "sample-sender-id"), (CORRELATION, "test-corr-id")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

pub(super) fn asked(body: impl Into<Vec<u8>>) -> Asked {
    Asked { headers: mandatory_headers(), soap_action: None, charset: None, body: body.into() }
}

/// A request with these elements in its body element and its header.
pub(super) fn request(service: &Service, inside: &str, header: &str) -> String {
    let Descriptor { contract, interaction, .. } = service.descriptor();
    format!(
        "<e:Envelope xmlns:e=\"{ENVELOPE}\" xmlns:r=\"urn:riv:itintegration:registry:1\" xmlns:q=\"{contract}\">\
         <e:Header><r:LogicalAddress>5565594230</r:LogicalAddress>{header}</e:Header>\
         <e:Body><q:{interaction}>{inside}</q:{interaction}></e:Body></e:Envelope>"
    )
}

/// The elements that name a patient.
pub(super) fn naming(service: &Service, patient: &str) -> String {
    let path = service.descriptor().query.patient.text();
    let names: Vec<&str> = path.split('/').collect();
    let open = format!("<q:{}>", names.join("><q:"));
    let close = format!("</q:{}>", names.iter().rev().copied().collect::<Vec<_>>().join("></q:"));
    format!("{open}{patient}{close}")
}

impl World {
    pub(super) fn service(&self, name: &str) -> &Arc<Service> {
        &self.services[name]
    }

    /// Changes what index and source systems have about a patient.
    pub(super) fn change(&self, patient: &str, engagements: &[Engagement]) {
        let changed = of_patient(patient, engagements);
        self.index.engagements.lock().unwrap().insert(patient.to_owned(), changed);
    }

    pub(super) async fn reply(&self, service: &str, patient: &str) -> Reply {
        let service = self.service(service);
        let body = request(service, &naming(service, patient), "");
        self.flow.ask(service, asked(body)).await
    }

    /// Asks for a patient and reads the answer.
    pub(super) async fn ask(&self, service: &str, patient: &str) -> Answered {
        let reply = self.reply(service, patient).await;
        assert_eq!(reply.kind, ReplyKind::Answer, "{}", reply.body());
        let answered = Answered::of(self.service(service), &reply);
        assert!(answered.rows.iter().all(|[_, person, _]| person == patient), "rows of another patient");
        answered
    }

    /// Asks for a patient and reads the fault.
    pub(super) async fn fault(&self, service: &str, patient: &str) -> Fault {
        fault_of(&self.reply(service, patient).await)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.producers.seen.lock().unwrap().clone()
    }

    /// The addresses that were called, in order.
    pub(super) fn called(&self) -> Vec<String> {
        let mut addresses: Vec<_> = self.seen().into_iter().map(|seen| seen.address).collect();
        addresses.sort();
        addresses
    }
}

pub(super) fn fault_of(reply: &Reply) -> Fault {
    assert_eq!(reply.kind, ReplyKind::Fault, "{}", reply.body());
    Message::read(reply.body().as_bytes().to_vec(), None, 1 << 20, &[]).unwrap().fault().unwrap()
}
