//! The primitives of Avro's binary encoding. Reading checks each length against the rest of the input before it
//! allocates.

use std::str::FromStr;

use crate::error::{Defect, Malformed};

/// Branch byte of `["null", T]` for null.
pub(crate) const ABSENT: u8 = 0;
/// Branch byte of `["null", T]` for a value.
pub(crate) const PRESENT: u8 = 2;

const MAX_VARINT_BYTES: usize = 10;

pub(crate) fn write_boolean(out: &mut Vec<u8>, value: bool) {
    out.push(u8::from(value));
}

pub(crate) fn write_int(out: &mut Vec<u8>, value: i32) {
    write_long(out, i64::from(value));
}

pub(crate) fn write_long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    if rest < 0x80 {
        out.push(rest as u8);
        return;
    }
    // Pushes cost less than a copy of a few bytes, which is a call.
    out.reserve(MAX_VARINT_BYTES);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

pub(crate) fn write_double(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn write_bytes(out: &mut Vec<u8>, value: &[u8]) {
    out.reserve(value.len() + MAX_VARINT_BYTES);
    write_long(out, value.len() as i64);
    out.extend_from_slice(value);
}

pub(crate) fn write_array<T>(out: &mut Vec<u8>, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    if !items.is_empty() {
        write_long(out, items.len() as i64);
        for item in items {
            write(out, item);
        }
    }
    out.push(0);
}

pub(crate) fn read_boolean(input: &mut &[u8]) -> Result<bool, Malformed> {
    match read_byte(input)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed::new(Defect::Boolean)),
    }
}

pub(crate) fn read_int(input: &mut &[u8]) -> Result<i32, Malformed> {
    i32::try_from(read_long(input)?).map_err(|_| Malformed::new(Defect::Number))
}

#[inline]
pub(crate) fn read_long(input: &mut &[u8]) -> Result<i64, Malformed> {
    let first = read_byte(input)?;
    if first < 0x80 {
        return Ok(zig_zag(u64::from(first)));
    }
    let mut value = u64::from(first & 0x7f);
    for shift in (7..70).step_by(7) {
        let byte = read_byte(input)?;
        if shift == 63 && byte > 1 {
            return Err(Malformed::new(Defect::Number));
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(zig_zag(value));
        }
    }
    Err(Malformed::new(Defect::Number))
}

pub(crate) fn read_double(input: &mut &[u8]) -> Result<f64, Malformed> {
    let (bytes, rest) = input.split_first_chunk().ok_or(Malformed::new(Defect::TooShort))?;
    *input = rest;
    Ok(f64::from_le_bytes(*bytes))
}

pub(crate) fn read_bytes<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = usize::try_from(read_long(input)?).map_err(|_| Malformed::new(Defect::Length))?;
    let (bytes, rest) = input.split_at_checked(length).ok_or(Malformed::new(Defect::TooShort))?;
    *input = rest;
    Ok(bytes)
}

pub(crate) fn read_string(input: &mut &[u8]) -> Result<String, Malformed> {
    let bytes = read_bytes(input)?;
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Malformed::new(Defect::Text))
}

/// Reads an int that stands for one of a few values.
pub(crate) fn read_code<T: TryFrom<i32>>(input: &mut &[u8]) -> Result<T, Malformed> {
    T::try_from(read_int(input)?).map_err(|_| Malformed::new(Defect::Code))
}

/// Reads a text that stands for a value of `T`; `field` and `of` say which field and type, for errors.
pub(crate) fn read_text<T: FromStr>(input: &mut &[u8], field: &'static str, of: &'static str) -> Result<T, Malformed> {
    let text = std::str::from_utf8(read_bytes(input)?).map_err(|_| Malformed::new(Defect::Text))?;
    text.parse().map_err(|_| Malformed::new(Defect::Value { field, of }))
}

/// Reads whether the value of `["null", T]` follows.
pub(crate) fn read_presence(input: &mut &[u8]) -> Result<bool, Malformed> {
    match read_long(input)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed::new(Defect::Branch)),
    }
}

