//! Source systems, subscribers and other services that the platform calls, on one port.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;

use crate::messages::{LABORATORY, envelope, texts};

/// What an address does when it is called.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// So many rows.
    Rows(usize),
    /// Rows after so many milliseconds.
    Late(u64, usize),
    /// A SOAP fault with this HTTP status and text.
    Fault(u16, String),
    /// Status, headers and body.
    Raw(u16, Vec<(&'static str, &'static str)>, Vec<u8>),
    /// A body that never ends, a byte each 100 ms.
    Drip,
}

/// A call as the address saw it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) address: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

#[derive(Default)]
struct Seen {
    answers: Mutex<HashMap<String, Answer>>,
    calls: Mutex<Vec<Call>>,
}

/// The systems behind one URL.
#[derive(Clone)]
pub(crate) struct Systems {
    pub(crate) url: String,
    seen: Arc<Seen>,
}

impl Systems {
    pub(crate) async fn start() -> Self {
        let seen = Arc::<Seen>::default();
        let router = Router::new().fallback(post(answer)).with_state(Arc::clone(&seen));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/vp", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, seen }
    }

    pub(crate) fn set(&self, address: &str, answer: Answer) {
        self.seen.answers.lock().unwrap().insert(address.to_owned(), answer);
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.seen.calls.lock().unwrap().clone()
    }

    /// The addresses that were called, in order of their names.
    pub(crate) fn called(&self) -> Vec<String> {
        let mut addresses: Vec<String> = self.calls().into_iter().map(|call| call.address).collect();
        addresses.sort();
        addresses
    }
}

/// The questions to TAK.
const ROUTES: &str = "hamtaAllaVirtualiseringar";
const PERMISSIONS: &str = "hamtaAllaAnropsBehorigheter";

async fn answer(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: String) -> Response {
    // A question to TAK has no address: its name stands for one.
    let address = texts(&body, "LogicalAddress").into_iter().next();
    let address = address.unwrap_or_else(|| if body.contains(":hamtaAllaV") { ROUTES } else { PERMISSIONS }.to_owned());
    let headers = headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let call = Call { address: address.clone(), headers: headers.collect(), body: body.clone() };
    seen.calls.lock().unwrap().push(call);
    let known = seen.answers.lock().unwrap().get(&address).cloned();
    let is_notification = !texts(&body, "ProcessNotification").is_empty();
    match known.unwrap_or(Answer::Rows(1)) {
        Answer::Rows(_) if is_notification => xml(200, receipt("OK")),
        Answer::Rows(count) => xml(200, rows(&address, &body, count)),
        Answer::Late(milliseconds, count) => {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            xml(200, rows(&address, &body, count))
        }
        Answer::Fault(status, text) => {
            let fault = format!(
                "<soapenv:Fault><faultcode>soapenv:Server</faultcode><faultstring>{text}</faultstring></soapenv:Fault>"
            );
            xml(status, envelope(&address, &fault))
        }
        Answer::Raw(status, headers, body) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(body)).unwrap()
        }
        Answer::Drip => {
            let drips = futures_util::stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Some((Ok::<_, std::io::Error>(" "), ()))
            });
            let response = Response::builder().header("content-type", "text/xml");
            response.body(Body::from_stream(drips)).unwrap()
        }
    }
}

fn xml(status: u16, body: String) -> Response {
    let response = Response::builder().status(StatusCode::from_u16(status).unwrap());
    response.header("content-type", "text/xml;charset=utf-8").body(Body::from(body)).unwrap()
}

fn receipt(code: &str) -> String {
    let contract = "urn:riv:itintegration:engagementindex:ProcessNotificationResponder:1";
    let body = format!(
        "<p:ProcessNotificationResponse xmlns:p=\"{contract}\"><p:ResultCode>{code}</p:ResultCode>\
         </p:ProcessNotificationResponse>"
    );
    envelope("x", &body)
}

/// Rows about the patient of the request. Their prefixes are those of another program.
fn rows(address: &str, request: &str, count: usize) -> String {
    let patient = texts(request, "id").into_iter().next().unwrap_or_default();
    let row = |number: usize| {
        format!(
            "<q:laboratoryOrderOutcome><q:system>{address}</q:system><q:person>{patient}</q:person>\
             <q:note>åäö {number}</q:note></q:laboratoryOrderOutcome>"
        )
    };
    let rows: String = (0..count).map(row).collect();
    envelope(
        address,
        &format!(
            "<q:GetLaboratoryOrderOutcomeResponse xmlns:q=\"{LABORATORY}\">{rows}</q:GetLaboratoryOrderOutcomeResponse>"
        ),
    )
}
