//! Numbers and answers are sealed wherever they are kept: AES-256-GCM-SIV. A sealed value begins with the id of its
//! key, and can be opened only for the row that it was sealed for.

use std::fmt;

use aes_gcm_siv::aead::{Aead, KeyInit as _, Payload};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use tributary_schemas::types::registry::KindName;
use zeroize::Zeroizing;

use crate::number::Number;
use crate::row_key::RowKey;

/// Bytes of every key.
const KEY_BYTES: usize = 32;

/// Bytes of a nonce.
const NONCE_BYTES: usize = 12;

/// The most keys of a ring.
const MOST_KEYS: usize = 256;

/// What a sealed value is, and the row that it belongs to. A value sealed as one thing cannot be opened as another.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'a> {
    /// The kind of the row.
    pub kind: &'a KindName,
    /// The row.
    pub row: RowKey,
    /// What it is.
    pub part: Part,
}

/// What is sealed of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Its number.
    Number = 1,
    /// The answer of the register.
    Info = 2,
}

/// Why a value is not opened. Nothing of it is shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It is too short to be a sealed value.
    #[error("the value is not sealed")]
    NotSealed,
    /// Its key is not in the ring.
    #[error("the value is sealed with the key {0}, which is not among `encryption_keys`")]
    UnknownKey(String),
    /// The key with that id is another one, or the value belongs to another row, or it was changed.
    #[error("the value does not fit the key {0}, or its row")]
    DoesNotFit(String),
    /// It cannot be sealed: it is larger than the cipher takes.
    #[error("the value is too large")]
    TooLarge,
    /// A service that keeps the keys does not answer.
    #[error("the keys are not available: {0}")]
    Unavailable(String),
}

/// Seals and opens values. A port: keys may be in a file, or in a service that gives none of them away.
pub trait Sealer: Send + Sync {
    /// Seals a value with the first key.
    ///
    /// # Errors
    /// [`SealError::TooLarge`], [`SealError::Unavailable`].
    fn seal(&self, what: Sealed<'_>, plain: &[u8]) -> Result<Vec<u8>, SealError>;

    /// Opens a value. What it returns is wiped when it is dropped.
    ///
    /// # Errors
    /// [`SealError`] says why it cannot.
    fn open(&self, what: Sealed<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError>;

    /// Whether the value is sealed with the first key.
    fn is_current(&self, sealed: &[u8]) -> bool;
}

/// Why keys are not taken. Nothing of them is shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No line.
    #[error("expected at least one line `ID BASE64-OF-32-BYTES`, found none")]
    None,
    /// A line of another form.
    #[error("line {0}: expected `ID BASE64-OF-32-BYTES`, with an ID of 1 to 64 of A-Z, a-z, 0-9, dot, _ and -")]
    Line(usize),
    /// The same id twice.
    #[error("line {0}: the ID is that of another line")]
    Repeated(usize),
    /// Too many.
    #[error("expected at most {MOST_KEYS} keys")]
    TooMany,
    /// The key of lookups has another form.
    #[error("expected the Base64 of 32 bytes")]
    Lookup,
}

/// Keys in memory, which are wiped when they are dropped.
pub struct KeyRing {
    /// Ids and keys. The first encrypts, all decrypt.
    keys: Vec<(String, Zeroizing<[u8; KEY_BYTES]>)>,
    /// Makes nonces. Even a repeated one would show no more than that two values of a row are the same.
    nonce: Box<dyn Fn() -> [u8; NONCE_BYTES] + Send + Sync>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.keys.iter().map(|(id, _)| id.as_str()).collect();
        write!(formatter, "KeyRing({ids:?})")
    }
}

impl KeyRing {
    /// Reads keys, one a line. `nonce` makes twelve random bytes.
    ///
    /// # Errors
    /// [`KeyError`] names the line.
    pub fn read(text: &str, nonce: impl Fn() -> [u8; NONCE_BYTES] + Send + Sync + 'static) -> Result<Self, KeyError> {
        let mut keys: Vec<(String, Zeroizing<[u8; KEY_BYTES]>)> = Vec::new();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let number = index + 1;
            let mut words = line.split_ascii_whitespace();
            let (Some(id), Some(key), None) = (words.next(), words.next(), words.next()) else {
                return Err(KeyError::Line(number));
            };
            // The form of an id is that of names.
            let id: KindName = id.parse().map_err(|_| KeyError::Line(number))?;
            let key = key_of(key).ok_or(KeyError::Line(number))?;
            if keys.iter().any(|(other, _)| other == id.as_str()) {
                return Err(KeyError::Repeated(number));
            }
            keys.push((id.to_string(), key));
        }
        match keys.len() {
            0 => Err(KeyError::None),
            1..=MOST_KEYS => Ok(Self { keys, nonce: Box::new(nonce) }),
            _ => Err(KeyError::TooMany),
        }
    }
}

