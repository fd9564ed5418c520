//! HTTP for the tests of the opening handshake: heads made by editing a valid one, and a strict parser for answers.

use websocket_proto::handshake::{Request, parse_request};
use websocket_proto::{ClientRequest, Config, Connection, ConnectionError, Event, HandshakeErrorKind, State};

use crate::harness::{Outcome, REQUEST, connecting, every_cut, feed, response_to};

/// A head and the bytes after it.
pub(crate) struct Head {
    pub(crate) first_line: String,
    pub(crate) lines: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Head {
    /// Parses a head by the grammar of RFC 9112 §2.1 and §5, without any leniency.
    #[track_caller]
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|end| end == b"\r\n\r\n").expect("an empty line ends a head");
        let head = std::str::from_utf8(&bytes[..end]).expect("the crate's own heads are text");
        assert!(head.split("\r\n").all(|line| !line.contains(char::is_control)), "{head:?}");
        let mut lines = head.split("\r\n");
        let first_line = lines.next().expect("a head has a first line").to_owned();
        let lines = lines.map(|line| {
            let (name, value) = line.split_once(": ").expect("a header line has a colon and one space");
            assert!(!name.is_empty() && name.chars().all(is_token_char) && value.trim() == value, "{line:?}");
            (name.to_owned(), value.to_owned())
        });
        Self { first_line, lines: lines.collect(), body: bytes[end + 4..].to_vec() }
    }

    /// The values of all lines called `name`.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.lines.iter().filter(|line| line.0.eq_ignore_ascii_case(name));
        named.map(|line| line.1.as_str()).collect()
    }

    /// The value of the only line called `name`.
    #[track_caller]
    pub(crate) fn only(&self, name: &str) -> &str {
        let [value] = self.all(name)[..] else { panic!("not exactly one {name}: {:?}", self.lines) };
        value
    }
}

/// RFC 6455 §4.1, 10: "characters in the range U+0021 to U+007E not including separator characters as defined in
/// [RFC2616]".
pub(crate) fn is_token_char(char: char) -> bool {
    ('!'..='~').contains(&char) && !"()<>@,;:\\\"/[]?={}".contains(char)
}

/// The head with `lines`, each ended by CRLF, in place of the lines called `name`.
#[track_caller]
pub(crate) fn replace(head: &str, name: &str, lines: &str) -> String {
    let start = format!("{}:", name.to_ascii_lowercase());
    let is_named = |line: &&str| line.to_ascii_lowercase().starts_with(&start);
    assert!(head.lines().any(|line| is_named(&line)), "no {name} to replace");
    let others: String = head.split_inclusive("\r\n").filter(|line| !is_named(line)).collect();
    add(&others, lines)
}

/// The head with more lines, each ended by CRLF, at its end.
pub(crate) fn add(head: &str, lines: &str) -> String {
    let head = head.strip_suffix("\r\n").expect("an empty line ends a head");
    format!("{head}{lines}\r\n")
}

/// The head with another line, in which `byte` replaces the `?`.
pub(crate) fn with_byte(byte: u8, head: &str, line: &str) -> Vec<u8> {
    let mut head = add(head, line).into_bytes();
    *head.iter_mut().rfind(|byte| **byte == b'?').expect("the line has one") = byte;
    head
}

/// Receives an input that is too long for every cut whole, byte by byte, and in pieces of a few other sizes.
#[track_caller]
pub(crate) fn some_cuts(make: impl Fn() -> Connection, input: &[u8]) -> Outcome {
    let whole = feed(&mut make(), [input]);
    for size in [1, 7, 1000, 4096, 10_000] {
        assert!(feed(&mut make(), input.chunks(size)) == whole, "in pieces of {size}");
    }
    whole
}

/// # The server's side
///
/// A server that waits for a request.
pub(crate) fn waiting() -> Connection {
    Connection::server(Config::new())
}

/// The valid request with another target.
pub(crate) fn asking_for(target: &str) -> String {
    REQUEST.replace("/chat", target)
}

#[track_caller]
pub(crate) fn parsed(request: &str) -> Request {
    parse_request(request.as_bytes()).expect(request)
}

