//! The request of an extended CONNECT (RFC 8441 §4, §5; RFC 9220 §3): the client's fields, and the server's checks.

use websocket_proto::handshake::{Answer, Bootstrap, HeaderError, Negotiated, Request, parse_extended_connect};
use websocket_proto::{Accept, AcceptError, ClientRequest, Config, HandshakeErrorKind, Reject, RequestError};

use crate::http::offering;
use crate::rows;

pub(crate) type Fields = Vec<(String, Vec<u8>)>;

pub(crate) fn fields(fields: &[(&str, &str)]) -> Fields {
    fields.iter().map(|&(name, value)| (name.to_owned(), value.into())).collect()
}

/// The request in RFC 8441 §5.1.
pub(crate) fn rfc_request() -> Fields {
    fields(&[
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/chat"),
        (":authority", "server.example.com"),
        ("sec-websocket-protocol", "chat, superchat"),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("sec-websocket-version", "13"),
        ("origin", "http://www.example.com"),
    ])
}

/// The list without the fields called `name`.
#[track_caller]
fn without(list: &Fields, name: &str) -> Fields {
    let others: Fields = list.iter().filter(|field| field.0 != name).cloned().collect();
    assert!(others.len() < list.len(), "no {name} to leave out");
    others
}

/// The list with another value for this field.
#[track_caller]
fn with(list: &Fields, name: &str, value: impl AsRef<[u8]>) -> Fields {
    let mut list = list.clone();
    let field = list.iter_mut().find(|field| field.0 == name).unwrap_or_else(|| panic!("no {name} to replace"));
    field.1 = value.as_ref().to_vec();
    list
}

/// The list with another field at its end.
fn and(list: &Fields, name: &str, value: impl AsRef<[u8]>) -> Fields {
    let mut list = list.clone();
    list.push((name.to_owned(), value.as_ref().to_vec()));
    list
}

#[track_caller]
pub(crate) fn parse(list: &Fields) -> Request {
    parse_extended_connect(list.iter().cloned()).unwrap_or_else(|error| panic!("{list:?}: {error}"))
}

/// Asserts that the list is rejected with this kind and status, and that HTTP/2 can carry the answer.
#[track_caller]
fn assert_rejected(list: &Fields, kind: HandshakeErrorKind, status: u16) {
    assert_eq!(parse_extended_connect(list.iter().cloned()), Err(kind), "{list:?}");
    let method = list.iter().find(|(name, _)| name == ":method").map_or(&b""[..], |(_, method)| method);
    let answer = kind.answer(Bootstrap::ExtendedConnect, method);
    assert_eq!(answer.status(), status, "{kind}");
    // RFC 9110 §9.3.2 holds for every version of HTTP.
    assert_eq!(answer.body().is_empty(), method == b"HEAD", "{kind}");
    assert_eq!(answer.headers().get("sec-websocket-version"), Some(b"13".as_slice()), "{kind}");
    assert_carried(&answer);
}

/// Asserts that HTTP/2 can carry these headers: RFC 9113 §8.2.1, §8.2.2.
#[track_caller]
fn assert_carried(answer: &Answer) {
    for (name, _) in answer.headers().iter() {
        assert_eq!(name, name.to_ascii_lowercase());
        assert!(!["connection", "upgrade", "keep-alive", "proxy-connection", "transfer-encoding"].contains(&name));
    }
}

pub(crate) fn owned<'h>(headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> Fields {
    headers.map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
}

/// The fields that a client sends for the request.
fn sent(request: &ClientRequest) -> Fields {
    owned(request.extended_connect(&Config::new()).expect("the request is valid").headers().iter())
}

/// How a client that offered these subprotocols judges the response.
pub(crate) fn checked(subprotocols: &[&str], status: u16, headers: &Fields) -> Result<Negotiated, HandshakeErrorKind> {
    let handshake = offering(subprotocols).extended_connect(&Config::new()).expect("the request is valid");
    handshake.check(status, headers.iter().cloned()).map(|(response, negotiated)| {
        assert_eq!((response.status(), response.subprotocol()), (status, negotiated.subprotocol()));
        negotiated
    })
}

