//! The request of a call (R 9.2 to 9.4): an envelope with the headers of X-Road and one element, the number.

use tributary_schemas::types::registry::{CallId, UserId};
use tributary_soap::{Version, push_declaration, push_text};

use crate::configuration::{Kind, Service, Trembita, UserIdRule};
use crate::number::Number;

/// The namespace of the headers.
const HEADERS: &str = "http://x-road.eu/xsd/xroad.xsd";

/// The namespace of identifiers.
const IDENTIFIERS: &str = "http://x-road.eu/xsd/identifiers";

/// A call, ready to be sent.
#[derive(Clone, Debug)]
pub struct CallRequest<'a> {
    /// The kind of job.
    pub kind: &'a Kind,
    /// Our side of the exchange.
    pub trembita: &'a Trembita,
    /// The number, and nothing else about anybody.
    pub number: &'a Number,
    /// Who has triggered the run.
    pub user: UserId,
    /// A new id for each call.
    pub id: CallId,
}

impl CallRequest<'_> {
    /// The content type of the request (R 9.3).
    pub fn content_type(&self) -> String {
        match self.kind.service.soap {
            Version::Soap11 => "text/xml; charset=utf-8".to_owned(),
            Version::Soap12 => format!("application/soap+xml;charset=UTF-8;action=\"{}\"", self.kind.service.action),
        }
    }

    /// The header `SOAPAction`, which SOAP 1.2 does not have.
    pub fn soap_action(&self) -> Option<String> {
        match self.kind.service.soap {
            Version::Soap11 => Some(format!("\"{}\"", self.kind.service.action)),
            Version::Soap12 => None,
        }
    }

    /// The envelope in UTF-8. The number is in it byte for byte (R 1.3).
    pub fn body(&self) -> String {
        let service = &self.kind.service;
        let mut out = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soap:Envelope xmlns:soap=\"{}\" xmlns:xro=\"{HEADERS}\" \
             xmlns:iden=\"{IDENTIFIERS}\"><soap:Header>",
            service.soap.namespace()
        );
        self.push_headers(&mut out);
        out.push_str("</soap:Header><soap:Body>");
        let prefix = if service.namespace.is_some() { "reg:" } else { "" };
        out.push_str(&format!("<{prefix}{}", service.code));
        if let Some(namespace) = &service.namespace {
            let mut escaped = String::new();
            push_text(&mut escaped, namespace);
            push_declaration(&mut out, "reg", &escaped);
        }
        out.push('>');
        push_element(&mut out, &self.kind.number.element, self.number.expose());
        out.push_str(&format!("</{prefix}{}></soap:Body></soap:Envelope>", service.code));
        out
    }

    fn push_headers(&self, out: &mut String) {
        let user = match &self.trembita.user_id {
            UserIdRule::User => self.user.to_string(),
            UserIdRule::Constant(text) => text.clone(),
        };
        push_identifier(out, "client", "SUBSYSTEM", &client(self.trembita));
        push_identifier(out, "service", "SERVICE", &service(self.trembita, &self.kind.service));
        push_element(out, "xro:userId", &user);
        push_element(out, "xro:id", &self.id.to_string());
        push_element(out, "xro:protocolVersion", &self.trembita.protocol_version);
    }
}

/// The parts of an identifier: local names and texts.
pub(crate) type Parts<'a> = Vec<(&'static str, &'a str)>;

/// Who calls.
pub(crate) fn client(trembita: &Trembita) -> Parts<'_> {
    vec![
        ("xRoadInstance", &trembita.instance),
        ("memberClass", &trembita.member_class),
        ("memberCode", &trembita.member_code),
        ("subsystemCode", &trembita.subsystem),
    ]
}

/// Who is called.
pub(crate) fn service<'a>(trembita: &'a Trembita, service: &'a Service) -> Parts<'a> {
    let mut parts: Parts<'a> = vec![
        ("xRoadInstance", &trembita.instance),
        ("memberClass", &service.member_class),
        ("memberCode", &service.member_code),
        ("subsystemCode", &service.subsystem),
        ("serviceCode", &service.code),
    ];
    parts.extend(service.version.as_deref().map(|version| ("serviceVersion", version)));
    parts
}

fn push_identifier(out: &mut String, name: &str, object: &str, parts: &Parts<'_>) {
    out.push_str(&format!("<xro:{name} iden:objectType=\"{object}\">"));
    for (part, text) in parts {
        push_element(out, &format!("iden:{part}"), text);
    }
    out.push_str(&format!("</xro:{name}>"));
}

