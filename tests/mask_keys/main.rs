//! A client masks every frame with a key of its own, the next from its seed (RFC 6455 §5.3), in every state and for
//! every cause. The keys are predicted by a separate `ChaCha20`.

mod client;
#[cfg(feature = "deflate")]
mod compressed;
#[path = "../shared/mod.rs"]
mod shared;

use std::time::Duration;

use bytes::Bytes;
use websocket_proto::{
    CloseCode, Config, Fragments, MessageKind, PreparedMessage, SendError, State, Timeout, Timeouts, Timers,
};

use client::{Client, frames};
use shared::wired::drain;

/// A server's frame of at most 125 bytes.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, u8::try_from(payload.len()).unwrap()], payload].concat()
}

/// Asserts that `act` makes a client send these frames, at different positions in the sequence of keys.
#[track_caller]
fn assert_sends(config: &Config, expected: &[(u8, &[u8])], act: impl Fn(&mut Client)) {
    // The borders of a block of 16 numbers, and of the blocks that a generator may make at once.
    for before in [0, 1, 11, 12, 15, 16, 59, 60, 63, 64, 200] {
        for mut client in Client::open(config) {
            for _ in 0..before {
                client.ws.ping(b"before", &mut client.output).unwrap();
            }
            assert_eq!(client.sent().len(), before);
            act(&mut client);
            let sent = client.sent();
            let sent: Vec<(u8, &[u8])> = sent.iter().map(|(first, payload)| (*first, &**payload)).collect();
            assert!(sent == expected, "after {before}: {sent:x?}, expected {expected:x?}");
        }
    }
}

/// The same for the frames that answer these bytes from the server, received in one piece, in threes, and byte by byte.
#[track_caller]
fn assert_answers(config: &Config, received: &[u8], expected: &[(u8, &[u8])]) {
    for piece in [usize::MAX, 1, 3] {
        assert_sends(config, expected, |client| client.receive(received, piece));
    }
}

#[test]
fn message_frames_have_the_next_keys() {
    let config = Config::new();
    for len in [0, 1, 3, 4, 125, 126, 1000, 16 << 10, 65_535, 65_536] {
        let text = "x".repeat(len);
        let data = text.as_bytes();
        assert_sends(&config, &[(0x81, data), (0x82, data)], |client| {
            client.ws.send_text(&text, &mut client.output).unwrap();
            client.ws.send_binary(data, &mut client.output).unwrap();
        });
        assert_sends(&config, &[(0x81, data), (0x82, data)], |client| {
            client.ws.send_text_uncompressed(&text, &mut client.output).unwrap();
            client.ws.send_binary_uncompressed(data, &mut client.output).unwrap();
        });
        // A server would send these by reference.
        assert_sends(&config, &[(0x81, data), (0x82, data), (0x81, data), (0x82, data)], |client| {
            client.ws.send_bytes(MessageKind::Text, Bytes::from(text.clone()), &mut client.output).unwrap();
            client.ws.send_bytes(MessageKind::Binary, Bytes::from(text.clone()), &mut client.output).unwrap();
            client.ws.send_prepared(&PreparedMessage::text(&text), &mut client.output).unwrap();
            client.ws.send_prepared(&PreparedMessage::binary(data), &mut client.output).unwrap();
        });
    }
}

/// Fragments and the frames between them; a rejected frame draws no key.
#[test]
fn fragments_have_the_next_keys() {
    let expected: [(u8, &[u8]); 6] =
        [(0x01, b"fir"), (0x89, b"p"), (0x00, b"st"), (0x8a, b"pong"), (0x80, b""), (0x82, b"second")];
    assert_sends(&Config::new(), &expected, |Client { ws, output, .. }| {
        ws.send_fragment(MessageKind::Text, b"fir", false, output).unwrap();
        assert_eq!(ws.send_binary(b"rejected", output), Err(SendError::MessageInProgress));
        ws.ping(b"p", output).unwrap();
        ws.send_fragment_uncompressed(MessageKind::Text, b"st", false, output).unwrap();
        ws.pong(b"pong", output).unwrap();
        assert_eq!(ws.ping(&[0; 126], output), Err(SendError::ControlFrameTooLong));
        ws.send_fragment(MessageKind::Text, b"", true, output).unwrap();
        ws.send_fragment_uncompressed(MessageKind::Binary, b"second", true, output).unwrap();
    });
    let expected: [(u8, &[u8]); 4] = [(0x02, b"abc"), (0x8a, b"?"), (0x00, b"def"), (0x80, b"g")];
    assert_sends(&Config::new(), &expected, |client| {
        let mut message = Fragments::binary(b"abcdefg", 3);
        message.send_next(&mut client.ws, &mut client.output).unwrap();
        client.receive(&frame(0x89, b"?"), 1);
        while !message.is_finished() {
            message.send_next(&mut client.ws, &mut client.output).unwrap();
        }
    });
}

