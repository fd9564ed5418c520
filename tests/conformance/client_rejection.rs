//! A client's handling of statuses other than 101, and of a stream that ends before the handshake does.

use websocket_proto::{
    CloseCode, Config, Connection, ConnectionError, Event, HandshakeErrorKind, Input, Output, State, Timeout,
};

use crate::harness::{Outcome, connecting, every_cut, feed};
use crate::http::{add, answered, assert_fails, offering, response};
use crate::rows;

/// Asserts that the client reports the response and then the end at every cut, without writing anything or waiting for
/// the end of the stream; returns the body.
#[track_caller]
fn rejected_body(response: impl AsRef<[u8]>, status: u16) -> Vec<u8> {
    let (outcome, what) = (answered(&offering(&[]), &response), String::from_utf8_lossy(response.as_ref()));
    assert_eq!((&outcome.output[..], outcome.state), (&b""[..], State::Closed), "{what}");
    assert_rejected(&outcome.events, status, &what)
}

/// The same for a response whose body ends with the stream: at any cut, nothing is reported before that.
#[track_caller]
fn rejected_body_at_end(response: impl AsRef<[u8]>, status: u16) -> Vec<u8> {
    let (response, what) = (response.as_ref(), String::from_utf8_lossy(response.as_ref()));
    let rejected_body = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut client = client();
        let outcome = feed(&mut client, pieces);
        assert_eq!((&outcome.events[..], &outcome.output[..], outcome.state), (&[][..], &b""[..], State::Connecting));
        let body = assert_rejected(&end(&mut client), status, &what);
        assert!(client.is_closed(), "{what}");
        body
    };
    let body = rejected_body(&mut [response].into_iter());
    assert_eq!(rejected_body(&mut response.chunks(1)), body, "{what}");
    for cut in 0..=response.len() {
        let (before, after) = response.split_at(cut);
        assert_eq!(rejected_body(&mut [before, after].into_iter()), body, "cut at {cut}: {what}");
    }
    body
}

/// Asserts that the events are a response with this final status, and the end; returns the body.
#[track_caller]
fn assert_rejected(events: &[Event<'static>], status: u16, what: &str) -> Vec<u8> {
    let [Event::Rejected(response), Event::Closed(closed)] = events else { panic!("{what}: {events:?}") };
    assert_eq!((response.status(), response.subprotocol()), (status, None), "{what}");
    let Some(ConnectionError::Handshake(error)) = closed.error() else { panic!("{what}: {closed:?}") };
    assert_eq!((error.kind(), error.status()), (HandshakeErrorKind::Rejected(status), status), "{what}");
    // The status line reports the status, not the body.
    let status_line = what.find(&format!(" {status} ")).expect("the response has the status");
    let head_end = status_line + what[status_line..].find("\r\n\r\n").expect("the head ends") + 4;
    assert_eq!(error.offset(), head_end as u64, "{what}");
    assert_eq!((closed.code(), closed.was_clean()), (1006, false), "{what}");
    response.body().to_vec()
}

fn client() -> Connection {
    connecting(&offering(&[]), Config::new()).0
}

/// Signals the end of the stream and collects the events until none are left.
fn end(client: &mut Connection) -> Vec<Event<'static>> {
    std::iter::from_fn(|| client.receive_eof()).collect()
}

#[test]
fn any_other_status_is_reported_as_a_rejection() {
    rows!("6455-4.1-v1", "WS-HS-1", "6455-7.2.1-1", "6455-7.1.4-2");
    let with_body = "Content-Type: text/plain\r\nContent-Length: 12\r\n\r\nlog in first";
    assert_eq!(rejected_body(format!("HTTP/1.1 401 Unauthorized\r\n{with_body}"), 401), b"log in first");
    assert_eq!(rejected_body("HTTP/1.0 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno", 503), b"no");
    for status in [200, 204, 302, 304, 400, 404, 426, 500, 599] {
        assert_eq!(rejected_body(format!("HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n"), status), b"");
    }
    // A complete opening response, except for its status.
    assert_eq!(rejected_body_at_end(response(&offering(&[])).replace(" 101 ", " 200 "), 200), b"");
    // An interim response may come first.
    assert_eq!(rejected_body("HTTP/1.1 103 \r\n\r\nHTTP/1.1 403 Forbidden\r\nContent-Length: 1\r\n\r\nx", 403), b"x");
}

