//! The table `[cases.details]`.

use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tributary_connectors::origin::{IpNet, OriginLimits};

/// The shortest and the longest `timeout`.
const TIMEOUTS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_mins(10));

/// The smallest and the largest `body_limit`.
const BODY_LIMITS: (ByteSize, ByteSize) = (ByteSize::kib(1), ByteSize::gib(1));

/// The largest number of calls at one time. Each takes up to 1 MiB of memory.
const MOST_CALLS: usize = 128;

/// The largest number of calls at one time of one origin system, and of one caller.
const MOST_CALLS_OF_ONE: usize = 32;

/// Settings of the proxy of case details.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Details {
    timeout: Timeout,
    body_limit: BodyLimit,
    private_networks: Vec<Network>,
}

impl Details {
    /// The limits of the client of origin systems.
    pub(super) fn limits(&self) -> OriginLimits {
        OriginLimits {
            timeout: self.timeout.0,
            body_limit: self.body_limit.0.as_u64(),
            private_networks: self.private_networks.iter().map(|network| network.0).collect(),
            most_calls: MOST_CALLS,
            most_calls_of_one: MOST_CALLS_OF_ONE,
        }
    }
}

/// A duration with units, such as `30s`.
#[derive(Debug, Clone, Copy)]
struct Timeout(Duration);

impl<'de> Deserialize<'de> for Timeout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let duration = text.parse::<jiff::SignedDuration>().ok().and_then(|duration| duration.try_into().ok());
        let is_right = |duration: &Duration| (TIMEOUTS.0..=TIMEOUTS.1).contains(duration);
        let wrong = || format!("expected a duration such as \"30s\", from 100 ms to 10 minutes, found \"{text}\"");
        duration.filter(is_right).map(Self).ok_or_else(|| serde::de::Error::custom(wrong()))
    }
}

impl Serialize for Timeout {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        jiff::fmt::serde::unsigned_duration::friendly::compact::required::serialize(&self.0, serializer)
    }
}

/// A size with units, such as `10MiB`.
#[derive(Debug, Clone, Copy)]
struct BodyLimit(ByteSize);

impl<'de> Deserialize<'de> for BodyLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let size = text.parse::<ByteSize>().ok().filter(|size| (BODY_LIMITS.0..=BODY_LIMITS.1).contains(size));
        let wrong = || format!("expected a size such as \"10MiB\", from 1 KiB to 1 GiB, found \"{text}\"");
        size.map(Self).ok_or_else(|| serde::de::Error::custom(wrong()))
    }
}

impl Serialize for BodyLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The text for people is rounded.
        serializer.collect_str(&format_args!("{}B", self.0.as_u64()))
    }
}

/// A network such as `10.1.0.0/16`.
#[derive(Debug, Clone, Copy)]
struct Network(IpNet);

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || format!("expected a network such as \"10.1.0.0/16\", found \"{text}\"");
        text.parse().map(Self).map_err(|_| serde::de::Error::custom(wrong()))
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
