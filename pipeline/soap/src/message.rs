//! A message that has been read: where its header blocks, its body element and that element's children are.

use std::fmt;
use std::ops::Range;

use super::scan::{Scan, Step, Tag};
use super::splice::{Fragment, Scope};
use super::values;
use super::{ENVELOPE, ENVELOPE_1_2, Fault, Name, REGISTRY, SoapError, decode};

/// How many namespace declarations are taken for granted: as many bytes as this times the limit of the message.
const DECLARATIONS: usize = 4;

/// The version of SOAP that a message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// SOAP 1.1.
    Soap11,
    /// SOAP 1.2.
    Soap12,
}

impl Version {
    /// The namespace of its envelope.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Soap11 => ENVELOPE,
            Self::Soap12 => ENVELOPE_1_2,
        }
    }
}

/// An element of a message, as a range of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its name.
    pub name: Name,
    range: Range<usize>,
    name_end: usize,
}

/// A child of the body element: the index of its name among the wanted ones, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    wanted: usize,
    range: Range<usize>,
    name_end: usize,
}

/// A SOAP message. It is well-formed in XML 1.0 with namespaces. `Debug` shows nothing of its content.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    version: Version,
    text: String,
    header: Vec<Block>,
    header_scope: Scope,
    body: Block,
    body_scope: Scope,
    rows: Vec<Row>,
    row_scope: Scope,
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, body, rows, .. } = self;
        write!(formatter, "Message({}, {} bytes, {} rows)", body.name, text.len(), rows.len())
    }
}

impl Message {
    /// Reads a message of SOAP 1.1 from bytes. `charset` is that of the content type, `limit` the number of bytes that
    /// are taken, and `wanted` are the children of the body element that [`Message::rows`] finds.
    ///
    /// # Errors
    /// [`SoapError`] says why the bytes are refused.
    pub fn read(bytes: Vec<u8>, charset: Option<&str>, limit: usize, wanted: &[Name]) -> Result<Self, SoapError> {
        if bytes.len() > limit {
            return Err(SoapError::TooLarge(limit));
        }
        Self::read_text(decode(bytes, charset)?, limit, wanted)
    }

    /// Reads a message that is text already. What its XML declaration says of an encoding does not count.
    ///
    /// # Errors
    /// As [`Message::read`].
    pub fn read_text(text: String, limit: usize, wanted: &[Name]) -> Result<Self, SoapError> {
        let message = Self::of_text(text, wanted, &[Version::Soap11])?;
        let most = limit.saturating_mul(DECLARATIONS);
        if message.row_scope.size().saturating_mul(message.rows.len()) > most {
            return Err(SoapError::Declarations(most));
        }
        Ok(message)
    }

    /// Reads a message of SOAP 1.1 or 1.2 from bytes, as [`Message::read`] does without wanted children.
    ///
    /// # Errors
    /// [`SoapError`] says why the bytes are refused.
    pub fn read_either(bytes: Vec<u8>, charset: Option<&str>, limit: usize) -> Result<Self, SoapError> {
        if bytes.len() > limit {
            return Err(SoapError::TooLarge(limit));
        }
        Self::of_text(decode(bytes, charset)?, &[], &[Version::Soap11, Version::Soap12])
    }

    fn of_text(text: String, wanted: &[Name], versions: &[Version]) -> Result<Self, SoapError> {
        let mut scan = Scan::new(&text)?;
        let root = scan.child("text around it")?.ok_or(SoapError::NoEnvelope)?;
        let version = version_of(&scan, &root)?;
        if !versions.contains(&version) {
            return Err(SoapError::Version12);
        }
        let envelope = version.namespace();
        let mut header = (Vec::new(), Scope::default());
        let mut child = scan.child("text outside of its body")?;
        if child.as_ref().is_some_and(|tag| scan.is(tag, envelope, "Header")) {
            header = read_header(&mut scan)?;
            child = scan.child("text outside of its body")?;
        }
        match child {
            Some(tag) if scan.is(&tag, envelope, "Body") => {}
            Some(_) => return Err(SoapError::Envelope("another element where the body is expected")),
            None => return Err(SoapError::Envelope("no body")),
        }
        let body_scope = scan.scope();
        let tag = scan.child("text beside the element in its body")?.ok_or(SoapError::Envelope("an empty body"))?;
        let name = scan.name(&tag);
        let row_scope = scan.scope();
        let (rows, end) = read_rows(&mut scan, wanted)?;
        let body = Block { name, range: tag.start()..end, name_end: tag.name_end() };
        if scan.child("text beside the element in its body")?.is_some() {
            return Err(SoapError::Envelope("a second element in its body"));
        }
        if scan.child("text after its body")?.is_some() {
            return Err(SoapError::Envelope("an element after its body"));
        }
        while !matches!(scan.step()?, Step::End) {}
        let (header, header_scope) = header;
        Ok(Self { version, text, header, header_scope, body, body_scope, rows, row_scope })
    }

