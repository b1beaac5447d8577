//! Engagements as a file.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value};

use crate::Outcome;
use crate::messages::Engaged;

/// What the index knows.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Known {
    /// Engagements of a patient.
    #[arg(long, default_value_t = 50)]
    of_patient: usize,
    /// Addresses over which they are spread.
    #[arg(long, default_value_t = 50)]
    addresses: usize,
}

impl Known {
    pub(crate) fn engaged(self, number: usize) -> Engaged {
        Engaged { number, of_patient: self.of_patient, addresses: self.addresses }
    }

    pub(crate) fn of_patient(self) -> usize {
        self.of_patient
    }
}

/// Writes engagements, one a line.
#[derive(Debug, Args)]
pub(crate) struct File {
    #[command(flatten)]
    known: Known,
    /// How many.
    #[arg(long)]
    count: usize,
    /// The file.
    to: PathBuf,
}

impl File {
    pub(crate) fn run(&self) -> Outcome {
        let mut out = BufWriter::new(std::fs::File::create(&self.to)?);
        for number in 0..self.count {
            let fields = self.known.engaged(number).fields().map(|(name, text)| (name.to_owned(), Value::from(text)));
            writeln!(out, "{}", Value::Object(Map::from_iter(fields)))?;
        }
        Ok(out.flush()?)
    }
}
