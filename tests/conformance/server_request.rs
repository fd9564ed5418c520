//! How a server reads an opening request (RFC 6455 §4.2.1, §4.3): which requests open, and which are rejected.

use websocket_proto::handshake::{Extension, MalformedHeader, parse_extensions, parse_request};
use websocket_proto::{Config, Connection, HandshakeErrorKind as Kind, Role, State};

use crate::harness::{REQUEST, every_cut, frame, text};
use crate::http::{
    Head, add, asking_for, assert_opens, assert_rejection, assert_request_rejected, parsed, replace, some_cuts,
    waiting, with_byte,
};
use crate::rows;

/// Asserts that the request is rejected if any of these `lines` replace the lines called `name`.
#[track_caller]
fn assert_each_rejected(name: &str, lines: &[&str], kind: Kind) {
    for lines in lines {
        assert_request_rejected(replace(REQUEST, name, lines), kind);
    }
}

#[track_caller]
fn assert_each_opens(name: &str, lines: &[&str]) {
    for lines in lines {
        assert_opens(&replace(REQUEST, name, lines));
    }
}

#[test]
fn method_must_be_get_and_version_1_1() {
    rows!("6455-4.2.1-0", "6455-4.2.1-1", "6455-10.7-4");
    for method in ["POST", "OPTIONS", "CONNECT", "get", "GETS"] {
        assert_request_rejected(REQUEST.replace("GET", method), Kind::UnsupportedMethod);
    }
    assert_request_rejected(REQUEST.replace("HTTP/1.1", "HTTP/1.0"), Kind::HttpVersionTooOld);
}

#[test]
fn the_target_is_a_path_or_an_absolute_uri() {
    rows!("6455-4.2.1-2", "6455-8.1-1");
    for (target, resource, host) in [
        ("/chat", "/chat", "server.example.com"),
        ("/", "/", "server.example.com"),
        ("/a/b?c=d", "/a/b?c=d", "server.example.com"),
        // RFC 9112 §3.2.2: the Host header of an absolute-form request is ignored.
        ("http://h/chat", "/chat", "h"),
        ("https://h:81/chat?x", "/chat?x", "h:81"),
        ("ws://h", "/", "h"),
        ("WSS://[::1]?x=1", "/?x=1", "[::1]"),
    ] {
        let request = asking_for(target);
        assert_opens(&request);
        let request = parsed(&request);
        assert_eq!((request.resource(), request.host()), (resource, host), "{target}");
    }
    for target in ["*", "chat", "ftp://h/chat", "http:///chat", "http://u@h/", "http:chat", "h:80", "/a#b", "/a\x7f"] {
        let kind = if target.contains('\x7f') { Kind::MalformedHttp } else { Kind::InvalidRequestTarget };
        assert_request_rejected(asking_for(target), kind);
    }
    // Bytes beyond ASCII are rejected, valid UTF-8 or not.
    for byte in [&b"\xff"[..], "é".as_bytes()] {
        let request = [b"GET /", byte, &REQUEST.as_bytes()["GET /chat".len()..]].concat();
        assert!(matches!(parse_request(&request), Err(Kind::InvalidRequestTarget | Kind::MalformedHttp)));
        let outcome = every_cut(waiting, &request);
        assert_eq!(
            (Head::parse(&outcome.output).first_line.as_str(), outcome.state),
            ("HTTP/1.1 400 Bad Request", State::Closed)
        );
    }
}

#[test]
fn host_is_required_once() {
    rows!("6455-4.2.1-3", "6455-4.2.1-0");
    let twice = "Host: server.example.com\r\nHost: server.example.com\r\n";
    let wrong =
        ["", twice, "Host: \r\n", "Host: a b\r\n", "Host: a/b\r\n", "Host: u@h\r\n", "Host: h:x\r\n", "Host: :80\r\n"];
    assert_each_rejected("Host", &wrong, Kind::InvalidHost);
    assert_each_opens("Host", &["host:h\r\n", "Host: h:80\r\n", "Host: 127.0.0.1:9001\r\n", "HOST: [::1]:9001\r\n"]);
    // In the absolute form it has to be there all the same.
    assert_request_rejected(replace(&asking_for("http://h/"), "Host", ""), Kind::InvalidHost);
}

