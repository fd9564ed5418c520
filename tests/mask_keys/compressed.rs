//! Compressed messages are masked like all others.

use bytes::Bytes;
use websocket_proto::{Config, Event, Input, MessageKind, Output, PreparedMessage};

use super::client::{Client, Numbers, frames, open_pair};
use super::frame;
use crate::shared::wired::drain;

/// Compressed frames: whole, in fragments, prepared; and a Close after an invalid compressed message.
#[test]
fn compressed_frames_have_the_next_keys() {
    let config = Config::new().deflate(websocket_proto::Deflate::new().threshold(0));
    let (ws, mut server) = open_pair(&config);
    let mut client = Client { ws, output: Output::new(), keys: Numbers::after(4) };
    let text = "long enough to be compressed ".repeat(20);
    let (ws, output) = (&mut client.ws, &mut client.output);
    ws.send_text(&text, output).unwrap();
    ws.send_binary(text.as_bytes(), output).unwrap();
    ws.send_fragment(MessageKind::Text, text.as_bytes(), false, output).unwrap();
    ws.ping(b"between", output).unwrap();
    ws.send_fragment(MessageKind::Text, b"end", true, output).unwrap();
    ws.send_prepared(&PreparedMessage::text(&text), output).unwrap();
    ws.send_bytes(MessageKind::Text, Bytes::from(text.clone()), output).unwrap();
    ws.send_text_uncompressed(&text, output).unwrap();
    // A block of the reserved type (RFC 1951 §3.2.3).
    client.receive(&frame(0xc1, b"\x06"), 1);
    assert!(client.ws.is_closed());

    let mut sent = drain(&mut client.output);
    let keys = &mut client.keys;
    let sent_frames = frames(&sent, |key, _| assert_eq!(key, keys.draw(), "not the next key"));
    let first: Vec<u8> = sent_frames.iter().map(|(first, _)| *first).collect();
    assert_eq!(first, [0xc1, 0xc2, 0x41, 0x89, 0x80, 0xc1, 0xc1, 0x81, 0x88]);
    assert_eq!(sent_frames.last().unwrap().1, 1007_u16.to_be_bytes());
    // Unmasked, the frames are the messages.
    let (mut input, mut messages) = (Input::new(&mut sent), Vec::new());
    while let Some(event) = server.receive(&mut input, &mut Output::new()) {
        match event {
            Event::Text(text) => messages.push(text.into_owned()),
            Event::Binary(data) => messages.push(String::from_utf8(data.into_owned()).unwrap()),
            _ => {}
        }
    }
    let fragmented = format!("{text}end");
    assert!(messages.iter().eq([&text, &text, &fragmented, &text, &text, &text]));
}
