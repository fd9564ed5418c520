//! An echo server on tokio: one task per connection, keep-alive, and an orderly end on Ctrl-C.
//!
//! `cargo run --release --example tokio_server -- [ADDR] [--max-message BYTES] [--no-deflate] [--timeout MILLISECONDS]`
//!
//! Behaves like `echo_server`, with the same options, but compresses without context takeover, so that the tasks of a
//! thread share a compressor. Ctrl-C closes every connection with 1001; the process ends when all are over, or on the
//! second Ctrl-C. Notes on such a task:
//! - **Cancellation.** `select!` drops the futures that are not ready first. That is safe here because none of them
//!   owns data: they wait for the socket, a deadline, or the server's end. `Peer::turn` moves all bytes and never
//!   awaits, so nothing is lost between a read and its handling. (If futures do the I/O, `read` and `write_all_buf`
//!   may be dropped; `read_exact` and `write_all` lose the bytes that they have moved.) Dropping the whole task is
//!   safe, too, but the peer gets no Close.
//! - **Memory.** Each thread has one read buffer and one `Output`, which a task borrows for a turn, so an idle task has
//!   neither. Only bytes that the socket does not accept at once go into the task's own backlog, until they are
//!   written.
//! - **Backpressure.** While `MAX_BACKLOG` bytes or more wait for a peer, the task does not read from it.
//! - **Fairness.** Waiting for a socket that is already ready consumes none of tokio's task budget, and the runtime
//!   rarely polls for other sockets while a task keeps running. So a task yields after `READS` reads if there is more
//!   input; otherwise a peer that never pauses would occupy its thread. On connections with compression, reads are
//!   smaller, because the work and the echo depend on the decompressed size.
//! - **Time.** A message postpones the deadline but leaves the alarm. The alarm then goes off early, finds nothing
//!   due, and is set again. So a message costs no change of the runtime's timers.
//! - **The end.** When a connection is over and everything is written, the task shuts its sending side down and reads
//!   until the peer closes too or its grace is over (RFC 6455 §7.1.1). Closing a socket with unread input would reset
//!   the connection, and could destroy the Close frame in flight.

use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, Interest, copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::coop::consume_budget;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio::{select, signal};
use websocket_proto::{Accept, CloseCode, Config, Connection, Deflate, Event, Input, Output, State, Timeouts, Timers};

const USAGE: &str = "usage: tokio_server [ADDR] [--max-message BYTES] [--no-deflate] [--timeout MILLISECONDS]";