#[test]
fn the_rfcs_example_opens() {
    rows!("8441-5-1", "8441-5-7", "9220-3-1");
    let request = parse(&rfc_request());
    assert_eq!(request.bootstrap(), Bootstrap::ExtendedConnect);
    assert_eq!((request.host(), request.resource()), ("server.example.com", "/chat"));
    assert_eq!(request.origin(), Some("http://www.example.com"));
    assert!(request.subprotocols().eq(["chat", "superchat"]));
    assert_eq!(request.extensions()[0].name, "permessage-deflate");
    let (answer, negotiated) = request.accept(&Accept::new().subprotocol("chat"), &Config::new()).expect("as offered");
    assert_eq!((answer.status(), answer.body()), (200, b"".as_slice()));
    assert_eq!(owned(answer.headers().iter()), fields(&[("sec-websocket-protocol", "chat")]));
    assert_eq!(negotiated, Negotiated::with_subprotocol("chat"));
    // In the other direction: the client reads the same from the answer.
    let answered = owned(answer.headers().iter());
    assert_eq!(checked(&["chat", "superchat"], 200, &answered), Ok(negotiated));
}

#[test]
fn a_client_sends_the_fields_of_its_request() {
    rows!("8441-4-1", "8441-4-2", "8441-5-1", "8441-5-2", "8441-5-3", "8441-5-5", "8441-5-6", "9220-3-1");
    for (uri, scheme, authority, path) in [
        ("wss://server.example.com/chat", "https", "server.example.com", "/chat"),
        ("ws://server.example.com/chat?a=b", "http", "server.example.com", "/chat?a=b"),
        ("wss://h:443", "https", "h", "/"),
        ("wss://h:80/", "https", "h:80", "/"),
        ("ws://[::1]:9001/x", "http", "[::1]:9001", "/x"),
    ] {
        let expected = fields(&[
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", scheme),
            (":authority", authority),
            (":path", path),
            ("sec-websocket-version", "13"),
        ]);
        assert_eq!(sent(&ClientRequest::new(uri)), expected, "{uri}");
    }
    let request = offering(&["a", "b"]).origin("https://example.com").expect("a valid origin");
    let request = request.header("Cookie", "x=1").and_then(|request| request.header("X-Own", "y"));
    let further =
        [("sec-websocket-protocol", "a, b"), ("origin", "https://example.com"), ("cookie", "x=1"), ("x-own", "y")];
    assert_eq!(sent(&request.expect("valid headers"))[6..], fields(&further));
}

