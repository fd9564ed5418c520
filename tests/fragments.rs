//! [`Fragments`]: the frames on the wire, the message that arrives, and the frames sent in between.

mod shared;

use shared::frames::decode;
use shared::wired::{drain, open, receive_in_pieces};
use websocket_proto::frame::{FrameHeader, Opcode};
use websocket_proto::{
    ClientRequest, CloseCode, Config, Connection, Event, Fragments, MessageKind, Output, Role, SendError,
};

/// Characters of one to four bytes.
const TEXT: &str = "aé€😀, and the same again: aé€😀!";

/// Without compression, and with it if it is built.
fn configs() -> Vec<Config> {
    vec![
        Config::new(),
        #[cfg(feature = "deflate")]
        Config::new().deflate(websocket_proto::Deflate::new()),
        #[cfg(feature = "deflate")]
        Config::new().deflate(websocket_proto::Deflate::new().shared()),
    ]
}

/// Both roles with each configuration.
fn senders() -> impl Iterator<Item = (Role, Config)> {
    configs().into_iter().flat_map(|config| [(Role::Server, config.clone()), (Role::Client, config)])
}

#[cfg(feature = "deflate")]
fn compresses(ws: &Connection) -> bool {
    ws.uses_deflate()
}

#[cfg(not(feature = "deflate"))]
fn compresses(_: &Connection) -> bool {
    false
}

/// A sender in this role, and its peer, both open.
fn pair(sender: Role, config: &Config) -> (Connection, Connection) {
    open(sender, config.clone(), config.clone())
}

/// Passes the bytes to a connection, `cut` at a time. A request is accepted.
fn deliver(bytes: &[u8], cut: usize, to: &mut Connection, answers: &mut Output) -> Vec<Event<'static>> {
    receive_in_pieces(to, bytes, cut, answers)
}

fn headers(bytes: &[u8]) -> Vec<FrameHeader> {
    decode(bytes).into_iter().map(|(header, _)| header).collect()
}

fn send_all(mut message: Fragments<'_>, ws: &mut Connection) -> Vec<u8> {
    let mut output = Output::new();
    while !message.is_finished() {
        message.send_next(ws, &mut output).expect("the connection is open");
    }
    let sent = drain(&mut output);
    message.send_next(ws, &mut output).expect("nothing to do");
    assert!(output.is_empty(), "a finished message sends nothing");
    sent
}

/// Asserts the frames that the docs of [`Fragments`] promise for a message of `len` bytes.
#[track_caller]
fn check_frames(sent: &[u8], kind: MessageKind, len: usize, size: usize, is_compressed: bool) {
    let headers = headers(sent);
    assert_eq!(headers.len(), len.div_ceil(size).max(1));
    let first = if kind == MessageKind::Text { Opcode::Text } else { Opcode::Binary };
    for (index, header) in headers.iter().enumerate() {
        assert_eq!(header.opcode, if index == 0 { first } else { Opcode::Continuation });
        assert_eq!(header.fin, index + 1 == headers.len());
        assert_eq!(header.rsv, if index == 0 && is_compressed { 4 } else { 0 });
        if !is_compressed {
            assert_eq!(header.payload_len, size.min(len - index * size) as u64);
        }
    }
}

/// RFC 6455 §5.4, RFC 7692 §6.1: text cut at every size, also inside characters, arrives.
#[test]
fn a_message_in_fragments_of_every_size_arrives() {
    for (sender, config) in senders() {
        let (mut ws, mut peer) = pair(sender, &config);
        for size in 0..=TEXT.len() + 1 {
            // One frame below the threshold of 64 bytes is not compressed.
            let is_compressed = compresses(&ws) && size < TEXT.len();
            for (message, kind, event) in [
                (Fragments::text(TEXT, size), MessageKind::Text, Event::Text(TEXT.into())),
                (Fragments::binary(TEXT.as_bytes(), size), MessageKind::Binary, Event::Binary(TEXT.as_bytes().into())),
            ] {
                // Several messages on one connection, each delivered in reads of another size.
                for cut in [usize::MAX, 1, 2, 7] {
                    let sent = send_all(message.clone(), &mut ws);
                    check_frames(&sent, kind, TEXT.len(), size.max(1), is_compressed);
                    let arrived = deliver(&sent, cut, &mut peer, &mut Output::new());
                    assert_eq!(arrived.as_slice(), std::slice::from_ref(&event), "{sender:?}, {size} bytes, cut {cut}");
                }
            }
        }
    }
}

