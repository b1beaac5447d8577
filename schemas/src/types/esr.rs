//! Types of the namespace `esr`.

use std::fmt;

use serde::{Deserialize, Serialize};
use tributary_runtime::StateKey;

use crate::records::esr::FileKind;

mod file_name;
mod office;

pub use file_name::{FileName, FileNameError};
pub use office::{Office, OfficeError};

id! {
    /// Id of an ESR position (`POS`/`POR` column 2).
    PositionId
}

/// The kinds are in the order of the schema. Files of one date and number are read in this order (D9: RMF first).
impl FileKind {
    /// Whether ESR sends files of this kind to us.
    pub const fn is_inbound(self) -> bool {
        matches!(self, Self::Rmf | Self::Rmc | Self::Apc | Self::Dcc)
    }
}

/// The type of a notification, an int in the schemas. Types are sorted by number, as the rows are (D40).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "i32", try_from = "i32")]
pub enum NotificationType {
    /// 1: who holds the post now, and who comes next.
    #[default]
    Rotation = 1,
    /// 2: a trainee is withdrawn.
    Withdrawal = 2,
    /// 4: the dates of a placement have changed.
    DateChange = 4,
    /// 5: a new post.
    NewPost = 5,
}

impl NotificationType {
    /// All types, by number.
    pub const ALL: [Self; 4] = [Self::Rotation, Self::Withdrawal, Self::DateChange, Self::NewPost];
}

impl From<NotificationType> for i32 {
    fn from(notification_type: NotificationType) -> Self {
        notification_type as Self
    }
}

/// A number that is not the type of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a notification type: 1, 2, 4 or 5")]
pub struct NotificationTypeError(pub i32);

impl TryFrom<i32> for NotificationType {
    type Error = NotificationTypeError;

    fn try_from(number: i32) -> Result<Self, Self::Error> {
        Self::ALL.into_iter().find(|one| i32::from(*one) == number).ok_or(NotificationTypeError(number))
    }
}

impl StateKey for NotificationType {
    fn write_key(&self, out: &mut Vec<u8>) {
        i32::from(*self).write_key(out);
    }

    fn read_key(input: &mut &[u8]) -> Option<Self> {
        i32::read_key(input)?.try_into().ok()
    }
}

impl fmt::Display for NotificationType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        i32::from(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Defect, Malformed};
    use crate::records::AvroRecord;
    use crate::records::esr::{FileEnd, Notification};

    #[test]
    fn a_notification_type_is_one_of_four_numbers() {
        for number in -1..10 {
            let known = [1, 2, 4, 5].contains(&number);
            assert_eq!(NotificationType::try_from(number).map(i32::from).ok(), known.then_some(number));
        }
    }

    #[test]
    fn a_notification_of_an_unknown_type_is_malformed() {
        let mut body = Vec::new();
        let office = "EOE".parse().unwrap();
        Notification { run: 1, notification_type: NotificationType::NewPost, ..Notification::of(office) }
            .encode(&mut body);
        assert_eq!(Notification::decode_all(&body).map(|row| row.notification_type), Ok(NotificationType::NewPost));
        // The run takes one byte, then the type follows. 3 as a varint is 6.
        body[1] = 6;
        assert!(matches!(Notification::decode_all(&body), Err(Malformed { defect: Defect::Code, .. })));
    }

    #[test]
    fn a_text_that_does_not_fit_the_type_of_its_field_is_malformed() {
        let name = "DE_EOE_RMC_20261120_00000017.DAT".parse().unwrap();
        let end = FileEnd { file_name: name, office: "EOE".parse().unwrap() };
        let mut body = Vec::new();
        end.encode(&mut body);
        assert_eq!(FileEnd::decode_all(&body), Ok(end));
        let of_office = body.len() - 1;
        body[of_office] = b'e';
        let error = FileEnd::decode_all(&body).unwrap_err();
        assert_eq!(error.defect, Defect::Value { field: "office", of: "esr.Office" });
        assert!(error.to_string().contains("the field office does not fit its type, esr.Office"), "{error}");
        // The length takes one byte, then comes the name.
        body[1] = b'X';
        let error = FileEnd::decode_all(&body).unwrap_err();
        assert_eq!(error.defect, Defect::Value { field: "fileName", of: "esr.FileName" });
    }
}
