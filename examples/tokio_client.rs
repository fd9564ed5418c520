//! A client on tokio: sends the lines of its standard input, prints received messages, and reconnects after a failure.
//!
//! `cargo run --release --example tokio_client -- URL [--subprotocol NAME]… [--timeout MILLISECONDS]`
//!
//! Prints `OPEN [subprotocol]`, `TEXT …` with the text and `BINARY LENGTH` for each message, `CLOSED CODE`, or `FAILED
//! REASON` if the connection did not open, and `RETRY MILLISECONDS` before it waits to try again. Each is one line,
//! whatever the server sent: control characters are printed as `\u{a}`. Closes with 1000 at the end of its input and
//! with 1001 on Ctrl-C, and ends. Ends with exit status 1 if the server rejects the request and would reject it again.
//!
//! `--timeout` replaces 10 s and the defaults of `Timeouts`: the time to connect, for the handshake, until an idle
//! server is pinged, for its pong, for the closing handshake, and the longest time in which the server reads nothing.
//!
//! Notes on such a client:
//! - **Reconnecting.** `Backoff` computes the delay: clients that lost their server at the same moment return one by
//!   one, and none before the server's Retry-After. After a connection that lasted, it starts again.
//! - **Cancellation.** `select!` drops the futures that are not ready first. That is safe here because none of them
//!   owns data: they wait for the socket, for a deadline, or for a line, which `recv` removes from the channel only
//!   when it is ready first. (A dropped `read_line` loses the part of a line that it has read.) `turn` moves all bytes,
//!   and never awaits.
//! - **Backpressure.** A line is sent only while the connection is open and less than `MAX_OUTPUT` waits to be written;
//!   otherwise the full channel blocks the thread that reads lines. The client reads from the server at all times: if
//!   both ends stopped reading, each would wait for the other.
//! - **The end.** A read error counts as the end of the stream. When the connection is over and everything is written,
//!   the client shuts its sending side down and reads until the server closes too or its grace is over. Closing a
//!   socket with unread input would reset the connection, and could destroy the Close frame in flight.
//! - **Lost lines.** A line that was sent before the connection broke may not have arrived. Only an acknowledgement by
//!   the application could tell.

#[path = "shared/printable.rs"]
mod printable;

use std::error::Error;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::ops::ControlFlow::{self, Break, Continue};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use printable::Printable;
use tokio::io::{AsyncWriteExt as _, Interest, copy, sink};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio::{select, signal};
use websocket_proto::handshake::Response;
use websocket_proto::uri::Uri;
use websocket_proto::{
    Backoff, ClientRequest, CloseCode, Config, Connection, Deflate, Event, Input, Output, State, Timeouts, Timers,
};

const USAGE: &str = "usage: tokio_client URL [--subprotocol NAME]... [--timeout MILLISECONDS]";

/// No line is sent while this many bytes wait to be written.
const MAX_OUTPUT: usize = 256 << 10;
/// Once the connection is over: the longest time in which the server reads none of the waiting bytes, and then the time
/// in which it must close its side. Before that, `Arguments::patience` applies.
const GRACE: Duration = Duration::from_secs(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(arguments) = Arguments::parse() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    run(&arguments).await.unwrap_or_else(|error| {
        report(format_args!("FAILED {error}"));
        ExitCode::FAILURE
    })
}

/// Connects again and again until there is a reason to end. An error would come again, so it ends the client.
async fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let (mut lines, mut stop) = (lines(), interrupt());
    let mut backoff = Backoff::new(seed()?);
    loop {
        let delay = match session(arguments, &mut lines, &mut stop, &mut backoff).await? {
            Break(code) => return Ok(code),
            Continue(delay) => delay,
        };
        report(format_args!("RETRY {}", delay.as_millis()));
        select! {
            () = sleep(delay) => {}
            () = stopped(&mut stop) => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// Connects once and drives the connection to its end. Returns the delay before the next attempt, or the exit code.
async fn session(
    arguments: &Arguments,
    lines: &mut mpsc::Receiver<String>,
    stop: &mut watch::Receiver<bool>,
    backoff: &mut Backoff,
) -> Result<ControlFlow<ExitCode, Duration>, Box<dyn Error>> {
    let mut output = Output::new();
    let ws = Connection::client(&arguments.request, arguments.config.clone(), seed()?, &mut output)?;
    let connecting = timeout(arguments.patience, TcpStream::connect((&*arguments.host, arguments.port)));
    let connected = select! {
        connected = connecting => connected.unwrap_or_else(|elapsed| Err(elapsed.into())),
        () = stopped(stop) => return Ok(Break(ExitCode::SUCCESS)),
    };
    let tcp = match connected.and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp)) {
        Ok(tcp) => tcp,
        Err(error) => {
            report(format_args!("FAILED {error}"));
            return Ok(Continue(backoff.next_delay()));
        }
    };
    let mut client = Client::new(tcp, ws, output, arguments);
    client.drive(lines, stop).await;
    if let Some(rejection) = client.rejection {
        let delay = backoff.next_delay_after(rejection.retry_after());
        return Ok(if is_final(&rejection) { Break(ExitCode::FAILURE) } else { Continue(delay) });
    }
    backoff.opened_for(client.opened.map(|opened| opened.elapsed()).unwrap_or_default());
    let is_done = *stop.borrow() || (lines.is_closed() && lines.is_empty());
    Ok(if is_done { Break(ExitCode::SUCCESS) } else { Continue(backoff.next_delay()) })
}

