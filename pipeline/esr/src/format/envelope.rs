//! Checks whether a file is complete, by its header, its trailer and the number of its lines (D10, D110).

use super::FileName;
use super::columns::InboundLayouts;
use super::inbound::{HeaderLine, Parsed, TrailerLine, parse_line};
use super::read::{Line, LineReader};

/// Why a file is suspect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Suspect {
    /// What is wrong, as a clause.
    pub reason: String,
}

/// The first and the last non-blank line of a file, and what a check needs to know of the lines between them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Envelope<'a> {
    /// The first line.
    pub first: Option<Line<'a>>,
    /// The last line.
    pub last: Option<Line<'a>>,
    /// The number of non-blank lines.
    pub non_blank: u64,
    /// The number of the first header or trailer between them (D110).
    pub misplaced: Option<u64>,
}

impl<'a> Envelope<'a> {
    /// The envelope of a complete file.
    pub fn of(bytes: &'a [u8]) -> Self {
        let mut envelope = Self::default();
        for line in LineReader::new(bytes) {
            envelope.see(line);
        }
        envelope
    }

    /// Adds the next line of the file.
    pub fn see(&mut self, line: Line<'a>) {
        if line.is_blank() {
            return;
        }
        self.non_blank += 1;
        // From the third line on, the one before is neither the first nor the last.
        if let Some(middle) = self.last.filter(|middle| self.non_blank > 2 && is_frame(middle.bytes)) {
            self.misplaced.get_or_insert(middle.number);
        }
        self.first.get_or_insert(line);
        self.last = Some(line);
    }

    /// Checks the file against D10.
    ///
    /// # Errors
    /// The first reason that makes the file suspect.
    pub fn check(&self, name: &FileName, layouts: &InboundLayouts) -> Result<(), Suspect> {
        let parse = |line: Option<Line<'a>>| line.map(|line| parse_line(line, name.office, layouts));
        let header = match parse(self.first) {
            None => return suspect("the file is empty"),
            Some(Parsed::Header(header)) => header,
            Some(Parsed::Rejected(rejection)) if rejection.record_type == "HDR" => {
                return suspect(format!("the header cannot be read: {}", rejection.reason));
            }
            Some(_) => return suspect("the header (HDR) is missing"),
        };
        check_header(&header, name)?;
        match parse(self.last) {
            Some(Parsed::Trailer(trailer)) => self.check_trailer(trailer),
            Some(Parsed::Rejected(rejection)) if rejection.record_type == "TRL" => {
                suspect(format!("the trailer cannot be read: {}", rejection.reason))
            }
            _ => suspect("the trailer (TRL) is missing"),
        }
    }

    fn check_trailer(&self, trailer: TrailerLine) -> Result<(), Suspect> {
        if let Some(line) = self.misplaced {
            return suspect(format!("line {line}, in the middle of the file, is a header or a trailer"));
        }
        match trailer.count {
            None => suspect("the count of the trailer is not a number"),
            Some(count) if count != self.non_blank => {
                suspect(format!("the trailer counts {count} lines, the file has {}", self.non_blank))
            }
            Some(_) => Ok(()),
        }
    }
}

fn check_header(header: &HeaderLine<'_>, name: &FileName) -> Result<(), Suspect> {
    let same = header.file_name.parse::<FileName>().is_ok_and(|stated| stated.same_file(name));
    if !same {
        return suspect(format!("the header names the file `{}`", header.file_name));
    }
    if header.office != name.office.as_str() {
        return suspect(format!("the header names the office `{}`", header.office));
    }
    Ok(())
}

fn suspect(reason: impl Into<String>) -> Result<(), Suspect> {
    Err(Suspect { reason: reason.into() })
}

/// A file up to the end of its trailer, and the number of bytes of padding after it: NUL bytes up to a block border, or
/// the end mark `^Z` of old systems (D110). Without a trailer before it, nothing is padding: only a part of the file
/// may have been written.
pub fn split_padding(content: &[u8]) -> (&[u8], usize) {
    let is_padding = |byte: &u8| matches!(byte, 0 | 0x1A);
    let last = content.iter().rposition(|byte| !is_padding(byte) && !byte.is_ascii_whitespace());
    let (filled, rest) = content.split_at(last.map_or(0, |last| last + 1));
    let padding = rest.iter().filter(|byte| is_padding(byte)).count();
    let last_line = filled.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    if padding == 0 || record_type(last_line) != b"TRL" {
        return (content, 0);
    }
    (filled, padding)
}

