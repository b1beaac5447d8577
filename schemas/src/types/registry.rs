//! Types of the namespace `registry`. None of them holds a number of a person or what a register has answered.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tributary_runtime::StateKey;
use uuid::Uuid;

use super::identifiers::{GuidError, NameError};
use crate::binary;

guid! {
    /// Id of a row.
    RowId
}

guid! {
    /// Id of a run. Outcomes of another run change nothing.
    RunId
}

guid! {
    /// Id of a call, as the register and its security server see it.
    CallId
}

guid! {
    /// Id of a user, who triggers jobs.
    UserId
}

impl RunId {
    /// The run that follows this one without a request: a version 5 GUID, so that all processes name it alike.
    #[must_use]
    pub fn next(self) -> Self {
        Self(Uuid::new_v5(&self.0, b"restart"))
    }
}

name! {
    /// The kind of a job, which names a register: `unzr`.
    KindName
}

name! {
    /// A code of an error. What a register says is kept only in this form.
    ErrorCode
}

impl ErrorCode {
    /// A code that is written by somebody else: itself if it has the form, else `other`.
    pub fn of(text: &str) -> Self {
        text.parse().unwrap_or_else(|_| Self("other".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_kept_if_it_has_the_form_and_is_other_if_not() {
        let longest = "a".repeat(64);
        for kept in ["Server.ClientProxy.NetworkError", "-2", "A_b", longest.as_str()] {
            assert_eq!(ErrorCode::of(kept).as_str(), kept);
        }
        let too_long = "a".repeat(65);
        for other in ["", "a b", "19910824-00026 unknown", "\u{406}", too_long.as_str()] {
            assert_eq!(ErrorCode::of(other).as_str(), "other");
        }
    }

    #[test]
    fn the_next_run_follows_from_the_run_before() {
        let run: RunId = "6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e".parse().unwrap();
        assert_eq!(run.next(), run.next());
        assert_ne!(run.next(), run);
        assert_ne!(run.next().next(), run.next());
    }
}
