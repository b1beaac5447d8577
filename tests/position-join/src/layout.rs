//! The layout of keys and values: fixed length, integers big-endian and signed, text in ASCII padded with spaces.
//!
//! A value is kept as the bytes it came in; what is needed of it is read where it lies.

use std::cmp::Ordering;

use tributary_runtime::{Convert, StateKey, StateSchema, StateValue};

/// The one layout version there is, the first byte of every value.
pub const VERSION: u8 = 1;

/// Bytes of a key of `app-records`: placement id, position id.
pub const PAIR_KEY_LENGTH: usize = 16;

/// Bytes of a value of `app-records`.
pub const ROW_LENGTH: usize = 250;

/// A value of fixed length, as it came. The second byte says whether the row lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Image<const N: usize>(pub [u8; N]);

/// A deanery post number.
pub type Dpn = Image<24>;

/// A position: version, flag, DPN (at 2), office 3, number 8, revision 4, change time 8, title 71.
pub type Position = Image<120>;

/// A post: version, status, id 8, revision 4, change time 8, specialty 58.
pub type Post = Image<80>;

/// A placement: version, lifecycle, DPN (at 2), trainee 8, start 4, end 4, site 8, grade 4, revision 4, change time 8,
/// note 94.
pub type Placement = Image<160>;

impl<const N: usize> Image<N> {
    /// Reads a value as it came, if it has the right length.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    fn field<const M: usize>(&self, at: usize) -> [u8; M] {
        let mut field = [0; M];
        field.copy_from_slice(&self.0[at..at + M]);
        field
    }

    fn integer(&self, at: usize) -> i64 {
        i64::from_be_bytes(self.field(at))
    }
}

/// The order of the bytes, compared by eight: a DPN is compared some twenty times for each record that is joined, and a
/// call of the library's comparison costs more than the comparison.
impl<const N: usize> Ord for Image<N> {
    fn cmp(&self, other: &Self) -> Ordering {
        let ((words, rest), (other_words, other_rest)) = (self.0.as_chunks::<8>(), other.0.as_chunks::<8>());
        for (word, other) in words.iter().zip(other_words) {
            let order = u64::from_be_bytes(*word).cmp(&u64::from_be_bytes(*other));
            if order != Ordering::Equal {
                return order;
            }
        }
        rest.cmp(other_rest)
    }
}

impl<const N: usize> PartialOrd for Image<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The bytes as they are.
impl<const N: usize> StateKey for Image<N> {
    fn write_key(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn read_key(input: &mut &[u8]) -> Option<Self> {
        let (bytes, rest) = input.split_first_chunk()?;
        *input = rest;
        Some(Self(*bytes))
    }
}

/// Makes a value of stores out of what has the layout of a key.
macro_rules! value {
    ($type:ty, $number:expr $(, $row:ident: $bound:ident)?) => {
        impl$(<$row: $bound>)? StateValue for $type {
            const SCHEMA: Option<StateSchema> =
                Some(StateSchema { fingerprint: $number, name: stringify!($type), text: stringify!($type) });

            fn write(&self, out: &mut Vec<u8>) {
                StateKey::write_key(self, out);
            }

            fn read(body: &[u8]) -> Result<Self, String> {
                let mut rest = body;
                let value = <Self as StateKey>::read_key(&mut rest).filter(|_| rest.is_empty());
                value.ok_or_else(|| format!("{} bytes", body.len()))
            }

            fn convert(writer: &str) -> Result<Convert, String> {
                Err(format!("{writer} is not {}", stringify!($type)))
            }
        }
    };
}

pub(crate) use value;

value!(Post, 1);

/// What positions and placements have in common: an id as key, a DPN, and a mark for deleted ones.
pub trait Row: StateKey {
    /// The second byte of a row that is only marked as deleted.
    const DELETED: u8;

    /// Distinguishes the layouts of positions and placements.
    const NUMBER: u64;

    /// Reads a value as it came, if it has the right length.
    fn from_slice(bytes: &[u8]) -> Option<Self>;

    /// The value as it came.
    fn as_bytes(&self) -> &[u8];

    /// The DPN it carries.
    fn dpn(&self) -> Dpn {
        let mut dpn = Image([0; 24]);
        dpn.0.copy_from_slice(&self.as_bytes()[2..26]);
        dpn
    }

    /// Whether the row exists, and is not only marked as deleted.
    fn lives(&self) -> bool {
        self.as_bytes()[1] != Self::DELETED
    }
}

impl Row for Position {
    const NUMBER: u64 = 10;
    const DELETED: u8 = b'D';

