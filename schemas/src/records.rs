//! The records of the contract, generated from `avro/<namespace>/*.avsc` and `state/<namespace>/*.avsc` when this crate
//! is built. Records of state are those that stores hold; no topic for other programs has them.
//!
//! Serde names are those of the Avro schema, so a record shown as JSON reads like its schema. Each namespace is a
//! module, because two flows may have records of the same name.

#![allow(
    clippy::struct_excessive_bools,
    clippy::too_many_lines,
    clippy::doc_markdown,
    clippy::unreadable_literal,
    clippy::needless_raw_string_hashes,
    reason = "generated code follows the schemas"
)]

use crate::binary;
use crate::error::{Defect, Malformed};

/// A record of the contract and its Avro binary encoding.
pub trait AvroRecord: Sized + Clone + std::fmt::Debug + PartialEq + serde::Serialize {
    /// Which record this is.
    const TYPE: RecordType;

    /// CRC-64-AVRO of the canonical form of the schema: identifies the encoding.
    const FINGERPRINT: u64;

    /// The fewest bytes that the encoded record takes.
    const FEWEST_BYTES: usize;

    /// Appends the Avro binary encoding: the body alone, without schema id.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads one record from the front of `input` and moves `input` past it.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are not this record under today's schema. Hostile bytes cause no panic, and no
    /// allocation above a small multiple of their own length.
    fn decode(input: &mut &[u8]) -> Result<Self, Malformed>;

    /// Reads a record that fills all of `body`.
    ///
    /// # Errors
    /// As [`AvroRecord::decode`], and when bytes are left over.
    fn decode_all(body: &[u8]) -> Result<Self, Malformed> {
        let mut rest = body;
        let record = Self::decode(&mut rest).map_err(|malformed| malformed.at(body.len() - rest.len()))?;
        if rest.is_empty() { Ok(record) } else { Err(Malformed::new(Defect::LeftOver).at(body.len() - rest.len())) }
    }
}

/// An operation on the Rust type of a [`RecordType`].
pub trait RecordVisitor {
    /// The result.
    type Output;

    /// Runs the operation on the type `R`.
    fn visit<R: AvroRecord>(self) -> Self::Output;
}

impl RecordType {
    /// The record type whose schema is called `full_name`.
    pub fn from_full_name(full_name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|record| record.full_name() == full_name)
    }

    /// Whether it is a record of stores, which no topic for other programs holds: its namespace ends in `.state`.
    pub fn is_state(self) -> bool {
        self.full_name().rsplit('.').nth(1) == Some("state")
    }
}

impl std::fmt::Display for RecordType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.full_name())
    }
}

include!(concat!(env!("OUT_DIR"), "/records.rs"));
