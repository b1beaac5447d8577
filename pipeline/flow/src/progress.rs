//! Progress on standard error, only if it is a terminal.

use std::io::{IsTerminal, Write};

use crate::events;

/// Shows what is being done. It replaces the previous text.
pub fn show(what: &str) {
    events::progress(what);
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        // A failure to show progress must not end the work.
        let _ = write!(stderr, "\r\x1b[2K{what} ...").and_then(|()| stderr.flush());
    }
}

/// Removes the text.
pub fn clear() {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r\x1b[2K").and_then(|()| stderr.flush());
    }
}
