//! Why the HTTP port cannot be opened.

use std::io;
use std::path::PathBuf;

use super::certificates::SubjectError;
use super::oidc::IssuerError;
use super::tls::TlsError;
use super::tokens::TokensError;

/// Why the HTTP port cannot be opened. All of them are wrong usage or configuration: exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is not valid, or it is in use.
    #[error("cannot listen on {address}: {source}; give another one by --http or http.listen")]
    Listen {
        /// As configured.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// Mode `none` lets everybody do everything.
    #[error(
        "auth.mode is \"none\", which is only for loopback addresses, but {address} can be reached from outside: \
         set auth.mode to \"tokens\" or \"oidc\", or listen on 127.0.0.1"
    )]
    NotLoopback {
        /// As configured.
        address: String,
    },
    /// The mode needs another entry.
    #[error("auth.mode is \"{mode}\", which needs auth.{entry}")]
    Incomplete {
        /// The mode.
        mode: &'static str,
        /// The missing entry.
        entry: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read {path} ({entry}): {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The entry of the configuration that names it.
        entry: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The file of tokens is wrong.
    #[error("auth.tokens_file: {0}")]
    Tokens(#[from] TokensError),
    /// Certificates or key are wrong.
    #[error("http.tls: {0}")]
    Tls(#[from] TlsError),
    /// The issuer's address is wrong.
    #[error("auth.issuer: {0}")]
    Issuer(#[from] IssuerError),
    /// A subject cannot be read.
    #[error("auth.certificates: {0}")]
    Subject(#[from] SubjectError),
    /// Certificates of clients are named, but none is ever asked for.
    #[error("auth.certificates names callers by certificate, which needs http.tls.client_ca")]
    NoClientCa,
    /// Two flows have the same path, or one is not well formed.
    #[error("the paths of the flows do not fit together: {0}")]
    Routes(String),
}