    fn from_slice(bytes: &[u8]) -> Option<Self> {
        Image::from_slice(bytes)
    }

    fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Row for Placement {
    const NUMBER: u64 = 20;
    const DELETED: u8 = b'X';

    fn from_slice(bytes: &[u8]) -> Option<Self> {
        Image::from_slice(bytes)
    }

    fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Post {
    /// Whether the row exists, and is not only marked as deleted.
    pub fn lives(&self) -> bool {
        self.0[1] != b'D'
    }
}

/// The key of the row of a pair.
pub fn pair_key(placement: i64, position: i64) -> [u8; PAIR_KEY_LENGTH] {
    let mut key = [0; PAIR_KEY_LENGTH];
    key[..8].copy_from_slice(&placement.to_be_bytes());
    key[8..].copy_from_slice(&position.to_be_bytes());
    key
}

/// Appends the row of a pair.
pub fn write_row(row: &mut Vec<u8>, placement: (i64, &Placement), position: (i64, &Position), post: &Post) {
    let ((placement_id, placement), (position_id, position)) = (placement, position);
    let changed = position.integer(41).max(post.integer(14)).max(placement.integer(58));
    row.reserve(ROW_LENGTH);
    row.extend_from_slice(&[VERSION, post.0[1]]);
    row.extend_from_slice(&placement.0[2..26]);
    row.extend_from_slice(&position_id.to_be_bytes());
    row.extend_from_slice(&position.0[29..37]);
    row.extend_from_slice(&position.0[26..29]);
    row.push(placement.0[1]);
    row.extend_from_slice(&placement_id.to_be_bytes());
    // Trainee, start, end, site and grade lie side by side in both layouts.
    row.extend_from_slice(&placement.0[26..54]);
    row.extend_from_slice(&post.0[2..10]);
    row.extend_from_slice(&position.0[37..41]);
    row.extend_from_slice(&post.0[10..14]);
    row.extend_from_slice(&placement.0[54..58]);
    row.extend_from_slice(&changed.to_be_bytes());
    row.extend_from_slice(&position.0[49..120]);
    row.extend_from_slice(&post.0[22..80]);
    row.extend_from_slice(&placement.0[66..77]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value whose bytes show where they are from: `base` and their position.
    fn image<const N: usize>(base: u8) -> Image<N> {
        let mut image = [0; N];
        for (at, byte) in image.iter_mut().enumerate() {
            *byte = base.wrapping_add(at as u8);
        }
        Image(image)
    }

    #[test]
    fn images_have_the_order_of_their_bytes() {
        let base = image::<27>(100);
        for at in 0..27 {
            for change in [-1_i8, 0, 1, 100] {
                let mut other = base;
                other.0[at] = other.0[at].wrapping_add_signed(change);
                assert_eq!(base.cmp(&other), base.0.cmp(&other.0), "byte {at}");
            }
        }
    }

    #[test]
    fn each_field_of_a_row_lies_where_the_layout_says() {
        let (position, mut post, placement) = (image::<120>(0), image::<80>(100), image::<160>(40));
        post.0[14..22].copy_from_slice(&i64::MAX.to_be_bytes());
        let mut row = Vec::new();
        write_row(&mut row, (7, &placement), (9, &position), &post);
        assert_eq!(row.len(), ROW_LENGTH);
        assert_eq!(row[..2], [1, post.0[1]]);
        assert_eq!(row[2..26], placement.0[2..26]);
        assert_eq!(row[26..34], 9_i64.to_be_bytes());
        assert_eq!(row[34..42], position.0[29..37], "position number");
        assert_eq!(row[42..45], position.0[26..29], "office");
        assert_eq!(row[45], placement.0[1]);
        assert_eq!(row[46..54], 7_i64.to_be_bytes());
        assert_eq!(row[54..62], placement.0[26..34], "trainee");
        assert_eq!(row[62..82], placement.0[34..54], "start, end, site, grade");
        assert_eq!(row[82..90], post.0[2..10], "post id");
        assert_eq!(row[90..94], position.0[37..41]);
        assert_eq!(row[94..98], post.0[10..14]);
        assert_eq!(row[98..102], placement.0[54..58]);
        assert_eq!(row[102..110], i64::MAX.to_be_bytes(), "the newest change");
        assert_eq!(row[110..181], position.0[49..120], "title");
        assert_eq!(row[181..239], post.0[22..80], "specialty");
        assert_eq!(row[239..250], placement.0[66..77], "note");
    }

    #[test]
    fn a_value_of_another_length_is_no_image() {
        assert_eq!(<Position as Row>::from_slice(&[0; 119]), None);
        assert_eq!(pair_key(1, 2), [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
    }
}