/// Reads bytes that stand for a value of `T`; `field` and `of` say which field and type, for errors.
pub(crate) fn read_binary<T: for<'a> TryFrom<&'a [u8]>>(
    input: &mut &[u8],
    field: &'static str,
    of: &'static str,
) -> Result<T, Malformed> {
    T::try_from(read_bytes(input)?).map_err(|_| Malformed::new(Defect::Value { field, of }))
}

/// Reads one of `symbols`, whose first has the number `first`. Numbers before it stand for symbols of a newer release.
pub(crate) fn read_symbol<T: Copy>(input: &mut &[u8], first: usize, symbols: &[T]) -> Result<T, Malformed> {
    let index = usize::try_from(read_long(input)?).map_err(|_| Malformed::new(Defect::Symbol))?;
    let index = index.checked_sub(first).ok_or(Malformed::new(Defect::NewerSymbol))?;
    symbols.get(index).copied().ok_or(Malformed::new(Defect::Symbol))
}

/// Reads the blocks of an array. An item takes at least `fewest_bytes`, which must not be zero.
pub(crate) fn read_array<T>(
    input: &mut &[u8],
    fewest_bytes: usize,
    read: impl Fn(&mut &[u8]) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let mut items = Vec::new();
    loop {
        let mut count = read_long(input)?;
        if count == 0 {
            return Ok(items);
        }
        if count < 0 {
            // A negative count is followed by the block's size in bytes, for readers that skip.
            count = count.checked_neg().ok_or(Malformed::new(Defect::Length))?;
            read_long(input)?;
        }
        let count = usize::try_from(count).map_err(|_| Malformed::new(Defect::Length))?;
        if count > input.len() / fewest_bytes {
            return Err(Malformed::new(Defect::TooShort));
        }
        items.reserve(count);
        for _ in 0..count {
            items.push(read(input)?);
        }
    }
}

#[inline]
fn read_byte(input: &mut &[u8]) -> Result<u8, Malformed> {
    let (&byte, rest) = input.split_first().ok_or(Malformed::new(Defect::TooShort))?;
    *input = rest;
    Ok(byte)
}

fn zig_zag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longs_read_back() {
        for value in [0, 1, -1, 63, 64, -64, -65, i64::from(i32::MAX), i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            write_long(&mut bytes, value);
            let mut input = bytes.as_slice();
            assert_eq!(read_long(&mut input), Ok(value));
            assert!(input.is_empty());
        }
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_refused() {
        let mut input = [0xff; 11].as_slice();
        assert_eq!(read_long(&mut input).map_err(|e| e.defect), Err(Defect::Number));
        let mut input = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02].as_slice();
        assert_eq!(read_long(&mut input).map_err(|e| e.defect), Err(Defect::Number));
        let mut int = Vec::new();
        write_long(&mut int, i64::from(i32::MAX) + 1);
        assert_eq!(read_int(&mut int.as_slice()).map_err(|e| e.defect), Err(Defect::Number));
    }

    #[test]
    fn a_length_beyond_the_input_is_refused_before_allocating() {
        let mut bytes = Vec::new();
        write_long(&mut bytes, i64::MAX);
        assert_eq!(read_bytes(&mut bytes.as_slice()).map_err(|e| e.defect), Err(Defect::TooShort));
        let array = read_array(&mut bytes.as_slice(), 1, read_long);
        assert_eq!(array.map_err(|e| e.defect), Err(Defect::TooShort));
        let mut negative = Vec::new();
        write_long(&mut negative, i64::MIN);
        let array = read_array(&mut negative.as_slice(), 1, read_long);
        assert_eq!(array.map_err(|e| e.defect), Err(Defect::Length));
    }

    #[test]
    fn arrays_in_sized_blocks_are_read() {
        let mut bytes = Vec::new();
        write_long(&mut bytes, -2);
        write_long(&mut bytes, 2);
        write_long(&mut bytes, 5);
        write_long(&mut bytes, 6);
        write_long(&mut bytes, 1);
        write_long(&mut bytes, 7);
        write_long(&mut bytes, 0);
        assert_eq!(read_array(&mut bytes.as_slice(), 1, read_long), Ok(vec![5, 6, 7]));
    }
}
