//! The client of one service, with certificates that change.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tributary_runtime::trouble::Change;

use super::servers::{Service, until};
use super::tls::{Authority, service};
use super::*;
use crate::soap::mutual_tls::files::WatchedFiles;
use crate::soap::mutual_tls::{
    AnswerHead, MutualTlsAnswer, MutualTlsCallError, MutualTlsClient, MutualTlsError, MutualTlsFiles,
    MutualTlsIdentity, MutualTlsRequest, MutualTlsSettings,
};

/// Files of a client in a folder of their own.
struct Files {
    folder: TempDir,
    has_identity: bool,
}

impl Files {
    fn new(authority: &Authority, identity: &SoapIdentity) -> Self {
        let files = Self { has_identity: true, ..Self::without_identity(authority) };
        files.identify(identity);
        files
    }

    fn without_identity(authority: &Authority) -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap(), has_identity: false };
        files.write("ca.pem", &authority.pem());
        files
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.folder.path().join(name), content).unwrap();
    }

    fn identify(&self, identity: &SoapIdentity) {
        self.write("client.pem", &identity.certificate);
        self.write("client.key", &identity.key);
    }

    fn paths(&self) -> MutualTlsFiles {
        let path = |name: &str| self.folder.path().join(name);
        let identity = MutualTlsIdentity { certificate: path("client.pem"), key: path("client.key") };
        MutualTlsFiles { ca: path("ca.pem"), identity: self.has_identity.then_some(identity) }
    }
}

fn settings_of(url: &str, files: Option<MutualTlsFiles>) -> MutualTlsSettings {
    MutualTlsSettings {
        url: url.to_owned(),
        allow_plain_http: false,
        files,
        timeout: PATIENCE,
        largest_header: 16 * 1024,
        largest_answer: LIMIT,
    }
}

fn over_tls(service: &Service, files: &Files) -> MutualTlsClient {
    let url = format!("https://localhost:{}/", service.address.port());
    MutualTlsClient::new(&settings_of(&url, Some(files.paths()))).unwrap()
}

async fn call_of(client: &MutualTlsClient) -> Result<MutualTlsAnswer, MutualTlsCallError> {
    let headers = [("content-type".to_owned(), "text/xml".to_owned())];
    client.call(MutualTlsRequest { headers: &headers, body: b"<secret/>".to_vec() }).await
}

async fn error_of(settings: &MutualTlsSettings) -> MutualTlsCallError {
    let error = call_of(&MutualTlsClient::new(settings).unwrap()).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    error
}

fn is_tls(error: &MutualTlsCallError) -> bool {
    matches!(error, MutualTlsCallError::Tls(_))
}

#[tokio::test]
async fn a_call_sends_its_headers_and_its_body_and_has_the_whole_answer() {
    let answer = "HTTP/1.1 503 Busy\r\nretry-after: 7\r\nlocation: /other\r\ncontent-length: 4\r\n\r\n<a/>";
    let service = Service::keeping(answer).await;
    let client = MutualTlsClient::new(&settings_of(&service.url("/"), None)).unwrap();
    for _ in 0..2 {
        let answer = call_of(&client).await.unwrap();
        let head = AnswerHead { status: 503, retry_after: Some("7".to_owned()) };
        assert_eq!(answer, MutualTlsAnswer { head, body: b"<a/>".to_vec() });
        assert_eq!(format!("{answer:?}"), "MutualTlsAnswer(503, 4 bytes)");
    }
    let requests = service.seen.requests();
    assert!(requests[0].starts_with("POST / HTTP/1.1\r\n") && requests[0].ends_with("\r\n\r\n<secret/>"));
    assert!(requests[0].contains("content-type: text/xml\r\n"), "{}", requests[0]);
    assert_eq!((requests.len(), service.seen.connections()), (2, 1));
    let moved = Service::keeping("HTTP/1.1 307 Moved\r\nlocation: /\r\ncontent-length: 0\r\n\r\n").await;
    let client = MutualTlsClient::new(&settings_of(&moved.url("/"), None)).unwrap();
    assert_eq!(call_of(&client).await.unwrap().head.status, 307);
    assert_eq!(moved.seen.requests().len(), 1, "no redirect is followed");
}

#[tokio::test]
async fn a_refused_connection_and_a_name_without_address_are_told_apart() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for scheme in ["http", "https"] {
        let refused = error_of(&settings_of(&format!("{scheme}://{free}/secret"), None)).await;
        assert!(matches!(refused, MutualTlsCallError::Refused(_)), "{refused:?}");
    }
    let unknown = error_of(&settings_of("https://secret.invalid/", None)).await;
    assert_eq!(unknown, MutualTlsCallError::Dns);
}

