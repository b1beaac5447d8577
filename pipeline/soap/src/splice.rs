//! Moves subtrees from one message into another as they are written. All prefixes that were in scope stay in scope:
//! attributes such as `xsi:type`, and texts, use them too (A 2.7).

use std::ops::Range;

use super::scan::{Scan, Step};
use super::{ENVELOPE, REGISTRY, SoapError, tag, values};

/// The prefix under which a written message has the namespace of SOAP.
const SOAP_PREFIX: &str = "soap";

/// Namespaces in scope: prefixes, empty for the default namespace, and what they stand for, as written between quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(Vec<(String, String)>);

impl Scope {
    /// A scope of prefixes and namespaces. Each prefix comes once.
    pub(super) fn new(bindings: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(bindings.into_iter().collect())
    }

    /// What a written message has in scope inside its envelope.
    pub fn of_envelope() -> Self {
        Self(vec![(SOAP_PREFIX.to_owned(), ENVELOPE.to_owned())])
    }

    /// The namespace of a prefix, if it has one.
    pub fn namespace(&self, prefix: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == prefix).map(|(_, namespace)| namespace.as_str())
    }

    /// Adds the bindings of prefixes that are not here yet. Returns those that were added.
    pub fn extend(&mut self, other: &Self) -> Vec<(String, String)> {
        let new = other.0.iter().filter(|(prefix, _)| self.namespace(prefix).is_none());
        let new: Vec<_> = new.cloned().collect();
        self.0.extend(new.iter().cloned());
        new
    }

    /// Binds a prefix.
    pub fn bind(&mut self, prefix: &str, namespace: &str) {
        self.0.retain(|(known, _)| known != prefix);
        self.0.push((prefix.to_owned(), namespace.to_owned()));
    }

    /// How many bytes its declarations take.
    pub(super) fn size(&self) -> usize {
        self.0.iter().map(|(prefix, namespace)| " xmlns:=\"\"".len() + prefix.len() + namespace.len()).sum()
    }

    /// The declarations that an element needs to see this scope, if it is put where `outer` is in scope.
    fn missing<'s>(&'s self, outer: &Self) -> Vec<(&'s str, &'s str)> {
        let differs = |prefix: &str, namespace: &str| outer.namespace(prefix) != Some(namespace);
        let bindings = self.0.iter().map(|(prefix, namespace)| (prefix.as_str(), namespace.as_str()));
        let mut missing: Vec<_> = bindings.filter(|(prefix, namespace)| differs(prefix, namespace)).collect();
        if self.namespace("").is_none() && outer.namespace("").is_some() {
            missing.push(("", ""));
        }
        missing
    }
}

/// An element of a message: its text, and the namespaces that are in scope around it.
#[derive(Clone, Copy)]
pub struct Fragment<'m> {
    name: &'m str,
    rest: &'m str,
    scope: &'m Scope,
}

impl<'m> Fragment<'m> {
    pub(super) fn new(text: &'m str, range: Range<usize>, name_end: usize, scope: &'m Scope) -> Self {
        let name = text.get(range.start..name_end).unwrap_or_default();
        let rest = text.get(name_end..range.end).unwrap_or_default();
        Self { name, rest, scope }
    }

    /// How many bytes it has as written.
    pub fn size(&self) -> usize {
        self.name.len() + self.rest.len()
    }

    /// Its own text, without that of the elements inside it.
    pub fn text(&self) -> String {
        values::along(&[self.name, self.rest].concat(), &[]).into_iter().next().unwrap_or_default()
    }

    /// Appends it to a message that has `outer` in scope there.
    pub fn splice(&self, out: &mut String, outer: &Scope) {
        self.splice_with(out, &self.scope.missing(outer));
    }

    fn splice_with(&self, out: &mut String, missing: &[(&str, &str)]) {
        out.push_str(self.name);
        if !missing.is_empty() {
            let own = tag::declared_prefixes(self.rest);
            for (prefix, namespace) in missing.iter().filter(|(prefix, _)| !own.contains(prefix)) {
                push_declaration(out, prefix, namespace);
            }
        }
        out.push_str(self.rest);
    }
}

/// Appends elements that stand beside each other in one message, so that they have the same scope.
pub fn splice_all<'m>(fragments: impl Iterator<Item = Fragment<'m>>, out: &mut String, outer: &Scope) {
    let mut known: Option<(&Scope, Vec<(&str, &str)>)> = None;
    for fragment in fragments {
        let is_known = known.as_ref().is_some_and(|(scope, _)| std::ptr::eq(*scope, fragment.scope));
        if !is_known {
            known = Some((fragment.scope, fragment.scope.missing(outer)));
        }
        let missing = known.as_ref().map(|(_, missing)| missing.as_slice());
        fragment.splice_with(out, missing.unwrap_or_default());
    }
}

/// Elements that stand alone, such as those that a descriptor appends: they declare all their prefixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elements {
    text: String,
    ranges: Vec<(Range<usize>, usize)>,
    scope: Scope,
}

/// What [`Elements::read`] puts around a text, so that it has one root.
const AROUND: (&str, &str) = ("<a>", "</a>");

impl Elements {
    /// Reads elements from a text.
    ///
    /// # Errors
    /// [`SoapError`] if they are malformed, or text stands between them.
    pub fn read(text: &str) -> Result<Self, SoapError> {
        let text = format!("{}{text}{}", AROUND.0, AROUND.1);
        let mut scan = Scan::new(&text)?;
        let mut ranges = Vec::new();
        scan.child("text around it")?;
        while let Some(tag) = scan.child("text between elements")? {
            ranges.push((scan.skip(&tag)?, tag.name_end()));
        }
        while !matches!(scan.step()?, Step::End) {}
        Ok(Self { text, ranges, scope: Scope::default() })
    }

    /// The elements.
    pub fn fragments(&self) -> impl Iterator<Item = Fragment<'_>> {
        self.ranges.iter().map(|(range, name_end)| Fragment::new(&self.text, range.clone(), *name_end, &self.scope))
    }
}

/// Begins a message: the XML declaration and the start tag of the envelope.
pub fn open_envelope() -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><{SOAP_PREFIX}:Envelope xmlns:{SOAP_PREFIX}=\"{ENVELOPE}\">")
}

/// Appends the header `LogicalAddress`.
pub fn push_logical_address(out: &mut String, address: &str) {
    out.push_str(&format!("<r:LogicalAddress xmlns:r=\"{REGISTRY}\">"));
    push_text(out, address);
    out.push_str("</r:LogicalAddress>");
}

/// Appends a namespace declaration. `namespace` is as written between quotes, of one kind or the other.
pub fn push_declaration(out: &mut String, prefix: &str, namespace: &str) {
    let quote = if namespace.contains('"') { '\'' } else { '"' };
    out.push_str(" xmlns");
    if !prefix.is_empty() {
        out.push(':');
        out.push_str(prefix);
    }
    out.push('=');
    out.push(quote);
    out.push_str(namespace);
    out.push(quote);
}

/// Appends characters as text of an element. Characters that XML does not have become U+FFFD.
pub fn push_text(out: &mut String, text: &str) {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'&' | b'<' | b'>' | b'"');
    if text.bytes().all(is_plain) {
        return out.push_str(text);
    }
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            letter if tag::is_character(letter) => out.push(letter),
            _ => out.push('\u{FFFD}'),
        }
    }
}
