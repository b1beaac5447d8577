//! The worker-flow: one call. Nothing leaves it but a part: every failure becomes a record (A 2.2, A 3.5).

use std::sync::Arc;

use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use crate::caller::Header;
use crate::events;
use crate::flow::{Flow, Service};
use crate::memory::ShareWaits;
use crate::place::Ending;
use crate::port::{OutgoingCall, ProducerAnswer, TransportError};
use crate::question::{Answer, Part};
use crate::request_list::Request;
use crate::response_list;
use crate::status::{Failure, FailureCode};

/// A call that is to be made.
pub(crate) struct Work {
    pub(crate) service: Arc<Service>,
    pub(crate) correlation: String,
    pub(crate) request: Request,
    pub(crate) headers: Vec<Header>,
    /// When it was due. The service time-out counts from then.
    pub(crate) due: Instant,
}

/// Makes a call.
pub(crate) async fn work(flow: Arc<Flow>, work: Work) -> Part {
    let address = work.request.address.clone();
    let (due, service, correlation) = (work.due, work.service.clone(), work.correlation.clone());
    let result = call(&flow, work).await;
    let service = &service.descriptor.name;
    match &result {
        Ok(answer) => events::call_answered(service, &correlation, &address, answer.message.size()),
        Err(failure) => events::call_failed(service, &correlation, &address, failure),
    }
    Part::of_call(address, (flow.clock)(), due.elapsed(), result)
}

async fn call(flow: &Flow, work: Work) -> Result<Answer, Failure> {
    let Work { service, correlation, request, headers, due } = work;
    let limit = service.timeouts.service();
    let deadline = due + limit;
    let Some(url) = request.url else {
        return Err(Failure::other("there is no URL for this address"));
    };
    let late =
        |what: &str| Failure::new(FailureCode::Timeout, format!("timeout: {what} within {} ms", limit.as_millis()));
    let entered = timeout_at(deadline, flow.places.enter(&request.address)).await;
    let entry = match entered {
        Ok(entered) => entered.map_err(|refusal| Failure::other(refusal.to_string()))?,
        Err(_) => return Err(late("no call to this address could begin")),
    };
    if deadline <= Instant::now() {
        return Err(late("no call to this address could begin"));
    }
    events::call_made(&service.descriptor.name, &correlation, &request.address);
    let share = flow.memory.share();
    let waits = share.waits();
    let max = flow.settings.max_answer_bytes;
    let call = OutgoingCall { address: request.address, url, headers, body: request.body, limit: max, share };
    let answered = timeout_at(deadline, flow.producers.call(call)).await;
    entry.finish(ending(&answered, &waits));
    let mut answer = match answered {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(Failure::other(error.to_string())),
        Err(_) if waits.now() => return Err(Failure::other("there was no memory for the answer in time")),
        Err(_) => return Err(late("no complete answer")),
    };
    let body = std::mem::take(&mut answer.body);
    let content_type = answer.content_type.as_deref();
    let message = response_list::read_answer(&service.descriptor, answer.status, content_type, body, max)?;
    // Another encoding may take less space than UTF-8.
    if timeout_at(deadline, answer.share.grow_to(message.size())).await.is_err() {
        return Err(Failure::other("there was no memory for the answer in time"));
    }
    Ok(Answer { message: Arc::new(message), share: answer.share })
}

/// How a call has ended, for the limits of its address.
fn ending(answered: &Result<Result<ProducerAnswer, TransportError>, Elapsed>, waits: &ShareWaits) -> Ending {
    match answered {
        Ok(Ok(_)) => Ending::Answered,
        Ok(Err(error)) if error.is_unreached() => Ending::Unreached,
        Ok(Err(_)) => Ending::Failed,
        // Memory is our own affair.
        Err(_) if waits.now() => Ending::Failed,
        Err(_) => Ending::Unreached,
    }
}
