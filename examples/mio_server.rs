//! An echo server on one thread for all connections: an event loop over mio (epoll, kqueue, IOCP).
//!
//! `cargo run --release --example mio_server -- [ADDR] [--max-message BYTES] [--no-deflate | --context-takeover]
//! [--timeout MILLISECONDS]`
//!
//! Behaves like `echo_server`, with the same options, but compresses without context takeover, so that all connections
//! share a compressor; `--context-takeover` gives each its own compressor and decompressor. `--timeout` replaces every
//! default of `Timeouts`.
//!
//! Each peer is a `Session`, which decides what is written, when to read and how much, its deadlines, and how it ends.
//! The loop decides the rest:
//! - **Memory.** All peers share one read buffer and one `Output`, with its compressor. So an idle connection is an
//!   entry in the table, without heap except for the name of a subprotocol.
//! - **Fairness.** A turn ends after `QUANTUM` bytes of work; `Turns` decides which peer has the next one. After
//!   `SLICE` the loop checks sockets, listener and alarms again, even if peers still wait for a turn.
//! - **Time.** A message postpones its peer's deadline but leaves the alarm. The alarm then goes off early, finds
//!   nothing due, and is set again.
//! - **Out of descriptors.** The system does not report waiting connections again, so the server retries after a pause.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::ops::ControlFlow::{self, Break, Continue};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use websocket_proto::{
    Accept, Action, Alarms, Config, Connection, Counters, Deflate, Event, Input, Output, Session, SessionConfig,
    Timeouts,
};

const USAGE: &str = "usage: mio_server [ADDR] [--max-message BYTES] [--no-deflate | --context-takeover] \
    [--timeout MILLISECONDS]";

const LISTENER: Token = Token(usize::MAX);
/// The longest read that a session asks for.
const READ_SIZE: usize = 256 << 10;
/// A peer's turn ends after this much work, in bytes. It counts as at least `QUANTUM` and at most `MOST`.
const QUANTUM: u64 = 64 << 10;
const MOST: u64 = 128 * QUANTUM;
/// The work of compressing or decompressing a byte, in bytes read or written.
const DEFLATE_WORK: u64 = 16;
const SLICE: Duration = Duration::from_millis(1);
/// The limit on connections accepted before peers have turns again, and the pause after a failure to accept one.
const ACCEPTS: usize = 64;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let Some((address, config, limits)) = parse_options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let Err(error) = Server::bind(&address, config, limits).and_then(|mut server| server.run());
    eprintln!("cannot serve on {address}: {error}");
    ExitCode::FAILURE
}

struct Server {
    config: Config,
    limits: SessionConfig<Duration>,
    poll: Poll,
    listener: TcpListener,
    /// When to accept connections, if some may be waiting.
    accept_at: Option<Instant>,
    /// A peer's key is its token.
    peers: Slab<Entry>,
    turns: Turns,
    /// When to give a peer a turn, by its key.
    alarms: Alarms<usize, Instant>,
    /// Shared by all peers. The output is empty after every turn.
    buffer: Vec<u8>,
    output: Output,
}

/// A peer, and its state in the event loop.
struct Entry {
    peer: Peer,
    /// The queue for its next turn.
    queue: u8,
    is_waiting: bool,
}

