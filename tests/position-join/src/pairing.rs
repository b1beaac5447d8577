//! The stage that joins: all that is known at the DPNs of one partition, and the rows of their pairs.
//!
//! Messages about one stay of a row come in order, except for its beginning: the arrival is handed on by the DPN that
//! was left, and may come after changes, or after the end, of the stay that it begins. Until then these are kept as
//! *awaited*, the newest only, and the row is not here: it may still have pairs elsewhere. See the crate's description
//! for why.

use std::ops::RangeInclusive;

use tributary_runtime::{
    Convert, Output, ProcessError, Processor, Record, StateKey, StateSchema, StateStore, StateValue, Store,
};

use crate::layout::{Dpn, Placement, Position, Post, Row, pair_key, value, write_row};
use crate::message::{Event, Message, Side};
use crate::topics::{APP_RECORDS, DEANERY};

/// A row that is here. One that was deleted is here too: its next row may not be written elsewhere before it has left.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Held<R> {
    stay: u32,
    row: Option<Box<R>>,
}

/// What came about a stay before the row itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Awaited<R> {
    /// It has changed, or has been deleted.
    Changed(Option<Box<R>>),
    /// It has already left again.
    Left(Box<R>),
}

impl<R: Row> StateKey for Held<R> {
    fn write_key(&self, out: &mut Vec<u8>) {
        self.stay.write_key(out);
        self.row.write_key(out);
    }

    fn read_key(input: &mut &[u8]) -> Option<Self> {
        Some(Self { stay: u32::read_key(input)?, row: Option::read_key(input)? })
    }
}

impl<R: Row> StateKey for Awaited<R> {
    fn write_key(&self, out: &mut Vec<u8>) {
        match self {
            Self::Changed(row) => {
                out.push(0);
                row.write_key(out);
            }
            Self::Left(row) => {
                out.push(1);
                row.write_key(out);
            }
        }
    }

    fn read_key(input: &mut &[u8]) -> Option<Self> {
        match u8::read_key(input)? {
            0 => Option::read_key(input).map(Self::Changed),
            1 => Box::read_key(input).map(Self::Left),
            _ => None,
        }
    }
}

value!(Held<R>, 3 + R::NUMBER, R: Row);
value!(Awaited<R>, 4 + R::NUMBER, R: Row);

/// The positions or the placements of a partition.
#[derive(Debug)]
struct Rows<R> {
    held: Store<(Dpn, i64), Held<R>>,
    /// By id and stay.
    awaited: Store<(i64, u32), Awaited<R>>,
}

/// What became of the row at this DPN.
enum Change<R> {
    /// Nothing that a pair could show.
    None,
    Written(Box<R>),
    Removed,
}

impl<R: Row> Rows<R> {
    /// Two stores of the stage, the first with this number.
    fn new(first: u8, held: &'static str, awaited: &'static str) -> Self {
        Self { held: Store::new(first, held), awaited: Store::new(first + 1, awaited) }
    }

    /// The living rows at a DPN.
    fn at(&self, dpn: Dpn) -> impl Iterator<Item = (i64, &R)> {
        let all: RangeInclusive<_> = (dpn, i64::MIN)..=(dpn, i64::MAX);
        self.held.range(all).filter_map(|((_, id), held)| Some((*id, &**held.row.as_ref()?)))
    }

    /// Takes what happens to a row. Returns what that changes, and the row if it goes to another DPN.
    fn take(&mut self, dpn: Dpn, id: i64, stay: u32, event: Event<'_>) -> Result<(Change<R>, Option<Box<R>>), Unread> {
        match event {
            Event::Arrives(row) => {
                let arrived = Some(read(row)?);
                let row = match self.awaited.get(&(id, stay)).cloned() {
                    None => arrived,
                    Some(newer) => {
                        self.awaited.delete((id, stay));
                        match newer {
                            Awaited::Changed(row) => row,
                            Awaited::Left(row) => return Ok((Change::None, Some(row))),
                        }
                    }
                };
                self.held.put((dpn, id), Held { stay, row: row.clone() });
                Ok((row.map_or(Change::None, Change::Written), None))
            }
            Event::Changes(row) => {
                let row = row.map(read).transpose()?;
                let Some(held) = self.held.get(&(dpn, id)).filter(|held| held.stay == stay) else {
                    self.awaited.put((id, stay), Awaited::Changed(row));
                    return Ok((Change::None, None));
                };
                if held.row == row {
                    return Ok((Change::None, None));
                }
                self.held.put((dpn, id), Held { stay, row: row.clone() });
                Ok((row.map_or(Change::Removed, Change::Written), None))
            }
            Event::Leaves(row) => {
                let row = read(row)?;
                let Some(held) = self.held.get(&(dpn, id)).filter(|held| held.stay == stay) else {
                    self.awaited.put((id, stay), Awaited::Left(row));
                    return Ok((Change::None, None));
                };
                let change = if held.row.is_some() { Change::Removed } else { Change::None };
                self.held.delete((dpn, id));
                Ok((change, Some(row)))
            }
        }
    }
}

