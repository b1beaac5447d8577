//! An answer of an aggregating service, read for people: its rows and its records.

use crate::soap::{Message, Step};
use crate::status;

/// The longest text that is kept of an element.
const LONGEST: usize = 4096;

/// An answer. `Debug` shows no contents.
#[derive(Default)]
pub struct AnswerInWords {
    /// The children of the response element: the paths and texts of the elements in each that hold no others.
    pub rows: Vec<Vec<(String, String)>>,
    /// The records, in the order of the answer.
    pub records: Vec<RecordInWords>,
}

impl std::fmt::Debug for AnswerInWords {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "AnswerInWords({} rows, {} records)", self.rows.len(), self.records.len())
    }
}

/// What became of a source system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordInWords {
    /// Its address.
    pub address: String,
    /// Its status, such as `DataFromSource`.
    pub status: String,
    /// The code, if it failed.
    pub code: Option<String>,
    /// The reason, if it failed.
    pub text: Option<String>,
}

/// Reads an answer.
///
/// # Errors
/// The text of a fault, or why it is no message.
pub fn read_answer(bytes: Vec<u8>, limit: usize) -> Result<AnswerInWords, String> {
    let message = Message::read(bytes, None, limit, &[]).map_err(|error| error.to_string())?;
    if let Some(fault) = message.fault() {
        return Err(fault.text);
    }
    let mut answer = AnswerInWords::default();
    for header in message.other_headers() {
        let mut leaves = Leaves::default();
        header.walk(|step| leaves.step(step));
        if leaves.root == (status::NAMESPACE.to_owned(), "ProcessingStatus".to_owned()) {
            answer.records.extend(leaves.parts.into_iter().map(record));
        }
    }
    let mut leaves = Leaves::default();
    message.body().walk(|step| leaves.step(step));
    answer.rows = leaves.parts;
    Ok(answer)
}

fn record(leaves: Vec<(String, String)>) -> RecordInWords {
    let mut record = RecordInWords::default();
    for (path, text) in leaves {
        match path.as_str() {
            "logicalAddress" => record.address = text,
            "statusCode" => record.status = text,
            "lastUnsuccessfulSynchError/code" => record.code = Some(text),
            "lastUnsuccessfulSynchError/text" => record.text = Some(text),
            _ => {}
        }
    }
    record
}

/// The leaves of each child of an element.
#[derive(Default)]
struct Leaves {
    root: (String, String),
    /// Local names below the child.
    path: Vec<String>,
    depth: usize,
    /// Whether the innermost element holds no other so far.
    is_leaf: bool,
    text: String,
    parts: Vec<Vec<(String, String)>>,
}

impl Leaves {
    fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Open { namespace, local } => {
                match self.depth {
                    0 => self.root = (namespace.to_owned(), local.to_owned()),
                    1 => self.parts.push(Vec::new()),
                    _ => self.path.push(local.to_owned()),
                }
                self.depth += 1;
                self.is_leaf = true;
                self.text.clear();
            }
            Step::Text(text) => {
                let rest = LONGEST.saturating_sub(self.text.chars().count());
                self.text.extend(text.chars().take(rest));
            }
            Step::Close => {
                self.depth -= 1;
                if self.is_leaf
                    && self.depth > 0
                    && let Some(part) = self.parts.last_mut()
                {
                    part.push((self.path.join("/"), self.text.trim().to_owned()));
                }
                self.is_leaf = false;
                self.path.pop();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::{Fault, FaultCode};

    #[test]
    fn rows_and_records_are_read() {
        let text = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Header>\
            <h:ProcessingStatus xmlns:h=\"urn:riv:interoperability:headers:1\"><h:ProcessingStatusList>\
            <h:logicalAddress>SE-1</h:logicalAddress><h:statusCode>NoDataSynchFailed</h:statusCode>\
            <h:lastUnsuccessfulSynchError><h:causingAgent>virtualization_platform</h:causingAgent><h:code>504</h:code>\
            <h:text>timeout</h:text></h:lastUnsuccessfulSynchError></h:ProcessingStatusList>\
            </h:ProcessingStatus></s:Header><s:Body><r xmlns=\"urn:x\"><row><a>1 &amp; 2</a><b><c>3</c><c/></b></row>\
            <row/></r></s:Body></s:Envelope>";
        let answer = read_answer(text.into(), 1 << 20).unwrap();
        let leaf = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        let first = vec![leaf("a", "1 & 2"), leaf("b/c", "3"), leaf("b/c", "")];
        assert_eq!(answer.rows, [first, vec![leaf("", "")]]);
        let expected = RecordInWords {
            address: "SE-1".to_owned(),
            status: "NoDataSynchFailed".to_owned(),
            code: Some("504".to_owned()),
            text: Some("timeout".to_owned()),
        };
        assert_eq!(answer.records, [expected]);
    }

    #[test]
    fn a_fault_is_its_text() {
        let fault = Fault::new(FaultCode::Server, "no header").write();
        assert_eq!(read_answer(fault.into_bytes(), 1 << 20).unwrap_err(), "no header");
        assert!(read_answer(b"<html>".to_vec(), 1 << 20).is_err());
    }
}
