//! Queries of cases: a list, deleted ones, one case.

use std::ops::Bound;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::LINK;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tributary_flow::http::{AsOf, Caller, Mount, Problem};
use tributary_schemas::records::cases::{CaseState, CaseStatus, DeletedCase};
use tributary_schemas::types::cases::CaseId;
use utoipa::{IntoParams, OpenApi, ToSchema};

use crate::following::Following;
use crate::problems::{self, invalid_query};
use crate::query::{guid, interval, micros, optional, shown};
use crate::rows::{Rows, Viewer};
use crate::service::Service;
use crate::tables::{self, CaseTables, TableRow};

/// Rows that are read from the tables at once: some of them may not be shown.
const LEAST_AT_ONCE: usize = 100;
const MOST_AT_ONCE: usize = 1_000;

/// The metadata of a case.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CaseView {
    /// The case.
    id: String,
    /// RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    /// RFC 3339, by the clock of the origin system.
    #[schema(value_type = String, format = DateTime)]
    updated: Timestamp,
    /// Where its contents are.
    case_details_uri: String,
    /// The origin system that owns it.
    origin_system: String,
    /// `Open` or `Closed`.
    #[schema(value_type = String)]
    status: &'static str,
}

impl CaseView {
    pub(crate) fn new(case: &CaseState) -> Self {
        Self {
            id: case.id.to_string(),
            created: shown(case.created),
            updated: shown(case.updated),
            case_details_uri: case.case_details_uri.clone(),
            origin_system: case.origin_system.to_string(),
            status: case.status.symbol(),
        }
    }
}

/// A deleted case.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeletedView {
    /// The case.
    id: String,
    /// The origin system that owned it.
    origin_system: String,
    /// RFC 3339.
    #[schema(value_type = String, format = DateTime)]
    deleted: Timestamp,
}

/// Which cases.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
struct Asked {
    /// Inclusive: RFC 3339.
    updated_from: Option<String>,
    /// Exclusive: RFC 3339.
    updated_to: Option<String>,
    /// An origin system.
    origin_system: Option<String>,
    /// `Open` or `Closed`.
    status: Option<String>,
    /// The size of a page.
    limit: Option<String>,
    /// Of the `Link` of the page before.
    cursor: Option<String>,
}

/// Which deleted cases.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
struct AskedDeleted {
    /// Inclusive: RFC 3339.
    deleted_from: Option<String>,
    /// Exclusive: RFC 3339.
    deleted_to: Option<String>,
}

#[derive(OpenApi)]
#[openapi(paths(list, deleted, case), components(schemas(CaseView, DeletedView)))]
struct QueriesApi;

type Shared = State<Arc<Service>>;
type Parameters<T> = Result<Query<T>, axum::extract::rejection::QueryRejection>;

/// The paths.
pub(crate) fn mount(service: Arc<Service>) -> Mount {
    let router = Router::new()
        .route("/api/Cases", get(list))
        .route("/api/Cases/Deleted", get(deleted))
        .route("/api/Cases/{id}", get(case))
        .with_state(service);
    Mount::new(router).described(QueriesApi::openapi()).faults(problems::QUERIES)
}

/// Cases that the caller sees, by the time of their last update, then by id.
#[utoipa::path(get, path = "/api/Cases", tag = "cases", params(Asked),
    responses((status = 200, description = "The cases; with `limit` a page, and `Link` to the next", body = [CaseView]),
        (status = 400, description = "`InvalidQuery`", body = Problem),
        (status = 404, description = "`ResultTooLarge`", body = Problem)))]
async fn list(State(service): Shared, caller: Caller, asked: Parameters<Asked>) -> Result<Response, Problem> {
    let asked = asked.map_err(|_| invalid_query("", "each parameter may be given once"))?.0;
    let wanted = Wanted::new(&asked, service.settings.list_limit)?;
    let viewer = service.viewer(&caller).await?;
    let as_of = service.following.as_of();
    let (cases, next) = match &service.tables {
        None => wanted.page(&service.following.rows(), &viewer),
        Some(tables) => wanted.page_of_tables(tables, &service.following, &viewer).await?,
    };
    if asked.limit.is_none() && next.is_some() {
        let status = StatusCode::from_u16(service.settings.oversize).unwrap_or(StatusCode::NOT_FOUND);
        let detail = format!(
            "more than {} cases: take a smaller interval, or pages with `limit`; no case is deleted by this answer",
            service.settings.list_limit
        );
        return Err(Problem::new(status, "ResultTooLarge", detail));
    }
    match next {
        None => Ok((as_of, Json(cases)).into_response()),
        Some(cursor) => Ok((as_of, [(LINK, asked.link(&cursor))], Json(cases)).into_response()),
    }
}