/// Pongs: between messages, in the middle of one, and after an own Close.
#[test]
fn pongs_have_the_next_keys() {
    let longest = [b'.'; 125];
    let session = [frame(0x89, b""), frame(0x01, b"a"), frame(0x89, b"ping"), frame(0x80, b"b"), frame(0x89, &longest)];
    let pongs: [(u8, &[u8]); 3] = [(0x8a, b""), (0x8a, b"ping"), (0x8a, &longest)];
    for config in [Config::new(), Config::new().part_size(4), Config::new().browser_rules(true)] {
        assert_answers(&config, &session.concat(), &pongs);
        let after_close: [(u8, &[u8]); 4] = [(0x88, b"\x03\xe8"), pongs[0], pongs[1], pongs[2]];
        for piece in [usize::MAX, 1] {
            assert_sends(&config, &after_close, |client| {
                client.ws.close(CloseCode::NORMAL_CLOSURE, "", &mut client.output);
                client.receive(&session.concat(), piece);
            });
        }
    }
}

/// A pong that replaces another has a key of its own as well. Some keys are therefore never seen, but none is seen
/// twice.
#[test]
fn replaced_pongs_never_share_a_key() {
    for mut client in Client::open(&Config::new().max_pending_pong_bytes(40)) {
        let mut seen = 0;
        for ping in 0..100_u8 {
            client.receive(&frame(0x89, &[ping; 4]), usize::MAX);
            if ping % 10 == 9 {
                let keys = &mut client.keys;
                let pongs = frames(&drain(&mut client.output), |key, _| {
                    assert!((0..10).any(|_| keys.draw() == key), "not a later key");
                });
                assert_eq!(pongs.last(), Some(&(0x8a, vec![ping; 4])));
                seen += pongs.len();
            }
        }
        assert!((10..60).contains(&seen), "{seen}");
    }
}

/// Each kind of Close from the application, also in the middle of a sent message.
#[test]
fn own_closes_have_the_next_key() {
    type Close = fn(&mut Client);
    let config = Config::new();
    let closes: [(&[u8], Close); 5] = [
        (b"\x03\xe9bye", |client| client.ws.close(CloseCode::GOING_AWAY, "bye", &mut client.output)),
        (b"", |client| client.ws.close_without_code(&mut client.output)),
        (b"", |client| client.ws.close_from_script(None, "", &mut client.output).unwrap()),
        (b"\x0f\xa0bye", |client| client.ws.close_from_script(Some(4000), "bye", &mut client.output).unwrap()),
        (b"\x03\xe8bye", |client| client.ws.close_from_script(None, "bye", &mut client.output).unwrap()),
    ];
    for (body, close) in closes {
        for config in [config.clone(), Config::new().browser_rules(true)] {
            assert_sends(&config, &[(0x88, body)], close);
            assert_sends(&config, &[(0x01, b"half"), (0x88, body)], |client| {
                client.ws.send_fragment(MessageKind::Text, b"half", false, &mut client.output).unwrap();
                close(client);
                // None of these sends a frame or draws a key.
                close(client);
                client.receive(&frame(0x88, b"\x03\xe8"), 1);
                client.ws.time_out(Timeout::Closing, &mut client.output);
                assert!(client.ws.receive_eof().is_some());
                close(client);
            });
        }
    }
}

/// Between messages, and in the middle of a received and of a sent message.
#[test]
fn closing_replies_have_the_next_key() {
    let longest = [b"\x0f\xa0".as_slice(), &[b'r'; 123]].concat();
    let bodies: [(&[u8], &[u8]); 4] =
        [(b"", b""), (b"\x03\xe8", b"\x03\xe8"), (b"\x03\xe9bye", b"\x03\xe9"), (&longest, &longest[..2])];
    for config in [Config::new(), Config::new().part_size(4), Config::new().browser_rules(true)] {
        for (body, answer) in bodies {
            let close = frame(0x88, body);
            // Frames after the Close get no answer.
            let late = [close.clone(), frame(0x89, b"late"), frame(0x88, body)].concat();
            assert_answers(&config, &late, &[(0x88, answer)]);
            assert_answers(&config, &[frame(0x01, b"half a"), close.clone()].concat(), &[(0x88, answer)]);
            assert_answers(&config, &[frame(0x89, b"?"), close.clone()].concat(), &[(0x8a, b"?"), (0x88, answer)]);
            assert_sends(&config, &[(0x02, b"half"), (0x88, answer)], |client| {
                client.ws.send_fragment(MessageKind::Binary, b"half", false, &mut client.output).unwrap();
                client.receive(&close, 1);
                assert_eq!(client.ws.state(), State::Closing);
            });
        }
    }
}

