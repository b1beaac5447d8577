//! The one HTTP port of a process: probes, metrics, the description of all paths, administration, and the paths of the
//! flows.
//!
//! [`Server::bind`] binds the address, [`Server::serve`] answers. [`Site::mount`] may add the flows' paths later. Until
//! then they answer 503.

mod admin;
mod auth;
mod certificates;
mod error;
mod guard;
mod health;
mod metrics;
mod oidc;
mod openapi;
mod problems;
mod reload;
mod server;
mod settings;
mod site;
mod status;
mod tls;
mod tokens;
mod unread;

pub use error::HttpError;
pub use metrics::WorkerCollector;
pub use server::{Server, announce_listening, announce_ready};
pub use settings::{AuthMode, AuthSettings, CertificateSettings, DEFAULT_LISTEN, HttpSettings, TlsSettings};
pub use site::Site;
pub use status::{FlowLag, FlowState, FlowStatus, ProcessStatus, StageStatus};
