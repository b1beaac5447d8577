//! The messages of the register (R 9.2 to 9.4), and the numbers that are asked for.

use uuid::Uuid;

/// The content type of calls and answers.
pub(crate) const CONTENT_TYPE: &str = "application/soap+xml;charset=UTF-8;action=\"urn:unzr\"";

/// What an answer ends with.
pub(crate) const END: &str = "Envelope>";

/// What the register knows about everybody.
const PERSON: &str = "<firstName>Вигадана</firstName><lastName>Примірна</lastName><middleName/>\
    <rnokpp>0000000000</rnokpp><gender>F</gender><dateBirth>1991-01-01</dateBirth><documents><type>NATIONAL_ID</type>\
    <number>000000000</number><issuedAt>2020-02-29</issuedAt><expiredAt>2030-02-28</expiredAt><issuedBy>0000</issuedBy>\
    <status>VALID</status></documents>";

/// An invented number. The day does not exist, so it is nobody's. There are ten million of them.
pub(crate) fn number(index: usize) -> String {
    format!("1991{:04}-{:05}", 9900 + index / 100_000, index % 100_000)
}

/// A call with the headers of X-Road.
pub(crate) fn call(number: &str, user: Uuid, id: Uuid) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soap:Envelope \
         xmlns:soap=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:xro=\"http://x-road.eu/xsd/xroad.xsd\" \
         xmlns:iden=\"http://x-road.eu/xsd/identifiers\"><soap:Header><xro:client iden:objectType=\"SUBSYSTEM\">\
         <iden:xRoadInstance>SEVDEIR</iden:xRoadInstance><iden:memberClass>GOV</iden:memberClass>\
         <iden:memberCode>12345678</iden:memberCode><iden:subsystemCode>1_EHEALTH_prod</iden:subsystemCode>\
         </xro:client><xro:service iden:objectType=\"SERVICE\"><iden:xRoadInstance>SEVDEIR</iden:xRoadInstance>\
         <iden:memberClass>GOV</iden:memberClass><iden:memberCode>00000001</iden:memberCode>\
         <iden:subsystemCode>20_EIS_prod</iden:subsystemCode><iden:serviceCode>unzr</iden:serviceCode></xro:service>\
         <xro:userId>{user}</xro:userId><xro:id>{id}</xro:id><xro:protocolVersion>4.0</xro:protocolVersion>\
         </soap:Header><soap:Body><unzr><UNZR>{number}</UNZR></unzr></soap:Body></soap:Envelope>"
    )
}

/// The number that a call asks for.
pub(crate) fn asked(call: &str) -> Option<&str> {
    let (_, rest) = call.split_once("<UNZR>")?;
    rest.split('<').next()
}

/// The answer to a call: what stands before its body, headers and all, and an invented person. `None` for what is no
/// call. It is not read as XML: the register shares its cores with what is measured.
pub(crate) fn answer(call: &str) -> Option<String> {
    let (before, _) = call.split_once("Body>")?;
    let (before, prefix) = before.rsplit_once('<')?;
    Some(format!("{before}<{prefix}Body><unzrResponse>{PERSON}</unzrResponse></{prefix}Body></{prefix}Envelope>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_repeats_the_headers_of_its_call() {
        let id = Uuid::from_u128(9);
        let call = call(&number(123_456), Uuid::from_u128(1), id);
        assert_eq!(asked(&call), Some("19919901-23456"));
        let answer = answer(&call).unwrap();
        assert!(answer.contains(&format!("<xro:id>{id}</xro:id>")), "{answer}");
        assert!(answer.contains("</soap:Header><soap:Body><unzrResponse><firstName>"), "{answer}");
        assert!(answer.ends_with("</unzrResponse></soap:Body></soap:Envelope>"), "{answer}");
        assert!(answer.ends_with(END));
    }

    #[test]
    fn what_is_no_call_has_no_answer() {
        assert_eq!((asked("hello"), answer("hello")), (None, None));
    }
}
