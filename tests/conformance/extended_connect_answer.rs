//! The answer to an extended CONNECT (RFC 8441 §5, RFC 9220 §3), and the connection over its stream.
//!
//! `every_cut` shows that the frames are the same: it repeats each of its inputs on an upgraded connection.

use websocket_proto::frame::Opcode;
use websocket_proto::handshake::{Bootstrap, Negotiated};
use websocket_proto::{
    Accept, CloseCode, Config, Connection, ConnectionError, Event, HandshakeErrorKind, Output, Reject, Role, State,
};

use crate::extended_connect::{Fields, checked, fields, owned, parse, rfc_request};
use crate::harness::{self, REQUEST, assert_failed, drain, feed, frames, from_peer_of, text};
use crate::http::{offering, parsed, waiting};
use crate::rows;
use crate::shared::wired::ROLES;

#[test]
fn any_2xx_opens() {
    rows!("8441-5-7");
    for status in [200, 201, 204, 206, 299] {
        assert_eq!(checked(&[], status, &Fields::new()), Ok(Negotiated::default()));
    }
    for status in [0, 100, 101, 103, 199, 300, 302, 401, 403, 404, 426, 501, 503, 599, u16::MAX] {
        assert_eq!(checked(&[], status, &Fields::new()), Err(HandshakeErrorKind::Rejected(status)));
    }
    // Client errors are mapped to 400, in case a server answers with them.
    for bootstrap in [Bootstrap::Upgrade, Bootstrap::ExtendedConnect] {
        assert_eq!(
            [101, 200, 302].map(|status| HandshakeErrorKind::Rejected(status).answer(bootstrap, "GET").status()),
            [400; 3]
        );
    }
    // A list as an HPACK decoder gives it, with `:status`.
    let decoded = fields(&[(":status", "200"), ("sec-websocket-protocol", "a")]);
    assert_eq!(checked(&["a"], 200, &decoded), Ok(Negotiated::with_subprotocol("a")));
    // For an upgrade, only 101 opens.
    let upgrade = || offering(&[]).upgrade(&Config::new(), [1; 16]).expect("the request is valid");
    for status in [200, 204, 426] {
        let rejected = upgrade().check(status, [("Upgrade", "websocket")]);
        assert_eq!(rejected.err(), Some(HandshakeErrorKind::Rejected(status)));
    }
}

/// `client_response.rs` has the same checks for HTTP/1.1.
#[test]
fn the_response_is_checked_as_in_http1() {
    rows!("8441-5-8");
    let selected = |name: &str| fields(&[("sec-websocket-protocol", name)]);
    for name in ["a", "b"] {
        assert_eq!(checked(&["a", "b"], 200, &selected(name)), Ok(Negotiated::with_subprotocol(name)));
        let twice = [selected(name), selected(name)].concat();
        assert_eq!(checked(&["a", "b"], 200, &twice), Err(HandshakeErrorKind::InvalidSubprotocol));
        assert_eq!(checked(&[], 200, &selected(name)), Err(HandshakeErrorKind::InvalidSubprotocol));
    }
    for other in ["c", "A", "a, b", ""] {
        assert_eq!(checked(&["a", "b"], 200, &selected(other)), Err(HandshakeErrorKind::InvalidSubprotocol), "{other}");
    }
    for value in ["x-foo", "permessage-deflate", ";x", "a b", ",", ""] {
        let answered = fields(&[("sec-websocket-extensions", value)]);
        assert_eq!(checked(&[], 200, &answered), Err(HandshakeErrorKind::InvalidExtensions), "{value}");
    }
    assert_eq!(checked(&["a"], 200, &Fields::new()), Ok(Negotiated::default()));
    let browser = offering(&["a"]).extended_connect(&Config::new().browser_rules(true)).expect("the request is valid");
    assert_eq!(browser.check(200, Fields::new()).err(), Some(HandshakeErrorKind::MissingSubprotocol));
}

