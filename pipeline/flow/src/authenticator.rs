//! Who sent a message that did not come over HTTP.

use jiff::Timestamp;

use crate::http::{Caller, Problem};

/// Checks the credentials of messages as the HTTP port checks those of requests.
pub trait Authenticator: Send + Sync {
    /// Whether callers name themselves: authentication mode `none`. Then [`Authenticator::caller`] is of no use.
    fn is_open(&self) -> bool;

    /// The caller with these credentials: the value of `Authorization`. A token must have been valid at `sent`. It may
    /// have expired since. This call blocks, at most for the time of one request to the issuer.
    ///
    /// # Errors
    /// A [`Problem`] with status 401 for credentials that are wrong, 503 when that cannot be told now: the issuer does
    /// not answer, or its keys were not read since `sent` and the token names one that is not known.
    fn caller(&self, authorization: &str, sent: Timestamp) -> Result<Caller, Problem>;
}
