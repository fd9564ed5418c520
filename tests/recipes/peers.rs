//! [`Peer`]: the other side, as bytes, so that it need not follow the protocol.

use std::io::{Read, Write};
use std::net::TcpStream;

use websocket_proto::Role;
use websocket_proto::frame::Opcode;

use crate::shared::frames::{ZERO_KEY, decode, encode};
use crate::shared::handshake::{REQUEST, response_to};
use crate::shared::sockets;

use crate::PATIENCE;
use crate::driven::Driver;

/// A TCP or TLS stream.
pub(crate) trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// A peer after the opening handshake.
pub(crate) struct Peer {
    pub(crate) stream: Box<dyn Stream>,
    /// The socket of the stream.
    pub(crate) tcp: TcpStream,
    role: Role,
}

impl Peer {
    pub(crate) fn open(driver: &Driver, tcp: TcpStream, role: Role) -> Self {
        sockets::configure(&tcp, PATIENCE);
        let below = tcp.try_clone().expect("a descriptor");
        let mut peer = Self { stream: (driver.peer)(tcp, role), tcp: below, role };
        if role == Role::Client {
            peer.stream.write_all(REQUEST).expect("the peer reads");
            assert!(sockets::read_head(&mut peer.stream).starts_with("HTTP/1.1 101 "));
        } else {
            let response = response_to(&sockets::read_head(&mut peer.stream), "");
            peer.stream.write_all(&response).expect("the peer reads");
        }
        peer
    }

    /// A binary message of this side; a client masks it with a key of zeros.
    pub(crate) fn message(&self, payload: &[u8]) -> Vec<u8> {
        encode(0x82, (self.role == Role::Client).then_some(ZERO_KEY), payload)
    }

    /// A frame with a reserved opcode (RFC 6455 §5.2), to which the other side must answer with a Close, 1002.
    pub(crate) fn fault(&self) -> Vec<u8> {
        if self.role == Role::Client { b"\x83\x80\0\0\0\0".to_vec() } else { b"\x83\x00".to_vec() }
    }

    /// The frames of the other side up to the end of the stream, unmasked.
    pub(crate) fn frames_to_end(&mut self) -> Vec<(Opcode, Vec<u8>)> {
        decode(&self.read_to_end()).into_iter().map(|(header, payload)| (header.opcode, payload)).collect()
    }

    /// All bytes up to the end of the stream, after the opening handshake; panics on a reset.
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        sockets::read_to_end(&mut self.stream)
    }

    pub(crate) fn reset(self) {
        sockets::reset_on_close(&self.tcp);
    }
}
