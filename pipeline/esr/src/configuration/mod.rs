//! The settings of the ESR flow: built-in values, and a user's file that overrides them. The caller reads the files.

pub mod entry;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::format::{Encoding, FileKind, InboundLayouts, Layouts, LineEnd, Office, Templates, ValueMaps};
pub use entry::RunTime;
use tributary_flow::configuration::{self, ConfigurationError, Source};

/// The top-level table of the flow.
const TABLE: &str = "esr";

/// The built-in settings as a file with explanations.
pub const DEFAULTS: &str = include_str!("../../config/esr.toml");

/// All settings of the flow that are plain values. Layouts and value maps have files of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EsrConfiguration {
    /// Version of the configuration format.
    pub version: FormatVersion,
    /// File with layouts that replace built-in ones. Empty: no file.
    pub layouts: String,
    /// File with additions to the value maps. Empty: no file.
    pub value_maps: String,
    /// Which placements become applicants, and when.
    pub applicants: ApplicantSettings,
    /// Notifications.
    pub notifications: NotificationSettings,
    /// Files from ESR.
    pub inbound: InboundSettings,
    /// Snapshots of TIS.
    pub snapshot: SnapshotSettings,
    /// Files for ESR.
    pub outbound: OutboundSettings,
    /// Daily runs.
    pub schedule: ScheduleSettings,
    /// The local offices by code.
    #[serde(rename = "office")]
    pub offices: BTreeMap<Office, OfficeEntry>,
}

/// The version of the configuration format. Only version 1 exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct FormatVersion;

impl TryFrom<u32> for FormatVersion {
    type Error = String;

    fn try_from(version: u32) -> Result<Self, Self::Error> {
        if version == 1 { Ok(Self) } else { Err(format!("expected version 1, found {version}")) }
    }
}

impl From<FormatVersion> for u32 {
    fn from(_: FormatVersion) -> Self {
        1
    }
}

/// Which placements become applicants, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplicantSettings {
    /// Placement types that count (A8).
    #[serde(deserialize_with = "entry::non_empty_texts")]
    pub placement_types: Vec<String>,
    /// Days from the run to the first day of the window (A5, A6).
    #[serde(deserialize_with = "entry::days")]
    pub min_days: u32,
    /// Weeks from the run to the first day after the window (A5).
    #[serde(deserialize_with = "entry::weeks")]
    pub max_weeks: u32,
    /// Most rows with the same DPN in one file (A10).
    #[serde(deserialize_with = "entry::at_least_one")]
    pub max_rows_per_post: u32,
    /// What happens to a record whose window has passed (D25).
    pub missed_window: MissedWindow,
}

impl ApplicantSettings {
    /// Whether placements of this type count (A8). Case is ignored.
    pub fn counts(&self, placement_type: &str) -> bool {
        let placement_type = placement_type.trim();
        self.placement_types.iter().any(|counted| counted.eq_ignore_ascii_case(placement_type))
    }
}

/// What happens to a record whose window has passed (D25).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MissedWindow {
    /// It waits for an operator, with the state `MISSED_WINDOW`.
    Hold,
    /// It is exported late.
    Send,
}

/// Notifications.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotificationSettings {
    /// Field 23 of a type 2.
    pub withdrawal_reason: String,
}

/// Files from ESR.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InboundSettings {
    /// Longest line in bytes (D4).
    #[serde(deserialize_with = "entry::line_limit")]
    pub line_limit: usize,
    /// A file is read after its size has not changed for this number of seconds (D10).
    pub settle_seconds: u32,
    /// Largest file that is read (D107).
    #[serde(deserialize_with = "entry::file_limit", serialize_with = "entry::bytes")]
    pub file_limit: ByteSize,
    /// What happens to a file after it has been taken in (D11).
    pub after: After,
    /// What happens to a suspect file (D10).
    pub suspect: SuspectPolicy,
}

/// What happens to a file after it has been taken in (D11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum After {
    /// It stays where it is.
    Keep,
    /// It is moved to the archive.
    Archive,
}

/// What happens to a suspect file (D10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SuspectPolicy {
    /// It waits for an operator, with an alert.
    Park,
    /// It is processed, with an alert.
    Process,
}

