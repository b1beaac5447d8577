//! What the demos of flows have in common.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tributary_runtime::Shutdown;
use uuid::Uuid;

use crate::{ClockReading, Failure, Round, RunningFlow};

/// The pause between two rounds.
const ROUND: Duration = Duration::from_millis(100);

/// How often the time is published.
const CLOCK: Duration = Duration::from_secs(10);

/// Runs the rounds of a flow until `over`, as the service of a real process does.
pub fn rounds(flow: &dyn RunningFlow, over: &Shutdown) {
    let (mut is_first, mut clock_sent) = (true, Instant::now());
    while !over.is_triggered() {
        let is_clock_due = is_first || clock_sent.elapsed() > CLOCK;
        let clock = ClockReading { now: Timestamp::now(), doubt: None, believed: None };
        // A round that fails comes again, and so does a report.
        let is_done = flow.round(&Round { clock: clock.clone(), is_first, is_clock_due }).is_ok();
        let _ = flow.report(&clock);
        if is_done {
            is_first = false;
            if is_clock_due {
                clock_sent = Instant::now();
            }
        }
        over.wait(ROUND);
    }
}

/// The folder of a demo: the given one, or a new temporary one, which is kept. Its folder `state` is for the log.
///
/// # Errors
/// [`Failure::Refused`] when it has the state of another demo, or cannot be created.
pub fn folder(flow: &str, dir: Option<&Path>) -> Result<PathBuf, Failure> {
    let folder = dir.map_or_else(
        || std::env::temp_dir().join(format!("tributary-demo-{flow}-{}", Uuid::new_v4().simple())),
        Path::to_path_buf,
    );
    if folder.join("state").exists() {
        return Err(Failure::refused(format!(
            "{} has the state of another demo: choose a new folder",
            folder.display()
        )));
    }
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::refused(format!("{} cannot be created: {error}", folder.display())))?;
    Ok(folder)
}
