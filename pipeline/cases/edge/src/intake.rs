//! Puts the records of requests into the log.

use std::sync::Arc;

use tributary_cases::context::Context;
use tributary_flow::http::Problem;
use tributary_flow::{Failure, Process};
use tributary_runtime::Output;

/// The way into the log, with what the records need.
pub(crate) struct Intake {
    context: Context,
    intake: tributary_flow::Intake,
}

impl Intake {
    /// Opens it.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when there is no thread.
    pub(crate) fn start(process: &Arc<dyn Process>, context: &Context) -> Result<Self, Failure> {
        Ok(Self { context: context.clone(), intake: tributary_flow::Intake::start(process)? })
    }

    /// Publishes what `write` sends. Once this returns, it is in the log.
    ///
    /// # Errors
    /// A [`Problem`] with status 429 when too many requests wait, 503 when the log does not take it.
    pub(crate) async fn publish(
        &self,
        write: impl FnOnce(&Context, &mut Output) + Send + 'static,
    ) -> Result<(), Problem> {
        let context = self.context.clone();
        self.intake.publish(move |output| write(&context, output)).await
    }
}