/// Snapshots of TIS (D2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotSettings {
    /// Whether the exchange deletes what a snapshot does not name.
    pub content: SnapshotContent,
    /// A snapshot is refused if it deletes more of a kind than this share, in percent, and more than the count below.
    #[serde(deserialize_with = "entry::percent")]
    pub refuse_deletions_percent: u32,
    /// A snapshot is refused if it deletes more of a kind than this number, and more than the share above.
    pub refuse_deletions_count: u64,
}

/// What a snapshot contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SnapshotContent {
    /// Everything. What the snapshot does not name is deleted.
    Full,
    /// A part. Nothing is deleted.
    Partial,
}

/// Files for ESR.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboundSettings {
    /// How lines end.
    pub line_end: LineEnd,
    /// How text outside ASCII is written.
    pub encoding: Encoding,
    /// First number of each counter (D50).
    pub first_number: FirstNumbers,
}

/// First number of each counter (D50).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "UPPERCASE")]
pub struct FirstNumbers {
    /// Applicants.
    #[serde(deserialize_with = "entry::file_number")]
    pub app: u64,
    /// Full notifications.
    #[serde(deserialize_with = "entry::file_number")]
    pub dnf: u64,
    /// Changed notifications.
    #[serde(deserialize_with = "entry::file_number")]
    pub dnc: u64,
}

impl FirstNumbers {
    /// The first number of a kind with a counter. All other kinds start at 1.
    pub fn of(&self, kind: FileKind) -> u64 {
        match kind {
            FileKind::App => self.app,
            FileKind::Dnf => self.dnf,
            FileKind::Dnc => self.dnc,
            _ => 1,
        }
    }
}

/// Daily runs, London time (10.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSettings {
    /// When applicants are exported.
    pub applicants: RunTime,
    /// When notifications are exported.
    pub notifications: RunTime,
    /// Seconds that a due run waits, beyond the settling time, for input that is known to be there.
    #[serde(deserialize_with = "entry::seconds_of_a_day")]
    pub wait_seconds: u32,
}

impl ScheduleSettings {
    /// The time zone of all times.
    pub const TIME_ZONE: &'static str = "Europe/London";
}

/// A local office (10.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfficeEntry {
    /// Its region.
    pub region: String,
    /// Its names in TIS.
    pub local_offices: Vec<String>,
    /// Its designated bodies at the GMC.
    pub designated_bodies: Vec<String>,
}

impl EsrConfiguration {
    /// The built-in configuration, with the single entries of `user` over it.
    ///
    /// # Errors
    /// The first wrong entry, with file and line.
    pub fn load(user: Option<&Source>) -> Result<Self, ConfigurationError> {
        let defaults = Source::new("esr.toml", DEFAULTS);
        configuration::read_table(TABLE, &defaults, user)
    }

    /// The configuration in effect, as a valid configuration file.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(&BTreeMap::from([(TABLE, self)])).unwrap_or_default()
    }
}

/// The whole configuration of the flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EsrSettings {
    /// Plain values.
    pub configuration: EsrConfiguration,
    /// Layouts of the files.
    pub layouts: Layouts,
    /// Value maps.
    pub value_maps: ValueMaps,
}

impl EsrSettings {
    /// Loads the configuration and the files that it names. `read_file` returns the text of a named file, or the reason
    /// why it cannot.
    ///
    /// # Errors
    /// The first wrong entry, with file and line.
    pub fn load(
        user: Option<&Source>,
        read_file: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Self, ConfigurationError> {
        let configuration = EsrConfiguration::load(user)?;
        let referenced = |name: &str| -> Result<Option<Source>, ConfigurationError> {
            if name.is_empty() {
                return Ok(None);
            }
            match read_file(name) {
                Ok(text) => Ok(Some(Source::new(name, text))),
                Err(reason) => Err(ConfigurationError {
                    file: name.to_owned(),
                    line: 1,
                    problem: format!("expected a file that can be read, found: {reason}"),
                }),
            }
        };
        let layouts = Layouts::load(referenced(&configuration.layouts)?.as_ref())?;
        let value_maps = ValueMaps::load(referenced(&configuration.value_maps)?.as_ref())?;
        Ok(Self { configuration, layouts, value_maps })
    }

    /// The layouts for the reader of inbound files.
    pub fn inbound_layouts(&self) -> InboundLayouts {
        InboundLayouts::new(&self.layouts, self.configuration.inbound.line_limit)
    }

    /// The templates for the writers of outbound files.
    pub fn templates(&self) -> Templates {
        Templates::new(&self.layouts, self.configuration.outbound.encoding, self.configuration.outbound.line_end)
    }
}
