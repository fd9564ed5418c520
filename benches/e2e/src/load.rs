//! The load generator: connections to a server, each with messages in flight.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::connection::{Buffers, Connection, Echoes};
use crate::contender::Kind;
use crate::error::Result;
use crate::handshake;
use crate::messages::Messages;

/// A server that sends nothing for this time has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many connections, and how many messages in flight on each.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub connections: usize,
    pub in_flight: u64,
}

/// Open connections to a server, idle between runs.
pub struct Load<'m> {
    messages: &'m Messages,
    in_flight: u64,
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    buffers: Buffers,
}

impl<'m> Load<'m> {
    /// Opens the connections, one after the other.
    pub fn connect(address: SocketAddr, kind: Kind, messages: &'m Messages, shape: Shape) -> Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::new();
        for key in 0..shape.connections {
            let mut connection = Connection::new(mio::net::TcpStream::from_std(open(address, kind)?));
            poll.registry().register(connection.tcp(), Token(key), Interest::READABLE | Interest::WRITABLE)?;
            connections.push(connection);
        }
        let (events, buffers) = (Events::with_capacity(1024), Buffers::new());
        Ok(Self { messages, in_flight: shape.in_flight, poll, events, connections, buffers })
    }

    /// Keeps messages in flight for this time, then waits for the last echo. Returns the number of messages.
    pub fn run(&mut self, time: Duration, echoes: Echoes) -> Result<u64> {
        let before = self.echoed();
        let end = Instant::now() + time;
        for connection in &mut self.connections {
            connection.fill(self.in_flight, self.messages)?;
        }
        let mut is_over = time.is_zero();
        while !is_over || !self.connections.iter().all(|connection| connection.is_idle(self.messages)) {
            self.turn(echoes, !is_over)?;
            is_over |= Instant::now() >= end;
        }
        Ok(self.echoed() - before)
    }

    /// Waits for sockets; reads, and sends the next messages or only the rest of those begun.
    fn turn(&mut self, echoes: Echoes, refill: bool) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(PATIENCE)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        if self.events.is_empty() {
            return Err("the server answers no more".into());
        }
        for event in &self.events {
            let Token(key) = event.token();
            let connection = &mut self.connections[key];
            connection.read(self.messages, echoes, &mut self.buffers)?;
            if refill {
                connection.fill(self.in_flight, self.messages)?;
            } else {
                connection.write(self.messages)?;
            }
        }
        Ok(())
    }

    fn echoed(&self) -> u64 {
        self.connections.iter().map(|connection| connection.echoed(self.messages)).sum()
    }
}

fn open(address: SocketAddr, kind: Kind) -> Result<TcpStream> {
    let mut tcp = TcpStream::connect(address)?;
    tcp.set_nodelay(true)?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    if kind != Kind::Reference {
        handshake::shake(&mut tcp)?;
    }
    tcp.set_nonblocking(true)?;
    Ok(tcp)
}