/// A row in a message that has not the length of its kind.
struct Unread;

fn read<R: Row>(bytes: &[u8]) -> Result<Box<R>, Unread> {
    R::from_slice(bytes).map(Box::new).ok_or(Unread)
}

/// The DPNs of one partition.
#[derive(Debug)]
pub struct Pairing {
    posts: Store<Dpn, Box<Post>>,
    positions: Rows<Position>,
    placements: Rows<Placement>,
}

impl Default for Pairing {
    fn default() -> Self {
        Self {
            posts: Store::new(0, "posts"),
            positions: Rows::new(1, "positions", "awaited_positions"),
            placements: Rows::new(3, "placements", "awaited_placements"),
        }
    }
}

impl Pairing {
    fn take_post(&mut self, dpn: Dpn, post: Option<Box<Post>>, output: &mut Output) {
        if self.posts.get(&dpn) == post.as_ref() {
            return;
        }
        for (placement_id, placement) in self.placements.at(dpn) {
            for (position_id, position) in self.positions.at(dpn) {
                match &post {
                    Some(post) => send_row(output, (placement_id, placement), (position_id, position), post),
                    None => output.tombstone(&APP_RECORDS, &pair_key(placement_id, position_id)),
                }
            }
        }
        match post {
            Some(post) => self.posts.put(dpn, post),
            None => self.posts.delete(dpn),
        }
    }

    fn show_position(&self, dpn: Dpn, id: i64, change: &Change<Position>, output: &mut Output) {
        let Some(post) = self.posts.get(&dpn) else { return };
        match change {
            Change::None => {}
            Change::Written(position) => {
                self.placements.at(dpn).for_each(|placement| send_row(output, placement, (id, position), post));
            }
            Change::Removed => {
                let keys = self.placements.at(dpn).map(|(placement, _)| pair_key(placement, id));
                keys.for_each(|key| output.tombstone(&APP_RECORDS, &key));
            }
        }
    }

    fn show_placement(&self, dpn: Dpn, id: i64, change: &Change<Placement>, output: &mut Output) {
        let Some(post) = self.posts.get(&dpn) else { return };
        match change {
            Change::None => {}
            Change::Written(placement) => {
                self.positions.at(dpn).for_each(|position| send_row(output, (id, placement), position, post));
            }
            Change::Removed => {
                let keys = self.positions.at(dpn).map(|(position, _)| pair_key(id, position));
                keys.for_each(|key| output.tombstone(&APP_RECORDS, &key));
            }
        }
    }

    fn take(&mut self, dpn: Dpn, message: Message<'_>, output: &mut Output) -> Result<(), Unread> {
        match message {
            Message::Post(post) => self.take_post(dpn, post.map(Box::new), output),
            Message::Row { side: Side::Position, id, stay, event } => {
                let (change, leaving) = self.positions.take(dpn, id, stay, event)?;
                self.show_position(dpn, id, &change, output);
                hand_on(Side::Position, id, stay, leaving, output);
            }
            Message::Row { side: Side::Placement, id, stay, event } => {
                let (change, leaving) = self.placements.take(dpn, id, stay, event)?;
                self.show_placement(dpn, id, &change, output);
                hand_on(Side::Placement, id, stay, leaving, output);
            }
        }
        Ok(())
    }
}

impl Processor for Pairing {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let dpn = Dpn::from_slice(record.key);
        let message = record.value.and_then(Message::read);
        let taken = dpn.zip(message).ok_or(Unread).and_then(|(dpn, message)| self.take(dpn, message, output));
        // Only this flow writes here: without this message the pair would wait for that row for good.
        taken.map_err(|Unread| ProcessError::Stop(format!("this is no message of {}", DEANERY.name)))
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        let Self { posts, positions, placements } = self;
        vec![posts, &mut positions.held, &mut positions.awaited, &mut placements.held, &mut placements.awaited]
    }
}

fn send_row(output: &mut Output, placement: (i64, &Placement), position: (i64, &Position), post: &Post) {
    let key = pair_key(placement.0, position.0);
    output.send(&APP_RECORDS, &key, |buffer| write_row(buffer, placement, position, post));
}

/// Sends a row that leaves to the DPN that it carries. What it leaves behind is in the same transaction.
fn hand_on<R: Row>(side: Side, id: i64, stay: u32, leaving: Option<Box<R>>, output: &mut Output) {
    let Some(row) = leaving else { return };
    let message = Message::Row { side, id, stay: stay + 1, event: Event::Arrives(row.as_bytes()) };
    output.send(&DEANERY, &row.dpn().0, |buffer| message.write(buffer));
}
