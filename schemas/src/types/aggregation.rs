//! Types of the namespace `aggregation`. `Debug` shows no patient and no id that a source system gave.

use std::borrow::Borrow;
use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::sync::Arc;

use jiff::civil::DateTime;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;
use tributary_runtime::{StateKey, partition_for_key};

use crate::binary;
use crate::records::aggregation::Engagement;

/// A text that is empty or too long. It is not shown, because it may be the id of a patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 1 to {0} characters")]
pub struct LengthError(pub usize);

/// A text that is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a time of the calendar in the form yyyyMMddHHmmss")]
pub struct StampError;

/// A text of limited length. Cheap to clone.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $most:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The largest number of characters.
            pub const MOST: usize = $most;

            /// The text as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            pub(crate) fn encode(&self, out: &mut Vec<u8>) {
                binary::write_bytes(out, self.0.as_bytes());
            }
        }

        impl FromStr for $name {
            type Err = LengthError;

            fn from_str(text: &str) -> Result<Self, LengthError> {
                let is_short = text.len() <= Self::MOST || text.chars().count() <= Self::MOST;
                let fits = !text.is_empty() && is_short;
                fits.then(|| Self(text.into())).ok_or(LengthError(Self::MOST))
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

/// `Debug` that hides the text.
macro_rules! hidden {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(concat!(stringify!($name), "(***)"))
            }
        }
    };
}

text! {
    /// Id of a patient, as its writer wrote it.
    PatientId, 32
}
hidden!(PatientId);

impl Borrow<str> for PatientId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PatientId {
    /// The partition of the patient in a topic with this many.
    pub fn partition(&self, count: i32) -> i32 {
        partition_for_key(self.0.as_bytes(), count)
    }
}

text! {
    /// Id of a business object or of a clinical process in a source system, or [`NOT_GIVEN`].
    InstanceId, 128
}
hidden!(InstanceId);

text! {
    /// Logical address or HSA-id of a system.
    Address, 64
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Address({})", self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// A time in Stockholm in seconds, written as 14 digits: `yyyyMMddHHmmss`. Stamps sort by time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(NonZeroU64);

impl Stamp {
    /// The number of its digits.
    pub const DIGITS: usize = 14;

    /// The digits as one number.
    pub const fn number(self) -> u64 {
        self.0.get()
    }

    /// The stamp with this number. `None` if that is no time of the calendar.
    pub fn from_number(number: u64) -> Option<Self> {
        let part = |after: u32, size: u64| (number / 10_u64.pow(after) % size) as i8;
        let year = i16::try_from(number / 10_u64.pow(10)).ok().filter(|year| *year <= 9999)?;
        let date = DateTime::new(year, part(8, 100), part(6, 100), part(4, 100), part(2, 100), part(0, 100), 0);
        date.ok().and_then(|_| NonZeroU64::new(number)).map(Self)
    }

    /// The stamp of a civil time. Fractions of a second are cut. `None` for a year that four digits cannot name.
    pub fn of(time: DateTime) -> Option<Self> {
        let year = u64::try_from(time.year()).ok()?;
        let parts = [time.month(), time.day(), time.hour(), time.minute(), time.second()];
        Self::from_number(parts.iter().fold(year, |number, part| number * 100 + u64::from(part.unsigned_abs())))
    }

    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        let mut digits = [b'0'; Self::DIGITS];
        let mut rest = self.number();
        for digit in digits.iter_mut().rev() {
            *digit += (rest % 10) as u8;
            rest /= 10;
        }
        binary::write_bytes(out, &digits);
    }
}

impl FromStr for Stamp {
    type Err = StampError;

