//! Source systems that the demo plays: fast, slow, dead, faulting and empty.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tributary_aggregation::port::{Answering, OutgoingCall, ProducerAnswer, Producers, TransportError};
use tributary_aggregation::soap::{self, ENVELOPE, Fault, FaultCode};

/// The contract that they serve.
const CONTRACT: &str = "urn:riv:crm:scheduling:GetSubjectOfCareScheduleResponder:1";

/// Their addresses, and what each does.
pub(super) const ADDRESSES: [(&str, &str); 6] = [
    ("SE-DEMO-FAST", "answers at once"),
    ("SE-DEMO-SLOW", "takes longer than a call may"),
    ("SE-DEMO-DEAD", "refuses the connection"),
    ("SE-DEMO-FAULT", "answers with a fault"),
    ("SE-DEMO-EMPTY", "answers, and has no bookings"),
    ("SE-DEMO-SECRET", "may not be called by the consumer"),
];

/// The source systems.
#[derive(Default)]
pub(super) struct PlayedProducers {
    calls: AtomicUsize,
}

impl PlayedProducers {
    /// How many calls they have seen.
    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Producers for PlayedProducers {
    fn call(&self, call: OutgoingCall) -> Answering<Result<ProducerAnswer, TransportError>> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let OutgoingCall { address, mut share, .. } = call;
            tokio::time::sleep(Duration::from_millis(20)).await;
            let body = match address.as_str() {
                "SE-DEMO-SLOW" => {
                    tokio::time::sleep(Duration::from_mins(1)).await;
                    String::new()
                }
                "SE-DEMO-DEAD" => return Err(TransportError::Refused("nobody listens".to_owned())),
                "SE-DEMO-FAULT" => Fault::new(FaultCode::Server, "the booking system is being maintained").write(),
                "SE-DEMO-EMPTY" => response(""),
                _ => response(&format!(
                    "<s:timeslotDetail><s:healthcare_facility>{address}</s:healthcare_facility>\
                     <s:startTimeInclusive>20261201{:02}0000</s:startTimeInclusive></s:timeslotDetail>",
                    8 + number % 10
                )),
            };
            share.grow_to(body.len()).await;
            let content_type = Some(soap::CONTENT_TYPE.to_owned());
            Ok(ProducerAnswer { status: 200, content_type, body: body.into_bytes(), share })
        })
    }
}

fn response(rows: &str) -> String {
    format!(
        "<soap:Envelope xmlns:soap=\"{ENVELOPE}\"><soap:Body><s:GetSubjectOfCareScheduleResponse xmlns:s=\"{CONTRACT}\">\
         {rows}</s:GetSubjectOfCareScheduleResponse></soap:Body></soap:Envelope>"
    )
}
