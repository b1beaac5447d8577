//! Connections to the outside: logs, files, snapshots of TIS, views, tables of state, brokers of messages, URIs and
//! SOAP services of other systems. This crate names no flow.

mod causes;
pub mod embedded;
mod events;
pub mod files;
mod hex;
pub mod kafka;
mod key_value;
pub mod origin;
mod plain_http;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;
pub mod soap;
pub mod tables;
pub mod tis;
pub mod views;

pub use tributary_runtime::trouble;
