//! The question to the index and its answer (A 2.4, A 3.6).

use tributary_schemas::types::aggregation::PatientId;

use crate::engagement::{Engagement, Field, TYPES};
use crate::soap::{self, Message, Name, SoapError, push_text};

/// The namespace of the interaction.
pub const CONTRACT: &str = "urn:riv:itintegration:engagementindex:FindContentResponder:1";
/// The SOAP action of the interaction.
pub const SOAP_ACTION: &str = "urn:riv:itintegration:engagementindex:FindContentResponder:1:FindContent";
/// How many engagements of an answer are taken.
pub const MOST_ENGAGEMENTS: usize = 10_000;

/// The question: where are data of a patient?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindContent {
    /// The patient.
    pub patient: PatientId,
    /// The domain.
    pub service_domain: String,
    /// The category, if the service has exactly one.
    pub categorization: Option<String>,
    /// `YYYYMMDDhhmmss`: only engagements with content since then.
    pub most_recent_content: Option<String>,
}

/// What the index knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The engagements that name an address and a source system.
    pub engagements: Vec<Engagement>,
    /// How many engagements were left out because they do not.
    pub without_address: usize,
    /// How many engagements were left out because there were more than [`MOST_ENGAGEMENTS`].
    pub too_many: usize,
}

/// Why the index has not answered. Its fault is passed on to the consumer, so `Debug` of it shows no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexError {
    /// A SOAP fault.
    Fault(soap::Fault),
    /// Anything else, in words that hold nothing of a message.
    Failed(String),
}

