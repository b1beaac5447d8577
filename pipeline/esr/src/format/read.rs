//! The CSV dialect of the interface files: lines, and the fields of a line. The module `inbound` gives the fields their
//! meaning.
//!
//! Commas separate the fields. A field is bare or in double quotes. In quotes, a doubled quote means one quote, and a
//! backslash is an ordinary character, also before the closing quote (D3). Lines end in LF or CRLF.

use std::borrow::Cow;

/// The byte order mark, which does not belong to the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One line of a file, without its line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Counted from 1, blank lines included.
    pub number: u64,
    /// The content.
    pub bytes: &'a [u8],
}

impl Line<'_> {
    /// Whether the line contains only blanks.
    pub fn is_blank(&self) -> bool {
        self.bytes.trim_ascii().is_empty()
    }
}

/// The lines of a file.
#[derive(Clone, Debug)]
pub struct LineReader<'a> {
    bytes: &'a [u8],
    offset: usize,
    number: u64,
}

impl<'a> LineReader<'a> {
    /// Reads `bytes` from the start.
    pub fn new(bytes: &'a [u8]) -> Self {
        let offset = if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        Self { bytes, offset, number: 0 }
    }

    /// Reads `bytes` from `offset`, the start of a line. `number` lines come before it.
    pub fn resume(bytes: &'a [u8], offset: usize, number: u64) -> Self {
        if offset == 0 {
            return Self::new(bytes);
        }
        Self { bytes, offset: offset.min(bytes.len()), number }
    }

    /// The offset of the next line.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl<'a> Iterator for LineReader<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let rest = self.bytes.get(self.offset..).filter(|rest| !rest.is_empty())?;
        let (line, consumed) = match rest.iter().position(|byte| *byte == b'\n') {
            Some(end) => (&rest[..end], end + 1),
            None => (rest, rest.len()),
        };
        self.offset += consumed;
        self.number += 1;
        Some(Line { number: self.number, bytes: line.strip_suffix(b"\r").unwrap_or(line) })
    }
}

/// Decodes a line as UTF-8, otherwise as Windows-1252 (D3). The second value is `true` for UTF-8.
pub fn decode(bytes: &[u8]) -> (Cow<'_, str>, bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(text), true),
        Err(_) => (encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0, false),
    }
}

/// A line that does not follow the dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct LineError {
    /// The wrong field, counted from 1.
    pub column: u32,
    /// What is wrong.
    pub reason: Malformed,
}

/// How a line breaks the dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A quoted field is not closed.
    #[error("the closing quote is missing")]
    UnterminatedQuote,
    /// Something other than a comma follows a quoted field.
    #[error("there is text after the closing quote")]
    TextAfterQuote,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
    doubled_quotes: bool,
}

/// The fields of one line, as offsets in it. The buffer is reused for each line, so splitting allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    spans: Vec<Span>,
}

impl Fields {
    /// No fields yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Splits `line`. After an error, the fields before the wrong field are available.
    ///
    /// # Errors
    /// The first field that does not follow the dialect.
    pub fn split(&mut self, line: &str) -> Result<(), LineError> {
        self.spans.clear();
        let bytes = line.as_bytes();
        let mut at = 0;
        loop {
            let (span, next) = if bytes.get(at) == Some(&b'"') {
                quoted(bytes, at + 1).map_err(|reason| LineError { column: self.next_column(), reason })?
            } else {
                bare(bytes, at)
            };
            self.spans.push(span);
            if next >= bytes.len() {
                return Ok(());
            }
            at = next + 1;
        }
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The content of a field, counted from 0, without its quotes. `None` after the last field. `line` must be the line
    /// that was split.
    pub fn get<'a>(&self, line: &'a str, index: usize) -> Option<Cow<'a, str>> {
        let span = self.spans.get(index)?;
        let text = line.get(span.start..span.end)?;
        if span.doubled_quotes { Some(Cow::Owned(text.replace("\"\"", "\""))) } else { Some(Cow::Borrowed(text)) }
    }

    fn next_column(&self) -> u32 {
        u32::try_from(self.spans.len() + 1).unwrap_or(u32::MAX)
    }
}

/// The bare field that starts at `start`, and the offset of its comma or of the end of the line.
fn bare(bytes: &[u8], start: usize) -> (Span, usize) {
    let length = bytes[start..].iter().position(|byte| *byte == b',').unwrap_or(bytes.len() - start);
    let end = start + length;
    (Span { start, end, doubled_quotes: false }, end)
}

