//! All paths of the port: those of the process at once, those of the flows when the flows are open.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use prometheus::Registry;
use tokio::sync::Semaphore;
use tributary_flow::http::{Mount, Problem};

use super::auth::Authenticator;
use super::guard::{Access, Guard};
use super::metrics::HttpMetrics;
use super::status::ProcessStatus;
use super::{HttpError, admin, health, openapi};

/// What all paths share.
pub(super) struct Shared {
    pub(super) status: Arc<dyn ProcessStatus>,
    pub(super) registry: Registry,
    pub(super) metrics: HttpMetrics,
    pub(super) authenticator: Arc<Authenticator>,
    /// The free places for requests.
    pub(super) places: Arc<Semaphore>,
    /// The free places for calls that may block a thread.
    pub(super) looks: Arc<Semaphore>,
    /// The largest body, in bytes.
    pub(super) max_body: usize,
    pub(super) deadline: Duration,
    pub(super) ending: AtomicBool,
}

impl Shared {
    pub(super) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }
}

/// The paths that the port serves.
pub struct Site {
    pub(super) shared: Arc<Shared>,
    router: RwLock<Router>,
}

impl Site {
    pub(super) fn new(shared: Shared) -> Result<Self, HttpError> {
        let shared = Arc::new(shared);
        let router = RwLock::new(assemble(&shared, None)?);
        Ok(Self { shared, router })
    }

    /// Serves the flows' paths from now on. Before the first call, every path that is not of the process answers 503. A
    /// later call replaces the paths of an earlier one.
    ///
    /// # Errors
    /// [`HttpError::Routes`] when two flows have the same path, or a path is not well formed.
    pub fn mount(&self, mounts: Vec<Mount>) -> Result<(), HttpError> {
        let router = assemble(&self.shared, Some(mounts))?;
        *self.router.write().unwrap_or_else(PoisonError::into_inner) = router;
        Ok(())
    }

    /// The registry for further counters, such as those of [`WorkerCollector`](super::WorkerCollector). It adds
    /// `tributary_` to every name.
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    pub(super) fn router(&self) -> Router {
        self.router.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The router. `mounts` is `None` while the flows are being opened.
fn assemble(shared: &Arc<Shared>, mounts: Option<Vec<Mount>>) -> Result<Router, HttpError> {
    // A router reports conflicting paths only by a panic.
    catch_unwind(AssertUnwindSafe(|| merged(shared, mounts))).map_err(|panic| HttpError::Routes(text_of(&*panic)))
}

fn merged(shared: &Arc<Shared>, mounts: Option<Vec<Mount>>) -> Router {
    let fallback = if mounts.is_some() { Router::new().fallback(not_found) } else { Router::new().fallback(starting) };
    let mounts = mounts.unwrap_or_default();
    let document = openapi::document(mounts.iter().filter_map(|mount| mount.api.clone()));
    let quiet = |access| Guard { is_logged: false, ..Guard::new(shared, access) };
    let probes = Guard { takes_place: false, ..quiet(Access::Anybody) };
    let process = Guard::new(shared, Access::Anybody)
        .protect(fallback)
        .merge(probes.protect(health::router(Arc::clone(shared))))
        .merge(quiet(Access::Required).protect(admin::router(Arc::clone(shared))))
        .merge(quiet(Access::Anybody).protect(openapi::router(&document)));
    mounts.into_iter().fold(process, |process, mount| {
        let access = if mount.is_open { Access::Optional } else { Access::Required };
        let guard = Guard::new(shared, access);
        let guard = Guard {
            max_body: mount.max_body.unwrap_or(guard.max_body),
            deadline: mount.deadline.unwrap_or(guard.deadline),
            render_fault: mount.render_fault,
            echoed: mount.echoed,
            ..guard
        };
        process.merge(guard.protect(mount.router.reset_fallback()))
    })
}

async fn not_found() -> Problem {
    Problem::not_found("there is nothing at this address; /openapi.json lists all addresses")
}

async fn starting() -> Problem {
    let detail = "the flows are still being opened, or none has this path; /startupz says what the process waits for";
    Problem::unavailable("starting", detail, Duration::from_secs(2))
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_else(|| "unknown".to_owned())
}
