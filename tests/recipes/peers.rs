//! [`Peer`]: the other side, byte by byte, as it keeps to no protocol.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use socket2::SockRef;
use websocket_proto::frame::{FrameHeader, FramePiece, FrameReader, Opcode};
use websocket_proto::handshake::accept_key;
use websocket_proto::{Input, Role};

use crate::PATIENCE;
use crate::driven::Driver;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// What carries the bytes.
pub(crate) trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// A peer after the opening handshake.
pub(crate) struct Peer {
    pub(crate) stream: Box<dyn Stream>,
    /// The socket below the stream.
    pub(crate) tcp: TcpStream,
    role: Role,
}

impl Peer {
    pub(crate) fn open(driver: &Driver, tcp: TcpStream, role: Role) -> Self {
        tcp.set_nodelay(true).expect("an open socket");
        tcp.set_read_timeout(Some(PATIENCE)).expect("an open socket");
        tcp.set_write_timeout(Some(PATIENCE)).expect("an open socket");
        let below = tcp.try_clone().expect("a descriptor");
        let mut peer = Self { stream: (driver.peer)(tcp, role), tcp: below, role };
        if role == Role::Client {
            peer.stream.write_all(REQUEST).expect("it reads");
            assert!(peer.read_head().starts_with("HTTP/1.1 101 "));
        } else {
            let request = peer.read_head();
            let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("it has a key");
            let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
            let accept = accept_key(key.as_bytes());
            let response = [head.as_bytes(), b"Sec-WebSocket-Accept: ", &accept, b"\r\n\r\n"].concat();
            peer.stream.write_all(&response).expect("it reads");
        }
        peer
    }

    fn read_head(&mut self) -> String {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte).expect("a whole head comes");
            head.extend(byte);
        }
        String::from_utf8(head).expect("text")
    }

    /// A binary message of this side: as a client with a mask that changes nothing.
    pub(crate) fn message(&self, payload: &[u8]) -> Vec<u8> {
        let mask = (self.role == Role::Client).then_some([0; 4]);
        let payload_len = payload.len() as u64;
        let header = FrameHeader { fin: true, rsv: 0, opcode: Opcode::Binary, mask, payload_len };
        [header.encode().as_ref(), payload].concat()
    }

    /// A frame whose opcode has no meaning (RFC 6455 §5.2), for which the other side has to close with 1002.
    pub(crate) fn fault(&self) -> Vec<u8> {
        if self.role == Role::Client { b"\x83\x80\0\0\0\0".to_vec() } else { b"\x83\x00".to_vec() }
    }

    /// The frames of the other side, unmasked, to the end.
    pub(crate) fn frames_to_end(&mut self) -> Vec<(Opcode, Vec<u8>)> {
        let (mut bytes, mut reader, mut frames) = (self.read_to_end(), FrameReader::new(), Vec::new());
        let mut input = Input::new(&mut bytes);
        while let Some(piece) = reader.next(&mut input).expect("legal frames") {
            match (piece, frames.last_mut()) {
                (FramePiece::Header(header), _) => frames.push((header.opcode, Vec::new())),
                (FramePiece::Payload { bytes, .. }, Some((_, payload))) => payload.extend_from_slice(bytes),
                (piece, None) => panic!("{piece:?} before a header"),
            }
        }
        assert!(reader.is_between_frames());
        frames
    }

    /// Everything to the end, without the opening handshake. An end by a reset is none.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).expect("it ends, without a reset");
        bytes
    }

    pub(crate) fn reset(self) {
        SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO)).expect("an open socket");
    }
}