#[test]
fn redirects_and_challenges_are_left_to_the_application() {
    rows!("6455-4.1-v1b", "WS-HS-1");
    let redirect = "HTTP/1.1 302 Found\r\nLocation: wss://other.example/\r\nContent-Length: 0\r\n\r\n";
    let challenge = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nwww-authenticate: Digest\r\n\
        Content-Length: 0\r\n\r\n";
    for (response, status, name, values) in [
        (redirect, 302, "Location", &["wss://other.example/"][..]),
        (challenge, 401, "WWW-Authenticate", &["Basic", "Digest"][..]),
    ] {
        // `rejected_body` also asserts that no second request is written.
        rejected_body(response, status);
        let outcome = feed(&mut client(), [response.as_bytes()]);
        let Some(Event::Rejected(response)) = outcome.events.first() else { panic!("{outcome:?}") };
        let found: Vec<_> = response.headers().get_all(name).map(String::from_utf8_lossy).collect();
        assert_eq!(found, values);
    }
}

#[test]
fn the_servers_versions_are_listed() {
    rows!("6455-4.4-2", "6455-11.3.5-2");
    for lines in [
        "Sec-WebSocket-Version: 13, 8, 7\r\n",
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 8, 7\r\n",
        "sec-websocket-version:13 ,,8\r\nSec-WebSocket-Version:7,\r\n",
        "Sec-WebSocket-Version: 13, x, 8, 256, -1, +5, 09, 7\r\n",
    ] {
        let response = add("HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n", lines);
        rejected_body(&response, 426);
        let outcome = feed(&mut client(), [response.as_bytes()]);
        let Some(Event::Rejected(response)) = outcome.events.first() else { panic!("{outcome:?}") };
        assert_eq!(response.versions().collect::<Vec<u8>>(), [13, 8, 7], "{lines}");
    }
}

#[test]
fn a_body_ends_at_its_content_length() {
    rows!("6455-4.1-v1");
    let rejection = |lines: &str, body: &str| format!("HTTP/1.1 403 Forbidden\r\n{lines}\r\n{body}");
    assert_eq!(rejected_body(rejection("Content-Length: 5\r\n", "Hello"), 403), b"Hello");
    // Bytes after the body are ignored.
    assert_eq!(rejected_body(rejection("content-length:5\r\n", "Hello, HTTP/1.1 200 OK\r\n\r\n"), 403), b"Hello");
    // RFC 9112 §6.3, 5: a list of equal lengths, in one header or in several, is that length.
    for lines in [
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5\r\ncontent-length: 5\r\n",
        "Content-Length: ,5 ,,\t5\r\nContent-Length: 5\r\n",
    ] {
        assert_eq!(rejected_body(rejection(lines, "Hello, you"), 403), b"Hello");
    }
}

/// RFC 9112 §6.3, 1: 204 and 304 have no body, whatever their headers say.
#[test]
fn statuses_204_and_304_have_no_body() {
    rows!("6455-4.1-v1");
    for status in [204, 304] {
        for lines in [
            "",
            "Content-Length: 5\r\n",
            "Content-Length: x\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip\r\n",
        ] {
            assert_eq!(rejected_body(format!("HTTP/1.1 {status} x\r\n{lines}\r\nHello"), status), b"");
        }
    }
}

/// RFC 9112 §6.3, 5: "the user agent MUST close the connection to the server and discard the received response."
#[test]
fn invalid_content_lengths_fail() {
    rows!("6455-4.1-v1", "6455-4.1-v7");
    for value in ["", ",", "x", "-1", "+5", "5 5", "5;", "0x5", "5.0", "5, x", "5, 6", "é"] {
        // Empty list elements are ignored.
        let another = if matches!(value, "" | ",") { "7, 8" } else { "7" };
        let head = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {value}\r\n\r\n");
        let kind = HandshakeErrorKind::InvalidContentLength;
        assert_eq!(assert_fails(&offering(&[]), format!("{head}Hello"), kind), head.len() as u64);
        let twice = add(&head, &format!("Content-Length: {another}\r\n"));
        assert_eq!(assert_fails(&offering(&[]), format!("{twice}Hello"), kind), twice.len() as u64);
        // §6.3, 3: Transfer-Encoding overrides it.
        let chunked = add(&head, "Transfer-Encoding: chunked\r\n");
        assert_eq!(rejected_body(format!("{chunked}5\r\nHello\r\n0\r\n\r\n"), 403), b"Hello");
        let gzip = add(&head, "Transfer-Encoding: gzip\r\n");
        assert_eq!(rejected_body_at_end(format!("{gzip}Hello"), 403), b"Hello");
    }
}

