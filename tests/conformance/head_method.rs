//! Requests with the method HEAD. RFC 9110 §9.3.2: "The HEAD method is identical to GET except that the server MUST NOT
//! send content in the response." So no answer to such a request has a body, whatever its error.

use websocket_proto::handshake::{Bootstrap, parse_extended_connect, parse_request};
use websocket_proto::{Config, Connection, HandshakeErrorKind as Kind, Output, Timeout};

use crate::harness::{Outcome, REQUEST, drain, every_cut, feed};
use crate::http::{Head, add, asking_for, assert_handshake_failed, replace, some_cuts, waiting};
use crate::rows;

/// A server with limits that a short head exceeds.
fn small() -> Connection {
    Connection::server(Config::new().max_head_size(300).max_headers(7))
}

/// The valid request, with this method.
fn with_method(method: &str) -> String {
    REQUEST.replacen("GET", method, 1)
}

/// The same request with another method of four letters, which leaves all offsets the same.
fn as_post(request: &[u8]) -> Vec<u8> {
    let at = request.windows(4).position(|method| method == b"HEAD").expect("it is in the request");
    [&request[..at], b"POST", &request[at + 4..]].concat()
}

/// Asserts that `answer` is `with_content` without its content: the same status and headers, but no Content-Length. RFC
/// 9110 §8.6: that would have to be the one "if the same request had used the GET method".
#[track_caller]
fn assert_without_content(answer: &[u8], with_content: &[u8], what: &str) {
    let (answer, mut with_content) = (Head::parse(answer), Head::parse(with_content));
    assert_eq!((answer.first_line, answer.body.len()), (with_content.first_line, 0), "{what}");
    with_content.lines.retain(|(name, _)| name != "Content-Length");
    assert_eq!(answer.lines, with_content.lines, "{what}");
}

#[track_caller]
fn assert_without_content_at_every_cut(make: fn() -> Connection, request: &[u8], kind: Kind) {
    let what = request.escape_ascii().to_string();
    let post = feed(&mut make(), [&as_post(request)[..]]);
    assert_rejected_the_same(&every_cut(make, request), &post, kind, &what);
    assert!(!Head::parse(&post.output).body.is_empty(), "{what}: the answer to other methods has an explanation");
}

#[track_caller]
fn assert_rejected_the_same(head: &Outcome, post: &Outcome, kind: Kind, what: &str) {
    assert_handshake_failed(head, kind, what);
    assert_handshake_failed(post, kind, what);
    assert_without_content(&head.output, &post.output, what);
}

