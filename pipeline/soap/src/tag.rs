//! Names, attributes and references as XML 1.0 wants them. The XML reader is more lenient, and what it lets through
//! would break the reader of the whole answer.

/// How many attributes a start tag may have. Each is compared with those before it.
const MOST_ATTRIBUTES: usize = 256;

/// An attribute as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attribute<'t> {
    /// Its name, with a prefix if it has one.
    pub(super) name: &'t str,
    /// Its value with all references.
    pub(super) value: &'t str,
}

impl<'t> Attribute<'t> {
    /// The prefix that this attribute declares. Empty for the default namespace.
    pub(super) fn declared_prefix(&self) -> Option<&'t str> {
        match self.name.strip_prefix("xmlns") {
            Some("") => Some(""),
            Some(rest) => rest.strip_prefix(':'),
            None => None,
        }
    }
}

/// Takes the next attribute from the rest of a start tag. `Ok(None)` at its end.
fn next_attribute<'t>(rest: &mut &'t str) -> Result<Option<Attribute<'t>>, &'static str> {
    let trimmed = rest.trim_start_matches(is_space);
    if trimmed.is_empty() || trimmed.starts_with(['>', '/']) {
        *rest = trimmed;
        return Ok(None);
    }
    if trimmed.len() == rest.len() {
        return Err("white space is missing before an attribute");
    }
    let length =
        trimmed.find(|letter: char| letter == '=' || is_space(letter)).ok_or("an attribute without a value")?;
    let (name, after) = trimmed.split_at(length);
    let after = after.trim_start_matches(is_space).strip_prefix('=').ok_or("an attribute without a value")?;
    let after = after.trim_start_matches(is_space);
    let quote = after.chars().next().filter(|quote| matches!(quote, '"' | '\''));
    let quote = quote.ok_or("an attribute value without quotes")?;
    let (value, after) = after.get(1..).and_then(|after| after.split_once(quote)).ok_or("an open attribute value")?;
    *rest = after;
    Ok(Some(Attribute { name, value }))
}

/// All attributes of a start tag without its name and brackets.
pub(super) fn attributes(text: &str) -> Result<Vec<Attribute<'_>>, &'static str> {
    let mut rest = text;
    let mut found: Vec<Attribute<'_>> = Vec::new();
    while let Some(attribute) = next_attribute(&mut rest)? {
        if !is_qualified_name(attribute.name) {
            return Err("the name of an attribute is not a name");
        }
        if attribute.value.contains('<') {
            return Err("\"<\" in an attribute value");
        }
        if found.iter().any(|other| other.name == attribute.name) {
            return Err("the same attribute twice");
        }
        if found.len() == MOST_ATTRIBUTES {
            return Err("more than 256 attributes");
        }
        if attribute.declared_prefix().is_some_and(|prefix| !prefix.is_empty()) && attribute.value.is_empty() {
            return Err("a prefix is declared without a namespace");
        }
        found.push(attribute);
    }
    if rest.is_empty() { Ok(found) } else { Err("a start tag with odd characters") }
}

/// The prefixes that a start tag declares. `text` begins after its name and may reach beyond the tag, which is known
/// to be well-formed.
pub(super) fn declared_prefixes(text: &str) -> Vec<&str> {
    let mut rest = text;
    let mut found = Vec::new();
    while let Ok(Some(attribute)) = next_attribute(&mut rest) {
        found.extend(attribute.declared_prefix());
    }
    found
}

/// Whether this is a name with at most one prefix.
pub(super) fn is_qualified_name(text: &str) -> bool {
    match text.split_once(':') {
        Some((prefix, local)) => is_name(prefix) && is_name(local),
        None => is_name(text),
    }
}

/// Whether this is a name without a colon. Beyond ASCII all letters are taken, as the fifth edition of XML does except
/// for a few signs.
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let starts = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80);
    starts && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') || byte >= 0x80)
}

/// What is wrong with a reference.
pub(super) enum BadReference {
    /// An entity that XML does not define.
    Undefined,
    /// Not a reference, or to a character that XML does not have.
    Malformed,
}

/// The character that a reference stands for. `name` is what stands between `&` and `;`.
pub(super) fn referred(name: &str) -> Result<char, BadReference> {
    let number = match name {
        "lt" => return Ok('<'),
        "gt" => return Ok('>'),
        "amp" => return Ok('&'),
        "quot" => return Ok('"'),
        "apos" => return Ok('\''),
        _ => name.strip_prefix('#').ok_or(BadReference::Undefined)?,
    };
    let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |hex| (hex, 16));
    if !digits.starts_with(|digit: char| digit.is_digit(radix)) {
        return Err(BadReference::Malformed);
    }
    let code = u32::from_str_radix(digits, radix).map_err(|_| BadReference::Malformed)?;
    char::from_u32(code).filter(|letter| is_character(*letter)).ok_or(BadReference::Malformed)
}

/// Checks all references of an attribute value.
pub(super) fn check_references(value: &str) -> Result<(), BadReference> {
    for after in value.split('&').skip(1) {
        let (name, _) = after.split_once(';').ok_or(BadReference::Malformed)?;
        referred(name)?;
    }
    Ok(())
}

/// Whether XML 1.0 has this character.
pub fn is_character(letter: char) -> bool {
    !matches!(letter, '\0'..='\u{8}' | '\u{B}' | '\u{C}' | '\u{E}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}')
}

/// White space of XML.
pub fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r' | '\n')
}
