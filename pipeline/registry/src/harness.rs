//! The stage with given settings, and invented people, for tests.

use std::sync::Arc;

use tributary_flow::configuration::Source;
pub(crate) use tributary_flow::testing::{Harness, Sent};
use tributary_schemas::records::registry::{
    CallAnswer, CallError, CallOutcome, CommandAction, ErrorClass, JobCommand, JobRow, LookupRequest,
};
use tributary_schemas::records::tributary::Clock;
use tributary_schemas::types::registry::{CallId, ErrorCode, KindName, RowId, RunId, UserId};
use tributary_schemas::{CodecBuilder, LocalRegistry};

use crate::configuration::{Kind, RegistrySettings};
use crate::context::Context;
use crate::declaration::DECLARATION;
use crate::job::JobStage;
use crate::row_key::RowKey;

/// The timestamp of all records, unless a test sets another one: 2027-01-15T08:00:00Z.
pub(crate) const NOW: i64 = 1_800_000_000_000;

/// What every configuration has to name.
const NEEDED: &str = "[registry.job.unzr]\nservice.member_code = \"00000001\"\n";

/// The built-in settings, with the one that is needed.
pub(crate) fn settings() -> RegistrySettings {
    settings_with("")
}

/// The same with these over them.
pub(crate) fn settings_with(text: &str) -> RegistrySettings {
    RegistrySettings::load(Some(&source(text))).unwrap()
}

/// A user's file: this text, and what is needed.
pub(crate) fn source(text: &str) -> Source {
    let needed: toml::Table = NEEDED.parse().unwrap();
    let mut table: toml::Table = text.parse().unwrap();
    lay_under(&mut table, needed);
    Source::new("registry.toml", table.to_string())
}

fn lay_under(table: &mut toml::Table, below: toml::Table) {
    for (key, value) in below {
        match (table.get_mut(&key), value) {
            (Some(toml::Value::Table(table)), toml::Value::Table(below)) => lay_under(table, below),
            (Some(_), _) => {}
            (None, value) => drop(table.insert(key, value)),
        }
    }
}

/// The built-in kind of these settings.
pub(crate) fn unzr(settings: &RegistrySettings) -> &Kind {
    settings.kind(&kind_name()).unwrap()
}

pub(crate) fn kind() -> Kind {
    kind_with("")
}

pub(crate) fn kind_with(text: &str) -> Kind {
    unzr(&settings_with(text)).clone()
}

pub(crate) fn kind_name() -> KindName {
    "unzr".parse().unwrap()
}

pub(crate) fn context() -> Context {
    context_with(settings())
}

pub(crate) fn context_with(settings: RegistrySettings) -> Context {
    let codec = CodecBuilder::new(Arc::new(LocalRegistry::in_memory())).topics(DECLARATION.topics()).build().unwrap();
    Context::new(codec, Arc::new(settings))
}

/// The harness of the stage with these settings over the built-in ones.
pub(crate) fn stage(text: &str) -> Harness<JobStage> {
    let context = context_with(settings_with(text));
    Harness::new(context.codec.clone(), JobStage::new(context), NOW)
}

fn guid(group: u8, number: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[0] = group;
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    bytes
}

pub(crate) fn row_id(number: u32) -> RowId {
    RowId::from_bytes(guid(1, number))
}

pub(crate) fn run(number: u32) -> RunId {
    RunId::from_bytes(guid(2, number))
}

pub(crate) fn call_id(number: u32) -> CallId {
    CallId::from_bytes(guid(3, number))
}

pub(crate) fn user(number: u32) -> UserId {
    UserId::from_bytes(guid(4, number))
}

/// The row of the number 1, 2, and so on.
pub(crate) fn key(number: u8) -> RowKey {
    RowKey::new([number; 32])
}

/// A row that is pending.
pub(crate) fn row(number: u32) -> JobRow {
    JobRow::of(kind_name(), row_id(number), run(number), user(1), user(1))
}

/// A request of a user. If it begins a run, that has this number, and so has its HTTP request.
pub(crate) fn request(number: u32, by: u32, now: i64) -> LookupRequest {
    LookupRequest {
        now,
        number: format!("sealed number {number}").into_bytes(),
        client: Some("client-1".to_owned()),
        request_id: Some(format!("request-{number}")),
        ..LookupRequest::of(kind_name(), row_id(number), run(number), user(by))
    }
}

/// The answer of a call with data, or without.
pub(crate) fn found(of: RunId, attempt: i32, info: Option<&str>, now: i64) -> CallAnswer {
    let outcome = if info.is_some() { CallOutcome::Found } else { CallOutcome::Empty };
    CallAnswer {
        attempt,
        outcome,
        now,
        info: info.map(|info| info.as_bytes().to_vec()),
        call_id: Some(call_id(attempt.unsigned_abs())),
        ..CallAnswer::of(kind_name(), of)
    }
}

/// The answer of a call that has failed.
pub(crate) fn failed(of: RunId, attempt: i32, error: CallError, now: i64) -> CallAnswer {
    CallAnswer { outcome: CallOutcome::Failed, error: Some(error), ..found(of, attempt, None, now) }
}

/// An error of a call.
pub(crate) fn error(error_class: ErrorClass, code: &str, retryable: bool) -> CallError {
    CallError { error_class, code: ErrorCode::of(code), retryable, id: None }
}

pub(crate) fn time_out() -> CallError {
    error(ErrorClass::Transport, "timeout", true)
}

pub(crate) fn clock(now: i64) -> Clock {
    Clock { now, ..Clock::default() }
}

/// A command of the operator 9.
pub(crate) fn command(action: CommandAction, now: i64) -> JobCommand {
    JobCommand {
        action,
        now,
        client: Some("console".to_owned()),
        request_id: Some("command".to_owned()),
        run_id: Some(run(900)),
        ..JobCommand::of(kind_name(), user(9))
    }
}
