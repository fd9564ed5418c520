//! Extensions that are offered and not negotiated, and the side that decides (RFC 6455 §9), with permessage-deflate as
//! the example.

use websocket_proto::{
    ClientRequest, Config, Connection, ConnectionError, Deflate, DeflateParameter, Event, HandshakeErrorKind,
    MessageKind, Output, PreparedMessage, Role, State,
};

use crate::deflate::{HELLO, Reader, agreed, client, extensions, sent};
use crate::harness::{
    REQUEST, client_for_response, connecting, drain, every_cut, feed, from_peer_of, header, response_to,
    server_for_request,
};
use crate::http::{Head, add};
use crate::rows;
use crate::shared::wired::ROLES;

/// Settings that require every parameter.
fn insisting() -> Deflate {
    Deflate::new()
        .threshold(0)
        .server_no_context_takeover(DeflateParameter::Require)
        .client_no_context_takeover(DeflateParameter::Require)
        .server_max_window_bits(DeflateParameter::Require)
}

#[test]
fn a_server_answers_only_offered_extensions() {
    rows!("6455-4.2.2-10", "6455-4.2.2-11", "6455-9-3");
    let others = add(REQUEST, &extensions("x-foo; permessage-deflate, permessage-bzip2"));
    for deflate in [Deflate::new(), insisting(), Deflate::new().shared()] {
        for request in [REQUEST, &others] {
            let make = || Connection::server(Config::new().deflate(deflate.clone()));
            let outcome = every_cut(make, request.as_bytes());
            assert_eq!(outcome.state, State::Open);
            assert!(Head::parse(&outcome.output).all("Sec-WebSocket-Extensions").is_empty());
            let mut server = server_for_request(Config::new().deflate(deflate.clone()), request);
            assert!(!server.uses_deflate());
            assert_eq!(
                sent(&mut server, |ws, output| ws.send_text("Hello", output).expect("the connection is open"))[0].0,
                0x81
            );
        }
    }
}

/// RFC 6455 §4.2.2 lets a response have several of these headers, §11.3.2 one.
#[test]
fn a_server_answers_in_one_line() {
    rows!("6455-4.2.2-17", "6455-11.3.2-2", "6455-9-2");
    let offers = extensions("x-foo, permessage-deflate").repeat(3) + &extensions("x-bar");
    for deflate in [Deflate::new(), insisting()] {
        let make = || Connection::server(Config::new().deflate(deflate.clone()));
        let outcome = every_cut(make, add(REQUEST, &offers).as_bytes());
        let answer = Head::parse(&outcome.output).only("Sec-WebSocket-Extensions").to_owned();
        // The known extension of the offer, once.
        assert!(
            answer.starts_with("permessage-deflate") && !answer.contains("x-") && !answer.contains(','),
            "{answer}"
        );
    }
}

fn request(deflate: &Deflate) -> String {
    connecting(&ClientRequest::new("ws://server.example.com/chat"), Config::new().deflate(deflate.clone())).1
}

#[test]
fn a_client_offers_compression_if_configured() {
    rows!("6455-4.1-r14", "6455-9-1", "WS-HS-4");
    let usual = request(&Deflate::new());
    // "permessage-deflate; client_max_window_bits" is what browsers offer.
    assert_eq!(header(&usual, "Sec-WebSocket-Extensions"), Some("permessage-deflate; client_max_window_bits"));
    let request = ClientRequest::new("ws://server.example.com/chat");
    let browser = Config::new().browser_rules(true).deflate(Deflate::new());
    let (_, as_browser) = connecting(&request, browser);
    assert_eq!(as_browser, usual);
    let (_, without) = connecting(&request, Config::new());
    assert_eq!(header(&without, "Sec-WebSocket-Extensions"), None);
}

#[test]
fn a_client_does_not_use_an_unaccepted_extension() {
    rows!("6455-9.1-6", "6455-5.2-2");
    for deflate in [Deflate::new().threshold(0), insisting(), Deflate::new().threshold(0).shared()] {
        let mut silent = client_for_response(Config::new().deflate(deflate), "");
        assert!(!silent.uses_deflate());
        let frames = sent(&mut silent, |ws, output| {
            ws.send_text("Hello", output).expect("the connection is open");
            ws.send_binary(&[0; 1000], output).expect("the connection is open");
            ws.send_fragment(MessageKind::Text, b"Hel", false, output).expect("the connection is open");
            ws.send_fragment(MessageKind::Text, b"lo", true, output).expect("the connection is open");
            ws.send_prepared(&PreparedMessage::text("Hello"), output).expect("the connection is open");
        });
        assert_eq!(frames.iter().map(|(first, _)| *first).collect::<Vec<_>>(), [0x81, 0x82, 0x01, 0x80, 0x81]);
        let compressed = from_peer_of(Role::Client, &[(0xc1, HELLO)]);
        feed(&mut silent, [&compressed[..]]).assert_fails(1002, &[]);
    }
}