/// 32 bytes in Base64.
fn key_of(text: &str) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
    let key: [u8; KEY_BYTES] = bytes.as_slice().try_into().ok()?;
    Some(Zeroizing::new(key))
}

/// The id of the key of a sealed value, and what follows.
fn split(sealed: &[u8]) -> Option<(&str, &[u8])> {
    let (&length, rest) = sealed.split_first()?;
    let (id, rest) = rest.split_at_checked(usize::from(length))?;
    Some((std::str::from_utf8(id).ok()?, rest))
}

impl Sealed<'_> {
    /// What the seal also covers: it is not encrypted, and not in the value.
    fn associated(&self) -> Vec<u8> {
        let kind = self.kind.as_str().as_bytes();
        let mut data = Vec::with_capacity(2 + kind.len() + self.row.as_bytes().len());
        data.push(self.part as u8);
        // The name of a kind has at most 64 bytes.
        data.push(kind.len() as u8);
        data.extend_from_slice(kind);
        data.extend_from_slice(self.row.as_bytes());
        data
    }
}

impl Sealer for KeyRing {
    fn seal(&self, what: Sealed<'_>, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let Some((id, key)) = self.keys.first() else { return Err(SealError::Unavailable("no key".to_owned())) };
        let cipher = Aes256GcmSiv::new_from_slice(key.as_slice()).map_err(|_| SealError::TooLarge)?;
        let nonce = (self.nonce)();
        let payload = Payload { msg: plain, aad: &what.associated() };
        let text = cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| SealError::TooLarge)?;
        let mut sealed = Vec::with_capacity(1 + id.len() + NONCE_BYTES + text.len());
        // An id has at most 64 bytes.
        sealed.push(id.len() as u8);
        sealed.extend_from_slice(id.as_bytes());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&text);
        Ok(sealed)
    }

    fn open(&self, what: Sealed<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (id, rest) = split(sealed).ok_or(SealError::NotSealed)?;
        let (nonce, text) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::NotSealed)?;
        let shown = || id.parse::<KindName>().map_or_else(|_| "?".to_owned(), |id| id.to_string());
        let known = self.keys.iter().find(|(known, _)| known == id);
        let (_, key) = known.ok_or_else(|| SealError::UnknownKey(shown()))?;
        let cipher = Aes256GcmSiv::new_from_slice(key.as_slice()).map_err(|_| SealError::DoesNotFit(shown()))?;
        let payload = Payload { msg: text, aad: &what.associated() };
        let plain = cipher.decrypt(&Nonce::from(*nonce), payload);
        plain.map(Zeroizing::new).map_err(|_| SealError::DoesNotFit(shown()))
    }

    fn is_current(&self, sealed: &[u8]) -> bool {
        let id = split(sealed).map(|(id, _)| id);
        id.is_some() && id == self.keys.first().map(|(id, _)| id.as_str())
    }
}

/// The key of the hashes that stand for numbers. It is wiped when it is dropped.
#[derive(Clone)]
pub struct LookupKey(Zeroizing<[u8; KEY_BYTES]>);

impl fmt::Debug for LookupKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LookupKey(***)")
    }
}

impl LookupKey {
    /// Reads the key: 32 bytes in Base64, with white space around it or not.
    ///
    /// # Errors
    /// [`KeyError::Lookup`].
    pub fn read(text: &str) -> Result<Self, KeyError> {
        key_of(text.trim()).map(Self).ok_or(KeyError::Lookup)
    }

