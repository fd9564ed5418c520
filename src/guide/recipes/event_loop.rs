use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use websocket_proto::{Action, Alarms, Config, Connection, Event, Input, Output, Session, SessionConfig};

/// The most reads of a peer's turn.
const READS: usize = 4;

/// Accepts clients and serves them.
pub(crate) fn serve(
    mut listener: TcpListener,
    config: &Config,
    mut handle: impl FnMut(Event<'_>, &mut Connection, &mut Output),
) -> io::Result<()> {
    let mut peers = Peers::new()?;
    peers.poll.registry().register(&mut listener, Token(usize::MAX), Interest::READABLE)?;
    loop {
        peers.round(&mut handle)?;
        // Until no client waits or no descriptor is left. A client that still waits is accepted after the next one.
        while let Ok((tcp, _)) = listener.accept() {
            peers.add(tcp, Connection::server(config.clone()), Output::new(), SessionConfig::new())?;
        }
    }
}

/// The connections of a thread.
pub(crate) struct Peers {
    poll: Poll,
    events: Events,
    /// Shared by all peers. The output is empty after each peer's turn.
    buffer: Vec<u8>,
    output: Output,
    pub(crate) all: HashMap<Token, Peer>,
    alarms: Alarms<Token, Instant>,
    next_token: usize,
}

impl Peers {
    pub(crate) fn new() -> io::Result<Self> {
        let (poll, events) = (Poll::new()?, Events::with_capacity(1024));
        let (buffer, output) = (vec![0; 64 << 10], Output::new());
        Ok(Self { poll, events, buffer, output, all: HashMap::new(), alarms: Alarms::new(), next_token: 0 })
    }

    /// Adds a connection. `backlog` is written first: a client's request.
    pub(crate) fn add(
        &mut self,
        mut tcp: TcpStream,
        ws: Connection,
        mut backlog: Output,
        config: SessionConfig<Duration>,
    ) -> io::Result<()> {
        let (now, token) = (Instant::now(), Token(self.next_token));
        self.poll.registry().register(&mut tcp, token, Interest::READABLE | Interest::WRITABLE)?;
        self.next_token += 1;
        // If the socket is already closed, the next read fails.
        let _ = tcp.set_nodelay(true);
        let mut session = Session::new(now, ws, config);
        session.parts().1.append(&mut backlog);
        self.all.insert(token, Peer { tcp, session, most: 0 });
        self.alarms.set(token, Some(now));
        Ok(())
    }

    /// All connections with the bytes that wait, to send messages to them. The next round writes them.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = (&mut Connection, &mut Output)> {
        let (now, alarms) = (Instant::now(), &mut self.alarms);
        self.all.iter_mut().map(move |(token, peer)| {
            alarms.set(*token, Some(now));
            peer.session.parts()
        })
    }

    /// Waits for a ready socket or a deadline, and gives a turn to each peer concerned.
    pub(crate) fn round(&mut self, mut handle: impl FnMut(Event<'_>, &mut Connection, &mut Output)) -> io::Result<()> {
        let patience = self.alarms.next().map(|at| at.saturating_duration_since(Instant::now()));
        match self.poll.poll(&mut self.events, patience) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        let now = Instant::now();
        let mut due: Vec<_> = self.events.iter().map(mio::event::Event::token).collect();
        due.extend(std::iter::from_fn(|| self.alarms.pop(now)));
        for token in due {
            let Some(peer) = self.all.get_mut(&token) else { continue };
            if let Some(deadline) = peer.turn(now, &mut self.buffer, &mut self.output, &mut handle) {
                self.alarms.set(token, Some(deadline));
            } else {
                self.alarms.remove(&token);
                self.all.remove(&token);
            }
        }
        Ok(())
    }
}

/// A socket and the session on it.
pub(crate) struct Peer {
    tcp: TcpStream,
    pub(crate) session: Session<Instant>,
    /// The most bytes to read.
    most: usize,
}

impl Peer {
    /// Reads, handles events and writes, when the socket is ready or a deadline has passed. Leaves the output empty for
    /// the next peer. Returns the latest time of the next turn, or `None` at the end: `handle` has had `Event::Closed`,
    /// and the socket must be dropped.
    fn turn(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        output: &mut Output,
        mut handle: impl FnMut(Event<'_>, &mut Connection, &mut Output),
    ) -> Option<Instant> {
        for _ in 0..READS {
            // Bytes that have arrived are read before the deadlines are checked.
            let may_read = self.most > 0;
            let has_read = may_read && self.read(buffer, output, &mut handle);
            let (read, deadline) = loop {
                match self.session.poll(now, output, |slices| self.tcp.write_vectored(slices)) {
                    Action::Wait { read, deadline, .. } => break (read, deadline),
                    Action::Event(event) => handle(event, self.session.connection_mut(), output),
                    Action::ShutDown => drop(self.tcp.shutdown(Shutdown::Write)),
                    _ => return None,
                }
            };
            self.most = read;
            if !has_read && (may_read || read == 0) {
                return Some(deadline.unwrap_or(now + Duration::from_secs(3600)));
            }
        }
        // The socket may have more. It is the other peers' turn.
        Some(now)
    }

    /// Returns whether the socket had any bytes, or the end of the stream.
    fn read(
        &mut self,
        buffer: &mut [u8],
        output: &mut Output,
        handle: &mut impl FnMut(Event<'_>, &mut Connection, &mut Output),
    ) -> bool {
        let n = match self.tcp.read(&mut buffer[..self.most]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() == ErrorKind::Interrupted => return true,
            // Another error is the end of the stream.
            n => n.unwrap_or(0),
        };
        let mut input = Input::from_read(&mut buffer[..n]);
        while let Some(event) = self.session.receive(&mut input, output) {
            handle(event, self.session.connection_mut(), output);
        }
        true
    }
}
