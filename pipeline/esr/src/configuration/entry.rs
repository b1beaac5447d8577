//! Single entries with a range or a form of their own. The parser adds the line to their error messages.

use std::fmt;
use std::str::FromStr;

use bytesize::ByteSize;
use jiff::civil::Time;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::format::FileName;

/// A time of day, written `14:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunTime(pub Time);

impl FromStr for RunTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = || {
            let (hour, minute) = text.split_once(':')?;
            let two_digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            if !two_digits(hour) || !two_digits(minute) {
                return None;
            }
            Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
        };
        parsed().map(Self).ok_or_else(|| format!("expected a time of day such as \"14:00\", found \"{text}\""))
    }
}

impl fmt::Display for RunTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}

impl Serialize for RunTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fn in_range<'de, D: Deserializer<'de>>(deserializer: D, low: u64, high: u64) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    if (low..=high).contains(&number) {
        return Ok(number);
    }
    Err(serde::de::Error::custom(format!("expected a number from {low} to {high}, found {number}")))
}

pub(super) fn seconds_of_a_day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    in_range(deserializer, 0, 86_400).map(|number| number as u32)
}

pub(super) fn days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    in_range(deserializer, 0, 366).map(|number| number as u32)
}

pub(super) fn weeks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    in_range(deserializer, 1, 520).map(|number| number as u32)
}

pub(super) fn percent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    in_range(deserializer, 0, 100).map(|number| number as u32)
}

pub(super) fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    in_range(deserializer, 1, u64::from(u32::MAX)).map(|number| number as u32)
}

pub(super) fn line_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    in_range(deserializer, 256, 16 * 1024 * 1024).map(|number| number as usize)
}

/// Numbers of lines and chunks of the largest file fit into the records.
pub(super) fn file_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    let size = ByteSize::deserialize(deserializer)?;
    if (ByteSize::kib(1)..=ByteSize::gib(1)).contains(&size) {
        return Ok(size);
    }
    Err(serde::de::Error::custom(format!("expected a size from 1KiB to 1GiB, found {size}")))
}

/// The exact number of bytes. The text for people is rounded.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
pub(super) fn bytes<S: Serializer>(size: &ByteSize, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{}B", size.as_u64()))
}

pub(super) fn file_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    in_range(deserializer, 1, FileName::MAX_NUMBER)
}

pub(super) fn non_empty_texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    if texts.is_empty() || texts.iter().any(|text| text.trim().is_empty()) {
        return Err(serde::de::Error::custom("expected at least one text and no blank one, found a blank"));
    }
    Ok(texts)
}
