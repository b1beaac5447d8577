//! Which connections are made, kept and used again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;

use super::servers::{Service, keep, until};
use super::*;

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<a/>";

#[tokio::test]
async fn calls_one_after_the_other_use_one_connection() {
    for answer in [
        ANSWER,
        "HTTP/1.1 500 Error\r\ncontent-length: 4\r\n\r\n<a/>",
        "HTTP/1.1 503 Busy\r\ntransfer-encoding: chunked\r\n\r\n4\r\n<a/>\r\n0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n",
    ] {
        let (service, client) = (Service::keeping(answer).await, client());
        for _ in 0..50 {
            call_with(&client, &service.url("/"), &mut Counted::default()).await.unwrap();
        }
        assert_eq!((service.seen.connections(), service.seen.requests().len()), (1, 50), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_share_the_connections_of_those_at_once() {
    // As many as a host has that routes to many services.
    const AT_ONCE: usize = 100;
    let (service, client) = (Arc::new(Service::keeping(ANSWER).await), client());
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut calls = Vec::new();
    for _ in 0..1000 {
        let (service, client, places) = (Arc::clone(&service), client.clone(), Arc::clone(&places));
        calls.push(tokio::spawn(async move {
            let _place = places.acquire().await.unwrap();
            call_with(&client, &service.url("/"), &mut Counted::default()).await.unwrap()
        }));
    }
    for call in calls {
        assert_eq!(call.await.unwrap().body, b"<a/>");
    }
    // A call that begins just before a connection is free again may open one more.
    assert!(service.seen.most_open.load(Ordering::SeqCst) <= 2 * AT_ONCE);
    assert!(service.seen.connections() <= 2 * AT_ONCE);
}

#[tokio::test]
async fn a_connection_that_the_service_closes_while_idle_is_replaced() {
    let service = Service::answering(ANSWER).await;
    let client = client();
    for count in 1..=3 {
        call_with(&client, &service.url("/"), &mut Counted::default()).await.unwrap();
        until(|| service.seen.open() == 0).await;
        // The client reads the end as soon as it has come.
        tokio::time::sleep(IMPATIENCE / 10).await;
        assert_eq!(service.seen.requests().len(), count);
    }
}

#[tokio::test]
async fn a_message_that_went_out_is_not_sent_twice() {
    // The second request of a connection is read, and then the connection ends.
    let service = Service::start(|mut stream, seen| async move {
        if seen.request(&mut stream).await.is_some() {
            let _ = stream.write_all(ANSWER.as_bytes()).await;
            let _ = seen.request(&mut stream).await;
        }
    });
    let (service, client) = (service.await, client());
    call_with(&client, &service.url("/"), &mut Counted::default()).await.unwrap();
    let second = call_with(&client, &service.url("/"), &mut Counted::default()).await.unwrap_err();
    assert!(matches!(second, SoapCallError::Lost(_)), "{second:?}");
    assert_eq!((service.seen.requests().len(), service.seen.connections()), (2, 1));
    call_with(&client, &service.url("/"), &mut Counted::default()).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_ends_the_connection_is_an_answer() {
    let service = Service::start(|mut stream, seen| async move {
        keep(&mut stream, &seen, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\n<a/>").await;
    });
    let (service, client) = (service.await, client());
    for _ in 0..3 {
        call_with(&client, &service.url("/"), &mut Counted::default()).await.unwrap();
    }
    assert_eq!(service.seen.connections(), 3);
}
