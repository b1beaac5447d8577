//! Progress on standard error, only where somebody watches it.

use std::io::{IsTerminal, Write};

/// Shows what is being done in place of what was shown before.
pub fn show(what: &str) {
    tracing::debug!("{what}");
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // Progress that cannot be shown is no reason to fail.
        let _ = write!(stderr, "\r\x1b[2K{what} ...").and_then(|()| stderr.flush());
    }
}

/// Removes what was shown.
pub fn clear() {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r\x1b[2K").and_then(|()| stderr.flush());
    }
}
