//! What goes out, and what comes back.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::Redirect;
use axum::routing::post;

use super::servers::{Service, real_server};
use super::*;

#[tokio::test]
async fn a_message_goes_out_whole_with_its_own_headers_and_not_chunked() {
    let service = Service::keeping("HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 0\r\n\r\n").await;
    let headers = [("SOAPAction", "\"urn:a\""), ("x-note", "åäö"), ("x-note", "2")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let pieces: Vec<Bytes> = ["<a>", "", "</a>"].map(|piece| Bytes::from_static(piece.as_bytes())).into();
    let (client, url) = (client(), service.url("/service?x=1"));
    for _ in 0..2 {
        let request = SoapRequest { url: &url, headers: &headers, body: pieces.clone(), limit: LIMIT };
        client.call(request, &mut Counted::default()).await.unwrap();
    }
    let expected = format!(
        "POST /service?x=1 HTTP/1.1\r\nsoapaction: \"urn:a\"\r\nx-note: åäö\r\nx-note: 2\r\naccept: */*\r\n\
         host: {}\r\ncontent-length: 7\r\n\r\n<a></a>",
        service.address
    );
    // Not even the cookie of the first answer comes back.
    assert_eq!(service.seen.requests(), [expected.clone(), expected]);
}

#[tokio::test]
async fn an_empty_message_has_a_length_too() {
    let service = Service::answering("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await;
    let url = service.url("/");
    let answer = client().call(SoapRequest { body: Vec::new(), ..request(&url) }, &mut Counted::default()).await;
    assert_eq!(answer.unwrap().status, 202);
    assert!(service.seen.requests()[0].contains("\r\ncontent-length: 0\r\n"));
}

#[tokio::test]
async fn an_answer_has_its_status_its_type_and_its_bytes() {
    let fault = (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/xml; charset=UTF-16")], "fault");
    let router = Router::new()
        .route("/echo", post(|body: String| async { body }))
        .route("/fault", post(|| async move { fault }))
        .route("/nothing", post(|| async { StatusCode::ACCEPTED }));
    let url = real_server(router).await;
    let parts = |answer: SoapAnswer| (answer.status, answer.content_type, String::from_utf8(answer.body).unwrap());
    let of = async |path: &str| parts(call(&format!("{url}{path}")).await.unwrap());
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(of("/echo").await, (200, text("text/plain; charset=utf-8"), "<secret/>".to_owned()));
    assert_eq!(of("/fault").await, (500, text("text/xml; charset=UTF-16"), "fault".to_owned()));
    assert_eq!(of("/nothing").await, (202, None, String::new()));
    assert_eq!(of("/unknown").await.0, 404);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_nobody_goes_there() {
    let elsewhere = Service::keeping("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let to = elsewhere.url("/");
    let (see_other, moved) = (to.clone(), to);
    let router = Router::new()
        .route("/303", post(move || async move { Redirect::to(&see_other) }))
        .route("/308", post(move || async move { Redirect::permanent(&moved) }));
    let url = real_server(router).await;
    for status in [303, 308] {
        assert_eq!(call(&format!("{url}/{status}")).await.unwrap().status, status);
    }
    assert_eq!(elsewhere.seen.connections(), 0);
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_whole() {
    let service = Service::answering("HTTP/1.0 200 OK\r\n\r\n<a/>").await;
    assert_eq!(call(&service.url("/")).await.unwrap().body, b"<a/>");
    let continued = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n<b/>";
    let service = Service::answering(continued).await;
    assert_eq!(call(&service.url("/")).await.unwrap().body, b"<b/>");
}

#[tokio::test]
async fn a_bad_url_or_header_makes_no_call() {
    let service = Service::keeping("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let with_user = service.url("/").replace("//", "//secret:secret@");
    for url in ["", "secret", "ftp://secret.example/", "http://", "file:///secret", &with_user] {
        let error = call(url).await.unwrap_err();
        assert!(matches!(error, SoapCallError::NotMade(_)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
    let url = service.url("/");
    for (name, value) in [
        ("secret header", "a"),
        ("", "a"),
        ("a", "secret\r\nb: c"),
        ("Content-Length", "3"),
        ("transfer-encoding", "chunked"),
        ("Host", "secret.example"),
        ("Connection", "close"),
    ] {
        let headers = [(name.to_owned(), value.to_owned())];
        let error = client().call(SoapRequest { headers: &headers, ..request(&url) }, &mut Counted::default()).await;
        let error = error.unwrap_err();
        assert!(matches!(error, SoapCallError::NotMade(_)), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
    assert_eq!(service.seen.connections(), 0);
}

#[tokio::test]
async fn debug_shows_nothing_of_a_message() {
    let service = Service::answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n<secret/>").await;
    let url = service.url("/secret");
    let headers = [("x-secret".to_owned(), "secret".to_owned())];
    let shown = format!("{:?}", SoapRequest { headers: &headers, ..request(&url) });
    assert_eq!(shown, "SoapRequest(1 headers, 9 bytes)");
    assert_eq!(format!("{:?}", call(&url).await.unwrap()), "SoapAnswer(200, 9 bytes)");
}