#[test]
fn a_head_request_is_answered_without_content() {
    rows!("6455-4.2.1-0", "6455-4.2.1-1", "6455-10.7-4");
    assert_without_content_at_every_cut(waiting, b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", Kind::UnsupportedMethod);
    for target in ["/", "*", "http://h/", "ftp://h"] {
        let request = asking_for(target).replacen("GET", "HEAD", 1);
        assert_without_content_at_every_cut(waiting, request.as_bytes(), Kind::UnsupportedMethod);
    }
    let outcome = every_cut(waiting, with_method("HEAD").as_bytes());
    let expected = "HTTP/1.1 405 Method Not Allowed\r\nSec-WebSocket-Version: 13\r\nAllow: GET\r\n\
        Content-Type: text/plain\r\nConnection: close\r\n\r\n";
    assert_eq!(outcome.output.escape_ascii().to_string(), expected.as_bytes().escape_ascii().to_string());
}

/// A malformed request is rejected before its method; the method alone decides about the content.
#[test]
fn malformed_head_requests_are_answered_without_content() {
    rows!("6455-4.2.1-0", "6455-4.2.1-15", "6455-10.7-4");
    let good = with_method("HEAD");
    for malformed in [
        "HEAD\0",
        "HEAD\n",
        "HEAD\r\n\r\n",
        "HEAD\r\r",
        "HEAD\t/ HTTP/1.1\r\n\r\n",
        "HEAD \r\n\r\n",
        "HEAD /\r\n\r\n",
        "HEAD  / HTTP/1.1\r\n\r\n",
        "HEAD / HTTP/1.1\n",
        "HEAD / http/1.1\r\n\r\n",
        "HEAD / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "HEAD /\x7f HTTP/1.1\r\n\r\n",
        "\r\nHEAD /\0",
        "\r\nHEAD\r\n\r\n",
        &add(&good, "X-A : b\r\n"),
        &add(&good, "X-A: b\r\n c\r\n"),
        &add(&good, "X-A: b\n"),
        &add(&good, "X-A: \0\r\n"),
        &add(&good, "no colon\r\n"),
    ] {
        assert_without_content_at_every_cut(waiting, malformed.as_bytes(), Kind::MalformedHttp);
    }
    assert_without_content_at_every_cut(waiting, b"HEAD / HTTP/2.0\r\n\r\n", Kind::UnsupportedHttpVersion);
    let old = good.replace("HTTP/1.1", "HTTP/1.0");
    assert_without_content_at_every_cut(waiting, old.as_bytes(), Kind::HttpVersionTooOld);
    assert_without_content_at_every_cut(waiting, format!("\r\n{good}").as_bytes(), Kind::UnsupportedMethod);
}

#[test]
fn oversized_head_requests_are_answered_without_content() {
    rows!("6455-4.2.1-14", "6455-10.7-4");
    let good = with_method("HEAD");
    for (too_large, kind) in [
        (add(&good, &"X: y\r\n".repeat(3)), Kind::HeadTooLarge),
        (add(&good, &format!("X: {}\r\n", "y".repeat(300))), Kind::HeadTooLarge),
        (format!("HEAD /{}", "x".repeat(300)), Kind::RequestLineTooLong),
        (format!("\r\nHEAD /{}", "x".repeat(300)), Kind::RequestLineTooLong),
    ] {
        assert_without_content_at_every_cut(small, too_large.as_bytes(), kind);
    }
    // The smallest limits: how much of the method arrived before the limit does not depend on the cut.
    for limit in 0..10 {
        let least = || Connection::server(Config::new().max_head_size(limit));
        let outcome = every_cut(least, good.as_bytes());
        assert_handshake_failed(&outcome, Kind::RequestLineTooLong, "the least");
        assert_eq!(Head::parse(&outcome.output).body.is_empty(), limit >= 3, "after {limit} bytes and one too many");
    }
    // The default limits.
    for (too_large, kind) in [
        (add(&good, &"X: y\r\n".repeat(100)), Kind::HeadTooLarge),
        (format!("HEAD /{}", "x".repeat(100 << 10)), Kind::RequestLineTooLong),
    ] {
        let (outcome, post) = (some_cuts(waiting, too_large.as_bytes()), as_post(too_large.as_bytes()));
        assert_rejected_the_same(&outcome, &feed(&mut waiting(), [&post[..]]), kind, "the defaults");
    }
}

/// Methods are tokens, and case-sensitive (RFC 9110 §9.1): these are not HEAD, so the answers have an explanation.
#[test]
fn other_methods_get_an_explanation() {
    rows!("6455-4.2.1-0", "6455-4.2.1-1");
    for method in ["POST", "head", "Head", "HEADER", "HEAD-", "HEA", "HEAD1", "XHEAD", "OPTIONS"] {
        for request in [with_method(method), format!("\r\n{}", with_method(method))] {
            let outcome = every_cut(waiting, request.as_bytes());
            assert_handshake_failed(&outcome, Kind::UnsupportedMethod, method);
            let head = Head::parse(&outcome.output);
            assert_eq!(head.body, format!("{}\n", Kind::UnsupportedMethod).into_bytes(), "{method}");
            assert_eq!(head.only("Content-Length"), head.body.len().to_string());
        }
    }
    // A second empty line ends the head before any method; the bytes after it are ignored.
    let outcome = every_cut(waiting, b"\r\n\r\nHEAD / HTTP/1.1\r\n\r\n");
    assert_eq!(Head::parse(&outcome.output).body, format!("{}\n", Kind::MalformedHttp).into_bytes());
}

/// RFC 9110 §15.5.9, 408, while the request is incomplete, however it was cut.
#[test]
fn a_timeout_is_answered_without_content() {
    rows!("6455-10.7-4");
    let timed_out = |pieces: &[&[u8]]| {
        let (mut server, mut output) = (waiting(), Output::new());
        let outcome = feed(&mut server, pieces.iter().copied());
        assert_eq!((outcome.events.len(), outcome.output.len()), (0, 0));
        server.time_out(Timeout::Handshake, &mut output);
        assert!(server.is_closed());
        drain(&mut output)
    };
    for request in [with_method("HEAD"), format!("\r\n{}", with_method("HEAD"))] {
        let (request, start) = (request.as_bytes(), request.find("HEAD").expect("the method") + 4);
        for len in 0..request.len() {
            let whole = timed_out(&[&request[..len]]);
            let head = Head::parse(&whole);
            assert_eq!((head.first_line.as_str(), head.body.len()), ("HTTP/1.1 408 Request Timeout", 0));
            assert_eq!(head.all("Content-Length").is_empty(), len >= start, "after {len} bytes");
            assert_eq!(timed_out(&request[..len].chunks(1).collect::<Vec<_>>()), whole);
        }
    }
}

/// Answers made by a caller that reads HTTP itself.
#[test]
fn answers_made_without_a_connection_have_no_content() {
    rows!("6455-4.2.1-0", "8441-5-7");
    let kinds = [
        Kind::UnsupportedMethod,
        Kind::MalformedHttp,
        Kind::HeadTooLarge,
        Kind::MissingUpgrade,
        Kind::UnsupportedConnectProtocol,
    ];
    for (kind, bootstrap) in
        kinds.into_iter().flat_map(|kind| [(kind, Bootstrap::Upgrade), (kind, Bootstrap::ExtendedConnect)])
    {
        let written = |request: &[u8]| {
            let (answer, mut output) = (kind.answer(bootstrap, request), Output::new());
            answer.write_http1(&mut output);
            let bytes = drain(&mut output);
            assert_eq!(Head::parse(&bytes).body, answer.body());
            bytes
        };
        for head in ["HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD\0", "\r\nHEAD /"] {
            assert_without_content(&written(head.as_bytes()), &written(b"POST"), head);
        }
        for other in ["", "HEA", "HEADER", "head", "GET", "POST / HTTP/1.1\r\nX: HEAD\r\n\r\n", "\r\n\r\nHEAD"] {
            assert_eq!(Head::parse(&written(other.as_bytes())).body, format!("{kind}\n").into_bytes(), "{other:?}");
        }
    }
    let request = replace(&with_method("HEAD"), "Connection", "");
    assert_eq!(parse_request(request.as_bytes()), Err(Kind::UnsupportedMethod));
    assert_eq!(parse_extended_connect([(":method", "HEAD")]), Err(Kind::UnsupportedMethod));
}