#[test]
fn upgrade_must_include_websocket() {
    rows!("6455-4.2.1-4", "6455-4.2.1-0");
    let missing = ["", "Upgrade: foo\r\n", "Upgrade: \r\n", "Upgrade: websockets\r\n", "Upgrade: h2c websocket\r\n"];
    assert_each_rejected("Upgrade", &missing, Kind::MissingUpgrade);
    let good = ["Upgrade: WebSocket\r\n", "upgrade:WEBSOCKET\r\n", "Upgrade: h2c, websocket\r\n"];
    assert_each_opens("Upgrade", &good);
    assert_each_opens("Upgrade", &["Upgrade: h2c\r\nUpgrade: websocket\r\n", "Upgrade: ,websocket ,\r\n"]);
}

#[test]
fn connection_must_include_upgrade() {
    rows!("6455-4.2.1-5", "6455-4.2.1-0");
    let missing = ["", "Connection: close\r\n", "Connection: keep-alive\r\n", "Connection: keep-alive Upgrade\r\n"];
    assert_each_rejected("Connection", &missing, Kind::MissingConnectionUpgrade);
    let good = ["Connection: upgrade\r\n", "Connection: keep-alive, Upgrade\r\n", "connection:UPGRADE,x\r\n"];
    assert_each_opens("Connection", &good);
    assert_each_opens(
        "Connection",
        &["Connection: keep-alive\r\nConnection: Upgrade\r\n", "Connection: , Upgrade\r\n"],
    );
}

#[test]
fn the_key_must_be_sixteen_bytes_in_base64() {
    rows!("6455-4.2.1-6", "6455-4.2.1-7", "6455-11.3.1-1", "6455-4.2.1-0");
    for wrong in [
        "",
        "dGhlIHNhbXBsZSBub25j",
        "!!!!!!!!!!!!!!!!!!!!!!==",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZWU=",
        "dGhlIHNhbXBsZSBub25jZWVl",
        "dGhlIHNhbXBsZSBub25jZQ==AAAA",
        "dGhlIHNhbXBs ZSBub25jZQ=",
        "====dGhlIHNhbXBsZSBub25j",
        "dGhlIHNhbXBsZSBub25jZ\u{e9}=",
    ] {
        let line = format!("Sec-WebSocket-Key: {wrong}\r\n");
        assert_request_rejected(replace(REQUEST, "Sec-WebSocket-Key", &line), Kind::InvalidKey);
    }
    let twice = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n".repeat(2);
    assert_each_rejected("Sec-WebSocket-Key", &["", &twice], Kind::InvalidKey);
    // Bits after the sixteenth byte, as in the RFC's own example, are accepted.
    let rfcs = "Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC==\r\n";
    let head = assert_opens(&replace(REQUEST, "Sec-WebSocket-Key", rfcs));
    assert_eq!(head.only("Sec-WebSocket-Accept"), "OfS0wDaT5NoxF2gqm7Zj2YtetzM=");
}

#[test]
fn the_version_must_be_13() {
    rows!("6455-4.2.1-8", "6455-4.2.2-6", "6455-4.3-2", "6455-4.4-1", "6455-11.3.5-1");
    let other = [0, 1, 7, 8, 12, 14, 25, 99, 100, 130, 199, 200, 255];
    for version in other {
        let line = format!("Sec-WebSocket-Version: {version}\r\n");
        assert_request_rejected(replace(REQUEST, "Sec-WebSocket-Version", &line), Kind::UnsupportedVersion);
    }
    for wrong in ["013", "00", "256", "1000", "-1", "+13", "13.0", "0x0d", "13, 8", "13,", "13;", "thirteen", "", "é"]
    {
        let line = format!("Sec-WebSocket-Version: {wrong}\r\n");
        assert_request_rejected(replace(REQUEST, "Sec-WebSocket-Version", &line), Kind::InvalidVersion);
    }
    let thirteen = "Sec-WebSocket-Version: 13\r\n";
    let eight_too = format!("{thirteen}Sec-WebSocket-Version: 8\r\n");
    assert_each_rejected("Sec-WebSocket-Version", &["", &thirteen.repeat(2), &eight_too], Kind::InvalidVersion);
    assert_each_opens("Sec-WebSocket-Version", &["sec-websocket-version:13\r\n", "SEC-WEBSOCKET-VERSION: \t13 \r\n"]);
}

