//! Merges the rows of buckets into the order of their keys.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::super::StoredRow;

/// Pieces of buckets, each in the order of its keys. A piece that is full may have a successor.
pub(super) struct Merge {
    pieces: Vec<Piece>,
    /// The first key of each piece, and its bucket.
    first: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
    full: usize,
    /// A bucket whose piece has ended, and the last key of it.
    ended: Vec<(usize, Vec<u8>)>,
}

struct Piece {
    rows: VecDeque<StoredRow>,
    has_more: bool,
}

impl Merge {
    /// Begins with the first piece of each bucket; one with `full` rows is full. The row `excluded` is left out.
    pub(super) fn new(pieces: Vec<Vec<StoredRow>>, full: usize, excluded: Option<&[u8]>) -> Self {
        let count = pieces.len();
        let empty = || Piece { rows: VecDeque::new(), has_more: false };
        let mut merge =
            Self { pieces: (0..count).map(|_| empty()).collect(), first: BinaryHeap::new(), full, ended: Vec::new() };
        for (bucket, mut rows) in pieces.into_iter().enumerate() {
            let has_more = rows.len() >= full;
            let last = rows.last().map(|row| row.key.clone());
            rows.retain(|row| Some(row.key.as_slice()) != excluded);
            merge.take(bucket, rows, has_more, last);
        }
        merge
    }

    /// A bucket of which more has to be read before the next row is known, and the key to read after.
    pub(super) fn wants_more(&mut self) -> Option<(usize, Vec<u8>)> {
        self.ended.pop()
    }

    /// The next piece of a bucket that wanted more.
    pub(super) fn add(&mut self, bucket: usize, rows: Vec<StoredRow>) {
        let has_more = rows.len() >= self.full;
        let last = rows.last().map(|row| row.key.clone());
        self.take(bucket, rows, has_more, last);
    }

    /// The next row, if no bucket wants more.
    pub(super) fn next(&mut self) -> Option<StoredRow> {
        let Reverse((key, bucket)) = self.first.pop()?;
        let piece = self.pieces.get_mut(bucket)?;
        let row = piece.rows.pop_front()?;
        match piece.rows.front() {
            Some(next) => self.first.push(Reverse((next.key.clone(), bucket))),
            None if piece.has_more => self.ended.push((bucket, key)),
            None => {}
        }
        Some(row)
    }

    fn take(&mut self, bucket: usize, rows: Vec<StoredRow>, has_more: bool, last: Option<Vec<u8>>) {
        match (rows.first(), last) {
            (Some(first), _) => self.first.push(Reverse((first.key.clone(), bucket))),
            (None, Some(last)) if has_more => self.ended.push((bucket, last)),
            (None, _) => {}
        }
        if let Some(piece) = self.pieces.get_mut(bucket) {
            *piece = Piece { rows: rows.into(), has_more };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: u8) -> StoredRow {
        StoredRow { key: vec![key], timestamp: 0, value: Vec::new() }
    }

    /// Reads buckets in pieces of two rows.
    fn merged(buckets: &[&[u8]], excluded: Option<u8>) -> Vec<u8> {
        let piece = |bucket: usize, after: Option<u8>| {
            let rest = buckets[bucket].iter().filter(|key| after.is_none_or(|after| **key > after));
            rest.take(2).map(|key| row(*key)).collect::<Vec<_>>()
        };
        let begun = (0..buckets.len()).map(|bucket| piece(bucket, None)).collect();
        let excluded = excluded.map(|key| vec![key]);
        let mut merge = Merge::new(begun, 2, excluded.as_deref());
        let mut keys = Vec::new();
        loop {
            if let Some((bucket, last)) = merge.wants_more() {
                merge.add(bucket, piece(bucket, Some(last[0])));
            } else if let Some(row) = merge.next() {
                keys.push(row.key[0]);
            } else {
                return keys;
            }
        }
    }

    #[test]
    fn rows_of_uneven_buckets_come_in_the_order_of_their_keys() {
        assert_eq!(merged(&[&[9], &[1, 2, 3, 4, 5, 6], &[], &[0, 7, 8]], None), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(merged(&[&[1, 2, 3, 4], &[5, 6]], None), [1, 2, 3, 4, 5, 6]);
        assert_eq!(merged(&[&[], &[]], None), [0; 0]);
    }

    #[test]
    fn the_key_after_which_a_range_begins_is_left_out() {
        assert_eq!(merged(&[&[1, 3], &[2]], Some(1)), [2, 3]);
        assert_eq!(merged(&[&[1, 3], &[2]], Some(0)), [1, 2, 3]);
    }
}
