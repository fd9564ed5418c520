use std::collections::HashMap;
use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use websocket_proto::{Config, Connection, Event, Input, Output, Role, Timeouts, Timers};

/// A server reads from a client only while fewer bytes than this wait for it.
const MAX_BACKLOG: usize = 256 << 10;
/// A peer that takes none of the waiting bytes for this long is given up.
const STALL: Duration = Duration::from_secs(10);
/// The same once the connection is over, and how long the peer may then take to close its side.
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
        // Until none waits, or until there is no descriptor left: then a waiting one is noticed when the next comes.
        while let Ok((tcp, _)) = listener.accept() {
            peers.add(tcp, Connection::server(config.clone()), Output::new(), Timeouts::new())?;
        }
    }
}

/// The connections of a thread.
pub(crate) struct Peers {
    poll: Poll,
    events: Events,
    /// Shared by all; the output is empty whenever a peer's turn is over.
    buffer: Vec<u8>,
    output: Output,
    /// Each with the time of its next turn.
    pub(crate) all: HashMap<Token, (Peer, Instant)>,
    next_token: usize,
}

impl Peers {
    pub(crate) fn new() -> io::Result<Self> {
        let (poll, events) = (Poll::new()?, Events::with_capacity(1024));
        let (buffer, output) = (vec![0; 64 << 10], Output::new());
        Ok(Self { poll, events, buffer, output, all: HashMap::new(), next_token: 0 })
    }

    /// `backlog` has what is to be written first: a client's request.
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

    /// All connections, each with what waits for it; to say something to them, which the next round writes.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = (&mut Connection, &mut Output)> {
        let now = Instant::now();
        self.all.values_mut().map(move |(peer, due)| {
            *due = now;
            (&mut peer.ws, &mut peer.backlog)
        })
    }

    /// Waits until something happens, and gives each peer a turn whose socket is ready or whose time has come.
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
    /// What the socket did not take.
    pub(crate) backlog: Output,
    tcp: TcpStream,
    timers: Timers<Instant>,
    /// Whether the last write left bytes that the socket did not take.
    is_full: bool,
    /// When it last took some, or there were none.
    progress: Instant,
    /// When it is given up, once it is over.
    grace: Option<Instant>,
    /// Whether the stream has ended.
    has_ended: bool,
}

impl Peer {
    fn new(tcp: TcpStream, ws: Connection, backlog: Output, now: Instant, timeouts: Timeouts<Duration>) -> Self {
        // A socket that is gone already says so when it is read.
        let _ = tcp.set_nodelay(true);
        let timers = Timers::new(now, timeouts);
        Self { ws, backlog, tcp, timers, is_full: false, progress: now, grace: None, has_ended: false }
    }

    /// The socket is ready, or it is time. Leaves nothing in the output, which is the next peer's. Returns when to have
    /// the next turn at the latest. `None`: it is over, `handle` has had `Event::Closed`, and the socket is to be
    /// dropped.
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
                // An error is an end of the stream like any other.
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
            // However it ended, the application hears of it.
            while let Some(event) = self.ws.receive_eof() {
                handle(event, &mut self.ws, &mut self.backlog);
            }
        }
        next
    }

    fn may_read(&self) -> bool {
        // Were both ends to stop reading, each would wait for the other. So a client never does.
        let has_room = self.ws.role() == Role::Client || self.backlog.len() < MAX_BACKLOG;
        !self.has_ended && (has_room || self.ws.is_closed())
    }

    /// Writes the backlog, and then the output, as far as the socket takes them. What it does not take is the backlog.
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
            // What the peer said last may still be unread: the next read tells, and then that the stream has ended.
            self.backlog = Output::new();
        }
        self.is_full = !self.backlog.is_empty();
        if !self.is_full {
            // A drained output keeps its buffer; a new one has none.
            self.backlog = Output::new();
        }
        if has_taken && was_full {
            // It has room again only because the peer took something: the peer is alive.
            self.timers.note_activity(now);
            self.grace = self.grace.map(|_| now + GRACE);
        }
        if has_taken || !was_full {
            self.progress = now;
        }
    }

    /// When to have the next turn at the latest; `None` if it is over.
    fn next(&mut self, now: Instant) -> Option<Instant> {
        if !self.ws.is_closed() {
            let give_up = self.progress + STALL;
            let due = self.timers.poll_timeout().filter(|due| self.backlog.is_empty() || *due < give_up);
            return (now < give_up).then_some(due.unwrap_or(give_up));
        }
        let is_written = self.backlog.is_empty();
        if is_written {
            // RFC 6455 §7.1.1: then it is read to the end. To close with input unread would reset the connection, and
            // could destroy the last bytes on their way.
            let _ = self.tcp.shutdown(Shutdown::Write);
        }
        let grace = *self.grace.get_or_insert(now + GRACE);
        (now < grace && !(is_written && self.has_ended)).then_some(grace)
    }
}
