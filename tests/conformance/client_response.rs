//! The client's checks of a 101 response (RFC 6455 §4.1, "the client MUST validate the server's response").

use websocket_proto::handshake::Response;
use websocket_proto::{ClientRequest, Closed, Config, Connection, ConnectionError, Event, HandshakeErrorKind, State};

use crate::harness::{Outcome, connecting, every_cut, feed, header, text};
use crate::http::{add, answered, assert_fails, offering, replace, response, some_cuts, with_byte};
use crate::rows;

/// Asserts that the response opens the client at every cut; returns the response as reported.
#[track_caller]
fn assert_opens(request: &ClientRequest, response: &str) -> Response {
    let outcome = answered(request, response);
    assert_eq!((outcome.state, &outcome.output[..]), (State::Open, &b""[..]), "{response}");
    let [Event::Open(opened)] = &outcome.events[..] else { panic!("{response}: {:?}", outcome.events) };
    assert_eq!(opened.status(), 101);
    opened.clone()
}

/// Asserts that a client without offers fails if `lines` replace the response's lines called `name`.
#[track_caller]
fn assert_fails_with(name: &str, lines: &str, kind: HandshakeErrorKind) {
    let request = offering(&[]);
    assert_fails(&request, replace(&response(&request), name, lines), kind);
}

/// Asserts that the client opens if `lines` replace the response's lines called `name`.
#[track_caller]
fn assert_opens_with(name: &str, lines: &str) {
    let request = offering(&[]);
    assert_opens(&request, &replace(&response(&request), name, lines));
}

#[test]
fn interim_responses_are_skipped() {
    rows!("6455-4.1-v1c");
    let request = offering(&[]);
    let last = response(&request);
    for interim in [
        "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 199 \r\nX: y\r\n\r\n",
    ] {
        let opened = assert_opens(&request, &format!("{interim}{last}"));
        assert_eq!(opened.headers().get("Link"), None, "the interim response's own");
    }
}

#[test]
fn upgrade_must_be_exactly_websocket() {
    rows!("6455-4.1-v2", "WS-HS-3");
    for missing in ["", "Upgrade: h2c\r\n", "Upgrade: \r\n", "Upgrade: websockets\r\n", "Upgrade: websocket/13\r\n"] {
        assert_fails_with("Upgrade", missing, HandshakeErrorKind::MissingUpgrade);
    }
    // One connection cannot be switched to two protocols.
    assert_fails_with("Upgrade", "Upgrade: websocket, h2c\r\n", HandshakeErrorKind::MissingUpgrade);
    for good in ["Upgrade: WebSocket\r\n", "upgrade:WEBSOCKET\r\n", "Upgrade:\t websocket \r\n"] {
        assert_opens_with("Upgrade", good);
    }
}

#[test]
fn connection_must_include_upgrade() {
    rows!("6455-4.1-v3", "WS-HS-3");
    for missing in ["", "Connection: close\r\n", "Connection: Upgraded\r\n", "Connection: keep-alive Upgrade\r\n"] {
        assert_fails_with("Connection", missing, HandshakeErrorKind::MissingConnectionUpgrade);
    }
    for good in [
        "Connection: upgrade\r\n",
        "Connection: keep-alive, Upgrade\r\n",
        "Connection: ,UPGRADE ,keep-alive\r\n",
        "Connection: keep-alive\r\nConnection: upgrade\r\n",
        "connection: Upgrade\r\nConnection: keep-alive\r\n",
    ] {
        assert_opens_with("Connection", good);
    }
}