impl From<SoapError> for IndexError {
    fn from(error: SoapError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl FindContent {
    /// The question as a message.
    pub fn write(&self, logical_address: &str) -> String {
        let mut out = soap::open_envelope();
        out.push_str("<soap:Header>");
        soap::push_logical_address(&mut out, logical_address);
        out.push_str("</soap:Header><soap:Body><f:FindContent xmlns:f=\"");
        out.push_str(CONTRACT);
        out.push_str("\">");
        let fields = [
            (Field::RegisteredResidentIdentification, Some(self.patient.as_str())),
            (Field::ServiceDomain, Some(self.service_domain.as_str())),
            (Field::Categorization, self.categorization.as_deref()),
            (Field::MostRecentContent, self.most_recent_content.as_deref()),
        ];
        for (field, text) in fields {
            let Some(text) = text else { continue };
            out.push_str(&format!("<f:{}>", field.element()));
            push_text(&mut out, text);
            out.push_str(&format!("</f:{}>", field.element()));
        }
        out.push_str("</f:FindContent></soap:Body></soap:Envelope>");
        out
    }
}

/// Reads the answer of an index.
///
/// # Errors
/// [`IndexError`] if it is a fault, or no answer to this question.
pub fn read_answer(bytes: Vec<u8>, charset: Option<&str>, limit: usize) -> Result<Found, IndexError> {
    let message = Message::read(bytes, charset, limit, &[Name::new(CONTRACT, "engagement")])?;
    if let Some(fault) = message.fault() {
        return Err(IndexError::Fault(fault));
    }
    if *message.name() != Name::new(CONTRACT, "FindContentResponse") {
        return Err(IndexError::Failed(format!("the index answered with {}", message.name())));
    }
    let mut found = Found::default();
    for (index, row) in message.rows(0).enumerate() {
        if index >= MOST_ENGAGEMENTS {
            found.too_many += 1;
            continue;
        }
        let mut engagement = Engagement::default();
        for (name, text) in row.children() {
            // Extensions may have fields of the same names in namespaces of their own.
            let field = Field::named(&name.local).filter(|_| name.namespace == TYPES);
            if let Some(field) = field.filter(|field| engagement.field(*field).is_empty()) {
                engagement.set(field, text);
            }
        }
        if engagement.logical_address.trim().is_empty() || engagement.source_system.trim().is_empty() {
            found.without_address += 1;
        } else {
            found.engagements.push(engagement);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(inside: &str) -> Result<Found, IndexError> {
        let text = format!(
            "<s:Envelope xmlns:s=\"{}\"><s:Body><FindContentResponse xmlns=\"{CONTRACT}\" \
             xmlns:e=\"{TYPES}\">{inside}</FindContentResponse></s:Body></s:Envelope>",
            soap::ENVELOPE
        );
        read_answer(text.into_bytes(), None, 1 << 24)
    }

    #[test]
    fn the_question_has_only_what_is_known() {
        let patient = "19<1".parse().unwrap();
        let question = FindContent {
            patient,
            service_domain: "riv:a".to_owned(),
            categorization: None,
            most_recent_content: Some("20261001000000".to_owned()),
        };
        let written = question.write("A&B");
        let message = Message::read(written.into_bytes(), None, 4096, &[]).unwrap();
        assert_eq!(message.name(), &Name::new(CONTRACT, "FindContent"));
        assert_eq!(message.logical_address().as_deref(), Some("A&B"));
        let value = |field: Field| message.values(&[field.element().to_owned()]);
        assert_eq!(value(Field::RegisteredResidentIdentification), ["19<1"]);
        assert_eq!(value(Field::ServiceDomain), ["riv:a"]);
        assert_eq!(value(Field::MostRecentContent), ["20261001000000"]);
        assert!(value(Field::Categorization).is_empty());
    }

    #[test]
    fn an_engagement_without_its_address_is_left_out_and_counted() {
        let whole = "<engagement><e:logicalAddress>A</e:logicalAddress><e:sourceSystem>S</e:sourceSystem>\
                     <x:sourceSystem xmlns:x='x'>no</x:sourceSystem></engagement>";
        let found = answer(&format!("<engagement><e:logicalAddress> </e:logicalAddress></engagement>{whole}")).unwrap();
        let engagement =
            Engagement { logical_address: "A".to_owned(), source_system: "S".to_owned(), ..Engagement::default() };
        assert_eq!(found, Found { engagements: vec![engagement], without_address: 1, too_many: 0 });
        let found = answer(&whole.repeat(MOST_ENGAGEMENTS + 2)).unwrap();
        assert_eq!((found.engagements.len(), found.too_many), (MOST_ENGAGEMENTS, 2));
    }

    #[test]
    fn a_field_of_another_namespace_is_no_field_of_the_engagement() {
        for other in ["<x:sourceSystem xmlns:x='x'>no</x:sourceSystem>", "<sourceSystem>no</sourceSystem>"] {
            let row = |inside: &str| {
                format!("<engagement>{inside}<e:logicalAddress>A</e:logicalAddress>{other}{inside}</engagement>")
            };
            assert_eq!(answer(&row("")).unwrap(), Found { without_address: 1, ..Found::default() });
            let found = answer(&row("<e:sourceSystem>S<e:owner>no</e:owner></e:sourceSystem>")).unwrap();
            assert_eq!((found.engagements[0].source_system.as_str(), &*found.engagements[0].owner), ("S", ""));
        }
        let elsewhere = format!(
            "<engagement><p:sourceSystem xmlns:p='{TYPES}'>S</p:sourceSystem>\
             <logicalAddress xmlns='{TYPES}'>A</logicalAddress></engagement>"
        );
        assert_eq!(answer(&elsewhere).unwrap().engagements[0].source_system, "S");
        let not_of_contract = "<engagement xmlns='x'><e:logicalAddress>A</e:logicalAddress></engagement>";
        assert_eq!(answer(not_of_contract).unwrap(), Found::default());
    }

    #[test]
    fn a_fault_or_another_answer_of_the_index_is_an_error() {
        let fault = soap::Fault::new(soap::FaultCode::Server, "Invalid Id: EI:INV_ID");
        assert_eq!(read_answer(fault.write().into_bytes(), None, 4096), Err(IndexError::Fault(fault)));
        for bytes in ["", "<a/>", "<!DOCTYPE a><a/>", "no XML"] {
            assert!(matches!(read_answer(bytes.into(), None, 4096), Err(IndexError::Failed(_))), "{bytes}");
        }
        let question = FindContent {
            patient: "1".parse().unwrap(),
            service_domain: "a".to_owned(),
            categorization: None,
            most_recent_content: None,
        };
        assert!(matches!(read_answer(question.write("A").into_bytes(), None, 4096), Err(IndexError::Failed(_))));
    }
}
