//! What a flow gives to the HTTP port.

use std::time::Duration;

use axum::Router;
use axum::response::Response;
use utoipa::openapi::OpenApi;

use super::Problem;

/// Writes a problem as the flow's protocol wants it, such as a SOAP fault; `None` leaves it as it is.
pub type RenderFault = fn(&Problem) -> Option<Response>;

/// Paths of a flow, with what the server has to know about them. Callers need credentials unless [`Mount::open`] says
/// otherwise; roles are checked by the router.
#[derive(Clone)]
pub struct Mount {
    /// The paths, whole ones, such as `/esr/files`.
    pub router: Router,
    /// Their description, without `info`.
    pub api: Option<OpenApi>,
    /// Whether they can be called without credentials.
    pub is_open: bool,
    /// The largest body in bytes; `None` for the one of the configuration.
    pub max_body: Option<usize>,
    /// How long a request may take; `None` for the one of the configuration.
    pub deadline: Option<Duration>,
    /// How problems are written, those of the server (413, 503) included.
    pub render_fault: Option<RenderFault>,
}

impl Mount {
    /// Paths with the limits of the configuration and problems as JSON.
    pub fn new(router: Router) -> Self {
        Self { router, api: None, is_open: false, max_body: None, deadline: None, render_fault: None }
    }

    /// Adds a description of the paths to `/openapi.json`.
    #[must_use]
    pub fn described(self, api: OpenApi) -> Self {
        Self { api: Some(api), ..self }
    }

    /// Lets anybody call the paths.
    #[must_use]
    pub fn open(self) -> Self {
        Self { is_open: true, ..self }
    }

    /// Sets the largest body, in bytes.
    #[must_use]
    pub fn max_body(self, bytes: usize) -> Self {
        Self { max_body: Some(bytes), ..self }
    }

    /// Sets how long a request may take.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// Writes problems by `render`.
    #[must_use]
    pub fn faults(self, render: RenderFault) -> Self {
        Self { render_fault: Some(render), ..self }
    }
}