#[test]
fn accept_must_match_the_key() {
    rows!("6455-4.1-v4", "WS-HS-3");
    let request = offering(&[]);
    let good = response(&request);
    let accept = header(&good, "Sec-WebSocket-Accept").expect("the response has the header").to_owned();
    let lower_case = accept.to_ascii_lowercase();
    let unpadded = accept.trim_end_matches('=');
    // The first is the RFC's example, which belongs to another key.
    for wrong in ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "", "x", &lower_case, unpadded, &format!("{accept}=")] {
        let line = format!("Sec-WebSocket-Accept: {wrong}\r\n");
        assert_fails_with("Sec-WebSocket-Accept", &line, HandshakeErrorKind::InvalidAccept);
    }
    assert_fails_with("Sec-WebSocket-Accept", "", HandshakeErrorKind::InvalidAccept);
    for padded in [format!("  {accept}  "), format!("\t{accept}\t "), accept.clone()] {
        assert_opens_with("Sec-WebSocket-Accept", &format!("Sec-WebSocket-Accept:{padded}\r\n"));
    }
}

#[test]
fn a_second_accept_header_fails() {
    rows!("6455-11.3.3-1");
    let request = offering(&[]);
    let good = response(&request);
    let accept = header(&good, "Sec-WebSocket-Accept").expect("the response has the header");
    let again = format!("Sec-WebSocket-Accept: {accept}\r\n");
    assert_fails(&request, add(&good, &again), HandshakeErrorKind::InvalidAccept);
    assert_fails(&request, add(&good, "Sec-WebSocket-Accept: x\r\n"), HandshakeErrorKind::InvalidAccept);
}

/// The client offered none, so any header is wrong: well-formed or not, in one line or in two.
#[test]
fn extensions_without_an_offer_fail() {
    rows!("6455-4.1-v5");
    let request = offering(&[]);
    for value in ["x-foo", "permessage-deflate", "permessage-deflate; =1", ";x", "a b", ",", "", "é"] {
        let line = format!("Sec-WebSocket-Extensions: {value}\r\n");
        assert_fails(&request, add(&response(&request), &line), HandshakeErrorKind::InvalidExtensions);
        assert_fails(&request, add(&response(&request), &line.repeat(2)), HandshakeErrorKind::InvalidExtensions);
    }
}

#[test]
fn the_subprotocol_must_be_an_offered_one() {
    rows!("6455-4.1-v6", "6455-4.1-v7", "6455-11.3.4-2", "6455-8.1-1");
    let two = offering(&["a", "b"]);
    for selected in ["a", "b"] {
        let line = format!("Sec-WebSocket-Protocol: {selected}\r\n");
        assert_eq!(assert_opens(&two, &add(&response(&two), &line)).subprotocol(), Some(selected));
        assert_fails(&offering(&[]), add(&response(&two), &line), HandshakeErrorKind::InvalidSubprotocol);
        let twice = add(&response(&two), &line.repeat(2));
        assert_fails(&two, twice, HandshakeErrorKind::InvalidSubprotocol);
    }
    assert_eq!(assert_opens(&two, &response(&two)).subprotocol(), None);
    for wrong in ["c", "a, b", "a,", "A", "", "a;x"] {
        let line = format!("Sec-WebSocket-Protocol: {wrong}\r\n");
        assert_fails(&two, add(&response(&two), &line), HandshakeErrorKind::InvalidSubprotocol);
    }
    let lines = "Sec-WebSocket-Protocol: a\r\nsec-websocket-protocol: b\r\n";
    assert_fails(&two, add(&response(&two), lines), HandshakeErrorKind::InvalidSubprotocol);
    // Invalid UTF-8 matches no offered subprotocol.
    let not_text = with_byte(0xff, &response(&two), "Sec-WebSocket-Protocol: a?\r\n");
    assert_fails(&two, not_text, HandshakeErrorKind::InvalidSubprotocol);
}

/// RFC 6455 opens where the WHATWG standard fails: `browser_rules` decides.
#[test]
fn no_subprotocol_fails_only_under_browser_rules() {
    rows!("WS-HS-2");
    let (two, none) = (offering(&["a", "b"]), offering(&[]));
    let browser = |request: &ClientRequest, response: &str| {
        let make = || connecting(request, Config::new().browser_rules(true)).0;
        every_cut(make, response.as_bytes())
    };
    let failed = browser(&two, &response(&two));
    assert_eq!(handshake_error(&failed), Some(HandshakeErrorKind::MissingSubprotocol));
    assert_eq!((failed.events.len(), failed.output.len(), failed.state), (1, 0, State::Closed));
    let empty = browser(&two, &add(&response(&two), "Sec-WebSocket-Protocol: \r\n"));
    assert_eq!(handshake_error(&empty), Some(HandshakeErrorKind::InvalidSubprotocol));
    assert_eq!(browser(&two, &add(&response(&two), "Sec-WebSocket-Protocol: b\r\n")).state, State::Open);
    assert_eq!(browser(&none, &response(&none)).state, State::Open);
    assert_opens(&two, &response(&two));
}