/// Whether another attempt would be rejected, too. Not if the server has named a time, nor if the fault is the server's
/// or temporary (RFC 9110 §15.5.9, RFC 6585 §4).
fn is_final(rejection: &Response) -> bool {
    rejection.retry_after().is_none()
        && matches!(rejection.status(), 300..500)
        && !matches!(rejection.status(), 408 | 429)
}

/// A socket and the connection on it.
struct Client {
    tcp: TcpStream,
    ws: Connection,
    timers: Timers<Instant>,
    output: Output,
    /// Whether the last write left bytes that the socket did not take.
    is_full: bool,
    /// When to give up if the server reads none of these bytes; `patience` after it last read some.
    give_up: Instant,
    patience: Duration,
    /// Whether the stream has ended.
    has_ended: bool,
    opened: Option<Instant>,
    rejection: Option<Response>,
}

impl Client {
    fn new(tcp: TcpStream, ws: Connection, output: Output, arguments: &Arguments) -> Self {
        let (now, patience) = (Instant::now(), arguments.patience);
        let (timers, give_up) = (Timers::new(now, arguments.timeouts), now + patience);
        let (is_full, has_ended) = (false, false);
        Self { tcp, ws, timers, output, is_full, give_up, patience, has_ended, opened: None, rejection: None }
    }

    async fn drive(&mut self, lines: &mut mpsc::Receiver<String>, stop: &mut watch::Receiver<bool>) {
        let mut buffer = vec![0; 16 << 10];
        while self.is_active() {
            let may_send = self.ws.state() == State::Open && self.output.len() < MAX_OUTPUT;
            select! {
                // If the socket has failed, the next read fails.
                _ = self.tcp.ready(self.interest()) => {}
                () = sleep_until(self.due()) => {}
                line = lines.recv(), if may_send => match line {
                    Some(line) => self.ws.send_text(&line, &mut self.output).expect("the connection is open"),
                    None => self.ws.close(CloseCode::NORMAL_CLOSURE, "", &mut self.output),
                },
                () = stopped(stop), if self.ws.state() < State::Closing => {
                    self.ws.close(CloseCode::GOING_AWAY, "", &mut self.output);
                }
            }
            self.turn(Instant::now(), &mut buffer);
            // Waiting for a socket that is already ready consumes none of the task budget.
            consume_budget().await;
        }
        // The application receives the last events, however the connection ended.
        while let Some(event) = self.ws.receive_eof() {
            self.handle(event);
        }
        let _ = self.tcp.shutdown().await;
        let _ = timeout(GRACE, copy(&mut self.tcp, &mut sink())).await;
    }

    fn is_active(&self) -> bool {
        if self.is_full { Instant::now() < self.give_up } else { !self.ws.is_closed() }
    }

