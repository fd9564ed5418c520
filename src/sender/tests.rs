//! The frames of a `Sender` alone: there is no `Input` and no `Connection` here.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::{Buf, Bytes};

use super::*;
use crate::close_code::CloseCode;
use crate::mask::apply_mask;
use crate::message::MessageKind;

type State = Option<Box<SenderState>>;

fn server(config: &Config) -> (Sender, State, Output) {
    (Sender::new(config), None, Output::new())
}

fn client(config: &Config) -> (Sender, State, Output) {
    let state = SenderState::with_keys(MaskKeys::from_seed([7; 32]));
    (Sender::new(config), Some(Box::new(state)), Output::new())
}

/// The waiting frames, unmasked: the first byte, whether the mask bit is set, and the payload.
fn drain(output: &mut Output) -> Vec<(u8, bool, Vec<u8>)> {
    let bytes = output.copy_to_bytes(output.remaining());
    let (mut rest, mut frames) = (&bytes[..], Vec::new());
    while let Some((header, len)) = FrameHeader::decode(rest).expect("a valid header") {
        let mut payload = rest[len..][..header.payload_len as usize].to_vec();
        apply_mask(header.mask.unwrap_or_default(), &mut payload);
        frames.push((rest[0], header.mask.is_some(), payload));
        rest = &rest[len + header.payload_len as usize..];
    }
    assert_eq!(rest, b"");
    frames
}

#[test]
fn a_client_masks_every_frame_and_a_server_none() {
    for (mut sender, mut state, mut output) in [server(&Config::new()), client(&Config::new())] {
        let masks = state.is_some();
        sender.write_message(MessageKind::Text, b"text", &mut state, &mut output);
        sender.write_bytes(MessageKind::Binary, Bytes::from(alloc::vec![1; 20_000]), &mut state, &mut output);
        sender.write_prepared(&PreparedMessage::text("prepared"), false, &mut state, &mut output).expect("written");
        sender.write_ping(b"ping", &mut state, &mut output);
        sender.write_unsolicited_pong(b"pong", &mut state, &mut output);
        sender.write_pong(b"answer", 1000, &mut state, &mut output);
        sender.write_close(Some(CloseCode::NORMAL_CLOSURE), "bye", &mut state, &mut output);
        let (traffic, len) = (sender.traffic(), output.len());
        let frames = drain(&mut output);
        let long = alloc::vec![1; 20_000];
        let expected = [
            (0x81, &b"text"[..]),
            (0x82, &long),
            (0x81, b"prepared"),
            (0x89, b"ping"),
            (0x8a, b"pong"),
            (0x8a, b"answer"),
            (0x88, b"\x03\xe8bye"),
        ];
        assert_eq!(frames, expected.map(|(first, payload)| (first, masks, payload.to_vec())));
        assert_eq!((traffic.messages, traffic.message_bytes, traffic.pings), (3, 20_012, 1));
        assert_eq!(traffic.wire_bytes, len as u64);
        assert_eq!(state.is_some(), masks, "a server has no state");
    }
}

/// A pong that replaces another is counted, and the other is not.
#[test]
fn a_replaced_pong_is_not_counted() {
    for (mut sender, mut state, mut output) in [server(&Config::new()), client(&Config::new())] {
        for payload in [&b"first"[..], b"second", b"third"] {
            sender.write_pong(payload, 0, &mut state, &mut output);
        }
        assert_eq!(sender.traffic().wire_bytes, output.len() as u64);
        assert_eq!(drain(&mut output).last().map(|(_, _, payload)| &payload[..]), Some(&b"third"[..]));
    }
}

#[test]
fn a_close_has_a_code_and_a_reason_or_neither() {
    let (mut sender, mut state, mut output) = server(&Config::new());
    let reason = "r".repeat(123);
    sender.write_close(None, "", &mut state, &mut output);
    sender.write_close(Some(CloseCode::GOING_AWAY), &reason, &mut state, &mut output);
    let longest = [b"\x03\xe9", reason.as_bytes()].concat();
    assert_eq!(drain(&mut output), [(0x88, false, Vec::new()), (0x88, false, longest)]);
}

#[test]
fn fragments_are_one_message() {
    for (mut sender, mut state, mut output) in [server(&Config::new()), client(&Config::new())] {
        let masks = state.is_some();
        let mut write =
            |kind, payload: &[u8], fin| sender.write_fragment(kind, payload, fin, true, &mut state, &mut output);
        assert_eq!(write(MessageKind::Text, b"a\xe2\x82", false), Ok(false));
        assert_eq!(write(MessageKind::Binary, b"", true), Err(SendError::MessageInProgress));
        assert_eq!(write(MessageKind::Text, b"\xff", false), Err(SendError::InvalidUtf8));
        assert_eq!(write(MessageKind::Text, b"", true), Err(SendError::InvalidUtf8), "inside a character");
        assert_eq!(write(MessageKind::Text, b"\xac", true), Ok(false));
        assert_eq!(Sender::check_between_messages(&state), Ok(()));
        let frames = [(0x01, masks, b"a\xe2\x82".to_vec()), (0x80, masks, b"\xac".to_vec())];
        assert_eq!((drain(&mut output), sender.traffic().messages), (frames.to_vec(), 1));
    }
}

#[test]
fn the_output_limit_is_exact() {
    let (mut sender, mut state, mut output) = server(&Config::new().max_output(100));
    sender.write_message(MessageKind::Binary, &[0; 28], &mut state, &mut output);
    let room = 100 - output.len() - FrameHeader::MAX_LEN;
    assert_eq!(sender.check_output_limit(room, &output), Ok(()));
    assert_eq!(sender.check_output_limit(room + 1, &output), Err(SendError::Full));
}
