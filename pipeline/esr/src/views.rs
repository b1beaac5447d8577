//! The views of the exchange: their rows in [`topics::VIEW`], and the keys of these rows.

use tributary_flow::declaration::View;

use crate::format::Office;
use crate::topics;

/// What became of each file, by name: [`tributary_schemas::records::tributary::FileEvent`].
pub static FILES: View = View { name: "files", topic: &topics::VIEW, prefix: "file/" };
/// Alerts, the newest first: [`tributary_schemas::records::tributary::Alert`].
pub static ALERTS: View = View { name: "alerts", topic: &topics::VIEW, prefix: "alert/" };
/// Number of applicant records by office and state: [`tributary_schemas::records::esr::OfficeApplicants`].
pub static OFFICES: View = View { name: "offices", topic: &topics::VIEW, prefix: "office/" };

/// All views.
pub(crate) static ALL: &[&View] = &[&FILES, &ALERTS, &OFFICES];

/// The key of the record with the time that a partition has reached.
pub(crate) const CLOCK: &[u8] = b"clock";

/// The key of a file.
pub(crate) fn file_key(name: &str) -> String {
    format!("{}{name}", FILES.prefix)
}

/// The key of the alert with this number among the events. Keys of later alerts sort first.
pub(crate) fn alert_key(sequence: i64) -> String {
    format!("{}{:019}", ALERTS.prefix, i64::MAX - sequence)
}

/// The key of an office.
pub(crate) fn office_key(office: Office) -> String {
    format!("{}{office}", OFFICES.prefix)
}
