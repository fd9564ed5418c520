//! An echo server on tokio: one task per connection, keep-alive, and an orderly end on Ctrl-C.
//!
//! `cargo run --release --example tokio_server -- [ADDR] [--max-message BYTES] [--no-deflate] [--timeout MILLISECONDS]`
//!
//! Behaves like `echo_server`, with the same options, but compresses without context takeover, so that the tasks of a
//! thread share a compressor. Ctrl-C closes every connection with 1001; the process ends when all are over, or on the
//! second Ctrl-C.
//!
//! Each peer is a `Session`, which decides what is written, when to read and how much, its deadlines, and how it ends.
//! Notes on such a task:
//! - **Cancellation.** `select!` drops the futures that are not ready first. That is safe here because none of them
//!   owns data: they wait for the socket, a deadline, or the server's end. `turn` moves all bytes and never
//!   awaits, so nothing is lost between a read and its handling. Dropping the whole task is safe, too, but the peer gets
//!   no Close.
//! - **Memory.** Each thread has one read buffer and one `Output`, which a task borrows for a turn, so an idle task has
//!   neither.
//! - **Fairness.** Waiting for a socket that is already ready consumes none of tokio's task budget, and the runtime
//!   rarely polls for other sockets while a task keeps running. So a task yields after `READS` reads if there is more
//!   input; otherwise a peer that never pauses would occupy its thread.
//! - **Time.** A message postpones the deadline but leaves the alarm. The alarm then goes off early, finds nothing
//!   due, and is set again. So a message costs no change of the runtime's timers.

use std::cell::Cell;
use std::io::ErrorKind::WouldBlock;
use std::io::{self, Write};
use std::net::Shutdown;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::coop::consume_budget;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};
use tokio::{select, signal};
use websocket_proto::{
    Accept, Action, CloseCode, Config, Connection, Deflate, Event, Input, Output, Session, SessionConfig, State,
    Timeouts,
};

const USAGE: &str = "usage: tokio_server [ADDR] [--max-message BYTES] [--no-deflate] [--timeout MILLISECONDS]";

/// The longest read that a session asks for.
const READ_SIZE: usize = 64 << 10;
/// How long tokio needs to look at its sockets.
const LOOK: Duration = Duration::from_millis(1);
/// The most reads in a turn.
const READS: usize = 2;

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
                // If the socket is already closed, the first turn finds out.
                let _ = tcp.set_nodelay(true);
                let ws = Connection::server(options.config.clone());
                let (mut session, stopping) = (Session::new(Instant::now(), ws, options.limits), stopping.clone());
                tokio::spawn(async move { serve(&tcp, &mut session, stopping).await });
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
async fn serve(tcp: &TcpStream, session: &mut Session<Instant>, mut stopping: watch::Receiver<()>) {
    let (mut alarm, mut read) = (pin!(sleep(Duration::ZERO)), 0);
    while let Some((most, write, deadline, has_input)) = with_scratch(|scratch| turn(tcp, session, scratch, read)) {
        read = most;
        if let Some(at) = deadline.filter(|at| alarm.is_elapsed() || *at < alarm.deadline()) {
            alarm.as_mut().reset(at);
        }
        rest(has_input).await;
        select! {
            _ = tcp.readable(), if read > 0 => {}
            _ = tcp.writable(), if write => {}
            // After a pause of the process, tokio may fire an alarm before it has looked at the sockets.
            () = &mut alarm => sleep(LOOK).await,
            _ = stopping.changed(), if session.connection().state() < State::Closing => {
                let (ws, output) = session.parts();
                ws.close(CloseCode::GOING_AWAY, "", output);
            }
        }
    }
}

/// The size of the next read, whether bytes wait to be written, the deadline, and whether the socket may have more input
/// already.
type Wait = (usize, bool, Option<Instant>, bool);

/// Reads at most `read` bytes at a time, answers and writes. Never waits, and leaves the output empty. Returns `None` when
/// the session is over.
fn turn(tcp: &TcpStream, session: &mut Session<Instant>, scratch: &mut Scratch, mut read: usize) -> Option<Wait> {
    let (Scratch { buffer, output }, mut reads) = (scratch, 0);
    loop {
        // Bytes that have arrived are read before the deadlines are checked.
        let may_read = read > 0 && reads < READS;
        let n = if may_read { tcp.try_read(&mut buffer[..read]) } else { Err(WouldBlock.into()) };
        let is_blocked = n.as_ref().is_err_and(|error| error.kind() == WouldBlock);
        if !is_blocked {
            reads += 1;
            // A failed read is the end of the stream.
            let mut input = Input::from_read(&mut buffer[..n.unwrap_or(0)]);
            while let Some(event) = session.receive(&mut input, output) {
                echo(event, session.connection_mut(), output);
            }
        }
        let (write, deadline) = loop {
            match session.poll(Instant::now(), output, |slices| tcp.try_write_vectored(slices)) {
                Action::Event(event) => echo(event, session.connection_mut(), output),
                Action::ShutDown => drop(SockRef::from(tcp).shutdown(Shutdown::Write)),
                Action::Wait { read: most, write, deadline } => {
                    read = most;
                    break (write, deadline);
                }
                _ => return None,
            }
        };
        if is_blocked {
            return Some((read, write, deadline, reads == READS));
        }
    }
}

/// Lets other tasks run: at once, if the task always has input, or when its budget is used up.
async fn rest(has_input: bool) {
    if has_input {
        yield_now().await;
    } else {
        consume_budget().await;
    }
}

/// The buffers that all tasks of a thread share.
struct Scratch {
    buffer: Vec<u8>,
    output: Output,
}

/// Lends the thread's read buffer and output to a turn. If it panics they are dropped, with whatever the output
/// contains.
fn with_scratch<R>(turn: impl FnOnce(&mut Scratch) -> R) -> R {
    thread_local!(static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) });

    let allocate = || Box::new(Scratch { buffer: vec![0; READ_SIZE], output: Output::new() });
    let mut scratch = SCRATCH.take().unwrap_or_else(allocate);
    let result = turn(&mut scratch);
    SCRATCH.set(Some(scratch));
    result
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
    limits: SessionConfig<Duration>,
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
        let limits = SessionConfig::new().timeouts(timeouts);
        Some(Self { address: address.unwrap_or_else(|| "127.0.0.1:9001".into()), config, limits })
    }
}
