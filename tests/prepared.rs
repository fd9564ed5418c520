//! Messages sent by reference: they arrive unchanged under any negotiated parameters, and payloads are copied only
//! where necessary.

mod shared;

use bytes::{Buf, Bytes};
use shared::data::noise;
use shared::events::{binary, text};
use shared::wired::{ROLES, drain, open, receive};
use websocket_proto::{
    CloseCode, Config, Connection, Event, Input, MessageKind, Output, PreparedMessage, Role, SendError, State,
};

/// From this length on, a server keeps `Bytes` by reference.
const SHARED_MIN: usize = 16 << 10;

fn plain(role: Role) -> (Connection, Connection) {
    open(role, Config::new(), Config::new())
}

/// The address of the next bytes to be written.
fn address(output: &Output) -> *const u8 {
    output.chunk().as_ptr()
}

#[test]
fn prepared_messages_and_bytes_arrive() {
    let lengths = [0, 1, 61, 62, 63, 64, 125, 126, SHARED_MIN - 1, SHARED_MIN, 65_535, 65_536];
    for (role, len) in ROLES.into_iter().flat_map(|role| lengths.map(|len| (role, len))) {
        let (mut sender, mut receiver) = plain(role);
        let (mut output, data) = (Output::new(), noise(len, 1));
        let ascii: String = data.iter().map(|byte| char::from(byte & 0x7f)).collect();
        let prepared = [PreparedMessage::text(&ascii), PreparedMessage::binary(&data)];
        for message in &prepared {
            sender.send_prepared(message, &mut output).unwrap();
            sender.send_text("in between", &mut output).unwrap();
        }
        sender.send_bytes(MessageKind::Text, ascii.clone().into(), &mut output).unwrap();
        sender.send_bytes(MessageKind::Binary, data.clone().into(), &mut output).unwrap();
        let messages =
            [text(&ascii), text("in between"), binary(&data), text("in between"), text(&ascii), binary(&data)];
        assert!(receive(&mut receiver, &drain(&mut output), &mut Output::new()) == messages, "{role:?}, {len}");
        assert_eq!(prepared.each_ref().map(PreparedMessage::kind), [MessageKind::Text, MessageKind::Binary]);
        assert!(prepared[0].payload() == ascii.as_bytes() && prepared[1].payload() == data);
    }
}

#[test]
fn a_server_sends_prepared_messages_by_reference() {
    let message = PreparedMessage::binary(&noise(200, 1));
    let [first, second] = [(); 2].map(|()| {
        let (mut server, mut output) = (plain(Role::Server).0, Output::new());
        server.send_prepared(&message, &mut output).unwrap();
        output
    });
    assert_eq!(first.len(), 4 + 200);
    assert_eq!((first.chunk().len(), address(&first)), (second.chunk().len(), address(&second)));
    // The payload is at the address where the message itself keeps it.
    assert_eq!(first.chunk()[4..].as_ptr(), message.payload().as_ptr());
}

#[test]
fn a_server_sends_large_bytes_by_reference() {
    for (len, is_shared) in [(SHARED_MIN - 1, false), (SHARED_MIN, true), (100_000, true)] {
        let data = Bytes::from(vec![b'x'; len]);
        for kind in [MessageKind::Text, MessageKind::Binary] {
            let (mut server, mut output) = (plain(Role::Server).0, Output::new());
            server.send_bytes(kind, data.clone(), &mut output).unwrap();
            let header = output.len() - len;
            output.advance(header);
            assert_eq!((address(&output) == data.as_ptr(), output.chunk().len()), (is_shared, len), "{kind:?}, {len}");
        }
    }
}

/// Frames of up to 64 bytes are copied, because a reference would need the same memory; a client's frames are copied,
/// because each has its own key.
#[test]
fn short_frames_and_clients_frames_are_copied() {
    for (role, len, is_shared) in
        [(Role::Server, 62, false), (Role::Server, 63, true), (Role::Client, 200, false), (Role::Client, 20_000, false)]
    {
        let (message, mut output) = (PreparedMessage::binary(&noise(len, 1)), Output::new());
        let mut sender = plain(role).0;
        sender.send_prepared(&message, &mut output).unwrap();
        let header = output.len() - len;
        output.advance(header);
        assert_eq!(address(&output) == message.payload().as_ptr(), is_shared, "{role:?}, {len}");
    }
    let (mut client, mut output) = (plain(Role::Client).0, Output::new());
    let data = Bytes::from(noise(SHARED_MIN, 1));
    client.send_bytes(MessageKind::Binary, data.clone(), &mut output).unwrap();
    assert_eq!(output.chunk().len(), output.len(), "no payload is kept by reference");
    assert_ne!(output.chunk()[output.len() - SHARED_MIN..].as_ptr(), data.as_ptr());
}

