//! Notifies a subscriber: writes `ProcessNotification`, and reads what the subscriber says to it (A 6.6).

use tributary_schemas::records::aggregation::{EngagementTransaction, Notification};
use tributary_schemas::types::aggregation::Address;

use super::answer::{close_body, push_fields};
use super::{IndexInteraction, TYPES};
use crate::soap::{Message, Name, SoapError, open_envelope, push_logical_address};
use crate::validation::MOST_TRANSACTIONS;

/// The most transactions of a call.
pub const MOST_IN_CALL: usize = MOST_TRANSACTIONS;

/// How many bytes a transaction takes with all its tags, as a rule.
const USUAL_TRANSACTION: usize = 1024;

/// Why a subscriber has not taken a notification. The texts hold nothing of its answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDelivered {
    /// A SOAP fault.
    #[error("the subscriber answered with a SOAP fault")]
    Fault,
    /// `ResultCode` ERROR.
    #[error("the subscriber answered with ResultCode ERROR")]
    Error,
    /// Another `ResultCode`, or none.
    #[error("the subscriber answered without a ResultCode that is known")]
    UnknownResult,
    /// Another message.
    #[error("the subscriber answered with another message than ProcessNotificationResponse")]
    OtherMessage,
    /// An HTTP status that no answer has.
    #[error("the subscriber answered with HTTP status {0}")]
    Status(u16),
    /// No SOAP message.
    #[error("the subscriber's answer is no SOAP message: {0}")]
    NoMessage(#[from] SoapError),
}

/// The messages that tell a subscriber of a notification, one after the other. Each has at most [`MOST_IN_CALL`]
/// transactions, in their order.
pub fn notices(notification: &Notification) -> impl Iterator<Item = String> {
    let parts = notification.transactions.chunks(MOST_IN_CALL);
    parts.map(|transactions| write(&notification.subscriber, transactions))
}

fn write(subscriber: &Address, transactions: &[EngagementTransaction]) -> String {
    let contract = IndexInteraction::ProcessNotification.contract();
    let mut out = open_envelope();
    out.reserve(transactions.len() * USUAL_TRANSACTION);
    out.push_str("<soap:Header>");
    push_logical_address(&mut out, subscriber.as_str());
    out.push_str("</soap:Header><soap:Body>");
    out.push_str(&format!("<p:ProcessNotification xmlns:p=\"{contract}\" xmlns:e=\"{TYPES}\">"));
    for EngagementTransaction { delete_flag, engagement } in transactions {
        let flag = if *delete_flag { "true" } else { "false" };
        for part in ["<p:engagementTransaction><e:deleteFlag>", flag, "</e:deleteFlag><e:engagement>"] {
            out.push_str(part);
        }
        push_fields(&mut out, engagement);
        out.push_str("</e:engagement></p:engagementTransaction>");
    }
    out.push_str("</p:ProcessNotification>");
    close_body(&mut out);
    out
}

/// Reads the answer of a subscriber, of which at most `limit` bytes are taken. OK and INFO say that it has taken the
/// notification.
///
/// # Errors
/// [`NotDelivered`] for anything else.
pub fn read_receipt(status: u16, body: Vec<u8>, charset: Option<&str>, limit: usize) -> Result<(), NotDelivered> {
    let interaction = IndexInteraction::ProcessNotification;
    let is_good = (200..300).contains(&status);
    let message = match Message::read(body, charset, limit, &[Name::new(interaction.contract(), "ResultCode")]) {
        Ok(message) => message,
        Err(_) if !is_good => return Err(NotDelivered::Status(status)),
        Err(error) => return Err(error.into()),
    };
    if message.fault().is_some() {
        return Err(NotDelivered::Fault);
    }
    if !is_good {
        return Err(NotDelivered::Status(status));
    }
    if *message.name() != Name::new(interaction.contract(), "ProcessNotificationResponse") {
        return Err(NotDelivered::OtherMessage);
    }
    let mut codes = message.rows(0).map(|row| row.text());
    match (codes.next().as_deref().map(str::trim), codes.next()) {
        (Some("OK" | "INFO"), None) => Ok(()),
        (Some("ERROR"), None) => Err(NotDelivered::Error),
        _ => Err(NotDelivered::UnknownResult),
    }
}
