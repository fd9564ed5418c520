//! A blocking Socket.IO server: the smallest Engine.IO 4 and Socket.IO 5 that serve their client over WebSocket.
//!
//! `cargo run --release --example socketio_server -- [ADDR] [--ping MILLISECONDS] [--patience MILLISECONDS]`
//!
//! Answers `io("http://127.0.0.1:9001", { transports: ["websocket"] })`. Every event is emitted back with the same
//! JSON, though the keys of an object may come in another order, and with its binary attachment if it has one; if an
//! acknowledgement is asked for, it has the event's arguments instead. `--ping` is the interval of Engine.IO's pings,
//! which are text messages, not WebSocket's; `--patience` is how long the client may take to send its request, to
//! answer a ping, and to answer a Close. There is no long polling, and no namespace but `/`.

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
    let Some((address, pace)) = arguments() else {
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
            // A peer that resets, or stops reading, ends its own thread and nothing else.
            thread::Builder::new().spawn(move || drop(Session::new(pace).serve(tcp)))
        });
        if let Err(error) = served {
            // Whoever started this may have closed its error stream.
            let _ = writeln!(io::stderr(), "cannot serve a connection: {error}");
            // Out of file descriptors or threads: some will come back.
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What the arguments say.
#[derive(Clone, Copy)]
struct Pace {
    ping: Duration,
    patience: Duration,
}

struct Session {
    ws: Connection,
    output: Output,
    pace: Pace,
    /// When to ping; or, if the client owes something, when to give up on it.
    due: Instant,
    owes: bool,
    /// What goes out with the attachment that is to come.
    announced: Option<String>,
}

impl Session {
    fn new(pace: Pace) -> Self {
        let ws = Connection::server(Config::new().max_message_size(MAX_PAYLOAD));
        let due = Instant::now() + pace.patience;
        Self { ws, output: Output::new(), pace, due, owes: true, announced: None }
    }

    fn serve(&mut self, mut tcp: TcpStream) -> io::Result<()> {
        tcp.set_nodelay(true)?;
        // Who takes none of what waits for so long is given up. Until all is written nothing more is read, so little
        // ever waits.
        tcp.set_write_timeout(Some(self.pace.patience))?;
        let mut buffer = vec![0; 16 << 10];
        let driven = self.drive(&mut tcp, &mut buffer);
        // However it ended, the application hears of it.
        while let Some(event) = self.ws.receive_eof() {
            self.handle(event);
        }
        driven.and_then(|()| linger(&tcp, &mut buffer))
    }

    /// Until it is over and all is written, or the client owes something for too long.
    fn drive(&mut self, tcp: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
        while !self.ws.is_closed() {
            if let Some(n) = read(tcp, buffer, self.due) {
                let mut input = Input::new(&mut buffer[..n]);
                while let Some(event) =
                    if n == 0 { self.ws.receive_eof() } else { self.ws.receive(&mut input, &mut self.output) }
                {
                    self.handle(event);
                }
            } else if self.owes {
                break;
            } else {
                self.say("2");
                self.expect();
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
                self.rest();
                let open = json!({
                    "sid": identifier(),
                    "upgrades": [],
                    "pingInterval": self.pace.ping.as_millis() as u64,
                    "pingTimeout": self.pace.patience.as_millis() as u64,
                    "maxPayload": MAX_PAYLOAD,
                });
                self.say(&format!("0{open}"));
            }
            Event::Request(request) => {
                let bad_request = Reject::new(400).expect("it is a refusal");
                self.ws.reject(request, &bad_request, &mut self.output);
            }
            // It may come until the client has seen the server's Close, and is not to put off the end.
            Event::Text(_) | Event::Binary(_) if self.ws.state() != State::Open => {}
            Event::Text(text) => {
                let understood = self.engine_packet(&text).is_some();
                if !understood {
                    self.close(CloseCode::POLICY_VIOLATION, "a packet that this server does not speak");
                }
            }
            Event::Binary(data) => match self.announced.take() {
                Some(packet) => {
                    self.say(&packet);
                    let _ = self.ws.send_binary(&data, &mut self.output);
                }
                None => self.close(CloseCode::POLICY_VIOLATION, "an attachment to nothing"),
            },
            _ => {}
        }
    }

    /// Engine.IO: a packet is a message, its first character the type.
    fn engine_packet(&mut self, text: &str) -> Option<()> {
        match text.split_at_checked(1)? {
            ("1", _) => self.close(CloseCode::NORMAL_CLOSURE, ""),
            ("3", _) => self.rest(),
            ("4", packet) if self.announced.is_none() => self.packet(&Packet::parse(packet)?)?,
            _ => return None,
        }
        Some(())
    }

    fn packet(&mut self, packet: &Packet<'_>) -> Option<()> {
        match (packet.kind, packet.namespace) {
            ("0", "/") => self.say(&format!("40{}", json!({ "sid": identifier() }))),
            ("0", namespace) => {
                self.say(&format!("44{namespace},{}", json!({ "message": "Invalid namespace" })));
            }
            ("1", "/") => self.close(CloseCode::NORMAL_CLOSURE, ""),
            ("2", "/") => self.say(&packet.answer("2", "3")?),
            ("5", "/") if packet.attachments == "1" => self.announced = Some(packet.answer("51-", "61-")?),
            _ => return None,
        }
        Some(())
    }

    /// What cannot be sent because the connection is closing has nowhere else to go.
    fn say(&mut self, packet: &str) {
        let _ = self.ws.send_text(packet, &mut self.output);
    }

    fn close(&mut self, code: CloseCode, why: &str) {
        self.ws.close(code, why, &mut self.output);
        self.expect();
    }

    fn expect(&mut self) {
        (self.owes, self.due) = (true, Instant::now() + self.pace.patience);
    }

    fn rest(&mut self) {
        (self.owes, self.due) = (false, Instant::now() + self.pace.ping);
    }
}

/// A packet of Socket.IO: `TYPE[ATTACHMENTS-][/NAMESPACE,][ID][JSON]`.
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

    /// The event again, or the acknowledgement if its id asks for one: that has the arguments without the event's name.
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
    let asks = |wanted| request.query().is_some_and(|query| query.split('&').any(|part| part == wanted));
    request.path() == "/socket.io/" && asks("EIO=4") && asks("transport=websocket")
}

