//! The texts of errors: each is different and names the broken rule and the offset. `Debug` output is never empty, and
//! shows neither mask keys nor broadcast messages.

mod shared;

use std::fmt::Display;

use shared::wired::{ROLES, drain, open, receive};
use websocket_proto::handshake::{AcceptErrorKind, HeaderError, RejectError, parse_extensions, parse_request};
use websocket_proto::mask::MaskKeys;
use websocket_proto::uri::UriError;
use websocket_proto::{
    Accept, Backoff, ClientRequest, CloseCode, Closed, Config, Connection, ConnectionError, Event, HandshakeErrorKind,
    Input, Output, PreparedMessage, ProtocolErrorKind, Reject, RequestError, Role, ScriptCloseError, SendError,
    Timeout,
};

const PROTOCOL: [ProtocolErrorKind; 17] = {
    use ProtocolErrorKind::*;
    [
        ReservedBits,
        ReservedOpcode(11),
        NotMasked,
        Masked,
        LengthNotMinimal,
        LengthTopBitSet,
        ControlFrameTooLong,
        FragmentedControlFrame,
        UnexpectedContinuation,
        MissingContinuation,
        InvalidUtf8,
        ClosePayloadTooShort,
        InvalidCloseCode(1005),
        InvalidDeflate,
        FrameTooBig,
        MessageTooBig,
        TooManyFragments,
    ]
};

/// Every fault of an opening handshake, with the section of its rule.
const HANDSHAKE: [(HandshakeErrorKind, &str); 26] = {
    use HandshakeErrorKind::*;
    [
        // Message parsing; §8, an incomplete message, is for messages with a length.
        (MalformedHttp, "RFC 9112 §2"),
        (IncompleteHead, "RFC 9112 §2"),
        (MissingRequest, "RFC 9112 §2"),
        // "HTTP Version", "Request Line", "Message Body Length".
        (UnsupportedHttpVersion, "RFC 9112 §2.3"),
        (RequestLineTooLong, "RFC 9112 §3"),
        (InvalidContentLength, "RFC 9112 §6.3"),
        // Expressing HTTP semantics in HTTP/2.
        (MalformedHeaderList, "RFC 9113 §8"),
        // "Implementation-Specific Limits".
        (HeadTooLarge, "RFC 6455 §10.4"),
        (EarlyDataTooLarge, "RFC 6455 §10.4"),
        // "The method of the request MUST be GET, and the HTTP version MUST be at least 1.1", and the other rules of
        // §4.
        (HttpVersionTooOld, "RFC 6455 §4"),
        (UnsupportedMethod, "RFC 6455 §4"),
        (InvalidRequestTarget, "RFC 6455 §4"),
        (InvalidHost, "RFC 6455 §4"),
        (MissingUpgrade, "RFC 6455 §4"),
        (MissingConnectionUpgrade, "RFC 6455 §4"),
        (InvalidKey, "RFC 6455 §4"),
        (InvalidVersion, "RFC 6455 §4"),
        (InvalidSubprotocol, "RFC 6455 §4"),
        // "Client Requirements": the checks of the response.
        (InvalidAccept, "RFC 6455 §4.1"),
        (Rejected(503), "RFC 6455 §4.1"),
        // "Supporting Multiple Versions of WebSocket Protocol".
        (UnsupportedVersion, "RFC 6455 §4.4"),
        // "Negotiating Extensions".
        (InvalidExtensions, "RFC 6455 §9.1"),
        // "Using Extended CONNECT to Bootstrap the WebSocket Protocol".
        (UnsupportedConnectProtocol, "RFC 8441 §5"),
        // "The HTTP Origin Header Field".
        (InvalidOrigin, "RFC 6454 §7"),
        // "Message Body".
        (UnexpectedBody, "RFC 9112 §6"),
        // "Establish a WebSocket connection".
        (MissingSubprotocol, "WHATWG WebSockets §2"),
    ]
};

const URI: [UriError; 6] = {
    use UriError::*;
    [Syntax, Scheme, Host, Port, UserInformation, Fragment]
};

const HEADER: [HeaderError; 3] = [HeaderError::Name, HeaderError::Value, HeaderError::Reserved];

