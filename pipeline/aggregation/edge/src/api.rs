//! `/api/aggregation/...`: what operators look at and change.

mod personal_body;
mod views;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tributary_flow::http::{Caller, FieldError, Mount, Problem, Role, require};
use utoipa::{IntoParams, OpenApi, ToSchema};

use crate::notifying::Notifying;
use crate::platform::{OwnParts, Shared};
use personal_body::PersonalBody;
use views::{CacheView, CallView, EngagementView, IndexStateView, PlaceView, ServiceView, SubscriberView, TakView};

/// The largest body, in bytes.
const LARGEST_BODY: usize = 64 * 1024;

/// The most engagements of a piece.
const MOST_OF_PAGE: usize = 1_000;

/// How long a change of the write lock waits until it is in force everywhere.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pause between two looks whether it is.
const PAUSE: Duration = Duration::from_millis(20);

type Platform = State<Arc<Shared>>;

#[derive(OpenApi)]
#[openapi(
    paths(
        services,
        producers,
        subscribers,
        replay,
        cache,
        index,
        tak,
        calls,
        clear_cache,
        reload_tak,
        lock,
        unlock,
        find,
        engagements
    ),
    components(schemas(
        ServiceView,
        PlaceView,
        SubscriberView,
        Replayed,
        CacheView,
        IndexStateView,
        TakView,
        CallView,
        views::AddressView,
        views::FilteredView,
        EngagementView,
        EngagementPage,
        ClearCache,
        Cleared,
        Locked,
        Find
    ))
)]
struct Api;

/// The paths.
pub(crate) fn mount(shared: &Arc<Shared>) -> Mount {
    let path = |name: &str| format!("/api/aggregation/{name}");
    let looking = Router::new()
        .route(&path("services"), get(services))
        .route(&path("producers"), get(producers))
        .route(&path("subscribers"), get(subscribers))
        .route(&path("cache"), get(cache))
        .route(&path("index"), get(index))
        .route(&path("tak"), get(tak))
        .route_layer(require(Role::VIEWER));
    // A handler says who may read the audit.
    let audit = Router::new().route(&path("calls"), get(calls));
    let acting = Router::new()
        .route(&path("cache/clear"), post(clear_cache))
        .route(&path("tak/reload"), post(reload_tak))
        .route(&path("subscribers/{address}/replay"), post(replay))
        .route(&path("index/lock"), post(lock))
        .route(&path("index/unlock"), post(unlock))
        .route_layer(require(Role::OPERATOR));
    // What is found names a patient.
    let personal = Router::new()
        .route(&path("index/find"), post(find))
        .route(&path("index/engagements"), get(engagements))
        .route_layer(require(Role::DATA));
    let router = looking.merge(audit).merge(acting).merge(personal).with_state(Arc::clone(shared));
    Mount::new(router).described(Api::openapi()).max_body(LARGEST_BODY)
}

/// The services.
#[utoipa::path(get, path = "/api/aggregation/services", tag = "aggregation",
    responses((status = 200, description = "By name", body = [ServiceView])))]
async fn services(State(shared): Platform) -> Json<Vec<ServiceView>> {
    Json(shared.settings.services.iter().map(|offered| ServiceView::of(offered.service.descriptor())).collect())
}

/// The source systems that were called, as this process has seen them.
#[utoipa::path(get, path = "/api/aggregation/producers", tag = "aggregation",
    responses((status = 200, description = "By address", body = [PlaceView])))]
async fn producers(State(shared): Platform) -> Json<Vec<PlaceView>> {
    Json(shared.flow.places().into_iter().map(PlaceView::from).collect())
}

/// The subscribers of the own index: those of TAK, and others for which something was noted.
#[utoipa::path(get, path = "/api/aggregation/subscribers", tag = "aggregation",
    responses((status = 200, description = "By address", body = [SubscriberView]),
        (status = 404, description = "The index is elsewhere", body = Problem),
        (status = 503, description = "Another process notifies", body = Problem)))]
async fn subscribers(State(shared): Platform) -> Result<Json<Vec<SubscriberView>>, Problem> {
    let statuses = notifying(&shared)?.statuses()?;
    let mut views: BTreeMap<String, SubscriberView> = BTreeMap::new();
    for subscriber in shared.flow.tak().iter().flat_map(|tak| tak.subscribers()) {
        views.insert(subscriber.address.clone(), SubscriberView::new(subscriber.address.clone()));
    }
    for status in statuses.into_values() {
        views.insert(status.address.as_str().to_owned(), SubscriberView::from(status));
    }
    Ok(Json(views.into_values().collect()))
}

/// What is sent again.
#[derive(Serialize, ToSchema)]
struct Replayed {
    /// Notifications.
    replayed: u64,
}

