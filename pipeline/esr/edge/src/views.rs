//! What can be asked of the exchange over HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Serialize;
use tributary_esr::format::Office;
use tributary_esr::views;
use tributary_flow::Process;
use tributary_flow::declaration::View;
use tributary_flow::http::{AsOf, List, Mount, Page, Problem, Role, require};
use tributary_flow::view::Row;
use tributary_schemas::AvroRecord;
use tributary_schemas::records::esr::OfficeApplicants;
use tributary_schemas::records::tributary::{Alert, FileEvent};
use utoipa::{OpenApi, ToSchema};

use crate::events;

/// A file of the exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FileView {
    /// Its name.
    name: String,
    /// Its office.
    office: String,
    /// Its type, such as `RMC`.
    #[serde(rename = "type")]
    kind: String,
    /// Its number.
    number: i64,
    /// `processed`, `parked`, `refused`, `ignored`, `written` or `held`.
    status: String,
    /// Rows between header and trailer, of a written file.
    rows: i64,
    /// Lines by record type.
    counts: Vec<CountView>,
    /// Why, where the status needs a reason.
    note: String,
    /// When that became of it: RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// Lines of one record type of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct CountView {
    /// The record type.
    record_type: String,
    /// Lines received.
    received: i64,
    /// Lines accepted.
    accepted: i64,
}

/// Applicant records of an office, by state (5.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct OfficeView {
    /// The office.
    #[schema(value_type = String)]
    office: Office,
    /// Wait for their window or for room in a file.
    to_export: i64,
    /// In a file that is not yet at its destination.
    pending: i64,
    /// Exported.
    exported: i64,
    /// Lack a mandatory field.
    invalid_data: i64,
    /// Withdrawn before they were exported.
    deleted_before_export: i64,
    /// Their window has passed.
    missed_window: i64,
    /// Since when it is so: RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// Something that a person should see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct AlertView {
    /// `info`, `warning` or `error`.
    severity: String,
    /// A short stable code.
    code: String,
    /// What it is about: a file, a position, a placement.
    subject: String,
    /// What happened and what to do.
    text: String,
    /// When it was raised: RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl FileView {
    fn new(event: FileEvent, at: Timestamp) -> Self {
        let counts = event.counts.into_iter().map(|count| CountView {
            record_type: count.record_type,
            received: count.received,
            accepted: count.accepted,
        });
        Self {
            name: event.file_name,
            office: event.party,
            kind: event.kind,
            number: event.number,
            status: event.status.symbol().to_lowercase(),
            rows: event.rows,
            counts: counts.collect(),
            note: event.note,
            at,
        }
    }
}

impl OfficeView {
    fn new(
        OfficeApplicants {
            office,
            to_export,
            pending,
            exported,
            invalid_data,
            deleted_before_export,
            missed_window,
        }: OfficeApplicants,
        at: Timestamp,
    ) -> Self {
        Self { office, to_export, pending, exported, invalid_data, deleted_before_export, missed_window, at }
    }
}

impl AlertView {
    fn new(alert: Alert, at: Timestamp) -> Self {
        let severity = alert.severity.symbol().to_lowercase();
        Self { severity, code: alert.code, subject: alert.subject, text: alert.text, at }
    }
}

#[derive(OpenApi)]
#[openapi(paths(files, offices, alerts), components(schemas(FileView, CountView, OfficeView, AlertView)))]
struct ViewsApi;

/// When to ask again while the schema registry does not answer.
const RETRY: Duration = Duration::from_secs(5);

type Shown<T> = Result<(AsOf, Json<List<T>>), Problem>;

/// The paths of the views.
pub(crate) fn mount(process: Arc<dyn Process>) -> Mount {
    let router = Router::new()
        .route("/esr/files", get(files))
        .route("/esr/offices", get(offices))
        .route("/esr/alerts", get(alerts))
        .route_layer(require(Role::VIEWER))
        .with_state(process);
    Mount::new(router).described(ViewsApi::openapi())
}

/// What became of each file, by name.
#[utoipa::path(get, path = "/esr/files", tag = "esr", params(Page),
    responses((status = 200, description = "Files by name; `X-As-Of` says up to when", body = List<FileView>),
        (status = 503, description = "The view is not read to its end yet", body = Problem)))]
async fn files(State(process): State<Arc<dyn Process>>, page: Page) -> Shown<FileView> {
    show(process, &views::FILES, page, FileView::new).await
}

/// Applicant records of each office, by state.
#[utoipa::path(get, path = "/esr/offices", tag = "esr", params(Page),
    responses((status = 200, description = "Offices by code; `X-As-Of` says up to when", body = List<OfficeView>),
        (status = 503, description = "The view is not read to its end yet", body = Problem)))]
async fn offices(State(process): State<Arc<dyn Process>>, page: Page) -> Shown<OfficeView> {
    show(process, &views::OFFICES, page, OfficeView::new).await
}

/// The newest alerts, the newest first.
#[utoipa::path(get, path = "/esr/alerts", tag = "esr", params(Page),
    responses((status = 200, description = "Alerts; `X-As-Of` says up to when", body = List<AlertView>),
        (status = 503, description = "The view is not read to its end yet", body = Problem)))]
async fn alerts(State(process): State<Arc<dyn Process>>, page: Page) -> Shown<AlertView> {
    show(process, &views::ALERTS, page, AlertView::new).await
}

/// A piece of a view, on a thread that may wait for the disk.
async fn show<R: AvroRecord + 'static, T: Send + 'static>(
    process: Arc<dyn Process>,
    view: &'static View,
    page: Page,
    entry: fn(R, Timestamp) -> T,
) -> Shown<T> {
    let look = move || {
        let piece = process.rows(view, &page)?;
        let items = piece.rows.iter().filter_map(|row| read(&*process, view, row).transpose());
        let items = items.map(|read| read.map(|(record, at)| entry(record, at))).collect::<Result<_, Problem>>()?;
        Ok((piece.as_of, Json(List { items, next: piece.next })))
    };
    let panicked = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "panic", "the request failed");
    tokio::task::spawn_blocking(look).await.map_err(panicked)?
}

/// The record of a row. One that cannot be read is left out and logged: it must not hide the others.
fn read<R: AvroRecord>(process: &dyn Process, view: &View, row: &Row) -> Result<Option<(R, Timestamp)>, Problem> {
    let record = match process.codec().open(&row.value).and_then(|framed| framed.read::<R>()) {
        Ok(record) => record,
        Err(error) if error.is_transient() => {
            let detail = format!("the view {} cannot be shown for now: {error}", view.name);
            return Err(Problem::unavailable("registry_unavailable", detail, RETRY));
        }
        Err(error) => {
            events::row_unreadable(view.name, &row.key, &error);
            return Ok(None);
        }
    };
    let at = Timestamp::from_millisecond(row.timestamp).unwrap_or_default();
    Ok(Some((record, at)))
}
