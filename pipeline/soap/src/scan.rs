//! One pass over a message that checks what the XML reader does not.

use std::collections::HashSet;
use std::ops::Range;

use quick_xml::errors::{Error as XmlError, IllFormedError};
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, PrefixDeclaration, QName, ResolveResult};
use quick_xml::reader::NsReader;

use super::splice::Scope;
use super::tag::{self, BadReference};
use super::{DEEPEST, Name, SoapError};

/// A start tag: its name as written, and its position in the text.
#[derive(Clone, Debug)]
pub(super) struct Tag<'t> {
    name: &'t str,
    start: usize,
}

impl Tag<'_> {
    /// Where the start tag begins.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// Where its name ends: namespace declarations can be put there.
    pub(super) fn name_end(&self) -> usize {
        self.start + 1 + self.name.len()
    }
}

/// The next thing in a message.
#[derive(Debug)]
pub(super) enum Step<'t> {
    /// An element begins.
    Open(Tag<'t>),
    /// The innermost element ends.
    Close,
    /// White space alone.
    Space,
    /// Characters.
    Text,
    /// A comment or a processing instruction.
    Remark,
    /// The message ends.
    End,
}

/// The scan of a text.
pub(super) struct Scan<'t> {
    text: &'t str,
    reader: NsReader<&'t [u8]>,
    depth: usize,
    has_root: bool,
}

impl<'t> Scan<'t> {
    /// Begins the scan of a text.
    pub(super) fn new(text: &'t str) -> Result<Self, SoapError> {
        if let Some(at) = text.bytes().position(|byte| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')) {
            return Err(SoapError::Malformed("a control character", at));
        }
        if let Some(at) = text.find('\u{FFFE}').or_else(|| text.find('\u{FFFF}')) {
            return Err(SoapError::Malformed("a character that XML does not have", at));
        }
        let mut reader = NsReader::from_str(text);
        let config = reader.config_mut();
        config.check_comments = true;
        config.expand_empty_elements = true;
        Ok(Self { text, reader, depth: 0, has_root: false })
    }