/// RFC 9112 §6.3, 8 and 4: without a length, or with a transfer coding that ends in another way, the body ends with the
/// stream.
#[test]
fn bodies_without_a_length_end_with_the_stream() {
    rows!("6455-4.1-v1");
    let rejection = |lines: &str, body: &str| format!("HTTP/1.1 503 Service Unavailable\r\n{lines}\r\n{body}");
    assert_eq!(rejected_body_at_end(rejection("Connection: close\r\n", "down until noon"), 503), b"down until noon");
    assert_eq!(rejected_body_at_end(rejection("", ""), 503), b"");
    assert_eq!(rejected_body_at_end("HTTP/1.0 503 \r\n\r\nno", 503), b"no");
    for coding in ["gzip", "chunked, gzip", "chunkedly", "identity", ""] {
        let lines = format!("Transfer-Encoding: {coding}\r\nContent-Length: 2\r\n");
        assert_eq!(rejected_body_at_end(rejection(&lines, "5\r\nHello"), 503), b"5\r\nHello", "{coding}");
    }
    // A second response after the head is part of the body.
    assert_eq!(rejected_body_at_end(rejection("", "HTTP/1.1 101 \r\n\r\n"), 503), b"HTTP/1.1 101 \r\n\r\n");
    // An interim response may come first.
    assert_eq!(rejected_body_at_end("HTTP/1.1 103 \r\n\r\nHTTP/1.1 403 Forbidden\r\n\r\nno", 403), b"no");
}

/// A timeout, or the caller's own `close`, does not lose a response whose body is incomplete.
#[test]
fn an_incomplete_body_is_reported_on_timeout_and_close() {
    type Stop = fn(&mut Connection, &mut Output);
    rows!("6455-4.1-v1", "6455-7.1.4-2");
    let stops: [Stop; 3] = [
        |client, output| client.time_out(Timeout::Handshake, output),
        |client, output| client.close(CloseCode::GOING_AWAY, "bye", output),
        |client, output| client.close_without_code(output),
    ];
    for line in ["Connection: close", "Transfer-Encoding: gzip", "Content-Length: 9", "Transfer-Encoding: chunked"] {
        let head = format!("HTTP/1.1 503 Busy\r\n{line}\r\n\r\n");
        let body = if line.ends_with("chunked") { "9\r\ndown" } else { "down" };
        for stop in stops {
            for cut in 0..=body.len() {
                let (mut client, mut output) = (client(), Output::new());
                let outcome = feed(&mut client, [head.as_bytes(), &body.as_bytes()[..cut]]);
                assert_eq!((outcome.events.len(), client.state()), (0, State::Connecting));
                stop(&mut client, &mut output);
                assert!(client.is_closed() && output.is_empty());
                let came = assert_rejected(&end(&mut client), 503, &head);
                assert_eq!(came, &b"down"[..cut.saturating_sub(body.len() - 4)], "{line}: {cut}");
                assert_eq!(feed(&mut client, [&b"late"[..]]).events, []);
            }
        }
    }
}