/// The identifier of a session, which nobody else is to guess.
fn identifier() -> String {
    let mut random = [0; 16];
    getrandom::fill(&mut random).expect("the operating system has random bytes");
    format!("{:032x}", u128::from_ne_bytes(random))
}

/// Reads what there is, 0 for the end; `None` when it is time.
fn read(tcp: &mut TcpStream, buffer: &mut [u8], due: Instant) -> Option<usize> {
    loop {
        let patience = due.saturating_duration_since(Instant::now());
        if patience.is_zero() {
            return None;
        }
        match tcp.set_read_timeout(Some(patience)).and_then(|()| tcp.read(buffer)) {
            Err(error)
                if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            // An error is an end of the stream like any other.
            read => return Some(read.unwrap_or(0)),
        }
    }
}

/// RFC 6455 §7.1.1: shut the sending side down, then read to the end. To close with input unread would reset the
/// connection, and could destroy the Close frame on its way.
fn linger(mut tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    tcp.shutdown(Shutdown::Write)?;
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        // A timeout of zero is refused, as an error like any other: then the grace is over.
        tcp.set_read_timeout(Some(deadline.saturating_duration_since(Instant::now())))?;
        match tcp.read(buffer) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
    }
}

fn arguments() -> Option<(String, Pace)> {
    let (mut address, mut pace) = (None, Pace { ping: Duration::from_secs(25), patience: Duration::from_secs(20) });
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut milliseconds = || arguments.next()?.parse().ok().filter(|count| *count > 0).map(Duration::from_millis);
        match argument.as_str() {
            "--ping" => pace.ping = milliseconds()?,
            "--patience" => pace.patience = milliseconds()?,
            _ if argument.starts_with('-') || address.is_some() => return None,
            _ => address = Some(argument),
        }
    }
    Some((address.unwrap_or_else(|| "127.0.0.1:9001".into()), pace))
}
