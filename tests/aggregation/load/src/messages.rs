//! The messages of the contracts that are played: booked times of a patient, and the engagement index.

use std::fmt::Write;

/// The contract of booked times.
pub(crate) const SCHEDULE: &str = "urn:riv:crm:scheduling:GetSubjectOfCareScheduleResponder:1";
/// What its rows consist of.
const SLOTS: &str = "urn:riv:crm:scheduling:1";
/// Its domain in the index.
pub(crate) const DOMAIN: &str = "riv:crm:scheduling";
/// The index that is played, and the one that is measured.
pub(crate) const INDEX_ADDRESS: &str = "SE-BENCH-EI";

const INDEX: &str = "urn:riv:itintegration:engagementindex";

/// How long a source system took to answer, in microseconds, stands behind this in the first row of its answer.
pub(crate) const TOOK: &str = "took-us-";
/// Its digits.
const TOOK_DIGITS: usize = 9;

/// The logical address of a source system.
pub(crate) fn address(number: usize) -> String {
    format!("SE-BENCH-{number:04}")
}

/// A patient. The day does not exist, so it is nobody's id.
pub(crate) fn patient(number: usize) -> String {
    format!("1990{number:08}")
}

fn envelope(address: Option<&str>, body: &str) -> String {
    let header = address.map_or_else(String::new, |address| {
        format!("<soapenv:Header><add:LogicalAddress>{address}</add:LogicalAddress></soapenv:Header>")
    });
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope \
         xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:add=\"urn:riv:itintegration:registry:1\">\
         {header}<soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
    )
}

/// A question for the booked times of a patient at an address.
pub(crate) fn question(address: &str, patient: &str) -> String {
    let body = format!(
        "<s:GetSubjectOfCareSchedule xmlns:s=\"{SCHEDULE}\"><s:healthcare_facility>{address}</s:healthcare_facility>\
         <s:subject_of_care>{patient}</s:subject_of_care></s:GetSubjectOfCareSchedule>"
    );
    envelope(Some(address), &body)
}

/// The answer of a source system.
#[derive(Debug)]
pub(crate) struct Template {
    text: String,
    took: usize,
}

impl Template {
    /// About as many bytes as asked for, and at least one row. Gives the number of rows as well.
    pub(crate) fn new(address: &str, bytes: usize) -> (Self, usize) {
        let rows = (bytes / row(address, 1).len()).max(1);
        let body: String = (0..rows).map(|number| row(address, number)).collect();
        let body = format!(
            "<q:GetSubjectOfCareScheduleResponse xmlns:q=\"{SCHEDULE}\" xmlns:t=\"{SLOTS}\">{body}\
             </q:GetSubjectOfCareScheduleResponse>"
        );
        let text = envelope(None, &body);
        let took = text.find(TOOK).map_or(0, |at| at + TOOK.len());
        (Self { text, took }, rows)
    }

    /// The answer of one that took so long.
    pub(crate) fn fill(&self, took: std::time::Duration) -> String {
        let mut text = self.text.clone();
        let micros = took.as_micros().min(999_999_999);
        text.replace_range(self.took..self.took + TOOK_DIGITS, &format!("{micros:09}"));
        text
    }
}

/// A booked time with all fields of the contract that systems usually fill.
fn row(address: &str, number: usize) -> String {
    let mut out = String::from("<q:timeslotDetail>");
    let mut field = |name: &str, text: &str| {
        // Writing to a text cannot fail.
        let _ = write!(out, "<t:{name}>{text}</t:{name}>");
    };
    field("startTimeInclusive", &format!("202612{:02}080000", 1 + number % 28));
    field("endTimeExclusive", &format!("202612{:02}083000", 1 + number % 28));
    field("healthcare_facility", address);
    field("performer", "SE-BENCH-PERFORMER");
    field("bookingId", &format!("{address}-{number:08}"));
    field("subject_of_care", "199000000000");
    field("purpose", "Återbesök, påhittat");
    field("reason", &if number == 0 { format!("{TOOK}000000000") } else { "Uppföljning av påhittat besök".to_owned() });
    field("resourceName", "Påhittad mottagning");
    field("healthcare_facility_name", "Påhittad vårdcentral");
    field("performerName", "Påhittad Person");
    field("resourceID", "R-1");
    field("timeTypeName", "Besök");
    field("timeTypeID", "T-1");
    field("careTypeName", "Primärvård");
    field("careTypeID", "C-1");
    field("cancel_booking_allowed", "true");
    field("rebooking_allowed", "true");
    field("message_allowed", "false");
    out.push_str("</q:timeslotDetail>");
    out
}

