//! A state without any run, beside files that earlier runs must have written: the state was lost, or another one was
//! named. Its numbers start again, and all of TIS becomes the baseline, so an operator must hear of it first.

use std::fs;
use std::path::{Path, PathBuf};

use tributary_esr::format::FileName;
use tributary_esr::inbound::Inbound;
use tributary_esr::schedule::Schedule;
use tributary_flow::Failure;

use crate::exchange::Exchange;

/// The folder in an inbox or outbox for files that were processed or fetched.
const ARCHIVE: &str = "archive";

/// What an operator should know before anything is written (D114). `None` if the state is not new, or nothing shows
/// that there was another one.
///
/// # Errors
/// [`Failure::Unfinished`] when the workers do not answer.
pub(crate) fn warning(exchange: &Exchange) -> Result<Option<String>, Failure> {
    let (folders, process) = (&exchange.configured.folders, &exchange.process);
    let has_files = process.inspect(|inbound: &Inbound| inbound.ledger().next().is_some())?;
    let has_runs = process.inspect(|schedule: &Schedule| schedule.last_run().is_some())?;
    if has_files.contains(&true) || has_runs.contains(&true) {
        return Ok(None);
    }
    let places = [folders.outbox.clone(), folders.outbox.join(ARCHIVE), folders.inbox.join(ARCHIVE)];
    let found: Vec<String> =
        places.iter().filter_map(|place| Found::of(place)).map(|found| found.to_string()).collect();
    if found.is_empty() {
        return Ok(None);
    }
    let (state, remedy) = if process.is_shared() {
        ("this namespace".to_owned(), "name the right one with --namespace")
    } else {
        let state = process.state().parent().unwrap_or(process.state());
        (format!("the state folder {}", state.display()), "name the right one with --state, or restore it")
    };
    Ok(Some(format!(
        "{state} is new, but {}: numbers of files start again, and all of TIS is taken for known to ESR. If that is \
         not meant, stop now, and {remedy}",
        found.join(", and ")
    )))
}

/// The files of this exchange in one folder.
struct Found {
    folder: PathBuf,
    count: usize,
    last: FileName,
}

impl Found {
    /// A folder that cannot be read shows nothing. Whatever has to read or write there says why it cannot.
    fn of(folder: &Path) -> Option<Self> {
        let entries = fs::read_dir(folder).ok()?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<FileName>().ok());
        let names: Vec<FileName> = names.collect();
        let last = names.iter().max_by_key(|name| (name.date, name.number)).copied()?;
        Some(Self { folder: folder.to_owned(), count: names.len(), last })
    }
}

impl std::fmt::Display for Found {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { folder, count, last } = self;
        let files = tributary_flow::table::counted(*count as u64, "file", "files");
        write!(formatter, "{} holds {files} of an exchange, the last of them {last}", folder.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d114_only_files_with_names_of_the_exchange_show_that_there_was_another_state() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Found::of(folder.path()).is_none() && Found::of(&folder.path().join("missing")).is_none());
        for name in ["notes.txt", ".DE_EOE_APP_20261121_00000001.DAT.0123456789abcdef.part", "DE_EOE_APP.DAT"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        assert!(Found::of(folder.path()).is_none());
        for name in ["DE_EOE_APP_20261120_00000009.DAT", "DE_LDN_DNC_20261121_00000002.DAT"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let text = Found::of(folder.path()).unwrap().to_string();
        assert!(text.contains("2 files") && text.ends_with("DE_LDN_DNC_20261121_00000002.DAT"), "{text}");
    }
}
