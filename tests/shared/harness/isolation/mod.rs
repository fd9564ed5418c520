//! Connections that share one `Output` in turns: each peer gets the messages of its own connection, in order, and no
//! byte of another's. `member` has a connection and its model, `peer` its other end.

mod member;
mod peer;

use bytes::Buf;
use websocket_proto::{CloseCode, MessageKind, Output, Timeout};

use super::bytes::Bytes;
use member::Member;

/// The number of connections that share the output.
pub const MEMBERS: usize = 3;

/// The operations, in the low bits of an operation's first byte; their arguments follow.
pub mod operation {
    /// Write this number of the waiting bytes to the peer.
    pub const WRITE: u8 = 0;
    /// Receive this number of the bytes that the peer has sent, with [`MORE`] up to the first event.
    pub const RECEIVE: u8 = 1;
    /// Send a message; the payload follows its length.
    pub const TEXT: u8 = 2;
    pub const BINARY: u8 = 3;
    /// Send a fragment, with [`MORE`] not the last.
    pub const FRAGMENT: u8 = 4;
    /// Send a message uncompressed, with [`MORE`] binary.
    pub const UNCOMPRESSED: u8 = 5;
    /// Send a message from `Bytes`, with [`MORE`] binary; by reference, if it is [`LONG`].
    pub const BYTES: u8 = 6;
    /// Send a prepared message, with [`MORE`] binary.
    pub const PREPARED: u8 = 7;
    /// Send a ping, with [`MORE`] a pong, of this length.
    pub const CONTROL: u8 = 8;
    /// Close with this code, with [`MORE`] without one.
    pub const CLOSE: u8 = 9;
    /// Time out, in one of three ways.
    pub const TIME_OUT: u8 = 10;
    /// Recycle a buffer of this size.
    pub const RECYCLE: u8 = 11;
    /// Lose the transport.
    pub const EOF: u8 = 12;
    /// The peer sends a message, in the way of [`peer_message`](super::peer_message); its length and its payload
    /// follow.
    pub const PEER_MESSAGE: u8 = 13;
    /// The peer sends a ping of this length, with [`MORE`] a pong, with [`LONG`] a Close with this code; with both, an
    /// invalid frame.
    pub const PEER_CONTROL: u8 = 14;
    /// Replace a connection that has ended, with [`MORE`] any connection, by another with these traits.
    pub const OPEN: u8 = 15;

    /// The connection that acts: a multiple from 0 to 2.
    pub const MEMBER: u8 = 0x10;
    pub const MORE: u8 = 0x40;
    /// The payload is repeated, to 16 KiB.
    pub const LONG: u8 = 0x80;
}

/// How a peer sends a message.
pub mod peer_message {
    pub const BINARY: u8 = 0x01;
    /// If compression was negotiated.
    pub const COMPRESSED: u8 = 0x02;
    /// With a ping between the frames, or before the message.
    pub const PING: u8 = 0x04;
    /// In one frame more than this multiple, 0 to 3.
    pub const FRAME: u8 = 0x10;
}

/// The traits of a connection.
pub mod traits {
    pub const CLIENT: u8 = 0x01;
    /// Uses a compressor and a decompressor of its own.
    pub const DEDICATED: u8 = 0x02;
    /// Uses those of the output.
    pub const SHARED: u8 = 0x04;
    /// With [`SHARED`], compresses with another window and at another level.
    pub const OTHER_WINDOW: u8 = 0x06;
    /// Later pongs soon replace earlier ones.
    pub const FEW_PONGS: u8 = 0x08;
    /// Messages are delivered in parts.
    pub const PARTS: u8 = 0x10;
    /// Half of the new bytes is written before the rest moves to the backlog.
    pub const EAGER: u8 = 0x20;
    /// While the backlog has bytes, half of the calls use it instead of the shared output.
    pub const DIRECT: u8 = 0x40;
}

/// The traits of each connection come first, and then operations.
pub fn isolation(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut output = Output::new();
    let mut name = b'a'..;
    let mut members =
        bytes.array::<MEMBERS>().map(|traits| Member::open(name.next().expect("letters enough"), traits, &mut output));
    // Enough long payloads to see their effect, few enough to be fast.
    let mut long = 8;
    while let Some(first) = bytes.next() {
        let member = &mut members[usize::from(first / operation::MEMBER % 4) % MEMBERS];
        let is_long = first & operation::LONG != 0 && long > 0;
        long -= u8::from(is_long && (operation::TEXT..operation::CONTROL).contains(&(first & 0xf)));
        operate(member, first, is_long, &mut bytes, &mut output);
        member.clear_the_way(&mut output);
        assert!(!output.has_remaining(), "the output is empty for the next connection");
    }
    for member in &mut members {
        member.finish(&mut output);
    }
}

fn operate(member: &mut Member, first: u8, is_long: bool, bytes: &mut Bytes<'_>, output: &mut Output) {
    let has = |flag| first & flag != 0;
    let kind = if has(operation::MORE) { MessageKind::Binary } else { MessageKind::Text };
    let repeated = |text: &[u8]| {
        let times = if is_long { (16 << 10) / text.len().max(1) + 1 } else { 1 };
        text.repeat(times)
    };
    match first & 0xf {
        operation::WRITE => member.write(size(bytes)),
        operation::RECEIVE => member.receive(size(bytes), has(operation::MORE), output),
        operation::TEXT => member.send(MessageKind::Text, &repeated(bytes.string()), output),
        operation::BINARY => member.send(MessageKind::Binary, &repeated(bytes.string()), output),
        operation::FRAGMENT => member.send_fragment(&repeated(bytes.string()), !has(operation::MORE), output),
        operation::UNCOMPRESSED => member.send_uncompressed(kind, &repeated(bytes.string()), output),
        operation::BYTES => member.send_bytes(kind, &repeated(bytes.string()), output),
        operation::PREPARED => member.send_prepared(kind, &repeated(bytes.string()), output),
        operation::CONTROL => member.send_control(!has(operation::MORE), bytes.byte(), output),
        operation::CLOSE => {
            let code = CloseCode::new(u16::from_be_bytes(bytes.array())).unwrap_or(CloseCode::NORMAL_CLOSURE);
            member.close((!has(operation::MORE)).then_some(code), output);
        }
        operation::TIME_OUT => {
            let timeouts = [Timeout::KeepAlive, Timeout::Closing, Timeout::Handshake];
            member.time_out(timeouts[usize::from(bytes.byte() % 3)], output);
        }
        operation::RECYCLE => member.recycle(bytes.byte()),
        operation::EOF => member.lose_transport(),
        operation::PEER_MESSAGE => member.hear_message(bytes.byte(), bytes.string()),
        operation::PEER_CONTROL if has(operation::LONG) && has(operation::MORE) => member.hear_fault(bytes.byte()),
        operation::PEER_CONTROL if has(operation::LONG) => member.hear_close(bytes.array()),
        operation::PEER_CONTROL => member.hear_control(!has(operation::MORE), bytes.byte()),
        _ => {
            let traits = bytes.byte();
            if has(operation::MORE) {
                member.lose_transport();
            }
            if member.has_ended() {
                member.finish(output);
                *member = Member::open(member.name(), traits, output);
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
