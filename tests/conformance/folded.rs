//! Folded header lines (RFC 9112 §5.2): a client unfolds them, a server rejects them.

use std::time::Duration;

use websocket_proto::handshake::Response;
use websocket_proto::{Config, ConnectionError, Event, HandshakeErrorKind, State};

use crate::harness::{Outcome, REQUEST, connecting, every_cut, header};
use crate::http::{add, answered, assert_fails, assert_request_rejected, offering, replace, response, waiting};
use crate::rows;

/// The response of the client's first event.
#[track_caller]
fn first_response(outcome: &Outcome) -> &Response {
    match outcome.events.first() {
        Some(Event::Open(response) | Event::Rejected(response)) => response,
        event => panic!("{event:?}"),
    }
}

/// Asserts that no header of the response contains a line end, in its bytes or in `Debug`.
#[track_caller]
fn assert_no_line_ends(response: &Response) {
    for (name, value) in response.headers().iter() {
        assert!(!name.bytes().chain(value.iter().copied()).any(|byte| b"\r\n".contains(&byte)), "{name}: {value:?}");
        assert_eq!(value.trim_ascii(), value, "{name}");
    }
    let debug = format!("{response:?}");
    assert!(!debug.contains("\\r") && !debug.contains("\\n"), "{debug}");
}

/// Folded values and their meaning: each obs-fold, with the white space around it, is one space.
const FOLDED: [(&str, &[u8]); 13] = [
    ("Basic\r\n realm=\"a\"", b"Basic realm=\"a\""),
    ("Basic\r\n\trealm=\"a\"", b"Basic realm=\"a\""),
    ("Basic \t \r\n \t realm=\"a\"\t", b"Basic realm=\"a\""),
    ("Basic\r\n realm=\"a\",\r\n charset=\"b\",\r\n\tx=y", b"Basic realm=\"a\", charset=\"b\", x=y"),
    ("\r\n Basic", b"Basic"),
    ("\r\n\t\r\n Basic", b"Basic"),
    // A line of only white space is a fold, too: at the end, in the middle, or alone.
    ("Basic\r\n ", b"Basic"),
    ("Basic\r\n \t \r\n\t\r\n realm=\"a\"", b"Basic realm=\"a\""),
    ("\r\n ", b""),
    // A folded line is part of the value, whatever it looks like.
    ("Basic\r\n Content-Length: 5", b"Basic Content-Length: 5"),
    ("Basic\r\n HTTP/1.1 101 Switching Protocols", b"Basic HTTP/1.1 101 Switching Protocols"),
    ("Basic\r\n :", b"Basic :"),
    ("a\r\n é", b"a \xc3\xa9"),
];

#[test]
fn a_fold_becomes_one_space() {
    rows!("6455-4.1-v1", "6455-4.1-v7");
    for (folded, value) in FOLDED {
        // Alone, between other headers, and as the last header.
        for lines in [
            format!("WWW-Authenticate: {folded}\r\nContent-Length: 2\r\n"),
            format!("Content-Length: 2\r\nWWW-Authenticate: {folded}\r\nX-Last: x\r\n"),
            format!("Content-Length: 2\r\nX: y\r\n z\r\nwww-authenticate:{folded}\r\n"),
        ] {
            let outcome = answered(&offering(&[]), format!("HTTP/1.1 401 Unauthorized\r\n{lines}\r\nno"));
            let [Event::Rejected(rejection), Event::Closed(closed)] = &outcome.events[..] else {
                panic!("{outcome:?}")
            };
            assert_eq!((rejection.status(), rejection.body()), (401, &b"no"[..]));
            assert_eq!(rejection.headers().get("WWW-Authenticate"), Some(value), "{folded:?}");
            assert_no_line_ends(rejection);
            // The offset counts received bytes, not the bytes after unfolding.
            let Some(ConnectionError::Handshake(error)) = closed.error() else { panic!("{closed:?}") };
            assert_eq!(error.offset(), ("HTTP/1.1 401 Unauthorized\r\n\r\n".len() + lines.len()) as u64);
        }
    }
}

/// All headers of one rejection, compared exactly.
#[test]
fn a_folded_challenge_is_unfolded() {
    rows!("6455-4.1-v1");
    let folded = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n realm=\"a\"\r\nContent-Length: 0\r\n\r\n";
    let outcome = answered(&offering(&[]), folded);
    let rejection = first_response(&outcome);
    let headers: Vec<_> = rejection.headers().iter().collect();
    assert_eq!(headers, [("WWW-Authenticate", &b"Basic realm=\"a\""[..]), ("Content-Length", b"0")]);
    assert_eq!((rejection.status(), outcome.state, outcome.events.len()), (401, State::Closed, 2));
}

