//! Checks whether a file is complete, by its header, its trailer and the number of its lines (D10).

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

/// The first and the last non-blank line of a file, and the number of its non-blank lines.
#[derive(Clone, Debug, Default)]
pub struct Envelope<'a> {
    first: Option<Line<'a>>,
    last: Option<Line<'a>>,
    non_blank: u64,
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

    /// The envelope of a file whose first and last lines are known.
    pub fn new(first: Option<Line<'a>>, last: Option<Line<'a>>, non_blank: u64) -> Self {
        Self { first, last, non_blank }
    }

    /// Adds the next line of the file.
    pub fn see(&mut self, line: Line<'a>) {
        if line.is_blank() {
            return;
        }
        self.non_blank += 1;
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
    fn d10_a_header_that_disagrees_with_the_file_name_is_suspect() {
        assert!(reason(&format!("{}\nTRL,2\n", HEADER.replace("017", "018"))).contains("names the file"));
        assert!(
            reason(&format!("{}\nTRL,2\n", HEADER.replace("\"EOE\"", "\"LDN\""))).contains("names the office `LDN`")
        );
    }
}
