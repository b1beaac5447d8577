//! The one async runtime of the process, and its shutdown.

use std::time::Duration;

use tokio::runtime::Handle;
use tributary_flow::Failure;
use tributary_runtime::Shutdown;

/// How long async tasks may take to end. The process ends without tasks that hang.
const END_TIME: Duration = Duration::from_secs(2);

/// The async runtime, and the shutdown that SIGINT and SIGTERM trigger.
pub(crate) struct Runtime {
    tokio: tokio::runtime::Runtime,
    shutdown: Shutdown,
}

impl Runtime {
    /// Starts the runtime and listens to signals. The second signal ends the process at once.
    ///
    /// # Errors
    /// [`Failure::Unfinished`] when threads cannot start or signals cannot be received.
    pub(crate) fn start() -> Result<Self, Failure> {
        let tokio = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("async")
            .enable_all()
            .build()
            .map_err(|error| Failure::unfinished(format!("cannot start the threads of the async runtime: {error}")))?;
        let shutdown = Shutdown::new();
        listen_to_signals(&shutdown)
            .map_err(|error| Failure::unfinished(format!("cannot listen to signals: {error}")))?;
        Ok(Self { tokio, shutdown })
    }

    /// The handle for connectors and tasks.
    pub(crate) fn handle(&self) -> Handle {
        self.tokio.handle().clone()
    }

    /// The shutdown of the process.
    pub(crate) fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// Ends all tasks.
    pub(crate) fn end(self) {
        self.tokio.shutdown_timeout(END_TIME);
    }
}

/// A separate thread waits for signals, because a signal handler must not lock a mutex.
fn listen_to_signals(shutdown: &Shutdown) -> std::io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    let shutdown = shutdown.clone();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for _ in &mut signals {
            if shutdown.is_triggered() {
                std::process::exit(1);
            }
            shutdown.trigger();
        }
    })?;
    Ok(())
}