/// RFC 6455 §5.6: text must be UTF-8, also if the caller says so.
#[test]
fn bytes_sent_as_text_are_checked() {
    for role in ROLES {
        let (mut sender, mut output) = (plain(role).0, Output::new());
        for good in [0, 10, SHARED_MIN] {
            // An impossible byte, a truncated character, half of a surrogate pair.
            for bad in [&b"\xff"[..], b"\xe2\x82", b"\xed\xa0\x80"] {
                let data = Bytes::from([&vec![b'x'; good], bad].concat());
                let sent = sender.send_bytes(MessageKind::Text, data.clone(), &mut output);
                assert_eq!((sent, output.len()), (Err(SendError::InvalidUtf8), 0));
                sender.send_bytes(MessageKind::Binary, data, &mut output).unwrap();
                output.advance(output.len());
            }
        }
        assert_eq!(sender.state(), State::Open);
    }
}

/// `Err` means that nothing was written to the output.
#[test]
fn a_failed_send_writes_nothing() {
    let assert_fails = |ws: &mut Connection, output: &mut Output, error| {
        let before = output.len();
        for len in [5, 500, 20_000] {
            let data = Bytes::from(vec![b'x'; len]);
            assert_eq!(ws.send_prepared(&PreparedMessage::binary(&data), output), Err(error), "{len}");
            assert_eq!(ws.send_bytes(MessageKind::Text, data, output), Err(error), "{len}");
            assert_eq!(output.len(), before);
        }
    };
    for role in ROLES {
        let (mut sender, mut receiver) = plain(role);
        let mut output = Output::new();
        sender.send_fragment(MessageKind::Text, b"to ", false, &mut output).unwrap();
        assert_fails(&mut sender, &mut output, SendError::MessageInProgress);
        sender.send_fragment(MessageKind::Text, b"the end", true, &mut output).unwrap();
        sender.send_prepared(&PreparedMessage::text("now"), &mut output).unwrap();
        sender.close(CloseCode::NORMAL_CLOSURE, "", &mut output);
        assert_fails(&mut sender, &mut output, SendError::Closing);
        let received = receive(&mut receiver, &drain(&mut output), &mut Output::new());
        assert_eq!(received[..2], [text("to the end"), text("now")]);
        sender.receive_eof();
        assert_fails(&mut sender, &mut output, SendError::Closing);
    }
    assert_fails(&mut Connection::server(Config::new()), &mut Output::new(), SendError::Connecting);
    let (mut full, _) = open(Role::Server, Config::new().max_output(4), Config::new());
    assert_fails(&mut full, &mut Output::new(), SendError::Full);
}

#[test]
fn a_prepared_message_can_be_sent_between_threads() {
    fn is_for_threads<T: Clone + Send + Sync>(_: &T) {}
    is_for_threads(&PreparedMessage::text(""));
}

#[cfg(feature = "deflate")]
mod compressed {
    use websocket_proto::{Deflate, DeflateParameter};

    use super::*;

    /// A connection that compresses with this window, and its peer.
    fn agreed(role: Role, bits: u8, takeover: DeflateParameter, shared: bool) -> (Connection, Connection) {
        let deflate = Deflate::new()
            .threshold(0)
            .window_bits(bits)
            .peer_window_bits(15)
            .server_no_context_takeover(takeover)
            .client_no_context_takeover(takeover);
        let deflate = if shared { deflate.shared() } else { deflate };
        let (sender, receiver) =
            open(role, Config::new().deflate(deflate), Config::new().deflate(Deflate::new().peer_window_bits(15)));
        assert!(sender.uses_deflate() && receiver.uses_deflate());
        (sender, receiver)
    }

    /// Texts that share parts, so that a compressor refers to earlier ones if it may.
    fn similar(round: usize) -> String {
        let words = ["the quick brown fox ", "jumps over the lazy dog ", "and everything else of that kind, "];
        (0..12).map(|i| words[(i * i + round) % 3]).collect::<String>() + &round.to_string()
    }

    /// With context takeover, a prepared message also moves the peer's window (RFC 7692 §7.2.3.2).
    #[test]
    fn prepared_messages_keep_the_peers_window_in_step() {
        let takeovers =
            [(DeflateParameter::Allow, false), (DeflateParameter::Require, false), (DeflateParameter::Require, true)];
        for (role, bits) in ROLES.into_iter().flat_map(|role| [8, 9, 12, 15].map(|bits| (role, bits))) {
            for (takeover, shared) in takeovers {
                let (mut sender, mut receiver) = agreed(role, bits, takeover, shared);
                let (mut output, mut answers) = (Output::new(), Output::new());
                let data = noise(700, 1);
                // P: prepared, T: text, F: in fragments, B: binary, U: prepared, sent uncompressed, L: large bytes.
                for (round, kind) in "PTPTTPPTFPFTTUTPBPBTLTPLPT".chars().enumerate() {
                    let words = similar(round % 5);
                    let sent = match kind {
                        'P' => sender.send_prepared(&PreparedMessage::text(&words), &mut output),
                        'U' => sender.send_prepared(&PreparedMessage::text(&words).uncompressed(), &mut output),
                        'T' => sender.send_text(&words, &mut output),
                        'B' => sender.send_binary(&data, &mut output),
                        'L' => sender.send_bytes(MessageKind::Text, words.repeat(200).into(), &mut output),
                        _ => {
                            let (start, end) = words.as_bytes().split_at(100);
                            sender
                                .send_fragment(MessageKind::Text, start, false, &mut output)
                                .and_then(|()| sender.send_fragment(MessageKind::Text, end, true, &mut output))
                        }
                    };
                    sent.unwrap();
                    let expected = match kind {
                        'B' => binary(&data),
                        'L' => text(&words.repeat(200)),
                        _ => text(&words),
                    };
                    let received = receive(&mut receiver, &drain(&mut output), &mut answers);
                    assert!(
                        received == [expected],
                        "{role:?}, {bits} bits, {takeover:?}, round {round}: {kind}: {received:?}"
                    );
                }
            }
        }
    }

