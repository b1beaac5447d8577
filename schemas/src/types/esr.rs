//! Types of the namespace `esr`.

id! {
    /// Id of an ESR position (`POS`/`POR` column 2).
    PositionId
}
