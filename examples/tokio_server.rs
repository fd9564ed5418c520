//! An echo server on tokio: a task per connection, keep-alive, and an orderly end on Ctrl-C.
//!
//! `cargo run --release --example tokio_server -- [ADDR] [--max-message BYTES] [--no-deflate] [--timeout MILLISECONDS]`
//!
//! Does what `echo_server` does. `--timeout` is the time for the opening, until an idle peer is pinged, for its pong,
//! and for the closing, instead of the defaults of `Timeouts`. What such a task has to keep in mind:
//! - **Cancellation.** `select!` drops the futures that did not win. Here none of them holds a byte: they wait until
//!   the socket is ready, until it is time, or until the server stops, and any of them may be dropped and made anew.
//!   All bytes move in `Peer::turn`, which waits for nothing, so nothing can come between a read and what follows from
//!   it. (Where a future is to do the I/O: `read` and `write_all_buf(&mut output)` may be dropped, because what they
//!   moved is where it belongs; `read_exact` and `write_all` may not.) To drop the whole task is safe, too, but tells
//!   the peer nothing.
//! - **Memory.** The read buffer and the `Output` belong to the thread and are taken for the length of a turn, so an
//!   idle task holds none. Only what its socket does not take at once is the task's own, until it is written.
//! - **Backpressure.** While more than `MAX_BACKLOG` waits for a peer, the task does not wait for input from it.
//! - **Fairness.** To wait for a socket that is ready costs nothing of tokio's budget for a task, and the runtime looks
//!   for other sockets only now and then while a task goes on. So after a few reads, if there is more, the task yields:
//!   otherwise a peer that never pauses would have its thread to itself. Where messages are compressed, reads are
//!   smaller, because the work, and the echo, are by what they become.
//! - **Time.** A message moves the deadline back, but not the alarm that was set: that goes off early, finds nothing
//!   due, and is set anew. So messages do not touch the runtime's timers.
//! - **The end.** When a connection is over and all is written, the sending side is shut down, and what still comes is
//!   read until the peer is done too, or has had its grace (RFC 6455 §7.1.1): to close with input unread would reset
//!   the connection, and could destroy the Close frame on its way.
//!
//! Ctrl-C closes every connection with 1001, and ends when all are over, or on the second Ctrl-C.

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
/// As many bytes at once where they may be compressed: they may become a thousand times as many.
const READ_SIZE_COMPRESSED: usize = 4 << 10;
/// How often a peer may read in a turn.
const READS: usize = 2;
/// A peer for which this many bytes wait is not read from.
const MAX_BACKLOG: usize = 256 << 10;
/// How long a peer may take none of the bytes that wait for it.
const STALL: Duration = Duration::from_secs(10);
/// The same once the connection is over, and how long the peer may then take to close its side.
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
    // One for all its life: a signal that comes between two of them would be missed.
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
                // Whoever started this may have closed its error stream.
                let _ = writeln!(io::stderr(), "cannot serve a connection: {error}");
                // Out of file descriptors: some will come back.
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop((listener, stopping));
    stop.send_replace(());
    // Each task has a receiver, and a deadline, so there is an end to this.
    select! {
        () = stop.closed() => {}
        _ = signal::ctrl_c() => {}
    }
    ExitCode::SUCCESS
}

/// Serves a peer to its end. (It is lent: by value it would have its place in the task twice.)
async fn serve(peer: &mut Peer, stopping: watch::Receiver<()>) {
    let driven = drive(peer, stopping).await;
    // However it ended, the application hears of it.
    while let Some(event) = peer.ws.receive_eof() {
        echo(event, &mut peer.ws, &mut peer.backlog);
    }
    if driven.is_ok() && peer.backlog.is_empty() {
        let _ = peer.tcp.shutdown().await;
        let _ = timeout(GRACE, copy(&mut peer.tcp, &mut sink())).await;
    }
}

/// Drives the connection until it is over and all is written. A peer that resets ends its own task and nothing else.
async fn drive(peer: &mut Peer, mut stopping: watch::Receiver<()>) -> io::Result<()> {
    let mut alarm = pin!(sleep_until(peer.due()));
    while peer.goes_on() {
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

/// What a thread's tasks share.
struct Scratch {
    buffer: Vec<u8>,
    output: Output,
}

/// Lends the thread's read buffer and output. A turn that panics takes them with it: what is in the output then is
/// nobody else's.
fn with_scratch<R>(turn: impl FnOnce(&mut [u8], &mut Output) -> R) -> R {
    thread_local!(static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) });

    let fresh = || Box::new(Scratch { buffer: vec![0; READ_SIZE], output: Output::new() });
    let mut scratch = SCRATCH.take().unwrap_or_else(fresh);
    let result = turn(&mut scratch.buffer, &mut scratch.output);
    SCRATCH.set(Some(scratch));
    result
}

