//! Each outgoing file type byte for byte: what the flow writes for a small fixed input, against `tests/esr/golden`.
//!
//! `TRIBUTARY_GOLDEN=write` replaces the files. Read the difference before you commit it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use tributary_esr_tests::golden_days;
use tributary_esr_tests::simulated_exchange::SimulatedExchange;
use tributary_tests::simulated_process::Trouble;

#[test]
fn rtc_app_and_dnc_files_are_written_byte_for_byte() {
    let mut flow = SimulatedExchange::new(0, &["EOE"], Trouble::default());
    for batch in golden_days::batches() {
        flow.run(&batch);
    }
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden");
    let files = flow.files();
    let kinds = ["_RTC_", "_APP_", "_DNC_"];
    assert!(
        kinds.iter().all(|kind| files.keys().filter(|name| name.contains(kind)).count() == 2),
        "{:?}",
        files.keys()
    );
    for (name, content) in files {
        let path = folder.join(&name);
        if std::env::var("TRIBUTARY_GOLDEN").is_ok_and(|value| value == "write") {
            std::fs::write(&path, &content).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(golden, content, "{name}");
    }
}