/// Lengths around one and two fragments, and around the forms of a frame's length.
#[test]
fn the_number_of_fragments_is_exact_at_size_borders() {
    for (sender, config) in senders() {
        let (mut ws, mut peer) = pair(sender, &config);
        for size in [125, 126, 65_535, 65_536] {
            for len in [0, 1, size - 1, size, size + 1, 2 * size - 1, 2 * size, 2 * size + 1] {
                let data: Vec<u8> = (0..len).map(|i| (i % 251 * (i % 251) % 251) as u8).collect();
                let sent = send_all(Fragments::binary(&data, size), &mut ws);
                // A single fragment is a message like any other, to which the threshold of 64 bytes applies.
                check_frames(&sent, MessageKind::Binary, len, size, compresses(&ws) && len >= 64);
                let arrived = deliver(&sent, 1 << 12, &mut peer, &mut Output::new());
                assert!(arrived == [Event::Binary(data.into())], "{sender:?}, {len} bytes in fragments of {size}");
            }
        }
    }
}

/// RFC 6455 §5.4: "Control frames (see Section 5.5) MAY be injected in the middle of a fragmented message."
#[test]
fn a_ping_is_answered_between_every_two_fragments() {
    const SIZE: usize = 5;
    for (sender, config) in senders() {
        let (mut ws, mut peer) = pair(sender, &config);
        let (mut output, mut answers, mut message) = (Output::new(), Output::new(), Fragments::text(TEXT, SIZE));
        let (mut arrived, mut pings) = (Vec::new(), 0_u8);
        loop {
            message.send_next(&mut ws, &mut output).expect("the connection is open");
            if message.is_finished() {
                break;
            }
            pings += 1;
            peer.ping(&[pings], &mut answers).expect("the connection is open");
            let pinged = deliver(&drain(&mut answers), usize::MAX, &mut ws, &mut output);
            assert_eq!(pinged, [Event::Ping(vec![pings].into())]);
            let sent = drain(&mut output);
            assert_eq!(headers(&sent).last().map(|header| header.opcode), Some(Opcode::Pong), "after one fragment");
            arrived.extend(deliver(&sent, 3, &mut peer, &mut answers));
        }
        arrived.extend(deliver(&drain(&mut output), 3, &mut peer, &mut answers));
        assert_eq!(usize::from(pings), TEXT.len().div_ceil(SIZE) - 1);
        let pongs = (1..=pings).map(|ping| Event::Pong(vec![ping].into()));
        assert_eq!(arrived, pongs.chain([Event::Text(TEXT.into())]).collect::<Vec<_>>());
    }
}

/// RFC 6455 §5.5.1: "The application MUST NOT send any more data frames after sending a Close frame."
#[test]
fn a_close_between_fragments_stops_the_message() {
    for (sender, config) in senders() {
        for peer_closes in [false, true] {
            let (mut ws, mut peer) = pair(sender, &config);
            let (mut output, mut answers, mut message) = (Output::new(), Output::new(), Fragments::text(TEXT, 10));
            message.send_next(&mut ws, &mut output).expect("the connection is open");
            if peer_closes {
                peer.close(CloseCode::GOING_AWAY, "", &mut answers);
                deliver(&drain(&mut answers), usize::MAX, &mut ws, &mut output);
            } else {
                ws.close(CloseCode::GOING_AWAY, "", &mut output);
            }
            let waiting = output.len();
            assert_eq!(message.send_next(&mut ws, &mut output), Err(SendError::Closing));
            assert_eq!((output.len(), message.is_finished()), (waiting, false), "nothing was sent");
            let sent = drain(&mut output);
            assert_eq!(headers(&sent).iter().map(|h| h.opcode).collect::<Vec<_>>(), [Opcode::Text, Opcode::Close]);
            let mut end = deliver(&sent, 1, &mut peer, &mut answers);
            // A client reports the Close first; its end comes with the end of the transport.
            end.extend(std::iter::from_fn(|| peer.receive_eof()));
            if peer.role() == Role::Client {
                assert!(matches!(end.remove(0), Event::CloseReceived { .. }));
            }
            let [Event::Closed(closed)] = &end[..] else { panic!("half a message is not delivered: {end:?}") };
            assert_eq!((closed.code(), closed.was_clean()), (1001, true));
        }
    }
}

