//! The bytes of one stored record batch: the records of one transaction in one partition, with their offsets.
//!
//! Each record has flags, the distance to the previous offset, the distance to the previous timestamp, the key, the
//! value unless it is a tombstone, and the headers unless they equal those of the previous record. Numbers are LEB128.

use tributary_runtime::Headers;
use tributary_runtime::memory::StoredRecord;

const TOMBSTONE: u8 = 1;
const SAME_HEADERS: u8 = 2;

/// Encodes records in order of their offsets. `expected_bytes` is the first size of the buffer.
pub(super) fn encode<'a>(records: impl Iterator<Item = StoredRecord<'a>>, expected_bytes: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(expected_bytes);
    let mut previous = Previous::default();
    for record in records {
        push(&mut bytes, &mut previous, &record);
    }
    bytes
}

#[derive(Default)]
struct Previous<'a> {
    offset: i64,
    timestamp: i64,
    headers: &'a [u8],
}

fn push<'a>(bytes: &mut Vec<u8>, previous: &mut Previous<'a>, record: &StoredRecord<'a>) {
    let headers = record.headers.as_bytes();
    let is_same = headers == previous.headers;
    let flags = if record.value.is_none() { TOMBSTONE } else { 0 } | if is_same { SAME_HEADERS } else { 0 };
    bytes.push(flags);
    push_signed(bytes, record.offset.wrapping_sub(previous.offset));
    push_signed(bytes, record.timestamp.wrapping_sub(previous.timestamp));
    push_slice(bytes, record.key);
    if let Some(value) = record.value {
        push_slice(bytes, value);
    }
    if !is_same {
        push_slice(bytes, headers);
    }
    *previous = Previous { offset: record.offset, timestamp: record.timestamp, headers };
}

/// Reads records one by one. Stops at the end, or at bytes that cannot be understood: see [`Records::is_sound`].
pub(super) struct Records<'a> {
    rest: &'a [u8],
    previous: Previous<'a>,
    is_sound: bool,
}

impl<'a> Records<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, previous: Previous::default(), is_sound: true }
    }

    /// Whether all bytes so far could be understood.
    pub(super) fn is_sound(&self) -> bool {
        self.is_sound
    }

    fn read(&mut self) -> Option<StoredRecord<'a>> {
        let flags = self.byte()?;
        let offset = self.previous.offset.wrapping_add(self.signed()?);
        let timestamp = self.previous.timestamp.wrapping_add(self.signed()?);
        let key = self.slice()?;
        let value = if flags & TOMBSTONE == 0 { Some(self.slice()?) } else { None };
        let headers = if flags & SAME_HEADERS == 0 { self.slice()? } else { self.previous.headers };
        self.previous = Previous { offset, timestamp, headers };
        Some(StoredRecord { offset, timestamp, key, value, headers: Headers::from_bytes(headers) })
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let value = self.unsigned()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn slice(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.unsigned()?).ok()?;
        let (slice, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(slice)
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = StoredRecord<'a>;

    fn next(&mut self) -> Option<StoredRecord<'a>> {
        if self.rest.is_empty() || !self.is_sound {
            return None;
        }
        let record = self.read();
        self.is_sound = record.is_some();
        record
    }
}

fn push_unsigned(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn push_signed(bytes: &mut Vec<u8>, value: i64) {
    push_unsigned(bytes, (value as u64) << 1 ^ (value >> 63) as u64);
}

fn push_slice(bytes: &mut Vec<u8>, slice: &[u8]) {
    push_unsigned(bytes, slice.len() as u64);
    bytes.extend_from_slice(slice);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(
        offset: i64,
        timestamp: i64,
        key: &'a [u8],
        value: Option<&'a [u8]>,
        headers: &'a [u8],
    ) -> StoredRecord<'a> {
        StoredRecord { offset, timestamp, key, value, headers: Headers::from_bytes(headers) }
    }

    #[test]
    fn records_read_back_as_written() {
        let long = vec![7; 300];
        let records = [
            record(1000, 1_764_000_000_000, b"a", Some(b"1"), b"\x01h\x00\x01v"),
            record(1001, 1_764_000_000_000, b"b", None, b"\x01h\x00\x01v"),
            record(1005, -5, b"", Some(b""), b""),
            record(i64::MAX, i64::MIN, &long, Some(&long), b"\x01x\x00\x00"),
        ];
        let bytes = encode(records.into_iter(), 0);
        let mut read = Records::new(&bytes);
        assert_eq!(read.by_ref().collect::<Vec<_>>(), records);
        assert!(read.is_sound());
    }

    #[test]
    fn truncated_bytes_are_noticed() {
        let bytes = encode([record(1, 2, b"key", Some(b"value"), b"\x01h\x00\x01v")].into_iter(), 0);
        for length in 1..bytes.len() {
            let mut read = Records::new(&bytes[..length]);
            assert_eq!(read.by_ref().count(), 0, "{length}");
            assert!(!read.is_sound(), "{length}");
        }
    }
}