    /// One message for connections with different windows, each with its own history, in any order.
    #[test]
    fn one_prepared_message_serves_every_window() {
        let words: String = (0..120).map(similar).collect();
        let message = PreparedMessage::text(&words);
        let mut room: Vec<_> = ROLES
            .into_iter()
            .flat_map(|role| (8..=15).map(move |bits| (role, bits)))
            .flat_map(|(role, bits)| {
                [DeflateParameter::Allow, DeflateParameter::Require].map(|takeover| (role, bits, takeover))
            })
            .map(|(role, bits, takeover)| agreed(role, bits, takeover, false))
            .chain([plain(Role::Server), plain(Role::Client)])
            .collect();
        for round in 0..2 {
            for (sender, receiver) in &mut room {
                let mut output = Output::new();
                sender.send_text(&similar(round), &mut output).unwrap();
                sender.send_prepared(&message, &mut output).unwrap();
                sender.send_text(&similar(round), &mut output).unwrap();
                let (compressed, len) = (sender.uses_deflate(), output.len());
                assert_eq!(len < words.len(), compressed, "{len}");
                let received = receive(receiver, &drain(&mut output), &mut Output::new());
                assert!(received == [text(&similar(round)), text(&words), text(&similar(round))]);
            }
        }
    }

    /// RFC 7692 §6: RSV1 tells whether a message is compressed.
    #[test]
    fn thresholds_and_uncompressed_apply_to_prepared_messages() {
        let words = similar(0);
        let first_byte = |prepared: &PreparedMessage, threshold: usize| {
            let deflate = Deflate::new().threshold(threshold);
            let config = || Config::new().deflate(deflate.clone());
            ROLES.map(|role| {
                let ((mut sender, _), mut output) = (open(role, config(), config()), Output::new());
                sender.send_prepared(prepared, &mut output).unwrap();
                output.chunk()[0]
            })
        };
        assert_eq!(first_byte(&PreparedMessage::text(&words), words.len()), [0xc1; 2]);
        assert_eq!(first_byte(&PreparedMessage::text(&words), words.len() + 1), [0x81; 2]);
        assert_eq!(first_byte(&PreparedMessage::text(&words).uncompressed(), 0), [0x81; 2]);
        assert_eq!(first_byte(&PreparedMessage::binary(words.as_bytes()), 0), [0xc2; 2]);
        // `uncompressed` applies to the clone, not to the original.
        let original = PreparedMessage::text(&words);
        let _ = original.clone().uncompressed();
        assert_eq!(first_byte(&original, 0), [0xc1; 2]);
    }

    #[test]
    fn bytes_are_compressed_like_any_message() {
        let data = Bytes::from(vec![b'x'; SHARED_MIN]);
        let (mut server, mut client) = agreed(Role::Server, 12, DeflateParameter::Allow, false);
        let mut output = Output::new();
        server.send_bytes(MessageKind::Text, data.clone(), &mut output).unwrap();
        assert!(output.len() < data.len() / 10);
        assert_eq!(output.chunk()[0], 0xc1);
        let mut read = drain(&mut output);
        let event = client.receive(&mut Input::new(&mut read), &mut output);
        assert!(event == Some(Event::Text(str::from_utf8(&data).unwrap().into())));
    }

    /// Each window takes one compression, whichever connections and threads come first.
    #[test]
    fn each_window_is_compressed_once() {
        let message = PreparedMessage::binary(&noise(500, 1));
        let send = |bits, message: &PreparedMessage| {
            let ((mut server, _), mut output) =
                (agreed(Role::Server, bits, DeflateParameter::Allow, false), Output::new());
            server.send_prepared(message, &mut output).unwrap();
            assert_eq!(output.chunk()[0], 0xc2);
            output
        };
        std::thread::scope(|scope| {
            let threads = [9, 12, 15, 9, 12, 15].map(|bits| {
                let message = message.clone();
                scope.spawn(move || drop(send(bits, &message)))
            });
            for thread in threads {
                thread.join().unwrap();
            }
        });
        let outputs = [9, 9, 12, 12, 15, 15].map(|bits| send(bits, &message));
        let at = outputs.each_ref().map(address);
        assert_eq!((at[0], at[2], at[4]), (at[1], at[3], at[5]));
        assert!(at[0] != at[2] && at[2] != at[4] && at[4] != at[0]);
    }
}
