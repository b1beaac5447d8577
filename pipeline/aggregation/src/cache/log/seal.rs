//! How entries are sealed, and what they are called where the log shows it. Nothing here draws nonces.

use std::fmt;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _, Nonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::cache::CacheKey;

/// How many bytes a nonce has.
pub const NONCE_BYTES: usize = 12;

/// What the two uses of the key begin with, so that none gives what the other does.
const OF_NAMES: &[u8] = b"tributary aggregation.cache name";
const OF_CONTENTS: &[u8] = b"tributary aggregation.cache contents";

/// Why an entry cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SealError {
    /// There is not even a nonce.
    #[error("it is too short to be a sealed entry")]
    Short,
    /// Its tag is not right.
    #[error("it was sealed with another key, or it was changed since")]
    Broken,
}

/// The name of an entry in the log: a keyed hash of its question.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct EntryName([u8; 32]);

impl EntryName {
    /// As the key of a record: 64 hexadecimal digits.
    pub(super) fn to_key(self) -> String {
        self.0.iter().fold(String::with_capacity(64), |text, byte| text + &format!("{byte:02x}"))
    }

    /// The name that the key of a record is.
    pub(super) fn of_key(key: &[u8]) -> Option<Self> {
        digits(str::from_utf8(key).ok()?).map(Self)
    }
}

impl fmt::Debug for EntryName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_key())
    }
}

/// 32 bytes from 64 hexadecimal digits.
pub fn digits(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let text = text.as_bytes();
    if text.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |letter: &u8| char::from(*letter).to_digit(16);
        *byte = (digit(pair.first()?)? * 16 + digit(pair.last()?)?) as u8;
    }
    Some(bytes)
}

/// The key, which nothing shows.
#[derive(Clone)]
pub(super) struct Seal([u8; 32]);

impl Seal {
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    fn hash(&self, parts: [&[u8]; 3]) -> [u8; 32] {
        // HMAC takes a key of any length.
        let Ok(mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return [0; 32] };
        let mac =
            parts.iter().fold(mac, |mac, part| mac.chain_update((part.len() as u64).to_be_bytes()).chain_update(part));
        mac.finalize().into_bytes().into()
    }

    /// The name of the entry of a question.
    pub(super) fn name(&self, key: &CacheKey) -> EntryName {
        EntryName(self.hash([OF_NAMES, key.service().as_bytes(), key.digest()]))
    }

    /// Each entry has a key of its own, so that random nonces may come for as long as a key is used.
    fn cipher(&self, name: &EntryName) -> Aes256Gcm {
        Aes256Gcm::new(&self.hash([OF_CONTENTS, &name.0, &[]]).into())
    }

    /// Seals what an entry holds: the nonce and the ciphertext. Name and end belong to it. `None` beyond 64 GiB.
    pub(super) fn close(
        &self,
        name: &EntryName,
        expires: i64,
        nonce: [u8; NONCE_BYTES],
        contents: &[u8],
    ) -> Option<Vec<u8>> {
        let payload = Payload { msg: contents, aad: &bound(name, expires) };
        let ciphertext = self.cipher(name).encrypt(&Nonce::from(nonce), payload).ok()?;
        Some([nonce.as_slice(), &ciphertext].concat())
    }

    /// Opens what was sealed under this name and with this end.
    pub(super) fn open(&self, name: &EntryName, expires: i64, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Short)?;
        let payload = Payload { msg: ciphertext, aad: &bound(name, expires) };
        self.cipher(name).decrypt(&Nonce::from(*nonce), payload).map_err(|_| SealError::Broken)
    }
}

fn bound(name: &EntryName, expires: i64) -> Vec<u8> {
    [name.0.as_slice(), &expires.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(seal: &Seal, number: u8) -> EntryName {
        seal.name(&CacheKey::of_digest("service", [number; 32]))
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_its_name_and_its_end() {
        let (seal, other) = (Seal::new([1; 32]), Seal::new([2; 32]));
        let ours = name(&seal, 7);
        let sealed = seal.close(&ours, 5, [9; NONCE_BYTES], b"191212121212").unwrap();
        assert_eq!(seal.open(&ours, 5, &sealed), Ok(b"191212121212".to_vec()));
        assert!(!sealed.windows(4).any(|bytes| bytes == b"1212"));
        assert_eq!(other.open(&ours, 5, &sealed), Err(SealError::Broken));
        assert_eq!(seal.open(&name(&seal, 8), 5, &sealed), Err(SealError::Broken));
        assert_eq!(seal.open(&ours, 6, &sealed), Err(SealError::Broken));
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(seal.open(&ours, 5, &changed), Err(SealError::Broken), "{place}");
            let shorter = seal.open(&ours, 5, &sealed[..place]);
            assert!(shorter.is_err(), "{place}");
        }
        assert_eq!(seal.open(&ours, 5, &sealed[..11]), Err(SealError::Short));
    }

    #[test]
    fn a_name_depends_on_the_key_and_on_the_question_and_reads_back() {
        let (seal, other) = (Seal::new([1; 32]), Seal::new([2; 32]));
        assert_eq!(name(&seal, 7), name(&seal, 7));
        assert_ne!(name(&seal, 7), name(&other, 7));
        assert_ne!(name(&seal, 7), name(&seal, 8));
        assert_ne!(name(&seal, 7), seal.name(&CacheKey::of_digest("other", [7; 32])));
        let key = name(&seal, 7).to_key();
        assert_eq!((key.len(), EntryName::of_key(key.as_bytes())), (64, Some(name(&seal, 7))));
    }

    #[test]
    fn only_64_hexadecimal_digits_are_32_bytes() {
        assert_eq!(digits(&"0aF1".repeat(16)).map(|bytes| [bytes[0], bytes[31]]), Some([0x0a, 0xf1]));
        for wrong in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"å".repeat(32), &"+1".repeat(32)] {
            assert_eq!(digits(wrong), None, "{wrong}");
        }
    }
}