/// RFC 9113 §8.2.2: a sender of HTTP/2 omits these headers, and a list with one of them is malformed.
#[test]
fn connection_specific_headers_are_neither_sent_nor_accepted() {
    rows!("8441-5-4");
    let specific = [
        ("connection", "upgrade"),
        ("connection", ""),
        ("upgrade", "websocket"),
        ("proxy-connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("te", "gzip"),
    ];
    for (name, value) in specific {
        assert_rejected(&and(&rfc_request(), name, value), HandshakeErrorKind::MalformedHeaderList, 400);
        let answered = checked(&[], 200, &fields(&[(name, value)]));
        assert_eq!(answered, Err(HandshakeErrorKind::MalformedHeaderList), "{name}");
    }
    assert!(parse(&and(&rfc_request(), "te", "trailers")).headers().get("te").is_some());

    let connection_headers = [("Keep-Alive", "timeout=5"), ("TE", "gzip"), ("Proxy-Connection", "x")].into_iter();
    let request = connection_headers
        .fold(offering(&[]), |request, (name, value)| request.header(name, value).expect("a valid header"));
    assert_eq!(sent(&request), sent(&offering(&[])));
    let accept = Accept::new().header("Keep-Alive", "timeout=5").and_then(|accept| accept.header("X-Own", "y"));
    let accept = accept.expect("valid headers");
    let (answer, _) = parse(&rfc_request()).accept(&accept, &Config::new()).expect("the answer is valid");
    assert_eq!(owned(answer.headers().iter()), fields(&[("x-own", "y")]));
    let required =
        Reject::new(426).expect("the status is a rejection").header("Keep-Alive", "timeout=5").expect("a valid header");
    let answer = parse(&rfc_request()).reject(&required);
    assert_eq!(answer.status(), 400, "RFC 9110 §15.5.22: 426 asks for an upgrade, which HTTP/2 does not have");
    assert_eq!(owned(answer.headers().iter()), fields(&[("sec-websocket-version", "13")]));
}

#[test]
fn only_a_connect_for_websocket_opens() {
    use HandshakeErrorKind::{MalformedHeaderList, UnsupportedConnectProtocol, UnsupportedMethod};

    rows!("8441-4-3", "9220-3-3", "8441-4-1");
    let plain = fields(&[(":method", "CONNECT"), (":authority", "internal.example:22")]);
    assert_rejected(&plain, UnsupportedConnectProtocol, 501);
    assert_rejected(&without(&rfc_request(), ":protocol"), UnsupportedConnectProtocol, 501);
    for other in ["foo", "connect-udp", "", "websockets", "websocket, foo", "websocket/13", "h2c"] {
        assert_rejected(&with(&rfc_request(), ":protocol", other), UnsupportedConnectProtocol, 501);
    }
    // RFC 9110 §16.7: "A protocol-name token is case-insensitive".
    assert_eq!(parse(&with(&rfc_request(), ":protocol", "WebSocket")).path(), "/chat");
    for method in ["GET", "HEAD", "connect", "OPTIONS", ""] {
        assert_rejected(&with(&rfc_request(), ":method", method), UnsupportedMethod, 405);
    }
    let head = with(&rfc_request(), ":method", "HEAD");
    assert_rejected(&and(&head, "Upper-Case", "x"), MalformedHeaderList, 400);
    assert_rejected(&without(&rfc_request(), ":method"), UnsupportedMethod, 405);
    let allowed = UnsupportedMethod.answer(Bootstrap::ExtendedConnect, "GET");
    assert_eq!(allowed.headers().get("allow"), Some(b"CONNECT".as_slice()));
}

#[test]
fn scheme_and_path_are_required() {
    rows!("8441-4-2", "8441-5-2", "8441-5-3");
    for name in [":scheme", ":path"] {
        assert_rejected(&without(&rfc_request(), name), HandshakeErrorKind::InvalidRequestTarget, 400);
    }
    for scheme in ["", "ftp", "wss", "ws", "https:"] {
        assert_rejected(&with(&rfc_request(), ":scheme", scheme), HandshakeErrorKind::InvalidRequestTarget, 400);
    }
    for path in ["", "*", "chat", "/a b", "/é", "/a#b", "https://h/", "?x"] {
        assert_rejected(&with(&rfc_request(), ":path", path), HandshakeErrorKind::InvalidRequestTarget, 400);
    }
    let request = parse(&with(&rfc_request(), ":path", "/a%20b?c?d"));
    assert_eq!((request.path(), request.query()), ("/a%20b", Some("c?d")));
}

#[test]
fn the_authority_is_the_host() {
    rows!("8441-5-3");
    assert_rejected(&without(&rfc_request(), ":authority"), HandshakeErrorKind::InvalidHost, 400);
    for authority in ["", "user@h", "h/x", "h:x", ":80", "a b", "[::1"] {
        assert_rejected(&with(&rfc_request(), ":authority", authority), HandshakeErrorKind::InvalidHost, 400);
    }
    for host in ["server.example.com", "SERVER.example.com", "server.example.com:443", "server.example.com:"] {
        assert_eq!(parse(&and(&rfc_request(), "host", host)).host(), "server.example.com");
    }
    for host in ["", "other.example.com", "server.example.com:80", "server.example.com:8443", "\u{e9}"] {
        assert_rejected(&and(&rfc_request(), "host", host), HandshakeErrorKind::InvalidHost, 400);
    }
    let twice = and(&and(&rfc_request(), "host", "server.example.com"), "host", "server.example.com");
    assert_rejected(&twice, HandshakeErrorKind::InvalidHost, 400);
    // Host does not replace :authority.
    let host = and(&without(&rfc_request(), ":authority"), "host", "server.example.com");
    assert_rejected(&host, HandshakeErrorKind::InvalidHost, 400);
}

#[test]
fn key_and_accept_are_neither_sent_nor_checked() {
    rows!("8441-5-5");
    let names = |list: &Fields| list.iter().map(|field| field.0.clone()).collect::<Vec<_>>();
    let own = names(&sent(&offering(&["a"])));
    assert!(!own.contains(&"sec-websocket-key".to_owned()) && !own.contains(&"host".to_owned()), "{own:?}");
    for key in ["dGhlIHNhbXBsZSBub25jZQ==", "no key"] {
        let request = parse(&and(&rfc_request(), "sec-websocket-key", key));
        let (answer, _) = request.accept(&Accept::new(), &Config::new()).expect("the answer is valid");
        assert_eq!((answer.status(), answer.headers().iter().count()), (200, 0));
    }
    for accept in ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "wrong", ""] {
        assert_eq!(checked(&[], 200, &fields(&[("sec-websocket-accept", accept)])), Ok(Negotiated::default()));
    }
    assert_eq!(checked(&[], 200, &Fields::new()), Ok(Negotiated::default()));
}