    /// The key of the row of a number. Another kind, or another spelling, is another row.
    pub fn row(&self, kind: &KindName, number: &Number) -> RowKey {
        // A key of any length is taken, so this does not fail.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.as_slice()) else { return RowKey::new([0; 32]) };
        mac.update(&[kind.as_str().len() as u8]);
        mac.update(kind.as_str().as_bytes());
        mac.update(number.expose().as_bytes());
        RowKey::new(mac.finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use proptest::prelude::*;

    use super::*;

    fn line(id: &str, byte: u8) -> String {
        format!("{id} {}\n", STANDARD.encode([byte; KEY_BYTES]))
    }

    /// A ring whose nonces count.
    fn ring(lines: &[String]) -> KeyRing {
        let count = AtomicU64::new(1);
        KeyRing::read(&lines.concat(), move || {
            let mut nonce = [0; NONCE_BYTES];
            nonce[..8].copy_from_slice(&count.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            nonce
        })
        .unwrap()
    }

    fn kind() -> KindName {
        "unzr".parse().unwrap()
    }

    fn number_of(kind: &KindName) -> Sealed<'_> {
        Sealed { kind, row: RowKey::new([7; 32]), part: Part::Number }
    }

    #[test]
    fn the_first_key_encrypts_and_all_decrypt() {
        let (old, new) = (line("2025", 1), line("2026", 2));
        let kind = kind();
        let sealed = ring(std::slice::from_ref(&old)).seal(number_of(&kind), b"19910824-00026").unwrap();
        let both = ring(&[new.clone(), old]);
        assert_eq!(both.open(number_of(&kind), &sealed).unwrap().as_slice(), b"19910824-00026");
        assert!(!both.is_current(&sealed));
        let again = both.seal(number_of(&kind), b"19910824-00026").unwrap();
        assert!(both.is_current(&again) && again.starts_with(b"\x042026"));
        let only_new = ring(&[new]);
        assert_eq!(only_new.open(number_of(&kind), &sealed), Err(SealError::UnknownKey("2025".to_owned())));
        assert_eq!(only_new.open(number_of(&kind), &again).unwrap().as_slice(), b"19910824-00026");
    }

    #[test]
    fn a_value_is_opened_only_as_what_it_was_sealed_and_only_unchanged() {
        let ring = ring(&[line("a", 1)]);
        let (kind, other) = (kind(), "tax".parse().unwrap());
        let sealed = ring.seal(number_of(&kind), b"x").unwrap();
        let wrong = SealError::DoesNotFit("a".to_owned());
        for what in [
            number_of(&other),
            Sealed { row: RowKey::new([8; 32]), ..number_of(&kind) },
            Sealed { part: Part::Info, ..number_of(&kind) },
        ] {
            assert_eq!(ring.open(what, &sealed), Err(wrong.clone()));
        }
        for at in 2..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(ring.open(number_of(&kind), &changed), Err(wrong.clone()), "byte {at}");
        }
        for length in 0..sealed.len() {
            assert!(ring.open(number_of(&kind), &sealed[..length]).is_err());
        }
    }

    #[test]
    fn the_same_value_is_sealed_differently_each_time() {
        let (ring, kind) = (ring(&[line("a", 1)]), kind());
        let first = ring.seal(number_of(&kind), b"19910824-00026").unwrap();
        let second = ring.seal(number_of(&kind), b"19910824-00026").unwrap();
        assert_ne!(first, second);
        assert!(!first.windows(8).any(|part| part == b"19910824"));
    }

    #[test]
    fn wrong_keys_are_refused_with_their_line_and_not_shown() {
        let read = |text: &str| KeyRing::read(text, || [0; NONCE_BYTES]).map(drop);
        let right = line("a", 1);
        assert_eq!(read("\n \n"), Err(KeyError::None));
        assert_eq!(read(&format!("{right}\nb AAAA\n")), Err(KeyError::Line(3)));
        assert_eq!(read(&format!("{right}b\n")), Err(KeyError::Line(2)));
        assert_eq!(read(&right.replace('\n', " more\n")), Err(KeyError::Line(1)));
        assert_eq!(read(&right.replacen('a', "ä", 1)), Err(KeyError::Line(1)));
        assert_eq!(read(&format!("{right}{right}")), Err(KeyError::Repeated(2)));
        assert_eq!(LookupKey::read("AAAA").map(drop), Err(KeyError::Lookup));
        assert_eq!(format!("{:?}", ring(&[right])), "KeyRing([\"a\"])");
    }

    #[test]
    fn rows_of_another_kind_key_or_spelling_are_others() {
        let key = |byte: u8| LookupKey::read(&format!(" {}\n", STANDARD.encode([byte; KEY_BYTES]))).unwrap();
        let (kind, number) = (kind(), Number::new("19910824-00026"));
        let row = key(1).row(&kind, &number);
        assert_eq!(row, key(1).row(&kind, &number));
        let others = [
            key(2).row(&kind, &number),
            key(1).row(&"tax".parse().unwrap(), &number),
            key(1).row(&kind, &Number::new("19910824-00026 ")),
            key(1).row(&"unz".parse().unwrap(), &Number::new("r19910824-00026")),
        ];
        assert!(others.iter().all(|other| *other != row));
    }

    #[test]
    fn the_hash_is_that_of_rfc_2104() {
        // HMAC-SHA-256 of "\x04unzr1" under 32 bytes 0x0b, as OpenSSL computes it.
        let key = LookupKey::read(&STANDARD.encode([0x0b; KEY_BYTES])).unwrap();
        assert_eq!(
            key.row(&kind(), &Number::new("1")).to_string(),
            "b051394aaa67c913debbf8d85b4505c809e8a2a528f5ae75aad9f23cfb6073a5"
        );
    }

    proptest! {
        #[test]
        fn whatever_is_sealed_is_opened(plain in proptest::collection::vec(any::<u8>(), 0..500)) {
            let (ring, kind) = (ring(&[line("a", 1)]), kind());
            let sealed = ring.seal(number_of(&kind), &plain).unwrap();
            let opened = ring.open(number_of(&kind), &sealed).unwrap();
            prop_assert_eq!(opened.as_slice(), plain.as_slice());
        }

        #[test]
        fn nothing_else_is_opened(sealed in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(ring(&[line("a", 1)]).open(number_of(&kind()), &sealed).is_err());
        }
    }
}
