//! Lists in pages: `limit` and `cursor`.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{FieldError, Problem};

const DEFAULT_LIMIT: usize = 100;

/// The largest page of a list.
pub(crate) const MAX_LIMIT: usize = 1_000;

/// The longest cursor that is read, in bytes.
const MAX_CURSOR: usize = 1_024;

/// The requested page of a list: the parameters `limit` and `cursor` of the query. The handler reads other parameters.
#[derive(Debug, Clone, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// The largest number of entries: 1 to 1000, by default 100.
    #[param(minimum = 1, maximum = 1000, default = 100, required = false)]
    pub limit: usize,
    /// Where the page starts: the `next` of the previous page.
    pub cursor: Option<String>,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct List<T> {
    /// The entries, in the order of the list.
    pub items: Vec<T>,
    /// The cursor of the next page. Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

#[derive(Deserialize)]
struct Asked {
    limit: Option<String>,
    cursor: Option<String>,
}

impl Asked {
    fn check(self) -> Result<Page, FieldError> {
        let limit = match self.limit.as_deref() {
            None => DEFAULT_LIMIT,
            Some(text) => text
                .parse()
                .ok()
                .filter(|limit| (1..=MAX_LIMIT).contains(limit))
                .ok_or_else(|| FieldError::new("limit", format!("must be a number from 1 to {MAX_LIMIT}")))?,
        };
        if self
            .cursor
            .as_ref()
            .is_some_and(|cursor| cursor.is_empty() || cursor.len() > MAX_CURSOR || cursor.contains('\0'))
        {
            return Err(wrong_cursor());
        }
        Ok(Page { limit, cursor: self.cursor })
    }
}

impl Page {
    /// The page of a list that is in memory as a whole and changes rarely. Its cursor is a position in the list.
    ///
    /// # Errors
    /// A [`Problem`] with status 400 for a cursor that is not a position in a list.
    pub fn of<T>(&self, items: Vec<T>) -> Result<List<T>, Problem> {
        let first = match &self.cursor {
            None => 0,
            Some(cursor) => cursor.parse::<usize>().map_err(|_| Problem::bad_request(vec![wrong_cursor()]))?,
        };
        let end = first.saturating_add(self.limit);
        let next = (end < items.len()).then(|| end.to_string());
        Ok(List { items: items.into_iter().skip(first).take(self.limit).collect(), next })
    }
}

fn wrong_cursor() -> FieldError {
    FieldError::new("cursor", "must be the `next` of an earlier answer")
}

impl<S: Sync> FromRequestParts<S> for Page {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let asked = Query::<Asked>::try_from_uri(&parts.uri)
            .map_err(|_| FieldError::new("", "the query must have `limit` and `cursor` at most once each"));
        asked.and_then(|Query(asked)| asked.check()).map_err(|error| Problem::bad_request(vec![error]))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    async fn page(query: &str) -> Result<Page, Problem> {
        let (mut parts, ()) = Request::builder().uri(format!("/list?{query}")).body(()).unwrap().into_parts();
        Page::from_request_parts(&mut parts, &()).await
    }

    #[tokio::test]
    async fn limit_and_cursor_have_bounds() {
        assert_eq!(page("").await, Ok(Page { limit: 100, cursor: None }));
        let expected = Page { limit: 1000, cursor: Some("a b".to_owned()) };
        assert_eq!(page("limit=1000&cursor=a%20b&office=EOE").await, Ok(expected));
        for wrong in ["limit=0", "limit=1001", "limit=-1", "limit=x", "limit=1&limit=2", "cursor="] {
            let problem = page(wrong).await.unwrap_err();
            assert_eq!((problem.status().as_u16(), problem.errors().len()), (400, 1), "{wrong}");
        }
    }
    #[test]
    fn pieces_put_together_are_the_list() {
        let (mut seen, mut page) = (Vec::new(), Page { limit: 2, cursor: None });
        loop {
            let list = page.of(vec![1, 2, 3, 4, 5]).unwrap();
            seen.extend(list.items);
            page.cursor = list.next;
            if page.cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, [1, 2, 3, 4, 5]);
        assert!(Page { limit: 2, cursor: Some("x".to_owned()) }.of(vec![1]).is_err());
    }
}