/// Sends the dead letters of a subscriber again, after all that waits for it.
#[utoipa::path(post, path = "/api/aggregation/subscribers/{address}/replay", tag = "aggregation",
    params(("address" = String, Path, description = "The address of the subscriber")),
    responses((status = 200, description = "They are on the way", body = Replayed),
        (status = 404, description = "No such subscriber, or the index is elsewhere", body = Problem),
        (status = 503, description = "Another process notifies", body = Problem)))]
async fn replay(State(shared): Platform, Path(address): Path<String>) -> Result<Json<Replayed>, Problem> {
    let notifying = notifying(&shared)?;
    let known = notifying.statuses()?.into_keys().find(|known| known.as_str() == address);
    let known = known.ok_or_else(|| Problem::not_found("nothing was noted for a subscriber of this address"))?;
    Ok(Json(Replayed { replayed: notifying.replay(known).await? }))
}

fn notifying(shared: &Shared) -> Result<&Notifying, Problem> {
    own(shared)?;
    shared.notifying.as_ref().ok_or_else(|| Problem::not_found("the index is elsewhere"))
}

/// The cache of this process.
#[utoipa::path(get, path = "/api/aggregation/cache", tag = "aggregation",
    responses((status = 200, description = "Its state", body = CacheView)))]
async fn cache(State(shared): Platform) -> Json<CacheView> {
    Json(CacheView::of(shared.flow.cache_status()))
}

/// The own index.
#[utoipa::path(get, path = "/api/aggregation/index", tag = "aggregation",
    responses((status = 200, description = "Its state", body = IndexStateView),
        (status = 404, description = "The index is elsewhere", body = Problem)))]
async fn index(State(shared): Platform) -> Result<Json<IndexStateView>, Problem> {
    own(&shared)?;
    shared.following.catch_up().await?;
    Ok(Json(state_of_index(&shared)))
}

fn state_of_index(shared: &Shared) -> IndexStateView {
    let states = shared.following.states();
    IndexStateView { engagements: shared.engagements(), locked: states.is_locked(), waiting: states.waiting() }
}

/// Permissions and routes.
#[utoipa::path(get, path = "/api/aggregation/tak", tag = "aggregation",
    responses((status = 200, description = "What was loaded, and when", body = TakView)))]
async fn tak(State(shared): Platform) -> Json<TakView> {
    Json(TakView::of(shared.tak.loaded().as_ref()))
}

/// Which questions of the audit.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Calls {
    /// The correlation id.
    correlation: String,
}

/// What became of the questions with a correlation id. The last 100,000 can be asked for.
#[utoipa::path(get, path = "/api/aggregation/calls", tag = "aggregation", params(Calls),
    responses((status = 200, description = "In the order of their ends", body = [CallView])))]
async fn calls(
    State(shared): Platform,
    caller: Caller,
    query: Result<Query<Calls>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Vec<CallView>>, Problem> {
    if !caller.has(Role::AUDITOR) {
        caller.require(Role::VIEWER)?;
    }
    let missing = |_| Problem::bad_request(vec![FieldError::new("correlation", "expected a correlation id")]);
    let Query(Calls { correlation }) = query.map_err(missing)?;
    shared.following.catch_up().await?;
    Ok(Json(shared.following.calls().of(&correlation).into_iter().map(CallView::of).collect()))
}

/// What of the cache is let go. Without both, all of it.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it only describes the body, which is read without showing it in errors")]
struct ClearCache {
    /// The name of a service.
    service: Option<String>,
    /// A patient.
    patient: Option<String>,
}

/// What was let go.
#[derive(Serialize, ToSchema)]
struct Cleared {
    /// Entries of this process.
    cleared: usize,
}

/// Lets go what the cache of this process holds, and what the log has of it.
#[utoipa::path(post, path = "/api/aggregation/cache/clear", tag = "aggregation", request_body = ClearCache,
    responses((status = 200, description = "It is gone", body = Cleared),
        (status = 503, description = "It is gone from memory, and not yet from the log", body = Problem)))]
async fn clear_cache(State(shared): Platform, body: Bytes) -> Result<Json<Cleared>, Problem> {
    let fields = PersonalBody::read(&body, &["service", "patient"])?;
    let (service, patient) = (fields.text("service")?, fields.patient()?);
    let is_known = |name: &String| shared.settings.services.iter().any(|one| one.service.descriptor().name == *name);
    if service.as_ref().is_some_and(|name| !is_known(name)) {
        return Err(Problem::bad_request(vec![FieldError::new("service", "there is no service of this name")]));
    }
    Ok(Json(Cleared { cleared: shared.clear_cache(service.as_deref(), patient.as_ref()).await? }))
}

/// Reads TAK again. Questions under way keep what they began with. An error keeps what was loaded before.
#[utoipa::path(post, path = "/api/aggregation/tak/reload", tag = "aggregation",
    responses((status = 200, description = "What is loaded now", body = TakView),
        (status = 502, description = "Why it is not loaded", body = Problem)))]
async fn reload_tak(State(shared): Platform) -> Result<Json<TakView>, Problem> {
    shared.reload_tak().await.map_err(|reason| Problem::new(StatusCode::BAD_GATEWAY, "tak_not_loaded", reason))?;
    Ok(tak(State(shared)).await)
}

