//! The batch join: what the last row of every pair must be, worked out from the last values of the inputs alone.
//!
//! It shares the layout with the flow, and nothing else.

use std::collections::{BTreeMap, HashMap};

use crate::layout::{Dpn, PAIR_KEY_LENGTH, Placement, Position, Post, Row, pair_key, write_row};

/// Rows by the key of their pair.
pub type Rows = BTreeMap<[u8; PAIR_KEY_LENGTH], Vec<u8>>;

/// The last values of the inputs.
#[derive(Debug, Default)]
pub struct Inputs {
    positions: HashMap<i64, Position>,
    posts: HashMap<Dpn, Post>,
    placements: HashMap<i64, Placement>,
}

impl Inputs {
    /// Takes one record of `positions`. One that cannot be read is left out, as the flow does.
    pub fn position(&mut self, key: &[u8], value: Option<&[u8]>) {
        keep(&mut self.positions, id(key), value, Position::from_slice);
    }

    /// Takes one record of `posts`.
    pub fn post(&mut self, key: &[u8], value: Option<&[u8]>) {
        keep(&mut self.posts, Dpn::from_slice(key), value, Post::from_slice);
    }

    /// Takes one record of `placements`.
    pub fn placement(&mut self, key: &[u8], value: Option<&[u8]>) {
        keep(&mut self.placements, id(key), value, Placement::from_slice);
    }

    /// The row of every pair.
    pub fn join(&self) -> Rows {
        let mut positions: HashMap<Dpn, Vec<(i64, &Position)>> = HashMap::new();
        for (id, position) in self.positions.iter().filter(|(_, position)| position.lives()) {
            positions.entry(position.dpn()).or_default().push((*id, position));
        }
        let mut rows = Rows::new();
        for (id, placement) in self.placements.iter().filter(|(_, placement)| placement.lives()) {
            let dpn = placement.dpn();
            let Some(post) = self.posts.get(&dpn).filter(|post| post.lives()) else { continue };
            for position in positions.get(&dpn).into_iter().flatten() {
                let row = rows.entry(pair_key(*id, position.0)).or_default();
                write_row(row, (*id, placement), *position, post);
            }
        }
        rows
    }
}

fn id(key: &[u8]) -> Option<i64> {
    key.try_into().ok().map(i64::from_be_bytes)
}

fn keep<K: std::hash::Hash + Eq, V>(
    values: &mut HashMap<K, V>,
    key: Option<K>,
    value: Option<&[u8]>,
    read: impl Fn(&[u8]) -> Option<V>,
) {
    let Some(key) = key else { return };
    match value {
        None => {
            values.remove(&key);
        }
        Some(value) => {
            if let Some(value) = read(value) {
                values.insert(key, value);
            }
        }
    }
}

/// How an output differs from the batch join.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// Rows that are as they must be.
    pub equal: usize,
    /// Rows that are not there.
    pub missing: usize,
    /// Rows that exist with other bytes.
    pub wrong: usize,
    /// Rows that should not be there.
    pub surplus: usize,
}

impl Difference {
    /// Compares the rows found with those expected.
    pub fn between(actual: &Rows, expected: &Rows) -> Self {
        let mut difference = Self::default();
        for (key, row) in expected {
            match actual.get(key) {
                None => difference.missing += 1,
                Some(found) if found == row => difference.equal += 1,
                Some(_) => difference.wrong += 1,
            }
        }
        difference.surplus = actual.len() - difference.equal - difference.wrong;
        difference
    }

    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.missing == 0 && self.wrong == 0 && self.surplus == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{placement, position, post};

    #[test]
    fn a_pair_needs_all_three_alive_at_one_dpn() {
        let mut inputs = Inputs::default();
        inputs.position(&1_i64.to_be_bytes(), Some(&position(5, b'C', 0).0));
        inputs.position(&2_i64.to_be_bytes(), Some(&position(5, b'D', 0).0));
        inputs.placement(&3_i64.to_be_bytes(), Some(&placement(5, b'P', 0).0));
        inputs.placement(&4_i64.to_be_bytes(), Some(&placement(6, b'A', 0).0));
        inputs.placement(&5_i64.to_be_bytes(), Some(&placement(5, b'X', 0).0));
        assert_eq!(inputs.join().len(), 0, "no post yet");
        let (dpn, row) = post(5, b'I', 0);
        inputs.post(&dpn.0, Some(&row.0));
        assert_eq!(inputs.join().into_keys().collect::<Vec<_>>(), [pair_key(3, 1)]);
        inputs.post(&dpn.0, Some(&post(5, b'D', 1).1.0));
        assert_eq!(inputs.join().len(), 0);
    }

    #[test]
    fn each_kind_of_difference_is_counted() {
        let rows =
            |pairs: &[(i64, u8)]| -> Rows { pairs.iter().map(|(id, byte)| (pair_key(*id, 0), vec![*byte])).collect() };
        let difference = Difference::between(&rows(&[(1, 1), (2, 9), (4, 4)]), &rows(&[(1, 1), (2, 2), (3, 3)]));
        assert_eq!(difference, Difference { equal: 1, missing: 1, wrong: 1, surplus: 1 });
        assert!(!difference.is_none());
    }
}
