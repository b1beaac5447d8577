//! The own index over SOAP: its three interactions as messages (A 3.6, 6.1).
//!
//! A request becomes what the index checks, a refusal becomes a fault, and what the index found becomes an answer. The
//! index is a sender too: it notifies subscribers. All of it is text in and text out.

mod answer;
mod notice;
mod question;
mod sending;
#[cfg(test)]
mod tests;
mod transactions;

pub use answer::{write_found, write_ok};
pub use notice::{MOST_IN_CALL, NotDelivered, notices, read_receipt};
pub use question::read_question;
pub use sending::{read_update_receipt, write_update};
pub use transactions::{SentRequest, read_transactions};

use crate::cache_flow::Asked;
use crate::caller::{CORRELATION, Caller};
use crate::engagement::TYPES;
use crate::refusal::Refusal;
use crate::soap::{Fault, FaultCode, Message};

/// An interaction of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IndexInteraction {
    /// A source system says what has changed.
    Update,
    /// Another index says what has changed there.
    ProcessNotification,
    /// Where is data of a patient?
    FindContent,
}

impl IndexInteraction {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Update, Self::ProcessNotification, Self::FindContent];

    /// The request element. The response element has `Response` after it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Update => "Update",
            Self::ProcessNotification => "ProcessNotification",
            Self::FindContent => "FindContent",
        }
    }

    /// The namespace of request and response, which is also TAK's name of the contract.
    pub const fn contract(self) -> &'static str {
        match self {
            Self::Update => "urn:riv:itintegration:engagementindex:UpdateResponder:1",
            Self::ProcessNotification => "urn:riv:itintegration:engagementindex:ProcessNotificationResponder:1",
            Self::FindContent => crate::find_content::CONTRACT,
        }
    }

    /// The namespace of its WSDL.
    pub const fn wsdl_namespace(self) -> &'static str {
        match self {
            Self::Update => "urn:riv:itintegration:engagementindex:Update:1:rivtabp21",
            Self::ProcessNotification => "urn:riv:itintegration:engagementindex:ProcessNotification:1:rivtabp21",
            Self::FindContent => "urn:riv:itintegration:engagementindex:FindContent:1:rivtabp21",
        }
    }

    /// The path of its URL.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Update => "/skltp-ei/update-service/v1",
            Self::ProcessNotification => "/skltp-ei/notification-service/v1",
            Self::FindContent => "/skltp-ei/find-content-service/v1",
        }
    }

    /// Its SOAP action. That of a request is not looked at (A 6.1).
    pub fn soap_action(self) -> String {
        format!("{}:{}", self.contract(), self.name())
    }
}

/// Reads the message of a request. Of its HTTP headers only the correlation id is mandatory.
///
/// # Errors
/// A fault if that is missing, or if the bytes are no message of this interaction.
fn read(interaction: IndexInteraction, asked: Asked, limit: usize) -> Result<Message, Fault> {
    let correlation = Caller::correlation_of(&asked.headers);
    if correlation.is_none_or(|correlation| correlation.trim().is_empty()) {
        let text = format!("Mandatory HTTP header {CORRELATION} is missing");
        return Err(Fault::new(FaultCode::Server, text));
    }
    let message = Message::read(asked.body, asked.charset.as_deref(), limit, &[]);
    let message = message.map_err(|error| Fault::new(FaultCode::Client, error.to_string()))?;
    let name = message.name();
    if name.namespace == interaction.contract() && name.local == interaction.name() {
        Ok(message)
    } else {
        Err(Fault::not_recognized(name))
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::new(FaultCode::Server, refusal.to_string())
    }
}