/// A socket and the connection on it.
struct Peer {
    tcp: TcpStream,
    ws: Connection,
    timers: Timers<Instant>,
    /// What the socket did not take.
    backlog: Output,
    /// Whether the peer has closed its side.
    has_ended: bool,
    /// When it is given up if it takes none of that.
    give_up: Option<Instant>,
}

impl Peer {
    fn new(tcp: TcpStream, options: &Options) -> Self {
        // The socket may be gone already, which its first turn finds out.
        let _ = tcp.set_nodelay(true);
        Self {
            tcp,
            ws: Connection::server(options.config.clone()),
            timers: Timers::new(Instant::now(), options.timeouts),
            backlog: Output::new(),
            has_ended: false,
            give_up: None,
        }
    }

    fn goes_on(&self) -> bool {
        let is_over = self.ws.is_closed() && self.backlog.is_empty();
        !is_over && self.give_up.is_none_or(|give_up| Instant::now() < give_up)
    }

    /// What to wait for.
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

    /// An opening that is not over may end with compression, and more behind it.
    fn read_size(&self) -> usize {
        let may_be_compressed = self.ws.state() == State::Connecting || self.ws.uses_deflate();
        if may_be_compressed { READ_SIZE_COMPRESSED } else { READ_SIZE }
    }

    /// When to have a turn whatever else happens.
    fn due(&self) -> Instant {
        let due = self.timers.poll_timeout().into_iter().chain(self.give_up).min();
        due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600))
    }

    /// Writes, reads, answers, and looks at the time. Waits for nothing, and leaves nothing in the output. Returns
    /// whether there may be more to read at once.
    fn turn(&mut self, now: Instant, buffer: &mut [u8], output: &mut Output) -> io::Result<bool> {
        let was_closed = self.ws.is_closed();
        self.write(now, output)?;
        let mut reads_left = READS;
        while reads_left > 0 && self.may_read() {
            let n = match self.tcp.try_read(&mut buffer[..self.read_size()]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // A reset is an end like any other.
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
            self.give_up = Some(now + GRACE);
        }
        self.write(now, output)?;
        Ok(reads_left == 0)
    }

    /// Writes the backlog, and then the output, as far as the socket takes them. What it does not take is the backlog.
    fn write(&mut self, now: Instant, output: &mut Output) -> io::Result<()> {
        let has_waited = !self.backlog.is_empty();
        if has_waited {
            self.backlog.append(output);
        }
        let written = if has_waited { &mut self.backlog } else { &mut *output }.write_to(&mut AtOnce(&self.tcp));
        if !output.is_empty() {
            // After an error too: the next task is not to find it there. The buffer moves, not the bytes.
            self.backlog.append(output);
        }
        let has_taken = matches!(written, Ok(1..));
        if self.backlog.is_empty() {
            // It would keep its memory.
            self.backlog = Output::new();
            self.give_up = None;
        } else if has_taken || self.give_up.is_none() {
            self.give_up = Some(now + if self.ws.is_closed() { GRACE } else { STALL });
        }
        if has_taken && has_waited {
            // A peer that takes what it asked for is alive, whether or not it is read from.
            self.timers.note_activity(now);
        }
        match written {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }
}

/// A socket as a writer that never waits: what it does not take is `WouldBlock`.
struct AtOnce<'t>(&'t TcpStream);

impl Write for AtOnce<'_> {
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
        let (mut address, mut config, mut deflates) = (None, Config::new(), true);
        let mut timeouts = Timeouts::new();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--no-deflate" => deflates = false,
                "--max-message" => config = config.max_message_size(arguments.next()?.parse().ok()?),
                "--timeout" => {
                    let span = Duration::from_millis(arguments.next()?.parse().ok()?);
                    timeouts = timeouts.opening(span).keep_alive(span, span).closing(span);
                }
                _ if argument.starts_with('-') || address.is_some() => return None,
                _ => address = Some(argument),
            }
        }
        if deflates {
            config = config.deflate(Deflate::new().shared());
        }
        Some(Self { address: address.unwrap_or_else(|| "127.0.0.1:9001".into()), config, timeouts })
    }
}
