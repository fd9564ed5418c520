//! [`Script`]: the bytes that peers of a kind send in an act, and those that they receive.

use zlib_rs::Inflate;

use super::crowd::Kind;
use crate::content::{Content, Payload, payloads};
use crate::handshake::{self, REQUEST_LEN};
use crate::tape::{compressed, put_frame};
use crate::verify::{decompress, next_frame};

/// A part of the simulation. What peers send and receive begins again in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The opening handshake, and the echo of a first message.
    Opening,
    /// A message to all.
    Broadcast,
    /// An echo per second.
    Talk,
}

/// The number of messages that a talker sends.
pub const MESSAGES: usize = 60;

const MESSAGE_SIZE: usize = 256;
const BROADCAST_SIZE: usize = 1 << 10;

/// The text that is sent to all.
pub fn announcement() -> Payload {
    payloads(Content::Json, BROADCAST_SIZE, 1).remove(0)
}

/// What each peer of a kind does in an act.
///
/// The first peer that receives a byte writes it down, and every other one must receive the same: servers that neither
/// mask nor let messages refer to earlier ones send the same bytes to all.
pub struct Script {
    act: Act,
    kind: Kind,
    /// The reads that a peer gives the server, in order.
    pub sent: Vec<Vec<u8>>,
    /// The bytes that each peer receives, without pings; with enough room for all.
    pub received: Vec<u8>,
    /// The messages in `received`.
    messages: Vec<Payload>,
}

impl Script {
    pub fn new(act: Act, kind: Kind) -> Self {
        let messages = match act {
            Act::Opening => payloads(Content::Json, MESSAGE_SIZE, 1),
            Act::Broadcast => vec![announcement()],
            Act::Talk => payloads(Content::Json, MESSAGE_SIZE, MESSAGES),
        };
        let mut sent = if act == Act::Opening { vec![request(kind)] } else { Vec::new() };
        if act != Act::Broadcast {
            sent.extend(messages.iter().map(|message| frame(message, kind)));
        }
        Self { act, kind, sent, received: Vec::with_capacity(64 << 10), messages }
    }

    /// Checks `received` without this crate's code.
    pub fn check(&self) {
        let mut rest = &self.received[..];
        if self.act == Act::Opening {
            check_response(&mut rest, self.kind);
        }
        let is_compressed = self.kind == Kind::Deflate;
        for message in &self.messages {
            let frame = next_frame(&mut rest).expect("a whole frame");
            assert_eq!((frame.first, frame.key), (if is_compressed { 0xc1 } else { 0x81 }, None));
            let payload = frame.payload;
            let text = if is_compressed { decompress(&mut Inflate::new(false, 15), payload) } else { payload };
            assert!(*text == **message, "another message was received");
        }
        assert!(rest.is_empty(), "{} bytes after the last message", rest.len());
    }
}

/// The name of the header that only peers with compression send and receive.
const EXTENSIONS: &str = "sec-websocket-extensions:";

/// A browser's request.
fn request(kind: Kind) -> Vec<u8> {
    let mut requests = handshake::requests();
    requests.truncate(REQUEST_LEN);
    if kind == Kind::Deflate { requests } else { split_extensions(&requests).0 }
}

/// Reads the response to `request`.
fn check_response(bytes: &mut &[u8], kind: Kind) {
    let end = bytes.windows(4).position(|end| end == b"\r\n\r\n").expect("the end of a response");
    let head = bytes.split_off(..end + 4).expect("it was found");
    let (response, extensions) = split_extensions(head);
    assert_eq!(handshake::check(&response), Ok(1));
    let parameters: Vec<_> = extensions.split(';').map(str::trim).collect();
    let expected: &[&str] = match kind {
        Kind::Plain => &[""],
        Kind::Deflate => &[
            "permessage-deflate",
            "server_no_context_takeover",
            "client_no_context_takeover",
            "client_max_window_bits=12",
        ],
    };
    assert_eq!(parameters, expected);
}

/// A head without its extensions, and their value.
fn split_extensions(head: &[u8]) -> (Vec<u8>, String) {
    let head = str::from_utf8(head).expect("a head is ASCII");
    let (mut others, mut value) = (String::new(), String::new());
    for line in head.split_inclusive("\r\n") {
        if line.to_ascii_lowercase().starts_with(EXTENSIONS) {
            value = line[EXTENSIONS.len()..].trim().into();
        } else {
            others.push_str(line);
        }
    }
    (others.into_bytes(), value)
}

/// A message as a client sends it. It refers to no earlier message.
fn frame(message: &Payload, kind: Kind) -> Vec<u8> {
    const KEY: u64 = 0x0102_0304;
    let mut frame = Vec::new();
    match kind {
        Kind::Plain => put_frame(0x81, message, KEY, &mut frame),
        Kind::Deflate => put_frame(0xc1, &compressed(std::slice::from_ref(message))[0], KEY, &mut frame),
    }
    frame
}