/// The headers that decide about opening are read unfolded.
#[test]
fn folds_are_read_in_an_opening_response() {
    rows!("6455-4.1-v7", "6455-4.1-v2", "6455-4.1-v3", "6455-4.1-v4", "6455-4.1-v9", "6455-4.1-v10");
    let request = offering(&["a", "b"]);
    let good = response(&request);
    let accept = header(&good, "Sec-WebSocket-Accept").expect("the response has the header");
    for (name, folded) in [
        ("Upgrade", "Upgrade:\r\n websocket\r\n"),
        ("Upgrade", "Upgrade: websocket\r\n \r\n"),
        ("Connection", "Connection: keep-alive,\r\n\tUpgrade\r\n"),
        ("Connection", "Connection: keep-alive\r\n ,Upgrade\r\n , x\r\n"),
        ("Sec-WebSocket-Accept", &format!("Sec-WebSocket-Accept:\r\n {accept}\r\n")),
        ("Sec-WebSocket-Accept", &format!("Sec-WebSocket-Accept: {accept} \r\n\t\r\n \r\n")),
    ] {
        let folded =
            add(&replace(&good, name, folded), "Set-Cookie: a=b;\r\n Secure\r\nSec-WebSocket-Protocol:\r\n b\r\n");
        let outcome = answered(&request, &folded);
        let opened = first_response(&outcome);
        assert_eq!((opened.status(), opened.subprotocol(), outcome.state), (101, Some("b"), State::Open), "{folded}");
        assert_eq!(opened.headers().get("Set-Cookie"), Some(&b"a=b; Secure"[..]));
        assert_no_line_ends(opened);
    }
    // A fold in the middle of a value is a space there.
    let (start, rest) = accept.split_at(10);
    for (name, folded, kind) in [
        ("Upgrade", "Upgrade: web\r\n socket\r\n", HandshakeErrorKind::MissingUpgrade),
        ("Connection", "Connection: Up\r\n grade\r\n", HandshakeErrorKind::MissingConnectionUpgrade),
        ("Connection", "Connection: close\r\n Upgrade\r\n", HandshakeErrorKind::MissingConnectionUpgrade),
        (
            "Sec-WebSocket-Accept",
            &format!("Sec-WebSocket-Accept: {start}\r\n {rest}\r\n"),
            HandshakeErrorKind::InvalidAccept,
        ),
    ] {
        assert_fails(&request, replace(&good, name, folded), kind);
    }
    // A header folded into another one does not count as a header.
    for name in ["Upgrade", "Connection", "Sec-WebSocket-Accept"] {
        let line =
            good.split_inclusive("\r\n").find(|line| line.starts_with(name)).expect("the response has the header");
        let hidden = add(&replace(&good, name, ""), &format!("X: y\r\n {line}"));
        let failed = answered(&request, &hidden);
        assert!(matches!(failed.events[..], [Event::Closed(_)]) && failed.state == State::Closed, "{hidden}");
    }
}

#[test]
fn folds_are_read_in_body_lengths() {
    rows!("6455-4.1-v1");
    for (lines, body, expected) in [
        ("Content-Length:\r\n 5\r\n", "Hello, you", &b"Hello"[..]),
        ("Content-Length: 5\r\n \t\r\n", "Hello, you", b"Hello"),
        ("Content-Length: 5\r\n , 5\r\n", "Hello, you", b"Hello"),
        ("Transfer-Encoding:\r\n\tchunked\r\n", "2\r\nno\r\n0\r\n\r\n", b"no"),
        ("Transfer-Encoding: gzip,\r\n chunked\r\n", "2\r\nno\r\n0\r\nTrailer: x\r\n y\r\n\r\n", b"no"),
    ] {
        let outcome = answered(&offering(&[]), format!("HTTP/1.1 403 \r\n{lines}\r\n{body}"));
        assert_eq!(first_response(&outcome).body(), expected, "{lines:?}");
    }
    let split = "HTTP/1.1 403 \r\nContent-Length: 1\r\n 2\r\n\r\nHello, you !";
    assert_fails(&offering(&[]), split, HandshakeErrorKind::InvalidContentLength);
}

