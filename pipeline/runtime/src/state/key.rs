//! Keys of stores. Their bytes have a fixed layout: integers big-endian, texts with their length before them.

use std::sync::Arc;

/// A key of a store. Its layout never changes: a key of another layout is the key of another store.
pub trait StateKey: Ord + Clone + Send + 'static {
    /// Appends the key.
    fn write_key(&self, out: &mut Vec<u8>);

    /// Reads a key from the front of `input` and moves `input` past it. `None` if there is no such key.
    fn read_key(input: &mut &[u8]) -> Option<Self>;
}

/// Implements [`StateKey`] for a struct: its fields in this order. The order must never change.
#[macro_export]
macro_rules! state_key {
    ($name:ident { $($field:ident),+ $(,)? }) => {
        impl $crate::StateKey for $name {
            fn write_key(&self, out: &mut Vec<u8>) {
                $($crate::StateKey::write_key(&self.$field, out);)+
            }

            fn read_key(input: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: $crate::StateKey::read_key(input)?),+ })
            }
        }
    };
}

/// An integer as big-endian bytes. The sign bit of a signed one is flipped, so that keys sort as bytes.
macro_rules! integer {
    ($($integer:ty, $flip:expr;)+) => {$(
        impl StateKey for $integer {
            fn write_key(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&(*self ^ $flip).to_be_bytes());
            }

            fn read_key(input: &mut &[u8]) -> Option<Self> {
                let (bytes, rest) = input.split_first_chunk()?;
                *input = rest;
                Some(Self::from_be_bytes(*bytes) ^ $flip)
            }
        }
    )+};
}

integer! {
    u8, 0;
    u32, 0;
    u64, 0;
    i32, i32::MIN;
    i64, i64::MIN;
}

/// The key of a store with one entry: no bytes.
impl StateKey for () {
    fn write_key(&self, _: &mut Vec<u8>) {}

    fn read_key(_: &mut &[u8]) -> Option<Self> {
        Some(())
    }
}

/// Four bytes for the length, then the text.
macro_rules! text {
    ($($text:ty),+) => {$(
        impl StateKey for $text {
            fn write_key(&self, out: &mut Vec<u8>) {
                (self.len() as u32).write_key(out);
                out.extend_from_slice(self.as_bytes());
            }

            fn read_key(input: &mut &[u8]) -> Option<Self> {
                let length = u32::read_key(input)? as usize;
                let (text, rest) = input.split_at_checked(length)?;
                *input = rest;
                std::str::from_utf8(text).ok().map(Self::from)
            }
        }
    )+};
}

text!(String, Arc<str>);

/// 0 for none. 1, and then the key.
impl<K: StateKey> StateKey for Option<K> {
    fn write_key(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        if let Some(key) = self {
            key.write_key(out);
        }
    }

    fn read_key(input: &mut &[u8]) -> Option<Self> {
        match u8::read_key(input)? {
            0 => Some(None),
            1 => K::read_key(input).map(Some),
            _ => None,
        }
    }
}

impl<K: StateKey> StateKey for Box<K> {
    fn write_key(&self, out: &mut Vec<u8>) {
        (**self).write_key(out);
    }

    fn read_key(input: &mut &[u8]) -> Option<Self> {
        K::read_key(input).map(Self::new)
    }
}

impl<A: StateKey, B: StateKey> StateKey for (A, B) {
    fn write_key(&self, out: &mut Vec<u8>) {
        self.0.write_key(out);
        self.1.write_key(out);
    }

    fn read_key(input: &mut &[u8]) -> Option<Self> {
        Some((A::read_key(input)?, B::read_key(input)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(key: &impl StateKey) -> Vec<u8> {
        let mut bytes = Vec::new();
        key.write_key(&mut bytes);
        bytes
    }

    #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
    struct Place {
        id: i64,
        text: String,
        row: Option<i32>,
    }

    state_key!(Place { id, text, row });

    #[test]
    fn the_layout_is_fixed() {
        let key = Place { id: 5, text: "ab".to_owned(), row: Some(-1) };
        let expected = [0x80, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 2, b'a', b'b', 1, 0x7f, 0xff, 0xff, 0xff];
        assert_eq!(bytes(&key), expected);
        assert_eq!(Place::read_key(&mut &expected[..]), Some(key));
        assert_eq!(bytes(&(7_u32, ())), [0, 0, 0, 7]);
    }

    #[test]
    fn every_cut_is_noticed() {
        let all = bytes(&Place { id: 5, text: "ab".to_owned(), row: Some(-1) });
        for length in 0..all.len() {
            assert_eq!(Place::read_key(&mut &all[..length]), None, "{length}");
        }
    }

    #[test]
    fn integers_sort_as_bytes() {
        let numbers = [i64::MIN, -300, -1, 0, 1, 255, 256, i64::MAX];
        assert!(numbers.map(|number| bytes(&number)).is_sorted());
    }
}