#[test]
fn subprotocols_are_a_list_of_unique_tokens() {
    rows!("6455-4.2.1-10", "6455-4.2.1-13", "6455-11.3.4-1", "6455-4.3-4", "6455-8.1-1");
    for (lines, offered) in [
        ("", &[][..]),
        ("Sec-WebSocket-Protocol: chat, superchat\r\n", &["chat", "superchat"]),
        ("Sec-WebSocket-Protocol: superchat,chat\r\n", &["superchat", "chat"]),
        ("Sec-WebSocket-Protocol: chat\r\nsec-websocket-protocol: superchat, v2.x\r\n", &["chat", "superchat", "v2.x"]),
        ("Sec-WebSocket-Protocol: a,,,b\t, ,c ,\r\n", &["a", "b", "c"]),
        ("Sec-WebSocket-Protocol: a, A\r\n", &["a", "A"]),
    ] {
        let request = add(REQUEST, lines);
        assert_opens(&request);
        assert_eq!(parsed(&request).subprotocols().collect::<Vec<_>>(), offered, "{lines}");
    }
    for wrong in ["a b,;", "a b", "a;b", "a/b", ",", "", " , ", "a, a", "\"a\"", "a=b", "é"] {
        assert_request_rejected(
            add(REQUEST, &format!("Sec-WebSocket-Protocol: {wrong}\r\n")),
            Kind::InvalidSubprotocol,
        );
    }
    let repeated = "Sec-WebSocket-Protocol: a\r\n".repeat(2);
    assert_request_rejected(add(REQUEST, &repeated), Kind::InvalidSubprotocol);
    assert_request_rejected(with_byte(0xff, REQUEST, "Sec-WebSocket-Protocol: a?\r\n"), Kind::InvalidSubprotocol);
    assert_request_rejected(with_byte(0xff, REQUEST, "Sec-WebSocket-Extensions: a?\r\n"), Kind::InvalidExtensions);
}

#[test]
fn unsupported_extensions_are_ignored_and_malformed_ones_rejected() {
    rows!("6455-4.2.1-13", "6455-9.1-1");
    for offer in ["permessage-deflate; client_max_window_bits", "x-foo", "a; b; c=\"d\", e"] {
        // The server ignores an offer that it does not support.
        let head = assert_opens(&add(REQUEST, &format!("Sec-WebSocket-Extensions: {offer}\r\n")));
        assert!(head.all("Sec-WebSocket-Extensions").is_empty());
    }
    for wrong in ["permessage-deflate; =1", "permessage-deflate;;=", ";x", "a b", ",", "", "a;", "a; b=", "a; b c", "é"]
    {
        assert_request_rejected(
            add(REQUEST, &format!("Sec-WebSocket-Extensions: {wrong}\r\n")),
            Kind::InvalidExtensions,
        );
    }
}

/// The extensions in these values of Sec-WebSocket-Extensions, or an error.
fn extensions_in(values: &[&str]) -> Result<String, MalformedHeader> {
    parse_extensions(values.iter().map(|value| value.as_bytes())).map(|extensions| shown(&extensions))
}

/// Extensions as `name;parameter=value,...`.
fn shown(extensions: &[Extension]) -> String {
    let shown = extensions.iter().map(|extension| {
        let parameters = extension.parameters.iter().map(|(name, value)| match value {
            Some(value) => format!(";{name}={value}"),
            None => format!(";{name}"),
        });
        extension.name.clone() + &parameters.collect::<String>()
    });
    shown.collect::<Vec<_>>().join(",")
}

#[test]
fn extensions_are_parsed_by_their_grammar() {
    rows!("6455-4.2.1-11", "6455-4.3-1", "6455-4.3-3", "6455-4.3-4", "6455-9.1-3", "6455-11.3.2-1");
    for (values, meaning) in [
        (&["foo, bar; baz=2"][..], "foo,bar;baz=2"),
        (&["foo", "bar; baz=2"], "foo,bar;baz=2"),
        (&["permessage-deflate ; client_max_window_bits"], "permessage-deflate;client_max_window_bits"),
        (&[" a\t;\tb = 1 ; c =\"2\" , d "], "a;b=1;c=2,d"),
        (&["a;x=\"10\""], "a;x=10"),
        (&["a;x=\"\\1\\0\""], "a;x=10"),
        (&["a,,,b"], "a,b"),
        (&[",", " a , ,", ",b"], "a,b"),
        (&["a;b;b=1;b"], "a;b;b=1;b"),
    ] {
        assert_eq!(extensions_in(values).as_deref(), Ok(meaning), "{values:?}");
        let lines = values.iter().map(|value| format!("Sec-WebSocket-Extensions: {value}\r\n"));
        let request = add(REQUEST, &lines.collect::<Vec<_>>().concat());
        assert_opens(&request);
        // The application gets every offered extension, from one line or several.
        assert_eq!(shown(parsed(&request).extensions()), meaning, "{values:?}");
    }
    for malformed in [
        "a;x=\"a b\"",
        "a;x=\"\"",
        "a;x=\"1",
        "a;x=1\"",
        "a;x=\"\\\"",
        "a;x=\"1\"2",
        "a;x=\"é\"",
        "a;x=",
        "a;=1",
        "a;;b",
        "a;",
        ";",
        "=",
        "a=1",
        "a b",
        ",",
        "",
        "a/b",
        "\"a\"",
        "a;x==1",
        "a;x=1=2",
    ] {
        assert!(extensions_in(&[malformed]).is_err(), "{malformed}");
        assert_eq!(extensions_in(&["good", malformed]).is_ok(), matches!(malformed, "" | ","), "{malformed}");
        assert_request_rejected(
            add(REQUEST, &format!("Sec-WebSocket-Extensions: {malformed}\r\n")),
            Kind::InvalidExtensions,
        );
    }
}