/// An error loses nothing: the same call succeeds once its cause is gone.
#[test]
fn a_failed_send_can_be_repeated() {
    let (mut to_server, mut output) = (Output::new(), Output::new());
    let request = ClientRequest::new("ws://example.com/");
    let mut client =
        Connection::client(&request, Config::new(), [7; 32], &mut to_server).expect("the request is valid");
    let mut server = Connection::server(Config::new());
    let mut message = Fragments::text(TEXT, 10);
    assert_eq!(message.send_next(&mut server, &mut output), Err(SendError::Connecting));
    assert!(output.is_empty());
    deliver(&drain(&mut to_server), usize::MAX, &mut server, &mut output);
    deliver(&drain(&mut output), usize::MAX, &mut client, &mut to_server);

    for kind in [MessageKind::Text, MessageKind::Binary] {
        server.send_fragment(kind, b"another ", false, &mut output).expect("the connection is open");
        let waiting = output.len();
        assert_eq!(message.send_next(&mut server, &mut output), Err(SendError::MessageInProgress));
        assert_eq!(output.len(), waiting, "no continuation of another message");
        server.send_fragment(kind, b"message", true, &mut output).expect("the connection is open");
    }
    let expected = [Event::Text("another message".into()), Event::Binary(b"another message".into())];
    assert_eq!(deliver(&drain(&mut output), usize::MAX, &mut client, &mut to_server), expected);

    let sent = send_all(message, &mut server);
    check_frames(&sent, MessageKind::Text, TEXT.len(), 10, false);
    assert_eq!(deliver(&sent, usize::MAX, &mut client, &mut to_server), [Event::Text(TEXT.into())]);
}

/// Half a message blocks others, until a final fragment ends it without its second half.
#[test]
fn dropping_fragments_leaves_the_message_unfinished() {
    for config in configs() {
        let (mut ws, mut peer) = pair(Role::Server, &config);
        let mut output = Output::new();
        let mut dropped = Fragments::binary(b"0123456789", 4);
        dropped.send_next(&mut ws, &mut output).expect("the connection is open");
        assert_eq!(ws.send_text("other", &mut output), Err(SendError::MessageInProgress));
        assert_eq!(Fragments::text("other", 9).send_next(&mut ws, &mut output), Err(SendError::MessageInProgress));
        ws.send_fragment(MessageKind::Binary, b"", true, &mut output).expect("the connection is open");
        ws.send_text("other", &mut output).expect("the connection is open");
        let arrived = deliver(&drain(&mut output), 1, &mut peer, &mut Output::new());
        assert_eq!(arrived, [Event::Binary(b"0123".into()), Event::Text("other".into())]);
    }
}

/// [`Fragments::uncompressed`] applies to each message separately.
#[test]
fn a_message_can_be_sent_uncompressed() {
    for config in configs() {
        let (mut ws, mut peer) = pair(Role::Client, &config);
        let compresses = compresses(&ws);
        for size in [10, TEXT.len()] {
            let plain = send_all(Fragments::text(TEXT, size).uncompressed(), &mut ws);
            check_frames(&plain, MessageKind::Text, TEXT.len(), size, false);
            let usual = send_all(Fragments::text(TEXT, 10), &mut ws);
            check_frames(&usual, MessageKind::Text, TEXT.len(), 10, compresses);
            let arrived = deliver(&[plain, usual].concat(), 1, &mut peer, &mut Output::new());
            assert_eq!(arrived, [Event::Text(TEXT.into()), Event::Text(TEXT.into())]);
        }
    }
}
