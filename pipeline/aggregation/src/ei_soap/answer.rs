//! Writes the answers of the index.

use tributary_schemas::records::aggregation::{Engagement, Interaction};
use tributary_schemas::types::aggregation::Stamp;

use super::{IndexInteraction, TYPES};
use crate::engagement::Field;
use crate::index::Found;
use crate::soap::{open_envelope, push_text};

/// How many bytes an engagement takes with all its tags, as a rule.
const USUAL_ENGAGEMENT: usize = 1024;

/// The answer to a request that is on the log: `ResultCode` OK, without a comment (A 6.5).
pub fn write_ok(interaction: Interaction) -> String {
    let interaction = IndexInteraction::from(interaction);
    let (name, contract) = (interaction.name(), interaction.contract());
    let mut out = open_envelope();
    out.push_str("<soap:Body>");
    out.push_str(&format!(
        "<r:{name}Response xmlns:r=\"{contract}\"><r:ResultCode>OK</r:ResultCode></r:{name}Response>"
    ));
    close_body(&mut out);
    out
}

/// The answer to a question. Fields without a value are left out.
pub fn write_found(found: &Found) -> String {
    let mut out = open_envelope();
    out.reserve(found.engagements.len() * USUAL_ENGAGEMENT);
    let contract = IndexInteraction::FindContent.contract();
    out.push_str(&format!("<soap:Body><r:FindContentResponse xmlns:r=\"{contract}\" xmlns:e=\"{TYPES}\">"));
    for engagement in &found.engagements {
        out.push_str("<r:engagement>");
        push_fields(&mut out, engagement);
        out.push_str("</r:engagement>");
    }
    out.push_str("</r:FindContentResponse>");
    close_body(&mut out);
    out
}

/// Ends a message after what is in its body.
pub(super) fn close_body(out: &mut String) {
    out.push_str("</soap:Body></soap:Envelope>");
}

/// Appends the fields of an engagement in the order of the contract. The prefix `e` must stand for [`TYPES`].
pub(super) fn push_fields(out: &mut String, engagement: &Engagement) {
    for field in Field::ALL {
        let text = match field {
            Field::RegisteredResidentIdentification => engagement.registered_resident_identification.as_str(),
            Field::ServiceDomain => &engagement.service_domain,
            Field::Categorization => &engagement.categorization,
            Field::LogicalAddress => engagement.logical_address.as_str(),
            Field::BusinessObjectInstanceIdentifier => engagement.business_object_instance_identifier.as_str(),
            Field::ClinicalProcessInterestId => engagement.clinical_process_interest_id.as_str(),
            Field::SourceSystem => engagement.source_system.as_str(),
            Field::DataController => &engagement.data_controller,
            Field::Owner => &engagement.owner,
            Field::MostRecentContent => {
                push_stamp(out, field, engagement.most_recent_content);
                continue;
            }
            Field::CreationTime => {
                push_stamp(out, field, engagement.creation_time);
                continue;
            }
            Field::UpdateTime => {
                push_stamp(out, field, engagement.update_time);
                continue;
            }
        };
        push_field(out, field, text);
    }
}

fn push_stamp(out: &mut String, field: Field, stamp: Option<Stamp>) {
    if let Some(stamp) = stamp {
        push_field(out, field, &stamp.to_string());
    }
}

fn push_field(out: &mut String, field: Field, text: &str) {
    if text.is_empty() {
        return;
    }
    let element = field.element();
    for part in ["<e:", element, ">"] {
        out.push_str(part);
    }
    push_text(out, text);
    for part in ["</e:", element, ">"] {
        out.push_str(part);
    }
}
