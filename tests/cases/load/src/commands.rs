//! Commands of an invented origin system.

use clap::ValueEnum;

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Create,
    Update,
    Close,
    Delete,
}

impl Kind {
    /// Its name in topics and paths.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "CreateCase",
            Self::Update => "UpdateCase",
            Self::Close => "CloseCase",
            Self::Delete => "DeleteCase",
        }
    }
}

/// What the ids of all cases begin with; twelve digits follow.
pub(crate) const CASES: &str = "0ca5e000-0000-4000-8000-";

/// The id of a case.
pub(crate) fn case(number: u64) -> String {
    format!("{CASES}{number:012}")
}

/// A time of the origin system, a second later for each case.
fn time(number: u64) -> String {
    let (days, seconds) = (number / 86_400, number % 86_400);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("2026-{:02}-{:02}T{hours:02}:{minutes:02}:{:02}Z", 1 + days / 28 % 12, 1 + days % 28, seconds % 60)
}

/// A command about a case, as JSON.
pub(crate) fn command(kind: Kind, number: u64) -> String {
    let (id, uri) = (case(number), format!("https://esdh.example/cases/{number}/details"));
    match kind {
        Kind::Create => format!(r#"{{"caseId":"{id}","created":"{}","caseDetailsUri":"{uri}"}}"#, time(number)),
        Kind::Update => format!(r#"{{"caseId":"{id}","updated":"{}","caseDetailsUri":"{uri}"}}"#, time(number)),
        Kind::Close | Kind::Delete => format!(r#"{{"caseId":"{id}"}}"#),
    }
}
