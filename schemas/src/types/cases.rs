//! Types of the namespace `cases`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tributary_runtime::StateKey;
use uuid::Uuid;

use crate::binary;
use crate::records::cases::{NotificationType, Queue};

/// A text that is no GUID of 32 digits and four hyphens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a GUID such as 6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e, found `{0}`")]
pub struct GuidError(pub String);

/// A text that is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to 64 letters of A-Z and a-z, digits, dots, underscores or hyphens, found `{0}`")]
pub struct NameError(pub String);

/// A GUID: any case is read, lower case is written. In a key it is its 16 bytes.
macro_rules! guid {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            pub(crate) fn encode(self, out: &mut Vec<u8>) {
                let mut text = Uuid::encode_buffer();
                binary::write_bytes(out, self.0.hyphenated().encode_lower(&mut text).as_bytes());
            }

            /// The 16 bytes.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The GUID with these bytes.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl StateKey for $name {
            fn write_key(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.0.as_bytes());
            }

            fn read_key(input: &mut &[u8]) -> Option<Self> {
                let (bytes, rest) = input.split_first_chunk()?;
                *input = rest;
                Some(Self(Uuid::from_bytes(*bytes)))
            }
        }

        impl FromStr for $name {
            type Err = GuidError;

            fn from_str(text: &str) -> Result<Self, GuidError> {
                // The parser also reads other forms, in braces for example.
                let is_hyphenated = text.len() == 36;
                Uuid::parse_str(text).ok().filter(|_| is_hyphenated).map(Self).ok_or_else(|| GuidError(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.hyphenated(), formatter)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

guid! {
    /// Id of a case, given by its origin system.
    CaseId
}

guid! {
    /// Id of a command, given by its sender.
    CommandId
}

guid! {
    /// Id of a notification, which follows from its command.
    MessageId
}

impl MessageId {
    /// The id of the notification of a command: a version 5 GUID, so it differs between origins and cases that use the
    /// same command id.
    pub fn of(origin: &OriginName, case: CaseId, command: CommandId) -> Self {
        let name = format!("/dis/origins/{origin}/cases/{case}/commands/{command}");
        Self(Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()))
    }
}

/// A name of 1 to 64 characters of `[A-Za-z0-9._-]`. Cheap to clone.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Sorts before all others.
            pub fn first() -> Self {
                Self("-".into())
            }

            /// The name as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether both are the same name. Names differ in more than their case.
            pub fn is_same(&self, other: &Self) -> bool {
                self.0.eq_ignore_ascii_case(&other.0)
            }

            pub(crate) fn encode(&self, out: &mut Vec<u8>) {
                binary::write_bytes(out, self.0.as_bytes());
            }
        }

        impl StateKey for $name {
            fn write_key(&self, out: &mut Vec<u8>) {
                self.0.write_key(out);
            }

            fn read_key(input: &mut &[u8]) -> Option<Self> {
                <Arc<str>>::read_key(input).map(Self)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
                let is_name = (1..=64).contains(&text.len()) && text.bytes().all(fits);
                is_name.then(|| Self(text.into())).ok_or_else(|| NameError(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name! {
    /// Name of an origin system.
    OriginName
}

name! {
    /// Name of a client, which receives notifications.
    ClientName
}

impl NotificationType {
    /// The number that consumers know: Created 0, Updated 1, Closed 2, Deleted 3.
    pub const fn number(self) -> i32 {
        // The first symbol stands for those of newer releases.
        self as i32 - 1
    }
}

impl Queue {
    /// The name of its commands: `CreateCase`.
    pub const fn command(self) -> &'static str {
        match self {
            Self::Create => "CreateCase",
            Self::Update => "UpdateCase",
            Self::Close => "CloseCase",
            Self::Delete => "DeleteCase",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_read_in_any_case_and_written_in_lower_case() {
        let text = "6B1F3C1E-0F5B-4A53-9d0c-1d2a3b4c5d6e";
        assert_eq!(text.parse::<CaseId>().unwrap().to_string(), text.to_lowercase());
        let no_guids = ["", "6b1f3c1e0f5b4a539d0c1d2a3b4c5d6e", "{6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e}", "x"];
        assert!(no_guids.iter().all(|text| text.parse::<CaseId>().is_err()));
    }

    #[test]
    fn a_name_has_1_to_64_characters_of_the_pattern() {
        let longest = "a".repeat(64);
        assert!(["a", "Journal.1_x-y", &longest].iter().all(|text| text.parse::<ClientName>().is_ok()));
        let too_long = "a".repeat(65);
        assert!(["", "a b", "æ", "a/b", &too_long].iter().all(|text| text.parse::<ClientName>().is_err()));
    }

    #[test]
    fn message_ids_follow_from_origin_case_and_command() {
        let guid = "6b1f3c1e-0f5b-4a53-9d0c-1d2a3b4c5d6e";
        let (a, b): (OriginName, OriginName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let (case, command) = (guid.parse().unwrap(), guid.parse().unwrap());
        assert_eq!(MessageId::of(&a, case, command), MessageId::of(&a, case, command));
        assert_ne!(MessageId::of(&a, case, command), MessageId::of(&b, case, command));
    }

    #[test]
    fn types_of_notifications_have_the_numbers_of_the_original() {
        let numbers: Vec<i32> = NotificationType::ALL.iter().map(|one| one.number()).collect();
        assert_eq!(numbers, [0, 1, 2, 3]);
    }
}
