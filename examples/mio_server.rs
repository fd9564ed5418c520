//! An echo server on one thread for all connections: an event loop over mio (epoll, kqueue, IOCP).
//!
//! `cargo run --release --example mio_server -- [ADDR] [--max-message BYTES] [--no-deflate | --context-takeover]
//! [--timeout MILLISECONDS]`
//!
//! Behaves like `echo_server`, with the same options, but compresses without context takeover, so that all connections
//! share a compressor; `--context-takeover` gives each its own compressor and decompressor. `--timeout` replaces every
//! default of `Timeouts`. The rules of such a loop:
//! - **Memory.** All peers share one read buffer and one `Output`, with its compressor. Only bytes that a socket does
//!   not accept at once go into its peer's backlog, which is freed once it is written. So an idle connection is an
//!   entry in the table, without heap except for the name of a subprotocol.
//! - **Backpressure.** While `MAX_BACKLOG` bytes or more wait for a peer, the server does not read from it.
//! - **Fairness.** A turn ends after `QUANTUM` bytes of work; `Turns` decides which peer has the next one. After
//!   `SLICE` the loop checks sockets, listener and alarms again, even if peers still wait for a turn.
//! - **Time.** A message postpones its peer's deadline but leaves the alarm. The alarm then goes off early, finds
//!   nothing due, and is set again.
//! - **The end.** When a connection is over and everything is written, the server shuts its sending side down and reads
//!   until the peer closes too or its grace is over (RFC 6455 §7.1.1). Closing a socket with unread input would reset
//!   the connection, and could destroy the Close frame in flight.
//! - **Out of descriptors.** The system does not report waiting connections again, so the server retries after a pause.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use websocket_proto::{Accept, Config, Connection, Counters, Deflate, Event, Input, Output, State, Timeouts, Timers};

const USAGE: &str = "usage: mio_server [ADDR] [--max-message BYTES] [--no-deflate | --context-takeover] \
    [--timeout MILLISECONDS]";

const LISTENER: Token = Token(usize::MAX);
const READ_SIZE: usize = 64 << 10;
/// The same where messages may be compressed: a byte may become a thousand.
const READ_SIZE_COMPRESSED: usize = 1 << 10;
/// A peer's turn ends after this much work, in bytes. It counts as at least `QUANTUM` and at most `MOST`.
const QUANTUM: u64 = 64 << 10;
const MOST: u64 = 128 * QUANTUM;
/// The work of compressing or decompressing a byte, in bytes read or written.
const DEFLATE_WORK: u64 = 16;
const SLICE: Duration = Duration::from_millis(1);
/// The limit on connections accepted before peers have turns again, and the pause after a failure to accept one.
const ACCEPTS: usize = 64;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const MAX_BACKLOG: usize = 256 << 10;
/// Once a connection is over: the longest time in which the peer reads none of the waiting bytes, and then the time in
/// which it must close its side.
const GRACE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let Some((address, config, timeouts)) = parse_options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let Err(error) = Server::bind(&address, config, timeouts).and_then(|mut server| server.run());
    eprintln!("cannot serve on {address}: {error}");
    ExitCode::FAILURE
}

struct Server {
    config: Config,
    timeouts: Timeouts<Duration>,
    poll: Poll,
    listener: TcpListener,
    /// When to accept connections, if some may be waiting.
    accept_at: Option<Instant>,
    /// A peer's key is its token.
    peers: Slab<Entry>,
    turns: Turns,
    /// The times at which to check a peer's deadline.
    alarms: BTreeSet<(Instant, usize)>,
    /// Shared by all peers. The output is empty after every turn.
    buffer: Vec<u8>,
    output: Output,
}

/// A peer, and its state in the event loop.
struct Entry {
    peer: Peer,
    /// The work of its last turn; `None` until it has sent a message, or had a whole turn.
    cost: Option<u64>,
    is_waiting: bool,
    alarm: Option<Instant>,
}

