//! The aggregating services over HTTP: a path for each descriptor.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tributary_aggregation::caller::CORRELATION;
use tributary_aggregation::flow::Flow;
use tributary_aggregation::wsdl;
use tributary_flow::http::{Mount, Problem, Scheme, require};

use crate::platform::Shared;
use crate::roles::CONSUMER;
use crate::settings::OfferedService;
use crate::soap_http::{self, Described, SoapRequest};

/// The server ends a question later than the flow itself does.
const AFTER_THE_FLOW: Duration = Duration::from_secs(5);

/// What the handlers of one service share.
#[derive(Clone)]
struct Offered {
    flow: Arc<Flow>,
    offered: OfferedService,
}

/// The paths of all services.
pub(crate) fn mount(shared: &Arc<Shared>) -> Mount {
    let mut router = Router::new();
    let mut longest = Duration::ZERO;
    for offered in &shared.settings.services {
        let state = Offered { flow: Arc::clone(&shared.flow), offered: offered.clone() };
        longest = longest.max(offered.service.timeouts().aggregated_service());
        let path = &offered.service.descriptor().path;
        router = router.route(path, post(ask).get(describe).with_state(state));
    }
    Mount::new(router.route_layer(require(CONSUMER)))
        .max_body(shared.settings.flow.max_request_bytes)
        .deadline(longest + AFTER_THE_FLOW)
        .faults(soap_http::render)
        .echo(&[CORRELATION])
}

/// Answers a question. If the consumer goes away, the server drops this future, and with it all calls.
async fn ask(State(Offered { flow, offered }): State<Offered>, SoapRequest(asked): SoapRequest) -> Response {
    let reply = flow.ask(&offered.service, asked).await;
    let status = StatusCode::from_u16(reply.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let correlation = reply.correlation.clone();
    // Its space is given back when it has gone out, or the consumer has gone away.
    soap_http::answer(status, Bytes::from_owner(reply.into_body()), correlation.as_deref())
}

async fn describe(
    State(Offered { offered, .. }): State<Offered>,
    scheme: Scheme,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    match Described::of(&uri) {
        Some(Described::Wsdl) => {
            let url = soap_http::called_url(scheme, &headers, &uri);
            let descriptor = offered.service.descriptor();
            soap_http::document(wsdl::write(descriptor, &url, offered.schemas.of_contract()))
        }
        Some(Described::Schema(name)) => match offered.schemas.file(&name) {
            Some(schema) => soap_http::document(schema.to_vec()),
            None => Problem::not_found("the service has no such schema").into_response(),
        },
        None => soap_http::not_allowed(),
    }
}
