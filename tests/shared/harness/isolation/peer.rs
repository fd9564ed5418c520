//! The peer of a connection: its half of the opening handshake, the bytes that it sends, and a decoder for the bytes
//! that it receives. It shares no code with the crate.

use std::collections::VecDeque;

use websocket_proto::{ClientRequest, Config, Connection, Deflate, Event, MessageKind, Output, Role};

use super::super::handshake::{request_with, response_to};
use super::super::rfc1951::Writer;
use super::super::wire::{Decoder, Item};
use super::super::wired::{drain, receive};
use super::{peer_message, traits};

pub(super) struct Peer {
    masks: bool,
    /// Bytes sent and not yet received.
    outbox: VecDeque<u8>,
    /// The items that the connection must make of the sent bytes.
    pub(super) sent: Vec<Item>,
    /// The body of its Close.
    pub(super) close: Option<Vec<u8>>,
    /// The close code that must answer its fault.
    pub(super) fault: Option<u16>,
    compressor: Option<Compressor>,
    decoder: Decoder,
    /// The items received from the connection.
    pub(super) received: Vec<Item>,
    pub(super) received_bytes: u64,
}

/// # Opening handshake
///
/// An open connection with these traits, and its peer.
pub(super) fn open(traits: u8, output: &mut Output) -> (Connection, Peer) {
    let is_client = traits & traits::CLIENT != 0;
    let (wish, takes_over, window) = match traits & traits::OTHER_WINDOW {
        0 => (None, false, 0),
        traits::DEDICATED => (Some(Deflate::new()), true, 1 << 12),
        traits::SHARED => (Some(Deflate::new().shared()), false, 1 << 12),
        _ => (Some(Deflate::new().shared().window_bits(9).level(1)), false, 1 << 9),
    };
    let mut config = Config::new();
    if traits & traits::FEW_PONGS != 0 {
        config = config.max_pending_pong_bytes(30);
    }
    if traits & traits::PARTS != 0 {
        config = config.part_size(20);
    }
    let mut extension = None;
    if let Some(wish) = wish {
        let fresh = "; server_no_context_takeover; client_no_context_takeover";
        extension = Some(format!("permessage-deflate{}", if takes_over { "" } else { fresh }));
        config = config.deflate(wish.threshold(0));
    }
    let lines = extension.map_or(String::new(), |value| format!("Sec-WebSocket-Extensions: {value}\r\n"));
    let open = if is_client { open_client } else { open_server };
    let ws = open(config, &lines, output);
    assert_eq!(ws.uses_deflate(), !lines.is_empty());
    assert_eq!(ws.role(), if is_client { Role::Client } else { Role::Server });
    let decoder = Decoder::of_frames(is_client);
    let uses_deflate = ws.uses_deflate();
    let peer = Peer {
        masks: !is_client,
        outbox: VecDeque::new(),
        sent: Vec::new(),
        close: None,
        fault: None,
        compressor: uses_deflate.then(|| Compressor { context: Vec::new(), takes_over }),
        decoder: if uses_deflate { decoder.inflating(takes_over, window) } else { decoder },
        received: Vec::new(),
        received_bytes: 0,
    };
    (ws, peer)
}

fn open_server(config: Config, lines: &str, output: &mut Output) -> Connection {
    let mut ws = Connection::server(config);
    assert_eq!(receive(&mut ws, &request_with(lines), output), []);
    let answer = drain_text(output);
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.ends_with("\r\n\r\n"), "{answer:?}");
    assert!(lines.is_empty() || answer.contains(lines), "{answer:?} to {lines:?}");
    ws
}

fn open_client(config: Config, lines: &str, output: &mut Output) -> Connection {
    let request = ClientRequest::new("ws://example.com/");
    let mut ws = Connection::client(&request, config, [7; 32], output).expect("the request is valid");
    let response = response_to(&drain_text(output), lines);
    let opened = receive(&mut ws, &response, output);
    assert!(matches!(opened[..], [Event::Open(_)]), "{opened:?}");
    ws
}

fn drain_text(output: &mut Output) -> String {
    String::from_utf8(drain(output)).expect("a head is text")
}

