//! The reference: an echo of bytes. It reads at most 64 KiB and writes them back, and does nothing else.
//!
//! A read of fewer bytes than the buffer has shows, on Linux, that the socket is empty, so there is no second one.

use std::io::{ErrorKind, Read, Write};
use std::ops::ControlFlow::{self, Break, Continue};

use mio::event::Event;
use mio::net::TcpStream;

use super::event_loop;

pub struct Peer {
    tcp: TcpStream,
    is_readable: bool,
    /// Bytes that the socket had no room for. While there are some, nothing is read.
    rest: Vec<u8>,
}

impl event_loop::Peer for Peer {
    fn new(tcp: TcpStream) -> Self {
        Self { tcp, is_readable: false, rest: Vec::new() }
    }

    fn turn(&mut self, event: &Event, buffer: &mut [u8]) -> ControlFlow<()> {
        self.is_readable |= event.is_readable();
        let rest = std::mem::take(&mut self.rest);
        self.write(&rest)?;
        while self.is_readable && self.rest.is_empty() {
            match self.tcp.read(buffer) {
                Ok(0) => return Break(()),
                Ok(n) => {
                    self.is_readable = n == buffer.len();
                    self.write(&buffer[..n])?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_readable = false,
                Err(_) => return Break(()),
            }
        }
        Continue(())
    }
}

impl Peer {
    fn write(&mut self, mut bytes: &[u8]) -> ControlFlow<()> {
        while !bytes.is_empty() {
            match self.tcp.write(bytes) {
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
