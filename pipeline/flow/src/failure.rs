//! Why a command failed, by exit code.

use std::error::Error;
use std::fmt;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use tributary_runtime::LogError;

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The command cannot run: usage, configuration, a state folder that cannot be used, a refused run. It changed
    /// nothing.
    Refused(Cause),
    /// Something outside failed for too long. The state is intact: the same command continues where this one ended.
    Unfinished(Cause),
}

/// The error or the sentence behind a failure. Two causes are equal when their texts are.
#[derive(Debug, Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl Failure {
    /// A refusal of this cause.
    pub fn refused(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Refused(Cause(cause.into().into()))
    }

    /// An early end of this cause.
    pub fn unfinished(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unfinished(Cause(cause.into().into()))
    }

    /// The stable name of this kind of failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Unfinished(_) => "unfinished",
        }
    }

    /// The exit code, as documented in `tributary --help`.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Refused(_) => ExitCode::from(2),
            Self::Unfinished(_) => ExitCode::from(1),
        }
    }

    fn cause(&self) -> &Cause {
        match self {
            Self::Refused(cause) | Self::Unfinished(cause) => cause,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause().fmt(formatter)
    }
}

impl Error for Failure {
    // The text is that of the cause, so the chain continues with the source of the cause.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause().0.source()
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Cause {}

/// The failure before anything was published. Configuration errors and conflicts are refusals. A retry may fix any
/// other.
pub fn log_failure(error: LogError) -> Failure {
    match error {
        LogError::Fatal(reason) => Failure::refused(reason.to_string()),
        other => Failure::unfinished(other),
    }
}

/// A document as the text that a command prints.
///
/// # Errors
/// [`Failure::Unfinished`] when it cannot be written as JSON.
#[cfg(feature = "edge")]
pub fn json_text(document: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string_pretty(document).map(|text| text + "\n").map_err(Failure::unfinished)
}

/// Prints data on standard output. If the reader has closed the pipe, that is not an error.
///
/// # Errors
/// [`Failure::Unfinished`] when it cannot be printed.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let printed = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    match printed {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| Failure::unfinished(format!("cannot print: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_what_is_behind_it() {
        let disk = std::io::Error::other("the disk is full");
        let log = LogError::unavailable("cannot write the log").caused_by(disk);
        let failure = Failure::unfinished(log);
        assert_eq!(failure.to_string(), "log is not available: cannot write the log");
        assert_eq!(failure.source().unwrap().to_string(), "the disk is full");
        assert!(Failure::refused("no such folder").source().is_none());
    }
}