fn push_element(out: &mut String, name: &str, text: &str) {
    out.push_str(&format!("<{name}>"));
    push_text(out, text);
    out.push_str(&format!("</{name}>"));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tributary_soap::{Element, Message, is_character};

    use super::*;
    use crate::configuration::RegistrySettings;
    use crate::harness;

    fn read(settings: &RegistrySettings, number: &str) -> (String, Message) {
        let number = Number::new(number);
        let kind = harness::unzr(settings);
        let request = CallRequest {
            kind,
            trembita: &settings.trembita,
            number: &number,
            user: harness::user(1),
            id: harness::call_id(9),
        };
        let body = request.body();
        let message = Message::read_either(body.clone().into_bytes(), Some("utf-8"), 1 << 20).unwrap();
        (body, message)
    }

    fn headers(message: &Message) -> Vec<Element> {
        message.other_headers().map(|header| header.tree(20).unwrap()).collect()
    }

    fn parts(element: &Element) -> Vec<(&str, &str)> {
        element.children.iter().map(|child| (child.local.as_str(), child.text.as_str())).collect()
    }

    #[test]
    fn the_headers_are_those_of_x_road() {
        let settings = harness::settings();
        let (body, message) = read(&settings, "19910824-00026");
        let headers = headers(&message);
        let names: Vec<&str> = headers.iter().map(|header| header.local.as_str()).collect();
        assert_eq!(names, ["client", "service", "userId", "id", "protocolVersion"]);
        assert!(headers.iter().all(|header| header.namespace == HEADERS));
        assert!(headers[0].children.iter().all(|part| part.namespace == IDENTIFIERS));
        let client = [
            ("xRoadInstance", "SEVDEIR"),
            ("memberClass", "GOV"),
            ("memberCode", "12345678"),
            ("subsystemCode", "1_EHEALTH_prod"),
        ];
        assert_eq!(parts(&headers[0]), client);
        let service = [
            ("xRoadInstance", "SEVDEIR"),
            ("memberClass", "GOV"),
            ("memberCode", "00000001"),
            ("subsystemCode", "20_EIS_prod"),
            ("serviceCode", "unzr"),
        ];
        assert_eq!(parts(&headers[1]), service);
        assert_eq!(headers[2].text, harness::user(1).to_string());
        assert_eq!((headers[3].text.clone(), headers[4].text.as_str()), (harness::call_id(9).to_string(), "4.0"));
        for object in ["<xro:client iden:objectType=\"SUBSYSTEM\">", "<xro:service iden:objectType=\"SERVICE\">"] {
            assert!(body.contains(object), "{object}");
        }
    }

    #[test]
    fn both_versions_of_soap_have_their_content_type_and_action() {
        for (given, content_type, action, version) in [
            ("1.2", "application/soap+xml;charset=UTF-8;action=\"urn:unzr\"", None, Version::Soap12),
            ("1.1", "text/xml; charset=utf-8", Some("\"urn:unzr\""), Version::Soap11),
        ] {
            let settings = harness::settings_with(&format!("[registry.job.unzr]\nservice.soap = \"{given}\"\n"));
            let number = Number::new("1");
            let request = CallRequest {
                kind: harness::unzr(&settings),
                trembita: &settings.trembita,
                number: &number,
                user: harness::user(1),
                id: harness::call_id(1),
            };
            assert_eq!(request.content_type(), content_type);
            assert_eq!(request.soap_action().as_deref(), action);
            assert_eq!(read(&settings, "1").1.version(), version);
        }
    }

    #[test]
    fn a_namespace_a_version_and_a_constant_user_are_sent_if_given() {
        let settings = harness::settings_with(
            "[registry.job.unzr]\nservice = { namespace = \"http://a?b&c\", version = \"v1\" }\n[registry.trembita]\n\
             user_id = \"3000000001\"\n",
        );
        let (_, message) = read(&settings, "1");
        assert_eq!((message.name().namespace.as_str(), message.name().local.as_str()), ("http://a?b&amp;c", "unzr"));
        let headers = headers(&message);
        assert_eq!(parts(&headers[1]).last(), Some(&("serviceVersion", "v1")));
        assert_eq!(headers[2].text, "3000000001");
    }

    proptest! {
        #[test]
        fn the_number_arrives_byte_for_byte_and_alone(text in any::<String>()) {
            prop_assume!(text.chars().all(is_character));
            let (_, message) = read(&harness::settings(), &text);
            prop_assert_eq!(message.name().local.as_str(), "unzr");
            let body = message.body().tree(9).unwrap();
            prop_assert_eq!(body.children.len(), 1);
            prop_assert_eq!(&body.children[0].local, "UNZR");
            prop_assert_eq!(&body.children[0].text, &text);
        }
    }
}
