//! An echo server on one thread, for any number of connections: an event loop over mio (epoll, kqueue, IOCP).
//!
//! `cargo run --release --example mio_server -- [ADDR] [--max-message BYTES] [--no-deflate | --context-takeover]
//! [--timeout MILLISECONDS]`
//!
//! Does what `echo_server` does. `--timeout` is the time for the opening, until an idle peer is pinged, for its pong,
//! and for the closing, instead of the defaults of `Timeouts`; `--context-takeover` gives each connection a compressor
//! and a decompressor of its own. What such a loop has to keep in mind:
//! - **Memory.** One read buffer and one `Output` serve everybody. Only what a socket does not take at once becomes
//!   that peer's backlog, which is freed when it is written. So an idle connection is its entry in the table, and no
//!   heap but for the name of a subprotocol; compression, which is shared through the `Output`, adds nothing to it.
//! - **Backpressure.** While more than `MAX_BACKLOG` waits for a peer, nothing is read from it: TCP tells it to wait.
//! - **Fairness.** Readiness is told once, and holds until the socket would block. So it is noted with the peer, and
//!   who can go on queues up again behind the others, after a few reads. Where messages are compressed, a byte may
//!   become a thousand, to be compressed again: so reads are smaller then, and of those for whom there once was much to
//!   do, as of those of whom nothing is known yet, only one has a turn between the turns of all others. Bombs slow each
//!   other down.
//! - **Time.** The clock is read once a turn of the loop. A message moves its peer's deadline back, but not the alarm
//!   that was set for it: that goes off early, finds nothing due, and is set anew. So messages do not touch the alarms.
//! - **The end.** When a connection is over and all is written, the sending side is shut down, and what still comes is
//!   read until the peer is done too, or has had its grace (RFC 6455 §7.1.1): to close with input unread would reset
//!   the connection, and could destroy the Close frame on its way.
//! - **No more descriptors.** Who waits to be accepted is not announced again: it is tried again after a pause.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use websocket_proto::{Accept, Config, Connection, Deflate, Event, Input, Output, State, Timeouts, Timers};

const USAGE: &str = "usage: mio_server [ADDR] [--max-message BYTES] [--no-deflate | --context-takeover] \
    [--timeout MILLISECONDS]";

const LISTENER: Token = Token(usize::MAX);
const READ_SIZE: usize = 64 << 10;
/// The same where messages may be compressed.
const READ_SIZE_COMPRESSED: usize = 1 << 10;
/// More bytes of messages than this in a turn are much to do.
const MUCH: u64 = 256 << 10;
/// The kinds of peers that queue up apart.
const LIGHT: usize = 0;
const UNKNOWN: usize = 1;
const HEAVY: usize = 2;
/// How often a peer may read, and how many may be accepted, before it is the others' turn.
const READS: usize = 2;
const ACCEPTS: usize = 64;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// A peer for which this many bytes wait is not read from.
const MAX_BACKLOG: usize = 256 << 10;
/// How long a peer may take none of the bytes that still wait when it is over, and then to close its side.
const GRACE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let Some(options) = Options::parse() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let address = options.address.clone();
    match Server::bind(options) {
        Err(error) => eprintln!("cannot listen on {address}: {error}"),
        Ok(mut server) => {
            if let Ok(address) = server.listener.local_addr() {
                let _ = writeln!(io::stdout(), "listening on ws://{address}/");
            }
            let Err(error) = server.run();
            eprintln!("cannot go on: {error}");
        }
    }
    ExitCode::FAILURE
}

struct Server {
    options: Options,
    poll: Poll,
    listener: TcpListener,
    /// When to accept, if somebody may be waiting.
    accept_at: Option<Instant>,
    /// A peer's key is its token.
    peers: Slab<Peer>,
    /// Whose turn it is, by kind.
    queues: [VecDeque<usize>; 3],
    /// When which peer has a turn whatever else happens.
    alarms: BTreeSet<(Instant, usize)>,
    /// Shared by all; the output is empty whenever a peer's turn is over.
    buffer: Vec<u8>,
    output: Output,
}

