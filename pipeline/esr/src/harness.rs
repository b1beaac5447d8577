//! Stages with the built-in settings, for tests.

use std::sync::Arc;

pub(crate) use tributary_flow::testing::{Harness, Sent};
use tributary_runtime::Processor;
use tributary_schemas::{CodecBuilder, Date, LocalRegistry};

use crate::configuration::EsrSettings;
use crate::context::Context;
use crate::format::Office;

/// The timestamp of all records, unless a test sets another one.
pub(crate) const NOW: &str = "2026-11-20T14:30:00Z";

pub(crate) fn millis(instant: &str) -> i64 {
    instant.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

pub(crate) fn date(text: &str) -> Date {
    Date::from_civil(text.parse().unwrap())
}

pub(crate) fn office(code: &str) -> Office {
    code.parse().unwrap()
}

/// The built-in settings, for two offices, with a registry in memory.
pub(crate) fn context() -> Context {
    let codec = CodecBuilder::new(Arc::new(LocalRegistry::in_memory()))
        .topics(crate::flow::DECLARATION.topics())
        .build()
        .unwrap();
    let settings = Arc::new(EsrSettings::load(None, &|_| Err("no files here".to_owned())).unwrap());
    Context::new(codec, settings, vec![office("EOE"), office("LDN")])
}

/// The harness of the processor that `make` creates.
pub(crate) fn stage<P: Processor>(make: impl FnOnce(Context) -> P) -> Harness<P> {
    let context = context();
    Harness::new(context.codec.clone(), make(context), millis(NOW))
}
