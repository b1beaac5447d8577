//! What the stages report to the DPNs: the values of the topic `position-join.deanery`.
//!
//! The key of a message is the DPN it is for. A value begins with what it is and, for positions and placements, whose
//! it is: the id, and the *stay*. A row's stays are counted: it begins at 0 with the first DPN that the row had, and
//! each move ends one and begins the next.

use crate::layout::Post;

/// Bytes before the row itself: kind, side, stay, id.
const HEADER_LENGTH: usize = 14;

/// Which of the two rows of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// A position.
    Position,
    /// A placement.
    Placement,
}

/// What happens to a row at a DPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// The row comes to this DPN; from now on it is here and nowhere else.
    Arrives(&'a [u8]),
    /// The row has changed during this stay, or it has been deleted.
    Changes(Option<&'a [u8]>),
    /// The row leaves for the DPN that it carries now.
    Leaves(&'a [u8]),
}

/// One message to a DPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// The post of this DPN is now so, or is deleted.
    Post(Option<Post>),
    /// Something happens to a position or a placement.
    Row {
        /// Which of the two it is.
        side: Side,
        /// Its id.
        id: i64,
        /// Which of its stays.
        stay: u32,
        /// What happens to it.
        event: Event<'a>,
    },
}

impl<'a> Message<'a> {
    /// Appends the message.
    pub fn write(&self, buffer: &mut Vec<u8>) {
        match self {
            Self::Post(None) => buffer.push(0),
            Self::Post(Some(post)) => {
                buffer.push(1);
                buffer.extend_from_slice(&post.0);
            }
            Self::Row { side, id, stay, event } => {
                let (kind, row) = match event {
                    Event::Arrives(row) => (2, *row),
                    Event::Changes(Some(row)) => (3, *row),
                    Event::Changes(None) => (4, [].as_slice()),
                    Event::Leaves(row) => (5, *row),
                };
                buffer.reserve(HEADER_LENGTH + row.len());
                buffer.extend_from_slice(&[kind, u8::from(*side == Side::Placement)]);
                buffer.extend_from_slice(&stay.to_be_bytes());
                buffer.extend_from_slice(&id.to_be_bytes());
                buffer.extend_from_slice(row);
            }
        }
    }

    /// Reads a message; `None` when it is none.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        match bytes {
            [0] => return Some(Self::Post(None)),
            [1, post @ ..] => return Some(Self::Post(Some(Post::from_slice(post)?))),
            _ => {}
        }
        let (&[kind, side, ref rest @ ..], row) = bytes.split_first_chunk::<HEADER_LENGTH>()?;
        let (stay, id) = rest.split_first_chunk::<4>()?;
        let event = match kind {
            2 => Event::Arrives(row),
            3 => Event::Changes(Some(row)),
            4 => Event::Changes(None),
            5 => Event::Leaves(row),
            _ => return None,
        };
        let side = if side == 0 { Side::Position } else { Side::Placement };
        Some(Self::Row { side, id: i64::from_be_bytes(id.try_into().ok()?), stay: u32::from_be_bytes(*stay), event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Image;

    #[test]
    fn messages_read_back() {
        let events = [Event::Arrives(b"row"), Event::Changes(Some(b"row")), Event::Changes(None), Event::Leaves(b"")];
        let rows = events.iter().flat_map(|event| {
            [Side::Position, Side::Placement].map(|side| Message::Row { side, id: -7, stay: 70_000, event: *event })
        });
        for message in rows.chain([Message::Post(None), Message::Post(Some(Image([5; 80])))]) {
            let mut bytes = Vec::new();
            message.write(&mut bytes);
            assert_eq!(Message::read(&bytes), Some(message));
        }
    }

    #[test]
    fn other_bytes_are_no_message() {
        for bytes in [[].as_slice(), &[1, 2], &[3; 13], &[9; 20]] {
            assert_eq!(Message::read(bytes), None);
        }
    }
}
