//! The settings of the flow: built-in values, and a user's file that overrides them. Entries that only the edge reads
//! are read there.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use tributary_flow::configuration::{self, ConfigurationError, Source};

use crate::cache::{CacheSettings, StoreKind};
use crate::flow::FlowSettings;
use crate::place::PlaceLimits;
use crate::timeouts::{TimeoutOrder, Timeouts};

/// The top-level table of the flow.
pub const TABLE: &str = "aggregation";

/// The built-in settings as a file with explanations.
pub const DEFAULTS: &str = include_str!("../config/aggregation.toml");

/// The longest time, in milliseconds.
const LONGEST_MS: u64 = 24 * 3600 * 1000;
/// The most of anything else: the largest sizes that still fit into 32 bits of kibibytes.
const MOST: u64 = 1 << 40;

#[derive(Deserialize)]
struct Table {
    logical_address: String,
    service_timeout_ms: Milliseconds,
    aggregate_timeout_ms: Milliseconds,
    aggregated_service_timeout_ms: Milliseconds,
    check_soap_action: bool,
    max_request_bytes: Count,
    max_answer_bytes: Count,
    max_questions: Count,
    memory_bytes: Count,
    vp: PlatformTable,
    ei: IndexTable,
    cache: CacheTable,
}

#[derive(Deserialize)]
struct PlatformTable {
    url: Option<String>,
    instance_id: String,
    in_flight_per_address: Count,
    waiting_per_address: Count,
    breaker_failures: u32,
    breaker_open_ms: Milliseconds,
}

#[derive(Deserialize)]
struct IndexTable {
    sender_id: String,
    timeout_ms: Option<Milliseconds>,
}

#[derive(Deserialize)]
struct CacheTable {
    enabled: bool,
    store: StoreKind,
    ttl_ms: Milliseconds,
    max_entries: Count,
    expiration_interval_ms: Milliseconds,
    failure_ttl_ms: Milliseconds,
}

/// All entries that a user's file sets, for the line of an error.
type Own = BTreeMap<String, Spanned<toml::Value>>;

#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "u64")]
struct Milliseconds(Duration);

impl TryFrom<u64> for Milliseconds {
    type Error = String;

    fn try_from(number: u64) -> Result<Self, String> {
        let wrong = || format!("expected 1 to {LONGEST_MS} milliseconds, found {number}");
        let duration = (1..=LONGEST_MS).contains(&number).then(|| Duration::from_millis(number));
        duration.map(Self).ok_or_else(wrong)
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "u64")]
struct Count(usize);

impl TryFrom<u64> for Count {
    type Error = String;

    fn try_from(number: u64) -> Result<Self, String> {
        let wrong = || format!("expected a number from 1 to {MOST}, found {number}");
        let count = Some(number).filter(|number| (1..=MOST).contains(number)).and_then(|number| number.try_into().ok());
        count.map(Self).ok_or_else(wrong)
    }
}

impl FlowSettings {
    /// Reads the settings.
    ///
    /// # Errors
    /// The first wrong entry, with file and line.
    pub fn load(user: Option<&Source>) -> Result<Self, ConfigurationError> {
        let defaults = Source::new("the built-in settings", DEFAULTS);
        let table: Table = configuration::read_table(TABLE, &defaults, user)?;
        let times = [table.service_timeout_ms, table.aggregate_timeout_ms, table.aggregated_service_timeout_ms];
        let [service, aggregate, aggregated_service] = times.map(|time| time.0);
        let timeouts = Timeouts::new(service, aggregate, aggregated_service);
        let blamed = user.unwrap_or(&defaults);
        Ok(Self {
            timeouts: timeouts.map_err(|error| blamed.error_at(offset_of(&error, user), error.to_string()))?,
            logical_address: table.logical_address,
            check_soap_action: table.check_soap_action,
            max_request_bytes: table.max_request_bytes.0,
            max_answer_bytes: table.max_answer_bytes.0,
            max_questions: table.max_questions.0,
            memory_bytes: table.memory_bytes.0,
            platform_url: table.vp.url,
            instance: table.vp.instance_id,
            index_sender: table.ei.sender_id,
            index_timeout: table.ei.timeout_ms.map(|time| time.0),
            places: PlaceLimits {
                in_flight: table.vp.in_flight_per_address.0,
                waiting: table.vp.waiting_per_address.0,
                breaker_failures: table.vp.breaker_failures,
                breaker_open: table.vp.breaker_open_ms.0,
            },
            cache: CacheSettings {
                enabled: table.cache.enabled,
                store: table.cache.store,
                ttl: table.cache.ttl_ms.0,
                max_entries: table.cache.max_entries.0,
                expiration_interval: table.cache.expiration_interval_ms.0,
                failure_ttl: table.cache.failure_ttl_ms.0,
            },
        })
    }
}

