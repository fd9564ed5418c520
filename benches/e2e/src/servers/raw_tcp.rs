//! The reference: an echo of bytes. It reads at most 64 KiB and writes them back, and does nothing else.

use std::io::{ErrorKind, Read, Write};
use std::ops::ControlFlow::{self, Break, Continue};

use super::event_loop;
use super::socket::Socket;

pub struct Peer {
    socket: Socket,
    /// Bytes that the socket had no room for. While there are some, nothing is read.
    rest: Vec<u8>,
}

impl event_loop::Peer for Peer {
    fn new(socket: Socket) -> Self {
        Self { socket, rest: Vec::new() }
    }

    fn socket(&mut self) -> Option<&mut Socket> {
        Some(&mut self.socket)
    }

    fn turn(&mut self, buffer: &mut [u8]) -> ControlFlow<()> {
        let rest = std::mem::take(&mut self.rest);
        self.write(&rest)?;
        while self.rest.is_empty() {
            match self.socket.read(buffer) {
                Ok(0) => return Break(()),
                Ok(n) => self.write(&buffer[..n])?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return Break(()),
            }
        }
        Continue(())
    }
}

impl Peer {
    fn write(&mut self, mut bytes: &[u8]) -> ControlFlow<()> {
        while !bytes.is_empty() {
            match self.socket.write(bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.rest = bytes.to_vec();
                    return Continue(());
                }
                Err(_) => return Break(()),
            }
        }
        Continue(())
    }
}
