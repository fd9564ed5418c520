//! The client's request (RFC 6455 §4.1, "the requirements for this handshake").

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use websocket_proto::handshake::{HeaderError, request_key};
use websocket_proto::uri::Uri;
use websocket_proto::{ClientRequest, Config, Connection, MessageKind, Output, RequestError, Role, SendError, State};

use crate::harness::{client, connecting, drain, every_cut, feed, frame, frames, response_to, text};
use crate::http::{Head, is_token_char, offering};
use crate::rows;

fn written(request: &ClientRequest) -> Head {
    Head::parse(connecting(request, Config::new()).1.as_bytes())
}

/// Asserts that the request cannot be made, and that nothing was written.
#[track_caller]
fn assert_impossible(request: &ClientRequest, error: RequestError) {
    let mut output = Output::new();
    let client = Connection::client(request, Config::new(), [7; 32], &mut output);
    assert_eq!(client.err(), Some(error), "{request:?}");
    assert!(output.is_empty(), "{request:?}");
}

#[test]
fn a_request_has_the_required_headers_and_no_others() {
    rows!("6455-4.1-r2", "6455-4.1-r3", "6455-4.1-r4", "6455-4.1-r5", "6455-4.1-r6", "6455-4.1-r10");
    let head = written(&ClientRequest::new("ws://server.example.com:8080/chat?a=b"));
    assert_eq!(head.first_line, "GET /chat?a=b HTTP/1.1");
    assert_eq!(head.only("Host"), "server.example.com:8080");
    assert_eq!(head.only("Upgrade"), "websocket");
    assert_eq!(head.only("Connection"), "Upgrade");
    assert_eq!(head.only("Sec-WebSocket-Version"), "13");
    assert_eq!(head.body, b"");
    let uri = Uri::parse("ws://server.example.com:8080/chat?a=b").expect("a WebSocket URI");
    assert_eq!(written(&ClientRequest::to(uri)).lines, head.lines);
    // Optional headers are left out unless asked for.
    assert_eq!(head.lines.len(), 5, "with the key: {:?}", head.lines);
}

#[test]
fn a_request_is_strict_http() {
    rows!("6455-4.1-r1", "6455-4.1-r15");
    let request = offering(&["chat", "superchat"]).origin("http://www.example.com").expect("a valid origin");
    let request = request.header("Cookie", "a=b; c=d").expect("a valid header");
    let head = written(&request.header("Authorization", "Bearer x").expect("a valid header"));
    assert_eq!((head.only("Cookie"), head.only("Authorization")), ("a=b; c=d", "Bearer x"));

    for value in ["a\r\nX: b", "a\rb", "a\nb", "a\0b", "a\x7fb", "a\x1bb", " a", "a ", "\ta", "\r\n"] {
        assert_eq!(offering(&[]).header("X-Header", value).err(), Some(HeaderError::Value), "{value:?}");
        assert_eq!(offering(&[]).origin(value).err(), Some(HeaderError::Value), "{value:?}");
    }
    for name in ["", "X Y", "X:", "X\r\nY", "X\0", "é", "(X)"] {
        assert_eq!(offering(&[]).header(name, "a").err(), Some(HeaderError::Name), "{name:?}");
    }
    assert_impossible(&offering(&["chat\r\nX: b"]), RequestError::Subprotocol);
}

#[test]
fn further_headers_do_not_override_the_handshakes() {
    rows!("6455-4.1-r15");
    let own = ["Host", "Upgrade", "Connection", "Content-Length", "Transfer-Encoding", "sec-websocket-key"];
    let websocket = ["Version", "Accept", "Protocol", "Extensions"].map(|name| format!("Sec-WebSocket-{name}"));
    for name in own.into_iter().chain(websocket.iter().map(String::as_str)) {
        for name in [name.to_owned(), name.to_ascii_uppercase()] {
            assert_eq!(offering(&[]).header(name.as_str(), "x").err(), Some(HeaderError::Reserved), "{name}");
        }
    }
}

#[test]
fn the_key_is_sixteen_bytes_in_base64() {
    rows!("6455-4.1-r7");
    let nonce = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
    assert_eq!(&request_key(nonce), b"AQIDBAUGBwgJCgsMDQ4PEA==");
    let head = written(&offering(&[]));
    let key = head.only("Sec-WebSocket-Key");
    assert_eq!((key.len(), STANDARD.decode(key).map(|nonce| nonce.len())), (24, Ok(16)), "{key}");
    let handshake = offering(&[]).upgrade(&Config::new(), nonce).expect("the request is valid");
    assert_eq!(handshake.headers().get("Sec-WebSocket-Key"), Some(&b"AQIDBAUGBwgJCgsMDQ4PEA=="[..]));
}

