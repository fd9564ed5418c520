//! The chat's HTTP: its pages, also for HEAD, and where the content of a request ends (RFC 9112 §6.3).

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use crate::live::{Chat, connect};

const ADA: &str = r#"{"name":"Ada"}"#;

/// Sends the pieces a moment apart and reads until the server closes the connection. Returns the head and the content
/// of the one answer.
fn answer(chat: &Chat, pieces: &[&str]) -> (String, String) {
    let mut tcp = connect(&chat.address);
    for (at, piece) in pieces.iter().enumerate() {
        if at > 0 {
            thread::sleep(Duration::from_millis(20));
        }
        // A request that is rejected early may be closed before all of it was sent.
        let _ = tcp.write_all(piece.as_bytes());
    }
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).expect("the server closes it, without a reset");
    let answer = String::from_utf8(answer).expect("text");
    let (head, content) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?} to {pieces:?}"));
    assert!(head.contains("\r\nConnection: close"), "{head}");
    assert!(!content.contains("HTTP/1.1 "), "more than one answer: {answer}");
    (head.to_owned(), content.to_owned())
}

fn status(chat: &Chat, pieces: &[&str]) -> String {
    answer(chat, pieces).0[9..12].to_owned()
}

/// A login request with these header lines, and these bytes after its head.
fn login(lines: &str, content: &str) -> [String; 2] {
    [format!("POST /login HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"), content.to_owned()]
}

/// Asserts that the login gets this status, in one piece and in two, and a token only if that is 200.
#[track_caller]
fn assert_login(chat: &Chat, lines: &str, content: &str, expected: &str) {
    let [head, content] = login(lines, content);
    for pieces in [&[&*format!("{head}{content}")][..], &[&*head, &*content]] {
        let (head, content) = answer(chat, pieces);
        assert_eq!(&head[9..12], expected, "{lines:?} {content:?}");
        assert_eq!(content.starts_with("QWRh") || content.contains("Ada"), expected == "200", "{content:?}");
    }
}

