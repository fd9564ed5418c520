//! ws and wss URIs (RFC 6455 §3, §11.1), parsed and in the client's request.

use websocket_proto::uri::{Uri, UriError};
use websocket_proto::{ClientRequest, Config, Connection, Output, RequestError};

use crate::harness::connecting;
use crate::http::Head;
use crate::rows;

/// Asserts the parts of the URI, and that the request asks for them.
#[track_caller]
fn assert_leads(uri: &str, secure: bool, host: &str, port: u16, authority: &str, resource: &str) {
    let parsed = Uri::parse(uri).expect(uri);
    assert_eq!((parsed.is_secure(), parsed.host(), parsed.port()), (secure, host, port), "{uri}");
    assert_eq!((parsed.authority(), parsed.resource()), (authority, resource), "{uri}");
    let (_, request) = connecting(&ClientRequest::new(uri), Config::new());
    let head = Head::parse(request.as_bytes());
    assert_eq!(head.first_line, format!("GET {resource} HTTP/1.1"), "{uri}");
    assert_eq!(head.only("Host"), authority, "{uri}");
}

#[track_caller]
fn assert_resource(uri: &str, resource: &str) {
    assert_eq!(Uri::parse(uri).expect(uri).resource(), resource, "{uri}");
    let (_, request) = connecting(&ClientRequest::new(uri), Config::new());
    assert_eq!(Head::parse(request.as_bytes()).first_line, format!("GET {resource} HTTP/1.1"), "{uri}");
}

/// Asserts that the URI is rejected: no connection, and nothing written.
#[track_caller]
fn assert_invalid(uri: &str, error: UriError) {
    assert_eq!(Uri::parse(uri), Err(error), "{uri:?}");
    let mut output = Output::new();
    let client = Connection::client(&ClientRequest::new(uri), Config::new(), [7; 32], &mut output);
    assert_eq!(client.err(), Some(RequestError::Uri(error)), "{uri:?}");
    assert!(output.is_empty(), "{uri:?}");
}

#[test]
fn only_ws_and_wss_are_accepted() {
    rows!("6455-3-1");
    assert_leads("ws://a/", false, "a", 80, "a", "/");
    assert_leads("wss://a/", true, "a", 443, "a", "/");
    assert_leads("WSS://a/", true, "a", 443, "a", "/");
    assert_leads("wS://a/", false, "a", 80, "a", "/");
    for other in ["http://a/", "https://a/", "ftp://a/", "wsss://a/", "w://a/", "ws+unix://a/"] {
        assert_invalid(other, UriError::Scheme);
    }
}

#[test]
fn ports_default_by_scheme() {
    rows!("6455-3-2", "6455-4.1-r4");
    assert_leads("ws://h/c", false, "h", 80, "h", "/c");
    assert_leads("wss://h/c", true, "h", 443, "h", "/c");
    assert_leads("ws://h:81/c", false, "h", 81, "h:81", "/c");
    assert_leads("wss://h:65535/c", true, "h", 65535, "h:65535", "/c");
    // The other scheme's default port is sent.
    assert_leads("ws://h:443/c", false, "h", 443, "h:443", "/c");
    assert_leads("wss://h:80/c", true, "h", 80, "h:80", "/c");
    // "port only when non-default"; RFC 3986 §6.2.3: an empty port is the default one.
    assert_leads("ws://h:80/c", false, "h", 80, "h", "/c");
    assert_leads("wss://h:443/c", true, "h", 443, "h", "/c");
    assert_leads("ws://h:/c", false, "h", 80, "h", "/c");
}

#[test]
fn resource_names_are_path_and_query() {
    rows!("6455-3-3", "6455-4.1-r3");
    assert_resource("ws://h", "/");
    assert_resource("ws://h/", "/");
    assert_resource("ws://h?x=1", "/?x=1");
    assert_resource("ws://h/?x=1", "/?x=1");
    assert_resource("ws://h/a/b", "/a/b");
    assert_resource("ws://h/a?", "/a");
    assert_resource("ws://h?", "/");
    assert_resource("ws://h/a?x=1&y=/?z", "/a?x=1&y=/?z");
    // The path is sent as given: neither resolved nor decoded, and with its case.
    assert_resource("ws://h//a;b=c/%2F%e9/:@!$&'()*+,;=", "//a;b=c/%2F%e9/:@!$&'()*+,;=");
}