/// The event loop.
impl Server {
    fn bind(address: &str, config: Config, limits: SessionConfig<Duration>) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let mut server = Self {
            config,
            limits,
            poll: Poll::new()?,
            listener: TcpListener::from_std(listener),
            accept_at: None,
            peers: Slab::new(),
            turns: Turns::default(),
            alarms: Alarms::new(),
            buffer: vec![0; READ_SIZE],
            output: Output::new(),
        };
        server.poll.registry().register(&mut server.listener, LISTENER, Interest::READABLE)?;
        Ok(server)
    }

    fn run(&mut self) -> io::Result<std::convert::Infallible> {
        let _ = writeln!(io::stdout(), "listening on ws://{}/", self.listener.local_addr()?);
        // For all sockets that may be ready at once: an alarm is for a peer whose socket is not.
        let mut events = Events::with_capacity(1 << 16);
        loop {
            match self.poll.poll(&mut events, self.time_to_wait()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            let start = Instant::now();
            for event in &events {
                let Token(key) = event.token();
                if let Some(entry) = self.peers.get_mut(key) {
                    // mio reports readiness once; it lasts until the socket is empty.
                    entry.peer.is_readable |= event.is_readable();
                    entry.peer.has_ended |= event.is_read_closed() || event.is_error();
                    let queue = entry.queue;
                    self.enqueue(key, queue);
                } else {
                    self.accept_at.get_or_insert(start);
                }
            }
            if self.accept_at.is_some_and(|at| at <= start)
                && let Err(error) = self.accept()
            {
                self.accept_at = (error.kind() != ErrorKind::WouldBlock).then(|| {
                    // The standard error stream may be closed.
                    let _ = writeln!(io::stderr(), "cannot accept a connection: {error}");
                    // Out of file descriptors: some will become free.
                    start + ACCEPT_PAUSE
                });
            }
            while let Some(key) = self.alarms.pop(start) {
                self.enqueue(key, Turns::LIGHT);
            }
            let mut now = start;
            while now < start + SLICE
                && let Some(key) = self.turns.next()
            {
                now = self.turn(key, now);
            }
        }
    }

    /// The time until the next alarm or attempt to accept, if no event comes.
    fn time_to_wait(&self) -> Option<Duration> {
        if self.turns.len() > 0 {
            return Some(Duration::ZERO);
        }
        let next = self.alarms.next().into_iter().chain(self.accept_at).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// Accepts connections, until it is the peers' turn again.
    fn accept(&mut self) -> io::Result<()> {
        for _ in 0..ACCEPTS {
            let (mut tcp, _) = self.listener.accept()?;
            // This fails if the peer is gone, which its first turn finds out.
            let _ = tcp.set_nodelay(true);
            let entry = self.peers.vacant_entry();
            let key = entry.key();
            self.poll.registry().register(&mut tcp, Token(key), Interest::READABLE | Interest::WRITABLE)?;
            let session = Session::new(Instant::now(), Connection::server(self.config.clone()), self.limits);
            // The request often comes with the connection.
            let peer = Peer { tcp, session, read: 0, is_readable: true, has_ended: false, work: 0 };
            entry.insert(Entry { peer, queue: Turns::NEWCOMERS, is_waiting: false });
            self.enqueue(key, Turns::NEWCOMERS);
        }
        Ok(())
    }

    fn enqueue(&mut self, key: usize, queue: u8) {
        if !std::mem::replace(&mut self.peers[key].is_waiting, true) {
            self.turns.add(key, queue);
        }
    }

    /// Gives a peer its turn; returns the time at its end.
    fn turn(&mut self, key: usize, now: Instant) -> Instant {
        let Entry { peer, queue, is_waiting } = &mut self.peers[key];
        *is_waiting = false;
        let (expected, before) = (*queue, peer.work);
        let turn = peer.turn(now, &mut self.buffer, &mut self.output);
        let (work, end) = (peer.work - before, Instant::now());
        let counted = work.clamp(QUANTUM, MOST);
        // A turn without any work says nothing about the next one.
        if work >= QUANTUM || (work > 0 && peer.session.connection().counters().received.messages > 0) {
            *queue = Turns::queue(counted);
        }
        self.turns.count(counted, expected);
        if let Continue(deadline) = turn {
            if peer.may_read() {
                *is_waiting = true;
                self.turns.add(key, *queue);
            }
            self.alarms.set(key, deadline);
        } else {
            self.alarms.remove(&key);
            let _ = self.poll.registry().deregister(&mut self.peers.remove(key).peer.tcp);
        }
        end
    }
}

/// Decides which waiting peer has the next turn, so that each gets an equal share of the work.
///
/// The work of a peer's last turn predicts that of its next one. Each queue has the peers whose turns cost about the
/// same, and the next turn goes to the queue whose peers have had the least work each. So peers with heavy messages
/// delay each other, and other peers hardly longer than the current turn.
///
/// Newcomers are peers that have not sent a message yet. Their number and their next turn are unpredictable, so they
/// have their own queue, which gets up to half of all work.
#[derive(Default)]
struct Turns {
    /// The newcomers, then the other peers by the cost of their last turn in units of `QUANTUM`: 1, 2 to 3, 4 to 7, …
    /// 128.
    queues: [Queue; 9],
    /// The share of the queue that had the last turn. A queue that was empty starts there: a pause saves up no work.
    share: u64,
}

#[derive(Default)]
struct Queue {
    peers: VecDeque<usize>,
    /// The work that each of its peers has had.
    share: u64,
}

impl Turns {
    const NEWCOMERS: u8 = 0;
    const LIGHT: u8 = 1;

    /// The queue for a peer whose last turn had this much work.
    fn queue(work: u64) -> u8 {
        Self::LIGHT + (work / QUANTUM).max(1).ilog2() as u8
    }

    fn len(&self) -> usize {
        self.queues.iter().map(|queue| queue.peers.len()).sum()
    }

    fn add(&mut self, key: usize, queue: u8) {
        let queue = &mut self.queues[usize::from(queue)];
        if queue.peers.is_empty() {
            queue.share = queue.share.max(self.share);
        }
        queue.peers.push_back(key);
    }

    fn next(&mut self) -> Option<usize> {
        let waiting = self.queues.iter_mut().filter(|queue| !queue.peers.is_empty());
        let queue = waiting.min_by_key(|queue| queue.share)?;
        self.share = queue.share;
        queue.peers.pop_front()
    }

    /// Adds the work of a finished turn to its queue's share.
    fn count(&mut self, work: u64, queue: u8) {
        let others = self.len() - self.queues[0].peers.len();
        let is_newcomer = queue == Self::NEWCOMERS;
        let queue = &mut self.queues[usize::from(queue)];
        let peers = if is_newcomer { others.max(1) } else { 1 + queue.peers.len() };
        queue.share += work / peers as u64;
    }
}

/// A socket and the session on it.
struct Peer {
    tcp: TcpStream,
    session: Session<Instant>,
    /// The most bytes to read, and whether the socket may have some.
    read: usize,
    is_readable: bool,
    /// Whether the end of the stream has arrived: mio does not report it again.
    has_ended: bool,
    /// The bytes read and sent, and `DEFLATE_WORK` for each byte that was compressed or decompressed.
    work: u64,
}

impl Peer {
    /// Writes, reads and answers, until the socket has no input or the turn has done enough work. Returns the deadline
    /// for the next turn, or `Break` if the session is over. Leaves the output empty.
    fn turn(&mut self, now: Instant, buffer: &mut [u8], output: &mut Output) -> ControlFlow<(), Option<Instant>> {
        let enough = self.work + QUANTUM;
        loop {
            if self.may_read() {
                // Bytes that have arrived are read before the deadlines are checked.
                self.read(buffer, output);
            }
            // Not `poll`: with `writev`, the kernel would copy and check a list of slices also if there is only one.
            match self.session.poll_writer(now, output, &mut self.tcp) {
                Action::Event(event) => echo(event, self.session.connection_mut(), output),
                Action::ShutDown => self.tcp.shutdown(Shutdown::Write).unwrap_or_default(),
                Action::Wait { read, deadline, .. } => {
                    self.read = read;
                    if !self.may_read() || self.work >= enough {
                        return Continue(deadline);
                    }
                }
                _ => return Break(()),
            }
        }
    }

    fn may_read(&self) -> bool {
        self.is_readable && self.read > 0
    }

    fn read(&mut self, buffer: &mut [u8], output: &mut Output) {
        let n = match self.tcp.read(&mut buffer[..self.read]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return self.is_readable = false,
            read => read.unwrap_or(0),
        };
        // On Linux, a short read has emptied the socket (or met urgent data, which no WebSocket peer sends). Elsewhere, and
        // before the end of the stream, only the next read tells.
        self.is_readable = n == self.read || self.has_ended || cfg!(not(target_os = "linux"));
        let before = produced(self.session.connection());
        let mut input = Input::from_read(&mut buffer[..n]);
        while let Some(event) = self.session.receive(&mut input, output) {
            echo(event, self.session.connection_mut(), output);
        }
        // A pong that replaces another one may be shorter.
        self.work += n as u64 + produced(self.session.connection()).saturating_sub(before);
    }
}

/// The bytes that were sent, and `DEFLATE_WORK` for each byte that was compressed or decompressed.
fn produced(ws: &Connection) -> u64 {
    let Counters { received, sent, .. } = ws.counters();
    let deflated = if ws.uses_deflate() { received.message_bytes + sent.message_bytes } else { 0 };
    sent.wire_bytes + DEFLATE_WORK * deflated
}

fn echo(event: Event<'_>, ws: &mut Connection, output: &mut Output) {
    // While the connection is closing, a message cannot be sent and is dropped.
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

/// The address, the configuration, and the limits of a session.
fn parse_options() -> Option<(String, Config, SessionConfig<Duration>)> {
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
                timeouts = timeouts.handshake(span).keep_alive(span, span).closing(span);
            }
            _ if argument.starts_with('-') || address.is_some() => return None,
            _ => address = Some(argument),
        }
    }
    if let Some(deflate) = deflate {
        config = config.deflate(deflate);
    }
    let limits = SessionConfig::new().timeouts(timeouts).max_read(READ_SIZE);
    Some((address.unwrap_or_else(|| "127.0.0.1:9001".into()), config, limits))
}
