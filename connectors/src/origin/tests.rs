//! The client against origins on sockets of the test, good and hostile ones.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body::Body;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What an origin does after its first bytes.
#[derive(Clone, Copy)]
enum Then {
    Close,
    Hang,
    Repeat(&'static [u8]),
}

/// An origin that answers every request with the same bytes.
struct Origin {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Origin {
    async fn start(first: &'static str, then: Then) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), first, then).await
    }

    async fn start_at(address: SocketAddr, first: &'static str, then: Then) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let (address, requests) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(stream, first, then, Arc::clone(&seen)));
            }
        });
        Self { address, requests }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// The client may go away at any time.
async fn answer(mut stream: TcpStream, first: &str, then: Then, seen: Arc<Mutex<Vec<String>>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => break,
        }
    }
    seen.lock().unwrap().push(String::from_utf8(request).unwrap());
    let mut sent = stream.write_all(first.as_bytes()).await;
    match then {
        Then::Close => {}
        Then::Hang => std::future::pending().await,
        Then::Repeat(piece) => {
            while sent.is_ok() {
                sent = stream.write_all(piece).await;
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Gives the next addresses at each question. The last ones stay.
struct Table(Mutex<VecDeque<Vec<IpAddr>>>);

impl Table {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let parse = |addresses: &&[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect();
        Arc::new(Self(Mutex::new(answers.iter().map(parse).collect())))
    }
}

impl Resolve for Table {
    fn resolve(&self, _: Name) -> Resolving {
        let mut answers = self.0.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() };
        let addresses: Addrs = Box::new(answer.into_iter().map(|address| SocketAddr::new(address, 0)));
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

fn limits(private: &[&str]) -> OriginLimits {
    OriginLimits {
        timeout: Duration::from_secs(30),
        body_limit: 1000,
        private_networks: private.iter().map(|network| network.parse().unwrap()).collect(),
        most_calls: 100,
        most_calls_of_one: 100,
    }
}

/// Short, for origins that never answer.
fn impatient() -> OriginLimits {
    OriginLimits { timeout: Duration::from_millis(600), ..limits(&["127.0.0.0/8"]) }
}

async fn fetch(client: &OriginClient, uri: &str) -> Result<OriginAnswer, OriginError> {
    client.fetch(OriginRequest { uri, headers: HeaderMap::new(), origin: "esdh-a", caller: "journal-1" }).await
}

async fn local(uri: &str) -> Result<OriginAnswer, OriginError> {
    fetch(&OriginClient::new(&limits(&["127.0.0.0/8"])).unwrap(), uri).await
}

async fn next(body: &mut AnswerBody) -> Option<Result<Vec<u8>, OriginError>> {
    let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
    Some(frame.map(|frame| frame.into_data().unwrap().to_vec()))
}

/// All pieces.
async fn read(mut body: AnswerBody) -> Result<String, OriginError> {
    let mut whole = Vec::new();
    while let Some(piece) = next(&mut body).await {
        whole.extend(piece?);
    }
    Ok(String::from_utf8(whole).unwrap())
}

#[tokio::test]
async fn an_answer_comes_with_its_body_and_only_the_headers_that_are_kept() {
    let first = "HTTP/1.1 200 OK\r\ncontent-type: text/x\r\netag: \"7\"\r\nset-cookie: a=b\r\n\
                 content-length: 5\r\n\r\nhello";
    let origin = Origin::start(first, Then::Close).await;
    let answer = local(&origin.url("/1?key=2")).await.unwrap();
    assert_eq!((answer.status, answer.content_type.unwrap().as_bytes()), (200, &b"text/x"[..]));
    assert_eq!(answer.etag.unwrap().as_bytes(), b"\"7\"");
    let body = answer.body.unwrap();
    assert_eq!(body.size_hint().exact(), Some(5));
    assert_eq!(read(body).await.unwrap(), "hello");
    let request = origin.requests().remove(0).to_lowercase();
    let lines: Vec<&str> = request.trim_end().lines().collect();
    assert_eq!(lines[0], "get /1?key=2 http/1.1");
    let mut headers: Vec<&str> = lines[1..].iter().filter_map(|line| Some(line.split_once(':')?.0)).collect();
    headers.sort_unstable();
    assert_eq!(headers, ["accept", "host"], "{request}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let target = Origin::start("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Then::Close).await;
    let head = format!("HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", target.url("/"));
    let origin = Origin::start(head.leak(), Then::Close).await;
    let answer = local(&origin.url("/")).await.unwrap();
    assert_eq!((answer.status, answer.body.is_some()), (302, false));
    assert!(target.requests().is_empty());
}

#[tokio::test]
async fn an_address_that_is_not_public_is_refused_in_every_spelling() {
    let origin = Origin::start("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Then::Close).await;
    let client = OriginClient::new(&limits(&[])).unwrap();
    let spellings = "127.0.0.1 127.0.0.1. 2130706433 0x7f.1 127.1 0177.0.0.1 0x7f000001 017700000001 %31%32%37.0.0.1 \
                     ①②⑦.⓪.⓪.① 0 0.0.0.0 [::1] [0:0:0:0:0:0:0:1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1] \
                     [::ffff:0:7f00:1] [64:ff9b::7f00:1] [2002:7f00:1::] [2001:0:7f00:1::] [fe80::1] [fd00:ec2::254] \
                     10.0.0.1 192.168.0.1 172.16.0.1 169.254.169.254 100.100.100.200 224.0.0.1 255.255.255.255";
    for host in spellings.split_whitespace().chain(["localhost", "LOCALHOST"]) {
        let answer = fetch(&client, &format!("http://{host}:{}/", origin.address.port())).await;
        assert!(matches!(answer, Err(OriginError::AddressRefused(_))), "{host}: {answer:?}");
    }
    assert!(origin.requests().is_empty());
}

#[tokio::test]
async fn a_uri_with_a_user_part_or_another_scheme_is_refused() {
    let client = OriginClient::new(&limits(&["127.0.0.0/8"])).unwrap();
    for uri in ["http://me@127.0.0.1/", "http://:pw@127.0.0.1/", "ftp://127.0.0.1/", "file:///etc/passwd", "x", ""] {
        assert!(matches!(fetch(&client, uri).await, Err(OriginError::Uri)), "{uri}");
    }
}

#[tokio::test]
async fn a_made_up_name_of_a_private_address_is_refused() {
    for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "169.254.169.254", "64:ff9b::7f00:1"] {
        let client = OriginClient::with_names(&limits(&[]), Table::new(&[&[address]])).unwrap();
        let answer = fetch(&client, "http://esdh.example/").await;
        let expected: IpAddr = address.parse().unwrap();
        assert!(matches!(answer, Err(OriginError::AddressRefused(found)) if found == expected), "{answer:?}");
    }
}

/// 127.0.0.1 stands for a public address here, and 127.0.0.2 for a private one.
#[tokio::test]
async fn a_name_that_is_bound_to_another_address_after_its_check_changes_nothing() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let good = Origin::start(answer, Then::Close).await;
    let private =
        Origin::start_at(SocketAddr::new("127.0.0.2".parse().unwrap(), good.address.port()), answer, Then::Close);
    let private = private.await;
    let names = Table::new(&[&["127.0.0.1"], &["127.0.0.2"]]);
    let client = OriginClient::with_names(&limits(&["127.0.0.1/32"]), Arc::clone(&names) as Arc<dyn Resolve>).unwrap();
    let uri = format!("http://esdh.example:{}/", good.address.port());
    assert_eq!(fetch(&client, &uri).await.unwrap().status, 200);
    assert_eq!((good.requests().len(), names.0.lock().unwrap().len()), (1, 1), "the name was asked for once");
    let refused = fetch(&client, &uri).await;
    assert!(matches!(refused, Err(OriginError::AddressRefused(_))), "{refused:?}");
    let mixed = Table::new(&[&["127.0.0.2", "127.0.0.1"]]);
    let client = OriginClient::with_names(&limits(&["127.0.0.1/32"]), mixed).unwrap();
    assert_eq!(fetch(&client, &uri).await.unwrap().status, 200);
    assert_eq!((good.requests().len(), private.requests().len()), (2, 0));
}

#[tokio::test]
async fn an_origin_without_a_listener_or_a_name_is_unreachable() {
    let origin = Origin::start("", Then::Close).await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert!(matches!(local(&format!("http://{free}/?secret")).await, Err(OriginError::Unreachable(_))));
    let client = OriginClient::with_names(&limits(&[]), Table::new(&[&[]])).unwrap();
    assert!(matches!(fetch(&client, "http://esdh.example/").await, Err(OriginError::Unreachable(_))));
    let client = OriginClient::new(&impatient()).unwrap();
    let https = fetch(&client, &origin.url("/?secret").replace("http:", "https:")).await.unwrap_err();
    assert!(matches!(https, OriginError::Unreachable(_)), "{https:?}");
    assert!(!format!("{https} {https:?}").contains("secret"), "{https:?}");
}

#[tokio::test]
async fn what_is_no_answer_of_http_is_broken() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101));
    for first in ["", "hello\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\n", &many] {
        let origin = Origin::start(first.to_owned().leak(), Then::Close).await;
        let answer = local(&origin.url("/?secret")).await.unwrap_err();
        assert!(matches!(answer, OriginError::Broken(_)), "{first}: {answer:?}");
        assert!(!format!("{answer} {answer:?}").contains("secret"), "{answer:?}");
    }
    let long = format!("HTTP/1.1 200 OK\r\netag: \"{}\"\r\ncontent-length: 0\r\n\r\n", "e".repeat(1024));
    let origin = Origin::start(long.leak(), Then::Close).await;
    assert!(matches!(local(&origin.url("/")).await, Err(OriginError::LongHeader("ETag"))));
    let endless = Origin::start("HTTP/1.1 200 OK\r\n", Then::Repeat(b"a: bbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n")).await;
    assert!(matches!(local(&endless.url("/")).await, Err(OriginError::Broken(_))));
}