/// The event loop.
impl Server {
    fn bind(address: &str, config: Config, timeouts: Timeouts<Duration>) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let mut server = Self {
            config,
            timeouts,
            poll: Poll::new()?,
            listener: TcpListener::from_std(listener),
            accept_at: None,
            peers: Slab::new(),
            turns: Turns::default(),
            alarms: BTreeSet::new(),
            buffer: vec![0; READ_SIZE],
            output: Output::new(),
        };
        server.poll.registry().register(&mut server.listener, LISTENER, Interest::READABLE)?;
        Ok(server)
    }

    fn run(&mut self) -> io::Result<std::convert::Infallible> {
        let _ = writeln!(io::stdout(), "listening on ws://{}/", self.listener.local_addr()?);
        let mut events = Events::with_capacity(1024);
        loop {
            match self.poll.poll(&mut events, self.time_to_wait()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            let start = Instant::now();
            for event in &events {
                let Token(key) = event.token();
                if let Some(entry) = self.peers.get_mut(key) {
                    // mio reports readiness once; it lasts until the socket would block.
                    entry.peer.is_readable |= event.is_readable();
                    let cost = entry.cost;
                    self.enqueue(key, cost);
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
            while let Some(&(at, key)) = self.alarms.first()
                && at <= start
            {
                self.alarms.pop_first();
                self.peers[key].alarm = None;
                self.enqueue(key, Some(0));
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
        let alarm = self.alarms.first().map(|(at, _)| *at);
        let next = alarm.into_iter().chain(self.accept_at).min()?;
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
            let peer = Peer {
                tcp,
                ws: Connection::server(self.config.clone()),
                timers: Timers::new(Instant::now(), self.timeouts),
                backlog: Output::new(),
                // The request often comes with the connection.
                is_readable: true,
                has_ended: false,
                grace: None,
                work: 0,
            };
            entry.insert(Entry { peer, cost: None, is_waiting: false, alarm: None });
            self.enqueue(key, None);
        }
        Ok(())
    }

    fn enqueue(&mut self, key: usize, cost: Option<u64>) {
        if !std::mem::replace(&mut self.peers[key].is_waiting, true) {
            self.turns.add(key, cost);
        }
    }

    /// Gives a peer its turn; returns the time at its end.
    fn turn(&mut self, key: usize, now: Instant) -> Instant {
        let Entry { peer, cost, is_waiting, alarm } = &mut self.peers[key];
        *is_waiting = false;
        let (expected, before) = (*cost, peer.work);
        let stays = peer.turn(now, &mut self.buffer, &mut self.output).unwrap_or(false);
        let (work, end) = (peer.work - before, Instant::now());
        let counted = work.clamp(QUANTUM, MOST);
        // A turn without any work says nothing about the next one.
        if work >= QUANTUM || (work > 0 && peer.ws.counters().received.messages > 0) {
            *cost = Some(counted);
        }
        self.turns.count(counted, expected);
        if !stays {
            self.remove(key);
            return end;
        }
        if peer.may_read() {
            *is_waiting = true;
            self.turns.add(key, *cost);
        }
        // There is at most one alarm for a peer, and none later than its deadline.
        if let Some(due) = peer.due()
            && alarm.is_none_or(|alarm| due < alarm)
        {
            if let Some(alarm) = alarm.replace(due) {
                self.alarms.remove(&(alarm, key));
            }
            self.alarms.insert((due, key));
        }
        end
    }

    fn remove(&mut self, key: usize) {
        let Entry { mut peer, alarm, .. } = self.peers.remove(key);
        if let Some(alarm) = alarm {
            self.alarms.remove(&(alarm, key));
        }
        let _ = self.poll.registry().deregister(&mut peer.tcp);
        // The application receives the last events, however the connection ended.
        while let Some(event) = peer.ws.receive_eof() {
            echo(event, &mut peer.ws, &mut Output::new());
        }
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
    /// The queue for a peer whose last turn had this cost, or for a newcomer.
    fn queue_index(cost: Option<u64>) -> usize {
        cost.map_or(0, |cost| 1 + (cost / QUANTUM).max(1).ilog2() as usize)
    }

    fn len(&self) -> usize {
        self.queues.iter().map(|queue| queue.peers.len()).sum()
    }

    fn add(&mut self, key: usize, cost: Option<u64>) {
        let queue = &mut self.queues[Self::queue_index(cost)];
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

    /// Adds the work of a finished turn to its queue's share; `cost` is the one with which the peer was added.
    fn count(&mut self, work: u64, cost: Option<u64>) {
        let others = self.len() - self.queues[0].peers.len();
        let queue = &mut self.queues[Self::queue_index(cost)];
        let peers = if cost.is_some() { 1 + queue.peers.len() } else { others.max(1) };
        queue.share += work / peers as u64;
    }
}

/// A socket and the connection on it.
struct Peer {
    tcp: TcpStream,
    ws: Connection,
    timers: Timers<Instant>,
    /// Bytes that the socket did not accept.
    backlog: Output,
    /// Whether the socket may have input.
    is_readable: bool,
    /// Whether the peer has closed its side.
    has_ended: bool,
    /// When its grace ends, once the connection is over.
    grace: Option<Instant>,
    /// The bytes read and written, and `DEFLATE_WORK` for each byte that was compressed or decompressed.
    work: u64,
}

impl Peer {
    /// Writes, reads, answers, and checks the deadlines; returns whether the peer stays. Leaves the output empty.
    fn turn(&mut self, now: Instant, buffer: &mut [u8], output: &mut Output) -> io::Result<bool> {
        self.write(now, output)?;
        let enough = self.work + QUANTUM;
        while self.may_read() && self.work < enough {
            let n = match self.tcp.read(&mut buffer[..self.read_size()]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_readable = false;
                    break;
                }
                // A reset counts as the end of the stream.
                read => read.unwrap_or(0),
            };
            self.has_ended = n == 0;
            let deflated = self.deflated();
            let mut input = Input::new(&mut buffer[..n]);
            while let Some(event) = if n == 0 { self.ws.receive_eof() } else { self.ws.receive(&mut input, output) } {
                echo(event, &mut self.ws, output);
            }
            self.work += n as u64 + DEFLATE_WORK * (self.deflated() - deflated);
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

    /// Writes the backlog and then the output, until the socket is full. The rest becomes the backlog.
    fn write(&mut self, now: Instant, output: &mut Output) -> io::Result<()> {
        let was_full = !self.backlog.is_empty();
        if was_full {
            self.backlog.append(output);
        }
        let written = if was_full { &mut self.backlog } else { &mut *output }.write_to(&mut self.tcp);
        if !output.is_empty() {
            // After an error, too: the next peer's output must be empty. The buffer moves, not the bytes.
            self.backlog.append(output);
        }
        if self.backlog.is_empty() {
            // Frees its memory.
            self.backlog = Output::new();
        }
        let n = match written {
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            written => written?,
        };
        self.work += n as u64;
        if was_full && n > 0 {
            // A full socket has room again only if the peer read something: it is alive, even if the server does not
            // read from it.
            self.timers.note_activity(now);
            self.grace = self.grace.map(|_| now + GRACE);
        }
        Ok(())
    }

    fn may_read(&self) -> bool {
        self.is_readable && !self.has_ended && self.backlog.len() < MAX_BACKLOG
    }

    /// The handshake may end with compression, and messages may follow it in the same read.
    fn read_size(&self) -> usize {
        let may_be_compressed = self.ws.state() == State::Connecting || self.ws.uses_deflate();
        if may_be_compressed { READ_SIZE_COMPRESSED } else { READ_SIZE }
    }

    /// The number of message bytes that were compressed or decompressed.
    fn deflated(&self) -> u64 {
        let Counters { received, sent, .. } = self.ws.counters();
        if self.ws.uses_deflate() { received.message_bytes + sent.message_bytes } else { 0 }
    }

    fn due(&self) -> Option<Instant> {
        self.grace.or(self.timers.poll_timeout())
    }
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

/// The address, the configuration and the timeouts.
fn parse_options() -> Option<(String, Config, Timeouts<Duration>)> {
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
    Some((address.unwrap_or_else(|| "127.0.0.1:9001".into()), config, timeouts))
}
