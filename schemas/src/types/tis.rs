//! Types of the namespace `tis`.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use tributary_runtime::StateKey;

use crate::binary;

id! {
    /// Id of a TIS placement.
    PlacementId
}

id! {
    /// Id of a TIS person.
    PersonId
}

id! {
    /// Id of a TIS post.
    PostId
}

/// A deanery post number (DPN) as its writer wrote it; empty means none. TIS calls it the national post number of a
/// post, ESR the deanery post number of a position.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Dpn(String);

impl Dpn {
    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        binary::write_bytes(out, self.0.as_bytes());
    }
}

impl StateKey for Dpn {
    fn write_key(&self, out: &mut Vec<u8>) {
        StateKey::write_key(&self.0, out);
    }

    fn read_key(input: &mut &[u8]) -> Option<Self> {
        <String as StateKey>::read_key(input).map(Self)
    }
}

impl From<String> for Dpn {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Dpn {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Every text is a DPN as written.
impl FromStr for Dpn {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Dpn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}