/// WHATWG: "Establish a WebSocket connection", and that is RFC 6455 §4.1, 2 to 6.
#[test]
fn a_browser_checks_the_response_as_well() {
    rows!("WS-HS-1", "WS-HS-3");
    let two = offering(&["a", "b"]);
    let good = add(&response(&two), "Sec-WebSocket-Protocol: a\r\n");
    let make = || connecting(&two, Config::new().browser_rules(true)).0;
    assert_eq!(every_cut(make, good.as_bytes()).state, State::Open);
    for (name, lines, kind) in [
        ("Upgrade", "", HandshakeErrorKind::MissingUpgrade),
        ("Upgrade", "Upgrade: h2c\r\n", HandshakeErrorKind::MissingUpgrade),
        ("Connection", "", HandshakeErrorKind::MissingConnectionUpgrade),
        ("Connection", "Connection: close\r\n", HandshakeErrorKind::MissingConnectionUpgrade),
        ("Sec-WebSocket-Accept", "", HandshakeErrorKind::InvalidAccept),
        ("Sec-WebSocket-Accept", "Sec-WebSocket-Accept: x\r\n", HandshakeErrorKind::InvalidAccept),
        ("Sec-WebSocket-Protocol", "Sec-WebSocket-Protocol: c\r\n", HandshakeErrorKind::InvalidSubprotocol),
        (
            "Sec-WebSocket-Protocol",
            "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Extensions: x-foo\r\n",
            HandshakeErrorKind::InvalidExtensions,
        ),
    ] {
        let outcome = every_cut(make, replace(&good, name, lines).as_bytes());
        assert_eq!(handshake_error(&outcome), Some(kind), "{lines}");
        assert_eq!((outcome.events.len(), outcome.output.len(), outcome.state), (1, 0, State::Closed), "{lines}");
    }
    // Any other status fails it, and no redirect is followed.
    for status in ["200", "302", "401"] {
        let rejection = add(&good.replace(" 101 ", &format!(" {status} ")), "Content-Length: 0\r\n");
        let outcome = every_cut(make, rejection.as_bytes());
        let kind = HandshakeErrorKind::Rejected(status.parse().expect("a number"));
        assert_eq!((handshake_error(&outcome), outcome.output.len(), outcome.state), (Some(kind), 0, State::Closed));
    }
}

fn handshake_error(outcome: &Outcome) -> Option<HandshakeErrorKind> {
    match outcome.closed()?.error()? {
        ConnectionError::Handshake(error) => Some(error.kind()),
        _ => None,
    }
}

#[test]
fn malformed_http_fails() {
    rows!("6455-4.1-v7", "6455-7.2.1-1", "6455-7.1.4-2");
    let request = offering(&[]);
    let good = response(&request);
    assert_fails(&request, good.replace("HTTP/1.1", "HTTP/1.0"), HandshakeErrorKind::HttpVersionTooOld);
    assert_fails(&request, format!("\r\n{good}"), HandshakeErrorKind::MalformedHttp);
    for line in ["X-A : b\r\n", "X-A\r\n", ": b\r\n", "X A: b\r\n", "X-A: b\n", "X-A: \rb\r\n", "X: \0\r\n"] {
        assert_fails(&request, add(&good, line), HandshakeErrorKind::MalformedHttp);
    }
    for no_http in
        ["SSH-2.0-OpenSSH_9.9\r\n\r\n", "\r\n\r\n", "HTTP/1.1\r\n\r\n", "HTTP/1.1 abc x\r\n\r\n", "\x16\x03\x01"]
    {
        assert_fails(&request, no_http, HandshakeErrorKind::MalformedHttp);
    }
    assert_fails(&request, good.replace("\r\n", "\n"), HandshakeErrorKind::MalformedHttp);
    assert_fails(&request, good.replace(" 101 ", " 099 "), HandshakeErrorKind::MalformedHttp);
    assert_fails(&request, b"\x81\x05Hello", HandshakeErrorKind::MalformedHttp);
    assert_fails(&request, "HTTP/2.0 101 x\r\n\r\n", HandshakeErrorKind::UnsupportedHttpVersion);
}

