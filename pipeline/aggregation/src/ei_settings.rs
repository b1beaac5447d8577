//! The settings of the engagement index, `[aggregation.ei]`.

use serde::Deserialize;
use serde::de::IgnoredAny;
use tributary_flow::configuration::{self, ConfigurationError, Source};
use tributary_schemas::types::aggregation::Address;

use crate::configuration::{DEFAULTS, TABLE};

/// The longest wait for other updates: one hour in milliseconds.
const LONGEST_WINDOW: i64 = 60 * 60 * 1000;

/// The most updates that are collected.
const MOST_MESSAGES: i64 = 100_000;

/// Which index is asked. Who asks and how long it may take are in [`crate::flow::FlowSettings`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "EiTable")]
pub struct EiSettings {
    /// The index.
    pub index: Index,
}

/// Which index is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Index {
    /// That of this platform.
    Own(IndexSettings),
    /// Another one.
    External {
        /// Where its `FindContent` is.
        url: String,
        /// Its address.
        logical_address: String,
        /// Addresses that no engagement of a `ProcessNotification` may have.
        reserved: Vec<String>,
    },
}

/// The settings that decide what the stages do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexSettings {
    /// The owner of the records of this index, and its address.
    pub hsa_id: Address,
    /// Another address under which it is known.
    pub alternative_hsa_id: Option<String>,
    /// Addresses that no engagement may have.
    pub reserved: Vec<String>,
    /// How long an update with a single transaction waits for others, in milliseconds. 0 for none.
    pub collect_window_ms: i64,
    /// After this many updates, they wait no longer.
    pub collect_messages: i64,
    /// Whether a delete is kept when an add comes after it.
    pub delete_wins: bool,
}

impl IndexSettings {
    /// The built-in settings of an index with this address.
    pub fn of(hsa_id: Address) -> Self {
        Self {
            hsa_id,
            alternative_hsa_id: None,
            reserved: Vec::new(),
            collect_window_ms: 0,
            collect_messages: 1000,
            delete_wins: true,
        }
    }
}

#[derive(Deserialize)]
struct Table {
    ei: EiSettings,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mode {
    Own,
    External,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EiTable {
    mode: Mode,
    url: Option<String>,
    logical_address: Option<String>,
    /// Read by [`crate::configuration`], which owns it: here it is only known.
    #[serde(rename = "sender_id")]
    _sender_id: IgnoredAny,
    /// The same.
    #[serde(rename = "timeout_ms")]
    _timeout_ms: Option<IgnoredAny>,
    hsa_id: Option<Address>,
    alternative_hsa_id: Option<String>,
    reserved: Vec<String>,
    collect_window_ms: i64,
    collect_messages: i64,
    delete_wins: bool,
}

impl TryFrom<EiTable> for EiSettings {
    type Error = String;

    fn try_from(table: EiTable) -> Result<Self, String> {
        let missing = |key: &str, mode: &str| format!("expected the entry `{key}` for mode = \"{mode}\", found none");
        let index = match table.mode {
            Mode::Own => {
                between("collect_window_ms", 0, LONGEST_WINDOW, table.collect_window_ms)?;
                between("collect_messages", 1, MOST_MESSAGES, table.collect_messages)?;
                Index::Own(IndexSettings {
                    hsa_id: table.hsa_id.ok_or_else(|| missing("hsa_id", "own"))?,
                    alternative_hsa_id: table.alternative_hsa_id,
                    reserved: table.reserved,
                    collect_window_ms: table.collect_window_ms,
                    collect_messages: table.collect_messages,
                    delete_wins: table.delete_wins,
                })
            }
            Mode::External => Index::External {
                url: table.url.ok_or_else(|| missing("url", "external"))?,
                logical_address: table.logical_address.ok_or_else(|| missing("logical_address", "external"))?,
                reserved: table.reserved,
            },
        };
        Ok(Self { index })
    }
}

fn between(key: &str, least: i64, most: i64, value: i64) -> Result<(), String> {
    let fits = (least..=most).contains(&value);
    fits.then_some(()).ok_or_else(|| format!("expected a {key} from {least} to {most}, found {value}"))
}

impl EiSettings {
    /// Reads the settings.
    ///
    /// # Errors
    /// The first wrong entry, with file and line.
    pub fn load(user: Option<&Source>) -> Result<Self, ConfigurationError> {
        let defaults = Source::new("the built-in settings", DEFAULTS);
        let table: Table = configuration::read_table(TABLE, &defaults, user)?;
        Ok(table.ei)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<EiSettings, String> {
        EiSettings::load(Some(&Source::new("agp.toml", text))).map_err(|error| error.to_string())
    }

    #[test]
    fn the_built_in_file_holds_the_built_in_settings() {
        let settings = load("[aggregation.ei]\nhsa_id = \"SE-EI\"\n").unwrap();
        assert_eq!(settings.index, Index::Own(IndexSettings::of("SE-EI".parse().unwrap())));
    }

    #[test]
    fn a_users_file_overrides_single_entries() {
        let text = "[aggregation]\nlogical_address = \"SE-AGP\"\n[aggregation.ei]\nhsa_id = \"SE-EI\"\n\
                    alternative_hsa_id = \"SE-2\"\nreserved = [\"SE-VP\"]\ncollect_window_ms = 5000\n\
                    delete_wins = false\nsender_id = \"SE-AGP\"\n";
        let expected = IndexSettings {
            alternative_hsa_id: Some("SE-2".to_owned()),
            reserved: vec!["SE-VP".to_owned()],
            collect_window_ms: 5000,
            delete_wins: false,
            ..IndexSettings::of("SE-EI".parse().unwrap())
        };
        let settings = load(text).unwrap();
        assert_eq!(settings.index, Index::Own(expected));
    }

    #[test]
    fn an_external_index_needs_a_url_and_an_address() {
        let text = "[aggregation.ei]\nmode = \"external\"\nurl = \"https://ei.example/\"\n";
        let error = load(text).unwrap_err();
        assert!(error.contains("`logical_address` for mode = \"external\""), "{error}");
        let settings = load(&format!("{text}logical_address = \"SE-EI\"\n")).unwrap();
        assert!(matches!(settings.index, Index::External { logical_address, .. } if logical_address == "SE-EI"));
    }

    #[test]
    fn a_wrong_entry_is_refused_with_file_and_line() {
        for (text, expected) in [
            ("", "expected the entry `hsa_id`"),
            ("\nhsa_id = \"\"\n", "agp.toml:3: expected 1 to 64 characters"),
            ("hsa_id = \"x\"\ncollect_messages = 0\n", "expected a collect_messages from 1 to 100000, found 0"),
            ("hsa_id = \"x\"\ncollect_window_ms = -1\n", "expected a collect_window_ms from 0 to 3600000, found -1"),
            ("hsa_id = \"x\"\ncolect_messages = 5\n", "agp.toml:3: "),
            ("mode = \"none\"\n", "agp.toml:2: "),
        ] {
            let error = load(&format!("[aggregation.ei]\n{text}")).unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert!(error.starts_with("agp.toml:"), "{error}");
        }
    }
}
