//! The Avro contracts of Tributary and everything that turns records into bytes and back.
//!
//! - `avro/<namespace>/*.avsc` are the contract; [`records`] holds the Rust records generated from them, which
//!   therefore cannot drift.
//! - [`Codec`] reads and writes values in the Confluent wire format: straight into records when the writer used today's
//!   schema, by Avro's schema resolution when it used an older or newer one.
//! - [`registry`] is the port to a schema registry, with one in this process and one for Confluent-compatible servers.
//! - [`release`] keeps every released schema with a fixture, so that old data stays readable.
//!
//! Topics are declared by the flows, not here; this crate knows no stage and no log.

mod binary;
mod codec;
mod codec_builder;
mod compatibility;
mod error;
pub mod records;
pub mod registry;
pub mod release;
mod resolution;
pub mod types;

pub use codec::{Codec, Framed};
pub use codec_builder::CodecBuilder;
pub use error::{DecodeError, EncodeError, Fault, Malformed};
pub use records::{AvroRecord, RecordType, RecordVisitor};
#[cfg(feature = "client")]
pub use registry::{ConfluentRegistry, ConfluentSettings};
pub use registry::{LocalRegistry, Registry, RegistryError};
pub use types::Date;
