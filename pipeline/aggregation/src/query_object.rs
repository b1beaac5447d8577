//! Create Query Object: from the consumer's request to a question for the index (A 2.3, A 2.4).

use jiff::Timestamp;
use tributary_schemas::types::aggregation::PatientId;

use crate::descriptor::Descriptor;
use crate::find_content::FindContent;
use crate::local_time::Stockholm;
use crate::soap::{Fault, FaultCode, Message};

/// Makes the question. `now` is the time of the request.
///
/// # Errors
/// A fault if the request is another one, names no patient, or holds what the service refuses.
pub fn create(
    descriptor: &Descriptor,
    request: &Message,
    stockholm: &Stockholm,
    now: Timestamp,
) -> Result<FindContent, Fault> {
    let refused = |text: String| Err(Fault::new(FaultCode::Client, text));
    if *request.name() != descriptor.request_name() {
        return Err(Fault::not_recognized(request.name()));
    }
    let query = &descriptor.query;
    if let Some(element) = query.refuse.iter().find(|element| element.is_in(request)) {
        return refused(format!("The request holds {}, which an aggregating service cannot answer.", element.text()));
    }
    let patients = query.patient.values(request);
    let patient = patients.first().map(|patient| patient.trim()).unwrap_or_default();
    if patient.is_empty() {
        return refused(format!("The request has no patient id in {}.", query.patient.text()));
    }
    let Ok(patient) = patient.parse() else {
        return refused(format!("The patient id is longer than {} characters.", PatientId::MOST));
    };
    Ok(FindContent {
        patient,
        service_domain: query.domain.clone(),
        categorization: match query.categories.as_slice() {
            [one] => Some(one.clone()),
            _ => None,
        },
        most_recent_content: query.most_recent_content_days.map(|days| stockholm.days_before(now, days)),
    })
}
