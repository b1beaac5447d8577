//! The paths that a flow adds to the HTTP port.

use std::time::Duration;

use axum::Router;
use axum::response::Response;
use utoipa::openapi::OpenApi;

use super::Problem;

/// Writes a problem in the form of the flow's protocol, such as a SOAP fault. `None` keeps the usual form.
pub type RenderFault = fn(&Problem) -> Option<Response>;

/// Paths of a flow, with their settings for the server. Callers need credentials except for [`Mount::open`]. The router
/// checks roles.
#[derive(Clone)]
pub struct Mount {
    /// The complete paths, such as `/esr/files`.
    pub router: Router,
    /// Their `OpenAPI` description, without `info`.
    pub api: Option<OpenApi>,
    /// Whether callers need no credentials.
    pub is_open: bool,
    /// The largest body in bytes. `None` for the configured limit.
    pub max_body: Option<usize>,
    /// How long a request may take until its answer begins. `None` for the configured limit. A body may go on as long
    /// as its client reads.
    pub deadline: Option<Duration>,
    /// How problems are written, also those of the server (413, 503).
    pub render_fault: Option<RenderFault>,
    /// Headers of a request, in lower case, that go back with every answer, also with those of the server.
    pub echoed: &'static [&'static str],
}

impl Mount {
    /// Paths with the configured limits and with problems as JSON.
    pub fn new(router: Router) -> Self {
        Self { router, api: None, is_open: false, max_body: None, deadline: None, render_fault: None, echoed: &[] }
    }

    /// Adds a description of the paths to `/openapi.json`.
    #[must_use]
    pub fn described(self, api: OpenApi) -> Self {
        Self { api: Some(api), ..self }
    }

    /// Lets anyone call the paths.
    #[must_use]
    pub fn open(self) -> Self {
        Self { is_open: true, ..self }
    }

    /// Sets the largest body, in bytes.
    #[must_use]
    pub fn max_body(self, bytes: usize) -> Self {
        Self { max_body: Some(bytes), ..self }
    }

    /// Sets how long a request may take until its answer begins.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// Sends these headers of a request back with every answer.
    #[must_use]
    pub fn echo(self, headers: &'static [&'static str]) -> Self {
        Self { echoed: headers, ..self }
    }

    /// Writes problems with `render`.
    #[must_use]
    pub fn faults(self, render: RenderFault) -> Self {
        Self { render_fault: Some(render), ..self }
    }
}
