//! The elements of a message one after the other, with their namespaces, for readers that know a contract.

use quick_xml::events::Event;
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

use super::splice::{Fragment, Scope};
use super::{Name, tag};

/// How deep the children of an element are, itself included.
const CHILDREN: usize = 2;

/// What a reader meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'t> {
    /// An element begins.
    Open {
        /// Its namespace. Empty for none.
        namespace: &'t str,
        /// Its local name.
        local: &'t str,
    },
    /// Characters of the innermost element, white space included. They may come in several pieces.
    Text(&'t str),
    /// The innermost element ends.
    Close,
}

impl Fragment<'_> {
    /// The names and own texts of its children, in their order.
    pub fn children(&self) -> Vec<(Name, String)> {
        let mut found: Vec<(Name, String)> = Vec::new();
        let mut depth = 0_usize;
        self.walk(|step| match step {
            Step::Open { namespace, local } => {
                depth += 1;
                if depth == CHILDREN {
                    found.push((Name::new(namespace, local), String::new()));
                }
            }
            Step::Text(text) if depth == CHILDREN => {
                if let Some((_, last)) = found.last_mut() {
                    last.push_str(text);
                }
            }
            Step::Text(_) => {}
            Step::Close => depth = depth.saturating_sub(1),
        });
        found
    }

    /// Shows all steps of this element, its own start and end included. It takes one copy of its text.
    pub fn walk(&self, mut visit: impl FnMut(Step<'_>)) {
        let mut text = String::with_capacity(self.size());
        self.splice(&mut text, &Scope::default());
        let mut reader = NsReader::from_str(&text);
        reader.config_mut().expand_empty_elements = true;
        loop {
            match reader.read_event() {
                Ok(Event::Start(start)) => {
                    let (namespace, local) = reader.resolver().resolve_element(start.name());
                    let namespace = match namespace {
                        ResolveResult::Bound(Namespace(namespace)) => namespace,
                        _ => "",
                    };
                    visit(Step::Open { namespace, local: local.into_inner() });
                }
                Ok(Event::End(_)) => visit(Step::Close),
                Ok(Event::Text(text)) => visit(Step::Text(&text.xml10_content())),
                Ok(Event::CData(text)) => visit(Step::Text(&text.xml10_content())),
                Ok(Event::GeneralRef(reference)) => {
                    if let Ok(letter) = tag::referred(&reference) {
                        visit(Step::Text(letter.encode_utf8(&mut [0; 4])));
                    }
                }
                // A message that was read is well-formed.
                Ok(Event::Eof) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{ENVELOPE, Message};

    use super::*;

    #[test]
    fn names_are_resolved_with_the_namespaces_around_the_element() {
        let text = format!(
            "<s:Envelope xmlns:s='{ENVELOPE}' xmlns='d' xmlns:p='u'><s:Body xmlns:q='v'>\
             <p:a> <b x='1'/>1&amp;<![CDATA[<]]><!-- no --><q:c xmlns=''><d/></q:c></p:a></s:Body></s:Envelope>"
        );
        let message = Message::read(text.into_bytes(), None, 4096, &[]).unwrap();
        let mut seen = String::new();
        message.body().walk(|step| match step {
            Step::Open { namespace, local } => seen += &format!("<{namespace}:{local}"),
            Step::Text(text) => seen += text,
            Step::Close => seen.push('/'),
        });
        assert_eq!(seen, "<u:a <d:b/1&<<v:c<:d///");
    }
}