/// Asserts that every text is one line, not empty, and different from all others.
#[track_caller]
fn assert_distinct(faults: &[&dyn Display]) {
    let mut words: Vec<String> = faults.iter().map(ToString::to_string).collect();
    for words in &words {
        assert!(!words.is_empty() && words.trim() == words && !words.contains('\n'), "{words:?}");
    }
    words.sort();
    assert!(words.is_sorted_by(|one, next| one < next), "{words:?}");
}

fn all<T: Display>(faults: &[T]) -> Vec<&dyn Display> {
    faults.iter().map(|fault| fault as &dyn Display).collect()
}

/// The end of a server's connection that receives these bytes.
fn end_of(bytes: &[u8]) -> Closed {
    let (mut bytes, mut output) = (bytes.to_vec(), Output::new());
    match Connection::server(Config::new()).receive(&mut Input::new(&mut bytes), &mut output) {
        Some(Event::Closed(closed)) => closed,
        event => panic!("{event:?}"),
    }
}

#[test]
fn every_error_has_its_own_text() {
    assert_distinct(&all(&PROTOCOL));
    assert_distinct(&all(&HANDSHAKE.map(|(kind, _)| kind)));
    assert_distinct(&all(&[Timeout::Handshake, Timeout::KeepAlive, Timeout::Closing]));
    assert_distinct(&all(&[
        SendError::Connecting,
        SendError::Closing,
        SendError::ControlFrameTooLong,
        SendError::MessageInProgress,
        SendError::InvalidUtf8,
        SendError::Full,
        SendError::OutOfMemory,
    ]));
    assert_distinct(&all(&[
        ConnectionError::Full,
        ConnectionError::Timeout(Timeout::Handshake),
        ConnectionError::TransportLost,
        ConnectionError::ClosedWhileConnecting,
        ConnectionError::RequestRejected(403),
    ]));
    assert_distinct(&all(&URI));
    assert_distinct(&all(&HEADER));
    assert_distinct(&[&RejectError::Status]);
    assert_distinct(&[&AcceptErrorKind::NotDeciding, &AcceptErrorKind::Subprotocol]);
    assert_distinct(&[
        &RequestError::Uri(UriError::Port),
        &RequestError::Subprotocol,
        &RequestError::RepeatedSubprotocol,
    ]);
    assert_distinct(&[&parse_extensions([b"a; =".as_slice()]).unwrap_err()]);
}

/// A number from the wire appears in the text as that number.
#[test]
fn numbers_from_the_wire_are_shown() {
    assert!(ProtocolErrorKind::ReservedOpcode(11).to_string().contains("11"));
    assert!(ProtocolErrorKind::InvalidCloseCode(1005).to_string().contains("1005"));
    assert!(HandshakeErrorKind::Rejected(503).to_string().contains("503"));
    assert!(ConnectionError::RequestRejected(403).to_string().contains("403"));
    assert_eq!(CloseCode::GOING_AWAY.to_string(), "1001");
    assert_eq!(format!("{:?}", CloseCode::GOING_AWAY), "CloseCode(1001)");
}

/// The exceptions of the WHATWG's `close` method.
#[test]
fn script_close_errors_name_the_exception() {
    assert!(ScriptCloseError::InvalidAccess.to_string().starts_with("InvalidAccessError"));
    assert!(ScriptCloseError::Syntax.to_string().starts_with("SyntaxError"));
}

#[test]
fn wrapping_errors_show_the_inner_error() {
    for fault in URI {
        assert_eq!(RequestError::Uri(fault).to_string(), fault.to_string());
    }
    assert_eq!(ConnectionError::Timeout(Timeout::Closing).to_string(), Timeout::Closing.to_string());
    // Ends that no byte caused name a section, too, if the RFC has a rule for them.
    for (error, section) in [
        (ConnectionError::TransportLost, "(RFC 6455 §7.1.5)"),
        (ConnectionError::ClosedWhileConnecting, "(RFC 6455 §7.2)"),
        (ConnectionError::RequestRejected(403), "(RFC 6455 §4.2.2)"),
    ] {
        assert!(error.to_string().ends_with(section), "{error}");
    }

    let mut request = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n"
        .to_vec();
    let (mut server, mut output) = (Connection::server(Config::new()), Output::new());
    let Some(Event::Request(request)) = server.receive(&mut Input::new(&mut request), &mut output) else { panic!() };
    let rejected = server.accept_with(request, &Accept::new().subprotocol("unheard-of"), &mut output).unwrap_err();
    assert_eq!(rejected.kind(), AcceptErrorKind::Subprotocol);
    assert_eq!(rejected.to_string(), rejected.kind().to_string());
}

