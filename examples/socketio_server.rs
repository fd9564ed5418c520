//! A blocking Socket.IO server: the minimum of Engine.IO 4 and Socket.IO 5 that its client needs over WebSocket.
//!
//! `cargo run --release --example socketio_server -- [ADDR] [--ping MILLISECONDS] [--patience MILLISECONDS]`
//!
//! Answers `io("http://127.0.0.1:9001", { transports: ["websocket"] })`. It sends every event back with equal JSON (an
//! object's keys may come in another order) and with its binary attachment, if any. An event that asks for an
//! acknowledgement gets its arguments back in one instead. `--ping` is the interval of Engine.IO's pings, which are
//! text messages, not WebSocket pings; `--patience` is the time in which the client must send its request, answer a
//! ping, answer a Close, and read some of the waiting bytes. There is no long polling, and no namespace but `/`.
//!
//! The loop is the guide's blocking recipe, on `Session`.

#[path = "../src/guide/recipes/blocking.rs"]
mod blocking;

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use blocking::Peer;
use serde_json::{Value, json};
use websocket_proto::handshake::{Reject, Request};
use websocket_proto::{CloseCode, Config, Connection, Event, Output, SessionConfig, State, Timeout, Timeouts};

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
            thread::Builder::new().spawn(move || serve(tcp, times))
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

/// Serves a client to its end.
fn serve(mut tcp: TcpStream, times: Times) {
    let ws = Connection::server(Config::new().max_message_size(MAX_PAYLOAD));
    let timeouts = Timeouts::none().handshake(times.patience).closing(times.patience);
    let config = SessionConfig::new().timeouts(timeouts).stall(times.patience);
    let mut peer = Peer::new(&mut tcp, ws, Output::new(), config);
    let mut client = Client { times, due: None, awaits_answer: false, awaiting_attachment: None };
    while peer.turn(client.due, |event, ws, output| client.handle(event, ws, output)) {
        if client.due.is_some_and(|due| due <= Instant::now()) {
            let (ws, output) = peer.session.parts();
            client.handle_due(ws, output);
        }
    }
}

/// A client of Engine.IO and Socket.IO.
struct Client {
    times: Times,
    /// While the connection is open: the time of the next ping, or the deadline for the answer to the last one.
    due: Option<Instant>,
    awaits_answer: bool,
    /// The packet to send once its binary attachment arrives.
    awaiting_attachment: Option<String>,
}

impl Client {
    fn handle(&mut self, event: Event<'_>, ws: &mut Connection, output: &mut Output) {
        match event {
            Event::Request(request) if is_engine_io(&request) => {
                ws.accept(request, output);
                self.schedule_ping();
                let open = json!({
                    "sid": random_id(),
                    "upgrades": [],
                    "pingInterval": self.times.ping.as_millis() as u64,
                    "pingTimeout": self.times.patience.as_millis() as u64,
                    "maxPayload": MAX_PAYLOAD,
                });
                send(&format!("0{open}"), ws, output);
            }
            Event::Request(request) => {
                let bad_request = Reject::new(400).expect("an error status");
                ws.reject(request, &bad_request, output);
            }
            // Messages may arrive until the client has seen the server's Close.
            Event::Text(_) | Event::Binary(_) if ws.state() != State::Open => {}
            Event::Text(text) => {
                let is_valid = self.handle_engine_packet(&text, ws, output).is_some();
                if !is_valid {
                    self.close(CloseCode::POLICY_VIOLATION, "a packet that this server does not speak", ws, output);
                }
            }
            Event::Binary(data) => match self.awaiting_attachment.take() {
                Some(packet) => {
                    send(&packet, ws, output);
                    let _ = ws.send_binary(&data, output);
                }
                None => self.close(CloseCode::POLICY_VIOLATION, "an attachment to nothing", ws, output),
            },
            Event::Closed(_) => self.due = None,
            _ => {}
        }
    }

    /// Sends a ping, or gives up a client that has not answered the last one.
    fn handle_due(&mut self, ws: &mut Connection, output: &mut Output) {
        if self.awaits_answer {
            self.due = None;
            ws.time_out(Timeout::KeepAlive, output);
        } else {
            send("2", ws, output);
            (self.awaits_answer, self.due) = (true, Some(Instant::now() + self.times.patience));
        }
    }

    /// Handles an Engine.IO packet, which is a message whose first character is its type. `None` if it is invalid.
    fn handle_engine_packet(&mut self, text: &str, ws: &mut Connection, output: &mut Output) -> Option<()> {
        match text.split_at_checked(1)? {
            ("1", _) => self.close(CloseCode::NORMAL_CLOSURE, "", ws, output),
            ("3", _) => self.schedule_ping(),
            ("4", packet) if self.awaiting_attachment.is_none() => {
                self.handle_packet(&Packet::parse(packet)?, ws, output)?;
            }
            _ => return None,
        }
        Some(())
    }

    fn handle_packet(&mut self, packet: &Packet<'_>, ws: &mut Connection, output: &mut Output) -> Option<()> {
        match (packet.kind, packet.namespace) {
            ("0", "/") => send(&format!("40{}", json!({ "sid": random_id() })), ws, output),
            ("0", namespace) => {
                send(&format!("44{namespace},{}", json!({ "message": "Invalid namespace" })), ws, output);
            }
            ("1", "/") => self.close(CloseCode::NORMAL_CLOSURE, "", ws, output),
            ("2", "/") => send(&packet.answer("2", "3")?, ws, output),
            ("5", "/") if packet.attachments == "1" => self.awaiting_attachment = Some(packet.answer("51-", "61-")?),
            _ => return None,
        }
        Some(())
    }

    fn close(&mut self, code: CloseCode, why: &str, ws: &mut Connection, output: &mut Output) {
        ws.close(code, why, output);
        // The session limits the wait for the client's Close.
        self.due = None;
    }

    fn schedule_ping(&mut self) {
        (self.awaits_answer, self.due) = (false, Some(Instant::now() + self.times.ping));
    }
}

/// Sends a packet; while the connection is closing, drops it.
fn send(packet: &str, ws: &mut Connection, output: &mut Output) {
    let _ = ws.send_text(packet, output);
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
