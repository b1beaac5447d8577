//! The settings of the flow's stages: built-in values, and a user's file that overrides them.

use serde::{Deserialize, Deserializer};
use tributary_flow::configuration::{self, ConfigurationError, Source};
use tributary_schemas::records::cases;

/// The top-level table of the flow.
pub const TABLE: &str = "cases";

/// The built-in settings as a file with explanations.
pub const DEFAULTS: &str = include_str!("../config/cases.toml");

/// The settings that decide what stages do. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CasesSettings {
    /// In which order clients are notified.
    pub ordering: Ordering,
    /// Which time of an update is kept.
    pub updated: UpdatedPolicy,
    /// How long a deleted case id cannot be created again.
    pub tombstones: i64,
    /// How long an update or close command waits for its create command.
    pub park_for: i64,
    /// How long acknowledged notifications are kept.
    pub retention: i64,
    /// How long notifications are kept that are never read.
    pub unread: i64,
    /// Where a process keeps notifications.
    pub store: NotificationStore,
}

/// Where a process keeps notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotificationStore {
    /// In memory, which is faster.
    Memory,
    /// On its disk, so that its memory does not grow with their number.
    Disk,
}

/// In which order clients are notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// Notifications that stem from one queue come in the order of its commands, over all cases.
    Strict,
    /// In order for each case, over many partitions.
    PerCase,
}

impl From<Ordering> for cases::Ordering {
    fn from(ordering: Ordering) -> Self {
        match ordering {
            Ordering::Strict => Self::Strict,
            Ordering::PerCase => Self::PerCase,
        }
    }
}

impl Ordering {
    /// Checks that the state follows this ordering.
    ///
    /// # Errors
    /// What to do, if it does not.
    pub fn check(self, kept: cases::Ordering) -> Result<(), String> {
        let wanted = cases::Ordering::from(self);
        if kept == wanted {
            return Ok(());
        }
        let (kept, wanted) = (kept.symbol(), wanted.symbol());
        Err(format!(
            "the state has the ordering \"{kept}\", and [cases] ordering is \"{wanted}\": the partitions of cases \
             would change; set it to \"{kept}\", or start with new state"
        ))
    }
}

/// Which time of an update is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdatedPolicy {
    /// The largest.
    Max,
    /// The last that came.
    Overwrite,
}

/// The table of the flow. Entries that only the edge reads are read there.
#[derive(Debug, Deserialize)]
struct Table {
    ordering: Ordering,
    updated: UpdatedPolicy,
    tombstones: Period,
    park_for: Period,
    notifications: Notifications,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Notifications {
    retention: Period,
    unread: Period,
    store: NotificationStore,
}

/// A duration with units, such as `30d`, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Period(i64);

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let milliseconds = text.parse::<jiff::Span>().ok().and_then(milliseconds).filter(|count| *count > 0);
        let wrong = || format!("expected a duration such as \"30d\" or \"12h\", up to 10 years, found \"{text}\"");
        milliseconds.map(Self).ok_or_else(|| serde::de::Error::custom(wrong()))
    }
}

/// Ten years in milliseconds.
const LONGEST: f64 = 10.0 * 366.0 * 24.0 * 3600.0 * 1000.0;

/// A day has 24 hours. `None` for more than ten years, so that no time can overflow.
fn milliseconds(span: jiff::Span) -> Option<i64> {
    let total = span.total(jiff::SpanTotal::from(jiff::Unit::Millisecond).days_are_24_hours()).ok()?;
    (total <= LONGEST).then_some(total as i64)
}

impl CasesSettings {
    /// Reads the settings of the stages.
    ///
    /// # Errors
    /// The first wrong entry, with file and line.
    pub fn load(user: Option<&Source>) -> Result<Self, ConfigurationError> {
        let defaults = Source::new("the built-in settings", DEFAULTS);
        let table: Table = configuration::read_table(TABLE, &defaults, user)?;
        Ok(Self {
            ordering: table.ordering,
            updated: table.updated,
            tombstones: table.tombstones.0,
            park_for: table.park_for.0,
            retention: table.notifications.retention.0,
            unread: table.notifications.unread.0,
            store: table.notifications.store,
        })
    }
}

/// The built-in settings.
impl Default for CasesSettings {
    fn default() -> Self {
        let day = 24 * 60 * 60 * 1000;
        Self {
            ordering: Ordering::Strict,
            updated: UpdatedPolicy::Max,
            tombstones: 30 * day,
            park_for: day,
            retention: 7 * day,
            unread: 30 * day,
            store: NotificationStore::Memory,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_file_holds_the_built_in_settings() {
        assert_eq!(CasesSettings::load(None), Ok(CasesSettings::default()));
    }

    #[test]
    fn a_users_file_overrides_single_entries() {
        let text = "[cases]\nordering = \"per_case\"\nupdated = \"overwrite\"\npark_for = \"90m\"\n\
                    notifications = { unread = \"1d 12h\", store = \"disk\" }\n";
        let settings = CasesSettings::load(Some(&Source::new("dis.toml", text))).unwrap();
        let expected = CasesSettings {
            ordering: Ordering::PerCase,
            updated: UpdatedPolicy::Overwrite,
            park_for: 90 * 60_000,
            unread: 36 * 3_600_000,
            store: NotificationStore::Disk,
            ..CasesSettings::default()
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn a_wrong_duration_is_refused_with_its_line() {
        for wrong in ["0s", "-1d", "30", "1000y", "soon"] {
            let text = format!("[cases]\n\npark_for = \"{wrong}\"\n");
            let error = CasesSettings::load(Some(&Source::new("dis.toml", text))).unwrap_err();
            assert_eq!((error.line, error.problem.contains("a duration")), (3, true), "{error}");
        }
    }

    #[test]
    fn another_place_of_notifications_is_refused_with_its_line() {
        let text = "[cases]\n\nnotifications = { store = \"tape\" }\n";
        let error = CasesSettings::load(Some(&Source::new("dis.toml", text))).unwrap_err();
        assert_eq!((error.line, error.problem.contains("`memory` or `disk`")), (3, true), "{error}");
    }
}