/// Asserts that the request opens a server at every cut, without a subprotocol; returns the 101.
#[track_caller]
pub(crate) fn assert_opens(request: &str) -> Head {
    let outcome = every_cut(waiting, request.as_bytes());
    assert_eq!((&outcome.events[..], outcome.state), (&[][..], State::Open), "{request}");
    let head = Head::parse(&outcome.output);
    assert_eq!((head.first_line.as_str(), &head.body[..]), ("HTTP/1.1 101 Switching Protocols", &[][..]));
    head
}

/// Asserts that a server rejects the request at every cut, with the status for this kind; returns the error's offset.
#[track_caller]
pub(crate) fn assert_request_rejected(request: impl AsRef<[u8]>, kind: HandshakeErrorKind) -> u64 {
    let request = request.as_ref();
    assert_rejection(&every_cut(waiting, request), kind, &String::from_utf8_lossy(request))
}

/// Asserts REJECT of the table: one HTTP response and the end, no event before it, no frame; returns the error's
/// offset.
#[track_caller]
pub(crate) fn assert_rejection(outcome: &Outcome, kind: HandshakeErrorKind, what: &str) -> u64 {
    let offset = assert_handshake_failed(outcome, kind, what);
    let head = Head::parse(&outcome.output);
    let (status, further) = match kind {
        HandshakeErrorKind::UnsupportedMethod => ("405 Method Not Allowed", Some(("Allow", "GET"))),
        HandshakeErrorKind::RequestLineTooLong => ("414 URI Too Long", None),
        HandshakeErrorKind::HeadTooLarge => ("431 Request Header Fields Too Large", None),
        HandshakeErrorKind::UnsupportedHttpVersion => ("505 HTTP Version Not Supported", None),
        HandshakeErrorKind::MissingUpgrade | HandshakeErrorKind::UnsupportedVersion => {
            ("426 Upgrade Required", Some(("Upgrade", "websocket")))
        }
        _ => ("400 Bad Request", None),
    };
    assert_eq!(head.first_line, format!("HTTP/1.1 {status}"), "{what}");
    assert_eq!(head.only("Sec-WebSocket-Version"), "13", "{what}");
    assert!(head.all("Connection").contains(&"close"), "{what}");
    assert_eq!(head.only("Content-Length"), head.body.len().to_string(), "nothing follows the response: {what}");
    if let Some((name, value)) = further {
        assert_eq!(head.only(name), value, "{what}");
    }
    offset
}

/// Asserts what both roles have in common when the opening handshake fails; returns the error's offset.
#[track_caller]
pub(crate) fn assert_handshake_failed(outcome: &Outcome, kind: HandshakeErrorKind, what: &str) -> u64 {
    let [Event::Closed(closed)] = &outcome.events[..] else { panic!("{what}: {outcome:?}") };
    let Some(ConnectionError::Handshake(error)) = closed.error() else { panic!("{what}: {closed:?}") };
    assert_eq!(error.kind(), kind, "{what}");
    assert_eq!((closed.code(), closed.was_clean(), closed.reason()), (1006, false, ""), "{what}");
    assert_eq!(outcome.state, State::Closed, "{what}");
    error.offset()
}

/// # The client's side
///
/// A request that offers these subprotocols.
pub(crate) fn offering(subprotocols: &[&str]) -> ClientRequest {
    let request = ClientRequest::new("ws://server.example.com/chat");
    subprotocols.iter().fold(request, |request, name| request.subprotocol(*name))
}

/// The shortest 101 response to the request.
pub(crate) fn response(request: &ClientRequest) -> String {
    let (_, sent) = connecting(request, Config::new());
    String::from_utf8(response_to(&sent, "")).expect("it is text")
}

/// The outcome of a response, at every cut.
#[track_caller]
pub(crate) fn answered(request: &ClientRequest, response: impl AsRef<[u8]>) -> Outcome {
    every_cut(|| connecting(request, Config::new()).0, response.as_ref())
}

/// Asserts HSFAIL of the table: the end, no event before it, and no byte written; returns the error's offset.
#[track_caller]
pub(crate) fn assert_fails(request: &ClientRequest, response: impl AsRef<[u8]>, kind: HandshakeErrorKind) -> u64 {
    let response = response.as_ref();
    let (outcome, what) = (answered(request, response), String::from_utf8_lossy(response));
    let offset = assert_handshake_failed(&outcome, kind, &what);
    assert_eq!(outcome.output, b"", "{what}");
    offset
}
