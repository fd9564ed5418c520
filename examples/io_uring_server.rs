//! An echo server on one thread for all connections: by completion, over `io_uring`, on Linux since 5.19.
//!
//! `cargo run --release --example io_uring_server -- [ADDR] [--max-message BYTES] [--no-deflate | --context-takeover]
//! [--timeout MILLISECONDS]`
//!
//! Behaves like `mio_server`, with the same options. Where the kernel has no `io_uring`, or forbids it, it exits with
//! status 77.
//!
//! Each peer is a `Session`, which decides what is written, when to read and how much, its deadlines, and how it ends.
//! `server` has the sessions, and what remains to decide:
//! - **Buffers.** The kernel chooses a buffer of the `Ring` when bytes have arrived. So an idle connection has a read in
//!   progress, but no buffer. Reads that find no free buffer are repeated in order, before other reads.
//! - **Fairness.** A peer has at most one read in progress, and every read that is complete is handled before its peer
//!   reads again: a peer that never pauses delays others by one read. Peers with heavy messages first wait until they can
//!   read, without a buffer; then one of them reads in each round. So they delay each other, and other peers hardly.
//! - **The end.** The kernel may still use a socket whose session is over. So its place in the table, whose number names
//!   its operations, becomes free after the last one is complete.
//! - **Out of descriptors.** The server stops to accept connections and retries after a pause.
//!
//! `io_uring_server/ring.rs` owns the memory that the kernel reads and writes, until the operation is complete. All
//! unsafe code is there.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
#[path = "io_uring_server/ring.rs"]
mod ring;

/// The exit status if there is no `io_uring`.
const UNSUPPORTED: u8 = 77;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    server::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("only Linux has io_uring");
    ExitCode::from(UNSUPPORTED)
}

