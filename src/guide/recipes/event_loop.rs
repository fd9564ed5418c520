use std::collections::HashMap;
use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use websocket_proto::{Config, Connection, Event, Input, Output, Role, Timeouts, Timers};

/// A server reads from a client only while fewer bytes than this wait to be written to it.
const MAX_BACKLOG: usize = 256 << 10;
/// Gives up on a peer that reads none of the waiting bytes for this long.
const STALL: Duration = Duration::from_secs(10);
/// The same limit after the connection's end, and the limit for the peer to close its side of the transport.
const GRACE: Duration = Duration::from_secs(2);

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
            peers.add(tcp, Connection::server(config.clone()), Output::new(), Timeouts::new())?;
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
    /// Each peer with the time of its next turn.
    pub(crate) all: HashMap<Token, (Peer, Instant)>,
    next_token: usize,
}

impl Peers {
    pub(crate) fn new() -> io::Result<Self> {
        let (poll, events) = (Poll::new()?, Events::with_capacity(1024));
        let (buffer, output) = (vec![0; 64 << 10], Output::new());
        Ok(Self { poll, events, buffer, output, all: HashMap::new(), next_token: 0 })
    }

    /// Adds a connection. `backlog` is written first: a client's request.
    pub(crate) fn add(
        &mut self,
        mut tcp: TcpStream,
        ws: Connection,
        backlog: Output,
        timeouts: Timeouts<Duration>,
    ) -> io::Result<()> {
        let (now, token) = (Instant::now(), Token(self.next_token));
        self.poll.registry().register(&mut tcp, token, Interest::READABLE | Interest::WRITABLE)?;
        self.next_token += 1;
        self.all.insert(token, (Peer::new(tcp, ws, backlog, now, timeouts), now));
        Ok(())
    }

    /// All connections with their backlogs, to send messages to them. The next round writes them.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = (&mut Connection, &mut Output)> {
        let now = Instant::now();
        self.all.values_mut().map(move |(peer, due)| {
            *due = now;
            (&mut peer.ws, &mut peer.backlog)
        })
    }

    /// Waits for a ready socket or a deadline, and gives a turn to each peer concerned.
    pub(crate) fn round(&mut self, mut handle: impl FnMut(Event<'_>, &mut Connection, &mut Output)) -> io::Result<()> {
        let due = self.all.values().map(|(_, due)| *due).min();
        let patience = due.map(|due| due.saturating_duration_since(Instant::now()));
        match self.poll.poll(&mut self.events, patience) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        let now = Instant::now();
        for event in &self.events {
            if let Some((_, due)) = self.all.get_mut(&event.token()) {
                *due = now;
            }
        }
        self.all.retain(|_, (peer, due)| {
            let next =
                if *due > now { Some(*due) } else { peer.turn(now, &mut self.buffer, &mut self.output, &mut handle) };
            *due = next.unwrap_or(*due);
            next.is_some()
        });
        Ok(())
    }
}

/// A connection and its socket.
pub(crate) struct Peer {
    pub(crate) ws: Connection,
    /// Bytes that the socket did not accept.
    pub(crate) backlog: Output,
    tcp: TcpStream,
    timers: Timers<Instant>,
    /// Whether the socket did not accept all bytes of the last write.
    is_full: bool,
    /// When the socket last accepted bytes, or none waited.
    progress: Instant,
    /// After the connection's end: when to give up on the peer.
    grace: Option<Instant>,
    /// Whether the stream has ended.
    has_ended: bool,
}

impl Peer {
    fn new(tcp: TcpStream, ws: Connection, backlog: Output, now: Instant, timeouts: Timeouts<Duration>) -> Self {
        // If the socket is already closed, the next read fails.
        let _ = tcp.set_nodelay(true);
        let timers = Timers::new(now, timeouts);
        Self { ws, backlog, tcp, timers, is_full: false, progress: now, grace: None, has_ended: false }
    }

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
        self.write(now, output);
        while self.may_read() {
            let n = match self.tcp.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // Treats an error as the end of the stream.
                read => read.unwrap_or(0),
            };
            self.has_ended = n == 0;
            let mut input = Input::new(&mut buffer[..n]);
            while let Some(event) = if n == 0 { self.ws.receive_eof() } else { self.ws.receive(&mut input, output) } {
                handle(event, &mut self.ws, output);
            }
            self.write(now, output);
        }
        self.timers.handle_timeout(now, &mut self.ws, output);
        self.write(now, output);
        let next = self.next(now);
        if next.is_none() {
            // The application gets `Event::Closed` however the connection ended.
            while let Some(event) = self.ws.receive_eof() {
                handle(event, &mut self.ws, &mut self.backlog);
            }
        }
        next
    }

    fn may_read(&self) -> bool {
        // If both ends stopped reading, each would wait for the other. So a client never stops.
        let has_room = self.ws.role() == Role::Client || self.backlog.len() < MAX_BACKLOG;
        !self.has_ended && (has_room || self.ws.is_closed())
    }

    /// Writes the backlog, then the output. Bytes that the socket does not accept become the backlog.
    fn write(&mut self, now: Instant, output: &mut Output) {
        let (was_full, has_waited) = (self.is_full, !self.backlog.is_empty());
        if has_waited {
            self.backlog.append(output);
        }
        let waiting = if has_waited { &mut self.backlog } else { &mut *output };
        let written = waiting.write_to(&mut self.tcp);
        let has_taken = matches!(written, Ok(1..));
        // The buffer moves, not the bytes.
        self.backlog.append(output);
        if written.is_err_and(|error| error.kind() != ErrorKind::WouldBlock) {
            // The peer's last bytes may still be unread: reading goes on until it reports the end of the stream.
            self.backlog = Output::new();
        }
        self.is_full = !self.backlog.is_empty();
        if !self.is_full {
            // A drained output keeps its buffer; a new one has none.
            self.backlog = Output::new();
        }
        if has_taken && was_full {
            // The socket has room again only because the peer read bytes: the peer is alive.
            self.timers.note_activity(now);
            self.grace = self.grace.map(|_| now + GRACE);
        }
        if has_taken || !was_full {
            self.progress = now;
        }
    }

    /// The latest time of the next turn; `None` at the end.
    fn next(&mut self, now: Instant) -> Option<Instant> {
        if !self.ws.is_closed() {
            let give_up = self.progress + STALL;
            let due = self.timers.poll_timeout().filter(|due| self.backlog.is_empty() || *due < give_up);
            return (now < give_up).then_some(due.unwrap_or(give_up));
        }
        let is_written = self.backlog.is_empty();
        if is_written {
            // RFC 6455 §7.1.1: the stream is then read to its end. Closing with unread input would reset the
            // connection, which could destroy the last bytes in transit.
            let _ = self.tcp.shutdown(Shutdown::Write);
        }
        let grace = *self.grace.get_or_insert(now + GRACE);
        (now < grace && !(is_written && self.has_ended)).then_some(grace)
    }
}
