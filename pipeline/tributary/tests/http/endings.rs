//! How the server starts and ends.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tributary::http::{AuthMode, AuthSettings, HttpError};

use crate::world::{PATIENCE, World, bind, settings};

#[tokio::test]
async fn an_idle_connection_does_not_delay_the_end() {
    let mut world = World::plain();
    assert_eq!(world.status("/livez").await, 200);
    world.shutdown.take().unwrap().send(()).unwrap();
    let started = Instant::now();
    world.served.await.unwrap();
    assert!(started.elapsed() < Duration::from_millis(1_500));
    assert!(TcpStream::connect(world.url.split_once("//").unwrap().1).await.is_err());
}

#[tokio::test]
async fn requests_in_work_that_hang_are_dropped_in_the_end() {
    let mut world = World::plain();
    let mut hanging = TcpStream::connect(world.address()).await.unwrap();
    hanging.write_all(b"POST /toy/echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nabc").await.unwrap();
    let slow = tokio::spawn(world.get("/toy/slow").send());
    let text = || async { world.get("/metrics").send().await.unwrap().text().await.unwrap() };
    while !text().await.contains("tributary_http_requests_in_work 3") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.shutdown.take().unwrap().send(()).unwrap();
    tokio::time::timeout(PATIENCE / 2, world.served).await.expect("ended within the time for draining").unwrap();
    assert!(slow.await.unwrap().is_err());
}

#[tokio::test]
async fn without_authentication_only_loopback_is_listened_on() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let error = bind(listen, &settings(), &AuthSettings::default()).err().unwrap();
        assert!(matches!(error, HttpError::NotLoopback { .. }), "{error}");
        assert!(error.to_string().contains(listen), "{error}");
    }
    let (server, _) = bind("localhost:0", &settings(), &AuthSettings::default()).unwrap();
    assert!(server.address().ip().is_loopback());
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = bind(&address, &settings(), &AuthSettings::default()).err().unwrap().to_string();
    assert!(error.contains(&address), "{error}");
    assert!(bind("nowhere", &settings(), &AuthSettings::default()).is_err());
}

#[tokio::test]
async fn a_mode_that_lacks_its_entry_is_refused() {
    for (mode, entry) in [(AuthMode::Tokens, "auth.tokens_file"), (AuthMode::Oidc, "auth.issuer")] {
        let auth = AuthSettings { mode, ..AuthSettings::default() };
        let error = bind("127.0.0.1:0", &settings(), &auth).err().unwrap().to_string();
        assert!(error.contains(entry), "{error}");
    }
}