#[test]
fn order_case_and_unknown_headers_do_not_matter() {
    rows!("6455-4.2.1-12");
    let (first, rest) = REQUEST.split_once("\r\n").expect("the head has lines");
    let mut lines: Vec<&str> = rest.split_inclusive("\r\n").filter(|line| *line != "\r\n").collect();
    lines.extend(["X-Foo: 1\r\n", "Sec-WebSocket-Foo: ;;\r\n", "X-Empty:\r\n", "Cookie: \u{e9}=\"1\"; b\r\n"]);
    for _ in 0..lines.len() {
        lines.rotate_left(1);
        let request = format!("{first}\r\n{}\r\n", lines.concat());
        let head = assert_opens(&request);
        assert_eq!(head.only("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let lower_case = lines.iter().map(|line| match line.split_once(':') {
            Some((name, value)) => format!("{}:{value}", name.to_ascii_lowercase()),
            None => (*line).to_owned(),
        });
        assert_opens(&format!("{first}\r\n{}\r\n", lower_case.collect::<String>()));
    }
}

/// A parser that distinguishes names by their length must compare the remaining bytes as well.
#[test]
fn headers_with_other_names_of_the_same_length_are_ignored() {
    rows!("6455-4.2.1-12");
    let stranger = |name: &str| format!("{:x<1$}", "X-", name.len());
    for name in [
        "Host",
        "Origin",
        "Upgrade",
        "Connection",
        "Content-Length",
        "Transfer-Encoding",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
    ] {
        assert_opens(&add(REQUEST, &format!("{}: ;\r\n", stranger(name))));
    }
    for (name, value, kind) in
        [("Upgrade", "websocket", Kind::MissingUpgrade), ("Connection", "Upgrade", Kind::MissingConnectionUpgrade)]
    {
        assert_request_rejected(replace(REQUEST, name, &format!("{}: {value}\r\n", stranger(name))), kind);
    }
}

/// No honest peer lists a hundred elements in one header, and each takes more memory than its bytes.
#[test]
fn lists_in_headers_are_bounded() {
    rows!("6455-4.2.1-14", "6455-4.3-4");
    let extensions = |count: usize| format!("Sec-WebSocket-Extensions: {}\r\n", vec!["a;b"; count].join(","));
    assert_opens(&add(REQUEST, &extensions(50)));
    assert_request_rejected(add(REQUEST, &extensions(51)), Kind::InvalidExtensions);
    assert_request_rejected(add(REQUEST, &extensions(26).repeat(2)), Kind::InvalidExtensions);
    let subprotocols: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    assert_opens(&add(REQUEST, &format!("Sec-WebSocket-Protocol: {}\r\n", subprotocols[1..].join(","))));
    assert_request_rejected(
        add(REQUEST, &format!("Sec-WebSocket-Protocol: {}\r\n", subprotocols.join(","))),
        Kind::InvalidSubprotocol,
    );
    // The same in several headers, which form one list.
    let lines = subprotocols.iter().map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).collect::<Vec<_>>();
    assert!(parse_request(add(REQUEST, &lines[1..].concat()).as_bytes()).is_ok());
    assert_eq!(parse_request(add(REQUEST, &lines.concat()).as_bytes()), Err(Kind::InvalidSubprotocol));
}

/// RFC 9112 §2.2: one empty line before the request line is ignored; a second ends a head without a request.
#[test]
fn one_empty_line_before_the_request_is_ignored() {
    rows!("6455-4.2.1-15");
    assert_opens(&format!("\r\n{REQUEST}"));
    assert_request_rejected(format!("\r\n\r\n{REQUEST}"), Kind::MalformedHttp);
}

