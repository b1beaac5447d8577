//! What is in an answer, found without reading it as XML and without keeping it: answers of 10 MB are checked while
//! the measured program runs on the same cores.

use std::time::Duration;

use crate::messages::TOOK;

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// What follows the last `<`.
    rest: Vec<u8>,
    /// Rows of booked times.
    pub(crate) rows: usize,
    /// Records of source systems.
    pub(crate) records: usize,
    /// Records that say that rows have come.
    pub(crate) good: usize,
    /// Engagements of the index.
    pub(crate) engagements: usize,
    /// Whether it is a fault.
    pub(crate) is_fault: bool,
    /// Whether the index has accepted an update.
    pub(crate) is_ok: bool,
    /// How long the slowest source system took.
    pub(crate) slowest: Duration,
}

impl Scan {
    pub(crate) fn take(&mut self, piece: &[u8]) {
        let mut parts = piece.split(|byte| *byte == b'<');
        let (first, last) = (parts.next().unwrap_or_default(), parts.next_back());
        self.rest.extend_from_slice(first);
        let Some(last) = last else { return };
        let whole = std::mem::replace(&mut self.rest, last.to_vec());
        self.note(&whole);
        parts.for_each(|part| self.note(part));
    }

    pub(crate) fn end(&mut self) {
        let whole = std::mem::take(&mut self.rest);
        self.note(&whole);
    }

    /// A tag without its `<`, and the text after it.
    fn note(&mut self, part: &[u8]) {
        let end = part.iter().position(|byte| *byte == b'>').unwrap_or(part.len());
        let (tag, text) = (&part[..end], part.get(end + 1..).unwrap_or_default());
        let local = tag.rsplit(|byte| matches!(byte, b':' | b'/')).next().unwrap_or_default();
        if tag.starts_with(b"/") {
            match local {
                b"timeslotDetail" => self.rows += 1,
                b"ProcessingStatusList" => self.records += 1,
                b"engagement" => self.engagements += 1,
                b"Fault" => self.is_fault = true,
                _ => {}
            }
        } else if text.starts_with(TOOK.as_bytes()) {
            let digits = std::str::from_utf8(&text[TOOK.len()..]).ok().and_then(|digits| digits.parse().ok());
            self.slowest = self.slowest.max(Duration::from_micros(digits.unwrap_or_default()));
        } else {
            self.good += usize::from(text == b"DataFromSource");
            self.is_ok |= local == b"ResultCode" && text == b"OK";
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::{Template, address, found};

    fn scan(message: &str, size: usize) -> Scan {
        let mut scan = Scan::default();
        message.as_bytes().chunks(size).for_each(|piece| scan.take(piece));
        scan.end();
        scan
    }

    #[test]
    fn an_answer_in_pieces_is_seen_like_a_whole_one() {
        let (template, rows) = Template::new(&address(3), 5000);
        assert!(rows > 3, "{rows}");
        let answer = template.fill(Duration::from_micros(1234));
        for size in [1, 7, 100, 10_000] {
            let seen = scan(&answer, size);
            assert_eq!((seen.rows, seen.slowest), (rows, Duration::from_micros(1234)), "pieces of {size}");
            assert_eq!(scan(&found(5, 20), size).engagements, 20);
        }
    }

    #[test]
    fn records_and_faults_are_seen_whatever_their_prefixes() {
        let record =
            |code: &str| format!("<a:ProcessingStatusList><statusCode>{code}</statusCode></a:ProcessingStatusList>");
        let seen = scan(&[record("DataFromSource"), record("NoDataSynchFailed")].concat(), 9);
        assert_eq!((seen.records, seen.good, seen.is_fault), (2, 1, false));
        assert!(scan("<s:Fault><faultstring>x</faultstring></s:Fault>", 5).is_fault);
        assert!(scan("<u:ResultCode>OK</u:ResultCode>", 4).is_ok);
    }
}