/// # Sending
impl Peer {
    pub(super) fn send_message(&mut self, how: u8, payload: Vec<u8>) {
        let is_binary = how & peer_message::BINARY != 0;
        let compressor = self.compressor.as_mut().filter(|_| how & peer_message::COMPRESSED != 0);
        let mark = if compressor.is_some() { 0x40 } else { 0 };
        let wire = compressor.map_or_else(|| payload.clone(), |compressor| compressor.compress(&payload));
        let pieces = usize::from(how / peer_message::FRAME % 4) + 1;
        let size = wire.len().div_ceil(pieces).max(1);
        let mut frames: Vec<&[u8]> = wire.chunks(size).collect();
        if frames.is_empty() {
            frames.push(b"");
        }
        let last = frames.len() - 1;
        for (index, piece) in frames.into_iter().enumerate() {
            if index == last && how & peer_message::PING != 0 {
                self.send_control(true, payload.iter().copied().take(9).collect());
            }
            let opcode = if index > 0 { 0 } else { mark | (1 + u8::from(is_binary)) };
            self.put_frame(opcode | if index == last { 0x80 } else { 0 }, piece);
        }
        let kind = if is_binary { MessageKind::Binary } else { MessageKind::Text };
        self.sent.push(Item::Message(kind, payload));
    }

    pub(super) fn send_control(&mut self, is_ping: bool, payload: Vec<u8>) {
        self.put_frame(if is_ping { 0x89 } else { 0x8a }, &payload);
        self.sent.push(if is_ping { Item::Ping(payload) } else { Item::Pong(payload) });
    }

    pub(super) fn send_close(&mut self, body: &[u8]) {
        self.put_frame(0x88, body);
        self.close = Some(body.to_vec());
    }

    /// Violates the protocol: with a reserved bit, or with invalid compressed data, at the start of a message or in its
    /// middle.
    pub(super) fn send_fault(&mut self, choice: u8) {
        self.fault = Some(if self.compressor.is_some() { 1007 } else { 1002 });
        match self.compressor.as_ref().map(|compressor| (choice % 3, compressor.takes_over)) {
            None => self.put_frame(0xc2, b"reserved"),
            // Refers to data before the message, perhaps another connection's.
            Some((0, false)) => {
                let message = Writer::default().fixed(false).three_from(3).literals(b"x").end().message();
                self.put_frame(0xc2, &message);
            }
            Some((1, _)) => {
                self.put_frame(0x42, &Writer::default().stored(false, b"well so far").bytes());
                self.put_frame(0x80, &[0xff; 8]);
            }
            Some(_) => self.put_frame(0xc2, &[0xff; 8]),
        }
    }

    fn put_frame(&mut self, first: u8, payload: &[u8]) {
        let mask = if self.masks { 0x80 } else { 0 };
        self.outbox.push_back(first);
        match payload.len() {
            len @ ..126 => self.outbox.push_back(mask | len as u8),
            len => self.outbox.extend([mask | 0x7e, (len >> 8) as u8, len as u8]),
        }
        let key = if self.masks { [9, 0, 0x55, 0xff] } else { [0; 4] };
        self.outbox.extend(key.into_iter().filter(|_| self.masks));
        self.outbox.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    }

    /// Removes and returns at most `size` bytes in flight.
    pub(super) fn deliver(&mut self, size: usize) -> Vec<u8> {
        self.outbox.drain(..size.min(self.outbox.len())).collect()
    }

    /// Puts back the bytes that the connection did not consume.
    pub(super) fn take_back(&mut self, rest: &[u8]) {
        rest.iter().rev().for_each(|byte| self.outbox.push_front(*byte));
    }

    /// Whether it sends nothing more.
    pub(super) fn is_done(&self) -> bool {
        self.close.is_some() || self.fault.is_some()
    }

    /// Whether everything that it sent has arrived.
    pub(super) fn is_heard(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Drops the bytes in flight.
    pub(super) fn lose(&mut self) {
        self.outbox.clear();
    }
}

/// # Receiving
impl Peer {
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.received.extend(self.decoder.feed(bytes));
        self.received_bytes += bytes.len() as u64;
    }

    pub(super) fn is_between_frames(&self) -> bool {
        self.decoder.is_between_frames()
    }
}

/// Writes messages that refer back wherever possible, also to the message before if context takeover was negotiated.
struct Compressor {
    context: Vec<u8>,
    takes_over: bool,
}

impl Compressor {
    /// The greatest distance of a reference.
    const REACH: usize = 1000;

    fn compress(&mut self, mut payload: &[u8]) -> Vec<u8> {
        if !self.takes_over {
            self.context.clear();
        }
        let mut writer = Writer::default().fixed(false);
        while !payload.is_empty() {
            let (next, rest) = payload.split_at(payload.len().min(3));
            let recent = &self.context[self.context.len().saturating_sub(Self::REACH)..];
            let found = recent.windows(3).rposition(|known| known == next);
            let len = if found.is_some() { 3 } else { 1 };
            writer = match found {
                Some(at) => writer.three_from(recent.len() - at),
                None => writer.literals(&next[..1]),
            };
            self.context.extend_from_slice(&next[..len]);
            payload = if found.is_some() { rest } else { &payload[1..] };
        }
        writer.end().message()
    }
}
