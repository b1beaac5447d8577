//! Macros for types of texts that several namespaces have, and their errors.

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
