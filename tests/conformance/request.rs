//! The target, headers and origin of a request, as the server's application sees them.

use websocket_proto::HandshakeErrorKind;
use websocket_proto::handshake::parse_request;

use crate::harness::REQUEST;
use crate::http::{add, asking_for, parsed, replace, with_byte};
use crate::rows;

#[test]
fn path_and_query_come_from_the_target() {
    rows!("6455-4.2.1-2");
    for (target, path, query) in [
        ("/", "/", None),
        ("/chat", "/chat", None),
        ("/chat?", "/chat", Some("")),
        ("/chat?x=1&y=%20", "/chat", Some("x=1&y=%20")),
        ("/a%2Fb?c?d/e", "/a%2Fb", Some("c?d/e")),
        ("http://h", "/", None),
        ("http://h?x", "/", Some("x")),
        ("http://h/a?b", "/a", Some("b")),
    ] {
        let request = parsed(&asking_for(target));
        assert_eq!((request.path(), request.query()), (path, query), "{target}");
    }
}

#[test]
fn headers_keep_their_order_case_and_bytes() {
    rows!("6455-4.2.1-12");
    let request = parsed(&add(REQUEST, "X-List: a\r\nCookie:  b \r\nx-list: c\r\nX-Empty:\r\n"));
    let headers = request.headers();
    assert_eq!(headers.get("x-LIST"), Some(b"a".as_slice()));
    assert_eq!(headers.get_all("X-List").collect::<Vec<_>>(), [b"a", b"c"]);
    assert_eq!((headers.get("Cookie"), headers.get("X-Empty")), (Some(&b"b"[..]), Some(&b""[..])));
    assert_eq!(headers.get("X-Lis"), None);
    let names: Vec<&str> = headers.iter().map(|(name, _)| name).skip(5).collect();
    assert_eq!(names, ["X-List", "Cookie", "x-list", "X-Empty"]);
    let latin = parse_request(&with_byte(0xe9, REQUEST, "X-Latin: caf?\r\n")).expect("any bytes are a value");
    assert_eq!(latin.headers().get("X-Latin"), Some(b"caf\xe9".as_slice()));
}

/// Requests with the same content are equal, however their bytes were written.
#[test]
fn requests_with_the_same_content_are_equal() {
    let request = parsed(REQUEST);
    assert_eq!(request, parsed(REQUEST));
    assert_eq!(request, parsed(&REQUEST.replace("\r\nHost: ", "\r\nHost:\t")));
    let again = add(REQUEST, "X-A: b\r\n");
    for (one, other) in [
        (REQUEST, &*asking_for("/other")),
        (REQUEST, &*again),
        (&*again, &*add(REQUEST, "X-A: c\r\n")),
        (&*again, &*add(REQUEST, "X-B: b\r\n")),
        // Equal headers; only a target with another host differs.
        (REQUEST, &*asking_for("http://other/chat")),
    ] {
        assert_ne!(parsed(one), parsed(other));
        assert_ne!(parsed(other), parsed(one));
    }
    let lists = |lines| parsed(&add(REQUEST, lines)).headers().clone();
    assert_eq!(lists("X-A: b\r\n"), lists("X-A:  b \r\n"));
    assert_ne!(lists("X-A: b\r\n"), lists(""));
}

#[test]
fn a_request_has_at_most_one_origin() {
    rows!("6455-4.2.1-9", "6455-4.2.2-4", "6455-10.2-1");
    assert_eq!(parsed(REQUEST).origin(), None);
    assert!(!parsed(REQUEST).is_same_origin(true) && !parsed(REQUEST).is_same_origin(false));
    for origin in ["http://www.example.com", "null", "HTTPS://a:1"] {
        assert_eq!(parsed(&add(REQUEST, &format!("Origin: {origin}\r\n"))).origin(), Some(origin));
    }
    // RFC 6454 §7.3: at most one Origin. If two counted as none, a check could be bypassed.
    let twice = add(REQUEST, "Origin: http://a\r\nOrigin: http://a\r\n");
    for request in [twice.into_bytes(), with_byte(0xff, REQUEST, "Origin: ?\r\n")] {
        assert_eq!(parse_request(&request).err(), Some(HandshakeErrorKind::InvalidOrigin));
    }
}

/// `parse_request` accepts exactly one head, and is as strict as a connection.
#[test]
fn parse_request_takes_exactly_one_head() {
    rows!("6455-4.2.1-15");
    assert!(parse_request(REQUEST.as_bytes()).is_ok());
    for head in [
        format!("{REQUEST}more"),
        REQUEST.trim_end().to_owned(),
        REQUEST.replace("\r\n", "\n"),
        format!("\r\n\r\n{REQUEST}"),
        String::new(),
    ] {
        assert_eq!(parse_request(head.as_bytes()).err(), Some(HandshakeErrorKind::MalformedHttp), "{head:?}");
    }
}

#[test]
fn same_origin_compares_scheme_host_and_port() {
    rows!("6455-10.2-1", "6455-4.2.2-4");
    // RFC 6454 §5: scheme, host and port; a missing port is the scheme's default.
    for (host, origin, is_same_over_http, is_same_over_tls) in [
        ("example.com", "http://example.com", true, false),
        ("example.com", "https://example.com", false, true),
        ("example.com:80", "http://example.com", true, false),
        ("example.com", "http://example.com:80", true, false),
        ("example.com:443", "https://example.com", false, true),
        ("example.com", "https://example.com:443", false, true),
        ("example.com:443", "http://example.com", false, false),
        ("example.com:80", "https://example.com", false, false),
        ("example.com:443", "http://example.com:443", true, false),
        ("example.com:8080", "http://example.com:8080", true, false),
        ("example.com:8080", "http://example.com", false, false),
        ("example.com", "http://example.com:8080", false, false),
        ("example.com:8080", "http://example.com:80", false, false),
        ("EXAMPLE.com", "HTTP://example.COM", true, false),
        ("[::1]:9001", "http://[::1]:9001", true, false),
        ("[::1]:80", "http://[::1]", true, false),
        ("example.com:", "http://example.com", true, false),
        ("example.com", "null", false, false),
        ("example.com", "", false, false),
        ("example.com", "example.com", false, false),
        ("example.com", "ws://example.com", false, false),
        ("example.com", "ftps://example.com", false, false),
        ("example.com", "httpx://example.com", false, false),
        ("example.com", "http://www.example.com", false, false),
        ("example.com", "http://example.com.evil.example", false, false),
        ("example.com", "http://evil.example/example.com", false, false),
        ("example.com", "http://evil.example http://example.com", false, false),
        ("example.com", "http://user@example.com", false, false),
        ("example.com", "http:/é", false, false),
    ] {
        let lines = format!("Host: {host}\r\nOrigin: {origin}\r\n");
        let request = parsed(&replace(REQUEST, "Host", &lines));
        let found = (request.is_same_origin(false), request.is_same_origin(true));
        assert_eq!(found, (is_same_over_http, is_same_over_tls), "{origin} at {host}");
    }
}