/// The Close after a fault, wherever the fault is detected.
#[test]
fn closes_after_a_fault_have_the_next_key() {
    let long_text = [&b"\x81\x7e\x01\x00"[..], &[b'x'; 100], b"\xff", &[b'x'; 155]].concat();
    let faults: [(&[u8], u16); 21] = [
        (b"\x81\x01\xff", 1007),
        (b"\x81\x05abc\xc3\xc3", 1007),
        (b"\x81\x01\xc3", 1007),
        (&long_text, 1007),
        (b"\x01\x01\xe2\x80\x01\xff", 1007),
        (b"\x01\x05abcde\x80\x01\xff", 1007),
        (b"\x83\x00", 1002),
        (b"\xc1\x00", 1002),
        (b"\x81\x80\x01\x02\x03\x04", 1002),
        (b"\x80\x00", 1002),
        (b"\x01\x00\x81\x00", 1002),
        (b"\x09\x00", 1002),
        (b"\x89\x7e\x00\x7e", 1002),
        (b"\x82\x7e\x00\x01", 1002),
        (b"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", 1002),
        (b"\x88\x01\x03", 1002),
        (b"\x88\x02\x03\xed", 1002),
        (b"\x88\x03\x03\xe8\xff", 1007),
        (b"\x82\x7e\x08\x00", 1009),
        (b"\x82\x7e\x03\x00", 1009),
        (b"\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00", 1008),
    ];
    let config = Config::new().max_message_size(1000).max_frame_size(700).max_fragments(4);
    for (bytes, code) in faults {
        for config in [config.clone(), config.clone().part_size(4), config.clone().browser_rules(true)] {
            let body = code.to_be_bytes();
            let late = [bytes, &frame(0x89, b"late"), &frame(0x88, b"")].concat();
            assert_answers(&config, &late, &[(0x88, &body)]);
            assert_sends(&config, &[(0x8a, b"?"), (0x81, b"sent"), (0x88, &body)], |client| {
                client.receive(&frame(0x89, b"?"), 1);
                client.ws.send_text("sent", &mut client.output).unwrap();
                client.receive(&late, usize::MAX);
                client.ws.close_without_code(&mut client.output);
                assert_eq!(client.ws.state(), State::Closed);
            });
        }
    }
}

/// The keep-alive's ping and Close, by hand and by `Timers`.
#[test]
fn pings_and_closes_of_timeouts_have_the_next_keys() {
    let body = [&3008_u16.to_be_bytes()[..], b"nothing received for too long"].concat();
    let begun: [&[u8]; 4] = [b"", b"\x81", b"\x81\x05hal", b"\x01\x04half"];
    for config in [Config::new(), Config::new().part_size(4), Config::new().browser_rules(true)] {
        for received in begun {
            assert_sends(&config, &[(0x88, &body)], |client| {
                client.receive(received, 1);
                client.ws.time_out(Timeout::KeepAlive, &mut client.output);
                client.ws.time_out(Timeout::KeepAlive, &mut client.output);
                assert!(client.ws.is_closed());
            });
        }
        assert_sends(&config, &[(0x02, b"half"), (0x89, &1_u64.to_be_bytes()), (0x88, &body)], |client| {
            client.ws.send_fragment(MessageKind::Binary, b"half", false, &mut client.output).unwrap();
            let seconds = Duration::from_secs;
            let mut timers = Timers::new(seconds(0), Timeouts::new());
            for now in 0..100 {
                timers.handle_timeout(seconds(now), &mut client.ws, &mut client.output);
            }
            assert!(client.ws.is_closed());
        });
        assert_sends(&config, &[(0x88, b"")], |client| {
            client.ws.close_without_code(&mut client.output);
            client.ws.time_out(Timeout::KeepAlive, &mut client.output);
        });
    }
}

/// WHATWG: a full buffer closes the connection, without a Close. No frame is sent afterwards.
#[test]
fn nothing_is_sent_after_an_overflow() {
    let config = Config::new().browser_rules(true).max_output(100);
    assert_sends(&config.clone().max_output(usize::MAX), &[(0x81, b"fits")], |client| {
        client.ws.send_text("fits", &mut client.output).unwrap();
    });
    for mut client in Client::open(&config) {
        client.ws.send_text("fits", &mut client.output).unwrap();
        client.ws.send_binary(&[0; 100], &mut client.output).unwrap();
        assert!(client.ws.is_closed());
        client.ws.send_text("late", &mut client.output).unwrap();
        assert_eq!(client.ws.ping(b"late", &mut client.output), Err(SendError::Closing));
        client.ws.close(CloseCode::GOING_AWAY, "", &mut client.output);
        client.ws.time_out(Timeout::KeepAlive, &mut client.output);
        client.receive(&[frame(0x89, b"late"), frame(0x88, b"")].concat(), usize::MAX);
        assert_eq!(client.sent(), [(0x81, b"fits".to_vec())]);
    }
}
