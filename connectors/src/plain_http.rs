//! The HTTP client of connectors that call systems of others.

use reqwest::{Client, ClientBuilder, redirect};

/// The largest number of headers of an answer.
const MOST_HEADERS: usize = 100;

/// A client that sends nothing that a request does not have, and changes nothing of an answer. With HTTP/2 the size of
/// headers would have other limits.
pub(crate) fn builder() -> ClientBuilder {
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .http1_only()
        .http1_max_headers(MOST_HEADERS)
}