/// The event loop.
impl Server {
    fn bind(options: Options) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(&options.address)?;
        listener.set_nonblocking(true)?;
        let mut server = Self {
            options,
            poll: Poll::new()?,
            listener: TcpListener::from_std(listener),
            accept_at: None,
            peers: Slab::new(),
            queues: Default::default(),
            alarms: BTreeSet::new(),
            buffer: vec![0; READ_SIZE],
            output: Output::new(),
        };
        server.poll.registry().register(&mut server.listener, LISTENER, Interest::READABLE)?;
        Ok(server)
    }

    fn run(&mut self) -> io::Result<std::convert::Infallible> {
        let mut events = Events::with_capacity(1024);
        loop {
            match self.poll.poll(&mut events, self.patience()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            let now = Instant::now();
            for event in &events {
                match event.token() {
                    LISTENER => drop(self.accept_at.get_or_insert(now)),
                    // Writable, too: whoever has a turn writes first.
                    Token(key) => self.enqueue(key, event.is_readable()),
                }
            }
            self.accept(now);
            while let Some(&(at, key)) = self.alarms.first()
                && at <= now
            {
                self.alarms.pop_first();
                self.peers[key].alarm = None;
                self.enqueue(key, false);
            }
            // Who queues up again meanwhile has waited for everybody else, and for what is new, when it is its turn.
            for (kind, turns) in [(LIGHT, self.queues[LIGHT].len()), (UNKNOWN, 1), (HEAVY, 1)] {
                for _ in 0..turns {
                    let Some(key) = self.queues[kind].pop_front() else { break };
                    self.turn(key, now);
                }
            }
        }
    }

    /// How long nothing has to be done if nothing happens.
    fn patience(&self) -> Option<Duration> {
        if self.queues.iter().any(|queue| !queue.is_empty()) {
            return Some(Duration::ZERO);
        }
        let alarm = self.alarms.first().map(|(at, _)| *at);
        let next = alarm.into_iter().chain(self.accept_at).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn accept(&mut self, now: Instant) {
        for _ in 0..ACCEPTS {
            if self.accept_at.is_none_or(|at| now < at) {
                return;
            }
            let served = self.listener.accept().and_then(|(tcp, _)| self.welcome(tcp, now));
            match served {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.accept_at = None,
                Err(error) => {
                    // Whoever started this may have closed its error stream.
                    let _ = writeln!(io::stderr(), "cannot serve a connection: {error}");
                    // Out of file descriptors: some will come back.
                    self.accept_at = Some(now + ACCEPT_PAUSE);
                }
                Ok(()) => {}
            }
        }
    }

    fn welcome(&mut self, mut tcp: TcpStream, now: Instant) -> io::Result<()> {
        // It may be gone already, which its first turn finds out.
        let _ = tcp.set_nodelay(true);
        let entry = self.peers.vacant_entry();
        let key = entry.key();
        self.poll.registry().register(&mut tcp, Token(key), Interest::READABLE | Interest::WRITABLE)?;
        entry.insert(Peer::new(tcp, &self.options, now));
        self.enqueue(key, false);
        Ok(())
    }

    fn enqueue(&mut self, key: usize, is_readable: bool) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.is_readable |= is_readable;
        if !peer.is_queued {
            peer.is_queued = true;
            self.queues[peer.kind()].push_back(key);
        }
    }

    fn turn(&mut self, key: usize, now: Instant) {
        let peer = &mut self.peers[key];
        peer.is_queued = false;
        let before = peer.ws.counters().received.message_bytes;
        let goes_on = peer.turn(now, &mut self.buffer, &mut self.output).unwrap_or(false);
        let received = peer.ws.counters().received.message_bytes - before;
        peer.work = peer.work.max((received > 0).then_some(received));
        if !goes_on {
            return self.remove(key);
        }
        if let Some(due) = peer.due()
            && peer.alarm.is_none_or(|alarm| due < alarm)
        {
            if let Some(alarm) = peer.alarm.replace(due) {
                self.alarms.remove(&(alarm, key));
            }
            self.alarms.insert((due, key));
        }
        if peer.may_read() {
            self.enqueue(key, true);
        }
    }

    fn remove(&mut self, key: usize) {
        let mut peer = self.peers.remove(key);
        if let Some(alarm) = peer.alarm {
            self.alarms.remove(&(alarm, key));
        }
        let _ = self.poll.registry().deregister(&mut peer.tcp);
        // However it ended, the application hears of it.
        while let Some(event) = peer.ws.receive_eof() {
            echo(event, &mut peer.ws, &mut Output::new());
        }
    }
}

/// A socket and the connection on it.
struct Peer {
    tcp: TcpStream,
    ws: Connection,
    timers: Timers<Instant>,
    /// What the socket did not take.
    backlog: Output,
    /// Whether a read may bring something.
    is_readable: bool,
    /// Whether the peer has closed its side.
    has_ended: bool,
    /// When its grace ends, once it is over.
    grace: Option<Instant>,
    /// Its place in one of the server's queues, and among the alarms.
    is_queued: bool,
    alarm: Option<Instant>,
    /// The most bytes of messages that a turn brought, once one did.
    work: Option<u64>,
}