/// An engagement in the index, by number. A patient has so many of them, each of an address of its own in turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Engaged {
    pub(crate) number: usize,
    pub(crate) of_patient: usize,
    pub(crate) addresses: usize,
}

impl Engaged {
    /// The texts by the names of their elements, in the order of the contract.
    pub(crate) fn fields(self) -> [(&'static str, String); 9] {
        let address = address(self.number % self.of_patient % self.addresses);
        [
            ("registeredResidentIdentification", patient(self.number / self.of_patient)),
            ("serviceDomain", DOMAIN.to_owned()),
            ("categorization", "Booking".to_owned()),
            ("logicalAddress", address.clone()),
            ("businessObjectInstanceIdentifier", format!("0be5c000-0000-4000-8000-{:012}", self.number)),
            ("clinicalProcessInterestId", "NA".to_owned()),
            ("mostRecentContent", "20261120143000".to_owned()),
            ("sourceSystem", address),
            ("dataController", format!("SE-BENCH-CONTROLLER-{}", self.number % self.of_patient % 7)),
        ]
    }

    fn write(self, out: &mut String) {
        for (name, text) in self.fields() {
            // Writing to a text cannot fail.
            let _ = write!(out, "<e:{name}>{text}</e:{name}>");
        }
    }
}

/// A request that changes the index.
pub(crate) fn update(engagements: impl Iterator<Item = Engaged>) -> String {
    let mut body = format!("<r:Update xmlns:r=\"{INDEX}:UpdateResponder:1\" xmlns:e=\"{INDEX}:1\">");
    for engaged in engagements {
        body.push_str("<r:engagementTransaction><e:deleteFlag>false</e:deleteFlag><e:engagement>");
        engaged.write(&mut body);
        body.push_str("</e:engagement></r:engagementTransaction>");
    }
    body.push_str("</r:Update>");
    envelope(Some(INDEX_ADDRESS), &body)
}

/// A question to the index.
pub(crate) fn find_content(patient: &str) -> String {
    let body = format!(
        "<r:FindContent xmlns:r=\"{INDEX}:FindContentResponder:1\"><r:registeredResidentIdentification>{patient}\
         </r:registeredResidentIdentification><r:serviceDomain>{DOMAIN}</r:serviceDomain></r:FindContent>"
    );
    envelope(Some(INDEX_ADDRESS), &body)
}

/// The answer of the index that is played: an engagement of the patient at each address.
pub(crate) fn found(patient: usize, addresses: usize) -> String {
    let mut body = format!("<r:FindContentResponse xmlns:r=\"{INDEX}:FindContentResponder:1\" xmlns:e=\"{INDEX}:1\">");
    for number in 0..addresses {
        body.push_str("<r:engagement>");
        Engaged { number: patient * addresses + number, of_patient: addresses, addresses }.write(&mut body);
        body.push_str("</r:engagement>");
    }
    body.push_str("</r:FindContentResponse>");
    envelope(None, &body)
}

/// The text of the first element with this local name.
pub(crate) fn first<'m>(message: &'m str, local: &str) -> Option<&'m str> {
    let is_whole =
        |at: usize| message[..at].ends_with([':', '<']) && message[at + local.len()..].starts_with(['>', ' ']);
    let (at, _) = message.match_indices(local).find(|(at, _)| is_whole(*at))?;
    let (_, text) = message[at..].split_once('>')?;
    text.split('<').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_whatever_the_prefix_and_the_attributes() {
        let message = "<a:My-id x='1'>no</a:My-id><b:id xmlns:b=\"urn:x\">7</b:id><id>8</id>";
        assert_eq!((first(message, "id"), first(message, "idx")), (Some("7"), None));
        assert_eq!(first(&question("SE-1", "199000000001"), "LogicalAddress"), Some("SE-1"));
    }
}
