//! TLS: the server's certificate, client certificates, and files that change.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use reqwest::{Client, Identity};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tributary::http::{AuthMode, AuthSettings, CertificateSettings, HttpSettings, TlsSettings};

use crate::world::{PATIENCE, World, bind, problem, settings};

struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(parameters, key) }
    }

    /// A certificate and its key in PEM.
    fn sign(&self, name: &str) -> (String, String) {
        let mut parameters = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        (parameters.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

struct Files {
    folder: TempDir,
}

impl Files {
    fn new(authority: &Authority, clients: &Authority) -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        files.write_identity(&authority.sign("server"));
        fs::write(files.path("clients.pem"), clients.certificate.pem()).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_identity(&self, (certificate, key): &(String, String)) {
        fs::write(self.path("server.pem"), certificate).unwrap();
        fs::write(self.path("server.key"), key).unwrap();
    }

    fn settings(&self) -> HttpSettings {
        let tls = TlsSettings {
            certificate: "server.pem".into(),
            key: "server.key".into(),
            client_ca: Some("clients.pem".into()),
        };
        HttpSettings { tls: Some(tls), ..settings() }.in_folder(self.folder.path())
    }

    fn auth(&self) -> AuthSettings {
        let entry = |subject: &str, name: &str, role: &str| CertificateSettings {
            subject: subject.to_owned(),
            name: name.to_owned(),
            roles: vec![role.to_owned()],
        };
        fs::write(self.path("tokens.txt"), "").unwrap();
        AuthSettings {
            mode: AuthMode::Tokens,
            tokens_file: Some(self.path("tokens.txt")),
            certificates: vec![entry("CN=vp.example", "vp", "viewer")],
            ..AuthSettings::default()
        }
    }
}

fn client(authority: &Authority, identity: Option<(String, String)>) -> Client {
    let root = reqwest::Certificate::from_pem(authority.certificate.pem().as_bytes()).unwrap();
    // Each request opens a new connection, which uses the current content of the files.
    let builder = Client::builder().no_proxy().timeout(PATIENCE).tls_certs_only([root]).pool_max_idle_per_host(0);
    match identity {
        None => builder.build().unwrap(),
        Some((certificate, key)) => {
            let identity = Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap();
            builder.identity(identity).build().unwrap()
        }
    }
}

#[tokio::test]
async fn a_client_certificate_names_its_caller() {
    let (authority, clients, strangers) = (Authority::new("a"), Authority::new("c"), Authority::new("x"));
    let files = Files::new(&authority, &clients);
    let mut world = World::open(&files.settings(), &files.auth());
    assert!(world.url.starts_with("https://127.0.0.1:"), "{}", world.url);

    world.client = client(&authority, Some(clients.sign("vp.example")));
    let who: Value = world.get("/toy/who").send().await.unwrap().json().await.unwrap();
    assert_eq!((&who["name"], &who["roles"]), (&json!("vp"), &json!([true, false, false, false])));
    problem(world.post("/toy/act"), 403, "forbidden").await;

    world.client = client(&authority, Some(clients.sign("other.example")));
    problem(world.get("/toy/who"), 401, "unauthenticated").await;
    world.client = client(&authority, None);
    problem(world.get("/toy/who"), 401, "unauthenticated").await;
    assert_eq!(world.status("/livez").await, 200);
    // The server does not know the CA of this certificate, so there is no connection.
    world.client = client(&authority, Some(strangers.sign("vp.example")));
    assert!(world.get("/livez").send().await.is_err());
}

#[tokio::test]
async fn certificates_are_read_again_and_a_broken_file_changes_nothing() {
    let (old, new, clients) = (Authority::new("old"), Authority::new("new"), Authority::new("c"));
    let files = Files::new(&old, &clients);
    let mut world = World::open(&files.settings(), &files.auth());
    world.client = client(&old, None);
    assert_eq!(world.status("/livez").await, 200);
    fs::write(files.path("server.key"), "broken").unwrap();
    // The pause is longer than the interval between two checks of the files. The files must have no effect.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(world.status("/livez").await, 200);
    files.write_identity(&new.sign("server"));
    world.client = client(&new, None);
    let changed = async {
        while world.get("/livez").send().await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, changed).await.expect("the new certificate is in use");
    world.client = client(&old, None);
    assert!(world.get("/livez").send().await.is_err());
}

#[tokio::test]
async fn http2_is_spoken_where_the_client_can() {
    let authority = Authority::new("a");
    let files = Files::new(&authority, &authority);
    let world = World::open(&files.settings(), &files.auth());
    // A client that connects and sends nothing delays no other client.
    let _silent = TcpStream::connect(world.address()).await.unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate.der().clone()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(world.address()).await.unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(format!("{}/livez", world.url)).body(Body::empty()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!((answer.version(), answer.status().as_u16()), (Version::HTTP_2, 200));
}

#[tokio::test]
async fn what_does_not_fit_is_refused_at_the_start() {
    let authority = Authority::new("a");
    let files = Files::new(&authority, &authority);
    let refusal = |settings: &HttpSettings| bind("127.0.0.1:0", settings, &files.auth()).err().unwrap().to_string();
    fs::write(files.path("server.key"), authority.sign("other").1).unwrap();
    assert!(refusal(&files.settings()).contains("http.tls"), "{}", refusal(&files.settings()));
    fs::write(files.path("server.pem"), "no certificate").unwrap();
    assert!(refusal(&files.settings()).contains("http.tls.certificate"), "{}", refusal(&files.settings()));
    fs::remove_file(files.path("clients.pem")).unwrap();
    assert!(refusal(&files.settings()).contains("clients.pem"), "{}", refusal(&files.settings()));
    // A caller is named by certificate, but the server asks no client for one.
    assert!(refusal(&settings()).contains("client_ca"), "{}", refusal(&settings()));
}