#[test]
fn the_key_comes_from_the_seed() {
    rows!("6455-4.1-r8");
    let key = |seed: u8| {
        let mut output = Output::new();
        Connection::client(&offering(&[]), Config::new(), [seed; 32], &mut output).expect("the request is valid");
        Head::parse(&drain(&mut output)).only("Sec-WebSocket-Key").to_owned()
    };
    let keys: BTreeSet<String> = (0..=255).map(key).collect();
    assert_eq!(keys.len(), 256, "as many keys as seeds");
    assert_eq!(key(1), key(1));
}

#[test]
fn origin_is_sent_at_most_once() {
    rows!("6455-4.1-r9");
    let set = |request: ClientRequest, origin| request.origin(origin).expect("a valid origin");
    let added = |name| offering(&[]).header(name, "http://a").expect("a valid header");
    for origin in ["http://www.example.com", "null"] {
        assert_eq!(written(&set(offering(&[]), origin)).only("Origin"), origin);
    }
    assert_eq!(written(&set(set(offering(&[]), "http://a"), "http://b")).only("Origin"), "http://b");
    assert!(written(&offering(&[])).all("Origin").is_empty());
    assert_eq!(written(&added("origin")).only("Origin"), "http://a");
    for twice in [
        set(offering(&[]), "http://a").header("origin", "http://b"),
        added("Origin").header("origin", "http://b"),
        added("origin").origin("http://b"),
    ] {
        assert_eq!(twice.err(), Some(HeaderError::Reserved));
    }
}

#[test]
fn subprotocols_keep_their_order_of_preference() {
    rows!("6455-4.1-r11");
    assert_eq!(written(&offering(&["chat", "superchat"])).only("Sec-WebSocket-Protocol"), "chat, superchat");
    assert_eq!(written(&offering(&["superchat", "chat"])).only("Sec-WebSocket-Protocol"), "superchat, chat");
    assert!(written(&offering(&[])).all("Sec-WebSocket-Protocol").is_empty());
}

#[test]
fn subprotocols_are_tokens() {
    rows!("6455-4.1-r12", "WS-PROTO-1");
    for impossible in ["", "a b", "a,b", "é", " a", "a\t"] {
        assert_impossible(&offering(&[impossible]), RequestError::Subprotocol);
        assert_impossible(&offering(&["chat", impossible]), RequestError::Subprotocol);
    }
    for char in '\0'..='\u{ff}' {
        let name = format!("a{char}b");
        if is_token_char(char) {
            assert_eq!(written(&offering(&[&name])).only("Sec-WebSocket-Protocol"), name);
        } else {
            assert_impossible(&offering(&[&name]), RequestError::Subprotocol);
        }
    }
}

#[test]
fn subprotocols_are_unique() {
    rows!("6455-4.1-r13", "WS-PROTO-1");
    assert_impossible(&offering(&["a", "a"]), RequestError::RepeatedSubprotocol);
    assert_impossible(&offering(&["a", "b", "a"]), RequestError::RepeatedSubprotocol);
    assert_eq!(written(&offering(&["a", "A"])).only("Sec-WebSocket-Protocol"), "a, A");
}

/// Without an offer the header is missing.
#[test]
fn no_extension_is_offered_without_configuration() {
    rows!("6455-4.1-r14");
    assert!(written(&offering(&["chat"])).all("Sec-WebSocket-Extensions").is_empty());
    let (mut client, mut output) = (client(), Output::new());
    client.send_text("Hello", &mut output).expect("the connection is open");
    client.send_binary(&[0; 1000], &mut output).expect("the connection is open");
    let sent = frames(&drain(&mut output));
    assert_eq!(sent.iter().map(|(header, _)| header.rsv).collect::<Vec<_>>(), [0, 0]);
}

#[test]
fn nothing_is_sent_before_the_response() {
    rows!("6455-4.1-r16");
    let (mut client, request) = connecting(&offering(&[]), Config::new());
    let mut output = Output::new();
    assert_eq!(client.send_text("x", &mut output), Err(SendError::Connecting));
    assert_eq!(client.send_binary(b"x", &mut output), Err(SendError::Connecting));
    assert_eq!(client.send_fragment(MessageKind::Text, b"x", false, &mut output), Err(SendError::Connecting));
    assert_eq!(client.ping(b"x", &mut output), Err(SendError::Connecting));
    assert_eq!(client.pong(b"x", &mut output), Err(SendError::Connecting));
    assert!(output.is_empty());
    // Failed sends have no effect: the connection opens as if they had not been tried.
    assert_eq!(client.state(), State::Connecting);
    let mut input = response_to(&request, "");
    input.extend(frame(Role::Server, 0x81, b"Hello"));
    let untried = every_cut(|| connecting(&offering(&[]), Config::new()).0, &input);
    let tried = feed(&mut client, [&input[..]]);
    assert_eq!(tried, untried);
    assert_eq!((tried.events.last(), tried.output.len()), (Some(&text("Hello")), 0));
}