#[test]
fn malformed_http_is_rejected() {
    rows!("6455-4.2.1-15", "6455-4.2.1-0");
    for line in [
        "X-A : b\r\n",
        "X-A: b\r\n c\r\n",
        "X-A: b\r\n\tc\r\n",
        "X-A\r\n",
        ": b\r\n",
        "X A: b\r\n",
        "X(A): b\r\n",
        "X-A: b\n",
        "X-A: \rb\r\n",
        "X-A: b\r\r\n",
        "X-A: \0\r\n",
        "X-A: \x0b\r\n",
        "X-A: \x7f\r\n",
        "X-\u{e9}: b\r\n",
    ] {
        assert_request_rejected(add(REQUEST, line), Kind::MalformedHttp);
    }
    let (first, rest) = REQUEST.split_once("\r\n").expect("the head has lines");
    for first in [
        "GET /chat",
        "GET",
        "GET  /chat HTTP/1.1",
        "GET /chat HTTP/1.1 ",
        "GET /a b HTTP/1.1",
        "GET / http/1.1",
        "(GET) / HTTP/1.1",
    ] {
        assert_request_rejected(format!("{first}\r\n{rest}"), Kind::MalformedHttp);
    }
    assert_request_rejected(format!("GET / HTTP/2.0\r\n{rest}"), Kind::UnsupportedHttpVersion);
    // White space before the first header line is not a fold.
    assert_request_rejected(format!("{first}\r\n {rest}"), Kind::MalformedHttp);
    // Every line end in turn as a bare LF and as a bare CR.
    for (at, _) in REQUEST.match_indices("\r\n") {
        let (before, after) = (&REQUEST[..at], &REQUEST[at + 2..]);
        assert_request_rejected(format!("{before}\n{after}"), Kind::MalformedHttp);
        assert_request_rejected(format!("{before}\rX{after}"), Kind::MalformedHttp);
    }
    for no_http in [&b"\x16\x03\x01\x02\x00"[..], b"\x82\x05Hello", b"\0", b"\x7f"] {
        assert_request_rejected(no_http, Kind::MalformedHttp);
    }
}

#[test]
fn a_request_with_a_body_is_rejected() {
    rows!("6455-4.2.1-15");
    for line in [
        "Content-Length: 5\r\n",
        "Content-Length: 0\r\ncontent-length: 5\r\n",
        "Content-Length: x\r\n",
        "Transfer-Encoding: chunked\r\n",
        "transfer-encoding: identity\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
    ] {
        assert_request_rejected(add(REQUEST, line), Kind::UnexpectedBody);
    }
    // A Content-Length of zero announces no body; the JDK's client sends it.
    assert_opens(&add(REQUEST, "Content-Length: 0\r\n"));
}

#[test]
fn head_limits_are_exact_in_bytes_and_lines() {
    rows!("6455-4.2.1-14");
    let lines = |count: usize| add(REQUEST, &"X: y\r\n".repeat(count - 5));
    let bytes = |count: usize| add(REQUEST, &format!("X: {}\r\n", "y".repeat(count - REQUEST.len() - 5)));
    assert_eq!(bytes(16 << 10).len(), 16 << 10);
    for good in [lines(100), bytes(16 << 10)] {
        assert_eq!(some_cuts(waiting, good.as_bytes()).state, State::Open);
    }
    for bad in [lines(101), lines(300), bytes((16 << 10) + 1), bytes(100 << 10)] {
        assert_rejection(&some_cuts(waiting, bad.as_bytes()), Kind::HeadTooLarge, "the defaults");
    }
    let small = || Connection::server(Config::new().max_head_size(300).max_headers(7));
    for good in [lines(7), bytes(300)] {
        assert_eq!(every_cut(small, good.as_bytes()).state, State::Open);
    }
    for bad in [lines(8), bytes(301)] {
        assert_rejection(&every_cut(small, bad.as_bytes()), Kind::HeadTooLarge, "the caller's");
    }
}

#[test]
fn frames_may_follow_in_the_same_read() {
    rows!("6455-4.2.1-16");
    let mut input = REQUEST.as_bytes().to_vec();
    input.extend(frame(Role::Client, 0x81, b"Hello"));
    input.extend(frame(Role::Client, 0x81, b"GET / HTTP/1.1\r\n\r\n"));
    let outcome = every_cut(waiting, &input);
    assert_eq!(outcome.events, [text("Hello"), text("GET / HTTP/1.1\r\n\r\n")]);
    assert_eq!(outcome.state, State::Open);
}
