//! Headers and times on the wire.
//!
//! The time of a record is the time of what it reports. It may be long past or, in a trial run, in the future. Kafka
//! applies retention by that time and refuses records from the future. So a time far from the clock travels in a
//! header.

use rdkafka::message::{BorrowedHeaders, Header, Headers as _, OwnedHeaders};
use tributary_runtime::{Headers, TimestampMillis, append_header};

/// The header that carries a record's time when Kafka's own field cannot.
const TIME_HEADER: &str = "tributary.time";

/// Times closer to the clock than this travel in Kafka's own field. The broker's limit is one hour.
const NEAR_MILLIS: i64 = 30 * 60 * 1000;

/// The time for Kafka's field, and the headers.
pub(super) fn to_wire(
    timestamp: TimestampMillis,
    now: TimestampMillis,
    headers: Headers<'_>,
) -> (i64, Option<OwnedHeaders>) {
    let near = timestamp >= 0 && now.abs_diff(timestamp) <= NEAR_MILLIS as u64;
    if near && headers.as_bytes().is_empty() {
        return (timestamp, None);
    }
    let mut wire = OwnedHeaders::new();
    for (key, value) in headers.iter() {
        wire = wire.insert(Header { key, value: Some(value) });
    }
    if near {
        return (timestamp, Some(wire));
    }
    let time = timestamp.to_be_bytes();
    (now, Some(wire.insert(Header { key: TIME_HEADER, value: Some(time.as_slice()) })))
}

/// Whether a record's time may come from a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeHeader {
    /// The writers are processes of this product.
    Trusted,
    /// Anyone may have written it, so only the broker's time counts.
    Dropped,
}

/// Writes the headers in compact form to `buffer` and returns the record's time.
pub(super) fn from_wire(
    timestamp: Option<i64>,
    headers: Option<&BorrowedHeaders>,
    time_header: TimeHeader,
    buffer: &mut Vec<u8>,
) -> TimestampMillis {
    buffer.clear();
    let mut time = timestamp.unwrap_or_default();
    for header in headers.iter().flat_map(|headers| headers.iter()) {
        let value = header.value.unwrap_or_default();
        match <[u8; 8]>::try_from(value) {
            Ok(_) if header.key == TIME_HEADER && time_header == TimeHeader::Dropped => {}
            Ok(bytes) if header.key == TIME_HEADER => time = i64::from_be_bytes(bytes),
            _ => append_header(buffer, header.key, value),
        }
    }
    time
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_000_000;

    #[test]
    fn a_time_near_the_clock_needs_no_header() {
        assert!(matches!(to_wire(NOW - 1000, NOW, Headers::default()), (time, None) if time == NOW - 1000));
    }

    #[test]
    fn a_time_far_from_the_clock_comes_back_from_the_header() {
        let mut compact = Vec::new();
        append_header(&mut compact, "correlation", b"DE_EOE_RMC:7");
        for far in [0, -5, NOW - 90 * 86_400_000, NOW + 7_200_000] {
            let (field, wire) = to_wire(far, NOW, Headers::from_bytes(&compact));
            let wire = wire.expect("headers");
            assert_eq!(field, NOW);
            let mut buffer = vec![9];
            let mut read = |header| from_wire(Some(field), Some(wire.as_borrowed()), header, &mut buffer);
            assert_eq!((read(TimeHeader::Dropped), read(TimeHeader::Trusted)), (field, far));
            assert_eq!(buffer, compact);
        }
    }
}
