//! Packed answers.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::servers::Service;
use super::*;

fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn answer_of(encoding: &str, body: &[u8]) -> (Result<Vec<u8>, SoapCallError>, usize) {
    let head = format!("HTTP/1.1 200 OK\r\n{encoding}content-length: {}\r\n\r\n", body.len());
    let service = Service::answering([head.as_bytes(), body].concat()).await;
    let mut space = Counted::default();
    let answer = call_with(&client(), &service.url("/"), &mut space).await;
    (answer.map(|answer| answer.body), space.most)
}

async fn unpacked(body: &[u8]) -> Result<Vec<u8>, SoapCallError> {
    answer_of("content-encoding: gzip\r\n", body).await.0
}

/// Each byte comes alone, so every state of the decoder is left and entered again.
async fn unpacked_by_bytes(body: &[u8]) -> Result<Vec<u8>, SoapCallError> {
    let mut answer = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for byte in body {
        answer.extend([b"1\r\n", &[*byte][..], b"\r\n"].concat());
    }
    answer.extend(b"0\r\n\r\n");
    let service = Service::answering(answer).await;
    call(&service.url("/")).await.map(|answer| answer.body)
}

#[tokio::test]
async fn a_packed_answer_is_unpacked_however_its_bytes_come() {
    let text: Vec<u8> = (0..9_000_u32).flat_map(|number| (number * number).to_string().into_bytes()).collect();
    let packed = pack(&text);
    assert_eq!(unpacked(&packed).await.unwrap(), text);
    assert_eq!(unpacked_by_bytes(&packed).await.unwrap(), text);
}

#[tokio::test]
async fn several_members_one_after_the_other_are_one_answer() {
    let members = [pack(b"<a>"), pack(b""), pack(b"</a>")].concat();
    assert_eq!(unpacked(&members).await.unwrap(), b"<a></a>");
    assert_eq!(unpacked_by_bytes(&members).await.unwrap(), b"<a></a>");
}

#[tokio::test]
async fn the_names_of_encodings_are_read_as_http_writes_them() {
    let packed = pack(b"<a/>");
    for encoding in [
        "content-encoding: gzip\r\n",
        "content-encoding: GZip\r\n",
        "content-encoding: x-gzip\r\n",
        "content-encoding: identity, gzip\r\n",
        "content-encoding: identity\r\ncontent-encoding: gzip\r\n",
    ] {
        assert_eq!(answer_of(encoding, &packed).await.0.unwrap(), b"<a/>", "{encoding}");
    }
    for encoding in ["", "content-encoding: identity\r\n", "content-encoding: \r\n"] {
        assert_eq!(answer_of(encoding, b"<a/>").await.0.unwrap(), b"<a/>", "{encoding}");
    }
}

#[tokio::test]
async fn an_unknown_encoding_is_refused() {
    for encoding in ["deflate", "br", "zstd", "gzip, gzip", "gzip, br", "secret", "\u{e5}"] {
        let header = format!("content-encoding: {encoding}\r\n");
        let error = answer_of(&header, b"<a/>").await.0.unwrap_err();
        assert_eq!(error, SoapCallError::Packed("its encoding is not gzip"), "{encoding}");
    }
}

#[tokio::test]
async fn a_bomb_is_unpacked_no_further_than_the_limit() {
    let bomb = pack(&vec![b' '; 100 * LIMIT]);
    assert!(bomb.len() < LIMIT);
    let (error, space) = answer_of("content-encoding: gzip\r\n", &bomb).await;
    assert_eq!(error, Err(SoapCallError::TooLarge(LIMIT)));
    assert!(space <= LIMIT, "{space}");
    let exact = pack(&vec![b' '; LIMIT]);
    assert_eq!(unpacked(&exact).await.unwrap().len(), LIMIT);
}

#[tokio::test]
async fn members_without_content_end_at_the_limit_too() {
    let empty = pack(b"").repeat(LIMIT / 20 + 1);
    let head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n";
    let service = Service::answering([&head[..], &empty].concat()).await;
    assert_eq!(call(&service.url("/")).await.unwrap_err(), SoapCallError::TooLarge(LIMIT));
}

#[tokio::test]
async fn what_is_not_gzip_to_its_end_cannot_be_unpacked() {
    let packed = pack(b"<secret/>");
    let with = |end: &[u8]| [packed.as_slice(), end].concat();
    let mut wrong_sum = packed.clone();
    let end = wrong_sum.len() - 8;
    wrong_sum[end] ^= 1;
    let mut wrong_data = packed.clone();
    wrong_data[10] ^= 0xff;
    let malformed = SoapCallError::Packed("the gzip data is malformed, or other bytes follow it");
    for body in [&b"<secret/> is not packed"[..], &with(b"secret, and more"), &with(&[0; 64]), &wrong_sum, &wrong_data]
    {
        assert_eq!(unpacked(body).await, Err(malformed.clone()), "{body:?}");
        assert_eq!(unpacked_by_bytes(body).await, Err(malformed.clone()), "{body:?}");
    }
    for cut in [1, 5, 10, packed.len() - 9, packed.len() - 1] {
        let error = unpacked(&packed[..cut]).await.unwrap_err();
        assert_eq!(error, SoapCallError::Packed("the gzip data ends too early"), "{cut}");
    }
}

#[tokio::test]
async fn an_empty_body_is_empty_whatever_its_encoding() {
    assert_eq!(unpacked(b"").await.unwrap(), b"");
    assert_eq!(unpacked(&pack(b"")).await.unwrap(), b"");
}