/// Deleted cases that the caller could see, as long as their ids cannot be created again.
#[utoipa::path(get, path = "/api/Cases/Deleted", tag = "cases", params(AskedDeleted),
    responses((status = 200, description = "Deleted cases", body = [DeletedView]),
        (status = 400, description = "`InvalidQuery`", body = Problem)))]
async fn deleted(
    State(service): Shared,
    caller: Caller,
    asked: Parameters<AskedDeleted>,
) -> Result<(AsOf, Json<Vec<DeletedView>>), Problem> {
    let asked = asked.map_err(|_| invalid_query("", "each parameter may be given once"))?.0;
    let from = micros("deletedFrom", asked.deleted_from.as_deref())?;
    let to = micros("deletedTo", asked.deleted_to.as_deref())?;
    let (from, to) = interval("deletedFrom", from, to)?;
    let viewer = service.viewer(&caller).await?;
    let as_of = service.following.as_of();
    let rows = service.following.rows();
    let is_in = |case: &&DeletedCase| (from..to).contains(&case.deleted.saturating_mul(1_000));
    let mut found: Vec<&DeletedCase> =
        rows.deleted.values().filter(is_in).filter(|case| rows.shows_deleted(&viewer, case)).collect();
    found.sort_by_key(|case| (case.deleted, case.id));
    let view = |case: &DeletedCase| DeletedView {
        id: case.id.to_string(),
        origin_system: case.origin_system.to_string(),
        deleted: Timestamp::from_millisecond(case.deleted).unwrap_or_default(),
    };
    Ok((as_of, Json(found.into_iter().map(view).collect())))
}

/// One case.
#[utoipa::path(get, path = "/api/Cases/{id}", tag = "cases", params(("id" = String, Path, description = "A GUID")),
    responses((status = 200, description = "Its metadata", body = CaseView),
        (status = 400, description = "`InvalidQuery`", body = Problem),
        (status = 404, description = "`CaseNotFound`: deleted, or nothing that the caller may see", body = Problem)))]
async fn case(
    State(service): Shared,
    Path(id): Path<String>,
    caller: Caller,
) -> Result<(AsOf, Json<CaseView>), Problem> {
    let case: CaseId = guid("id", &id)?;
    let as_of = service.following.as_of();
    Ok((as_of, Json(CaseView::new(&service.visible_case(&caller, case).await?))))
}

impl Asked {
    /// The link to the next page.
    fn link(&self, cursor: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let given = [
            ("updatedFrom", &self.updated_from),
            ("updatedTo", &self.updated_to),
            ("originSystem", &self.origin_system),
            ("status", &self.status),
            ("limit", &self.limit),
        ];
        for (name, value) in given {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        query.append_pair("cursor", cursor);
        format!("</api/Cases?{}>; rel=\"next\"", query.finish())
    }
}

/// A checked query.
struct Wanted {
    first: Bound<(i64, CaseId)>,
    to: i64,
    origin: Option<String>,
    status: Option<CaseStatus>,
    limit: usize,
}

impl Wanted {
    fn new(asked: &Asked, list_limit: usize) -> Result<Self, Problem> {
        let from = micros("updatedFrom", asked.updated_from.as_deref())?;
        let to = micros("updatedTo", asked.updated_to.as_deref())?;
        let (from, to) = interval("updatedFrom", from, to)?;
        let status = asked.status.as_deref().map(|text| {
            CaseStatus::from_symbol(text).ok_or_else(|| invalid_query("status", "expected Open or Closed"))
        });
        let limit: Option<usize> = optional("limit", asked.limit.as_deref(), "a whole number")?;
        if limit.is_some_and(|limit| limit == 0 || limit > list_limit) {
            return Err(invalid_query("limit", format!("expected a number from 1 to {list_limit}")));
        }
        let first = match &asked.cursor {
            None => Bound::Included((from, CaseId::from_bytes([0; 16]))),
            Some(_) if limit.is_none() => return Err(invalid_query("cursor", "needs `limit`")),
            Some(cursor) => {
                let position = position(cursor)?;
                if !(from..to).contains(&position.0) {
                    return Err(invalid_query("cursor", "is outside of the interval"));
                }
                Bound::Excluded(position)
            }
        };
        let limit = limit.unwrap_or(list_limit);
        Ok(Self { first, to, origin: asked.origin_system.clone(), status: status.transpose()?, limit })
    }

