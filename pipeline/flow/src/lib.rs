//! The contract of a flow, and what every flow needs. It names no flow and no connector.

#[cfg(feature = "edge")]
mod authenticator;
#[cfg(feature = "edge")]
pub mod clock;
pub mod configuration;
#[cfg(feature = "edge")]
mod contract;
pub mod declaration;
#[cfg(feature = "edge")]
pub mod demo;
mod events;
mod failure;
pub mod framed;
#[cfg(feature = "edge")]
pub mod http;
#[cfg(feature = "edge")]
mod intake;
pub mod key;
#[cfg(feature = "edge")]
pub mod leading;
mod levels;
#[cfg(feature = "edge")]
mod own_producer;
#[cfg(feature = "edge")]
pub mod process;
pub mod progress;
#[cfg(feature = "edge")]
pub mod service_client;
pub mod statistics;
pub mod table;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "edge")]
pub mod view;
pub mod whole_file;

#[cfg(feature = "edge")]
pub use authenticator::Authenticator;
#[cfg(feature = "edge")]
pub use clock::{ClockDoubt, ClockGuard, ClockLimits, ClockReading};
#[cfg(feature = "edge")]
pub use contract::{BatchRequest, ConfiguredFlow, Flow, Host, LogInWords, LogOfCommand, Round, RunningFlow, Site};
#[cfg(feature = "edge")]
pub use failure::json_text;
pub use failure::{Failure, log_failure, print};
#[cfg(feature = "edge")]
pub use intake::Intake;
pub use levels::LEVELS;
#[cfg(feature = "edge")]
pub use own_producer::OwnProducer;
#[cfg(feature = "edge")]
pub use process::Process;