#[tokio::test]
async fn a_slow_origin_is_too_slow_at_every_step() {
    let client = OriginClient::new(&impatient()).unwrap();
    for first in ["", "HTTP/1.1 200 OK\r\netag:"] {
        let origin = Origin::start(first, Then::Hang).await;
        let answer = fetch(&client, &origin.url("/")).await;
        assert!(matches!(answer, Err(OriginError::TooSlow(_))), "{first}: {answer:?}");
    }
    let silent = Origin::start("HTTP/1.1 200 OK\r\n\r\n", Then::Hang).await;
    assert!(matches!(fetch(&client, &silent.url("/")).await, Err(OriginError::Paused(_))));
    let stops = Origin::start("HTTP/1.1 200 OK\r\n\r\nhello", Then::Hang).await;
    let mut body = fetch(&client, &stops.url("/")).await.unwrap().body.unwrap();
    assert_eq!(next(&mut body).await.unwrap().unwrap(), b"hello");
    assert!(matches!(next(&mut body).await, Some(Err(OriginError::CutOff))));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_or_cut_off() {
    let announced = Origin::start("HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n", Then::Hang).await;
    assert!(matches!(local(&announced.url("/")).await, Err(OriginError::TooLarge(1000))));
    let endless = Origin::start("HTTP/1.1 200 OK\r\n\r\n", Then::Repeat(&[b'x'; 100])).await;
    let mut body = match local(&endless.url("/")).await {
        Ok(answer) => answer.body.unwrap(),
        Err(error) => return assert!(matches!(error, OriginError::TooLarge(1000)), "{error:?}"),
    };
    let mut size = 0;
    let end = loop {
        match next(&mut body).await {
            Some(Ok(piece)) => size += piece.len(),
            end => break end,
        }
    };
    assert!(matches!(end, Some(Err(OriginError::CutOff))), "{end:?}");
    assert!(size <= 1000, "{size}");
}

#[tokio::test]
async fn a_body_that_is_shorter_than_announced_is_cut_off() {
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    for first in [short, chunked] {
        let origin = Origin::start(first, Then::Close).await;
        let read = read(local(&origin.url("/")).await.unwrap().body.unwrap()).await;
        assert!(matches!(read, Err(OriginError::CutOff)), "{first}: {read:?}");
    }
}

#[tokio::test]
async fn a_compressed_body_stays_as_it_is() {
    let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 8\r\n\r\nnot gzip";
    let origin = Origin::start(head, Then::Close).await;
    let answer = local(&origin.url("/")).await.unwrap();
    assert_eq!(answer.content_encoding.unwrap().as_bytes(), b"gzip");
    assert_eq!(read(answer.body.unwrap()).await.unwrap(), "not gzip");
}

#[tokio::test]
async fn a_caller_that_takes_nothing_holds_its_call_no_longer_than_the_time_limit() {
    let large = OriginLimits { body_limit: u64::MAX, most_calls_of_one: 1, ..impatient() };
    let client = OriginClient::new(&large).unwrap();
    let endless = Origin::start("HTTP/1.1 200 OK\r\n\r\n", Then::Repeat(&[b'x'; 4096])).await;
    let mut body = fetch(&client, &endless.url("/")).await.unwrap().body.unwrap();
    assert!(matches!(fetch(&client, &endless.url("/")).await, Err(OriginError::Busy)));
    let again = until_free(&client, &endless.url("/")).await;
    drop(again);
    let end = loop {
        match next(&mut body).await {
            Some(Ok(_)) => {}
            end => break end,
        }
    };
    assert!(matches!(end, Some(Err(OriginError::CutOff))), "{end:?}");
}

#[tokio::test]
async fn a_caller_that_goes_away_frees_its_call() {
    let client = OriginClient::new(&OriginLimits { most_calls_of_one: 1, ..limits(&["127.0.0.0/8"]) }).unwrap();
    let origin = Origin::start("HTTP/1.1 200 OK\r\n\r\nhello", Then::Hang).await;
    let body = fetch(&client, &origin.url("/")).await.unwrap().body;
    assert!(matches!(fetch(&client, &origin.url("/")).await, Err(OriginError::Busy)));
    drop(body);
    until_free(&client, &origin.url("/")).await;
}

async fn until_free(client: &OriginClient, uri: &str) -> OriginAnswer {
    loop {
        match fetch(client, uri).await {
            Err(OriginError::Busy) => tokio::time::sleep(Duration::from_millis(5)).await,
            answer => return answer.unwrap(),
        }
    }
}
