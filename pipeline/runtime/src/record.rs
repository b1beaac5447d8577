//! Records as processors see them: borrowed from the log for the duration of one call.

/// Milliseconds since the Unix epoch.
pub type TimestampMillis = i64;

/// One record of an inbox.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Where it was read.
    pub origin: crate::TopicPartition,
    /// Its offset there.
    pub offset: i64,
    /// When the event it reports happened; outputs inherit it.
    pub timestamp: TimestampMillis,
    /// The key's bytes; empty when the producer gave none.
    pub key: &'a [u8],
    /// The value, or `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    /// Headers; outputs inherit them.
    pub headers: Headers<'a>,
}

/// Headers of a record in one compact run of bytes: for each header its name's length (one byte), the name, the
/// value's length (two bytes, big-endian) and the value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Headers<'a>(&'a [u8]);

impl<'a> Headers<'a> {
    /// Reads headers from their compact form, which must come from [`Headers::as_bytes`] or [`append_header`].
    pub fn from_bytes(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The compact form.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The value of the first header called `name`.
    pub fn get(self, name: &str) -> Option<&'a [u8]> {
        self.iter().find_map(|(candidate, value)| (candidate == name).then_some(value))
    }

    /// All headers in order. Stops at the first malformed one.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (&name_length, after) = rest.split_first()?;
            let (name, after) = after.split_at_checked(usize::from(name_length))?;
            let (value_length, after) = after.split_first_chunk::<2>()?;
            let (value, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*value_length)))?;
            rest = after;
            Some((std::str::from_utf8(name).ok()?, value))
        })
    }
}

/// Appends one header in compact form. Names are cut at 255 bytes and values at 65,535.
pub fn append_header(buffer: &mut Vec<u8>, name: &str, value: &[u8]) {
    let name = &name.as_bytes()[..name.len().min(usize::from(u8::MAX))];
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    buffer.push(name.len() as u8);
    buffer.extend_from_slice(name);
    buffer.extend_from_slice(&(value.len() as u16).to_be_bytes());
    buffer.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_back_in_order() {
        let mut bytes = Vec::new();
        append_header(&mut bytes, "correlation", b"DE_EOE_RMC:7");
        append_header(&mut bytes, "traceparent", b"00-1-2-01");
        let headers = Headers::from_bytes(&bytes);
        assert_eq!(headers.get("traceparent"), Some(b"00-1-2-01".as_slice()));
        assert_eq!(headers.iter().count(), 2);
        assert_eq!(headers.get("absent"), None);
    }

    #[test]
    fn malformed_headers_end_the_iteration() {
        assert_eq!(Headers::from_bytes(&[200, 1, 2]).iter().count(), 0);
    }
}