    /// The next step.
    pub(super) fn step(&mut self) -> Result<Step<'t>, SoapError> {
        let start = self.position();
        let event = match self.reader.read_event() {
            Ok(event) => event,
            Err(error) => return Err(malformed(&error, start)),
        };
        match event {
            // Empty elements come as a start and an end: the reader is set so.
            Event::Start(tag) | Event::Empty(tag) => self.open(&tag, start),
            Event::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                Ok(Step::Close)
            }
            Event::Text(text) => self.characters(&text, start),
            Event::CData(_) if self.depth == 0 => Err(SoapError::Malformed("text outside of the root element", start)),
            Event::CData(_) => Ok(Step::Text),
            Event::GeneralRef(_) if self.depth == 0 => {
                Err(SoapError::Malformed("text outside of the root element", start))
            }
            Event::GeneralRef(reference) => {
                tag::referred(&reference).map(|_| Step::Text).map_err(|bad| at(&bad, start))
            }
            Event::Comment(_) => Ok(Step::Remark),
            Event::PI(instruction) if tag::is_name(instruction.target()) => Ok(Step::Remark),
            Event::Decl(declaration) if start == 0 => match declaration.version().as_deref() {
                Ok("1.0") => Ok(Step::Remark),
                _ => Err(SoapError::Malformed("the XML version is not 1.0", start)),
            },
            Event::PI(_) | Event::Decl(_) => Err(SoapError::Malformed("a bad processing instruction", start)),
            Event::DocType(_) => Err(SoapError::Doctype),
            Event::Eof if self.depth > 0 => Err(SoapError::Truncated),
            Event::Eof if !self.has_root => Err(SoapError::NoEnvelope),
            Event::Eof => Ok(Step::End),
        }
    }

    fn characters(&self, text: &str, start: usize) -> Result<Step<'t>, SoapError> {
        if text.chars().all(tag::is_space) {
            return Ok(Step::Space);
        }
        if self.depth == 0 {
            return Err(SoapError::Malformed("text outside of the root element", start));
        }
        if text.contains("]]>") {
            return Err(SoapError::Malformed("\"]]>\" in text", start));
        }
        Ok(Step::Text)
    }

    fn open(&mut self, tag: &BytesStart<'_>, start: usize) -> Result<Step<'t>, SoapError> {
        if self.depth == 0 && self.has_root {
            return Err(SoapError::Malformed("a second root element", start));
        }
        if self.depth == DEEPEST {
            return Err(SoapError::TooDeep);
        }
        let end = start + 1 + tag.name().0.len();
        let name = self.text.get(start + 1..end).unwrap_or_default();
        self.check(name, tag.attributes_raw(), start)?;
        self.has_root = true;
        self.depth += 1;
        Ok(Step::Open(Tag { name, start }))
    }

    fn check(&self, name: &str, attributes: &str, start: usize) -> Result<(), SoapError> {
        if !tag::is_qualified_name(name) {
            return Err(SoapError::Malformed("the name of an element is not a name", start));
        }
        self.check_prefix(name, start)?;
        if attributes.is_empty() {
            return Ok(());
        }
        let attributes = tag::attributes(attributes).map_err(|problem| SoapError::Malformed(problem, start))?;
        let mut prefixed = HashSet::new();
        for attribute in &attributes {
            tag::check_references(attribute.value).map_err(|bad| at(&bad, start))?;
            if attribute.declared_prefix().is_some() || !attribute.name.contains(':') {
                continue;
            }
            self.check_prefix(attribute.name, start)?;
            if let (ResolveResult::Bound(namespace), local) =
                self.reader.resolver().resolve_attribute(QName(attribute.name))
                && !prefixed.insert((namespace.0, local.into_inner()))
            {
                return Err(SoapError::Malformed("the same attribute twice", start));
            }
        }
        Ok(())
    }

    fn check_prefix(&self, name: &str, start: usize) -> Result<(), SoapError> {
        match self.reader.resolver().resolve_element(QName(name)) {
            (ResolveResult::Unknown(_), _) => Err(SoapError::Malformed("a prefix that is not declared", start)),
            _ => Ok(()),
        }
    }

    /// The namespace, if any, and the local name of an element that has just begun.
    pub(super) fn resolve(&self, tag: &Tag<'t>) -> (Option<&str>, &'t str) {
        match self.reader.resolver().resolve_element(QName(tag.name)) {
            (ResolveResult::Bound(Namespace(namespace)), local) => (Some(namespace), local.into_inner()),
            (_, local) => (None, local.into_inner()),
        }
    }

    /// Whether an element that has just begun has that name.
    pub(super) fn is(&self, tag: &Tag<'t>, namespace: &str, local: &str) -> bool {
        self.resolve(tag) == (Some(namespace), local)
    }

    /// The name of an element that has just begun.
    pub(super) fn name(&self, tag: &Tag<'t>) -> Name {
        let (namespace, local) = self.resolve(tag);
        Name::new(namespace.unwrap_or_default(), local)
    }

    /// The namespaces in scope.
    pub(super) fn scope(&self) -> Scope {
        let bindings = self.reader.resolver().bindings();
        Scope::new(bindings.map(|(prefix, namespace)| {
            let prefix = match prefix {
                PrefixDeclaration::Default => "",
                PrefixDeclaration::Named(prefix) => prefix,
            };
            (prefix.to_owned(), namespace.0.to_owned())
        }))
    }

    /// The next element inside the innermost one. `None` when that one ends. Text is refused: `place` says where.
    pub(super) fn child(&mut self, place: &'static str) -> Result<Option<Tag<'t>>, SoapError> {
        loop {
            match self.step()? {
                Step::Open(tag) => return Ok(Some(tag)),
                Step::Close | Step::End => return Ok(None),
                Step::Text => return Err(SoapError::Envelope(place)),
                Step::Space | Step::Remark => {}
            }
        }
    }

    /// Passes over the rest of an element that has just begun.
    pub(super) fn skip(&mut self, tag: &Tag<'t>) -> Result<Range<usize>, SoapError> {
        let inside = self.depth;
        while self.depth >= inside {
            self.step()?;
        }
        Ok(tag.start..self.position())
    }

    /// How many bytes have been read.
    pub(super) fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }
}

fn at(bad: &BadReference, start: usize) -> SoapError {
    match bad {
        BadReference::Undefined => SoapError::UndefinedEntity(start),
        BadReference::Malformed => SoapError::Malformed("a bad reference", start),
    }
}

/// The reader's own texts hold names of the message, so they are not passed on.
fn malformed(error: &XmlError, start: usize) -> SoapError {
    match error {
        XmlError::IllFormed(IllFormedError::UnclosedReference) => SoapError::Malformed("a bad reference", start),
        XmlError::IllFormed(IllFormedError::MismatchedEndTag { .. } | IllFormedError::UnmatchedEndTag(_)) => {
            SoapError::Malformed("an end tag that does not fit", start)
        }
        XmlError::IllFormed(IllFormedError::DoubleHyphenInComment) => {
            SoapError::Malformed("\"--\" in a comment", start)
        }
        XmlError::IllFormed(_) => SoapError::Malformed("a bad declaration", start),
        XmlError::Syntax(_) => SoapError::Malformed("a tag or comment that does not end", start),
        XmlError::Namespace(_) => SoapError::Malformed("a bad namespace declaration", start),
        XmlError::Io(_) | XmlError::InvalidAttr(_) | XmlError::Encoding(_) | XmlError::Escape(_) => {
            SoapError::Malformed("a bad attribute or reference", start)
        }
    }
}
