//! The Avro contracts of Tributary and everything that turns records into bytes and back.
//!
//! - `avro/<namespace>/*.avsc` are the contract. The build generates the Rust records in [`records`] from them, so the
//!   two cannot differ.
//! - [`Codec`] reads and writes values in the Confluent wire format. It reads a value of today's schema straight into
//!   its record, and a value of an older or newer schema through Avro's schema resolution.
//! - [`registry`] is the port to a schema registry. One implementation lives in this process, the other is a client of
//!   Confluent-compatible servers.
//! - [`state`] makes records the values of stores, which any version can read that a changelog holds.
//! - [`release`] keeps every released schema with a fixture, so that old data stays readable.
//!
//! The flows declare the topics. This crate knows no stage and no log.

mod binary;
mod codec;
mod codec_builder;
mod compatibility;
mod error;
pub mod records;
pub mod registry;
pub mod release;
mod resolution;
pub mod state;
pub mod types;

pub use codec::{Codec, Framed};
pub use codec_builder::CodecBuilder;
pub use error::{DecodeError, Defect, EncodeError, Malformed};
pub use records::{AvroRecord, RecordType, RecordVisitor};
#[cfg(feature = "client")]
pub use registry::{ConfluentRegistry, ConfluentSettings};
pub use registry::{LocalRegistry, Registry, RegistryError};
pub use types::Date;