#[test]
fn folds_are_read_in_a_rejections_headers() {
    rows!("6455-4.4-2", "6455-11.3.5-2");
    let lines = "Retry-After:\r\n 7\r\nSec-WebSocket-Version: 13,\r\n 8\r\n , 7\r\nContent-Length: 0\r\n";
    let outcome = answered(&offering(&[]), format!("HTTP/1.1 426 Upgrade Required\r\n{lines}\r\n"));
    let rejection = first_response(&outcome);
    assert_eq!(rejection.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(rejection.versions().collect::<Vec<u8>>(), [13, 8, 7]);
}

#[test]
fn folds_are_read_in_interim_responses() {
    rows!("6455-4.1-v1c");
    let request = offering(&[]);
    for interim in [
        "HTTP/1.1 103 Early Hints\r\nLink: </style.css>;\r\n rel=preload\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nX:\r\n\ty\r\n \r\n\r\n",
    ] {
        let folded = add(&response(&request), "X: a\r\n b\r\n");
        for last in [response(&request), folded] {
            let outcome = answered(&request, format!("{interim}{interim}{last}"));
            assert_eq!((first_response(&outcome).headers().get("Link"), outcome.state), (None, State::Open));
        }
    }
}

/// RFC 9112 §2.2: a recipient may reject a message with "whitespace between the start-line and the first header field",
/// which is not a fold; and names cannot be folded.
#[test]
fn other_white_space_is_malformed() {
    rows!("6455-4.1-v7");
    let request = offering(&[]);
    let good = response(&request);
    let (first, rest) = good.split_once("\r\n").expect("the head has lines");
    for space in [" ", "\t"] {
        for line in ["", "X: y", "websocket"] {
            let malformed = format!("{first}\r\n{space}{line}\r\n{rest}");
            let offset = assert_fails(&request, malformed, HandshakeErrorKind::MalformedHttp);
            assert_eq!(offset, first.len() as u64 + 2, "the white space itself");
        }
        let malformed = format!("HTTP/1.1 403 \r\n{space}\r\n{space}X: y\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(assert_fails(&request, malformed, HandshakeErrorKind::MalformedHttp), 15);
        for line in [format!("X-A\r\n{space}: b\r\n"), format!("X\r\n{space}-A: b\r\n"), format!("X-A\r\n{space}b\r\n")]
        {
            assert_fails(&request, add(&good, &line), HandshakeErrorKind::MalformedHttp);
        }
        // Line ends must be CRLF here as everywhere.
        for line in [format!("X: a\n{space}b\r\n"), format!("X: a\r{space}b\r\n"), format!("X: a\r\r\n{space}b\r\n")] {
            assert_fails(&request, add(&good, &line), HandshakeErrorKind::MalformedHttp);
        }
    }
}

/// Each line of a folded header counts as one line against the limit, and its bytes count as bytes of the head.
#[test]
fn folded_lines_count_against_the_limits() {
    rows!("6455-4.1-v11");
    let request = offering(&[]);
    let good = response(&request);
    let state = |config: &Config, response: &str| {
        let outcome = every_cut(|| connecting(&request, config.clone()).0, response.as_bytes());
        let kind = outcome.closed().map(|closed| match closed.error() {
            Some(ConnectionError::Handshake(error)) => error.kind(),
            error => panic!("{error:?}"),
        });
        (outcome.state, kind)
    };
    let folded = |folds: usize| add(&good, &format!("X: a\r\n{}", " \r\n".repeat(folds)));
    let config = Config::new().max_headers(7);
    assert_eq!(state(&config, &folded(3)), (State::Open, None));
    assert_eq!(state(&config, &folded(4)), (State::Closed, Some(HandshakeErrorKind::HeadTooLarge)));
    let config = Config::new().max_head_size(folded(20).len());
    assert_eq!(state(&config, &folded(20)), (State::Open, None));
    assert_eq!(state(&config, &folded(21)), (State::Closed, Some(HandshakeErrorKind::HeadTooLarge)));
    // As many lines as the default limit allows.
    assert_eq!(state(&Config::new(), &folded(96)), (State::Open, None));
    assert_eq!(state(&Config::new(), &folded(97)), (State::Closed, Some(HandshakeErrorKind::HeadTooLarge)));
}

/// RFC 9112 §5.2: "A server that receives an obs-fold in a request message [...] MUST either reject the message by
/// sending a 400 (Bad Request) [...] or replace each received obs-fold". This one rejects it where the fold begins.
#[test]
fn a_fold_in_a_request_is_rejected() {
    rows!("6455-4.2.1-15");
    for (folded, _) in FOLDED {
        let request = add(REQUEST, &format!("X-A: {folded}\r\n"));
        let fold = request.find("\r\n ").into_iter().chain(request.find("\r\n\t")).min().expect("it is folded");
        assert_eq!(assert_request_rejected(&request, HandshakeErrorKind::MalformedHttp), fold as u64 + 2);
    }
    // Each of the request's own headers.
    for (at, _) in REQUEST.match_indices(": ") {
        let folded = format!("{}:\r\n {}", &REQUEST[..at], &REQUEST[at + 2..]);
        assert_eq!(assert_request_rejected(folded, HandshakeErrorKind::MalformedHttp), at as u64 + 3);
    }
    // The start of the fold is enough.
    let fold = every_cut(waiting, format!("{}X: y\r\n ", &REQUEST[..REQUEST.len() - 2]).as_bytes());
    assert!(fold.output.starts_with(b"HTTP/1.1 400 ") && fold.state == State::Closed);
}
