//! The Avro contracts of Tributary and everything that turns records into bytes and back.
//!
//! - `avro/<namespace>/*.avsc` are the contract. The build generates the Rust records in [`records`] from them, so the
//!   two cannot differ.
//! - [`Codec`] reads and writes values in the Confluent wire format. It reads a value of today's schema straight into
//!   its record, and a value of an older or newer schema through Avro's schema resolution.
//! - [`registry`] is the port to a schema registry. One implementation lives in this process, the other is a client of
//!   Confluent-compatible servers.
//! - [`state`] makes records the values of stores, which any version can read that a changelog holds.
//! - [`compatibility`] says whether two versions of a schema can read each other, and why not; [`check`] compares whole
//!   contracts, which [`contract`] reads.
//! - [`release`] keeps every released schema with a fixture, so that old data stays readable.
//!
//! The flows declare the topics. This crate knows no stage and no log.

mod binary;
pub mod check;
mod codec;
mod codec_builder;
pub mod compatibility;
pub mod contract;
mod error;
// The build script reads the contract with the same code.
#[allow(dead_code, reason = "the build script uses the rest")]
#[path = "../build/folder.rs"]
mod folder;
#[allow(dead_code, reason = "the build script uses the rest")]
#[path = "../build/model.rs"]
mod model;
pub mod records;
pub mod registry;
pub mod release;
mod resolution;
#[path = "../build/self_contained.rs"]
mod self_contained;
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
