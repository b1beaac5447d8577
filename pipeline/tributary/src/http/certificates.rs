//! Callers that are identified by their client certificate.

use tributary_flow::http::Caller;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::settings::CertificateSettings;

/// The parts of a certificate's subject, sorted. RFC 4514 writes them in the reverse order of the certificate, and
/// OpenSSL does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subject(Vec<String>);

/// A subject that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the subject {subject:?} must be written as NAME=VALUE[, NAME=VALUE], such as CN=vp.example")]
pub struct SubjectError {
    subject: String,
}

impl Subject {
    fn parse(text: &str) -> Result<Self, SubjectError> {
        let wrong = || SubjectError { subject: text.to_owned() };
        let part = |part: String| {
            let (name, value) = part.split_once('=').ok_or_else(wrong)?;
            let (name, value) = (name.trim().to_ascii_uppercase(), value.trim());
            if name.is_empty() || value.is_empty() {
                return Err(wrong());
            }
            Ok(format!("{name}={value}"))
        };
        let mut parts = split_at_commas(text).into_iter().map(part).collect::<Result<Vec<_>, _>>()?;
        parts.sort();
        Ok(Self(parts))
    }

    /// The subject of a certificate. `None` when the certificate or an entry of its subject cannot be read.
    pub(super) fn of_certificate(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let mut parts = Vec::new();
        for attribute in certificate.subject().iter_attributes() {
            let value = attribute.as_str().ok()?;
            let oid = attribute.attr_type();
            let name = x509_parser::objects::oid2abbrev(oid, x509_parser::objects::oid_registry());
            let name = name.map_or_else(|_| oid.to_id_string(), str::to_ascii_uppercase);
            parts.push(format!("{name}={}", value.trim()));
        }
        parts.sort();
        Some(Self(parts))
    }
}

/// The parts between commas. A backslash escapes the next character.
fn split_at_commas(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, parts.last_mut()) {
            (',', _) => parts.push(String::new()),
            ('\\', Some(part)) => part.extend(characters.next()),
            (other, Some(part)) => part.push(other),
            (_, None) => {}
        }
    }
    parts
}

/// Callers by subject.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    entries: Vec<(Subject, Caller)>,
}

impl Certificates {
    pub(super) fn new(settings: &[CertificateSettings]) -> Result<Self, SubjectError> {
        let entry = |entry: &CertificateSettings| {
            let caller = Caller::new(entry.name.as_str(), entry.roles.iter().map(String::as_str).collect());
            Ok((Subject::parse(&entry.subject)?, caller))
        };
        Ok(Self { entries: settings.iter().map(entry).collect::<Result<_, _>>()? })
    }

    pub(super) fn caller(&self, subject: &Subject) -> Option<&Caller> {
        self.entries.iter().find(|(known, _)| known == subject).map(|(_, caller)| caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_parts_does_not_count_but_each_part_does() {
        let subject = |text| Subject::parse(text).unwrap();
        assert_eq!(subject("CN=vp.example,O=Inera\\, AB"), subject(" o = Inera\\, AB , cn=vp.example"));
        assert_ne!(subject("CN=vp.example"), subject("CN=vp.example, O=Other"));
        assert_ne!(subject("CN=vp.example"), subject("CN=VP.example"));
        for wrong in ["", "vp.example", "CN=", "=x", "CN=a,,O=b"] {
            assert!(Subject::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_subject_of_a_certificate_is_that_of_the_configuration() {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.distinguished_name.push(rcgen::DnType::CountryName, "SE");
        parameters.distinguished_name.push(rcgen::DnType::OrganizationName, "Inera, AB");
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "vp.example");
        let certificate = parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        // `CertificateParams::default` sets a common name, which this test replaces.
        let subject = Subject::of_certificate(certificate.der()).unwrap();
        assert_eq!(subject, Subject::parse("CN=vp.example, O=Inera\\, AB, C=SE").unwrap());
    }
}