/// Where in the user's file the first of the two keys is that it sets.
fn offset_of(error: &TimeoutOrder, user: Option<&Source>) -> usize {
    let nothing = Source::new("nothing", "");
    let own: Own = configuration::read_table(TABLE, &nothing, user).unwrap_or_default();
    error.keys().iter().find_map(|key| own.get(*key)).map(|value| value.span().start).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<FlowSettings, String> {
        FlowSettings::load(Some(&Source::new("my.toml", text))).map_err(|error| error.to_string())
    }

    #[test]
    fn the_built_in_file_holds_the_built_in_settings() {
        let expected = FlowSettings {
            instance: "tributary".to_owned(),
            index_sender: "tributary".to_owned(),
            ..FlowSettings::default()
        };
        assert_eq!(FlowSettings::load(None), Ok(expected));
    }

    #[test]
    fn a_users_file_overrides_single_entries() {
        let settings = load(
            "[aggregation]\nmax_questions = 3\n[aggregation.vp]\nurl = \"http://vp\"\nbreaker_failures = 0\n\
             [aggregation.ei]\ntimeout_ms = 7\n[aggregation.cache]\nenabled = true\nfailure_ttl_ms = 9\n",
        );
        let settings = settings.unwrap();
        assert_eq!((settings.max_questions, settings.places.breaker_failures), (3, 0));
        assert_eq!(settings.platform_url.as_deref(), Some("http://vp"));
        assert_eq!(settings.index_timeout, Some(Duration::from_millis(7)));
        let cache = CacheSettings { enabled: true, failure_ttl: Duration::from_millis(9), ..CacheSettings::default() };
        assert_eq!(settings.cache, cache);
    }

    #[test]
    fn an_unknown_store_of_the_cache_is_refused() {
        let error = load("[aggregation.cache]\nstore = \"disk\"\n").unwrap_err();
        assert_eq!(error, "my.toml:2: expected `memory` or `log`, found `disk`");
    }

    #[test]
    fn times_in_another_order_are_refused_with_both_keys() {
        let error = load("[aggregation]\nmax_questions = 3\naggregate_timeout_ms = 4000\n").unwrap_err();
        let expected = "my.toml:3: expected service_timeout_ms = 4000 to be less than aggregate_timeout_ms = 4000";
        assert!(error.starts_with(expected), "{error}");
        let error = load("[aggregation]\n\nservice_timeout_ms = 4500\n").unwrap_err();
        assert!(error.starts_with("my.toml:3: expected service_timeout_ms = 4500 to be less than"), "{error}");
        let error = load("[aggregation]\nservice_timeout_ms = 0\n").unwrap_err();
        assert_eq!(error, "my.toml:2: expected 1 to 86400000 milliseconds, found 0");
        let error = load("[aggregation]\nmemory_bytes = 0\n").unwrap_err();
        assert!(error.starts_with("my.toml:2: expected a number from 1 to "), "{error}");
    }
}