const READ_SIZE: usize = 64 << 10;
/// The same for a connection with compression: a byte may become a thousand.
const READ_SIZE_COMPRESSED: usize = 4 << 10;
/// The most reads in a turn.
const READS: usize = 2;
/// While this many bytes or more wait for a peer, the server does not read from it.
const MAX_BACKLOG: usize = 256 << 10;
/// A peer that reads none of the waiting bytes for this long is dropped.
const STALL: Duration = Duration::from_secs(10);
/// The same once the connection is over, and then the time in which the peer must close its side.
const GRACE: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> ExitCode {
    let Some(options) = Options::parse() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let listener = match TcpListener::bind(&options.address).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen on {}: {error}", options.address);
            return ExitCode::FAILURE;
        }
    };
    if let Ok(address) = listener.local_addr() {
        let _ = writeln!(io::stdout(), "listening on ws://{address}/");
    }
    // Created once: a signal between two of these futures would be missed.
    let mut interrupt = pin!(signal::ctrl_c());
    let (stop, stopping) = watch::channel(());
    loop {
        let accepted = select! {
            accepted = listener.accept() => accepted,
            _ = &mut interrupt => break,
        };
        match accepted {
            Ok((tcp, _)) => {
                let (mut peer, stopping) = (Peer::new(tcp, &options), stopping.clone());
                tokio::spawn(async move { serve(&mut peer, stopping).await });
            }
            Err(error) => {
                // The error stream may be closed.
                let _ = writeln!(io::stderr(), "cannot serve a connection: {error}");
                // Out of file descriptors: wait until some are free again.
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop((listener, stopping));
    stop.send_replace(());
    // Each task has a receiver and a deadline, so this ends.
    select! {
        () = stop.closed() => {}
        _ = signal::ctrl_c() => {}
    }
    ExitCode::SUCCESS
}

/// Serves a peer to its end. (By reference: by value, the task would have space for two copies.)
async fn serve(peer: &mut Peer, stopping: watch::Receiver<()>) {
    let driven = drive(peer, stopping).await;
    // The application receives the last events, however the connection ended.
    while let Some(event) = peer.ws.receive_eof() {
        echo(event, &mut peer.ws, &mut peer.backlog);
    }
    if driven.is_ok() && peer.backlog.is_empty() {
        let _ = peer.tcp.shutdown().await;
        let _ = timeout(GRACE, copy(&mut peer.tcp, &mut sink())).await;
    }
}

/// Drives the connection until it is over and everything is written. A peer that resets the connection ends only its
/// own task.
async fn drive(peer: &mut Peer, mut stopping: watch::Receiver<()>) -> io::Result<()> {
    let mut alarm = pin!(sleep_until(peer.due()));
    while peer.is_active() {
        select! {
            ready = peer.tcp.ready(peer.interest()) => drop(ready?),
            () = &mut alarm => {}
            _ = stopping.changed(), if peer.ws.state() < State::Closing => {
                peer.ws.close(CloseCode::GOING_AWAY, "", &mut peer.backlog);
            }
        }
        let has_more = with_scratch(|buffer, output| peer.turn(Instant::now(), buffer, output))?;
        let due = peer.due();
        if alarm.is_elapsed() || due < alarm.deadline() {
            alarm.as_mut().reset(due);
        }
        if has_more { yield_now().await } else { consume_budget().await }
    }
    Ok(())
}

/// The buffers that all tasks of a thread share.
struct Scratch {
    buffer: Vec<u8>,
    output: Output,
}

/// Lends the thread's read buffer and output to `turn`. If it panics they are dropped, with whatever the output
/// contains.
fn with_scratch<R>(turn: impl FnOnce(&mut [u8], &mut Output) -> R) -> R {
    thread_local!(static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) });

    let allocate = || Box::new(Scratch { buffer: vec![0; READ_SIZE], output: Output::new() });
    let mut scratch = SCRATCH.take().unwrap_or_else(allocate);
    let result = turn(&mut scratch.buffer, &mut scratch.output);
    SCRATCH.set(Some(scratch));
    result
}

/// A socket and the connection on it.
struct Peer {
    tcp: TcpStream,
    ws: Connection,
    timers: Timers<Instant>,
    /// Bytes that the socket did not accept.
    backlog: Output,
    /// Whether the peer has closed its side.
    has_ended: bool,
    /// When to drop the peer if it reads none of the backlog.
    drop_at: Option<Instant>,
}

impl Peer {
    fn new(tcp: TcpStream, options: &Options) -> Self {
        // If the socket is already closed, the first turn finds out.
        let _ = tcp.set_nodelay(true);
        Self {
            tcp,
            ws: Connection::server(options.config.clone()),
            timers: Timers::new(Instant::now(), options.timeouts),
            backlog: Output::new(),
            has_ended: false,
            drop_at: None,
        }
    }

    fn is_active(&self) -> bool {
        let is_over = self.ws.is_closed() && self.backlog.is_empty();
        !is_over && self.drop_at.is_none_or(|drop_at| Instant::now() < drop_at)
    }

    /// The readiness to wait for.
    fn interest(&self) -> Interest {
        match (self.may_read(), self.backlog.is_empty()) {
            (true, true) => Interest::READABLE,
            (true, false) => Interest::READABLE | Interest::WRITABLE,
            (false, _) => Interest::WRITABLE,
        }
    }

