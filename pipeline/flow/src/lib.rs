//! The contract of a flow, and what every flow needs. It names no flow and no connector.

pub mod http;
