//! Reads `FindContent`.

use super::{IndexInteraction, read};
use crate::cache_flow::Asked;
use crate::engagement::Field;
use crate::index::SentQuestion;
use crate::refusal::Refusal;
use crate::soap::{Fault, Step};

/// How deep the fields are, the body element included.
const FIELDS: usize = 2;

/// Reads a question. `limit` is the number of bytes that are taken. Elements that the contract does not name are passed
/// over.
///
/// # Errors
/// A fault if it is no question at all, or has a field twice.
pub fn read_question(asked: Asked, limit: usize) -> Result<SentQuestion, Fault> {
    let message = read(IndexInteraction::FindContent, asked, limit)?;
    let mut question = SentQuestion::default();
    let mut twice = None;
    let mut depth = 0_usize;
    let mut inside = None;
    message.body().walk(|step| match step {
        Step::Open { namespace, local } => {
            depth += 1;
            let is_of_contract = depth == FIELDS && namespace == IndexInteraction::FindContent.contract();
            let field = Field::named(local).filter(|_| is_of_contract);
            let Some(place) = field.and_then(|field| question.place(field)) else { return };
            if place.is_some() {
                twice = twice.or(field);
            } else {
                *place = Some(String::new());
                inside = field;
            }
        }
        Step::Text(text) if depth == FIELDS => {
            if let Some(place) = inside.and_then(|field| question.place(field)) {
                place.get_or_insert_default().push_str(text);
            }
        }
        Step::Text(_) => {}
        Step::Close => {
            if depth == FIELDS {
                inside = None;
            }
            depth = depth.saturating_sub(1);
        }
    });
    match twice {
        Some(field) => Err(Refusal::twice(field.element()).into()),
        None => Ok(question),
    }
}
