//! Two endpoints wired to each other, and any sequence of actions by their applications and the wires between them.

use websocket_proto::{CloseCode, MessageKind, State, Timeout};

use super::bytes::Bytes;
use super::side::{Side, Traits};

/// The low bits of an operation's first byte; its arguments follow.
pub mod operation {
    /// Write a number of bytes to the peer.
    pub const WRITE: u8 = 0;
    /// Receive a number of bytes in flight.
    pub const RECEIVE: u8 = 1;
    /// Send a message.
    pub const TEXT: u8 = 2;
    pub const BINARY: u8 = 3;
    /// Send a fragment; with [`MORE`], not the last.
    pub const TEXT_FRAGMENT: u8 = 4;
    pub const BINARY_FRAGMENT: u8 = 5;
    /// Send a ping or a pong of this length.
    pub const PING: u8 = 6;
    pub const PONG: u8 = 7;
    /// Close with this code and reason.
    pub const CLOSE: u8 = 8;
    pub const CLOSE_WITHOUT_CODE: u8 = 9;
    /// Accept or reject the request.
    pub const DECIDE: u8 = 10;
    /// Recycle a buffer of this size.
    pub const RECYCLE: u8 = 11;
    /// Lose the transport.
    pub const EOF: u8 = 12;
    /// Write and receive everything, both ways.
    pub const FLUSH: u8 = 13;
    /// Send a message from `Bytes`, or with [`MORE`] a prepared one; it is text if the first byte of the payload is
    /// odd.
    pub const SHARED: u8 = 14;
    /// One of the timeouts expires.
    pub const TIME_OUT: u8 = 15;

    /// The server acts, instead of the client.
    pub const SERVER: u8 = 0x80;
    pub const MORE: u8 = 0x40;
    /// The payload is repeated, so that its length needs the longer forms.
    pub const LONG: u8 = 0x20;
}

/// Traits with which, on both sides, later pongs soon replace earlier ones.
pub const FEW_PONGS: u8 = 0x22;

/// Whatever two endpoints do, neither reports a fault, messages arrive, and both end in the same way. The first byte
/// chooses the sides' traits, the others are operations.
pub fn operations(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut pair = Pair::new(bytes.byte());
    while let Some(first) = bytes.next() {
        pair.operate(first, &mut bytes);
    }
    pair.finish();
}

struct Pair {
    client: Side,
    server: Side,
    /// A counter that makes every ping and pong different.
    controls: u16,
    /// The number of payloads that may still be long: enough to see their effect, few enough to be fast.
    long: u8,
}

impl Pair {
    fn new(traits: u8) -> Self {
        let traits = |bits: u8| Traits {
            browser_rules: traits >> bits & 1 != 0,
            few_pongs: traits >> bits & 2 != 0,
            has_backlog: traits >> bits & 4 != 0,
        };
        Self { client: Side::client(traits(0)), server: Side::server(traits(4)), controls: 0, long: 4 }
    }

    fn operate(&mut self, first: u8, bytes: &mut Bytes<'_>) {
        let is_more = first & operation::MORE != 0;
        let is_long = first & operation::LONG != 0;
        let (side, peer) = match first & operation::SERVER {
            0 => (&mut self.client, &mut self.server),
            _ => (&mut self.server, &mut self.client),
        };
        let mut payload = |bytes: &mut Bytes<'_>| {
            let is_long = is_long && self.long > 0;
            self.long -= u8::from(is_long);
            bytes.string().repeat(if is_long { 300 } else { 1 })
        };
        match first & 0xf {
            operation::WRITE => side.write(size(bytes), peer),
            operation::RECEIVE => side.receive(size(bytes)),
            operation::TEXT => side.send_whole(MessageKind::Text, &payload(bytes)),
            operation::BINARY => side.send_whole(MessageKind::Binary, &payload(bytes)),
            operation::TEXT_FRAGMENT => side.send_fragment(MessageKind::Text, &payload(bytes), !is_more),
            operation::BINARY_FRAGMENT => side.send_fragment(MessageKind::Binary, &payload(bytes), !is_more),
            kind @ (operation::PING | operation::PONG) => {
                self.controls = self.controls.wrapping_add(1);
                let mut payload = self.controls.to_be_bytes().to_vec();
                payload.resize(usize::from(bytes.byte() & 0x7f) + 2, b'.');
                side.send_control(kind == operation::PING, payload);
            }
            operation::CLOSE => {
                let code = CloseCode::new(u16::from_be_bytes(bytes.array())).unwrap_or(CloseCode::NORMAL_CLOSURE);
                side.close(Some(code), &String::from_utf8_lossy(bytes.string()));
            }
            operation::CLOSE_WITHOUT_CODE => side.close(None, ""),
            operation::DECIDE => self.server.decide(bytes.byte()),
            operation::RECYCLE => side.recycle(bytes.byte()),
            operation::EOF => side.lose_transport(),
            operation::SHARED => {
                let payload = payload(bytes);
                let kind = if payload.first().is_some_and(|byte| byte % 2 == 1) {
                    MessageKind::Text
                } else {
                    MessageKind::Binary
                };
                side.send_shared(kind, &payload, is_more);
            }
            operation::TIME_OUT => {
                let timeouts = [Timeout::Handshake, Timeout::KeepAlive, Timeout::Closing];
                side.time_out(timeouts[usize::from(bytes.byte() % 3)]);
            }
            _ => self.flush(),
        }
        self.client.check_state();
        self.server.check_state();
    }

    fn flush(&mut self) {
        self.client.write(usize::MAX, &mut self.server);
        self.server.write(usize::MAX, &mut self.client);
        self.client.receive(usize::MAX);
        self.server.receive(usize::MAX);
    }

    fn settle(&mut self) {
        self.flush();
        while !(self.client.is_settled() && self.server.is_settled()) {
            self.server.decide(1);
            self.flush();
        }
    }

    fn finish(mut self) {
        self.settle();
        if (self.client.state(), self.server.state()) == (State::Open, State::Open) {
            self.client.close(Some(CloseCode::GOING_AWAY), "");
            self.settle();
        }
        // One of them must be closed, or each would wait for the other forever.
        let states = (self.client.state(), self.server.state());
        assert!(states.0 == State::Closed || states.1 == State::Closed, "{states:?}");
        self.client.receive_eof();
        self.server.receive_eof();
        for (side, peer) in [(&self.client, &self.server), (&self.server, &self.client)] {
            assert!(side.state() == State::Closed && side.end().is_some());
            side.check_log();
            side.check_received_from(peer);
            if !side.is_cut_off && !peer.is_cut_off {
                side.check_end_by(peer);
            }
        }
    }
}

/// A number of bytes; the highest byte means all of them.
fn size(bytes: &mut Bytes<'_>) -> usize {
    match bytes.byte() {
        0xff => usize::MAX,
        size => size.into(),
    }
}
