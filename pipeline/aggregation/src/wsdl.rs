//! The WSDL of a service: document/literal, generated from its descriptor, or of an interaction of the index (A 3.1).

use crate::descriptor::Descriptor;
use crate::ei_soap::IndexInteraction;
use crate::soap::{REGISTRY, push_text};

/// What a WSDL describes: one interaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface<'a> {
    /// The namespace of request and response.
    pub contract: &'a str,
    /// The request element. The response element has `Response` after it.
    pub interaction: &'a str,
    /// The namespace of the WSDL itself.
    pub wsdl_namespace: &'a str,
}

impl<'a> From<&'a Descriptor> for Interface<'a> {
    fn from(descriptor: &'a Descriptor) -> Self {
        let Descriptor { contract, interaction, wsdl_namespace, .. } = descriptor;
        Self { contract, interaction, wsdl_namespace }
    }
}

impl From<IndexInteraction> for Interface<'static> {
    fn from(interaction: IndexInteraction) -> Self {
        Self {
            contract: interaction.contract(),
            interaction: interaction.name(),
            wsdl_namespace: interaction.wsdl_namespace(),
        }
    }
}

/// Writes the WSDL. `url` is the URL as called. `schema` is the name of the file that describes the contract's
/// namespace, if the service has schemas: it is at `?xsd=NAME`.
pub fn write<'a>(described: impl Into<Interface<'a>>, url: &str, schema: Option<&str>) -> String {
    let Interface { contract, interaction, wsdl_namespace } = described.into();
    let types = match schema {
        Some(name) => {
            let mut location = String::new();
            push_text(&mut location, &format!("{url}?xsd={name}"));
            format!("<xs:schema><xs:import namespace=\"{contract}\" schemaLocation=\"{location}\"/></xs:schema>")
        }
        None => open_schema(contract, interaction),
    };
    let mut address = String::new();
    push_text(&mut address, url);
    let action = format!("{contract}:{interaction}");
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    out.push_str(&format!(
        "<wsdl:definitions xmlns:wsdl=\"http://schemas.xmlsoap.org/wsdl/\" \
         xmlns:soap=\"http://schemas.xmlsoap.org/wsdl/soap/\" xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" \
         xmlns:registry=\"{REGISTRY}\" xmlns:contract=\"{contract}\" xmlns:tns=\"{wsdl_namespace}\" \
         name=\"{interaction}Interaction\" targetNamespace=\"{wsdl_namespace}\"><wsdl:types>\
         <xs:schema targetNamespace=\"{REGISTRY}\" elementFormDefault=\"qualified\">\
         <xs:element name=\"LogicalAddress\" type=\"xs:string\"/></xs:schema>{types}</wsdl:types>"
    ));
    for (message, element) in [("Request", interaction.to_owned()), ("Response", format!("{interaction}Response"))] {
        let header = match message {
            "Request" => "<wsdl:part name=\"LogicalAddress\" element=\"registry:LogicalAddress\"/>",
            _ => "",
        };
        out.push_str(&format!(
            "<wsdl:message name=\"{interaction}{message}\">{header}\
             <wsdl:part name=\"parameters\" element=\"contract:{element}\"/></wsdl:message>"
        ));
    }
    out.push_str(&format!(
        "<wsdl:portType name=\"{interaction}ResponderInterface\"><wsdl:operation name=\"{interaction}\">\
         <wsdl:input message=\"tns:{interaction}Request\"/><wsdl:output message=\"tns:{interaction}Response\"/>\
         </wsdl:operation></wsdl:portType>\
         <wsdl:binding name=\"{interaction}ResponderBinding\" type=\"tns:{interaction}ResponderInterface\">\
         <soap:binding style=\"document\" transport=\"http://schemas.xmlsoap.org/soap/http\"/>\
         <wsdl:operation name=\"{interaction}\"><soap:operation style=\"document\" soapAction=\"{action}\"/>\
         <wsdl:input><soap:header message=\"tns:{interaction}Request\" part=\"LogicalAddress\" use=\"literal\"/>\
         <soap:body parts=\"parameters\" use=\"literal\"/></wsdl:input>\
         <wsdl:output><soap:body parts=\"parameters\" use=\"literal\"/></wsdl:output></wsdl:operation></wsdl:binding>\
         <wsdl:service name=\"{interaction}ResponderService\">\
         <wsdl:port name=\"{interaction}ResponderPort\" binding=\"tns:{interaction}ResponderBinding\">\
         <soap:address location=\"{address}\"/></wsdl:port></wsdl:service></wsdl:definitions>"
    ));
    out
}

/// A schema that leaves the content of request and response open, for a service without schemas.
fn open_schema(contract: &str, interaction: &str) -> String {
    let element = |name: &str| {
        format!(
            "<xs:element name=\"{name}\"><xs:complexType><xs:sequence><xs:any namespace=\"##any\" \
             processContents=\"lax\" minOccurs=\"0\" maxOccurs=\"unbounded\"/></xs:sequence></xs:complexType>\
             </xs:element>"
        )
    };
    let response = format!("{interaction}Response");
    format!("<xs:schema targetNamespace=\"{contract}\">{}{}</xs:schema>", element(interaction), element(&response))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::descriptor::Descriptors;
    use crate::soap::Elements;

    #[test]
    fn each_interaction_of_the_index_has_a_wsdl() {
        for interaction in IndexInteraction::ALL {
            let text = write(interaction, "http://a/skltp-ei", None);
            assert!(Elements::read(text.split_once("?>").unwrap().1).is_ok(), "{text}");
            let name = interaction.name();
            for expected in [
                format!("soapAction=\"{}\"", interaction.soap_action()),
                format!("targetNamespace=\"urn:riv:itintegration:engagementindex:{name}:1:rivtabp21\""),
                format!("<xs:schema targetNamespace=\"urn:riv:itintegration:engagementindex:{name}Responder:1\">"),
                format!("element=\"contract:{name}Response\""),
                "<soap:address location=\"http://a/skltp-ei\"/>".to_owned(),
            ] {
                assert!(text.contains(&expected), "{expected}: {text}");
            }
        }
    }

    #[test]
    fn the_address_is_the_url_as_called() {
        let all = Descriptors::read(&[]).unwrap();
        for descriptor in all.iter() {
            for schema in [None, Some("a.xsd")] {
                let text = write(descriptor, "http://a/b?c&d", schema);
                let (_, inside) = text.split_once("?>").unwrap();
                assert!(Elements::read(inside).is_ok(), "{text}");
                assert!(text.contains("location=\"http://a/b?c&amp;d\""), "{text}");
                assert!(text.contains(&format!("soapAction=\"{}\"", descriptor.soap_action())), "{text}");
                assert_eq!(
                    text.contains("schemaLocation=\"http://a/b?c&amp;d?xsd=a.xsd\""),
                    schema.is_some(),
                    "{text}"
                );
            }
        }
    }
}
