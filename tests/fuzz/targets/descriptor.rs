//! Any text as the descriptor of a service: it is taken, or refused with the line that is wrong.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tributary_aggregation::descriptor::Descriptors;
use tributary_flow::configuration::Source;

fuzz_target!(|text: &str| {
    match Descriptors::read(&[Source::new("fuzz.toml", text)]) {
        Ok(services) => assert!(services.iter().count() >= 5, "a built-in service is replaced, and none goes"),
        Err(error) => assert!(error.line >= 1, "{error}"),
    }
});
