//! The three-letter interface code of a local office.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use tributary_runtime::StateKey;

use crate::binary;

/// The interface code of a local office, three upper-case ASCII letters such as `EOE`.
///
/// Being well-formed does not make it a known office: the known ones stand in the configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Office([u8; 3]);

/// A text that is no office code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an office code of three upper-case letters, found `{0}`")]
pub struct OfficeError(pub String);

impl Office {
    /// Sorts before all others.
    pub const FIRST: Self = Self(*b"AAA");

    /// The code as text.
    pub fn as_str(&self) -> &str {
        // Only ASCII letters get in, so this is never the fallback.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The office written in `bytes`, if it is one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let code: [u8; 3] = bytes.try_into().ok()?;
        code.iter().all(u8::is_ascii_uppercase).then_some(Self(code))
    }

    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        binary::write_bytes(out, &self.0);
    }
}

/// The three letters.
impl StateKey for Office {
    fn write_key(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn read_key(input: &mut &[u8]) -> Option<Self> {
        let (code, rest) = input.split_first_chunk::<3>()?;
        *input = rest;
        Self::from_bytes(code)
    }
}

impl FromStr for Office {
    type Err = OfficeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_bytes(text.as_bytes()).ok_or_else(|| OfficeError(text.to_owned()))
    }
}

impl fmt::Display for Office {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl fmt::Debug for Office {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Office({})", self.as_str())
    }
}

impl Serialize for Office {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Office {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_office_is_three_upper_case_letters() {
        assert_eq!("EOE".parse::<Office>().map(|office| office.to_string()), Ok("EOE".to_owned()));
        for wrong in ["", "EO", "eoe", "EOEE", "E1E", "ÉO"] {
            assert!(wrong.parse::<Office>().is_err(), "{wrong}");
        }
    }
}
