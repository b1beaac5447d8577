//! All rows, as the log has them last: sealed, by the key of their number, and by their id.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use tributary_registry::row_key::RowKey;
use tributary_schemas::records::registry::{JobRow, JobStatus};
use tributary_schemas::types::registry::{KindName, RowId};
use tributary_schemas::{Codec, DecodeError};

/// The rows.
#[derive(Default)]
pub(crate) struct Rows {
    kept: HashMap<RowKey, Kept>,
    keys: BTreeMap<RowId, RowKey>,
    counts: BTreeMap<KindName, BTreeMap<JobStatus, usize>>,
}

/// A row. Its record is kept as it came, because most rows are never asked for.
struct Kept {
    id: RowId,
    kind: KindName,
    status: JobStatus,
    record: Box<[u8]>,
}

/// Which rows are listed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) kind: Option<KindName>,
    pub(crate) status: Option<Vec<JobStatus>>,
}

impl Filter {
    fn fits(&self, kept: &Kept) -> bool {
        self.kind.as_ref().is_none_or(|kind| *kind == kept.kind)
            && self.status.as_ref().is_none_or(|statuses| statuses.contains(&kept.status))
    }
}

impl Rows {
    /// Takes in a change: the row, with the record that it was read from.
    pub(crate) fn put(&mut self, key: RowKey, row: &JobRow, record: &[u8]) {
        self.remove(key);
        let kept = Kept { id: row.id, kind: row.kind.clone(), status: row.status, record: record.into() };
        *self.count_of(&kept.kind, kept.status) += 1;
        self.keys.insert(row.id, key);
        self.kept.insert(key, kept);
    }

    /// A row is gone.
    pub(crate) fn remove(&mut self, key: RowKey) {
        let Some(kept) = self.kept.remove(&key) else { return };
        *self.count_of(&kept.kind, kept.status) -= 1;
        self.keys.remove(&kept.id);
    }

    fn count_of(&mut self, kind: &KindName, status: JobStatus) -> &mut usize {
        self.counts.entry(kind.clone()).or_default().entry(status).or_default()
    }

    /// The row of a number.
    ///
    /// # Errors
    /// [`DecodeError`] if it was written in a form that is not known here.
    pub(crate) fn get(&self, codec: &Codec, key: RowKey) -> Result<Option<JobRow>, DecodeError> {
        self.kept.get(&key).map(|kept| read(codec, kept)).transpose()
    }

    /// The key of the row with this id.
    pub(crate) fn key(&self, id: RowId) -> Option<RowKey> {
        self.keys.get(&id).copied()
    }

    /// How many rows of a kind have a status.
    pub(crate) fn count(&self, kind: &KindName, status: JobStatus) -> usize {
        self.counts.get(kind).and_then(|counts| counts.get(&status)).copied().unwrap_or_default()
    }

    /// Rows after an id with their keys, in the order of ids. The number of those that are listed is bounded, that of
    /// those that are looked at is not.
    ///
    /// # Errors
    /// As [`Rows::get`].
    pub(crate) fn page(
        &self,
        codec: &Codec,
        filter: &Filter,
        after: Option<RowId>,
        most: usize,
    ) -> Result<Vec<(RowKey, JobRow)>, DecodeError> {
        self.fitting(filter, after).take(most).map(|(key, kept)| Ok((key, read(codec, kept)?))).collect()
    }

    /// Every row with the key of its number.
    pub(crate) fn all<'r>(
        &'r self,
        codec: &'r Codec,
    ) -> impl Iterator<Item = (RowKey, Result<JobRow, DecodeError>)> + use<'r> {
        self.kept.iter().map(|(key, kept)| (*key, read(codec, kept)))
    }

    fn fitting<'r>(
        &'r self,
        filter: &'r Filter,
        after: Option<RowId>,
    ) -> impl Iterator<Item = (RowKey, &'r Kept)> + use<'r> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let kept = self.keys.range((from, Bound::Unbounded)).filter_map(|(_, key)| Some((*key, self.kept.get(key)?)));
        kept.filter(|(_, kept)| filter.fits(kept))
    }
}

fn read(codec: &Codec, kept: &Kept) -> Result<JobRow, DecodeError> {
    codec.open(&kept.record)?.read()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tributary_registry::declaration::DECLARATION;
    use tributary_schemas::{CodecBuilder, LocalRegistry};

    use super::*;

    fn codec() -> Codec {
        CodecBuilder::new(Arc::new(LocalRegistry::in_memory())).topics(DECLARATION.topics()).build().unwrap()
    }

    fn row(number: u8, kind: &str, status: JobStatus) -> JobRow {
        let guid = |last: u8| format!("0ca5e000-0000-4000-8000-0000000000{last:02x}");
        let user = guid(0).parse().unwrap();
        let row =
            JobRow::of(kind.parse().unwrap(), guid(number).parse().unwrap(), guid(1).parse().unwrap(), user, user);
        JobRow { status, ..row }
    }

    fn put(rows: &mut Rows, number: u8, row: &JobRow) {
        let mut record = Vec::new();
        codec().encode(row, &mut record).unwrap();
        rows.put(RowKey::new([number; 32]), row, &record);
    }

    #[test]
    fn rows_are_found_counted_and_listed_in_pages() {
        let mut rows = Rows::default();
        for number in (1..=9).rev() {
            let kind = if number % 3 == 0 { "tax" } else { "unzr" };
            put(&mut rows, number, &row(number, kind, JobStatus::Pending));
        }
        put(&mut rows, 4, &row(4, "unzr", JobStatus::Failed));
        rows.remove(RowKey::new([5; 32]));
        rows.remove(RowKey::new([5; 32]));
        let (unzr, tax): (KindName, KindName) = ("unzr".parse().unwrap(), "tax".parse().unwrap());
        let counts = [(&unzr, JobStatus::Pending), (&unzr, JobStatus::Failed), (&tax, JobStatus::Pending)];
        assert_eq!(counts.map(|(kind, status)| rows.count(kind, status)), [4, 1, 3]);
        let fourth = rows.get(&codec(), RowKey::new([4; 32])).unwrap().unwrap();
        assert_eq!((fourth.status, rows.key(fourth.id)), (JobStatus::Failed, Some(RowKey::new([4; 32]))));
        let filter = Filter { kind: Some(unzr), status: Some(vec![JobStatus::Pending]) };
        let first = rows.page(&codec(), &filter, None, 2).unwrap();
        let second = rows.page(&codec(), &filter, Some(first[1].1.id), 9).unwrap();
        let ids: Vec<RowId> = first.iter().chain(&second).map(|(_, row)| row.id).collect();
        assert_eq!(ids, [1, 2, 7, 8].map(|number| row(number, "unzr", JobStatus::Pending).id));
        assert_eq!(rows.page(&codec(), &Filter::default(), None, 99).unwrap().len(), 8);
    }
}