    fn from_str(text: &str) -> Result<Self, StampError> {
        let is_form = text.len() == Self::DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = is_form.then(|| text.parse().ok()).flatten();
        number.and_then(Self::from_number).ok_or(StampError)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:014}", self.number())
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Stamp({self})")
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Stands in the key for a category, a business object or a clinical process that is not given (A 6.4).
pub const NOT_GIVEN: &str = "NA";

/// The key of an engagement in the index: SHA-256 of the fields that never change (A 6.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BusinessKey([u8; Self::BYTES]);

/// A text that is no business key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hexadecimal digits in lower case")]
pub struct BusinessKeyError;

/// The fields of which a business key is made.
#[derive(Clone, Copy)]
pub struct KeyFields<'a> {
    /// `registeredResidentIdentification`.
    pub patient: &'a str,
    /// `serviceDomain`.
    pub domain: &'a str,
    /// `categorization`.
    pub categorization: &'a str,
    /// `logicalAddress`.
    pub logical_address: &'a str,
    /// `businessObjectInstanceIdentifier`.
    pub business_object: &'a str,
    /// `sourceSystem`.
    pub source_system: &'a str,
    /// `dataController`.
    pub data_controller: &'a str,
    /// `owner`.
    pub owner: &'a str,
    /// `clinicalProcessInterestId`.
    pub clinical_process: &'a str,
}

fn given(text: &str) -> &str {
    if text.is_empty() { NOT_GIVEN } else { text }
}

impl BusinessKey {
    const BYTES: usize = 32;

    /// The key of these fields: their texts in this order, without anything between them, as the original index has it.
    pub fn of(fields: KeyFields<'_>) -> Self {
        let mut hash = sha2::Sha256::new();
        for text in [
            fields.patient,
            fields.domain,
            given(fields.categorization),
            fields.logical_address,
            given(fields.business_object),
            fields.source_system,
            fields.data_controller,
            fields.owner,
            given(fields.clinical_process),
        ] {
            hash.update(text.as_bytes());
        }
        Self(hash.finalize().into())
    }
}

impl Engagement {
    /// Its key in the index.
    pub fn key(&self) -> BusinessKey {
        self.key_with_owner(&self.owner)
    }

    /// The key that it would have in the index with another owner.
    pub fn key_with_owner(&self, owner: &str) -> BusinessKey {
        BusinessKey::of(KeyFields {
            patient: self.registered_resident_identification.as_str(),
            domain: &self.service_domain,
            categorization: &self.categorization,
            logical_address: self.logical_address.as_str(),
            business_object: self.business_object_instance_identifier.as_str(),
            source_system: self.source_system.as_str(),
            data_controller: &self.data_controller,
            owner,
            clinical_process: self.clinical_process_interest_id.as_str(),
        })
    }
}

impl StateKey for BusinessKey {
    fn write_key(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn read_key(input: &mut &[u8]) -> Option<Self> {
        let (bytes, rest) = input.split_first_chunk()?;
        *input = rest;
        Some(Self(*bytes))
    }
}

impl FromStr for BusinessKey {
    type Err = BusinessKeyError;

    fn from_str(text: &str) -> Result<Self, BusinessKeyError> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != Self::BYTES || !rest.is_empty() {
            return Err(BusinessKeyError);
        }
        let mut key = [0; Self::BYTES];
        for (byte, [high, low]) in key.iter_mut().zip(pairs) {
            *byte = digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low).ok_or(BusinessKeyError)?;
        }
        Ok(Self(key))
    }
}