#[cfg(target_os = "linux")]
mod server {
    use std::collections::VecDeque;
    use std::io::{self, ErrorKind, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::process::ExitCode;
    use std::time::{Duration, Instant};

    use bytes::{Buf, Bytes};
    use slab::Slab;
    use websocket_proto::{
        Accept, Action, Alarms, Config, Connection, Deflate, Event, Input, Output, Session, SessionConfig, Timeouts,
    };

    use super::UNSUPPORTED;
    use super::ring::{Buffer, COUNT, Completion, Ring};

    const USAGE: &str = "usage: io_uring_server [ADDR] [--max-message BYTES] [--no-deflate | --context-takeover] \
        [--timeout MILLISECONDS]";

    /// Peers are heavy if they sent this many message bytes at once, which a compressed message can.
    const HEAVY: u64 = 128 << 10;
    /// The pause after a failure to accept a connection.
    const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

    pub(super) fn main() -> ExitCode {
        let Some((address, config, limits)) = parse_options() else {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        };
        let ring = match Ring::new() {
            Ok(ring) => ring,
            Err(error) => {
                eprintln!("the kernel has no io_uring (of Linux 5.19), or forbids it: {error}");
                let is_unsupported = matches!(
                    error.kind(),
                    ErrorKind::Unsupported | ErrorKind::PermissionDenied | ErrorKind::InvalidInput
                );
                return if is_unsupported { ExitCode::from(UNSUPPORTED) } else { ExitCode::FAILURE };
            }
        };
        let Err(error) = Server::bind(&address, config, limits, ring).and_then(|mut server| server.run());
        eprintln!("cannot serve on {address}: {error}");
        ExitCode::FAILURE
    }

    struct Server {
        config: Config,
        limits: SessionConfig<Duration>,
        ring: Ring,
        listener: TcpListener,
        /// When to accept connections again, after a failure.
        accept_at: Option<Instant>,
        /// Whether the last attempt to accept one failed.
        is_full: bool,
        /// A peer's key names its operations.
        peers: Slab<Entry>,
        /// The peers whose reads found no free buffer.
        starved: VecDeque<usize>,
        /// The heavy peers whose sockets can be read. One of them reads in each round.
        heavy: VecDeque<usize>,
        /// When to give a peer a turn, by its key.
        alarms: Alarms<usize, Instant>,
        /// The time for all turns of this round.
        now: Instant,
        /// Shared by all peers. Empty after every turn.
        output: Output,
    }

    /// The event loop.
    impl Server {
        fn bind(address: &str, config: Config, limits: SessionConfig<Duration>, ring: Ring) -> io::Result<Self> {
            Ok(Self {
                config,
                limits,
                ring,
                listener: TcpListener::bind(address)?,
                accept_at: None,
                is_full: false,
                peers: Slab::new(),
                starved: VecDeque::new(),
                heavy: VecDeque::new(),
                alarms: Alarms::new(),
                now: Instant::now(),
                output: Output::new(),
            })
        }

        fn run(&mut self) -> io::Result<std::convert::Infallible> {
            let _ = writeln!(io::stdout(), "listening on ws://{}/", self.listener.local_addr()?);
            self.ring.accept(&self.listener);
            loop {
                let mut count = self.ring.wait(self.time_to_wait())?;
                self.now = Instant::now();
                let now = self.now;
                if self.alarms.next().is_some_and(|at| at <= now) {
                    // Bytes that have arrived are read before the deadlines are checked: the wait may have ended by
                    // its time alone.
                    count = self.ring.wait(Some(Duration::ZERO))?;
                }
                if self.accept_at.is_some_and(|at| at <= now) {
                    self.accept_at = None;
                    self.ring.accept(&self.listener);
                }
                for at in 0..=COUNT {
                    let waiting = if at == 0 { &mut self.heavy } else { &mut self.starved };
                    if let Some(key) = waiting.pop_front() {
                        self.read(key);
                    }
                }
                // No more than there are now: alarms and starved peers have their turns between them.
                for _ in 0..count {
                    let Some(completion) = self.ring.next() else { break };
                    self.complete(completion);
                }
                while let Some(key) = self.alarms.pop(now) {
                    // If its bytes wait to be read, its turn comes afterwards.
                    if self.peers[key].reading != Reading::Queued {
                        self.turn(key);
                    }
                }
            }
        }

        /// The time until the next alarm or attempt to accept, if nothing completes.
        fn time_to_wait(&self) -> Option<Duration> {
            if !self.starved.is_empty() || !self.heavy.is_empty() {
                return Some(Duration::ZERO);
            }
            let next = self.alarms.next().into_iter().chain(self.accept_at).min()?;
            Some(next.saturating_duration_since(Instant::now()))
        }

        fn complete(&mut self, completion: Completion) {
            match completion {
                Completion::Accepted { result: Ok(tcp), is_last } => {
                    self.is_full = false;
                    self.welcome(tcp);
                    if is_last {
                        self.ring.accept(&self.listener);
                    }
                }
                Completion::Accepted { result: Err(error), .. } => {
                    // Linux reports it again after each pause, even if no connection waits.
                    if !std::mem::replace(&mut self.is_full, true) {
                        // The standard error stream may be closed.
                        let _ = writeln!(io::stderr(), "cannot accept connections: {error}");
                    }
                    // Out of file descriptors: some will become free.
                    self.accept_at = Some(Instant::now() + ACCEPT_PAUSE);
                }
                Completion::Read { key, result, mut buffer } => {
                    self.has_read(key, result, buffer.as_mut());
                    if let Some(buffer) = buffer {
                        self.ring.provide(buffer);
                    }
                }
                Completion::Readable { key } => {
                    self.peers[key].reading = Reading::Queued;
                    self.heavy.push_back(key);
                }
                Completion::Written { key, result, chunk } => self.has_written(key, result, chunk),
            }
        }

        fn welcome(&mut self, tcp: TcpStream) {
            // This fails if the peer is gone, which its first read finds out.
            let _ = tcp.set_nodelay(true);
            let session = Session::new(self.now, Connection::server(self.config.clone()), self.limits);
            let (peer, reading) = (Peer { tcp, session }, Reading::Paused);
            let entry = Entry { peer, reading, read: 0, is_writing: false, is_heavy: false, is_over: false };
            let key = self.peers.insert(entry);
            self.turn(key);
        }

        /// Reads for a peer that has waited for it.
        fn read(&mut self, key: usize) {
            let Entry { peer, reading, read, is_over, .. } = &mut self.peers[key];
            if *is_over {
                *reading = Reading::Paused;
                return self.turn(key);
            }
            *reading = Reading::Started;
            self.ring.read(key, &peer.tcp, *read);
        }

        fn has_read(&mut self, key: usize, result: io::Result<usize>, buffer: Option<&mut Buffer>) {
            let entry = &mut self.peers[key];
            match &result {
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    entry.reading = Reading::Queued;
                    return self.starved.push_back(key);
                }
                Err(error) if is_temporary(error) => {}
                _ if entry.is_over => {}
                _ => {
                    // A failed read is the end of the stream.
                    let read = buffer.map_or(&mut [][..], |buffer| &mut buffer.bytes[..result.unwrap_or(0)]);
                    let before = entry.peer.session.connection().counters().received;
                    entry.peer.receive(read, &mut self.output);
                    let after = entry.peer.session.connection().counters().received;
                    let is_heavy = after.message_bytes - before.message_bytes >= HEAVY;
                    // A part of a message says nothing about the next read.
                    if is_heavy || after.messages > before.messages {
                        entry.is_heavy = is_heavy;
                    }
                }
            }
            entry.reading = Reading::Paused;
            self.turn(key);
        }

        fn has_written(&mut self, key: usize, mut result: io::Result<usize>, mut chunk: Bytes) {
            let entry = &mut self.peers[key];
            if result.as_ref().is_err_and(is_temporary) {
                result = Ok(0);
            }
            entry.peer.written(result.ok(), &mut chunk);
            // A short write: the rest is next.
            entry.is_writing = !chunk.is_empty() && !entry.is_over;
            if entry.is_writing {
                self.ring.write(key, &entry.peer.tcp, chunk);
            }
            // After what it has read in this round.
            self.alarms.set(key, Some(self.now));
        }

        /// Gives a peer its turn, and starts what it waits for.
        fn turn(&mut self, key: usize) {
            let Entry { peer, reading, read, is_writing, is_heavy, is_over } = &mut self.peers[key];
            let turn = if *is_over { None } else { peer.turn(self.now, &mut self.output) };
            if let Some((most, deadline)) = turn {
                self.alarms.set(key, deadline);
                if most > 0 && *reading == Reading::Paused {
                    *read = most;
                    *reading = Reading::Started;
                    if *is_heavy {
                        self.ring.await_bytes(key, &peer.tcp);
                    } else {
                        self.ring.read(key, &peer.tcp, most);
                    }
                }
                // Also a write that the session has given up is in progress until it is complete.
                let chunk = if *is_writing { Bytes::new() } else { peer.session.take_chunk() };
                if !chunk.is_empty() {
                    *is_writing = true;
                    self.ring.write(key, &peer.tcp, chunk);
                }
                return;
            }
            if !std::mem::replace(is_over, true) {
                // Completes what is in progress. It fails if the peer is gone, which completes it, too.
                let _ = peer.tcp.shutdown(Shutdown::Both);
            }
            if *reading == Reading::Paused && !*is_writing {
                self.alarms.remove(&key);
                self.peers.remove(key);
            }
        }
    }

