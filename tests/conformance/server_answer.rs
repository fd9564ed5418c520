//! The server's answer (RFC 6455 §4.2.2): accepting, rejecting, and deciding later.

use websocket_proto::handshake::{AcceptErrorKind, HeaderError, Request, accept_key, parse_request};
use websocket_proto::{
    Accept, CloseStatus, Closed, Config, Connection, ConnectionError, Event, HandshakeErrorKind, Input, Output, Reject,
    RejectError, Role, State,
};

use crate::harness::{self, REQUEST, assert_failed, drain, every_cut_with, feed, feed_with, frame, frames, text};
use crate::http::{Head, add, assert_opens, replace, waiting};
use crate::rows;

const OFFERING: &str = "Sec-WebSocket-Protocol: chat, superchat\r\n";

/// A server that has just reported its request, and the request.
fn deciding(request: &str) -> (Connection, Request) {
    let (server, events) = fed_undecided([request.as_bytes()]);
    let [Event::Request(request)] = <[_; 1]>::try_from(events).expect("one event") else { panic!("no request") };
    (server, request)
}

/// Feeds the pieces to a server whose application does not decide.
fn fed_undecided<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> (Connection, Vec<Event<'static>>) {
    let mut server = waiting();
    let outcome = feed_with(&mut server, pieces, &|_, event, _| Some(event));
    assert_eq!(outcome.output, b"", "nothing is answered before the decision");
    (server, outcome.events)
}

/// The response to the request at every cut, accepted with `accept`.
fn accepted_with(request: &str, accept: &Accept) -> Head {
    let outcome = every_cut_with(waiting, request.as_bytes(), &|ws, event, output| {
        let Event::Request(request) = event else { return Some(event) };
        assert_eq!(ws.accept_with(request, accept, output), Ok(()));
        None
    });
    assert_eq!((outcome.events.len(), outcome.state), (0, State::Open));
    Head::parse(&outcome.output)
}

/// The bytes written at every cut if the request is rejected with `reject`: one response, then one end and nothing
/// more.
fn rejected_with(reject: &Reject) -> Vec<u8> {
    // Frames that a client sends after its request are ignored.
    let input = [REQUEST.as_bytes(), &frame(Role::Client, 0x89, b"ping")].concat();
    let outcome = every_cut_with(waiting, &input, &|ws, event, output| {
        let Event::Request(request) = event else { return Some(event) };
        ws.reject(request, reject, output);
        assert!(ws.is_closed());
        None
    });
    let status = outcome.output.get(9..12).and_then(|status| str::from_utf8(status).ok());
    let status = status.and_then(|status| status.parse().ok()).expect("a status line");
    assert_ended_by(&ConnectionError::RequestRejected(status), &outcome.events);
    assert_eq!(outcome.state, State::Closed);
    outcome.output
}