#[test]
fn header_names_are_case_insensitive() {
    rows!("6455-4.1-v8");
    let request = offering(&["a"]);
    let good = add(&response(&request), "Sec-WebSocket-Protocol: a\r\n");
    let cased = |case: fn(&str) -> String| {
        let lines = good.split_inclusive("\r\n").map(|line| match line.split_once(':') {
            Some((name, value)) => format!("{}:{value}", case(name)),
            None => line.to_owned(),
        });
        lines.collect::<String>()
    };
    for response in [cased(str::to_ascii_lowercase), cased(str::to_ascii_uppercase)] {
        assert_eq!(assert_opens(&request, &response).subprotocol(), Some("a"));
    }
}

#[test]
fn an_open_client_knows_its_response_and_subprotocol() {
    rows!("6455-4.1-v9", "WS-STATE-1", "WS-STATE-4");
    let request = offering(&["a", "b"]);
    let further = "Set-Cookie: x=1\r\nServer: y\r\nset-cookie: z=2\r\nSec-WebSocket-Protocol: b\r\n";
    let mut response = add(&response(&request), further).into_bytes();
    let last = response.pop().expect("it is not empty");

    let (mut client, _) = connecting(&request, Config::new());
    let outcome = feed(&mut client, [&response[..]]);
    assert_eq!((outcome.events.len(), client.state(), client.subprotocol()), (0, State::Connecting, None));
    let outcome = feed(&mut client, [&[last][..]]);
    assert_eq!((client.state(), client.subprotocol()), (State::Open, Some("b")));

    let [Event::Open(opened)] = &outcome.events[..] else { panic!("{:?}", outcome.events) };
    assert_eq!((opened.status(), opened.subprotocol(), opened.body()), (101, Some("b"), &b""[..]));
    let cookies: Vec<&[u8]> = opened.headers().get_all("Set-Cookie").collect();
    assert_eq!(cookies, [b"x=1", b"z=2"]);
    let names: Vec<&str> = opened.headers().iter().map(|(name, _)| name).skip(3).collect();
    assert_eq!(names, ["Set-Cookie", "Server", "set-cookie", "Sec-WebSocket-Protocol"]);

    // The subprotocol stays known until after the end.
    feed(&mut client, [b"\x88\0".as_slice()]);
    assert_eq!((client.state(), client.subprotocol()), (State::Closing, Some("b")));
    client.receive_eof();
    assert_eq!((client.state(), client.subprotocol()), (State::Closed, Some("b")));
}

#[test]
fn frames_follow_the_empty_line() {
    rows!("6455-4.1-v10");
    let request = offering(&[]);
    let mut input = response(&request).into_bytes();
    input.extend(b"\x81\x05Hello\x81\x02, ");
    let outcome = answered(&request, &input);
    let [Event::Open(_), hello, comma] = &outcome.events[..] else { panic!("{:?}", outcome.events) };
    assert_eq!((hello, comma), (&text("Hello"), &text(", ")));
}

