//! Any text as a configuration file: it is taken, or refused with the line that is wrong.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tributary_esr::configuration::EsrSettings;
use tributary_flow::configuration::Source;

fuzz_target!(|text: &str| {
    // The same text serves as the files that it may name.
    let loaded = EsrSettings::load(Some(&Source::new("fuzz.toml", text)), &|_| Ok(text.to_owned()));
    match loaded {
        Ok(settings) => {
            let _ = (settings.inbound_layouts(), settings.templates());
            let shown = settings.configuration.to_toml();
            let again = EsrSettings::load(Some(&Source::new("shown.toml", shown)), &|_| Ok(text.to_owned()));
            assert!(again.is_ok(), "what is shown is understood: {:?}", again.err());
        }
        Err(error) => assert!(error.line >= 1, "{error}"),
    }
});
