//! Any bytes as a file of ESR: every line is parsed or rejected with a reason, and none is lost.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tributary_esr::configuration::EsrSettings;
use tributary_esr::format::{InboundLayouts, LineParser, LineReader, Office};

static LAYOUTS: LazyLock<InboundLayouts> = LazyLock::new(|| {
    EsrSettings::load(None, &|_| Err("there are no files here".to_owned()))
        .expect("the defaults are right")
        .inbound_layouts()
});

fuzz_target!(|content: &[u8]| {
    let office: Office = "EOE".parse().expect("an office");
    let mut parser = LineParser::new(&LAYOUTS, office);
    let mut reader = LineReader::new(content);
    let mut lines = 0;
    while let Some(line) = reader.next() {
        lines += 1;
        assert_eq!(line.number, lines, "lines are numbered from one");
        let _ = parser.parse(line);
        let again = LineReader::resume(content, reader.offset(), lines).next();
        assert_eq!(again.map(|line| line.number), reader.clone().next().map(|line| line.number));
    }
    assert!(content.is_empty() || reader.offset() >= content.len(), "everything was read");
});