/// Whether the index is locked.
#[derive(Serialize, ToSchema)]
struct Locked {
    locked: bool,
}

/// Locks the index: what comes is accepted and waits. Answered when it is in force everywhere.
#[utoipa::path(post, path = "/api/aggregation/index/lock", tag = "aggregation",
    responses((status = 200, description = "It is locked", body = Locked),
        (status = 404, description = "The index is elsewhere", body = Problem)))]
async fn lock(State(shared): Platform) -> Result<Json<Locked>, Problem> {
    shared.set_lock(true).await?;
    Ok(Json(Locked { locked: true }))
}

/// Unlocks the index: what has waited is applied.
#[utoipa::path(post, path = "/api/aggregation/index/unlock", tag = "aggregation",
    responses((status = 200, description = "It is open", body = Locked),
        (status = 404, description = "The index is elsewhere", body = Problem)))]
async fn unlock(State(shared): Platform) -> Result<Json<Locked>, Problem> {
    shared.set_lock(false).await?;
    Ok(Json(Locked { locked: false }))
}

/// Whose engagements.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it only describes the body, which is read without showing it in errors")]
struct Find {
    /// A patient.
    patient: String,
    /// A service domain.
    domain: Option<String>,
}

/// The engagements of a patient.
#[utoipa::path(post, path = "/api/aggregation/index/find", tag = "aggregation", request_body = Find,
    responses((status = 200, description = "In the order in which they came", body = [EngagementView]),
        (status = 404, description = "The index is elsewhere", body = Problem)))]
async fn find(State(shared): Platform, body: Bytes) -> Result<Json<Vec<EngagementView>>, Problem> {
    let fields = PersonalBody::read(&body, &["patient", "domain"])?;
    let missing = || Problem::bad_request(vec![FieldError::new("patient", "expected a patient")]);
    let (patient, domain) = (fields.patient()?.ok_or_else(missing)?, fields.text("domain")?);
    own(&shared)?;
    shared.following.catch_up().await?;
    Ok(Json(shared.engagements_of(&patient, domain.as_deref()).into_iter().map(EngagementView::of).collect()))
}

/// A piece of the index.
#[derive(Serialize, ToSchema)]
struct EngagementPage {
    items: Vec<EngagementView>,
    /// The cursor of the next piece. `null` after the last.
    next: Option<String>,
}

/// A piece of a list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Piece {
    /// How many: 1 to 1,000.
    limit: Option<usize>,
    /// Where it begins.
    cursor: Option<usize>,
}

/// All engagements. One that stays as it is while the list is read is in it once.
#[utoipa::path(get, path = "/api/aggregation/index/engagements", tag = "aggregation", params(Piece),
    responses((status = 200, description = "A piece", body = EngagementPage),
        (status = 404, description = "The index is elsewhere", body = Problem)))]
async fn engagements(
    State(shared): Platform,
    query: Result<Query<Piece>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<EngagementPage>, Problem> {
    own(&shared)?;
    let wrong = || Problem::bad_request(vec![FieldError::new("limit", format!("expected 1 to {MOST_OF_PAGE}"))]);
    let Query(Piece { limit, cursor }) = query.map_err(|_| wrong())?;
    let limit = limit.unwrap_or(MOST_OF_PAGE);
    if !(1..=MOST_OF_PAGE).contains(&limit) {
        return Err(wrong());
    }
    shared.following.catch_up().await?;
    let (engagements, next) = shared.page_of_engagements(cursor.unwrap_or(0), limit);
    let items = engagements.into_iter().map(EngagementView::of).collect();
    Ok(Json(EngagementPage { items, next: next.map(|next| next.to_string()) }))
}

/// The parts of the own index.
///
/// # Errors
/// 404 if the index is elsewhere.
fn own(shared: &Shared) -> Result<&OwnParts, Problem> {
    let elsewhere = || Problem::not_found("the index is elsewhere: aggregation.ei.mode is \"external\"");
    shared.own.as_ref().ok_or_else(elsewhere)
}

impl Shared {
    /// Closes or opens the write lock, and waits until it is so in all partitions.
    ///
    /// # Errors
    /// 404 if the index is elsewhere, 503 if the log does not take it, or if it is not in force in time.
    pub(crate) async fn set_lock(&self, locked: bool) -> Result<(), Problem> {
        let context = own(self)?.context.clone();
        self.intake.publish(move |output| context.lock(output, locked)).await?;
        let in_force = async {
            while !self.following.states().all_are(locked, self.partitions) {
                tokio::time::sleep(PAUSE).await;
            }
        };
        let late = |_| {
            let detail = "the write lock is in the log, and not yet in force in every partition";
            Problem::unavailable("lock_not_in_force", detail, Duration::from_secs(1))
        };
        tokio::time::timeout(PATIENCE, in_force).await.map_err(late)
    }
}