impl fmt::Display for BusinessKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for BusinessKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "BusinessKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_and_errors_show_no_patient_and_no_id_of_a_source_system() {
        let patient: PatientId = "199001011234".parse().unwrap();
        let object: InstanceId = "visit-7".parse().unwrap();
        assert_eq!(format!("{patient:?} {object:?}"), "PatientId(***) InstanceId(***)");
        let error = "1".repeat(33).parse::<PatientId>().unwrap_err();
        assert_eq!(error.to_string(), "expected 1 to 32 characters");
    }

    #[test]
    fn a_text_has_at_least_one_character_and_at_most_the_limit_in_characters_not_bytes() {
        assert!("å".repeat(32).parse::<PatientId>().is_ok());
        assert!(["", &"å".repeat(33)].iter().all(|text| text.parse::<PatientId>().is_err()));
        assert!("x".repeat(64).parse::<Address>().is_ok() && "x".repeat(65).parse::<Address>().is_err());
        assert!("x".repeat(128).parse::<InstanceId>().is_ok() && "x".repeat(129).parse::<InstanceId>().is_err());
    }

    #[test]
    fn a_stamp_is_a_time_of_the_calendar_in_14_digits() {
        for text in ["20261128145031", "20240229000000", "00000101000000", "99991231235959"] {
            let stamp: Stamp = text.parse().unwrap();
            assert_eq!(stamp.to_string(), text);
            let mut encoded = Vec::new();
            stamp.encode(&mut encoded);
            assert_eq!(&encoded[1..], text.as_bytes());
            assert_eq!(Stamp::from_number(stamp.number()), Some(stamp));
        }
        let wrong = [
            "",
            "2026112814503",
            "202611281450311",
            "20261328145031",
            "20230229000000",
            "20261128245031",
            "20261128146031",
            "20261128145060",
            "+2026112814503",
            "2026112814503x",
            "2026-11-28 145",
        ];
        for text in wrong {
            assert_eq!(text.parse::<Stamp>(), Err(StampError), "{text}");
        }
    }

    #[test]
    fn a_stamp_of_a_civil_time_has_its_digits() {
        let time: DateTime = "2026-01-02T03:04:05.678".parse().unwrap();
        assert_eq!(Stamp::of(time).map(|stamp| stamp.to_string()).as_deref(), Some("20260102030405"));
    }

    fn fields() -> KeyFields<'static> {
        KeyFields {
            patient: "191212121212",
            domain: "riv:crm:scheduling",
            categorization: "Booking",
            logical_address: "SE-1",
            business_object: "visit-7",
            source_system: "SE-2",
            data_controller: "SE-3",
            owner: "SE-4",
            clinical_process: "process-9",
        }
    }

    /// The digits are those of `sha256sum` for the texts one after the other.
    #[test]
    fn the_key_is_sha_256_of_the_fields_in_the_order_of_the_original() {
        let expected = "35b2fb5a2cd5d2611f12f31c5e7494cbd2ed9686f26d6dc887a5d0950fce4b1a";
        assert_eq!(BusinessKey::of(fields()).to_string(), expected);
        assert_eq!(expected.parse(), Ok(BusinessKey::of(fields())));
    }

    #[test]
    fn a_category_an_object_and_a_process_that_are_not_given_count_as_na() {
        let empty = KeyFields { categorization: "", business_object: "", clinical_process: "", ..fields() };
        let named = KeyFields { categorization: "NA", business_object: "NA", clinical_process: "NA", ..fields() };
        let expected = "e59175458381208e32f3fb7d25a863466fa44e1f4450d2b3ddefce4e69c2bcb1";
        assert_eq!([empty, named].map(|fields| BusinessKey::of(fields).to_string()), [expected, expected]);
    }

    #[test]
    fn a_key_is_read_only_as_it_is_written() {
        let key = BusinessKey::of(fields()).to_string();
        let wrong = [String::new(), key[1..].to_owned(), key.to_uppercase(), format!("{key}0"), key.replace('0', "g")];
        assert!(wrong.iter().all(|text| text.parse::<BusinessKey>().is_err()));
    }

    #[test]
    fn a_key_of_the_store_is_its_32_bytes() {
        let key = BusinessKey::of(fields());
        let mut bytes = Vec::new();
        key.write_key(&mut bytes);
        assert_eq!(bytes.len(), 32);
        assert_eq!(BusinessKey::read_key(&mut bytes.as_slice()), Some(key));
        assert_eq!(BusinessKey::read_key(&mut &bytes[1..]), None);
    }
}
