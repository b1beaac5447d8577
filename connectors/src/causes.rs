//! Errors and what caused them.

use std::error::Error;

/// The error and its causes, from the outside in.
pub(crate) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The text of the last cause. The outer causes of an HTTP client say only in which step of a call it happened, and
/// they may have the URI.
pub(crate) fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}
