//! The rows of a case in the tables: one by its id, and one by the time of its last update, in the order of a list.
//! Both have the same value: the offset of the record (8 bytes, big-endian), the time of the last update (8 bytes), and
//! the value of the record.

use tributary_connectors::views::{Change, RowKey};
use tributary_schemas::types::cases::CaseId;

/// What rows in the order of a list begin with.
pub(super) const LIST: &[u8] = b"updated/";

const NUMBER: usize = 8;

/// A stored case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored<'a> {
    pub(super) offset: i64,
    /// Microseconds since 1970.
    pub(super) updated: i64,
    /// The value of the record.
    pub(super) record: &'a [u8],
}

impl<'a> Stored<'a> {
    /// Reads a value. `None` if it has another form.
    pub(super) fn read(value: &'a [u8]) -> Option<Self> {
        let (offset, rest) = value.split_first_chunk::<NUMBER>()?;
        let (updated, record) = rest.split_first_chunk::<NUMBER>()?;
        Some(Self { offset: i64::from_be_bytes(*offset), updated: i64::from_be_bytes(*updated), record })
    }

    fn value(&self) -> Vec<u8> {
        [&self.offset.to_be_bytes(), &self.updated.to_be_bytes(), self.record].concat()
    }
}

/// The row of a case by its id.
pub(super) fn by_id(id: CaseId) -> RowKey {
    RowKey { of: id.to_string().into_bytes(), key: format!("id/{id}").into_bytes() }
}

/// Before the rows with this time, and after all earlier ones.
pub(super) fn before(updated: i64) -> Vec<u8> {
    // The order of these digits is that of the times, also before 1970.
    format!("updated/{:016x}/", updated.cast_unsigned() ^ (1 << 63)).into_bytes()
}

/// The row of a case in the order of a list.
pub(super) fn by_updated(updated: i64, id: CaseId) -> Vec<u8> {
    [before(updated), id.to_string().into_bytes()].concat()
}

/// What a record of a case does to its rows. `before` is the time of the last update that they have, if they are there.
pub(super) fn change(id: CaseId, timestamp: i64, offset: i64, now: Option<&Stored<'_>>, before: Option<i64>) -> Change {
    let RowKey { of, key } = by_id(id);
    let mut change = Change { of, offset, timestamp, put: Vec::new(), delete: Vec::new() };
    match now {
        Some(stored) => {
            let value = stored.value();
            change.put = vec![(by_updated(stored.updated, id), value.clone()), (key, value)];
        }
        None => change.delete.push(key),
    }
    let moved = before.filter(|before| now.is_none_or(|now| now.updated != *before));
    change.delete.extend(moved.map(|before| by_updated(before, id)));
    change
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(last: u8) -> CaseId {
        CaseId::from_bytes([last; 16])
    }

    #[test]
    fn rows_stand_in_the_order_of_a_list() {
        let times = [i64::MIN, -1, 0, 1, 1_700_000_000_000_000, i64::MAX];
        let keys: Vec<Vec<u8>> =
            times.iter().flat_map(|time| [by_updated(*time, id(1)), by_updated(*time, id(2))]).collect();
        assert!(keys.is_sorted() && keys.iter().all(|key| key.starts_with(LIST)));
        assert!(before(0) > by_updated(-1, id(255)) && before(0) < by_updated(0, id(0)));
    }

    #[test]
    fn a_value_is_read_as_it_was_written() {
        let stored = Stored { offset: 7, updated: -3, record: b"record" };
        assert_eq!(Stored::read(&stored.value()), Some(stored));
        assert_eq!(Stored::read(b"short"), None);
    }

    #[test]
    fn a_row_that_does_not_move_is_not_removed() {
        let stored = Stored { offset: 7, updated: 5, record: b"record" };
        assert_eq!(change(id(1), 0, 7, Some(&stored), Some(5)).delete, [[0; 0]; 0]);
        assert_eq!(change(id(1), 0, 7, Some(&stored), Some(4)).delete, [by_updated(4, id(1))]);
        assert_eq!(change(id(1), 0, 7, None, Some(4)).delete, [by_id(id(1)).key, by_updated(4, id(1))]);
        assert_eq!(change(id(1), 0, 7, None, None).put, []);
    }
}