/// RFC 9110 §9.1: "All general-purpose servers MUST support the methods GET and HEAD"; §9.3.2: "The server SHOULD send
/// the same header fields in response to a HEAD request as it would have sent if the request method had been GET",
/// and no content.
#[test]
fn head_gets_the_same_headers_as_get() {
    let chat = Chat::start(&[]);
    for path in ["/", "/page.css", "/page.js", "/?x", "/login", "/nowhere", "/chat", "/echo"] {
        let by = |method: &str| answer(&chat, &[&format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")]);
        let ((get, page), (head, nothing)) = (by("GET"), by("HEAD"));
        assert_eq!((head, nothing.as_str()), (get.clone(), ""), "{path}");
        assert!(get.contains(&format!("\r\nContent-Length: {}\r\n", page.len())), "{get}");
        assert_eq!(get.starts_with("HTTP/1.1 200 "), !path[1..].starts_with(char::is_alphabetic) || path.contains('.'));
    }
}

/// No error of a HEAD request is answered with content.
#[test]
fn no_answer_to_head_has_content() {
    let chat = Chat::start(&[]);
    for (request, expected) in [
        ("HEAD / HTTP/1.0\r\nHost: a\r\n\r\n".to_owned(), "400"),
        ("HEAD / HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("HEAD / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_owned(), "400"),
        ("HEAD / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n".to_owned(), "400"),
        ("HEAD /\0 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "400"),
        ("HEAD\r\n\r\n".to_owned(), "400"),
        ("HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi".to_owned(), "400"),
        ("HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n".to_owned(), "400"),
        ("HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), "411"),
        (format!("HEAD / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(100)), "400"),
        (format!("HEAD /{}", "x".repeat(40_000)), "431"),
        (
            "HEAD /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
                .to_owned(),
            "404",
        ),
    ] {
        let (head, content) = answer(&chat, &[&request]);
        assert_eq!((&head[9..12], content.as_str()), (expected, ""), "{:.100}", request.escape_debug());
        let (head, content) = answer(&chat, &[&request.replacen("HEAD", "POST", 1)]);
        assert!(!content.is_empty(), "{head}: other methods get an explanation");
    }
}

#[test]
fn a_405_lists_the_allowed_methods() {
    let chat = Chat::start(&[]);
    for (path, allowed) in [("/", "GET, HEAD"), ("/page.js", "GET, HEAD"), ("/login", "POST")] {
        for method in ["DELETE", "OPTIONS", "PUT", "head", if allowed == "POST" { "GET" } else { "POST" }] {
            let (head, _) = answer(&chat, &[&format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")]);
            assert!(head.starts_with("HTTP/1.1 405 "), "{method} {path}: {head}");
            assert!(head.contains(&format!("\r\nAllow: {allowed}\r\n")), "{head}");
        }
    }
}

/// RFC 9112 §6.3, 5, and RFC 9110 §8.6: `Content-Length = 1*DIGIT`.
#[test]
fn content_length_must_be_one_number() {
    let chat = Chat::start(&[]);
    assert_eq!(ADA.len(), 14);
    for good in [
        "Content-Length: 14\r\n",
        "content-length:14\r\n",
        "Content-Length: \t 14 \t\r\n",
        "Content-Length: 0014\r\n",
        "Content-Length: 14, 14\r\n",
        "Content-Length: 14 ,14\t,  14\r\n",
        "Content-Length: 14\r\nContent-Length: 14\r\n",
        "Content-Length: 14\r\nX: y\r\nCONTENT-LENGTH: 14,14\r\n",
    ] {
        assert_login(&chat, good, ADA, "200");
    }
    for bad in [
        "Content-Length: 14\r\nContent-Length: 15\r\n",
        "Content-Length: 15\r\nContent-Length: 14\r\n",
        "Content-Length: 14\r\ncontent-length: 0\r\n",
        "Content-Length: 14, 15\r\n",
        "Content-Length: 14, 014\r\n",
        "Content-Length: 14,\r\n",
        "Content-Length: ,14\r\n",
        "Content-Length: +14\r\n",
        "Content-Length: -14\r\n",
        "Content-Length: -0\r\n",
        "Content-Length: 0x0e\r\n",
        "Content-Length: 1_4\r\n",
        "Content-Length: 14.0\r\n",
        "Content-Length: 1 4\r\n",
        "Content-Length: 14;\r\n",
        "Content-Length: \"14\"\r\n",
        "Content-Length: 14\u{a0}\r\n",
        "Content-Length: \u{661}\u{664}\r\n",
        "Content-Length:\r\n",
        "Content-Length: 14\r\nContent-Length:\r\n",
        "Content-Length : 14\r\n",
        "Content-Length\t: 14\r\n",
        " Content-Length: 14\r\n",
        "Content-Length: 14\r\n 5\r\n",
        "Content-Length: 14\nX: y\r\n",
        "Content-Length: \u{b}14\r\n",
        // No Content-Length means no content.
        "",
    ] {
        assert_login(&chat, bad, ADA, "400");
    }
    for large in ["1025", "4294967310", "18446744073709551630", &"9".repeat(1000), &format!("1{}", "0".repeat(400))] {
        assert_login(&chat, &format!("Content-Length: {large}\r\n"), ADA, "413");
    }
}

/// Bytes that another server may read as the next request are not read as content, and the login before them is
/// rejected.
#[test]
fn bytes_after_the_content_are_rejected() {
    let chat = Chat::start(&[]);
    let next = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for trailing in ["\n", "\r\n", " ", "x", next] {
        assert_login(&chat, "Content-Length: 14\r\n", &format!("{ADA}{trailing}"), "400");
    }
    for short in [0, 1, 13] {
        assert_login(&chat, &format!("Content-Length: {short}\r\n"), ADA, "400");
    }
    // More bytes than one read takes.
    assert_login(&chat, "Content-Length: 14\r\n", &format!("{ADA}{}", " ".repeat(10_000)), "400");
    // Bytes after the content are noticed after a head of any length, wherever a read ends.
    for padding in 0..130 {
        let lines = format!("X: {}\r\nContent-Length: 14\r\n", "x".repeat(padding));
        let [head, _] = login(&lines, "");
        assert_eq!(status(&chat, &[&format!("{head}{ADA}{next}")]), "400", "after {} bytes", head.len());
        assert_eq!(status(&chat, &[&format!("{head}{ADA}")]), "200", "after {} bytes", head.len());
    }
    // Less content than announced gets no token at the end of the stream.
    let mut tcp = connect(&chat.address);
    let [head, content] = login("Content-Length: 15\r\n", ADA);
    tcp.write_all(format!("{head}{content}").as_bytes()).expect("the peer reads");
    tcp.shutdown(std::net::Shutdown::Write).expect("the socket is open");
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).expect("the server closes it");
    assert!(!answer.starts_with(b"HTTP/1.1 200 "), "{}", answer.escape_ascii());
    // A request without content may be followed by another one, which is not answered: the connection is closed.
    let (head, _) = self::answer(&chat, &[&next.repeat(2)]);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}

/// RFC 9112 §6.1, §6.3, 3 and 4.
#[test]
fn transfer_codings_are_rejected() {
    let chat = Chat::start(&[]);
    let chunked = format!("e\r\n{ADA}\r\n0\r\n\r\n");
    for (lines, expected) in [
        ("Transfer-Encoding: chunked\r\n", "411"),
        ("transfer-encoding: \t Chunked \r\n", "411"),
        ("Transfer-Encoding: gzip, chunked\r\n", "501"),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", "501"),
        ("Transfer-Encoding: gzip\r\n", "400"),
        ("Transfer-Encoding: identity\r\n", "400"),
        ("Transfer-Encoding: chunked, gzip\r\n", "400"),
        ("Transfer-Encoding: chunked, chunked\r\n", "400"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "400"),
        ("Transfer-Encoding: xchunked\r\n", "400"),
        ("Transfer-Encoding: \"chunked\"\r\n", "400"),
        ("Transfer-Encoding: chunked;x=1\r\n", "400"),
        ("Transfer-Encoding:\r\n", "400"),
        ("Transfer-Encoding: \u{b}chunked\r\n", "400"),
        ("Transfer-Encoding : chunked\r\n", "400"),
        ("Transfer-Encoding\r\n", "400"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 14\r\n", "400"),
        ("Content-Length: 14\r\nTransfer-Encoding: chunked\r\n", "400"),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "400"),
        ("Content-Length: 14\r\nTransfer-Encoding: identity\r\n", "400"),
        ("Content-Length: 14\r\nTransfer-Encoding:\r\n", "400"),
        ("Content-Length: 14\r\nTransfer-Encoding: x\r\n", "400"),
    ] {
        for content in [&*chunked, ADA] {
            assert_login(&chat, lines, content, expected);
        }
    }
}

#[test]
fn exactly_one_host_is_required() {
    let chat = Chat::start(&[]);
    for method in ["GET", "POST", "DELETE"] {
        for hosts in ["", "Host: a\r\nHost: a\r\n", "Host: a\r\nhost: b\r\n"] {
            assert_eq!(status(&chat, &[&format!("{method} / HTTP/1.1\r\n{hosts}\r\n")]), "400", "{method} {hosts:?}");
        }
    }
}