#[tokio::test]
async fn an_answer_that_ends_early_or_is_none_is_closed() {
    let large = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\na: {}secret\r\n\r\n", "a".repeat(16 * 1024));
    let many = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{}\r\n", "a: secret\r\n".repeat(101));
    for answer in [
        "",
        "secret\r\n\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nsecret",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nsecret\r\n",
        &large,
        &many,
    ] {
        let service = Service::answering(answer).await;
        let error = error_of(&settings_of(&service.url("/"), None)).await;
        assert!(matches!(error, MutualTlsCallError::Closed(_)), "{answer:?}: {error:?}");
        assert_eq!(service.seen.requests().len(), 1, "{answer:?} is no reason to call twice");
    }
}

#[tokio::test]
async fn the_time_limit_is_that_of_the_whole_call() {
    for (first, again) in [
        ("", &b""[..]),
        ("HTTP/1.1 200 OK\r\n", b"a"),
        ("HTTP/1.1 200 OK\r\n\r\n", b"a"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    ] {
        let service = Service::dripping(first, again).await;
        let settings = MutualTlsSettings { timeout: IMPATIENCE, ..settings_of(&service.url("/"), None) };
        assert_eq!(error_of(&settings).await, MutualTlsCallError::Timeout(IMPATIENCE), "{first}");
        until(|| service.seen.open() == 0).await;
    }
    let silent = Service::start(|mut stream, _| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    // The TLS handshake is part of it.
    let url = silent.await.url("/").replace("http", "https");
    let settings = MutualTlsSettings { timeout: IMPATIENCE, ..settings_of(&url, None) };
    assert_eq!(error_of(&settings).await, MutualTlsCallError::Timeout(IMPATIENCE));
}

#[tokio::test]
async fn no_more_than_the_limit_is_taken_of_an_answer() {
    let too_large = |status| {
        let head = AnswerHead { status, retry_after: None };
        MutualTlsCallError::TooLarge { head, limit: LIMIT }
    };
    let exact = "x".repeat(LIMIT);
    let service = Service::answering(format!("HTTP/1.1 200 OK\r\n\r\n{exact}")).await;
    let client = MutualTlsClient::new(&settings_of(&service.url("/"), None)).unwrap();
    assert_eq!(call_of(&client).await.unwrap().body.len(), LIMIT);
    let announced = format!("HTTP/1.1 503 Busy\r\ncontent-length: {}\r\n\r\n", LIMIT + 1);
    for (answer, status) in [(format!("HTTP/1.1 200 OK\r\n\r\n{exact}x"), 200), (announced, 503)] {
        let service = Service::answering(answer).await;
        assert_eq!(error_of(&settings_of(&service.url("/"), None)).await, too_large(status));
    }
    let mut packing = GzEncoder::new(Vec::new(), Compression::best());
    packing.write_all(&vec![b'x'; 100 * LIMIT]).unwrap();
    let packed = packing.finish().unwrap();
    assert!(packed.len() < LIMIT);
    let bomb = [&b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n"[..], &packed].concat();
    let service = Service::answering(bomb).await;
    assert_eq!(error_of(&settings_of(&service.url("/"), None)).await, too_large(200));
    let unknown = Service::answering("HTTP/1.1 200 OK\r\ncontent-encoding: br\r\n\r\nsecret").await;
    let error = error_of(&settings_of(&unknown.url("/"), None)).await;
    assert!(matches!(error, MutualTlsCallError::Packed { .. }), "{error:?}");
}

#[test]
fn plain_http_leaves_this_machine_only_if_that_is_allowed() {
    let made = |url: &str, allow_plain_http| {
        MutualTlsClient::new(&MutualTlsSettings { allow_plain_http, ..settings_of(url, None) }).map(drop)
    };
    for url in ["http://localhost/", "http://127.0.0.9:80/", "http://[::1]/", "https://server.example/"] {
        assert!(made(url, false).is_ok(), "{url}");
    }
    for url in ["http://server.example/", "http://10.0.0.1/", "http://localhost.example/", "http://[::2]/"] {
        assert!(matches!(made(url, false), Err(MutualTlsError::PlainHttp)), "{url}");
        assert!(made(url, true).is_ok(), "{url}");
    }
    for url in ["", "server.example", "ftp://localhost/", "https://user:secret@server.example/", "http:///"] {
        assert!(matches!(made(url, true), Err(MutualTlsError::Url)), "{url}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_certificates_is_an_error_of_tls() {
    let (servers, clients, other) = (Authority::new("servers"), Authority::new("clients"), Authority::new("other"));
    let (identity, stranger) = (clients.sign("client.example"), other.sign("client.example"));
    let trusted = service(&servers.sign("localhost"), Some(&clients)).await;
    assert_eq!(call_of(&over_tls(&trusted, &Files::new(&servers, &identity))).await.unwrap().body, b"<a/>");
    for files in [Files::new(&other, &identity), Files::new(&servers, &stranger), Files::without_identity(&servers)] {
        let error = call_of(&over_tls(&trusted, &files)).await.unwrap_err();
        assert!(is_tls(&error), "{error:?}");
    }
    let renamed = service(&servers.sign("other.example"), None).await;
    let mute = Service::start(|mut stream, _| async move {
        let _ = stream.read_u8().await;
    });
    for service in [renamed, without_tls().await, mute.await] {
        let error = call_of(&over_tls(&service, &Files::new(&servers, &identity))).await.unwrap_err();
        assert!(is_tls(&error), "{error:?}");
    }
}

/// A service without TLS that answers at once.
async fn without_tls() -> Service {
    Service::start(|mut stream, _| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await
}

#[tokio::test]
async fn replaced_certificates_are_used_and_no_connection_with_the_old_ones() {
    let (servers, clients, other) = (Authority::new("servers"), Authority::new("clients"), Authority::new("other"));
    let service = service(&servers.sign("localhost"), Some(&clients)).await;
    let files = Files::new(&servers, &clients.sign("client.example"));
    let client = over_tls(&service, &files);
    for _ in 0..3 {
        call_of(&client).await.unwrap();
    }
    assert_eq!(service.seen.connections(), 1, "connections are used again");
    files.identify(&other.sign("client.example"));
    let error = call_of(&client).await.unwrap_err();
    assert!(is_tls(&error), "{error:?}");
    files.identify(&clients.sign("client.example"));
    let clone = client.clone();
    for client in [&client, &clone] {
        call_of(client).await.unwrap();
    }
    assert_eq!((service.seen.requests().len(), service.seen.connections()), (5, 3));
    files.write("ca.pem", &other.pem());
    assert!(is_tls(&call_of(&client).await.unwrap_err()), "whom to trust is read again, too");
    until(|| service.seen.open() == 0).await;
    files.write("ca.pem", b"broken");
    assert!(is_tls(&call_of(&client).await.unwrap_err()), "what is broken changes nothing");
    files.write("ca.pem", &servers.pem());
    call_of(&client).await.unwrap();
}

#[test]
fn files_that_cannot_be_used_are_said_once_and_change_nothing() {
    let authority = Authority::new("own");
    let (old, new) = (authority.sign("old.example"), authority.sign("new.example"));
    let files = Files::new(&authority, &old);
    let (mut watched, _) = WatchedFiles::new(files.paths(), settings()).unwrap();
    let now = Instant::now();
    let mut look = || {
        let found = watched.look_again(now);
        (found.client.is_some(), found.report.map(|report| report.change))
    };
    assert_eq!(look(), (false, None));
    // The certificate comes first, and its key later.
    files.write("client.pem", &new.certificate);
    assert_eq!(look(), (false, Some(Change::Begun)));
    assert_eq!(look(), (false, None), "it is said once");
    files.write("client.key", &new.key);
    assert_eq!(look(), (true, Some(Change::Ended)));
    assert_eq!(look(), (false, None));
    fs::remove_file(files.folder.path().join("client.key")).unwrap();
    assert_eq!(look(), (false, Some(Change::Begun)));
    assert_eq!(look(), (false, None));
    files.write("client.key", &new.key);
    assert_eq!(look(), (false, Some(Change::Ended)), "these are the ones in use");
    files.write("client.key", &vec![b'x'; (1 << 20) + 1]);
    assert_eq!(look(), (false, Some(Change::Begun)));
    files.identify(&old);
    assert_eq!(look(), (true, Some(Change::Ended)));
}

#[test]
fn a_file_that_is_replaced_by_one_of_the_same_size_and_time_is_another_one() {
    let authority = Authority::new("own");
    let (old, new) = (authority.sign("old.example"), authority.sign("new.example"));
    let files = Files::new(&authority, &old);
    let time = std::time::SystemTime::now() - Duration::from_hours(1);
    let age = |path: &Path| fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
    for name in ["ca.pem", "client.pem", "client.key"] {
        age(&files.folder.path().join(name));
    }
    let (mut watched, _) = WatchedFiles::new(files.paths(), settings()).unwrap();
    assert!(watched.look_again(Instant::now()).client.is_none());
    for (name, content) in [("client.pem", &new.certificate), ("client.key", &new.key)] {
        let (beside, path) = (files.folder.path().join("beside"), files.folder.path().join(name));
        fs::write(&beside, content).unwrap();
        age(&beside);
        fs::rename(beside, path).unwrap();
    }
    assert!(watched.look_again(Instant::now()).client.is_some());
}

#[test]
fn a_client_begins_only_with_files_that_can_be_used() {
    let authority = Authority::new("own");
    let identity = authority.sign("client.example");
    let made = |files: &Files| MutualTlsClient::new(&settings_of("https://localhost/", Some(files.paths()))).map(drop);
    let files = Files::new(&authority, &identity);
    files.write("client.key", &authority.sign("client.example").key);
    assert!(matches!(made(&files), Err(MutualTlsError::Certificates(_))));
    files.write("client.key", &identity.key);
    made(&files).unwrap();
    fs::remove_file(files.paths().ca).unwrap();
    assert!(matches!(made(&files), Err(MutualTlsError::File { path, .. }) if path == files.paths().ca));
}
