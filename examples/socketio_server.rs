//! A blocking Socket.IO server: the minimum of Engine.IO 4 and Socket.IO 5 that its client needs over WebSocket.
//!
//! `cargo run --release --example socketio_server -- [ADDR] [--ping MILLISECONDS] [--patience MILLISECONDS]`
//!
//! Answers `io("http://127.0.0.1:9001", { transports: ["websocket"] })`. It sends every event back with equal JSON (an
//! object's keys may come in another order) and with its binary attachment, if any. An event that asks for an
//! acknowledgement gets its arguments back in one instead. `--ping` is the interval of Engine.IO's pings, which are
//! text messages, not WebSocket pings; `--patience` is the time in which the client must send its request, answer a
//! ping, and answer a Close. There is no long polling, and no namespace but `/`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use websocket_proto::handshake::{Reject, Request};
use websocket_proto::{CloseCode, Config, Connection, Event, Input, Output, State};

const USAGE: &str = "usage: socketio_server [ADDR] [--ping MILLISECONDS] [--patience MILLISECONDS]";

const MAX_PAYLOAD: usize = 1_000_000;

fn main() -> ExitCode {
    let Some((address, times)) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let listener = match TcpListener::bind(&address) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cannot listen on {address}: {error}");
            return ExitCode::FAILURE;
        }
    };
    if let Ok(address) = listener.local_addr() {
        let _ = writeln!(io::stdout(), "listening on ws://{address}/");
    }
    loop {
        let served = listener.accept().and_then(|(tcp, _)| {
            // A peer that resets the connection, or stops reading, ends only its own thread.
            thread::Builder::new().spawn(move || drop(Session::new(times).serve(tcp)))
        });
        if let Err(error) = served {
            // The error stream may be closed.
            let _ = writeln!(io::stderr(), "cannot serve a connection: {error}");
            // Out of file descriptors or threads: wait until some are free again.
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The times from the command line.
#[derive(Clone, Copy)]
struct Times {
    ping: Duration,
    patience: Duration,
}

struct Session {
    ws: Connection,
    output: Output,
    times: Times,
    /// The time of the next ping, or the deadline for the expected answer.
    due: Instant,
    awaits_answer: bool,
    /// The packet to send once its binary attachment arrives.
    awaiting_attachment: Option<String>,
}

impl Session {
    fn new(times: Times) -> Self {
        let ws = Connection::server(Config::new().max_message_size(MAX_PAYLOAD));
        let due = Instant::now() + times.patience;
        Self { ws, output: Output::new(), times, due, awaits_answer: true, awaiting_attachment: None }
    }

    fn serve(&mut self, mut tcp: TcpStream) -> io::Result<()> {
        tcp.set_nodelay(true)?;
        // A client that reads nothing for this long is dropped. Nothing is read until everything is written, so little
        // ever waits.
        tcp.set_write_timeout(Some(self.times.patience))?;
        let mut buffer = vec![0; 16 << 10];
        let driven = self.drive(&mut tcp, &mut buffer);
        // The application receives the last events, however the connection ended.
        while let Some(event) = self.ws.receive_eof() {
            self.handle(event);
        }
        driven.and_then(|()| linger(&tcp, &mut buffer))
    }

    /// Runs until the connection is over and everything is written, or the client misses a deadline.
    fn drive(&mut self, tcp: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
        while !self.ws.is_closed() {
            if let Some(n) = read(tcp, buffer, self.due) {
                let mut input = Input::new(&mut buffer[..n]);
                while let Some(event) =
                    if n == 0 { self.ws.receive_eof() } else { self.ws.receive(&mut input, &mut self.output) }
                {
                    self.handle(event);
                }
            } else if self.awaits_answer {
                break;
            } else {
                self.send("2");
                self.await_answer();
            }
            while !self.output.is_empty() {
                self.output.write_to(tcp)?;
            }
        }
        Ok(())
    }

    fn handle(&mut self, event: Event<'_>) {
        match event {
            Event::Request(request) if is_engine_io(&request) => {
                self.ws.accept(request, &mut self.output);
                self.schedule_ping();
                let open = json!({
                    "sid": random_id(),
                    "upgrades": [],
                    "pingInterval": self.times.ping.as_millis() as u64,
                    "pingTimeout": self.times.patience.as_millis() as u64,
                    "maxPayload": MAX_PAYLOAD,
                });
                self.send(&format!("0{open}"));
            }
            Event::Request(request) => {
                let bad_request = Reject::new(400).expect("an error status");
                self.ws.reject(request, &bad_request, &mut self.output);
            }
            // Messages may arrive until the client has seen the server's Close; they must not extend the deadline.
            Event::Text(_) | Event::Binary(_) if self.ws.state() != State::Open => {}
            Event::Text(text) => {
                let is_valid = self.handle_engine_packet(&text).is_some();
                if !is_valid {
                    self.close(CloseCode::POLICY_VIOLATION, "a packet that this server does not speak");
                }
            }
            Event::Binary(data) => match self.awaiting_attachment.take() {
                Some(packet) => {
                    self.send(&packet);
                    let _ = self.ws.send_binary(&data, &mut self.output);
                }
                None => self.close(CloseCode::POLICY_VIOLATION, "an attachment to nothing"),
            },
            _ => {}
        }
    }

    /// Handles an Engine.IO packet, which is a message whose first character is its type. `None` if it is invalid.
    fn handle_engine_packet(&mut self, text: &str) -> Option<()> {
        match text.split_at_checked(1)? {
            ("1", _) => self.close(CloseCode::NORMAL_CLOSURE, ""),
            ("3", _) => self.schedule_ping(),
            ("4", packet) if self.awaiting_attachment.is_none() => self.handle_packet(&Packet::parse(packet)?)?,
            _ => return None,
        }
        Some(())
    }

    fn handle_packet(&mut self, packet: &Packet<'_>) -> Option<()> {
        match (packet.kind, packet.namespace) {
            ("0", "/") => self.send(&format!("40{}", json!({ "sid": random_id() }))),
            ("0", namespace) => {
                self.send(&format!("44{namespace},{}", json!({ "message": "Invalid namespace" })));
            }
            ("1", "/") => self.close(CloseCode::NORMAL_CLOSURE, ""),
            ("2", "/") => self.send(&packet.answer("2", "3")?),
            ("5", "/") if packet.attachments == "1" => self.awaiting_attachment = Some(packet.answer("51-", "61-")?),
            _ => return None,
        }
        Some(())
    }

    /// Sends a packet; while the connection is closing, drops it.
    fn send(&mut self, packet: &str) {
        let _ = self.ws.send_text(packet, &mut self.output);
    }

    fn close(&mut self, code: CloseCode, why: &str) {
        self.ws.close(code, why, &mut self.output);
        self.await_answer();
    }

    fn await_answer(&mut self) {
        (self.awaits_answer, self.due) = (true, Instant::now() + self.times.patience);
    }

    fn schedule_ping(&mut self) {
        (self.awaits_answer, self.due) = (false, Instant::now() + self.times.ping);
    }
}

/// A Socket.IO packet: `TYPE[ATTACHMENTS-][/NAMESPACE,][ID][JSON]`.
struct Packet<'p> {
    kind: &'p str,
    attachments: &'p str,
    namespace: &'p str,
    id: &'p str,
    json: &'p str,
}

impl<'p> Packet<'p> {
    fn parse(packet: &'p str) -> Option<Self> {
        let (kind, rest) = packet.split_at_checked(1)?;
        let (attachments, rest) = if matches!(kind, "5" | "6") { rest.split_once('-')? } else { ("0", rest) };
        let (namespace, rest) =
            if rest.starts_with('/') { rest.split_once(',').unwrap_or((rest, "")) } else { ("/", rest) };
        let (id, json) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        Some(Self { kind, attachments, namespace, id, json })
    }

    /// The same event; or, if it has an id, the acknowledgement, with the arguments without the event's name.
    fn answer(&self, event: &str, acknowledgement: &str) -> Option<String> {
        let mut arguments: Vec<Value> = serde_json::from_str(self.json).ok()?;
        if arguments.is_empty() {
            return None;
        }
        if self.id.is_empty() {
            return Some(format!("4{event}{}", Value::Array(arguments)));
        }
        arguments.remove(0);
        Some(format!("4{acknowledgement}{}{}", self.id, Value::Array(arguments)))
    }
}

fn is_engine_io(request: &Request) -> bool {
    let has = |expected| request.query().is_some_and(|query| query.split('&').any(|part| part == expected));
    request.path() == "/socket.io/" && has("EIO=4") && has("transport=websocket")
}

/// An unpredictable session identifier.
fn random_id() -> String {
    let mut random = [0; 16];
    getrandom::fill(&mut random).expect("the operating system has random bytes");
    format!("{:032x}", u128::from_ne_bytes(random))
}

/// Reads available bytes, 0 at the end of the stream; `None` at the deadline.
fn read(tcp: &mut TcpStream, buffer: &mut [u8], due: Instant) -> Option<usize> {
    loop {
        let patience = due.saturating_duration_since(Instant::now());
        if patience.is_zero() {
            return None;
        }
        match tcp.set_read_timeout(Some(patience)).and_then(|()| tcp.read(buffer)) {
            Err(error)
                if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            // An error counts as the end of the stream.
            read => return Some(read.unwrap_or(0)),
        }
    }
}

/// RFC 6455 §7.1.1: shuts the sending side down, then reads to the end. Closing with unread input would reset the
/// connection, and could destroy the Close frame in flight.
fn linger(mut tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    tcp.shutdown(Shutdown::Write)?;
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        // A timeout of zero is an error: the grace is over.
        tcp.set_read_timeout(Some(deadline.saturating_duration_since(Instant::now())))?;
        match tcp.read(buffer) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
    }
}

fn arguments() -> Option<(String, Times)> {
    let (mut address, mut times) = (None, Times { ping: Duration::from_secs(25), patience: Duration::from_secs(20) });
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut milliseconds = || arguments.next()?.parse().ok().filter(|count| *count > 0).map(Duration::from_millis);
        match argument.as_str() {
            "--ping" => times.ping = milliseconds()?,
            "--patience" => times.patience = milliseconds()?,
            _ if argument.starts_with('-') || address.is_some() => return None,
            _ => address = Some(argument),
        }
    }
    Some((address.unwrap_or_else(|| "127.0.0.1:9001".into()), times))
}