#[test]
fn version_13_and_lower_case_names_are_required() {
    rows!("8441-5-6");
    for missing in ["", "x", "13, 8", "013"] {
        assert_rejected(
            &with(&rfc_request(), "sec-websocket-version", missing),
            HandshakeErrorKind::InvalidVersion,
            400,
        );
    }
    assert_rejected(&without(&rfc_request(), "sec-websocket-version"), HandshakeErrorKind::InvalidVersion, 400);
    assert_rejected(&and(&rfc_request(), "sec-websocket-version", "13"), HandshakeErrorKind::InvalidVersion, 400);
    for other in ["8", "0", "14", "255"] {
        let list = with(&rfc_request(), "sec-websocket-version", other);
        assert_rejected(&list, HandshakeErrorKind::UnsupportedVersion, 400);
    }
    for name in ["Sec-WebSocket-Version", "X-own", "x-owN"] {
        assert_rejected(&and(&rfc_request(), name, "13"), HandshakeErrorKind::MalformedHeaderList, 400);
        assert_eq!(checked(&[], 200, &fields(&[(name, "13")])), Err(HandshakeErrorKind::MalformedHeaderList));
    }
}

/// Headers used "as they were in RFC 6455" are rejected for the same reasons as there.
#[test]
fn other_headers_are_checked_as_in_http1() {
    rows!("8441-5-6", "8441-8-1");
    for (name, value, kind) in [
        ("sec-websocket-protocol", "a b", HandshakeErrorKind::InvalidSubprotocol),
        ("sec-websocket-protocol", "chat, chat", HandshakeErrorKind::InvalidSubprotocol),
        ("sec-websocket-protocol", "", HandshakeErrorKind::InvalidSubprotocol),
        ("sec-websocket-extensions", ";x", HandshakeErrorKind::InvalidExtensions),
        ("origin", "\u{0}", HandshakeErrorKind::MalformedHeaderList),
    ] {
        assert_rejected(&with(&rfc_request(), name, value), kind, 400);
    }
    assert_rejected(&with(&rfc_request(), "origin", b"\xff"), HandshakeErrorKind::InvalidOrigin, 400);
    assert_rejected(&and(&rfc_request(), "origin", "http://a"), HandshakeErrorKind::InvalidOrigin, 400);
    for (length, body) in [("0", None), ("5", Some(HandshakeErrorKind::UnexpectedBody))] {
        let list = and(&rfc_request(), "content-length", length);
        assert_eq!(parse_extended_connect(list.iter().cloned()).err(), body);
    }
    let same = parse(&with(&rfc_request(), "origin", "https://server.example.com"));
    assert!(same.is_same_origin(true) && !same.is_same_origin(false));
    assert!(!parse(&rfc_request()).is_same_origin(true));
    // RFC 6455 §4.2.2, 4, and the caller's own headers.
    let rejected = |accept: &Accept| {
        parse(&rfc_request()).accept(accept, &Config::new()).expect_err("the list cannot be accepted")
    };
    let error: AcceptError = rejected(&Accept::new().subprotocol("other"));
    assert_eq!(error.into_request(), parse(&rfc_request()));
    for (name, value, error) in [
        ("x", "a\r\nb", HeaderError::Value),
        (":status", "101", HeaderError::Name),
        ("connection", "x", HeaderError::Reserved),
        ("sec-websocket-accept", "x", HeaderError::Reserved),
    ] {
        assert_eq!(Accept::new().header(name, value).err(), Some(error), "{name}");
    }
}