/// Asserts one end, with this error.
#[track_caller]
fn assert_ended_by(error: &ConnectionError, events: &[Event<'static>]) {
    let [Event::Closed(closed)] = events else { panic!("{events:?}") };
    assert_eq!(assert_failed(closed), error);
}

#[test]
fn a_response_has_the_required_headers_and_no_others() {
    rows!("6455-4.2.2-12", "6455-4.2.2-13", "6455-4.2.2-14");
    let head = assert_opens(REQUEST);
    assert_eq!(head.first_line, "HTTP/1.1 101 Switching Protocols");
    assert_eq!((head.only("Upgrade"), head.only("Connection")), ("websocket", "Upgrade"));
    assert_eq!(head.only("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(head.lines.len(), 3, "an unrequested header: {:?}", head.lines);
}

#[test]
fn accept_keys_match_the_vectors() {
    rows!("6455-4.2.2-15");
    let vectors = include_str!("../data/conformance.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).expect("the file is JSON");
    let vectors = vectors["accept"].as_array().expect("the vectors are a list");
    assert_eq!(vectors.len(), 4);
    for vector in vectors {
        let field = |name: &str| vector[name].as_str().expect("a vector has it").to_owned();
        let (key, accept) = (field("key"), field("accept"));
        assert_eq!(accept_key(key.as_bytes()), accept.as_bytes(), "{key}");
        // The key is hashed as received, without the white space around it.
        assert_eq!(accept_key(format!(" \t{key} ").as_bytes()), accept.as_bytes(), "{key}");
        let line = format!("Sec-WebSocket-Key: \t {key} \r\n");
        let head = assert_opens(&replace(REQUEST, "Sec-WebSocket-Key", &line));
        assert_eq!(head.only("Sec-WebSocket-Accept"), accept);
    }
}

#[test]
fn the_subprotocol_is_one_of_the_clients() {
    rows!("6455-4.2.2-8", "6455-4.2.2-16");
    let request = add(REQUEST, OFFERING);
    for name in ["chat", "superchat"] {
        let head = accepted_with(&request, &Accept::new().subprotocol(name));
        assert_eq!(head.only("Sec-WebSocket-Protocol"), name);
        let (mut server, request) = deciding(&request);
        assert_eq!(server.subprotocol(), None);
        assert_eq!(server.accept_with(request, &Accept::new().subprotocol(name), &mut Output::new()), Ok(()));
        assert_eq!(server.subprotocol(), Some(name));
    }
    for (request, name) in
        [(request.as_str(), "x"), (&request, "Chat"), (&request, "chat, superchat"), (REQUEST, "chat")]
    {
        assert_not_accepted(request, &Accept::new().subprotocol(name), AcceptErrorKind::Subprotocol);
    }
}

#[test]
fn no_subprotocol_is_answered_unless_selected() {
    rows!("6455-4.2.2-9");
    let request = add(REQUEST, OFFERING);
    assert!(assert_opens(&request).all("Sec-WebSocket-Protocol").is_empty());
    assert!(accepted_with(&request, &Accept::new()).all("Sec-WebSocket-Protocol").is_empty());
    assert_not_accepted(&request, &Accept::new().subprotocol(""), AcceptErrorKind::Subprotocol);
    assert_not_accepted(REQUEST, &Accept::new().subprotocol(""), AcceptErrorKind::Subprotocol);
}

/// Asserts that the request cannot be accepted with `accept`, that nothing was written, and that the returned request
/// can still be answered in other ways.
#[track_caller]
fn assert_not_accepted(request: &str, accept: &Accept, kind: AcceptErrorKind) {
    let mut output = Output::new();
    let (mut server, token) = deciding(request);
    let error = server.accept_with(token, accept, &mut output).expect_err("the request cannot be accepted");
    assert_eq!((error.kind(), server.state()), (kind, State::Connecting));
    assert!(output.is_empty());
    let given_back = error.into_request();
    assert_eq!(Ok(&given_back), parse_request(request.as_bytes()).as_ref());

    server.accept(given_back, &mut output);
    assert_eq!(server.state(), State::Open);
    assert_eq!(Head::parse(&drain(&mut output)).first_line, "HTTP/1.1 101 Switching Protocols");

    let (mut server, token) = deciding(request);
    let error = server.accept_with(token, accept, &mut output).expect_err("as before");
    server.reject(error.into_request(), &Reject::internal_server_error(), &mut output);
    assert!(server.is_closed());
    assert_eq!(Head::parse(&drain(&mut output)).first_line, "HTTP/1.1 500 Internal Server Error");
}

/// The server has no extension to negotiate; `deflate_unagreed` tests one that has.
#[test]
fn no_extension_is_answered_without_an_offer() {
    rows!("6455-4.2.2-10", "6455-4.2.2-11");
    for lines in ["", "Sec-WebSocket-Extensions: x-foo\r\nSec-WebSocket-Extensions: x-bar; x=1\r\n"] {
        assert!(assert_opens(&add(REQUEST, lines)).all("Sec-WebSocket-Extensions").is_empty());
    }
}

#[test]
fn further_headers_are_written_if_valid() {
    rows!("6455-4.2.2-19");
    let valid = [("Set-Cookie", "a=b"), ("set-cookie", "c=d"), ("X-Empty", "")].into_iter();
    let accept = valid.fold(Accept::new(), |accept, (name, value)| accept.header(name, value).expect("a valid header"));
    let mut output = Output::new();
    let (mut server, request) = deciding(REQUEST);
    assert_eq!(server.accept_with(request, &accept, &mut output), Ok(()));
    let response = String::from_utf8(drain(&mut output)).expect("it is text");
    let (own, further) = response.split_at(response.find("Set-Cookie").expect("it was added"));
    assert_eq!(further, "Set-Cookie: a=b\r\nset-cookie: c=d\r\nX-Empty: \r\n\r\n");
    assert_eq!(Head::parse(format!("{own}\r\n").as_bytes()).lines.len(), 3);

    let rejected = |name: &str, value: &str, error: HeaderError| {
        assert_eq!(Accept::new().header(name, value).err(), Some(error), "{name}: {value:?}");
        assert_eq!(Reject::forbidden().header(name, value).err(), Some(error), "{name}: {value:?}");
    };
    for value in ["a\r\nb", "a\rb", "a\nb", "a\0b", "a\x7f", " a", "a\t", "\r\n\r\n<html>"] {
        rejected("X-Header", value, HeaderError::Value);
    }
    for name in ["", "X Y", "X:", "X\r\nY", "é"] {
        rejected(name, "a", HeaderError::Name);
    }
    for name in ["Upgrade", "connection", "CONTENT-LENGTH", "Transfer-Encoding"] {
        rejected(name, "a", HeaderError::Reserved);
    }
    for name in ["Key", "Accept", "Version", "Protocol", "Extensions"] {
        rejected(&format!("Sec-WebSocket-{name}"), "a", HeaderError::Reserved);
    }
}

#[test]
fn messages_may_follow_the_response_at_once() {
    rows!("6455-4.2.2-18");
    let (mut server, request) = deciding(REQUEST);
    let mut output = Output::new();
    server.accept(request, &mut output);
    assert_eq!(server.state(), State::Open);
    assert_eq!(server.send_text("Hello", &mut output), Ok(()));
    assert_eq!(Head::parse(&drain(&mut output)).body, b"\x81\x05Hello");
}

#[test]
fn rejections_are_written_exactly() {
    rows!("6455-4.2.2-2", "6455-4.2.2-3");
    let reject = |status| Reject::new(status).expect("the status is a rejection");
    let login = reject(401).header("WWW-Authenticate", "Basic realm=\"chat\"").expect("a valid header");
    let expected = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"chat\"\r\nConnection: close\r\n\
        Content-Length: 12\r\n\r\nlog in first";
    assert_eq!(rejected_with(&login.body("log in first")), expected.as_bytes());

    let elsewhere = reject(302).header("Location", "wss://other.example/chat").expect("a valid header");
    let expected = "HTTP/1.1 302 Found\r\nLocation: wss://other.example/chat\r\nConnection: close\r\n\
        Content-Length: 0\r\n\r\n";
    assert_eq!(rejected_with(&elsewhere), expected.as_bytes());

    // A status without a known reason phrase keeps the space before it (RFC 9112 §4).
    let expected = "HTTP/1.1 599 \r\nConnection: close\r\nContent-Length: 3\r\n\r\n\x00\r\n";
    assert_eq!(rejected_with(&reject(599).body(*b"\0\r\n")), expected.as_bytes());
}

#[test]
fn each_named_rejection_has_its_status() {
    rows!("6455-4.2.2-5", "6455-4.2.2-7", "6455-10.2-2");
    for (reject, first_line) in [
        (Reject::forbidden(), "HTTP/1.1 403 Forbidden"),
        (Reject::not_found(), "HTTP/1.1 404 Not Found"),
        (Reject::internal_server_error(), "HTTP/1.1 500 Internal Server Error"),
        (Reject::service_unavailable(), "HTTP/1.1 503 Service Unavailable"),
    ] {
        let head = Head::parse(&rejected_with(&reject));
        assert_eq!(head.first_line, first_line);
        assert_eq!((head.only("Connection"), head.only("Content-Length"), &head.body[..]), ("close", "0", &b""[..]));
    }
    for no_rejection in [0, 100, 101, 200, 299, 600, 999, u16::MAX] {
        assert_eq!(Reject::new(no_rejection).err(), Some(RejectError::Status), "{no_rejection}");
    }
}

#[test]
fn an_aborted_handshake_is_just_closed() {
    rows!("6455-7.2.2-1", "6455-7.1.4-2");
    for cut in [0, 1, REQUEST.len() / 2, REQUEST.len()] {
        let (mut server, events) = fed_undecided([&REQUEST.as_bytes()[..cut]]);
        let mut output = Output::new();
        server.close_without_code(&mut output);
        assert!(server.is_closed() && output.is_empty(), "{cut}");
        let outcome = feed(&mut server, [&REQUEST.as_bytes()[cut..], b"\x88\x80\0\0\0\0"]);
        assert_ended_by(&ConnectionError::ClosedWhileConnecting, &outcome.events);
        assert_eq!(outcome.output, b"");
        // The decision comes too late.
        for event in events {
            let Event::Request(request) = event else { panic!("{event:?}") };
            server.accept(request, &mut output);
            assert!(server.is_closed() && output.is_empty() && server.receive_eof().is_none());
        }
    }
}

#[test]
fn frames_before_the_decision_are_delivered_after_it() {
    rows!("6455-4.2.1-16");
    let early =
        [frame(Role::Client, 0x81, b"Hello"), frame(Role::Client, 0x89, b"?"), frame(Role::Client, 0x82, b"123")];
    let early = early.concat();
    let expected = [text("Hello"), Event::Ping(b"?".to_vec().into()), Event::Binary(b"123".to_vec().into())];
    let input = [REQUEST.as_bytes(), &early].concat();
    // Bytes before `cut` arrive before the decision, in one read or in several; the rest after it.
    for cut in REQUEST.len()..=input.len() {
        let (before, after) = input.split_at(cut);
        for size in [1, 3, before.len()] {
            let (mut server, mut events) = fed_undecided(before.chunks(size));
            assert_eq!(events.len(), 1, "only the request: {events:?}");
            let Some(Event::Request(request)) = events.pop() else { panic!("no request") };
            let mut output = Output::new();
            server.accept(request, &mut output);
            assert!(Head::parse(&drain(&mut output)).body.is_empty());
            let buffered = feed(&mut server, [&b""[..]]);
            let later = feed(&mut server, [after]);
            let events: Vec<_> = buffered.events.into_iter().chain(later.events).collect();
            assert_eq!(events, expected, "cut at {cut}");
            if cut == input.len() {
                assert_eq!(later.output, b"", "an empty input delivers all that was buffered");
            }
            let sent = frames(&[buffered.output, later.output].concat());
            assert_eq!(sent.iter().map(|(_, payload)| &payload[..]).collect::<Vec<_>>(), [b"?"], "one pong");
        }
    }
}

/// Buffered bytes are checked like any others: a fault in them fails the connection once it is open.
#[test]
fn frames_before_the_decision_are_checked() {
    rows!("6455-4.2.1-16");
    let input = [REQUEST.as_bytes(), b"\x81\x05Hello"].concat();
    let (mut server, mut events) = fed_undecided([&input[..]]);
    let Some(Event::Request(request)) = events.pop() else { panic!("no request") };
    server.accept(request, &mut Output::new());
    feed(&mut server, [&b""[..]]).assert_fails(1002, &[]);
}

#[test]
fn too_many_bytes_before_the_decision_fail() {
    rows!("6455-4.2.1-16", "6455-4.2.1-14");
    let limit = 256;
    let config = Config::new().max_head_size(256);
    assert!(REQUEST.len() < limit);
    let input = [REQUEST.as_bytes(), &vec![0x81; limit + 1]].concat();
    let feed_undecided = |pieces: &[&[u8]]| {
        let mut server = Connection::server(config.clone());
        let outcome = feed_with(&mut server, pieces.iter().copied(), &|_, event, _| Some(event));
        (server, outcome)
    };
    let (server, within) = feed_undecided(&[&input[..input.len() - 1]]);
    assert_eq!((within.events.len(), within.output.len(), server.state()), (1, 0, State::Connecting));
    let (_, whole) = feed_undecided(&[&input]);
    for cut in 0..=input.len() {
        let (mut server, outcome) = feed_undecided(&[&input[..cut], &input[cut..]]);
        assert_eq!(outcome, whole, "cut at {cut}");
        let events = <[_; 2]>::try_from(outcome.events).expect("the request and the end");
        let [Event::Request(request), Event::Closed(closed)] = events else { panic!("{events:?}") };
        assert_eq!(handshake_error(&closed), Some(HandshakeErrorKind::EarlyDataTooLarge));
        let head = Head::parse(&outcome.output);
        assert_eq!(head.first_line, "HTTP/1.1 400 Bad Request");
        assert_eq!((head.only("Connection"), head.only("Sec-WebSocket-Version")), ("close", "13"));
        assert_eq!(head.only("Content-Length"), head.body.len().to_string());
        // The decision comes too late.
        let mut output = Output::new();
        server.accept(request, &mut output);
        assert!(server.is_closed() && output.is_empty() && server.receive_eof().is_none());
    }
}

fn handshake_error(closed: &Closed) -> Option<HandshakeErrorKind> {
    match closed.error()? {
        ConnectionError::Handshake(error) => Some(error.kind()),
        _ => None,
    }
}

#[test]
fn a_rejection_drops_buffered_frames() {
    rows!("6455-4.2.2-5", "6455-4.2.1-16");
    let input = [REQUEST.as_bytes(), &frame(Role::Client, 0x89, b"?")].concat();
    let (mut server, mut events) = fed_undecided([&input[..]]);
    let Some(Event::Request(request)) = events.pop() else { panic!("no request") };
    let mut output = Output::new();
    server.reject(request, &Reject::forbidden(), &mut output);
    assert!(server.is_closed());
    assert_eq!(Head::parse(&drain(&mut output)).body, b"");
    let outcome = feed(&mut server, [&b""[..], REQUEST.as_bytes()]);
    assert_ended_by(&ConnectionError::RequestRejected(403), &outcome.events);
    assert!(outcome.output.is_empty() && server.receive_eof().is_none());
}

#[test]
fn eof_before_the_decision_ends_the_server() {
    rows!("6455-7.1.4-2", "6455-7.2.2-1");
    for cut in 0..=REQUEST.len() {
        let (mut server, mut events) = fed_undecided([&REQUEST.as_bytes()[..cut]]);
        let Some(Event::Closed(closed)) = server.receive_eof() else { panic!("not closed at {cut}") };
        assert_eq!(server.state(), State::Closed);
        let error = assert_failed(&closed);
        match cut {
            0 => assert_eq!(handshake_error(&closed), Some(HandshakeErrorKind::MissingRequest)),
            _ if cut == REQUEST.len() => assert_eq!(error, &ConnectionError::TransportLost),
            _ => assert_eq!(handshake_error(&closed), Some(HandshakeErrorKind::IncompleteHead), "{cut}"),
        }
        assert_eq!(server.receive_eof(), None);
        assert_eq!(feed(&mut server, [REQUEST.as_bytes()]).events, []);
        let mut output = Output::new();
        if let Some(Event::Request(request)) = events.pop() {
            server.accept(request, &mut output);
        }
        assert!(server.is_closed() && output.is_empty());
    }
}

/// The end of the stream right after a rejection is not reported as a second end.
#[test]
fn a_rejection_ends_the_connection_once() {
    rows!("6455-7.1.4-2");
    let (mut server, request) = deciding(REQUEST);
    server.reject(request, &Reject::not_found(), &mut Output::new());
    assert_ended_by(&ConnectionError::RequestRejected(404), &server.receive_eof().into_iter().collect::<Vec<_>>());
    assert_eq!((server.receive_eof(), feed(&mut server, [&b"x"[..]]).events), (None, vec![]));
}

/// Another connection's request, and a second decision, have no effect, also after frames were buffered.
#[test]
fn a_server_answers_its_own_request_and_only_once() {
    rows!("6455-4.2.2-12", "6455-4.2.2-15");
    let (mut server, own) = deciding(REQUEST);
    let mut output = Output::new();
    server.accept(deciding(REQUEST).1, &mut output);
    server.reject(deciding(REQUEST).1, &Reject::forbidden(), &mut output);
    assert!(output.is_empty() && server.state() == State::Connecting);
    feed(&mut server, [frame(Role::Client, 0x81, b"early").as_slice()]);
    server.accept(own, &mut output);
    let len = output.len();
    server.accept(deciding(REQUEST).1, &mut output);
    server.reject(deciding(REQUEST).1, &Reject::forbidden(), &mut output);
    assert_eq!((output.len(), server.state()), (len, State::Open));
}

/// Frames received before the end of the stream are delivered before it.
#[test]
fn buffered_frames_come_before_the_end() {
    rows!("6455-4.2.1-16", "6455-7.1.5-1");
    let (mut server, request) = deciding(REQUEST);
    let frames = [frame(Role::Client, 0x81, b"early"), frame(Role::Client, 0x88, b"\x0f\xa0")].concat();
    feed(&mut server, [frames.as_slice()]);
    server.accept(request, &mut Output::new());
    assert_eq!(server.receive_eof(), Some(text("early")));
    let Some(Event::Closed(closed)) = server.receive_eof() else { panic!("{server:?}") };
    assert_eq!((closed.code(), closed.was_clean(), server.receive_eof()), (4000, true, None));
    assert_eq!(server.received_close(), Some((CloseStatus::Code(harness::code(4000)), "")));
}

#[test]
fn a_426_names_the_protocol_and_version() {
    rows!("6455-4.4-1", "6455-4.2.2-6");
    let (mut server, request) = deciding(REQUEST);
    let mut output = Output::new();
    server.reject(request, &Reject::new(426).expect("the status is a rejection"), &mut output);
    let head = String::from_utf8(drain(&mut output)).expect("text");
    for line in ["Upgrade: websocket", "Connection: Upgrade", "Connection: close", "Sec-WebSocket-Version: 13"] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{head}");
    }
    assert!(Reject::new(304).is_err() && Reject::new(299).is_err() && Reject::new(600).is_err());
}

#[test]
fn a_request_has_no_effect_without_a_decision_to_make() {
    rows!("6455-4.2.2-12");
    let mut output = Output::new();
    for mut other in [harness::server(), harness::client(), waiting()] {
        let state = other.state();
        let requests = || deciding(REQUEST).1;
        other.accept(requests(), &mut output);
        let rejected = other.accept_with(requests(), &Accept::new(), &mut output).expect_err("nothing to decide");
        assert_eq!((rejected.kind(), rejected.into_request().path()), (AcceptErrorKind::NotDeciding, "/chat"));
        other.reject(requests(), &Reject::forbidden(), &mut output);
        assert_eq!((other.state(), output.is_empty()), (state, true));
        let mut nothing = Input::default();
        assert_eq!(other.receive(&mut nothing, &mut output), None);
    }
}