    /// The version of SOAP.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether the body is a fault, of the version of its envelope.
    pub fn is_fault(&self) -> bool {
        self.body.name.is(Some(self.version.namespace()), "Fault")
    }

    /// The name of the element in the body.
    pub fn name(&self) -> &Name {
        &self.body.name
    }

    /// The element in the body.
    pub fn body(&self) -> Fragment<'_> {
        Fragment::new(&self.text, self.body.range.clone(), self.body.name_end, &self.body_scope)
    }

    /// The blocks of the header, except `LogicalAddress`.
    pub fn other_headers(&self) -> impl Iterator<Item = Fragment<'_>> {
        let others = self.header.iter().filter(|block| !block.name.is(Some(REGISTRY), "LogicalAddress"));
        others.map(|block| Fragment::new(&self.text, block.range.clone(), block.name_end, &self.header_scope))
    }

    /// The text of the header `LogicalAddress`.
    pub fn logical_address(&self) -> Option<String> {
        let block = self.header.iter().find(|block| block.name.is(Some(REGISTRY), "LogicalAddress"))?;
        values::along(self.text.get(block.range.clone())?, &[]).into_iter().next()
    }

    /// The children of the body element whose name was `wanted` at that index, in their order.
    pub fn rows(&self, wanted: usize) -> impl Iterator<Item = Fragment<'_>> {
        let rows = self.rows.iter().filter(move |row| row.wanted == wanted);
        rows.map(|row| Fragment::new(&self.text, row.range.clone(), row.name_end, &self.row_scope))
    }

    /// How many children of wanted names the body element has.
    pub fn row_count(&self) -> usize {
        self.rows.len()
    }

    /// The namespaces in scope where the rows are.
    pub fn row_scope(&self) -> &Scope {
        &self.row_scope
    }

    /// The texts of all elements at a path of local names below the body element, in their order, as written.
    pub fn values(&self, path: &[String]) -> Vec<String> {
        values::along(self.body_text(), path)
    }

    /// Whether the body element holds an element at that path of local names.
    pub fn has(&self, path: &[String]) -> bool {
        !self.values(path).is_empty()
    }

    /// The fault, if the body is one of SOAP 1.1.
    pub fn fault(&self) -> Option<Fault> {
        self.body.name.is(Some(ENVELOPE), "Fault").then(|| Fault::of_element(self.body_text()))
    }

    /// The text as it was sent, in UTF-8.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many bytes the text has.
    pub fn size(&self) -> usize {
        self.text.len()
    }

    fn body_text(&self) -> &str {
        self.text.get(self.body.range.clone()).unwrap_or_default()
    }
}

fn version_of(scan: &Scan<'_>, root: &Tag<'_>) -> Result<Version, SoapError> {
    let versions = [Version::Soap11, Version::Soap12];
    let found = versions.into_iter().find(|version| scan.is(root, version.namespace(), "Envelope"));
    found.ok_or(SoapError::NoEnvelope)
}

fn read_header(scan: &mut Scan<'_>) -> Result<(Vec<Block>, Scope), SoapError> {
    let scope = scan.scope();
    let mut blocks = Vec::new();
    while let Some(tag) = scan.child("text in its header")? {
        let name = scan.name(&tag);
        blocks.push(Block { name, range: scan.skip(&tag)?, name_end: tag.name_end() });
    }
    Ok((blocks, scope))
}

/// Reads an element to its end. Returns its wanted children and where it ends.
fn read_rows(scan: &mut Scan<'_>, wanted: &[Name]) -> Result<(Vec<Row>, usize), SoapError> {
    let mut rows = Vec::new();
    loop {
        match scan.step()? {
            Step::Open(tag) => {
                let wanted = position(scan, &tag, wanted);
                let range = scan.skip(&tag)?;
                rows.extend(wanted.map(|wanted| Row { wanted, range, name_end: tag.name_end() }));
            }
            Step::Close | Step::End => return Ok((rows, scan.position())),
            Step::Text | Step::Space | Step::Remark => {}
        }
    }
}

fn position(scan: &Scan<'_>, tag: &Tag<'_>, wanted: &[Name]) -> Option<usize> {
    let (namespace, local) = scan.resolve(tag);
    wanted.iter().position(|name| name.is(namespace, local))
}
