//! The key of a row: it stands for a kind and a number, and tells nothing of them to whoever lacks the key of the hash.

use std::fmt;

use tributary_runtime::{ProcessError, Record, StateKey};

/// The keyed hash of kind and number: HMAC-SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey([u8; Self::BYTES]);

impl RowKey {
    const BYTES: usize = 32;

    /// The key with this hash.
    pub fn new(hash: [u8; Self::BYTES]) -> Self {
        Self(hash)
    }

    /// The hash.
    pub fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// Reads the key of a record: 64 hexadecimal digits in lower case.
    pub fn read(key: &[u8]) -> Option<Self> {
        let mut hash = [0; Self::BYTES];
        let (pairs, rest) = key.as_chunks::<2>();
        if pairs.len() != hash.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(hash))
    }

    /// The key of a record that is about a row.
    ///
    /// # Errors
    /// A dead letter for another key, which is not shown.
    pub(crate) fn of(record: &Record<'_>) -> Result<Self, ProcessError> {
        Self::read(record.key).ok_or_else(|| {
            ProcessError::dead_letter("key-not-a-row", "the key must be a hash of 64 hexadecimal digits")
        })
    }
}

fn digit(letter: u8) -> Option<u8> {
    match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for RowKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RowKey({self})")
    }
}

impl StateKey for RowKey {
    fn write_key(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn read_key(input: &mut &[u8]) -> Option<Self> {
        let (hash, rest) = input.split_first_chunk()?;
        *input = rest;
        Some(Self(*hash))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written() {
        let hash: [u8; 32] = std::array::from_fn(|index| index as u8 * 8 + 5);
        let key = RowKey::new(hash);
        assert_eq!(RowKey::read(key.to_string().as_bytes()), Some(key));
        let mut bytes = Vec::new();
        key.write_key(&mut bytes);
        assert_eq!((RowKey::read_key(&mut &bytes[..]), bytes.len()), (Some(key), 32));
        let upper = key.to_string().to_uppercase();
        for wrong in ["", "ab", "zz", &"0".repeat(63), &"0".repeat(66), &upper] {
            assert_eq!(RowKey::read(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
