//! Types of the namespace `esr`.

use crate::records::esr::FileKind;

id! {
    /// Id of an ESR position (`POS`/`POR` column 2).
    PositionId
}

/// Kinds in the order of the schema, in which files of one date and number are taken in (D9: RMF first).
impl FileKind {
    /// Whether ESR sends files of this kind to us.
    pub const fn is_inbound(self) -> bool {
        matches!(self, Self::Rmf | Self::Rmc | Self::Apc | Self::Dcc)
    }
}