/// The client offers the extension, so that the malformed answer is the fault, and not an unexpected answer.
#[test]
fn a_malformed_answer_fails() {
    rows!("6455-9.1-2", "6455-11.3.2-2");
    let deflate = Deflate::new();
    let request = ClientRequest::new("ws://server.example.com/chat");
    let make = || connecting(&request, Config::new().deflate(deflate.clone())).0;
    let answered = |lines: &str| every_cut(make, &response_to(&connecting(&request, Config::new()).1, lines));
    assert!(matches!(answered(&extensions("permessage-deflate")).events[..], [Event::Open(_)]));
    for malformed in [
        "permessage-deflate; =1",
        "permessage-deflate;",
        "permessage-deflate;;server_no_context_takeover",
        "permessage-deflate; server_no_context_takeover=",
        "permessage-deflate; server_max_window_bits=\"10",
        "permessage-deflate; server_max_window_bits=\"1 0\"",
        "permessage-deflate server_no_context_takeover",
        "permessage-deflate=1",
        "\"permessage-deflate\"",
        ";x",
        "a b",
        ",",
        "",
        "\u{e9}",
    ] {
        assert_extensions_fail(&answered(&extensions(malformed)), malformed);
    }
    // A repeated header fails, even if the joined lines would be a valid list.
    for other in ["", ",", "permessage-deflate"] {
        let two = [extensions("permessage-deflate"), extensions(other)];
        assert_extensions_fail(&answered(&two.concat()), other);
        assert_extensions_fail(&answered(&[extensions(other), extensions("permessage-deflate")].concat()), other);
    }
}

#[track_caller]
fn assert_extensions_fail(outcome: &crate::harness::Outcome, what: &str) {
    let Some(ConnectionError::Handshake(error)) = outcome.closed().and_then(|closed| closed.error()) else {
        panic!("{what}: {outcome:?}")
    };
    assert_eq!((error.kind(), outcome.events.len()), (HandshakeErrorKind::InvalidExtensions, 1), "{what}");
    assert!(outcome.output.is_empty() && outcome.state == State::Closed, "{what}");
}

/// The WebSocket API's `extensions`: known from the handshake on, and constant.
#[test]
fn the_negotiated_extensions_never_change() {
    rows!("6455-4.1-v9", "WS-STATE-4");
    let config = || Config::new().deflate(Deflate::new());
    let request = ClientRequest::new("ws://server.example.com/chat");
    for (answer, uses) in [(extensions("permessage-deflate"), true), (String::new(), false)] {
        let (mut client, sent) = connecting(&request, config());
        let mut response = response_to(&sent, &answer);
        let last = response.pop().expect("it is not empty");
        assert!(feed(&mut client, [&response[..]]).events.is_empty() && !client.uses_deflate());
        let events = feed(&mut client, [&[last][..]]).events;
        let [Event::Open(opened)] = &events[..] else { panic!("{events:?}") };
        let value = opened.headers().get("Sec-WebSocket-Extensions");
        assert_eq!((value, client.uses_deflate()), (uses.then_some(&b"permessage-deflate"[..]), uses));
        feed(&mut client, [&b"\x88\0"[..]]);
        assert_eq!((client.state(), client.uses_deflate()), (State::Closing, uses));
        client.receive_eof();
        assert_eq!((client.state(), client.uses_deflate()), (State::Closed, uses));
    }
}

/// RFC 7692 §7.1.1.2: the server's answer binds the client, whatever its own settings.
#[test]
fn client_no_context_takeover_in_the_answer_binds_the_client() {
    use DeflateParameter::{Allow, Prefer, Reject, Require};

    rows!("7692-7.1.1.2-4", "7692-7.1.1.2-5", "7692-7.1.1.2-6");
    for wish in [Reject, Allow, Prefer, Require] {
        let deflate = Deflate::new().threshold(0).client_no_context_takeover(wish);
        let second_by = |answer: &str| {
            let mut ws = client(deflate.clone(), answer);
            let message = |ws: &mut _| {
                let mut frames = sent(ws, |ws: &mut Connection, output| {
                    ws.send_text("Hello", output).expect("the connection is open");
                });
                frames.remove(0).1
            };
            assert_eq!(message(&mut ws), HELLO);
            message(&mut ws)
        };
        assert_eq!(second_by("permessage-deflate; client_no_context_takeover"), HELLO, "{wish:?}");
        // A hint does not bind the client; a setting that requires the parameter does.
        let silent = second_by("permessage-deflate");
        assert_eq!(silent == HELLO, wish == Require, "{wish:?}");
        let mut reader = Reader::default();
        assert_eq!((reader.message(HELLO), reader.message(&silent)), (b"Hello".to_vec(), b"Hello".to_vec()));
    }
}

/// A decompressor without context reads each message, also in fragments.
#[test]
fn fragmented_messages_keep_no_context_without_takeover() {
    rows!("7692-7.1.1.1-6", "7692-7.1.1.2-5");
    for role in ROLES {
        let fresh = "; server_no_context_takeover; client_no_context_takeover";
        let mut ws = agreed(role, &Deflate::new().threshold(0), fresh);
        for fragments in [&["Hello, ", "Hello", ""][..], &["Hello, Hello"], &["", ""], &["Hello, Hello", "!"]] {
            let mut output = Output::new();
            for (index, fragment) in fragments.iter().enumerate() {
                let fin = index + 1 == fragments.len();
                ws.send_fragment(MessageKind::Text, fragment.as_bytes(), fin, &mut output)
                    .expect("the connection is open");
            }
            let frames = crate::harness::frames(&drain(&mut output)).into_iter();
            let payload: Vec<u8> = frames.flat_map(|(_, payload)| payload).collect();
            assert_eq!(Reader::default().message(&payload), fragments.concat().as_bytes());
        }
    }
}