#[test]
fn fragment_identifiers_are_rejected() {
    rows!("6455-3-4", "WS-URL-2");
    for uri in ["ws://h/a#b", "ws://h/a#", "ws://h#b", "ws://h?x=1#b", "wss://h/#", "ws://a/#"] {
        assert_invalid(uri, UriError::Fragment);
        assert_eq!(Uri::parse_whatwg(uri), Err(UriError::Fragment), "{uri}");
    }
    assert_eq!(Uri::parse_whatwg("https://h/a#b"), Err(UriError::Fragment));
}

#[test]
fn escaped_number_signs_are_kept() {
    rows!("6455-3-5");
    assert_resource("ws://h/a%23b", "/a%23b");
    assert_resource("ws://h/a?b=%23", "/a?b=%23");
}

#[test]
fn non_ascii_paths_are_percent_encoded() {
    rows!("6455-11.1.1-1");
    assert_resource("ws://h/é", "/%C3%A9");
    assert_resource("ws://h/日本?q=ß", "/%E6%97%A5%E6%9C%AC?q=%C3%9F");
    assert_resource("ws://h/%C3%A9/\u{1f600}", "/%C3%A9/%F0%9F%98%80");
    assert_leads("ws://xn--bcher-kva.example/", false, "xn--bcher-kva.example", 80, "xn--bcher-kva.example", "/");
    // "or refuse": converting to Punycode is left to the caller.
    for uri in ["ws://bücher.example/", "ws://例え.example:81/a"] {
        assert_invalid(uri, UriError::Host);
    }
}

#[test]
fn ip_literals_are_accepted() {
    rows!("6455-3-6");
    assert_leads("ws://[::1]:9/", false, "::1", 9, "[::1]:9", "/");
    assert_leads("wss://[2001:db8::7]/a", true, "2001:db8::7", 443, "[2001:db8::7]", "/a");
    assert_leads("ws://127.0.0.1:8080/", false, "127.0.0.1", 8080, "127.0.0.1:8080", "/");
}

#[test]
fn invalid_uris_are_rejected() {
    rows!("6455-4.1-a1");
    let invalid = [
        ("", UriError::Syntax),
        ("/chat", UriError::Syntax),
        ("//h/chat", UriError::Syntax),
        ("h/chat", UriError::Syntax),
        (" ws://h/", UriError::Syntax),
        ("ws://h/a b", UriError::Syntax),
        ("ws://h/%zz", UriError::Syntax),
        ("ws://ex%0d%0ample/", UriError::Host),
        ("ws://h/ HTTP/1.1\r\nX: y", UriError::Syntax),
        ("ws://h\r\nX: y/", UriError::Syntax),
        ("ws://h/\0", UriError::Syntax),
        ("ws://h:port/", UriError::Syntax),
        ("ws://h:-1/", UriError::Syntax),
        ("ws://::1/", UriError::Syntax),
        ("ws://[::1/", UriError::Syntax),
        ("ws://h:99999/", UriError::Port),
        ("ws://h:65536/", UriError::Port),
        ("ws://h:0/", UriError::Port),
        ("ws:h", UriError::Host),
        ("ws:/h", UriError::Host),
        ("ws:///chat", UriError::Host),
        ("ws://:80/", UriError::Host),
        ("ws://user@h/", UriError::UserInformation),
        ("ws://user:password@h/", UriError::UserInformation),
    ];
    for (uri, error) in invalid {
        assert_invalid(uri, error);
    }
}

#[test]
fn well_known_uris_are_requested() {
    rows!("8307-1");
    assert_resource("ws://h/.well-known/coap", "/.well-known/coap");
    assert_resource("wss://h/.well-known/x?y", "/.well-known/x?y");
}

#[test]
fn whatwg_parsing_maps_http_to_ws() {
    rows!("WS-URL-1");
    for (given, meant) in [
        ("http://a/b?c", "ws://a/b?c"),
        ("https://a", "wss://a"),
        ("HTTPS://a:444/", "wss://a:444/"),
        ("http://a:80/", "ws://a/"),
        ("ws://a/", "ws://a/"),
        ("wss://a/", "wss://a/"),
    ] {
        assert_eq!(Uri::parse_whatwg(given), Uri::parse(meant), "{given}");
        assert!(Uri::parse(meant).is_ok());
    }
    for other in ["ftp://a/", "file://a/", "wsss://a/"] {
        assert_eq!(Uri::parse_whatwg(other), Err(UriError::Scheme), "{other}");
    }
}
