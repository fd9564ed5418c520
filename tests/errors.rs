//! What an error says: in words of its own, with the rule that was broken and the place; and what `Debug` says, which
//! is never nothing, and shows neither a mask key nor what is broadcast.

mod wired;

use std::fmt::Display;

use websocket_proto::handshake::{AcceptErrorKind, HeaderError, RejectError, parse_extensions, parse_request};
use websocket_proto::mask::MaskKeys;
use websocket_proto::uri::UriError;
use websocket_proto::{
    Accept, Backoff, CloseCode, Closed, Config, Connection, Error, Event, HandshakeErrorKind, Input, Output, Prepared,
    ProtocolErrorKind, RequestError, Role, ScriptCloseError, SendError, Timeout,
};
use wired::{ROLES, drain, open, receive};

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

/// Every way in which an opening handshake can be wrong, with the section that has the rule.
const HANDSHAKE: [(HandshakeErrorKind, &str); 23] = {
    use HandshakeErrorKind::*;
    [
        // Message parsing; §8, an incomplete message, is for what has a length.
        (MalformedHttp, "RFC 9112 §2"),
        (Incomplete, "RFC 9112 §2"),
        (NoRequest, "RFC 9112 §2"),
        // Expressing HTTP semantics in HTTP/2.
        (MalformedFields, "RFC 9113 §8"),
        // "Implementation-Specific Limits".
        (HeadTooLarge, "RFC 6455 §10.4"),
        (EarlyData, "RFC 6455 §10.4"),
        // "The method of the request MUST be GET, and the HTTP version MUST be at least 1.1", and what else §4 says.
        (HttpVersion, "RFC 6455 §4"),
        (Method, "RFC 6455 §4"),
        (RequestTarget, "RFC 6455 §4"),
        (Host, "RFC 6455 §4"),
        (Upgrade, "RFC 6455 §4"),
        (Connection, "RFC 6455 §4"),
        (Key, "RFC 6455 §4"),
        (Version, "RFC 6455 §4"),
        (Subprotocol, "RFC 6455 §4"),
        // "Client Requirements": what the response has to be.
        (Accept, "RFC 6455 §4.1"),
        (Refused(503), "RFC 6455 §4.1"),
        // "Supporting Multiple Versions of WebSocket Protocol".
        (UnsupportedVersion, "RFC 6455 §4.4"),
        // "Negotiating Extensions".
        (Extensions, "RFC 6455 §9.1"),
        // "Using Extended CONNECT to Bootstrap the WebSocket Protocol".
        (ConnectProtocol, "RFC 8441 §5"),
        // "The HTTP Origin Header Field".
        (Origin, "RFC 6454 §7"),
        // "Message Body".
        (Body, "RFC 9112 §6"),
        // "Establish a WebSocket connection".
        (NoSubprotocol, "WHATWG WebSockets §2"),
    ]
};

const URI: [UriError; 6] = {
    use UriError::*;
    [Syntax, Scheme, Host, Port, UserInformation, Fragment]
};

const HEADER: [HeaderError; 3] = [HeaderError::Name, HeaderError::Value, HeaderError::Reserved];

