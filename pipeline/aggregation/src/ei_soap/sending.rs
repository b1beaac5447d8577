//! `Update` as a source system sends it, for commands that fill an index.

use super::answer::close_body;
use super::{IndexInteraction, TYPES};
use crate::engagement::Field;
use crate::soap::{Message, open_envelope, push_logical_address, push_text};
use crate::transaction::SentEngagement;

/// The largest answer that is read, in bytes.
const LARGEST: usize = 1 << 20;

/// An update that adds or changes engagements.
pub fn write_update(address: &str, engagements: &[SentEngagement]) -> String {
    let contract = IndexInteraction::Update.contract();
    let mut out = open_envelope();
    out.push_str("<soap:Header>");
    push_logical_address(&mut out, address);
    out.push_str("</soap:Header><soap:Body>");
    out.push_str(&format!("<p:Update xmlns:p=\"{contract}\" xmlns:e=\"{TYPES}\">"));
    for engagement in engagements {
        out.push_str("<p:engagementTransaction><e:deleteFlag>false</e:deleteFlag><e:engagement>");
        for field in Field::ALL {
            let text = engagement.text(field);
            if !text.is_empty() {
                let name = field.element();
                out.push_str(&format!("<e:{name}>"));
                push_text(&mut out, text);
                out.push_str(&format!("</e:{name}>"));
            }
        }
        out.push_str("</e:engagement></p:engagementTransaction>");
    }
    out.push_str("</p:Update>");
    close_body(&mut out);
    out
}

/// Reads the answer to an update.
///
/// # Errors
/// The text of a fault, or that it is no answer.
pub fn read_update_receipt(body: Vec<u8>) -> Result<(), String> {
    let message = Message::read(body, None, LARGEST, &[]).map_err(|error| error.to_string())?;
    match message.fault() {
        Some(fault) => Err(fault.text),
        None if message.values(&["ResultCode".to_owned()]) == ["OK"] => Ok(()),
        None => Err("the index answered without ResultCode OK".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use tributary_schemas::records::aggregation::Interaction;

    use super::*;
    use crate::caller::CORRELATION;
    use crate::ei_soap::{read_transactions, write_ok};
    use crate::harness;

    #[test]
    fn what_is_sent_is_what_the_index_reads() {
        let sent = [harness::sent("1").engagement, harness::sent("a < b & c").engagement];
        let body = write_update(harness::OWN, &sent).into_bytes();
        let headers = vec![(CORRELATION.to_owned(), "c".to_owned())];
        let asked = crate::cache_flow::Asked { headers, soap_action: None, charset: None, body };
        let request = read_transactions(Interaction::Update, asked, 1 << 20).unwrap();
        let engagements: Vec<_> = request.transactions.iter().map(|one| one.engagement.clone()).collect();
        assert!(engagements == sent, "what is read differs");
        assert_eq!(request.accept(&harness::settings()).unwrap().len(), 2);
    }

    #[test]
    fn the_receipt_is_ok_or_a_reason() {
        assert_eq!(read_update_receipt(write_ok(Interaction::Update).into_bytes()), Ok(()));
        let fault = crate::soap::Fault::new(crate::soap::FaultCode::Server, "EI003: wrong").write();
        assert_eq!(read_update_receipt(fault.into_bytes()), Err("EI003: wrong".to_owned()));
        assert!(read_update_receipt(b"no XML".to_vec()).is_err());
    }
}