/// RFC 9113 §8.2.1, §8.3.
#[test]
fn malformed_lists_are_rejected() {
    rows!("8441-4-1", "9220-3-1");
    let malformed = |list: &Fields| assert_rejected(list, HandshakeErrorKind::MalformedHeaderList, 400);
    for field in &rfc_request()[..5] {
        malformed(&[vec![field.clone()], rfc_request()].concat());
        malformed(&[without(&rfc_request(), &field.0), vec![field.clone()]].concat());
    }
    for name in [":status", ":foo", ":", "::path", ":Path", ":path "] {
        let mut list = rfc_request();
        list.insert(0, (name.to_owned(), b"/".to_vec()));
        malformed(&list);
    }
    for name in ["", " ", "a b", "a:b", "a\r\nb", "a\0", "\u{e9}", "a\n"] {
        malformed(&and(&rfc_request(), name, "x"));
    }
    // Values that would start new lines in HTTP/1.1.
    for value in ["a\r\nb: c", "a\nb", "a\rb", "a\0b", "\u{7f}", " a", "a\t", "\r\n\r\nGET / HTTP/1.1"] {
        malformed(&and(&rfc_request(), "x-own", value));
        for name in [":path", ":authority", ":protocol", ":method", "sec-websocket-protocol", "origin"] {
            malformed(&with(&rfc_request(), name, value));
        }
        assert_eq!(checked(&[], 200, &fields(&[("x-own", value)])), Err(HandshakeErrorKind::MalformedHeaderList));
        let subprotocol = offering(&[value]).extended_connect(&Config::new());
        assert_eq!(subprotocol.err(), Some(RequestError::Subprotocol));
        for request in [offering(&[]).header("x-own", value), offering(&[]).origin(value)] {
            assert_eq!(request.err(), Some(HeaderError::Value), "{value:?}");
        }
    }
    malformed(&with(&rfc_request(), ":path", b"/\xff"));
}

/// A list costs no more memory than its bytes: many headers are kept, too many list elements are rejected.
#[test]
fn long_field_lists_are_kept_and_long_values_rejected() {
    rows!("8441-5-6");
    let mut long = rfc_request();
    long.extend((0..50_000).map(|number| (format!("x-{number}"), b"y".to_vec())));
    assert_eq!(parse(&long).headers().iter().count(), 50_004);
    let elements = vec!["a"; 10_000].join(",");
    let list = with(&rfc_request(), "sec-websocket-extensions", &elements);
    assert_rejected(&list, HandshakeErrorKind::InvalidExtensions, 400);
    let many = (0..10_000).fold(rfc_request(), |mut list, number| {
        list.push(("sec-websocket-protocol".to_owned(), number.to_string().into_bytes()));
        list
    });
    assert_rejected(&many, HandshakeErrorKind::InvalidSubprotocol, 400);
}