#[test]
fn a_rejection_carries_its_status_headers_and_body() {
    rows!("9220-3-4", "8441-5-7");
    let problem =
        Reject::new(501).expect("the status is a rejection").header("Content-Type", "application/problem+json");
    let answer = parse(&rfc_request()).reject(&problem.expect("a valid header").body("{}"));
    assert_eq!((answer.status(), answer.body()), (501, b"{}".as_slice()));
    assert_eq!(owned(answer.headers().iter()), fields(&[("content-type", "application/problem+json")]));
    let rejected = checked(&[], answer.status(), &owned(answer.headers().iter()));
    assert_eq!(rejected, Err(HandshakeErrorKind::Rejected(501)));
}

/// A connection that reads HTTP/1.1 itself accepts neither a request from HTTP/2 nor a request from the parser.
#[test]
fn a_connection_answers_its_own_request() {
    rows!("8441-5-7");
    let mut output = Output::new();
    let mut deciding = waiting();
    let mut events = harness::feed_with(&mut deciding, [REQUEST.as_bytes()], &|_, event, _| Some(event)).events;
    for mut server in [deciding, waiting(), harness::server(), upgraded(Role::Server)] {
        let state = server.state();
        for request in [parse(&rfc_request()), parsed(REQUEST)] {
            let rejected = server
                .accept_with(request, &Accept::new(), &mut output)
                .expect_err("the request is another connection's");
            server.reject(rejected.into_request(), &Reject::forbidden(), &mut output);
        }
        assert_eq!((server.state(), output.is_empty()), (state, true));
        if let Some(Event::Request(own)) = events.pop() {
            server.accept(own, &mut output);
            assert_eq!(server.state(), State::Open);
            drain(&mut output);
        }
    }
}

/// A connection of this role over a stream that an extended CONNECT opened.
fn upgraded(role: Role) -> Connection {
    let negotiated = match role {
        Role::Server => parse(&rfc_request()).accept(&Accept::new(), &Config::new()).expect("the answer is valid").1,
        Role::Client => checked(&[], 200, &Fields::new()).expect("the handshake succeeds"),
    };
    Connection::upgraded(role, negotiated, Config::new(), [7; 32])
}

#[test]
fn an_upgraded_connection_exchanges_frames() {
    rows!("8441-5-9", "9220-3-1");
    for role in ROLES {
        let mut ws = upgraded(role);
        assert_eq!((ws.role(), ws.state(), ws.subprotocol()), (role, State::Open, None));
        let mut output = Output::new();
        ws.send_text("Hello", &mut output).expect("the connection is open");
        let outcome = feed(&mut ws, [&from_peer_of(role, &[(0x81, b"Hello"), (0x89, b"?"), (0x88, b"\x03\xe8")])[..]]);
        assert_eq!(outcome.events[..2], [text("Hello"), harness::ping(b"?")]);
        let sent = frames(&[drain(&mut output), outcome.output].concat());
        let kinds: Vec<_> = sent.iter().map(|(header, _)| header.opcode).collect();
        assert_eq!(kinds, [Opcode::Text, Opcode::Pong, Opcode::Close]);
        assert!(sent.iter().all(|(header, _)| header.mask.is_some() == (role == Role::Client)), "{sent:?}");
        // RFC 6455 §5.1: wrong masking fails this connection like any other.
        let wrong = from_peer_of(if role == Role::Server { Role::Client } else { Role::Server }, &[(0x81, b"x")]);
        feed(&mut upgraded(role), [&wrong[..]]).assert_fails(1002, &[]);
    }
}

/// RFC 6455 §5.3: "The masking key needs to be unpredictable", and a fresh one for each frame.
#[test]
fn an_upgraded_client_draws_its_keys_from_the_seed() {
    rows!("6455-5.3-3", "8441-5-9");
    let keys = |seed| {
        let mut client = Connection::upgraded(Role::Client, Negotiated::default(), Config::new(), [seed; 32]);
        let mut output = Output::new();
        for _ in 0..8 {
            client.send_text("Hello", &mut output).expect("the connection is open");
        }
        let sent = frames(&drain(&mut output)).into_iter();
        sent.map(|(header, _)| header.mask.expect("it is a client")).collect::<Vec<_>>()
    };
    let mut drawn = [keys(1), keys(2)].concat();
    assert_eq!(drawn[..8], keys(1));
    drawn.sort_unstable();
    drawn.dedup();
    // The chance that two of 16 random keys are equal is 3e-8.
    assert_eq!(drawn.len(), 16);
}

