//! The parameters of queries. A wrong one is 400 `InvalidQuery`, never 404.

use std::str::FromStr;

use jiff::Timestamp;
use tributary_cases::time;
use tributary_flow::http::Problem;

use crate::problems::invalid_query;

/// The value of a parameter, if it is given.
///
/// # Errors
/// 400 `InvalidQuery`.
pub(crate) fn optional<T: FromStr>(field: &str, text: Option<&str>, expected: &str) -> Result<Option<T>, Problem> {
    let read = |text: &str| text.parse().map_err(|_| invalid_query(field, format!("expected {expected}")));
    text.map(read).transpose()
}

/// Microseconds since 1970 of a time in RFC 3339 with offset, if it is given.
///
/// # Errors
/// 400 `InvalidQuery`.
pub(crate) fn micros(field: &str, text: Option<&str>) -> Result<Option<i64>, Problem> {
    text.map(|text| time::micros(text).map_err(|reason| invalid_query(field, reason))).transpose()
}

/// An interval: from is inclusive, to exclusive.
///
/// # Errors
/// 400 `InvalidQuery` when from is after to.
pub(crate) fn interval(field: &str, from: Option<i64>, to: Option<i64>) -> Result<(i64, i64), Problem> {
    let (from, to) = (from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX));
    if from > to { Err(invalid_query(field, "is after the end of the interval")) } else { Ok((from, to)) }
}

/// A time as it is shown: UTC, microseconds.
pub(crate) fn shown(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or_default()
}

/// A path segment that is a GUID.
///
/// # Errors
/// 400 `InvalidQuery`.
pub(crate) fn guid<T: FromStr>(field: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| invalid_query(field, "expected a GUID such as 6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e"))
}