/// A client reads a head without an end up to the limit and ignores the rest of 64 MiB.
#[test]
fn a_head_without_end_fails_at_the_limit() {
    rows!("6455-4.1-v11");
    let line = format!("X-Filler: {}\r\n", "a".repeat(1012));
    for endless in [line.repeat(64), "a".repeat(64 << 10)] {
        let (mut client, _) = connecting(&offering(&[]), Config::new());
        let status_line = b"HTTP/1.1 101 Switching Protocols\r\n".as_slice();
        let pieces = std::iter::once(status_line).chain(std::iter::repeat_n(endless.as_bytes(), 1024));
        let outcome = feed(&mut client, pieces);
        let Some(ConnectionError::Handshake(error)) = outcome.closed().and_then(Closed::error) else {
            panic!("{outcome:?}")
        };
        assert_eq!((error.kind(), error.offset()), (HandshakeErrorKind::HeadTooLarge, 16 << 10));
        assert_eq!((outcome.events.len(), outcome.output.len()), (1, 0));
    }
}

#[test]
fn head_limits_are_exact_in_bytes_and_lines() {
    rows!("6455-4.1-v11");
    let request = offering(&[]);
    let make = |config: Config| move || connecting(&offering(&[]), config.clone()).0;
    let good = response(&request);
    let lines = |count: usize| add(&good, &"X: y\r\n".repeat(count - 3));
    let bytes = |count: usize| add(&good, &format!("X: {}\r\n", "y".repeat(count - good.len() - 5)));
    let too_large = Some(HandshakeErrorKind::HeadTooLarge);
    // The default limits.
    assert_eq!(bytes(16 << 10).len(), 16 << 10);
    assert_eq!(some_cuts(make(Config::new()), bytes(16 << 10).as_bytes()).state, State::Open);
    assert_eq!(handshake_error(&some_cuts(make(Config::new()), bytes((16 << 10) + 1).as_bytes())), too_large);
    assert_eq!(some_cuts(make(Config::new()), lines(100).as_bytes()).state, State::Open);
    assert_eq!(handshake_error(&some_cuts(make(Config::new()), lines(101).as_bytes())), too_large);
    // The caller's limits.
    let small = Config::new().max_head_size(300).max_headers(5);
    assert_eq!(every_cut(make(small.clone()), bytes(300).as_bytes()).state, State::Open);
    assert_eq!(handshake_error(&every_cut(make(small.clone()), bytes(301).as_bytes())), too_large);
    assert_eq!(every_cut(make(small.clone()), lines(5).as_bytes()).state, State::Open);
    assert_eq!(handshake_error(&every_cut(make(small.clone()), lines(6).as_bytes())), too_large);
    // Interim responses count against the same limit as the final response.
    let interim = "HTTP/1.1 103 Early Hints\r\n\r\n";
    let with_interim = |count: usize| format!("{interim}{}", bytes(count - interim.len()));
    assert_eq!(every_cut(make(small.clone()), with_interim(300).as_bytes()).state, State::Open);
    assert_eq!(handshake_error(&every_cut(make(small), with_interim(301).as_bytes())), too_large);
}

/// Each byte of a head is read once: starting again with every read would take too long here.
#[test]
fn a_head_in_single_bytes_costs_no_more_than_its_length() {
    rows!("6455-4.1-v11");
    let config = Config::new().max_head_size(2 << 20).max_headers(40_000);
    let request = offering(&[]);
    let mut ws = connecting(&request, config).0;
    // One long line, and many short ones, without an end and with one.
    let filler = format!("X: {}\r\n", "y".repeat(500_000)) + &"X: 0123456789\r\n".repeat(30_000);
    let response = add(&response(&request), &filler);
    let outcome = feed(&mut ws, response.as_bytes().chunks(1));
    assert_eq!((outcome.events.len(), ws.state()), (1, State::Open));
}

/// RFC 9110 §15.2 sets no number of interim responses: the limit does.
#[test]
fn endless_interim_responses_fail_at_the_limit() {
    rows!("6455-4.1-v1c", "6455-4.1-v11");
    let endless = "HTTP/1.1 100 \r\n\r\n".repeat(1000);
    let make = || -> Connection { connecting(&offering(&[]), Config::new()).0 };
    let outcome = some_cuts(make, endless.as_bytes());
    assert_eq!(handshake_error(&outcome), Some(HandshakeErrorKind::HeadTooLarge));
    assert_eq!(outcome.events.len(), 1);
}
