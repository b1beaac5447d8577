//! The command line of the exchange.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tributary_esr::format::{FileName, Office};
use tributary_schemas::records::esr::Decision;

/// The help after the options of `tributary run`.
pub(crate) const RUN_HELP: &str = "\
Exchange with ESR, folders:
  --inbox    files from ESR: DE_EOE_RMF_20261121_00000001.DAT and so on; they stay where they are
  --tis      snapshot of TIS: posts.jsonl, placements.jsonl, people.jsonl (or .jsonl.gz), one object a line
  --outbox   files for ESR (RTC, APP, DNC) appear here, whole or not at all

Examples:
  tributary run --inbox in --tis snapshot --outbox out --once
      One batch as of now. Run twice on the same input, it exports nothing twice.

  tributary run --inbox in --tis snapshot --outbox out --once --output json --records
      The same; prints one JSON document, with a line for each applicant record.

  tributary run --inbox in --tis snapshot --outbox out --once --accept DE_EOE_RMC_20261121_00000002.DAT
      Also takes in a file that was parked because its trailer does not fit.

  tributary run --inbox in --tis snapshot --outbox out --log kafka --kafka localhost:9092 \\
      --registry http://localhost:8081 --namespace dev
      The service on Kafka, with names of topics and groups that start with `dev.`.";

/// The help after the options of `tributary demo esr`.
pub(crate) const DEMO_HELP: &str = "\
Examples:
  tributary demo                          three offices with 6,000 positions, in a few seconds
  tributary demo --scale office --seed 7  one office with 300 positions, other people
  tributary demo --dir /tmp/region        keeps all files in that folder
  tributary demo --kafka localhost:9092 --registry http://localhost:8081
                                          the same exchange through Kafka";

/// The options of `tributary run` for the exchange.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Exchange with ESR")]
// Groups are skipped because their names would clash with those of the program and of other flows.
#[group(skip)]
pub(crate) struct RunOptions {
    /// Folder with the files from ESR
    #[arg(long, value_name = "DIR")]
    pub(crate) inbox: Option<PathBuf>,
    /// Folder with the snapshot of TIS
    #[arg(long, value_name = "DIR")]
    pub(crate) tis: Option<PathBuf>,
    /// Folder for the files to ESR; created if missing
    #[arg(long, value_name = "DIR")]
    pub(crate) outbox: Option<PathBuf>,
    /// Offices to serve, in the order in which they get file numbers [default: all]
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    pub(crate) offices: Vec<Office>,
    /// Name every applicant record in the summary of a batch
    #[arg(long, requires = "once")]
    pub(crate) records: bool,
    /// Also send applicants whose window has passed, in a batch
    #[arg(long, requires = "once")]
    pub(crate) include_late: bool,
    /// Accept this parked file although it is suspect; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) accept: Vec<FileName>,
    /// Refuse this parked file and say so in its confirmation; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) refuse: Vec<FileName>,
    /// Write the confirmation of this file, which was held back; may be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) release: Vec<FileName>,
}

impl RunOptions {
    /// The decisions of the operator, by file name.
    pub(crate) fn decisions(&self) -> Vec<(FileName, Decision)> {
        let lists =
            [(&self.accept, Decision::Accept), (&self.refuse, Decision::Refuse), (&self.release, Decision::Release)];
        lists.into_iter().flat_map(|(names, decision)| names.iter().map(move |name| (*name, decision))).collect()
    }
}

/// Options of `tributary demo esr`.
#[derive(Debug, Clone, Args)]
#[group(skip)]
pub(crate) struct DemoOptions {
    /// Size of the region
    #[arg(long, value_name = "SCALE", default_value = "region")]
    pub(crate) scale: DemoScale,
    /// Seed of the invented people
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Folder for all files; it must be empty or missing [default: a new temporary folder, which is kept]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// The size of the region of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DemoScale {
    /// One office with 300 positions
    Office,
    /// Three offices with 6,000 positions
    Region,
    /// All 13 offices with 150,000 positions
    National,
}