/// The quoted field whose content starts at `start`, and the offset of its comma or of the end of the line.
fn quoted(bytes: &[u8], start: usize) -> Result<(Span, usize), Malformed> {
    let mut at = start;
    let mut doubled_quotes = false;
    loop {
        let ahead = bytes[at..].iter().position(|byte| *byte == b'"').ok_or(Malformed::UnterminatedQuote)?;
        let end = at + ahead;
        match bytes.get(end + 1) {
            Some(b'"') => {
                doubled_quotes = true;
                at = end + 2;
            }
            Some(b',') | None => return Ok((Span { start, end, doubled_quotes }, end + 1)),
            Some(_) => return Err(Malformed::TextAfterQuote),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(line: &str) -> Result<Vec<String>, LineError> {
        let mut fields = Fields::new();
        fields.split(line)?;
        Ok((0..fields.len()).map(|index| fields.get(line, index).unwrap().into_owned()).collect())
    }

    #[test]
    fn fields_are_bare_or_quoted() {
        assert_eq!(split(r#"POS,7,,"C","","a,b""#).unwrap(), ["POS", "7", "", "C", "", "a,b"]);
        assert_eq!(split("").unwrap(), [""]);
        assert_eq!(split(",").unwrap(), ["", ""]);
        assert_eq!(split(r#""","#).unwrap(), ["", ""]);
        assert_eq!(split(r#"a"b, "c""#).unwrap(), ["a\"b", " \"c\""]);
    }

    #[test]
    fn d3_a_backslash_is_an_ordinary_character_also_before_the_closing_quote() {
        assert_eq!(split(r#""ends in \","next""#).unwrap(), [r"ends in \", "next"]);
        assert_eq!(split(r#""\\","\n\"""#).unwrap_err().column, 2);
        assert_eq!(split(r#"\,"x""#).unwrap(), [r"\", "x"]);
    }

    #[test]
    fn a_doubled_quote_is_one_quote() {
        assert_eq!(split(r#""the ""old"" post","""",x"#).unwrap(), ["the \"old\" post", "\"", "x"]);
        assert_eq!(split(r#""a"","#).unwrap_err().reason, Malformed::UnterminatedQuote);
    }

    #[test]
    fn a_malformed_line_is_reported_with_its_column() {
        for (line, column, reason) in [
            (r#"POS,"open"#, 2, Malformed::UnterminatedQuote),
            (r#"POS,7,"C"x,1"#, 3, Malformed::TextAfterQuote),
            (r#"POS,7,"C" ,1"#, 3, Malformed::TextAfterQuote),
            (r#"""#, 1, Malformed::UnterminatedQuote),
        ] {
            assert_eq!(split(line), Err(LineError { column, reason }), "{line}");
        }
    }

    #[test]
    fn lines_end_in_lf_or_crlf_and_a_byte_order_mark_is_skipped() {
        let file = b"\xEF\xBB\xBFHDR\r\n\n  \r\nPOS,\rx\nTRL";
        let lines: Vec<_> = LineReader::new(file).map(|line| (line.number, line.bytes, line.is_blank())).collect();
        assert_eq!(
            lines,
            [(1, &b"HDR"[..], false), (2, b"", true), (3, b"  ", true), (4, b"POS,\rx", false), (5, b"TRL", false)]
        );
        let mut reader = LineReader::new(file);
        reader.nth(2);
        let rest = LineReader::resume(file, reader.offset(), 3);
        assert_eq!(rest.map(|line| line.number).collect::<Vec<_>>(), [4, 5]);
    }

    #[test]
    fn d3_what_is_not_utf8_is_read_as_windows_1252() {
        assert_eq!(decode("Zoë".as_bytes()), (Cow::Borrowed("Zoë"), true));
        assert_eq!(decode(b"Zo\xEB \x80"), (Cow::Owned("Zoë €".to_owned()), false));
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut fields = Fields::new();
            for line in LineReader::new(&bytes) {
                let (text, _) = decode(line.bytes);
                let _ = fields.split(&text);
                for index in 0..=fields.len() {
                    fields.get(&text, index);
                }
            }
        }

        #[test]
        fn any_mix_of_quotes_commas_and_backslashes_can_be_read(line in r#"[",\\a\r é]{0,24}"#) {
            let mut fields = Fields::new();
            if fields.split(&line).is_ok() {
                prop_assert!(!fields.is_empty());
                for index in 0..fields.len() {
                    prop_assert!(fields.get(&line, index).is_some());
                }
            }
        }
    }
}
