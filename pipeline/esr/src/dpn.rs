//! The form of a DPN by which positions, posts and placements are matched (R1).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tributary_runtime::StateKey;
use tributary_schemas::types::tis::Dpn;

/// A DPN without outer blanks, with its ASCII letters in upper case: the key on the topic of posts. Empty means none.
///
/// Clones share the text, because each entry of the post stage holds its DPN in its key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FoldedDpn(Arc<str>);

/// The text is not a folded DPN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a folded DPN: there are blanks around it, or letters in lower case")]
pub struct FoldedDpnError(pub String);

impl FoldedDpn {
    /// Folds a DPN.
    pub fn of(dpn: &Dpn) -> Self {
        let mut text: Arc<str> = Arc::from(dpn.as_str().trim());
        // This is the only clone, so `get_mut` succeeds.
        if let Some(text) = Arc::get_mut(&mut text) {
            text.make_ascii_uppercase();
        }
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key of records about this DPN.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether the DPN is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for FoldedDpn {
    type Err = FoldedDpnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_folded = text.trim().len() == text.len() && !text.bytes().any(|byte| byte.is_ascii_lowercase());
        if is_folded { Ok(Self(Arc::from(text))) } else { Err(FoldedDpnError(text.to_owned())) }
    }
}

impl fmt::Display for FoldedDpn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl StateKey for FoldedDpn {
    fn write_key(&self, out: &mut Vec<u8>) {
        self.0.write_key(out);
    }

    fn read_key(input: &mut &[u8]) -> Option<Self> {
        StateKey::read_key(input).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r1_numbers_match_without_case_and_blanks() {
        let folded = FoldedDpn::of(&Dpn::from(" eoe/R1f/300/str/001 "));
        assert_eq!(folded.as_str(), "EOE/R1F/300/STR/001");
        assert_eq!(folded, FoldedDpn::of(&Dpn::from("EOE/r1f/300/STR/001")));
    }

    #[test]
    fn a_key_is_a_folded_dpn_or_refused() {
        assert_eq!("EOE/R1F".parse(), Ok(FoldedDpn::of(&Dpn::from("eoe/r1f"))));
        for wrong in ["eoe/r1f", " EOE/R1F", "EOE/R1F\n"] {
            assert_eq!(wrong.parse::<FoldedDpn>(), Err(FoldedDpnError(wrong.to_owned())));
        }
    }
}