    fn may_read(&self) -> bool {
        !self.has_ended && self.backlog.len() < MAX_BACKLOG
    }

    /// The handshake may end with compression, and messages may follow it in the same read.
    fn read_size(&self) -> usize {
        let may_be_compressed = self.ws.state() == State::Connecting || self.ws.uses_deflate();
        if may_be_compressed { READ_SIZE_COMPRESSED } else { READ_SIZE }
    }

    /// The deadline for the next turn.
    fn due(&self) -> Instant {
        let due = self.timers.poll_timeout().into_iter().chain(self.drop_at).min();
        due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600))
    }

    /// Writes, reads, answers, and checks the deadlines. Never waits, and leaves the output empty. Returns whether more
    /// input may be available.
    fn turn(&mut self, now: Instant, buffer: &mut [u8], output: &mut Output) -> io::Result<bool> {
        let was_closed = self.ws.is_closed();
        self.write(now, output)?;
        let mut reads_left = READS;
        while reads_left > 0 && self.may_read() {
            let n = match self.tcp.try_read(&mut buffer[..self.read_size()]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // A reset counts as the end of the stream.
                read => read.unwrap_or(0),
            };
            reads_left -= 1;
            self.has_ended = n == 0;
            let mut input = Input::new(&mut buffer[..n]);
            while let Some(event) = if n == 0 { self.ws.receive_eof() } else { self.ws.receive(&mut input, output) } {
                echo(event, &mut self.ws, output);
            }
            self.write(now, output)?;
        }
        self.timers.handle_timeout(now, &mut self.ws, output);
        if self.ws.is_closed() && !was_closed {
            self.drop_at = Some(now + GRACE);
        }
        self.write(now, output)?;
        Ok(reads_left == 0)
    }

    /// Writes the backlog and then the output, until the socket is full. The rest becomes the backlog.
    fn write(&mut self, now: Instant, output: &mut Output) -> io::Result<()> {
        let was_full = !self.backlog.is_empty();
        if was_full {
            self.backlog.append(output);
        }
        let written = if was_full { &mut self.backlog } else { &mut *output }.write_to(&mut Nonblocking(&self.tcp));
        if !output.is_empty() {
            // After an error, too: the next task's output must be empty. The buffer moves, not the bytes.
            self.backlog.append(output);
        }
        let has_progress = matches!(written, Ok(1..));
        if self.backlog.is_empty() {
            // Frees its memory.
            self.backlog = Output::new();
            self.drop_at = None;
        } else if has_progress || self.drop_at.is_none() {
            self.drop_at = Some(now + if self.ws.is_closed() { GRACE } else { STALL });
        }
        if has_progress && was_full {
            // A full socket has room again only if the peer read something: it is alive, even if the server does not
            // read from it.
            self.timers.note_activity(now);
        }
        match written {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }
}

/// A writer that never waits: a full socket gives `WouldBlock`.
struct Nonblocking<'t>(&'t TcpStream);

impl Write for Nonblocking<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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

struct Options {
    address: String,
    config: Config,
    timeouts: Timeouts<Duration>,
}

impl Options {
    fn parse() -> Option<Self> {
        let (mut address, mut config, mut compresses) = (None, Config::new(), true);
        let mut timeouts = Timeouts::new();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--no-deflate" => compresses = false,
                "--max-message" => config = config.max_message_size(arguments.next()?.parse().ok()?),
                "--timeout" => {
                    let span = Duration::from_millis(arguments.next()?.parse().ok()?);
                    timeouts = timeouts.handshake(span).keep_alive(span, span).closing(span);
                }
                _ if argument.starts_with('-') || address.is_some() => return None,
                _ => address = Some(argument),
            }
        }
        if compresses {
            config = config.deflate(Deflate::new().shared());
        }
        Some(Self { address: address.unwrap_or_else(|| "127.0.0.1:9001".into()), config, timeouts })
    }
}