#[test]
fn every_handshake_error_names_its_section() {
    for (kind, section) in HANDSHAKE {
        assert_eq!(kind.section(), section, "{kind:?}");
    }
    // The text has the fault, its offset and its section.
    let request = b"POST / HTTP/1.1\r\nHost: a\r\n\r\n";
    let closed = end_of(request);
    let Some(ConnectionError::Handshake(error)) = closed.error() else { panic!("{closed:?}") };
    assert_eq!(
        (error.kind(), error.section()),
        (HandshakeErrorKind::UnsupportedMethod, HandshakeErrorKind::UnsupportedMethod.section())
    );
    let said = closed.to_string();
    for part in [error.kind().to_string(), format!("byte {}", request.len()), error.section().to_owned()] {
        assert!(said.contains(&part), "{said:?}: {part:?}");
    }
}

/// The end of a connection of this role after its peer does `leave`, and the stream ends.
fn end_after(role: Role, leave: impl Fn(&mut Connection, &mut Output)) -> Closed {
    let (mut ws, mut peer) = open(role, Config::new(), Config::new());
    let mut output = Output::new();
    leave(&mut peer, &mut output);
    let mut events = receive(&mut ws, &drain(&mut output), &mut output);
    events.extend(ws.receive_eof());
    match events.pop() {
        Some(Event::Closed(closed)) => closed,
        event => panic!("{event:?}"),
    }
}

/// Six kinds of end have six different texts.
#[test]
fn every_kind_of_end_has_its_own_text() {
    for role in ROLES {
        let with_code = end_after(role, |peer, output| peer.close(CloseCode::GOING_AWAY, "", output));
        let without_code = end_after(role, Connection::close_without_code);
        let torn = end_after(role, |_, _| {});
        let mut aborted = Connection::server(Config::new());
        aborted.close_without_code(&mut Output::new());
        let Some(Event::Closed(aborted)) = aborted.receive_eof() else { panic!("no end") };
        let Some(Event::Closed(probed)) = Connection::server(Config::new()).receive_eof() else { panic!("no end") };
        assert_distinct(&[&with_code, &without_code, &torn, &end_of(b"\0"), &aborted, &probed]);
        assert!(with_code.to_string().contains("1001"));
    }
}

/// Rust's API guidelines, C-DEBUG-NONEMPTY: `Debug` output always names the type.
#[test]
fn debug_output_names_the_type() {
    assert!(format!("{:?}", MaskKeys::from_seed([7; 32])).starts_with("MaskKeys"));
    let backoff = format!("{:?}", Backoff::new([7; 32]));
    assert!(backoff.starts_with("Backoff") && backoff.contains("cap: 60s"), "{backoff}");
    // The log of a broadcast must not contain the message.
    let prepared = format!("{:?}", PreparedMessage::text("secret"));
    assert!(prepared.contains("Text") && prepared.contains("len: 6") && !prepared.contains("secret"), "{prepared}");
    let request = parse_request(
        b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n",
    );
    let request = format!("{:?}", request.unwrap());
    for part in ["Request", "/chat", "example.com", "Sec-WebSocket-Version", "13"] {
        assert!(request.contains(part), "{request}");
    }
}

#[test]
fn debug_output_does_not_show_mask_keys() {
    let shown = |seed| format!("{:?}", MaskKeys::from_seed([seed; 32]));
    assert_eq!(shown(1), shown(2));
}

/// A connection that uses 200 KiB shows its compressors.
#[test]
#[cfg(feature = "deflate")]
fn debug_output_shows_compressors() {
    let config = Config::new().deflate(websocket_proto::Deflate::new());
    let (mut server, mut client) = open(Role::Server, config.clone(), config);
    let mut output = Output::new();
    server.send_text(&"long enough ".repeat(10), &mut output).unwrap();
    receive(&mut client, &drain(&mut output), &mut output);
    assert!(format!("{server:?}").contains("Compressor"));
    assert!(format!("{client:?}").contains("Decompressor"));
}

