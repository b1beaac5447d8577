//! Types of the namespace `cases`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tributary_runtime::StateKey;
use uuid::Uuid;

use crate::binary;
use crate::records::cases::{NotificationType, Queue};

pub use super::identifiers::{GuidError, NameError};

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
