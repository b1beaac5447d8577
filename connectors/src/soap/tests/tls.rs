//! Services that are called over TLS, with an authority of the test.

use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::servers::{Service, keep};
use super::*;

pub(super) struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(parameters, key) }
    }

    pub(super) fn pem(&self) -> Vec<u8> {
        self.certificate.pem().into_bytes()
    }

    /// A certificate of this authority and its key.
    pub(super) fn sign(&self, name: &str) -> SoapIdentity {
        let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        SoapIdentity { certificate: certificate.pem().into_bytes(), key: key.serialize_pem().into_bytes() }
    }
}

/// A service with a certificate, which asks for one of `clients`, if there is such an authority.
pub(super) async fn service(identity: &SoapIdentity, clients: Option<&Authority>) -> Service {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.certificate.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let chain = CertificateDer::pem_slice_iter(&identity.certificate).collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(&identity.key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).unwrap()));
    Service::start(move |stream, seen| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                keep(&mut stream, &seen, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<a/>").await;
            }
        }
    })
    .await
}

async fn call_over_tls(service: &Service, tls: SoapTls) -> Result<SoapAnswer, SoapCallError> {
    let client = SoapClient::new(&SoapClientSettings { tls, ..settings() }).unwrap();
    let url = format!("https://localhost:{}/", service.address.port());
    call_with(&client, &url, &mut Counted::default()).await
}

#[tokio::test]
async fn a_service_of_the_given_authority_is_trusted_and_no_other() {
    let (authority, other) = (Authority::new("own"), Authority::new("other"));
    let trusted = service(&authority.sign("localhost"), None).await;
    let of = |authority: &Authority| SoapTls { ca: Some(authority.pem()), identity: None };
    assert_eq!(call_over_tls(&trusted, of(&authority)).await.unwrap().body, b"<a/>");
    let both = SoapTls { ca: Some([other.pem(), authority.pem()].concat()), identity: None };
    assert_eq!(call_over_tls(&trusted, both).await.unwrap().body, b"<a/>");
    let renamed = service(&authority.sign("other.example"), None).await;
    for (service, tls) in [(&trusted, of(&other)), (&trusted, SoapTls::default()), (&renamed, of(&authority))] {
        let error = call_over_tls(service, tls).await.unwrap_err();
        assert!(matches!(&error, SoapCallError::NotConnected(reason) if reason.contains("certificate")), "{error:?}");
    }
    let plain = Service::start(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let error = call_over_tls(&plain.await, of(&authority)).await.unwrap_err();
    assert!(matches!(error, SoapCallError::NotConnected(_)), "{error:?}");
}

#[tokio::test]
async fn a_service_that_asks_for_a_certificate_is_shown_one() {
    let (authority, clients) = (Authority::new("own"), Authority::new("clients"));
    let service = service(&authority.sign("localhost"), Some(&clients)).await;
    let with = |identity: Option<SoapIdentity>| SoapTls { ca: Some(authority.pem()), identity };
    let known = call_over_tls(&service, with(Some(clients.sign("client.example")))).await;
    assert_eq!(known.unwrap().body, b"<a/>");
    // With TLS 1.3 the refusal comes after the handshake, where the answer is expected.
    for identity in [None, Some(authority.sign("client.example"))] {
        let error = call_over_tls(&service, with(identity)).await.unwrap_err();
        assert!(matches!(error, SoapCallError::NotConnected(_) | SoapCallError::Lost(_)), "{error:?}");
    }
    assert_eq!(service.seen.requests().len(), 1);
}

#[test]
fn certificates_that_are_none_are_refused_before_the_first_call() {
    let authority = Authority::new("own");
    let of = |ca: Option<Vec<u8>>, identity: Option<SoapIdentity>| {
        SoapClient::new(&SoapClientSettings { tls: SoapTls { ca, identity }, ..settings() }).map(|_| ()).unwrap_err()
    };
    for ca in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let error = of(Some(ca.as_bytes().to_vec()), None);
        assert!(matches!(error, SoapClientError::Ca | SoapClientError::Client(_)), "{ca}: {error:?}");
    }
    let (one, other) = (authority.sign("a.example"), authority.sign("b.example"));
    let mixed = SoapIdentity { certificate: one.certificate.clone(), key: other.key };
    let without_key = SoapIdentity { certificate: one.certificate, key: Vec::new() };
    for identity in [mixed, without_key] {
        let error = of(Some(authority.pem()), Some(identity.clone()));
        assert!(matches!(error, SoapClientError::Identity(_) | SoapClientError::Client(_)), "{error:?}");
        assert_eq!(format!("{identity:?}"), "SoapIdentity { .. }");
    }
}