/// The three builders of handshake messages report the same error, when the header is added.
#[test]
fn builders_reject_the_same_headers() {
    for (name, value, expected) in [
        ("X-Own", "a b\tc", None),
        ("X-Own", "", None),
        ("", "a", Some(HeaderError::Name)),
        ("X Own", "a", Some(HeaderError::Name)),
        ("X-Own:", "a", Some(HeaderError::Name)),
        ("X-\u{e9}", "a", Some(HeaderError::Name)),
        ("X-Own", "a\r\nb", Some(HeaderError::Value)),
        ("X-Own", "a\0", Some(HeaderError::Value)),
        ("X-Own", " a", Some(HeaderError::Value)),
        ("X-Own", "a\t", Some(HeaderError::Value)),
        ("host", "a", Some(HeaderError::Reserved)),
        ("Trailer", "a", Some(HeaderError::Reserved)),
        ("SEC-WEBSOCKET-KEY", "a", Some(HeaderError::Reserved)),
        // The name is checked before the value.
        ("X Own", "a\n", Some(HeaderError::Name)),
        ("Connection", "a\n", Some(HeaderError::Reserved)),
    ] {
        assert_eq!(Accept::new().header(name, value).err(), expected, "{name:?}: {value:?}");
        assert_eq!(Reject::forbidden().header(name, value).err(), expected, "{name:?}: {value:?}");
        assert_eq!(ClientRequest::new("ws://a/").header(name, value).err(), expected, "{name:?}: {value:?}");
    }
}

/// The offset is that of the offending byte where the scanner finds it, and the end of the head elsewhere.
#[test]
fn handshake_errors_have_the_documented_offset() {
    const REST: &str = "Host: a\r\n\r\n";
    let offset = |head: &[u8], read: usize| {
        let (mut server, mut output) = (Connection::server(Config::new()), Output::new());
        let mut events = head.chunks(read).filter_map(|bytes| {
            let mut bytes = bytes.to_vec();
            let event = server.receive(&mut Input::new(&mut bytes), &mut output);
            event.map(Event::into_owned)
        });
        match events.next() {
            Some(Event::Closed(closed)) => match closed.error() {
                Some(ConnectionError::Handshake(error)) => (error.kind(), error.offset()),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    };
    let cases: [(&[u8], HandshakeErrorKind, Option<u64>); 12] = [
        (b"G(T / HTTP/1.1\r\n", HandshakeErrorKind::MalformedHttp, Some(1)),
        (b"G\xffT / HTTP/1.1\r\n", HandshakeErrorKind::MalformedHttp, Some(1)),
        (b"GET / HTTP/2.0\r\n", HandshakeErrorKind::UnsupportedHttpVersion, Some(11)),
        (b"GET / HTTP/1.1\n", HandshakeErrorKind::MalformedHttp, Some(14)),
        (b"GET / HTTP/1.1\r\nX: a\0b\r\n", HandshakeErrorKind::MalformedHttp, Some(20)),
        (b"GET / HTTP/1.1\r\nX: a\r\n fold\r\n", HandshakeErrorKind::MalformedHttp, Some(22)),
        (b"GET /\xff HTTP/1.1\r\n", HandshakeErrorKind::MalformedHttp, None),
        (b"GET / HTTP/1.1\r\nX Y: a\r\n", HandshakeErrorKind::MalformedHttp, None),
        (b"GET / HTTP/1.1\r\nno colon\r\n", HandshakeErrorKind::MalformedHttp, None),
        (b"GET / HTTP/1.1\r\n\xff: a\r\n", HandshakeErrorKind::MalformedHttp, None),
        (b"POST / HTTP/1.1\r\n", HandshakeErrorKind::UnsupportedMethod, None),
        (b"GET / HTTP/1.1\r\nHost: b\r\n", HandshakeErrorKind::InvalidHost, None),
    ];
    for (start, kind, at) in cases {
        let head = [start, REST.as_bytes()].concat();
        for read in [1, 7, head.len()] {
            let expected = at.unwrap_or(head.len() as u64);
            assert_eq!(offset(&head, read), (kind, expected), "{} by {read}", head.escape_ascii());
        }
    }
}
