//! Why the HTTP port cannot be opened.

use std::io;
use std::path::PathBuf;

use super::certificates::SubjectError;
use super::oidc::IssuerError;
use super::tls::TlsError;
use super::tokens::TokensError;

/// Why the HTTP port cannot be opened. Each reason is wrong usage or configuration: exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is not valid or is in use.
    #[error("cannot listen on {address}: {source}; give another one by --http or http.listen")]
    Listen {
        /// The configured address.
        address: String,
        /// The error of the system.
        source: io::Error,
    },
    /// Mode `none` lets every caller do everything, and the address can be reached from outside.
    #[error(
        "auth.mode is \"none\", which is only for loopback addresses, but {address} can be reached from outside: \
         set auth.mode to \"tokens\" or \"oidc\", or listen on 127.0.0.1"
    )]
    NotLoopback {
        /// The configured address.
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
        /// The path of the file.
        path: PathBuf,
        /// The entry of the configuration that names it.
        entry: &'static str,
        /// The error of the system.
        source: io::Error,
    },
    /// The file of tokens has a wrong line.
    #[error("auth.tokens_file: {0}")]
    Tokens(#[from] TokensError),
    /// The certificates or the key cannot be used.
    #[error("http.tls: {0}")]
    Tls(#[from] TlsError),
    /// The issuer's address is not valid.
    #[error("auth.issuer: {0}")]
    Issuer(#[from] IssuerError),
    /// A subject cannot be read.
    #[error("auth.certificates: {0}")]
    Subject(#[from] SubjectError),
    /// Callers are named by certificate, but the server asks no client for one.
    #[error("auth.certificates names callers by certificate, which needs http.tls.client_ca")]
    NoClientCa,
    /// Two flows have the same path, or a path is not well formed.
    #[error("the paths of the flows do not fit together: {0}")]
    Routes(String),
}
