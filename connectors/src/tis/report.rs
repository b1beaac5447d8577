//! What a load has done, and what an operator should know about it.

use std::fmt;

use super::snapshot::{Kind, KindReport};
use super::{Deletions, Held, KnownLines, ORDER};

/// The number of ids that a message lists.
const LISTED_IDS: usize = 10;

/// A kind whose objects are held, and of which a full snapshot names none. That is taken for a fault of the export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absent {
    /// The kind.
    pub kind: Kind,
    /// The number of held objects.
    pub held: usize,
    /// Whether the snapshot has a file of this kind, in which there is no object.
    pub has_file: bool,
}

/// The result of a load.
#[derive(Debug, Default)]
pub struct LoadReport {
    /// The result of each file.
    pub files: Vec<(Kind, KindReport)>,
    /// The number of objects deleted because the snapshot no longer names them.
    pub deleted: Vec<(Kind, u64)>,
    /// Ids with several lines of different content. The last line of each counts.
    pub contradicted: Vec<(Kind, Vec<i64>)>,
    /// Kinds that the snapshot does not have, although the topics hold objects of them. None of these was deleted.
    pub absent: Vec<Absent>,
    /// Why the whole snapshot was refused.
    pub refused: Option<String>,
    /// The lines that the next snapshot may skip, once all of this one is on the disk.
    pub known: KnownLines,
}

impl LoadReport {
    /// The report of a folder without a snapshot, while `held` objects are held.
    pub fn of_no_snapshot(held: &Held, deletions: &Deletions) -> Self {
        let absent = ORDER.into_iter().filter_map(|kind| deletions.absent(kind, held.of(kind).len(), false)).collect();
        Self { absent, ..Self::default() }
    }

    /// What the operator should know.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.refused.clone().into_iter().collect();
        warnings.extend(self.absences());
        warnings.extend(self.contradicted.iter().map(|(kind, ids)| contradiction(*kind, ids)));
        for (kind, report) in &self.files {
            warnings.extend(report.bad_lines.iter().map(|bad| format!("snapshot: {bad}")));
            let unlisted = report.bad - report.bad_lines.len() as u64;
            if unlisted > 0 {
                warnings.push(format!("snapshot: {unlisted} more bad lines in {}", kind.file_name()));
            }
        }
        warnings
    }

    fn absences(&self) -> Vec<String> {
        if self.files.is_empty() && !self.absent.is_empty() {
            let held: usize = self.absent.iter().map(|absent| absent.held).sum();
            return vec![format!(
                "there is no snapshot in the folder, and {held} objects of TIS are held: nothing was deleted, and they \
                 stay in use; export a snapshot again"
            )];
        }
        self.absent.iter().map(ToString::to_string).collect()
    }

    /// The number of objects read.
    pub fn loaded(&self) -> u64 {
        self.files.iter().map(|(_, report)| report.loaded).sum()
    }
}

impl fmt::Display for Absent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, held, has_file } = self;
        let file = kind.file_name();
        let found = if *has_file { format!("{file} holds no object") } else { format!("the snapshot has no {file}") };
        write!(
            formatter,
            "snapshot: {found}, and {held} objects of this kind are held: none was deleted, and they stay in use; \
             export it again"
        )
    }
}

/// The sentence about ids that stand in several lines.
fn contradiction(kind: Kind, ids: &[i64]) -> String {
    let listed: Vec<String> = ids.iter().take(LISTED_IDS).map(ToString::to_string).collect();
    let more = ids.len().saturating_sub(LISTED_IDS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        "snapshot: {} has several lines of different content for the ids {}{more}: the last line of each counts; \
         correct the export",
        kind.file_name(),
        listed.join(", ")
    )
}
