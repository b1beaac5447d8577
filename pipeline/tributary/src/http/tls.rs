//! TLS with rustls: certificate, key, and the CAs of client certificates. The files are read again when they change.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::HttpError;
use super::reload::{NamedFile, Reloaded};
use super::settings::TlsSettings;

/// Why certificates or a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file is not PEM.
    #[error("{entry} is not PEM: {source}")]
    Pem {
        /// The entry of the configuration.
        entry: &'static str,
        /// The error of the PEM reader.
        source: pem::Error,
    },
    /// The PEM file has no certificate.
    #[error("{entry} holds no certificate")]
    Empty {
        /// The entry of the configuration.
        entry: &'static str,
    },
    /// The certificate or the key is not valid, or they do not belong together.
    #[error("certificate and key cannot be used: {0}")]
    Identity(#[source] rustls::Error),
    /// A CA is not valid.
    #[error("client_ca cannot be used: {0}")]
    ClientCa(#[source] rustls::Error),
    /// The CAs cannot verify clients.
    #[error("client_ca cannot be used: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

const CERTIFICATE: &str = "http.tls.certificate";
const KEY: &str = "http.tls.key";
const CLIENT_CA: &str = "http.tls.client_ca";

/// TLS with the current content of the files.
pub(super) type TlsFiles = Reloaded<Arc<ServerConfig>>;

pub(super) fn load(settings: &TlsSettings) -> Result<TlsFiles, HttpError> {
    let mut files = vec![
        NamedFile { path: settings.certificate.clone(), entry: CERTIFICATE },
        NamedFile { path: settings.key.clone(), entry: KEY },
    ];
    files.extend(settings.client_ca.clone().map(|path| NamedFile { path, entry: CLIENT_CA }));
    Reloaded::load(files, Box::new(|contents| server_config(contents).map(Arc::new).map_err(HttpError::from)))
}

/// `contents` are the certificate, the key, and the CAs of clients if there are any.
fn server_config(contents: &[Vec<u8>]) -> Result<ServerConfig, TlsError> {
    let content = |index: usize| contents.get(index).map(Vec::as_slice).unwrap_or_default();
    let chain = certificates(content(0), CERTIFICATE)?;
    let key = PrivateKeyDer::from_pem_slice(content(1)).map_err(|source| TlsError::Pem { entry: KEY, source })?;
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Identity)?;
    let builder = match contents.get(2) {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates(authorities, CLIENT_CA)? {
                roots.add(authority).map_err(TlsError::ClientCa)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.allow_unauthenticated().build()?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Identity)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(content: &[u8], entry: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(content).collect();
    let found = found.map_err(|source| TlsError::Pem { entry, source })?;
    if found.is_empty() { Err(TlsError::Empty { entry }) } else { Ok(found) }
}
