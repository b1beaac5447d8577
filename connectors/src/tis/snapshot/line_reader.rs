//! Lines of a snapshot file, plain or gzip, with a limit on their length.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::files::open_regular;

/// No object of TIS has a longer line. The limit keeps a broken file from filling the memory.
pub(super) const MAX_LINE_BYTES: usize = 1 << 20;

const BUFFER_BYTES: usize = 1 << 17;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads lines one by one into one buffer.
pub(super) struct SnapshotLines {
    input: Box<dyn BufRead>,
    number: u64,
    line: Vec<u8>,
}

/// What the file holds next.
pub(super) enum Line<'a> {
    /// A line that is not blank, without its line ending.
    Text(&'a [u8]),
    /// A line over the limit. It was skipped.
    TooLong,
    /// The file cannot be read further. The text says why.
    Broken(String),
    /// The end of the file.
    End,
}

impl SnapshotLines {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = BufReader::with_capacity(BUFFER_BYTES, open_regular(path)?);
        let input: Box<dyn BufRead> = if path.extension().is_some_and(|extension| extension == "gz") {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(file)))
        } else {
            Box::new(file)
        };
        Ok(Self { input, number: 0, line: Vec::new() })
    }

    /// The number of the line that [`SnapshotLines::next`] returned last, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next line that is not blank. An error is one of the disk. Damaged content is [`Line::Broken`].
    pub(super) fn next(&mut self) -> io::Result<Line<'_>> {
        loop {
            self.line.clear();
            let read = (&mut self.input).take(MAX_LINE_BYTES as u64 + 1).read_until(b'\n', &mut self.line);
            match read {
                Ok(0) => return Ok(Line::End),
                Ok(_) => self.number += 1,
                Err(error) if is_about_content(&error) => {
                    self.number += 1;
                    return Ok(Line::Broken(format!("cannot be read further: {error}")));
                }
                Err(error) => return Err(error),
            }
            if self.line.len() > MAX_LINE_BYTES && !self.line.ends_with(b"\n") {
                return match self.input.skip_until(b'\n') {
                    Err(error) if !is_about_content(&error) => Err(error),
                    _ => Ok(Line::TooLong),
                };
            }
            if !self.text().is_empty() {
                return Ok(Line::Text(self.text()));
            }
        }
    }

    /// The current line without its line ending and, in the first line, without a byte order mark.
    fn text(&self) -> &[u8] {
        let line = self.line.trim_ascii();
        if self.number == 1 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line }
    }
}

/// Whether the error comes from a damaged gzip stream and not from the disk.
fn is_about_content(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof)
}
