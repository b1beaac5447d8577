//! A stand-in for a state register and the security server in front of it: tests call it as the flow calls the real
//! one. It shares no code with the flow, so that both must read the protocol alike.
//!
//! A [`Register`] answers each number as it was told ([`Register::set`]), or else as [`Register::otherwise`] says, and
//! remembers every call. It can be down, slow, wrong and malicious.

mod answer;
mod call;
mod person;
mod register;
mod server;

pub use answer::{Answer, Answers, Change};
pub use call::{Call, Identifier, SoapVersion};
pub use person::{document, person};
pub use register::Register;
pub use server::{RegisterError, Tls};
