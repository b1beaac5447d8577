//! The main-flow: asks the index where data is, and makes the list of calls (A 2.2, A 2.4 to A 2.6).

use tokio::time::timeout_at;

use crate::events;
use crate::filter::{Filter, Filtered, Reason};
use crate::find_content::{self, Found, IndexError};
use crate::flow::Flow;
use crate::port::IndexQuestion;
use crate::question::Question;
use crate::request_list::{Request, RequestList};
use crate::soap::{Fault, FaultCode};

/// The calls of a question, and the engagements that give none.
///
/// # Errors
/// A fault if the index fails or is late: nothing can be said about the patient then (A 3.5).
pub(crate) async fn requests(flow: &Flow, question: &Question) -> Result<(Vec<Request>, Vec<Filtered>), Fault> {
    let found = find(flow, question).await?;
    let descriptor = &question.service.descriptor;
    let tak = question.tak.as_deref();
    let filter = Filter {
        descriptor,
        own_address: &flow.settings.logical_address,
        tak,
        senders: [&question.caller.sender, &question.caller.original_consumer],
        now: question.now,
    };
    let (service, correlation) = (descriptor.name.as_str(), question.caller.correlation.as_str());
    if found.without_address + found.too_many > 0 {
        events::engagements_left_out(service, correlation, found.without_address, found.too_many);
    }
    let (admitted, mut filtered) = filter.apply(found.engagements);
    let own = filtered.iter().filter(|one| one.reason == Reason::OwnAddress).count();
    if own > 0 {
        events::own_address(service, correlation, own);
    }
    let platform_url = flow.settings.platform_url.as_deref();
    let list = RequestList { descriptor, request: &question.request, platform_url, tak, now: question.now };
    let (requests, not_asked_for) = list.make(admitted);
    filtered.extend(not_asked_for);
    Ok((requests, filtered))
}

async fn find(flow: &Flow, question: &Question) -> Result<Found, Fault> {
    let (settings, timeouts) = (&flow.settings, &question.service.timeouts);
    let action = find_content::SOAP_ACTION;
    let headers = question.caller.index_headers(&settings.index_sender, &settings.instance, action);
    let asked = flow.index.find(IndexQuestion { find: question.find.clone(), headers });
    // No later than the aggregate time-out: that one counts from the arrival, the question to the index included.
    let limit = settings.index_timeout.unwrap_or(timeouts.service()).min(timeouts.aggregate());
    match timeout_at(question.arrival + limit, asked).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(IndexError::Fault(fault))) => Err(Fault::new(FaultCode::Server, fault.text)),
        Ok(Err(IndexError::Failed(reason))) => {
            Err(Fault::new(FaultCode::Server, format!("The engagement index failed: {reason}")))
        }
        Err(_) => {
            let text = format!("timeout: the engagement index did not answer within {} ms", limit.as_millis());
            Err(Fault::new(FaultCode::Server, text))
        }
    }
}