impl Peer {
    fn new(tcp: TcpStream, options: &Options, now: Instant) -> Self {
        Self {
            tcp,
            ws: Connection::server(options.config.clone()),
            timers: Timers::new(now, options.timeouts),
            backlog: Output::new(),
            is_readable: false,
            has_ended: false,
            grace: None,
            is_queued: false,
            alarm: None,
            work: None,
        }
    }

    /// Writes, reads, answers, and looks at the time; returns whether it goes on. Leaves nothing in the output.
    fn turn(&mut self, now: Instant, buffer: &mut [u8], output: &mut Output) -> io::Result<bool> {
        self.write(now, output)?;
        for _ in 0..READS {
            if !self.may_read() {
                break;
            }
            let n = match self.tcp.read(&mut buffer[..self.read_size()]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_readable = false;
                    break;
                }
                // A reset is an end like any other.
                read => read.unwrap_or(0),
            };
            self.has_ended = n == 0;
            let mut input = Input::new(&mut buffer[..n]);
            while let Some(event) = if n == 0 { self.ws.receive_eof() } else { self.ws.receive(&mut input, output) } {
                echo(event, &mut self.ws, output);
            }
            self.write(now, output)?;
        }
        self.timers.handle_timeout(now, &mut self.ws, output);
        self.write(now, output)?;
        if !self.ws.is_closed() {
            return Ok(true);
        }
        let is_written = self.backlog.is_empty();
        if is_written && !self.has_ended {
            self.tcp.shutdown(Shutdown::Write)?;
        }
        let grace = *self.grace.get_or_insert(now + GRACE);
        Ok(now < grace && !(is_written && self.has_ended))
    }

    /// Writes the backlog, and then the output, as far as the socket takes them. What it does not take is the backlog.
    fn write(&mut self, now: Instant, output: &mut Output) -> io::Result<()> {
        let has_waited = !self.backlog.is_empty();
        if has_waited {
            self.backlog.append(output);
        }
        let written = if has_waited { &mut self.backlog } else { &mut *output }.write_to(&mut self.tcp);
        if !output.is_empty() {
            // After an error too: the next peer's turn is not to find it there. The buffer moves, not the bytes.
            self.backlog.append(output);
        }
        if self.backlog.is_empty() {
            // It would keep its memory.
            self.backlog = Output::new();
        }
        match written {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            // A peer that takes what it asked for is alive, whether or not it is read from.
            Ok(1..) if has_waited => {
                self.timers.received(now);
                self.grace = self.grace.map(|_| now + GRACE);
            }
            _ => {}
        }
        Ok(())
    }

    fn may_read(&self) -> bool {
        self.is_readable && !self.has_ended && self.backlog.len() < MAX_BACKLOG
    }

    /// An opening that is not over may end with compression, and more behind it.
    fn read_size(&self) -> usize {
        let may_be_compressed = self.ws.state() == State::Connecting || self.ws.uses_deflate();
        if may_be_compressed { READ_SIZE_COMPRESSED } else { READ_SIZE }
    }

    fn kind(&self) -> usize {
        self.work.map_or(UNKNOWN, |work| if work > MUCH { HEAVY } else { LIGHT })
    }

    fn due(&self) -> Option<Instant> {
        self.grace.or(self.timers.poll_timeout())
    }
}

fn echo(event: Event<'_>, ws: &mut Connection, output: &mut Output) {
    // A message that cannot be sent, because the connection is closing, has nowhere else to go.
    match event {
        Event::Request(request) if request.subprotocols().any(|name| name == "chat") => {
            let accepted = ws.accept_with(request, &Accept::new().subprotocol("chat"), output);
            accepted.expect("the subprotocol was offered");
        }
        Event::Request(request) => ws.accept(request, output),
        Event::Text(text) => drop(ws.send_text(&text, output)),
        Event::Binary(data) => drop(ws.send_binary(&data, output)),
        _ => {}
    }
}

struct Options {
    address: String,
    config: Config,
    timeouts: Timeouts<Duration>,
}

impl Options {
    fn parse() -> Option<Self> {
        let (mut address, mut config, mut deflate) = (None, Config::new(), Some(Deflate::new().shared()));
        let mut timeouts = Timeouts::new();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--no-deflate" => deflate = None,
                "--context-takeover" => deflate = Some(Deflate::new()),
                "--max-message" => config = config.max_message_size(arguments.next()?.parse().ok()?),
                "--timeout" => {
                    let span = Duration::from_millis(arguments.next()?.parse().ok()?);
                    timeouts = timeouts.opening(span).keep_alive(span, span).closing(span);
                }
                _ if argument.starts_with('-') || address.is_some() => return None,
                _ => address = Some(argument),
            }
        }
        if let Some(deflate) = deflate {
            config = config.deflate(deflate);
        }
        Some(Self { address: address.unwrap_or_else(|| "127.0.0.1:9001".into()), config, timeouts })
    }
}
