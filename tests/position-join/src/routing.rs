//! The stages that read the inputs and send each change to the DPN where its row is.
//!
//! A position or placement is in one place at a time. The stage knows which: it remembers of each id the DPN and the
//! number of the stay there, and nothing else, so a change without a move costs no state. A move goes to the DPN that
//! is *left*. A deleted row keeps its place: if it returns elsewhere, its old pairs must be gone for good before new
//! ones are written, so that is a move as well.

use std::marker::PhantomData;

use tributary_runtime::{
    Convert, Output, ProcessError, Processor, Record, StateKey, StateSchema, StateStore, StateValue, Store, state_key,
};

use crate::layout::{Dpn, Image, Post, Row, VERSION, value};
use crate::message::{Event, Message, Side};
use crate::topics::DEANERY;

/// Where a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    dpn: Dpn,
    stay: u32,
}

state_key!(Place { dpn, stay });
value!(Place, 2);

/// Routes positions or placements.
#[derive(Debug)]
pub struct RouteRows<R> {
    side: Side,
    places: Store<i64, Place>,
    row: PhantomData<R>,
}

impl<R: Row> RouteRows<R> {
    /// Knows no row yet.
    pub fn new(side: Side) -> Self {
        Self { side, places: Store::new(0, "places"), row: PhantomData }
    }

    fn send(&self, dpn: Dpn, id: i64, stay: u32, event: Event<'_>, output: &mut Output) {
        let message = Message::Row { side: self.side, id, stay, event };
        output.send(&DEANERY, &dpn.0, |buffer| message.write(buffer));
    }
}

impl<R: Row> Processor for RouteRows<R> {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let id = record.key.try_into().map(i64::from_be_bytes).map_err(|_| bad("KEY_LENGTH", "the key", record))?;
        let row = record.value.map(|value| checked(value, R::from_slice, record)).transpose()?.filter(R::lives);
        match (self.places.get(&id).copied(), row) {
            (None, None) => {}
            (Some(Place { dpn, stay }), None) => self.send(dpn, id, stay, Event::Changes(None), output),
            (None, Some(row)) => {
                let dpn = row.dpn();
                self.places.put(id, Place { dpn, stay: 0 });
                self.send(dpn, id, 0, Event::Arrives(row.as_bytes()), output);
            }
            (Some(Place { dpn, stay }), Some(row)) if dpn == row.dpn() => {
                self.send(dpn, id, stay, Event::Changes(Some(row.as_bytes())), output);
            }
            (Some(Place { dpn, stay }), Some(row)) => {
                self.places.put(id, Place { dpn: row.dpn(), stay: stay + 1 });
                self.send(dpn, id, stay, Event::Leaves(row.as_bytes()), output);
            }
        }
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        vec![&mut self.places]
    }
}

/// Routes posts: they never move.
#[derive(Debug, Clone, Copy, Default)]
pub struct RoutePosts;

impl Processor for RoutePosts {
    fn process(&mut self, record: &Record<'_>, output: &mut Output) -> Result<(), ProcessError> {
        let dpn = Dpn::from_slice(record.key).ok_or_else(|| bad("KEY_LENGTH", "the key", record))?;
        let post = record.value.map(|value| checked(value, Image::from_slice, record)).transpose()?;
        let message = Message::Post(post.filter(Post::lives));
        output.send(&DEANERY, &dpn.0, |buffer| message.write(buffer));
        Ok(())
    }

    fn stores(&mut self) -> Vec<&mut dyn StateStore> {
        Vec::new()
    }
}

fn checked<R>(value: &[u8], read: impl Fn(&[u8]) -> Option<R>, record: &Record<'_>) -> Result<R, ProcessError> {
    if value.first() != Some(&VERSION) {
        return Err(bad("LAYOUT_VERSION", "the layout version", record));
    }
    read(value).ok_or_else(|| bad("VALUE_LENGTH", "the value's length", record))
}

fn bad(code: &'static str, what: &str, record: &Record<'_>) -> ProcessError {
    let text = format!("{what} is not that of {}; correct it at its source and send it again", record.origin.topic);
    ProcessError::dead_letter(code, text)
}
