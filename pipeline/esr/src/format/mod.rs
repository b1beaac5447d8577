//! The interface files of ESR: names, layouts, reading, writing, value maps. This module does no I/O: files and folders
//! belong to the connectors.

mod ascii;
mod columns;
pub mod envelope;
pub mod inbound;
#[cfg(test)]
mod inbound_tests;
pub mod layout;
mod line_key;
pub mod maps;
mod parsed;
pub mod postcode;
pub mod read;
pub mod rows;
pub mod rtc;
pub mod value;
pub mod write;
#[cfg(test)]
mod write_tests;

pub use columns::InboundLayouts;
pub use envelope::{Envelope, Suspect, split_padding};
pub use inbound::{Indicator, LineParser, Note, Parsed, PositionLine, ReconciliationLine, Rejection, parse_line};
pub use layout::{Layouts, RecordType};
pub(crate) use line_key::LineKey;
pub use maps::{Mapped, ValueMaps};
pub use postcode::{Postcode, postcode};
pub use read::{Line, LineReader};
pub use rows::{ApplicantRow, ConfirmationRow, NotificationRow, Templates};
pub use tributary_schemas::records::esr::FileKind;
pub use tributary_schemas::types::esr::{FileName, Office};
pub use write::{Encoding, LineEnd, LineTemplate, Value, WriteWarning, WriteWarningKind, WrittenLine};
