//! Messages as consumers and source systems write and read them. Nothing here is the product's own code.

/// The contract of the service that most tests ask.
pub(crate) const LABORATORY: &str =
    "urn:riv:clinicalprocess:healthcond:actoutcome:GetLaboratoryOrderOutcomeResponder:4";
pub(crate) const LABORATORY_PATH: &str = "/GetAggregatedLaboratoryOrderOutcome/service/v4";
pub(crate) const LABORATORY_DOMAIN: &str = "riv:clinicalprocess:healthcond:actoutcome";

const INDEX: &str = "urn:riv:itintegration:engagementindex";

/// A message with a logical address and a body.
pub(crate) fn envelope(address: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soapenv:Envelope \
         xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:add=\"urn:riv:itintegration:registry:1\">\
         <soapenv:Header><add:LogicalAddress>{address}</add:LogicalAddress></soapenv:Header>\
         <soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
    )
}

/// A question for the laboratory answers of a patient.
pub(crate) fn laboratory_question(patient: &str) -> String {
    let body = format!(
        "<lab:GetLaboratoryOrderOutcome xmlns:lab=\"{LABORATORY}\" xmlns:t=\"urn:riv:x:4\"><lab:patientId>\
         <t:id>{patient}</t:id><t:type>1.2.752.129.2.1.3.1</t:type></lab:patientId></lab:GetLaboratoryOrderOutcome>"
    );
    envelope("5565594230", &body)
}

/// An engagement, complete and right.
#[derive(Clone, Debug)]
pub(crate) struct Engaged {
    pub(crate) patient: String,
    pub(crate) domain: String,
    pub(crate) category: String,
    pub(crate) address: String,
    pub(crate) object: String,
    pub(crate) content: String,
    pub(crate) is_deleted: bool,
}

impl Engaged {
    pub(crate) fn laboratory(patient: &str, address: &str, object: &str) -> Self {
        Self {
            patient: patient.to_owned(),
            domain: LABORATORY_DOMAIN.to_owned(),
            category: "und-kkm-ure".to_owned(),
            address: address.to_owned(),
            object: object.to_owned(),
            content: "20261120143000".to_owned(),
            is_deleted: false,
        }
    }

    fn transaction(&self, owner: Option<&str>) -> String {
        let Self { patient, domain, category, address, object, content, is_deleted } = self;
        let owner = owner.map(|owner| format!("<e:owner>{owner}</e:owner>")).unwrap_or_default();
        format!(
            "<r:engagementTransaction><e:deleteFlag>{is_deleted}</e:deleteFlag><e:engagement>\
             <e:registeredResidentIdentification>{patient}</e:registeredResidentIdentification>\
             <e:serviceDomain>{domain}</e:serviceDomain><e:categorization>{category}</e:categorization>\
             <e:logicalAddress>{address}</e:logicalAddress>\
             <e:businessObjectInstanceIdentifier>{object}</e:businessObjectInstanceIdentifier>\
             <e:clinicalProcessInterestId>NA</e:clinicalProcessInterestId>\
             <e:mostRecentContent>{content}</e:mostRecentContent><e:sourceSystem>{address}</e:sourceSystem>\
             <e:dataController>SE-CONTROLLER</e:dataController>{owner}</e:engagement></r:engagementTransaction>"
        )
    }
}

/// A request that changes the index.
pub(crate) fn update(address: &str, engagements: &[Engaged]) -> String {
    let transactions: String = engagements.iter().map(|one| one.transaction(None)).collect();
    let body =
        format!("<r:Update xmlns:r=\"{INDEX}:UpdateResponder:1\" xmlns:e=\"{INDEX}:1\">{transactions}</r:Update>");
    envelope(address, &body)
}

/// What another index says of its changes.
pub(crate) fn notification(address: &str, owner: &str, engagements: &[Engaged]) -> String {
    let transactions: String = engagements.iter().map(|one| one.transaction(Some(owner))).collect();
    let body = format!(
        "<r:ProcessNotification xmlns:r=\"{INDEX}:ProcessNotificationResponder:1\" xmlns:e=\"{INDEX}:1\">{transactions}\
         </r:ProcessNotification>"
    );
    envelope(address, &body)
}

/// A question to the index. `others` are further elements.
pub(crate) fn find_content(patient: &str, domain: &str, others: &str) -> String {
    let body = format!(
        "<r:FindContent xmlns:r=\"{INDEX}:FindContentResponder:1\">\
         <r:registeredResidentIdentification>{patient}</r:registeredResidentIdentification>\
         <r:serviceDomain>{domain}</r:serviceDomain>{others}</r:FindContent>"
    );
    envelope("SE-EI", &body)
}

/// The texts of all elements with this local name, in order, inside of others with that name removed.
pub(crate) fn texts(message: &str, local: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = message;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let end = rest.find('>').unwrap_or(rest.len());
        let name = rest[..end].split([' ', '/', '\n']).next().unwrap_or_default();
        if name.rsplit(':').next() == Some(local) && !rest.starts_with('/') {
            let is_empty = rest[..end].ends_with('/');
            let content = rest.get(end + 1..).unwrap_or_default();
            let close = content.find(&format!("</{name}>")).unwrap_or(0);
            found.push(if is_empty { String::new() } else { content[..close].to_owned() });
        }
        rest = rest.get(end..).unwrap_or_default();
    }
    found
}

/// A record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) address: String,
    pub(crate) status: String,
    pub(crate) code: Option<String>,
    pub(crate) text: Option<String>,
}

/// The records of an answer, by address.
pub(crate) fn statuses(message: &str) -> Vec<Record> {
    let one = |record: &String| {
        let first = |local: &str| texts(record, local).into_iter().next();
        Record {
            address: first("logicalAddress").unwrap(),
            status: first("statusCode").unwrap(),
            code: first("code"),
            text: first("text"),
        }
    };
    let mut all: Vec<Record> = texts(message, "ProcessingStatusList").iter().map(one).collect();
    all.sort_by(|a, b| a.address.cmp(&b.address));
    all
}
