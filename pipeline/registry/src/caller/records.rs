//! From a record of the topic to a number, and from an outcome to the record of the answer.

use serde_json::Value;
use tributary_schemas::records::registry::{Call, CallAnswer, CallOutcome};
use tributary_schemas::types::registry::CallId;
use zeroize::Zeroizing;

use crate::call_answer::Outcome;
use crate::number::Number;
use crate::row_key::RowKey;
use crate::sealing::{Part, SealError, Sealed, Sealer};

/// The number of a call.
///
/// # Errors
/// [`SealError`] if it cannot be opened.
pub fn number_of(sealer: &dyn Sealer, row: RowKey, call: &Call) -> Result<Number, SealError> {
    let opened = sealer.open(Sealed { kind: &call.kind, row, part: Part::Number }, &call.number)?;
    let text = std::str::from_utf8(&opened).map_err(|_| SealError::NotSealed)?;
    Ok(Number::new(text))
}

/// The record of how a call has ended. What was found is sealed. `now` is in milliseconds since 1970.
///
/// # Errors
/// [`SealError`] if it cannot be sealed.
pub fn answer_of(
    sealer: &dyn Sealer,
    row: RowKey,
    call: &Call,
    (id, outcome, now): (CallId, &Outcome, i64),
) -> Result<CallAnswer, SealError> {
    let answer =
        CallAnswer { attempt: call.attempt, now, call_id: Some(id), ..CallAnswer::of(call.kind.clone(), call.run_id) };
    Ok(match outcome {
        Outcome::Found(info) => {
            let plain = Zeroizing::new(bytes_of(info));
            let info = sealer.seal(Sealed { kind: &call.kind, row, part: Part::Info }, &plain)?;
            CallAnswer { outcome: CallOutcome::Found, info: Some(info), ..answer }
        }
        Outcome::Empty => CallAnswer { outcome: CallOutcome::Empty, ..answer },
        Outcome::Failed(failure) => CallAnswer {
            outcome: CallOutcome::Failed,
            error: Some(failure.record()),
            retry_after: failure.retry_after,
            ..answer
        },
    })
}

fn bytes_of(info: &Value) -> Vec<u8> {
    info.to_string().into_bytes()
}
