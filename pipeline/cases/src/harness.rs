//! Stages with given settings, for tests.

use std::sync::Arc;

pub(crate) use tributary_flow::testing::{Harness, Sent};
use tributary_runtime::{Headers, Processor, TimestampMillis};
use tributary_schemas::records::cases::{
    CheckedCommand, Command, Queue, RegistryAction, RegistryChange, RegistryRequest,
};
use tributary_schemas::types::cases::OriginName;
use tributary_schemas::{CodecBuilder, LocalRegistry};

use crate::configuration::CasesSettings;
use crate::context::Context;
use crate::intake::{SenderError, Senders};

/// The timestamp of all records, unless a test sets another one.
pub(crate) const NOW: i64 = 1_800_000_000_000;

/// One day in milliseconds.
pub(crate) const DAY: i64 = 24 * 60 * 60 * 1000;

/// No record of another program comes.
pub(crate) struct NoSenders;

impl Senders for NoSenders {
    fn sender(&self, _: Headers<'_>, _: TimestampMillis) -> Result<OriginName, SenderError> {
        Err(SenderError::Unavailable("nobody sends in this test".to_owned()))
    }
}

/// The built-in settings, with a registry in memory.
pub(crate) fn context() -> Context {
    context_with(CasesSettings::default())
}

pub(crate) fn context_with(settings: CasesSettings) -> Context {
    let codec = CodecBuilder::new(Arc::new(LocalRegistry::in_memory()))
        .topics(crate::flow::DECLARATION.topics())
        .build()
        .unwrap();
    Context::new(codec, Arc::new(settings))
}

/// The harness of the processor that `make` creates.
pub(crate) fn stage<P: Processor>(make: impl FnOnce(Context) -> P) -> Harness<P> {
    stage_with(CasesSettings::default(), make)
}

pub(crate) fn stage_with<P: Processor>(settings: CasesSettings, make: impl FnOnce(Context) -> P) -> Harness<P> {
    let context = context_with(settings);
    Harness::new(context.codec.clone(), make(context), NOW)
}

/// A GUID that ends in this number.
pub(crate) fn guid(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// A command of `origin` for the case and with the command id of these numbers. Its time is that number of seconds.
pub(crate) fn command(queue: Queue, origin: &str, case: u32, id: u32) -> Command {
    let time = Some(i64::from(id) * 1_000_000);
    let command = Command {
        queue,
        ..Command::of(origin.parse().unwrap(), guid(case).parse().unwrap(), guid(id).parse().unwrap())
    };
    match queue {
        Queue::Create => {
            Command { created: time, case_details_uri: Some("https://esdh.example/1".to_owned()), ..command }
        }
        Queue::Update => Command { updated: time, ..command },
        Queue::Close | Queue::Delete => command,
    }
}

/// The command as its queue hands it on.
pub(crate) fn checked(command: Command) -> CheckedCommand {
    CheckedCommand { command, refusal: None, held: false, partition: 0, offset: 0 }
}

/// A change of a grant as the registry sends it.
pub(crate) fn grant(action: RegistryAction, client: &str, origin: &str, case: Option<u32>) -> RegistryChange {
    let change = RegistryRequest {
        action,
        client: Some(client.parse().unwrap()),
        origin: Some(origin.parse().unwrap()),
        case_id: case.map(|case| guid(case).parse().unwrap()),
        ..RegistryRequest::default()
    };
    RegistryChange { version: 1, change }
}
