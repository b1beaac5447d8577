//! The views of the exchange beside what its stages hold.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tributary_esr::inbound::{Inbound, LedgerStatus};
use tributary_esr::topics::VIEW;
use tributary_flow::Process;
use tributary_schemas::records::esr::OfficeApplicants;
use tributary_schemas::records::tributary::{FileEvent, FileStatus};
use tributary_tests::simulated_process::Simulation;

/// The newest row of each key.
fn rows(simulation: &Simulation) -> BTreeMap<String, Vec<u8>> {
    let process = &simulation.process;
    let partitions = 0..process.flow_partitions();
    let mut rows = BTreeMap::new();
    for record in partitions.flat_map(|partition| process.broker().read_committed(VIEW.name, partition)) {
        let key = String::from_utf8(record.key).unwrap();
        match record.value {
            Some(value) => rows.insert(key, value),
            None => rows.remove(&key),
        };
    }
    rows
}

/// The files that the view shows, and how they ended.
fn shown_files(simulation: &Simulation, rows: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, FileStatus> {
    let files = rows.iter().filter_map(|(key, value)| Some((key.strip_prefix("file/")?, value)));
    let status = |value: &[u8]| simulation.process.codec().open(value).unwrap().read::<FileEvent>().unwrap().status;
    files.map(|(name, value)| (name.to_owned(), status(value))).collect()
}

/// The files that were written, and those of the ledger that are not under way.
fn files(simulation: &Simulation, written: impl Iterator<Item = String>) -> BTreeMap<String, FileStatus> {
    let process: &dyn Process = &*simulation.process;
    let ended = |inbound: &Inbound| {
        let ledger = inbound.ledger().filter_map(|(name, entry)| {
            let status = match entry.status {
                LedgerStatus::Receiving | LedgerStatus::Confirming => return None,
                LedgerStatus::Processed => FileStatus::Processed,
                LedgerStatus::Parked => FileStatus::Parked,
                LedgerStatus::Refused => FileStatus::Refused,
            };
            Some((name.to_string(), status))
        });
        ledger.collect::<Vec<_>>()
    };
    let from_esr = process.inspect(ended).unwrap().into_iter().flatten();
    from_esr.chain(written.map(|name| (name, FileStatus::Written))).collect()
}

/// The counts of each office, in the form of the summary.
fn shown_offices(simulation: &Simulation, rows: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Value> {
    let offices = rows.iter().filter_map(|(key, value)| Some((key.strip_prefix("office/")?, value)));
    let counts = |value: &[u8]| {
        let counts: OfficeApplicants = simulation.process.codec().open(value).unwrap().read().unwrap();
        json!({
            "to_export": counts.to_export, "pending": counts.pending, "exported": counts.exported,
            "invalid_data": counts.invalid_data, "deleted_before_export": counts.deleted_before_export,
            "missed_window": counts.missed_window,
        })
    };
    offices.map(|(office, value)| (office.to_owned(), counts(value))).collect()
}

/// How the views differ from ledger, outbox and summary, after the exporters have shown what they have.
pub(super) fn difference(
    simulation: &Simulation,
    written: impl Iterator<Item = String>,
    summary: &Value,
) -> Option<String> {
    let rows = rows(simulation);
    let (shown, expected) = (shown_files(simulation, &rows), files(simulation, written));
    if shown != expected {
        return Some(format!("the view of files has {shown:?}, and not {expected:?}"));
    }
    let shown = shown_offices(simulation, &rows);
    let offices = summary["offices"].as_object().unwrap();
    let expected: BTreeMap<String, Value> =
        offices.iter().map(|(office, numbers)| (office.clone(), numbers["applicants"].clone())).collect();
    (shown != expected).then(|| format!("the view of offices has {shown:?}, and not {expected:?}"))
}