    /// Reads, checks the deadlines, and writes. Never waits.
    fn turn(&mut self, now: Instant, buffer: &mut [u8]) {
        let was_closed = self.ws.is_closed();
        let n = match self.tcp.try_read(buffer) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => None,
            // A reset counts as the end of the stream.
            read => Some(read.unwrap_or(0)),
        };
        self.has_ended |= n == Some(0);
        let (at_end, mut input) = (n == Some(0), Input::new(&mut buffer[..n.unwrap_or(0)]));
        while let Some(event) =
            if at_end { self.ws.receive_eof() } else { self.ws.receive(&mut input, &mut self.output) }
        {
            self.handle(event);
        }
        self.timers.handle_timeout(now, &mut self.ws, &mut self.output);
        if self.ws.is_closed() && !was_closed {
            self.patience = GRACE;
            self.give_up = now + GRACE;
        }
        self.write(now);
    }

    /// Writes until the socket is full.
    fn write(&mut self, now: Instant) {
        let was_full = self.is_full;
        let written = self.output.write_to(&mut Nonblocking(&self.tcp));
        let has_progress = matches!(written, Ok(1..));
        if written.is_err_and(|error| error.kind() != ErrorKind::WouldBlock) {
            // The server may have stopped reading after a last message, which is still to be read.
            self.output = Output::new();
        }
        self.is_full = !self.output.is_empty();
        if has_progress && was_full {
            // A full socket has room again only if the server read something: it is alive.
            self.timers.note_activity(now);
        }
        if has_progress || !was_full {
            self.give_up = now + self.patience;
        }
    }

    fn handle(&mut self, event: Event<'_>) {
        match event {
            Event::Open(response) => {
                self.opened = Some(Instant::now());
                match response.subprotocol() {
                    Some(name) => report(format_args!("OPEN {name}")),
                    None => report(format_args!("OPEN")),
                }
            }
            Event::Text(text) => report(format_args!("TEXT {text}")),
            Event::Binary(data) => report(format_args!("BINARY {}", data.len())),
            Event::Rejected(rejection) => {
                report(format_args!("FAILED HTTP status {}", rejection.status()));
                self.rejection = Some(rejection);
            }
            Event::Closed(closed) if self.opened.is_some() => report(format_args!("CLOSED {}", closed.code())),
            Event::Closed(closed) if self.rejection.is_none() => report(format_args!("FAILED {closed}")),
            _ => {}
        }
    }

    /// The readiness to wait for: input at all times. It can only add pongs to the output, which are bounded.
    fn interest(&self) -> Interest {
        match (self.has_ended, self.output.is_empty()) {
            (true, _) => Interest::WRITABLE,
            (false, true) => Interest::READABLE,
            (false, false) => Interest::READABLE | Interest::WRITABLE,
        }
    }

    /// The deadline for the next turn.
    fn due(&self) -> Instant {
        let give_up = self.is_full.then_some(self.give_up);
        let due = self.timers.poll_timeout().into_iter().chain(give_up).min();
        due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600))
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

/// The lines of the standard input. Their own thread reads them: it may block forever, and ends with the process.
fn lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(16);
    thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Becomes true on Ctrl-C.
fn interrupt() -> watch::Receiver<bool> {
    let (sender, stop) = watch::channel(false);
    tokio::spawn(async move {
        let _ = signal::ctrl_c().await;
        sender.send_replace(true);
    });
    stop
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Random bytes from the operating system, fresh for every connection (RFC 6455 §5.3, §10.3).
fn seed() -> Result<[u8; 32], getrandom::Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(seed)
}

fn report(line: std::fmt::Arguments<'_>) {
    let mut stdout = io::stdout().lock();
    // Standard output may be closed; the connection must still end in order.
    let line = line.to_string();
    let _ = writeln!(stdout, "{}", Printable(&line)).and_then(|()| stdout.flush());
}

struct Arguments {
    request: ClientRequest,
    host: String,
    port: u16,
    config: Config,
    timeouts: Timeouts<Duration>,
    /// The time for connecting, and the longest time in which the server reads none of the waiting bytes.
    patience: Duration,
}

impl Arguments {
    fn parse() -> Option<Self> {
        let (mut uri, mut subprotocols) = (None, Vec::new());
        let (mut patience, mut timeouts) = (Duration::from_secs(10), Timeouts::new());
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--subprotocol" => subprotocols.push(arguments.next()?),
                "--timeout" => {
                    patience = Duration::from_millis(arguments.next()?.parse().ok()?);
                    timeouts = timeouts.handshake(patience).keep_alive(patience, patience).closing(patience);
                }
                _ if argument.starts_with('-') || uri.is_some() => return None,
                // `wss` needs TLS, which this example leaves out.
                _ => uri = Some(Uri::parse(&argument).ok().filter(|uri| !uri.is_secure())?),
            }
        }
        let uri = uri?;
        let (host, port) = (uri.host().to_owned(), uri.port());
        let request = subprotocols.iter().fold(ClientRequest::to(uri), ClientRequest::subprotocol);
        let config = Config::new().deflate(Deflate::new());
        Some(Self { request, host, port, config, timeouts, patience })
    }
}
