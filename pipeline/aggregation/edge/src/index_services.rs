//! The own index over HTTP, and the notifications of another index (A 3.6, 6.1).

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::post;
use tributary_aggregation::caller::CORRELATION;
use tributary_aggregation::ei_settings::Index;
use tributary_aggregation::ei_soap::{IndexInteraction, read_transactions, write_ok};
use tributary_aggregation::refusal::Refusal;
use tributary_aggregation::soap::{Fault, FaultCode};
use tributary_aggregation::{invalidation, topics, wsdl};
use tributary_flow::framed;
use tributary_flow::http::{Mount, Scheme, require};
use tributary_schemas::records::aggregation::{EngagementTransaction, Interaction, Invalidation};

use crate::platform::{OwnParts, Shared};
use crate::roles::SOURCE;
use crate::soap_http::{self, Described, SoapRequest};

/// The path at which an external index notifies of what concerns any service.
const FOR_ALL_SERVICES: &str = "/aggregation/process-notification/v1";

/// The end of the path at which it notifies of what concerns one service.
const FOR_ONE_SERVICE: &str = "/service/process-notification/v1";

type Platform = State<Arc<Shared>>;

/// The paths.
pub(crate) fn mount(shared: &Arc<Shared>) -> Mount {
    let mut router = Router::new();
    if shared.own.is_some() {
        router = router
            .route(IndexInteraction::Update.path(), post(update).get(describe_update))
            .route(IndexInteraction::ProcessNotification.path(), post(notify).get(describe_notification))
            .route(IndexInteraction::FindContent.path(), post(find).get(describe_find));
    }
    for path in paths_of_notifications(shared) {
        router = router.route(&path, post(mark).get(describe_notification));
    }
    Mount::new(router.route_layer(require(SOURCE)).with_state(Arc::clone(shared)))
        .max_body(shared.settings.flow.max_request_bytes)
        .faults(soap_http::render)
        .echo(&[CORRELATION])
}

/// The paths at which an external index notifies. Versions of one service share a path.
fn paths_of_notifications(shared: &Shared) -> BTreeSet<String> {
    let of_service = |path: &str| {
        let (service, version) = path.rsplit_once("/service/")?;
        let is_version =
            version.strip_prefix('v').is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
        is_version.then(|| format!("{service}{FOR_ONE_SERVICE}"))
    };
    let services = shared.settings.services.iter();
    let paths = services.filter_map(|offered| of_service(&offered.service.descriptor().path));
    paths.chain([FOR_ALL_SERVICES.to_owned()]).collect()
}

async fn update(State(shared): Platform, headers: HeaderMap, request: SoapRequest) -> Response {
    change(&shared, &headers, request, Interaction::Update).await
}

async fn notify(State(shared): Platform, headers: HeaderMap, request: SoapRequest) -> Response {
    change(&shared, &headers, request, Interaction::ProcessNotification).await
}

/// Takes in a request of the own index: whole or not at all. `OK` once it is in the log.
async fn change(shared: &Shared, headers: &HeaderMap, request: SoapRequest, interaction: Interaction) -> Response {
    let correlation = soap_http::correlation_of(headers);
    let correlation = correlation.as_deref();
    let Some(own) = &shared.own else { return soap_http::fault(StatusCode::NOT_FOUND, &no_index(), correlation) };
    let accepted = match accept(shared, own, request, interaction) {
        Ok(accepted) => accepted,
        Err(fault) => return soap_http::fault(StatusCode::INTERNAL_SERVER_ERROR, &fault, correlation),
    };
    if !accepted.is_empty() {
        let context = own.context.clone();
        let published = shared.intake.publish(move |output| context.submit(output, interaction, accepted)).await;
        if let Err(problem) = published {
            return soap_http::problem(&problem, correlation);
        }
    }
    soap_http::answer(StatusCode::OK, write_ok(interaction), correlation)
}

fn no_index() -> Fault {
    Fault::new(FaultCode::Server, "The index is elsewhere.")
}

fn accept(
    shared: &Shared,
    own: &OwnParts,
    SoapRequest(asked): SoapRequest,
    interaction: Interaction,
) -> Result<Vec<EngagementTransaction>, Fault> {
    let sent = read_transactions(interaction, asked, shared.settings.flow.max_request_bytes)?;
    Ok(sent.accept(&own.context.settings)?)
}

/// Marks what another index names in the caches of all processes. `OK` once that is in the log.
async fn mark(State(shared): Platform, headers: HeaderMap, SoapRequest(asked): SoapRequest) -> Response {
    let correlation = soap_http::correlation_of(&headers);
    let correlation = correlation.as_deref();
    let limit = shared.settings.flow.max_request_bytes;
    let sent = read_transactions(Interaction::ProcessNotification, asked, limit);
    let checked = sent.and_then(|sent| sent.check(shared.reserved()).map_err(|refusal: Refusal| refusal.into()));
    let transactions = match checked {
        Ok(transactions) => transactions,
        Err(fault) => return soap_http::fault(StatusCode::INTERNAL_SERVER_ERROR, &fault, correlation),
    };
    let Invalidation { marks } = invalidation::of_transactions(&transactions);
    let codec = shared.codec.clone();
    let published = shared.intake.publish(move |output| {
        let count = output.partition_count(&topics::INVALIDATION);
        for mark in marks {
            let partition = mark.patient.partition(count);
            let record = Invalidation { marks: vec![mark] };
            output.send_to(&topics::INVALIDATION, partition, b"", |buffer| framed::write(&codec, &record, buffer));
        }
    });
    match published.await {
        Ok(()) => soap_http::answer(StatusCode::OK, write_ok(Interaction::ProcessNotification), correlation),
        Err(problem) => soap_http::problem(&problem, correlation),
    }
}

/// Answers a question to the own index.
async fn find(State(shared): Platform, headers: HeaderMap, SoapRequest(asked): SoapRequest) -> Response {
    let correlation = soap_http::correlation_of(&headers);
    let correlation = correlation.as_deref();
    let Some(own) = &shared.own else { return soap_http::fault(StatusCode::NOT_FOUND, &no_index(), correlation) };
    shared.following.first_look().await;
    match own.index.reply(asked, shared.settings.flow.max_request_bytes) {
        Ok(body) => soap_http::answer(StatusCode::OK, body, correlation),
        Err(fault) => soap_http::fault(StatusCode::INTERNAL_SERVER_ERROR, &fault, correlation),
    }
}

async fn describe_update(scheme: Scheme, headers: HeaderMap, uri: Uri) -> Response {
    describe(IndexInteraction::Update, scheme, &headers, &uri)
}

async fn describe_notification(scheme: Scheme, headers: HeaderMap, uri: Uri) -> Response {
    describe(IndexInteraction::ProcessNotification, scheme, &headers, &uri)
}

async fn describe_find(scheme: Scheme, headers: HeaderMap, uri: Uri) -> Response {
    describe(IndexInteraction::FindContent, scheme, &headers, &uri)
}

fn describe(interaction: IndexInteraction, scheme: Scheme, headers: &HeaderMap, uri: &Uri) -> Response {
    match Described::of(uri) {
        Some(Described::Wsdl) => {
            soap_http::document(wsdl::write(interaction, &soap_http::called_url(scheme, headers, uri), None))
        }
        _ => soap_http::not_allowed(),
    }
}

/// The reserved addresses of an index.
pub(crate) fn reserved(index: &Index) -> &[String] {
    match index {
        Index::Own(settings) => &settings.reserved,
        Index::External { reserved, .. } => reserved,
    }
}
