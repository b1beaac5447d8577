//! An element with all that is in it, for small messages whose contents are data.

use std::fmt;

use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, QName, ResolveResult};
use quick_xml::reader::NsReader;

use super::splice::{Fragment, Scope};
use super::tag;

/// The namespace of `xsi:nil`.
const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// An element with its own text and its children. Attributes other than `xsi:nil` are left out. `Debug` shows nothing
/// of its content.
#[derive(Clone, PartialEq, Eq)]
pub struct Element {
    /// Its namespace. Empty for none.
    pub namespace: String,
    /// Its local name.
    pub local: String,
    /// Whether `xsi:nil` says that it has no value.
    pub is_nil: bool,
    /// Its own text, without that of its children.
    pub text: String,
    /// The elements in it, in their order.
    pub children: Vec<Element>,
}

impl fmt::Debug for Element {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Element({} children)", self.children.len())
    }
}

impl Element {
    /// The children with this local name.
    pub fn named<'e>(&'e self, local: &str) -> impl Iterator<Item = &'e Self> {
        self.children.iter().filter(move |child| child.local == local)
    }

    /// Calls `visit` with every element in it, this one first.
    pub fn each<'e>(&'e self, visit: &mut dyn FnMut(&'e Self)) {
        visit(self);
        self.children.iter().for_each(|child| child.each(visit));
    }
}

impl Fragment<'_> {
    /// This element with all that is in it. `None` if that is more than `most` elements.
    pub fn tree(&self, most: usize) -> Option<Element> {
        let mut text = String::with_capacity(self.size());
        self.splice(&mut text, &Scope::default());
        let mut reader = NsReader::from_str(&text);
        reader.config_mut().expand_empty_elements = true;
        let mut open: Vec<Element> = Vec::new();
        let mut count = 0;
        loop {
            match reader.read_event() {
                Ok(Event::Start(start)) => {
                    count += 1;
                    if count > most {
                        return None;
                    }
                    open.push(opened(&reader, &start));
                }
                Ok(Event::End(_)) => {
                    let closed = open.pop()?;
                    match open.last_mut() {
                        Some(parent) => parent.children.push(closed),
                        None => return Some(closed),
                    }
                }
                Ok(Event::Text(text)) => push(&mut open, &text.xml10_content()),
                Ok(Event::CData(text)) => push(&mut open, &text.xml10_content()),
                Ok(Event::GeneralRef(reference)) => {
                    if let Ok(letter) = tag::referred(&reference) {
                        push(&mut open, letter.encode_utf8(&mut [0; 4]));
                    }
                }
                // A message that was read is well-formed.
                Ok(Event::Eof) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}

fn opened(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Element {
    let (namespace, local) = reader.resolver().resolve_element(start.name());
    let namespace = match namespace {
        ResolveResult::Bound(Namespace(namespace)) => namespace.to_owned(),
        _ => String::new(),
    };
    let local = local.into_inner().to_owned();
    Element { namespace, local, is_nil: is_nil(reader, start), text: String::new(), children: Vec::new() }
}

fn is_nil(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> bool {
    let attributes = tag::attributes(start.attributes_raw()).unwrap_or_default();
    let says_nil = |name: &str| match reader.resolver().resolve_attribute(QName(name)) {
        (ResolveResult::Bound(Namespace(namespace)), local) => namespace == INSTANCE && local.into_inner() == "nil",
        _ => false,
    };
    attributes.iter().any(|attribute| matches!(attribute.value.trim(), "true" | "1") && says_nil(attribute.name))
}

fn push(open: &mut [Element], text: &str) {
    if let Some(innermost) = open.last_mut() {
        innermost.text.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use crate::{ENVELOPE, ENVELOPE_1_2, Message, SoapError, Version};

    fn read(envelope: &str, inside: &str) -> Message {
        let text = format!(
            "<s:Envelope xmlns:s='{envelope}' xmlns:i='http://www.w3.org/2001/XMLSchema-instance' xmlns:p='u'>\
             <s:Header><p:id> 1 </p:id></s:Header><s:Body>{inside}</s:Body></s:Envelope>"
        );
        Message::read_either(text.into_bytes(), None, 1 << 20).unwrap()
    }

    #[test]
    fn an_element_is_read_with_its_own_text_and_its_children() {
        let message = read(ENVELOPE, "<p:r>a<b i:nil=' true'/>&amp;<b i:nil='0' nil='1'><![CDATA[<]]></b></p:r>");
        let root = message.body().tree(3).unwrap();
        assert_eq!((root.namespace.as_str(), root.local.as_str(), root.text.as_str()), ("u", "r", "a&"));
        let seen: Vec<(bool, &str)> = root.named("b").map(|child| (child.is_nil, child.text.as_str())).collect();
        assert_eq!(seen, [(true, ""), (false, "<")]);
        assert_eq!(format!("{root:?}"), "Element(2 children)");
        assert_eq!(message.body().tree(2), None, "there is a limit");
        let header = message.other_headers().next().unwrap().tree(1).unwrap();
        assert_eq!((header.local.as_str(), header.text.as_str()), ("id", " 1 "));
    }

    #[test]
    fn both_versions_are_read_if_wanted() {
        for (envelope, version) in [(ENVELOPE, Version::Soap11), (ENVELOPE_1_2, Version::Soap12)] {
            let message = read(envelope, "<s:Fault/>");
            assert_eq!((message.version(), message.is_fault()), (version, true));
            assert!(!read(envelope, "<Fault/>").is_fault());
        }
        let other = b"<s:Envelope xmlns:s='u'><s:Body><a/></s:Body></s:Envelope>".to_vec();
        assert_eq!(Message::read_either(other, None, 100).map(|_| ()), Err(SoapError::NoEnvelope));
        assert_eq!(Message::read_either(vec![b' '; 11], None, 10).map(|_| ()), Err(SoapError::TooLarge(10)));
    }
}