#[test]
fn chunked_bodies_are_decoded() {
    rows!("6455-4.1-v1");
    let rejection = |lines: &str, body: &str| format!("HTTP/1.1 403 Forbidden\r\n{lines}\r\n{body}");
    let chunked = |body: &str| rejected_body(rejection("Transfer-Encoding: chunked\r\n", body), 403);
    assert_eq!(chunked("5\r\nHello\r\n0\r\n\r\n"), b"Hello");
    assert_eq!(chunked("5\r\nHello\r\n2;ext=\"1\"\r\n, \r\n05\r\nthere\r\n000\r\n\r\n"), b"Hello, there");
    assert_eq!(chunked("A\r\n0123456789\r\na\r\nabcdefghij\r\n0\r\nTrailer: x\r\n\r\n"), b"0123456789abcdefghij");
    // Line ends and chunk sizes inside the data are data.
    assert_eq!(chunked("7\r\n0\r\n\r\n5\r\n\r\n0\r\n\r\n"), b"0\r\n\r\n5\r");
    assert_eq!(chunked("0\r\n\r\n"), b"");
    assert_eq!(chunked("0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), b"");
    assert_eq!(chunked("1\r\na\r\n0\r\n\r\n3\r\nxyz\r\n"), b"a", "the last chunk is the last");
    // RFC 9112 §7.1: a size may have any number of digits.
    assert_eq!(chunked("00000000000000000005\r\nHello\r\n000000000000000000000000000000000\r\n\r\n"), b"Hello");
    let huge = rejection("Transfer-Encoding: chunked\r\n", "10000000000000000005\r\nHello\r\n0\r\n\r\n");
    assert_eq!(rejected_body_at_end(huge, 403), b"Hello\r\n0\r\n\r\n");
    // The body ends at a malformed chunk.
    assert_eq!(chunked("5\r\nHello\r\nzz\r\nx"), b"Hello");
    assert_eq!(chunked("\r\n"), b"");
    // RFC 9112 §6.3: Transfer-Encoding overrides Content-Length.
    let both = rejection("Content-Length: 3\r\nTransfer-Encoding: gzip, Chunked\r\n", "5\r\nHello\r\n0\r\n\r\n");
    assert_eq!(rejected_body(both, 403), b"Hello");
}

#[test]
fn bodies_are_cut_at_the_head_limit() {
    rows!("6455-4.1-v11");
    let make = || connecting(&offering(&[]), Config::new().max_head_size(64)).0;
    let body_of = |response: &str| {
        let outcome = every_cut(make, response.as_bytes());
        assert_rejected(&outcome.events, 403, response)
    };
    let long = "x".repeat(1000);
    for length in ["1000", "18446744073709551615"] {
        let response = format!("HTTP/1.1 403 \r\nContent-Length: {length}\r\n\r\n{long}");
        assert_eq!(body_of(&response), [b'x'; 64]);
    }
    // The chunk headers count against the limit, too.
    let response = format!("HTTP/1.1 403 \r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n{long}");
    assert_eq!(body_of(&response), [b'x'; 59]);
    let response = format!("HTTP/1.1 403 \r\nTransfer-Encoding: chunked\r\n\r\n1;{long}");
    assert_eq!(body_of(&response), b"");
    // Without a length, the body ends at the limit.
    for line in ["", "Transfer-Encoding: gzip\r\n"] {
        assert_eq!(body_of(&format!("HTTP/1.1 403 \r\n{line}\r\n{long}")), [b'x'; 64]);
        assert_eq!(body_of(&format!("HTTP/1.1 403 \r\n{line}\r\n{}", &long[..64])), [b'x'; 64]);
    }
}

#[test]
fn eof_inside_the_response_head_is_an_incomplete_handshake() {
    rows!("6455-4.1-a8", "6455-7.1.4-2", "6455-7.2.1-1");
    let request = offering(&[]);
    let response = format!("HTTP/1.1 103 Early Hints\r\n\r\n{}", response(&request));
    for cut in 0..response.len() {
        let mut client = client();
        let outcome = feed(&mut client, [&response.as_bytes()[..cut]]);
        assert_eq!((outcome.events.len(), client.state()), (0, State::Connecting), "{cut}");
        let [Event::Closed(closed)] = &end(&mut client)[..] else { panic!("not exactly one end at {cut}") };
        let Some(ConnectionError::Handshake(error)) = closed.error() else { panic!("{cut}: {closed:?}") };
        assert_eq!((error.kind(), error.offset()), (HandshakeErrorKind::IncompleteHead, cut as u64));
        assert_eq!((closed.code(), closed.was_clean()), (1006, false));
        assert!(client.is_closed() && outcome.output.is_empty());
        assert_eq!(feed(&mut client, [response.as_bytes()]).events, [], "nothing after the end");
    }
}

#[test]
fn eof_inside_a_rejections_body_reports_the_partial_body() {
    rows!("6455-4.1-v1", "6455-4.1-a8");
    let lengthy = ("Content-Length: 10\r\n", "Hello, you");
    let chunked = ("Transfer-Encoding: chunked\r\n", "5\r\nHello\r\n5\r\n, you\r\n0\r\nTrailer: x\r\n folded\r\n\r\n");
    for (line, body) in [lengthy, chunked] {
        let head = format!("HTTP/1.1 403 Forbidden\r\n{line}\r\n");
        let whole = rejected_body(format!("{head}{body}"), 403);
        assert_eq!(whole, b"Hello, you");
        // The body is complete after the last chunk; trailers are not awaited.
        let body = body.split_once("Trailer").map_or(body, |(chunks, _)| chunks);
        for cut in 0..body.len() {
            let mut client = client();
            let outcome = feed(&mut client, [head.as_bytes(), &body.as_bytes()[..cut]]);
            assert_eq!((outcome.events.len(), client.state()), (0, State::Connecting), "{cut}");
            let partial = assert_rejected(&end(&mut client), 403, &head);
            assert!(whole.starts_with(&partial) && partial.len() <= cut, "{cut}: {partial:?}");
            assert!(line.starts_with('T') || partial.len() == cut, "the available part: {cut}: {partial:?}");
            assert!(client.is_closed() && outcome.output.is_empty());
        }
    }
}

/// A rejection reported before the end of the stream is not reported again.
#[test]
fn a_rejection_is_reported_once() {
    rows!("6455-7.1.4-2");
    let no_body = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let mut closed_by_eof = client();
    let (mut input, mut output) = (no_body.as_bytes().to_vec(), Output::new());
    let mut input = Input::new(&mut input);
    let rejected = closed_by_eof.receive(&mut input, &mut output);
    assert!(matches!(rejected, Some(Event::Rejected(_))) && closed_by_eof.is_closed());
    assert!(matches!(end(&mut closed_by_eof)[..], [Event::Closed(_)]));

    let mut closed_before = client();
    let Outcome { events, .. } = feed(&mut closed_before, [no_body.as_bytes()]);
    assert_eq!((events.len(), end(&mut closed_before)), (2, vec![]));
}
