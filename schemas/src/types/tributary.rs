//! Types of the namespace `tributary`.

use std::fmt;

use serde::Serialize;
use sha2::Digest as _;

use crate::binary;

/// A digest that outlives a transaction: of named columns in a fixed form, never of an encoding. A field that is added
/// to a record therefore changes no digest.
///
/// The first byte is the version of the form. Two digests of different versions are never equal, so another form is a
/// change of rule. The others are the first half of a SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Digest([u8; Self::BYTES]);

/// Bytes that are no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest has 17 bytes, not {0}")]
pub struct DigestError(pub usize);

impl Digest {
    const BYTES: usize = 17;

    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        binary::write_bytes(out, &self.0);
    }
}

impl TryFrom<&[u8]> for Digest {
    type Error = DigestError;

    fn try_from(bytes: &[u8]) -> Result<Self, DigestError> {
        bytes.try_into().map(Self).map_err(|_| DigestError(bytes.len()))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Digest(")?;
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))?;
        formatter.write_str(")")
    }
}

/// Collects the columns of a digest.
#[derive(Debug, Clone)]
pub struct Columns {
    version: u8,
    bytes: Vec<u8>,
}

impl Columns {
    /// No columns yet, in this version of the form.
    pub fn new(version: u8) -> Self {
        Self { version, bytes: Vec::with_capacity(1024) }
    }

    /// Adds a text. An empty text counts as absent, and an absent column leaves no trace: a column that is added later,
    /// and is absent, changes no digest.
    #[must_use]
    pub fn text(self, name: &str, text: &str) -> Self {
        if text.is_empty() { self } else { self.column(name, text.as_bytes()) }
    }

    /// Adds an optional text. An empty text differs from none.
    #[must_use]
    pub fn optional(self, name: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.column(name, text.as_bytes()),
            None => self,
        }
    }

    /// Adds a number.
    #[must_use]
    pub fn number(self, name: &str, number: i64) -> Self {
        self.column(name, &number.to_be_bytes())
    }

    /// Adds an optional number.
    #[must_use]
    pub fn optional_number(self, name: &str, number: Option<i64>) -> Self {
        match number {
            Some(number) => self.number(name, number),
            None => self,
        }
    }

    /// Adds a mark that is set. One that is not set counts as absent.
    #[must_use]
    pub fn mark(self, name: &str, is_set: bool) -> Self {
        if is_set { self.column(name, &[]) } else { self }
    }

    /// The digest. The order of the columns matters.
    pub fn digest(&self) -> Digest {
        let hash = sha2::Sha256::digest(&self.bytes);
        let mut digest = [0; Digest::BYTES];
        digest[0] = self.version;
        digest[1..].copy_from_slice(&hash[..Digest::BYTES - 1]);
        Digest(digest)
    }

    /// Name and value, each with its length, so that no two lists of columns have the same bytes.
    fn column(mut self, name: &str, value: &[u8]) -> Self {
        self.bytes.reserve(name.len() + value.len() + 8);
        for part in [name.as_bytes(), value] {
            self.bytes.extend_from_slice(&(part.len() as u32).to_be_bytes());
            self.bytes.extend_from_slice(part);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_column_leaves_no_trace_and_every_present_one_counts() {
        let columns = || Columns::new(1).text("name", "a").number("id", 5);
        let digest = columns().digest();
        assert_eq!(columns().text("added", "").optional("more", None).mark("flag", false).digest(), digest);
        let others = [
            columns().optional("more", Some("")),
            columns().mark("flag", true),
            columns().number("added", 0),
            Columns::new(2).text("name", "a").number("id", 5),
            Columns::new(1).text("name", "b").number("id", 5),
            Columns::new(1).text("nam", "ea").number("id", 5),
            Columns::new(1).text("name", "a"),
        ];
        for other in others {
            assert_ne!(other.digest(), digest, "{other:?}");
        }
    }

    #[test]
    fn the_form_is_fixed() {
        let digest = Columns::new(1).text("name", "a").number("id", 5).optional("x", Some("é")).digest();
        assert_eq!(format!("{digest:?}"), "Digest(012198fc3a5aefaf0f4b6e6cdc04526a34)");
    }
}
