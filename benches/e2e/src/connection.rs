//! A client's connection in a closed loop: it keeps a number of messages in flight.

use std::io::{self, ErrorKind, IoSlice, Read, Write};

use mio::net::TcpStream;
use socket2::SockRef;

use crate::error::Result;
use crate::messages::Messages;

/// The longest read.
const READ: usize = 256 << 10;

/// How the generator handles echoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echoes {
    /// Compares every byte.
    Compare,
    /// Counts bytes, which the kernel discards without a copy, so that the generator is seldom slower than the server.
    Count,
}

/// The buffers that all connections share.
pub struct Buffers {
    compared: Vec<u8>,
    /// Only its capacity is used: nothing is written to it.
    counted: Vec<u8>,
}

impl Buffers {
    pub fn new() -> Self {
        Self { compared: vec![0; READ], counted: Vec::with_capacity(READ) }
    }
}

/// An open connection. All bytes are counted from its opening handshake on.
pub struct Connection {
    tcp: TcpStream,
    /// The number of messages to send.
    messages: u64,
    sent: u64,
    received: u64,
}

impl Connection {
    pub fn new(tcp: TcpStream) -> Self {
        Self { tcp, messages: 0, sent: 0, received: 0 }
    }

    pub fn tcp(&mut self) -> &mut TcpStream {
        &mut self.tcp
    }

    /// The number of messages whose echo has arrived.
    pub fn echoed(&self, messages: &Messages) -> u64 {
        self.received / messages.echo_len()
    }

    /// Whether the echo of every message has arrived.
    pub fn is_idle(&self, messages: &Messages) -> bool {
        self.received == self.messages * messages.echo_len()
    }

    /// Sends as many messages as there may be in flight.
    pub fn fill(&mut self, in_flight: u64, messages: &Messages) -> io::Result<()> {
        self.messages = self.echoed(messages) + in_flight;
        self.write(messages)
    }

    /// Reads every byte that has arrived.
    pub fn read(&mut self, messages: &Messages, echoes: Echoes, buffers: &mut Buffers) -> Result<()> {
        loop {
            let n = match self.read_once(echoes, buffers) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                read => read?,
            };
            if n == 0 {
                return Err("the server has closed a connection".into());
            }
            if echoes == Echoes::Compare && !messages.are_echoes(self.received, &buffers.compared[..n]) {
                return Err(format!("other bytes than the echo, in {n} bytes after {}", self.received).into());
            }
            self.received += n as u64;
            if self.received > self.messages * messages.echo_len() {
                return Err("more bytes than the echoes have".into());
            }
            // Less than asked for: the socket has no more.
            if n < READ {
                return Ok(());
            }
        }
    }

    fn read_once(&mut self, echoes: Echoes, buffers: &mut Buffers) -> io::Result<usize> {
        match echoes {
            Echoes::Compare => self.tcp.read(&mut buffers.compared),
            Echoes::Count => {
                SockRef::from(&self.tcp).recv_with_flags(buffers.counted.spare_capacity_mut(), libc::MSG_TRUNC)
            }
        }
    }

    /// Writes until everything is sent or the socket is full.
    pub fn write(&mut self, messages: &Messages) -> io::Result<()> {
        loop {
            let end = self.messages * messages.sent_len();
            if self.sent == end {
                return Ok(());
            }
            match self.tcp.write_vectored(&messages.to_send(self.sent, end).map(IoSlice::new)) {
                Ok(n) => self.sent += n as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::contender::Kind;

    /// A connection that has sent one message, and the server's side of it.
    fn pair(messages: &Messages) -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let tcp = TcpStream::connect(listener.local_addr().expect("bound")).expect("a listener");
        tcp.set_nonblocking(true).expect("a socket");
        let (server, _) = listener.accept().expect("a connection");
        let mut connection = Connection::new(mio::net::TcpStream::from_std(tcp));
        connection.fill(1, messages).expect("room");
        (connection, server)
    }

    /// Reads once what the server has sent.
    fn read(connection: &mut Connection, messages: &Messages, echoes: Echoes) -> Result<()> {
        let before = connection.received;
        let mut buffers = Buffers::new();
        while connection.received == before {
            connection.read(messages, echoes, &mut buffers)?;
        }
        Ok(())
    }

    #[test]
    fn a_right_echo_is_counted() {
        let messages = Messages::new(20, Kind::Reference);
        for echoes in [Echoes::Compare, Echoes::Count] {
            let (mut connection, mut server) = pair(&messages);
            let mut echo = [0; 26];
            server.read_exact(&mut echo).expect("a message");
            server.write_all(&echo[..10]).expect("room");
            read(&mut connection, &messages, echoes).expect("the first part of an echo");
            assert_eq!((connection.echoed(&messages), connection.is_idle(&messages)), (0, false));
            server.write_all(&echo[10..]).expect("room");
            read(&mut connection, &messages, echoes).expect("the rest of the echo");
            assert_eq!((connection.echoed(&messages), connection.is_idle(&messages)), (1, true));
        }
    }

    #[test]
    fn a_wrong_echo_is_an_error() {
        let messages = Messages::new(20, Kind::Reference);
        let (mut connection, mut server) = pair(&messages);
        let mut echo = [0; 26];
        server.read_exact(&mut echo).expect("a message");
        echo[25] ^= 1;
        server.write_all(&echo).expect("room");
        assert!(read(&mut connection, &messages, Echoes::Compare).is_err());
    }

    #[test]
    fn bytes_after_the_last_echo_are_an_error() {
        let messages = Messages::new(20, Kind::Reference);
        for echoes in [Echoes::Compare, Echoes::Count] {
            let (mut connection, mut server) = pair(&messages);
            let [stream, _] = messages.to_send(0, 27);
            server.write_all(stream).expect("room");
            assert!(read(&mut connection, &messages, echoes).is_err());
        }
    }

    #[test]
    fn a_closed_connection_is_an_error() {
        let messages = Messages::new(20, Kind::Reference);
        let (mut connection, mut server) = pair(&messages);
        server.read_exact(&mut [0; 26]).expect("a message");
        drop(server);
        assert!(read(&mut connection, &messages, Echoes::Count).is_err());
    }
}
