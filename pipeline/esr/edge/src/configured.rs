//! The exchange with its settings, before a log is open.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tributary_esr::configuration::EsrSettings;
use tributary_esr::format::{FileName, Office};
use tributary_flow::{ConfiguredFlow, Failure, Process, RunningFlow};
use tributary_schemas::records::esr::Decision;

use crate::exchange::Exchange;
use crate::options::RunOptions;

/// The folders of the exchange.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    /// The folder with the files from ESR.
    pub(crate) inbox: PathBuf,
    /// The folder with the snapshot of TIS.
    pub(crate) tis: PathBuf,
    /// The folder for the files to ESR.
    pub(crate) outbox: PathBuf,
}

/// The settings and options of one process.
#[derive(Debug, Clone)]
pub(crate) struct Configured {
    pub(crate) settings: Arc<EsrSettings>,
    pub(crate) folders: Folders,
    /// The served offices, in the order in which they get file numbers (D50).
    pub(crate) offices: Vec<Office>,
    /// Decisions of an operator, by file name.
    pub(crate) decisions: Vec<(FileName, Decision)>,
    /// Whether a batch sends records that missed their window (D25).
    pub(crate) include_late: bool,
    /// The time as of which a batch runs, if the command line names one.
    pub(crate) now: Option<Timestamp>,
    /// Whether the summary of a batch names every applicant record.
    pub(crate) records: bool,
}

impl Configured {
    /// Checks the command line against the settings and the existing folders.
    ///
    /// # Errors
    /// [`Failure::Refused`] when an option is wrong or missing.
    pub(crate) fn new(settings: EsrSettings, options: RunOptions) -> Result<Self, Failure> {
        let decisions = options.decisions();
        let offices = served_offices(&settings, &options.offices)?;
        let folders = Folders {
            inbox: existing("--inbox", "the files from ESR", options.inbox)?,
            tis: existing("--tis", "the snapshot of TIS", options.tis)?,
            outbox: given("--outbox", "the files to ESR", options.outbox)?,
        };
        Ok(Self {
            settings: Arc::new(settings),
            folders,
            offices,
            decisions,
            include_late: options.include_late,
            now: None,
            records: options.records,
        })
    }
}

impl ConfiguredFlow for Configured {
    fn open(&self, process: Arc<dyn Process>) -> Result<Arc<dyn RunningFlow>, Failure> {
        Ok(Arc::new(Exchange::open(self, process)?))
    }
}

fn given(option: &str, what: &str, folder: Option<PathBuf>) -> Result<PathBuf, Failure> {
    folder.ok_or_else(|| Failure::refused(format!("the folder for {what} is not named: add {option} DIR")))
}

fn existing(option: &str, what: &str, folder: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let folder = given(option, what, folder)?;
    if !folder.is_dir() {
        return Err(Failure::refused(format!("{option} {} is not a folder", folder.display())));
    }
    Ok(folder)
}

/// The named offices. All configured offices if none is named.
fn served_offices(settings: &EsrSettings, asked: &[Office]) -> Result<Vec<Office>, Failure> {
    let configured = &settings.configuration.offices;
    if asked.is_empty() {
        return Ok(configured.keys().copied().collect());
    }
    let mut offices: Vec<Office> = Vec::with_capacity(asked.len());
    for office in asked {
        if !configured.contains_key(office) {
            let known: Vec<&str> = configured.keys().map(Office::as_str).collect();
            let text = format!("--offices: {office} is not a configured office; there are {}", known.join(", "));
            return Err(Failure::refused(text));
        }
        if !offices.contains(office) {
            offices.push(*office);
        }
    }
    Ok(offices)
}