/// RFC 8441 §5: "Orderly TCP-level closures are represented as `END_STREAM` flags"; "RST exceptions are represented
/// with the `RST_STREAM` frame". Either without a Close before it is 1006.
#[test]
fn the_end_of_the_stream_ends_the_connection() {
    rows!("8441-5-10", "8441-5-11", "9220-3-5", "9220-3-6");
    for role in ROLES {
        for before in [&[][..], &from_peer_of(role, &[(0x81, b"Hello")])[..3]] {
            let mut ws = upgraded(role);
            feed(&mut ws, [before]);
            let Some(Event::Closed(closed)) = ws.receive_eof() else { panic!("not closed, as {role:?}") };
            assert_eq!(assert_failed(&closed), &ConnectionError::TransportLost);
            assert!(ws.is_closed() && ws.receive_eof().is_none());
        }
        // After both Closes the server ends the stream, and the client waits for that.
        let (mut ws, mut output) = (upgraded(role), Output::new());
        ws.close(CloseCode::NORMAL_CLOSURE, "", &mut output);
        let outcome = feed(&mut ws, [&from_peer_of(role, &[(0x88, b"\x03\xe8")])[..]]);
        assert_eq!(ws.is_closed(), role == Role::Server);
        let last = ws.receive_eof().or_else(|| outcome.events.into_iter().next());
        let Some(Event::Closed(closed)) = last else { panic!("not closed, as {role:?}") };
        assert_eq!((closed.code(), closed.was_clean(), closed.error()), (1000, true, None));
        assert!(ws.is_closed());
        // A failed connection may be reset: it has an error, and a cleanly ended one has none.
        let outcome = feed(&mut upgraded(role), [&from_peer_of(role, &[(0xc1, b"x")])[..]]);
        assert!(outcome.closed().is_some_and(|closed| closed.error().is_some()), "{outcome:?}");
    }
}

#[cfg(feature = "deflate")]
#[test]
fn compression_is_negotiated() {
    use websocket_proto::{ClientRequest, Deflate};

    rows!("8441-5-6", "8441-5-8", "8441-5-9");
    let config = Config::new().deflate(Deflate::new());
    let request = ClientRequest::new("wss://server.example.com/chat");
    let handshake = request.extended_connect(&config).expect("the request is valid");
    let accepted = parse(&owned(handshake.headers().iter())).accept(&Accept::new(), &config);
    let (answer, as_server) = accepted.expect("the answer is valid");
    let (_, as_client) = handshake.check(answer.status(), answer.headers().iter()).expect("the handshake succeeds");
    assert!(as_server.uses_deflate() && as_client.uses_deflate());
    let mut server = Connection::upgraded(Role::Server, as_server, config.clone(), [0; 32]);
    let mut client = Connection::upgraded(Role::Client, as_client, config, [7; 32]);
    assert!(server.uses_deflate() && client.uses_deflate());
    let (long, mut output) = ("Hello ".repeat(100), Output::new());
    for (from, to) in [(0, 1), (1, 0), (0, 1)] {
        let sides = [&mut server, &mut client];
        sides[from].send_text(&long, &mut output).expect("the connection is open");
        assert!(output.len() < long.len());
        assert_eq!(feed(sides[to], [&drain(&mut output)[..]]).events, [text(&long)]);
    }
    // A server without compression declines the offer.
    let handshake = request.extended_connect(&Config::new().deflate(Deflate::new())).expect("the request is valid");
    let accepted = parse(&owned(handshake.headers().iter())).accept(&Accept::new(), &Config::new());
    let (answer, as_server) = accepted.expect("the answer is valid");
    let (_, as_client) = handshake.check(answer.status(), answer.headers().iter()).expect("the handshake succeeds");
    assert!(!as_server.uses_deflate() && !as_client.uses_deflate());
    assert_eq!((as_server, as_client), (Negotiated::default(), Negotiated::default()));
}