fn is_frame(line: &[u8]) -> bool {
    matches!(record_type(line), b"HDR" | b"TRL")
}

/// The first field of a line, bare or in quotes.
fn record_type(line: &[u8]) -> &[u8] {
    let field = line.split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    let quoted = field.strip_prefix(b"\"").and_then(|field| field.strip_suffix(b"\""));
    quoted.map_or(field, <[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::layout::Layouts;

    const NAME: &str = "DE_EOE_RMC_20261120_00000017.DAT";
    const HEADER: &str = r#"HDR,"DE_EOE_RMC_20261120_00000017.DAT",20261120 130000,"EOE",,20261120 130000,"01""#;

    fn check(file: &str) -> Result<(), Suspect> {
        let layouts = InboundLayouts::new(&Layouts::load(None).unwrap(), 8192);
        Envelope::of(file.as_bytes()).check(&NAME.parse().unwrap(), &layouts)
    }

    fn reason(file: &str) -> String {
        check(file).unwrap_err().reason
    }

    #[test]
    fn d10_a_file_with_header_trailer_and_right_count_is_whole() {
        assert_eq!(check(&format!("{HEADER}\nPOS,x\n\nTRL,3\n")), Ok(()));
        assert_eq!(check(&format!("{HEADER}\r\nTRL,2\r\n\r\n")), Ok(()));
        assert_eq!(check(&format!("{}\nTRL,2", HEADER.replace("00000017", "0000017"))), Ok(()));
    }

    #[test]
    fn d10_a_missing_header_or_trailer_or_a_wrong_count_is_suspect() {
        assert_eq!(reason(""), "the file is empty");
        assert_eq!(reason("POS,x\nTRL,2\n"), "the header (HDR) is missing");
        assert_eq!(reason(&format!("{HEADER}\nPOS,x\n")), "the trailer (TRL) is missing");
        assert_eq!(reason(&format!("{HEADER}\nTRL,2\nPOS,x\n")), "the trailer (TRL) is missing");
        assert_eq!(reason(&format!("{HEADER}\nPOS,x\nTRL,4\n")), "the trailer counts 4 lines, the file has 3");
        assert_eq!(reason(&format!("{HEADER}\nTRL,two\n")), "the count of the trailer is not a number");
        assert!(reason(&format!("{HEADER}\nTRL\n")).starts_with("the trailer cannot be read"));
        assert!(reason("HDR,1\nTRL,2\n").starts_with("the header cannot be read"));
    }

    #[test]
    fn d110_a_header_or_trailer_in_the_middle_is_suspect() {
        let middle = |line| format!("line {line}, in the middle of the file, is a header or a trailer");
        assert_eq!(reason(&format!("{HEADER}\n{HEADER}\nPOS,x\nTRL,4\n")), middle(2));
        assert_eq!(reason(&format!("{HEADER}\n\nPOS,x\n \"TRL\" ,9\nTRL,4\n")), middle(4));
        assert_eq!(reason(&format!("{HEADER}\nTRL,2\n{HEADER}\nTRL,2\n")), middle(2), "two files in one");
        assert_eq!(check(&format!("{HEADER}\nTRLX,1\nPOS,TRL\nTRL,4\n")), Ok(()), "only the record type counts");
    }

    #[test]
    fn d110_padding_after_the_trailer_is_left_out() {
        let file = format!("{HEADER}\r\nTRL,2");
        for (padding, bytes) in [("\x1A", 1), ("\r\n\x1A", 1), ("\n\x1A\x1A\n", 2), ("\0\0\0", 3), ("\r\n\0\0", 2)] {
            let padded = format!("{file}{padding}");
            assert_eq!(split_padding(padded.as_bytes()), (file.as_bytes(), bytes), "{padding:?}");
        }
        for unchanged in ["", "\0\0", "POS,x\n\0\0", "TRL,2\n", "TRL,2\n\x1APOS"] {
            assert_eq!(split_padding(unchanged.as_bytes()), (unchanged.as_bytes(), 0), "{unchanged:?}");
        }
    }

    #[test]
    fn d10_a_header_that_disagrees_with_the_file_name_is_suspect() {
        assert!(reason(&format!("{}\nTRL,2\n", HEADER.replace("017", "018"))).contains("names the file"));
        assert!(
            reason(&format!("{}\nTRL,2\n", HEADER.replace("\"EOE\"", "\"LDN\""))).contains("names the office `LDN`")
        );
    }
}