    /// A peer, and its state in the event loop.
    struct Entry {
        peer: Peer,
        reading: Reading,
        /// The most bytes of the read.
        read: usize,
        is_writing: bool,
        /// Whether its last message was much work.
        is_heavy: bool,
        is_over: bool,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Reading {
        /// No read is in progress.
        Paused,
        /// A read, or a wait for bytes, is in progress.
        Started,
        /// The socket has bytes, and a read waits in a queue of the server.
        Queued,
    }

    /// A socket and the session on it.
    struct Peer {
        tcp: TcpStream,
        session: Session<Instant>,
    }

    impl Peer {
        fn receive(&mut self, read: &mut [u8], output: &mut Output) {
            let mut input = Input::from_read(read);
            while let Some(event) = self.session.receive(&mut input, output) {
                echo(event, self.session.connection_mut(), output);
            }
        }

        /// Leaves the rest of the chunk, for the next write.
        fn written(&mut self, result: Option<usize>, chunk: &mut Bytes) {
            if let Some(n) = result {
                chunk.advance(n);
                self.session.wrote(Instant::now(), n);
            } else {
                chunk.clear();
                self.session.write_failed();
            }
        }

        /// Returns the most bytes to read and the deadline for the next turn, or `None` if the session is over. Leaves
        /// the output empty.
        fn turn(&mut self, now: Instant, output: &mut Output) -> Option<(usize, Option<Instant>)> {
            loop {
                match self.session.poll_queued(now, output) {
                    Action::Event(event) => echo(event, self.session.connection_mut(), output),
                    Action::ShutDown => self.tcp.shutdown(Shutdown::Write).unwrap_or_default(),
                    Action::Wait { read, deadline, .. } => return Some((read, deadline)),
                    _ => return None,
                }
            }
        }
    }

    fn is_temporary(error: &io::Error) -> bool {
        matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock)
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
        let limits = SessionConfig::new().timeouts(timeouts);
        Some((address.unwrap_or_else(|| "127.0.0.1:9001".into()), config, limits))
    }
}
