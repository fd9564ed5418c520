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
//!   when it is ready first. (A dropped `read_line` loses the part of a line that it has read.)
//! - **Backpressure.** A line is sent only while the connection is open and less than `MAX_WAITING` waits to be written;
//!   otherwise the full channel blocks the thread that reads lines. The client reads from the server at all times: if
//!   both ends stopped reading, each would wait for the other.
//! - **Lost lines.** A line that was sent before the connection broke may not have arrived. Only an acknowledgement by
//!   the application could tell.

#[path = "shared/printable.rs"]
mod printable;

use std::error::Error;
use std::io::ErrorKind::WouldBlock;
use std::io::{self, Write};
use std::net::Shutdown;
use std::ops::ControlFlow::{self, Break, Continue};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use printable::Printable;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio::{select, signal};
use websocket_proto::handshake::Response;
use websocket_proto::uri::Uri;
use websocket_proto::{
    Action, Backoff, ClientRequest, CloseCode, Config, Connection, Deflate, Event, Input, Output, Session,
    SessionConfig, State, Timeouts,
};

const USAGE: &str = "usage: tokio_client URL [--subprotocol NAME]... [--timeout MILLISECONDS]";

/// No line is sent while this many bytes wait to be written.
const MAX_WAITING: usize = 256 << 10;
/// How long tokio needs to look at its sockets.
const LOOK: Duration = Duration::from_millis(1);
/// The longest read that a session asks for.
const READ_SIZE: usize = 64 << 10;

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
    let mut client = Client { opened: None, rejection: None };
    let limits = SessionConfig::new().timeouts(arguments.timeouts).stall(arguments.patience);
    client.drive(&tcp, Session::new(Instant::now(), ws, limits), output, lines, stop).await;
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

/// The client's memory of a connection.
struct Client {
    opened: Option<Instant>,
    rejection: Option<Response>,
}

impl Client {
    /// Drives the connection to its end.
    async fn drive(
        &mut self,
        tcp: &TcpStream,
        mut session: Session<Instant>,
        mut output: Output,
        lines: &mut mpsc::Receiver<String>,
        stop: &mut watch::Receiver<bool>,
    ) {
        let mut buffer = vec![0; READ_SIZE];
        loop {
            let (read, write, deadline) = loop {
                match session.poll(Instant::now(), &mut output, |slices| tcp.try_write_vectored(slices)) {
                    Action::Wait { read, write, deadline } => break (read, write, deadline),
                    Action::Event(event) => self.handle(event),
                    Action::ShutDown => drop(SockRef::from(tcp).shutdown(Shutdown::Write)),
                    _ => return,
                }
            };
            // Waiting for a socket that is already ready consumes none of the task budget.
            consume_budget().await;
            let state = session.connection().state();
            let may_send = state == State::Open && session.waiting() < MAX_WAITING;
            select! {
                _ = tcp.readable(), if read > 0 => {}
                _ = tcp.writable(), if write => {}
                // After a pause of the process, tokio may fire an alarm before it has looked at the sockets.
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => sleep(LOOK).await,
                line = lines.recv(), if may_send => {
                    let (ws, output) = session.parts();
                    match line {
                        Some(line) => ws.send_text(&line, output).expect("the connection is open"),
                        None => ws.close(CloseCode::NORMAL_CLOSURE, "", output),
                    }
                }
                () = stopped(stop), if state < State::Closing => {
                    let (ws, output) = session.parts();
                    ws.close(CloseCode::GOING_AWAY, "", output);
                }
            }
            // Bytes that have arrived are read before the deadlines are checked, whatever ended the wait.
            let n = if read > 0 { tcp.try_read(&mut buffer[..read]) } else { Err(WouldBlock.into()) };
            if n.as_ref().is_err_and(|error| error.kind() == WouldBlock) {
                continue;
            }
            // A failed read is the end of the stream.
            let mut input = Input::from_read(&mut buffer[..n.unwrap_or(0)]);
            while let Some(event) = session.receive(&mut input, &mut output) {
                self.handle(event);
            }
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
