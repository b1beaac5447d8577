//! Services that are away, broken or hostile.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::servers::{Service, until};
use super::*;

async fn error(url: &str) -> SoapCallError {
    let error = call(url).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    error
}

fn lost(error: &SoapCallError) -> bool {
    matches!(error, SoapCallError::Lost(_))
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_is_no_connection() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = error(&format!("http://{free}/secret")).await;
    assert!(refused.to_string().starts_with("there is no connection: Connection refused"), "{refused}");
    let unknown = error("http://secret.invalid/").await;
    assert_eq!(unknown.to_string(), "there is no connection: the name of the host has no address");
}

#[tokio::test]
async fn a_connection_that_takes_too_long_is_no_connection() {
    let silent = Service::start(|mut stream, _| async move {
        let _ = stream.read_to_end(&mut Vec::new()).await;
    });
    let silent = silent.await;
    let client = SoapClient::new(&SoapClientSettings { connect_timeout: IMPATIENCE, ..settings() }).unwrap();
    // The TLS handshake is part of it.
    let url = silent.url("/").replace("http", "https");
    let error = call_with(&client, &url, &mut Counted::default()).await.unwrap_err();
    assert_eq!(error, SoapCallError::NotConnected("not within 300 ms".to_owned()));
    until(|| silent.seen.open() == 0).await;
}

#[tokio::test]
async fn what_is_no_answer_of_http_is_a_lost_connection() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: secret\r\n".repeat(101));
    let large = format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\na: {}secret\r\n\r\n", "a".repeat(16 * 1024));
    for answer in [
        "",
        "secret\r\n\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 2secret OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nsecret",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nsecret\x01name: a\r\n\r\n",
        "HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        &many,
        &large,
    ] {
        let service = Service::answering(answer).await;
        let error = error(&service.url("/secret")).await;
        assert!(lost(&error), "{answer:?}: {error:?}");
        assert_eq!(service.seen.requests().len(), 1, "{answer:?} is no reason to call twice");
    }
}

#[tokio::test]
async fn an_endless_header_is_a_lost_connection() {
    for again in [&b"a: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n"[..], &[b'x'; 8192]]
    {
        let service = Service::start(move |mut stream, seen| async move {
            let _ = seen.request(&mut stream).await;
            let mut sent = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
            while sent.is_ok() {
                sent = stream.write_all(again).await;
                tokio::task::yield_now().await;
            }
        });
        let service = service.await;
        assert!(lost(&error(&service.url("/")).await));
        until(|| service.seen.open() == 0).await;
    }
}

#[tokio::test]
async fn a_body_that_is_shorter_than_announced_is_a_lost_connection() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nsecret",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nsecret\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nsec",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nsecret\r\n",
    ] {
        let service = Service::answering(answer).await;
        let error = error(&service.url("/")).await;
        assert!(lost(&error), "{answer}: {error:?}");
    }
}

#[tokio::test]
async fn a_reset_is_a_lost_connection() {
    // To close a socket with unread bytes resets the connection.
    let service = Service::start(|mut stream, _| async move {
        let _ = stream.read_u8().await;
    });
    let service = service.await;
    let error = error(&service.url("/")).await;
    assert!(lost(&error), "{error:?}");
}

#[tokio::test]
async fn to_drop_a_call_cuts_a_header_and_a_body_that_drip() {
    for (first, again) in [
        ("", &b""[..]),
        ("HTTP/1.1 200 OK\r\n", b"a"),
        ("HTTP/1.1 200 OK\r\n\r\n", b"a"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhello", b""),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    ] {
        let service = Service::dripping(first, again).await;
        let (client, url) = (client(), service.url("/"));
        let mut space = Counted::default();
        let cut = timeout(IMPATIENCE, client.call(request(&url), &mut space)).await;
        assert!(cut.is_err(), "{first}: {cut:?}");
        until(|| service.seen.open() == 0).await;
    }
}

#[tokio::test]
async fn an_announced_size_above_the_limit_is_refused_at_once() {
    let over = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", LIMIT + 1);
    for head in [over.as_str(), "HTTP/1.1 200 OK\r\ncontent-length: 9223372036854775807\r\n\r\n"] {
        let service = Service::dripping(head.to_owned().leak(), b"").await;
        let mut space = Counted::default();
        let error = call_with(&client(), &service.url("/"), &mut space).await.unwrap_err();
        assert_eq!((error, space.most), (SoapCallError::TooLarge(LIMIT), 0));
        until(|| service.seen.open() == 0).await;
    }
}

#[tokio::test]
async fn no_more_than_the_limit_is_kept() {
    let exact = "x".repeat(LIMIT);
    let service = Service::answering(format!("HTTP/1.1 200 OK\r\n\r\n{exact}")).await;
    let mut space = Counted::default();
    assert_eq!(call_with(&client(), &service.url("/"), &mut space).await.unwrap().body.len(), LIMIT);
    assert_eq!(space.most, LIMIT);
    let service = Service::answering(format!("HTTP/1.1 200 OK\r\n\r\n{exact}x")).await;
    let mut space = Counted::default();
    let error = call_with(&client(), &service.url("/"), &mut space).await.unwrap_err();
    assert_eq!(error, SoapCallError::TooLarge(LIMIT));
    assert!(space.most <= LIMIT);
}

#[tokio::test]
async fn a_known_size_takes_its_space_once_and_an_unknown_one_as_it_grows() {
    let body = "x".repeat(LIMIT);
    let known = Service::answering(format!("HTTP/1.1 200 OK\r\ncontent-length: {LIMIT}\r\n\r\n{body}")).await;
    let mut space = Counted::default();
    let answer = call_with(&client(), &known.url("/"), &mut space).await.unwrap();
    assert_eq!((space.most, space.times, answer.body.capacity()), (LIMIT, 1, LIMIT));
    let small = Service::answering("HTTP/1.1 200 OK\r\n\r\n<a/>").await;
    let mut space = Counted::default();
    let answer = call_with(&client(), &small.url("/"), &mut space).await.unwrap();
    assert!(space.most == answer.body.capacity() && space.most <= 4096, "{}", space.most);
}

#[tokio::test]
async fn nothing_is_kept_while_there_is_no_space() {
    let service = Service::keeping("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<a/>").await;
    let (client, url) = (client(), service.url("/"));
    let waiting = timeout(IMPATIENCE, client.call(request(&url), &mut Full)).await;
    assert!(waiting.is_err(), "{waiting:?}");
    let empty = Service::keeping("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await;
    assert!(call_with(&client, &empty.url("/"), &mut Full).await.unwrap().body.is_empty());
}

#[tokio::test]
async fn a_call_can_run_on_any_thread() {
    let service = Arc::new(Service::keeping("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<a/>").await);
    let called = Arc::clone(&service);
    let calling = tokio::spawn(async move { call(&called.url("/")).await });
    assert_eq!(calling.await.unwrap().unwrap().body, b"<a/>");
}
