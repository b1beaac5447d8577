//! Why a command did not do what it was asked for, by exit code.

use std::fmt::Display;
use std::process::ExitCode;

/// A command ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Usage, configuration, a state folder that cannot be used, a run that is refused. Nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// Something outside did not work for too long. The state is intact: the same command goes on where this one ended.
    #[error("{0}")]
    Unfinished(String),
}

impl Failure {
    /// A refusal.
    pub fn refused(reason: impl Display) -> Self {
        Self::Refused(reason.to_string())
    }

    /// An end before the work was done.
    pub fn unfinished(reason: impl Display) -> Self {
        Self::Unfinished(reason.to_string())
    }

    /// The exit code, as documented in `tributary --help`.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Refused(_) => ExitCode::from(2),
            Self::Unfinished(_) => ExitCode::from(1),
        }
    }
}