    /// The cases of the page, and the cursor of the next.
    fn page(&self, rows: &Rows, viewer: &Viewer) -> (Vec<CaseView>, Option<String>) {
        let Some(kept) = rows.cases.whole() else { return (Vec::new(), None) };
        let keys = kept.by_updated.range((self.first, Bound::Unbounded)).take_while(|(updated, _)| *updated < self.to);
        let cases = keys.filter_map(|(_, id)| kept.by_id.get(id));
        let mut seen = cases.filter(|case| self.is_wanted(case) && rows.shows(viewer, case));
        let page: Vec<&CaseState> = seen.by_ref().take(self.limit).collect();
        let has_more = seen.next().is_some();
        let next = page.last().filter(|_| has_more).map(|last| cursor_after(last));
        (page.into_iter().map(CaseView::new).collect(), next)
    }

    fn is_wanted(&self, case: &CaseState) -> bool {
        let of_origin = |name: &String| case.origin_system.as_str().eq_ignore_ascii_case(name);
        self.origin.as_ref().is_none_or(of_origin) && self.status.is_none_or(|status| case.status == status)
    }

    /// The same from tables.
    async fn page_of_tables(
        &self,
        tables: &CaseTables,
        following: &Following,
        viewer: &Viewer,
    ) -> Result<(Vec<CaseView>, Option<String>), Problem> {
        let filled = tables.catch_up().await?;
        let mut next = Some(match self.first {
            Bound::Included((updated, _)) => tables::before(updated),
            Bound::Excluded((updated, id)) => tables::after(updated, id),
            Bound::Unbounded => tables::before(i64::MIN),
        });
        let mut found: Vec<TableRow> = Vec::new();
        while let Some(after) = next.take().filter(|_| found.len() <= self.limit) {
            let piece = tables.list(after, (self.limit + 1).clamp(LEAST_AT_ONCE, MOST_AT_ONCE)).await?;
            let is_over = piece.rows.last().is_some_and(|row| row.case.updated >= self.to);
            next = piece.next.filter(|_| !is_over);
            let rows = following.rows();
            found.extend(piece.rows.into_iter().filter(|TableRow { offset, case }| {
                case.updated < self.to
                    && self.is_wanted(case)
                    && rows.cases.is_current(case.id, *offset, &filled)
                    && rows.shows(viewer, case)
            }));
            drop(rows);
            tables::keep_newest(&mut found);
        }
        tables.check(&filled).await?;
        let has_more = found.len() > self.limit;
        found.truncate(self.limit);
        let next = found.last().filter(|_| has_more).map(|last| cursor_after(&last.case));
        Ok((found.iter().map(|row| CaseView::new(&row.case)).collect(), next))
    }
}

/// The cursor of the page after a case.
fn cursor_after(case: &CaseState) -> String {
    format!("{}.{}", case.updated, case.id)
}

/// The position of a cursor.
fn position(cursor: &str) -> Result<(i64, CaseId), Problem> {
    let read = |cursor: &str| {
        let (updated, id) = cursor.split_once('.')?;
        Some((updated.parse().ok()?, id.parse().ok()?))
    };
    read(cursor).ok_or_else(|| invalid_query("cursor", "must be that of the `Link` of an earlier answer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_parameters_are_400() {
        let asked = |change: &dyn Fn(&mut Asked)| {
            let mut asked = Asked::default();
            change(&mut asked);
            Wanted::new(&asked, 10).err().map(|problem| (problem.status().as_u16(), problem.code()))
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(asked(&|_| {}), None);
        let wrong = Some((400, "InvalidQuery"));
        assert_eq!(asked(&|asked| asked.updated_from = text("yesterday")), wrong);
        for time in
            ["2026-01-01", "2026-01-01 00:00:00Z", "2026-01-01T00:00Z", "20260101T000000Z", "2026-01-01T00:00:00Z[UTC]"]
        {
            assert_eq!(asked(&|asked| asked.updated_to = text(time)), wrong, "{time}");
        }
        assert_eq!(asked(&|asked| asked.status = text("UNKNOWN")), wrong);
        assert_eq!(asked(&|asked| asked.limit = text("11")), wrong);
        assert_eq!(asked(&|asked| (asked.limit, asked.cursor) = (text("1"), text("x"))), wrong);
        let backwards = |asked: &mut Asked| {
            (asked.updated_from, asked.updated_to) = (text("2026-01-02T00:00:00Z"), text("2026-01-01T00:00:00Z"));
        };
        assert_eq!(asked(&backwards), wrong);
    }
}