/// Asserts that all of them have words, that fit into a line of a log, and no two the same.
#[track_caller]
fn assert_told_apart(faults: &[&dyn Display]) {
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

/// How a server's connection ends that receives this.
fn end_of(bytes: &[u8]) -> Closed {
    let (mut bytes, mut output) = (bytes.to_vec(), Output::new());
    match Connection::server(Config::new()).receive(&mut Input::new(&mut bytes), &mut output) {
        Some(Event::Closed(closed)) => closed,
        event => panic!("{event:?}"),
    }
}

#[test]
fn every_fault_has_words_of_its_own() {
    assert_told_apart(&all(&PROTOCOL));
    assert_told_apart(&all(&HANDSHAKE.map(|(kind, _)| kind)));
    assert_told_apart(&all(&[Timeout::Opening, Timeout::KeepAlive, Timeout::Closing]));
    assert_told_apart(&all(&[
        SendError::Connecting,
        SendError::Closing,
        SendError::ControlFrameTooLong,
        SendError::MessageInProgress,
        SendError::InvalidUtf8,
        SendError::Full,
        SendError::Deflate,
    ]));
    assert_told_apart(&all(&[
        Error::Full,
        Error::Timeout(Timeout::Opening),
        Error::TransportLost,
        Error::ClosedWhileConnecting,
        Error::RequestRejected(403),
    ]));
    assert_told_apart(&all(&URI));
    assert_told_apart(&all(&HEADER));
    let header = HeaderError::Name;
    assert_told_apart(&[&RejectError::Status, &RejectError::Header(header)]);
    assert_told_apart(&[
        &AcceptErrorKind::NotDeciding,
        &AcceptErrorKind::Subprotocol,
        &AcceptErrorKind::Header(header),
    ]);
    assert_told_apart(&[
        &RequestError::Uri(UriError::Port),
        &RequestError::Subprotocol,
        &RequestError::RepeatedSubprotocol,
        &RequestError::Header(header),
    ]);
    assert_told_apart(&[&parse_extensions([b"a; =".as_slice()]).unwrap_err()]);
}

/// What is a number on the wire is that number in the log.
#[test]
fn numbers_are_shown() {
    assert!(ProtocolErrorKind::ReservedOpcode(11).to_string().contains("11"));
    assert!(ProtocolErrorKind::InvalidCloseCode(1005).to_string().contains("1005"));
    assert!(HandshakeErrorKind::Refused(503).to_string().contains("503"));
    assert!(Error::RequestRejected(403).to_string().contains("403"));
    assert_eq!(CloseCode::GOING_AWAY.to_string(), "1001");
    assert_eq!(format!("{:?}", CloseCode::GOING_AWAY), "CloseCode(1001)");
}

/// The WHATWG's `close` method throws these.
#[test]
fn a_script_is_told_the_exception_s_name() {
    assert!(ScriptCloseError::InvalidAccess.to_string().starts_with("InvalidAccessError"));
    assert!(ScriptCloseError::Syntax.to_string().starts_with("SyntaxError"));
}

#[test]
fn what_is_wrong_inside_is_said() {
    for fault in URI {
        assert_eq!(RequestError::Uri(fault).to_string(), fault.to_string());
    }
    for fault in HEADER {
        assert_eq!(RequestError::Header(fault).to_string(), fault.to_string());
        assert_eq!(AcceptErrorKind::Header(fault).to_string(), fault.to_string());
        assert_eq!(RejectError::Header(fault).to_string(), fault.to_string());
    }
    assert_eq!(Error::Timeout(Timeout::Closing).to_string(), Timeout::Closing.to_string());
    // An end that no byte of the peer's is to blame for names its section, too.
    for (error, section) in [
        (Error::TransportLost, "(RFC 6455 §7.1.5)"),
        (Error::ClosedWhileConnecting, "(RFC 6455 §7.2)"),
        (Error::RequestRejected(403), "(RFC 6455 §4.2.2)"),
    ] {
        assert!(error.to_string().ends_with(section), "{error}");
    }

    let mut request = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n\r\n"
        .to_vec();
    let (mut server, mut output) = (Connection::server(Config::new()), Output::new());
    let Some(Event::Request(request)) = server.receive(&mut Input::new(&mut request), &mut output) else { panic!() };
    let refused = server.accept_with(request, &Accept::new().subprotocol("unheard-of"), &mut output).unwrap_err();
    assert_eq!(refused.kind(), AcceptErrorKind::Subprotocol);
    assert_eq!(refused.to_string(), refused.kind().to_string());
}

#[test]
fn every_fault_of_an_opening_names_its_rule() {
    for (kind, section) in HANDSHAKE {
        assert_eq!(kind.section(), section, "{kind:?}");
    }
    // What is wrong, where, and by which rule.
    let request = b"POST / HTTP/1.1\r\nHost: a\r\n\r\n";
    let closed = end_of(request);
    let Some(Error::Handshake(error)) = closed.error() else { panic!("{closed:?}") };
    assert_eq!((error.kind(), error.section()), (HandshakeErrorKind::Method, HandshakeErrorKind::Method.section()));
    let said = closed.to_string();
    for part in [error.kind().to_string(), format!("byte {}", request.len()), error.section().to_owned()] {
        assert!(said.contains(&part), "{said:?}: {part:?}");
    }
}

/// How a connection of this role ends whose peer does this, and goes.
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

/// Six ends, six sentences.
#[test]
fn an_end_says_how() {
    for role in ROLES {
        let with_code = end_after(role, |peer, output| peer.close(CloseCode::GOING_AWAY, "", output));
        let without_code = end_after(role, Connection::close_without_code);
        let torn = end_after(role, |_, _| {});
        let mut aborted = Connection::server(Config::new());
        aborted.close_without_code(&mut Output::new());
        let Some(Event::Closed(aborted)) = aborted.receive_eof() else { panic!("no end") };
        let Some(Event::Closed(probed)) = Connection::server(Config::new()).receive_eof() else { panic!("no end") };
        assert_told_apart(&[&with_code, &without_code, &torn, &end_of(b"\0"), &aborted, &probed]);
        assert!(with_code.to_string().contains("1001"));
    }
}

/// Rust's API guidelines, C-DEBUG-NONEMPTY: what something is, is always said.
#[test]
fn debug_says_what_it_is() {
    assert!(format!("{:?}", MaskKeys::from_seed([7; 32])).starts_with("MaskKeys"));
    let backoff = format!("{:?}", Backoff::new([7; 32]));
    assert!(backoff.starts_with("Backoff") && backoff.contains("cap: 60s"), "{backoff}");
    // A broadcast's log is not to be a copy of it.
    let prepared = format!("{:?}", Prepared::text("secret"));
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
fn keys_are_not_shown() {
    let shown = |seed| format!("{:?}", MaskKeys::from_seed([seed; 32]));
    assert_eq!(shown(1), shown(2));
}

/// A connection that holds 200 KiB says with what.
#[test]
#[cfg(feature = "deflate")]
fn compressors_are_shown() {
    let config = Config::new().deflate(websocket_proto::Deflate::new());
    let (mut server, mut client) = open(Role::Server, config.clone(), config);
    let mut output = Output::new();
    server.send_text(&"long enough ".repeat(10), &mut output).unwrap();
    receive(&mut client, &drain(&mut output), &mut output);
    assert!(format!("{server:?}").contains("Compressor"));
    assert!(format!("{client:?}").contains("Decompressor"));
}
