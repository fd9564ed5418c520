//! Our client of the interoperability tests: sends messages to a peer's echo server, compares the echoes, and closes.
//!
//! `interop_client URL`, run by `tests/interop/run`. At `/socket.io/` it uses that protocol; elsewhere it offers
//! permessage-deflate and the subprotocol `chat`. Prints a word for each successful exchange; exits with 1 and the
//! reason if an echo differs.

#[path = "../../../examples/shared/printable.rs"]
mod printable;
mod socketio;

use std::collections::VecDeque;
use std::error::Error;
use std::io::Read;
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::Duration;

use printable::Printable;
use websocket_proto::uri::Uri;
use websocket_proto::{
    ClientRequest, CloseCode, Closed, Config, Connection, Deflate, Event, Input, MessageKind, Output,
};

const TEXTS: [&str; 3] = ["hello", "", "Grüße, 世界 🦀"];
const SIZES: [usize; 6] = [0, 125, 126, 65_535, 65_536, 1 << 20];

/// The longest silence allowed to the server.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let Some(url) = std::env::args().nth(1) else {
        eprintln!("usage: interop_client URL");
        return ExitCode::from(2);
    };
    let exchanged = match Uri::parse(&url) {
        Ok(uri) if uri.resource().starts_with("/socket.io/") => socketio::exchange(&url),
        _ => exchange(&url).and_then(|()| be_closed(&url)),
    };
    match exchanged {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", Printable(&error.to_string()));
            ExitCode::FAILURE
        }
    }
}

/// Runs all exchanges, and then closes from this side.
fn exchange(url: &str) -> Result<(), Box<dyn Error>> {
    let mut steps: VecDeque<Step> = TEXTS.map(|text| Step::Text(text.to_owned())).into();
    steps.extend(SIZES.map(|size| Step::Binary((0..size).map(|i| (i * 31 % 251) as u8).collect())));
    steps.extend([Step::Fragments, Step::Ping]);

    let closed = converse(url, |event, ws, output| {
        match (event, steps.front()) {
            (Event::Open(response), _) => {
                if response.subprotocol() == Some("chat") {
                    println!("subprotocol");
                }
                if ws.uses_deflate() {
                    println!("deflate");
                }
            }
            // The server may send a ping at any time, to keep its clients alive.
            (Event::Ping(_), _) | (Event::CloseReceived { .. } | Event::Closed(_), None) => return Ok(()),
            (event, Some(step)) => {
                step.check(&event)?;
                steps.pop_front();
            }
            (event, None) => return Err(format!("not asked for: {event:?}").into()),
        }
        match steps.front() {
            Some(step) => step.send(ws, output)?,
            None => ws.close(CloseCode::new(4001).ok_or("4001 is for applications")?, "bis später", output),
        }
        Ok(())
    })?;
    for word in ["text", "binary", "fragments", "ping"] {
        println!("{word}");
    }
    // A peer should echo the code (RFC 6455 §5.5.1: "typically"); npm `websocket` answers with 1000. The peer's own log
    // has the code that it received.
    if !closed.was_clean() || !matches!(closed.code(), 4001 | 1000) {
        return Err(format!("no answer to the Close: {closed:?}").into());
    }
    println!("close-sent");
    Ok(())
}

/// Asks the server for a Close with a reason.
fn be_closed(url: &str) -> Result<(), Box<dyn Error>> {
    let closed = converse(url, |event, ws, output| {
        if let Event::Open(_) = event {
            ws.send_text("close", output)?;
        }
        Ok(())
    })?;
    if (closed.code(), closed.reason(), closed.was_clean()) != (4002, "von drüben ✓", true) {
        return Err(format!("a Close, but not the right one: {closed:?}").into());
    }
    println!("close-received");
    Ok(())
}

/// A message to send; the same must come back before the next step.
#[derive(Debug)]
enum Step {
    Text(String),
    Binary(Vec<u8>),
    /// The longest text, cut inside characters.
    Fragments,
    Ping,
}

impl Step {
    fn send(&self, ws: &mut Connection, output: &mut Output) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Text(text) => ws.send_text(text, output)?,
            Self::Binary(data) => ws.send_binary(data, output)?,
            Self::Fragments => {
                for piece in TEXTS[2].as_bytes().chunks(3) {
                    ws.send_fragment(MessageKind::Text, piece, false, output)?;
                }
                ws.send_fragment(MessageKind::Text, b"", true, output)?;
            }
            Self::Ping => ws.ping(b"are you there?", output)?,
        }
        Ok(())
    }

    fn check(&self, event: &Event<'_>) -> Result<(), Box<dyn Error>> {
        let same = match (self, event) {
            (Self::Text(text), Event::Text(back)) => text == back,
            (Self::Binary(data), Event::Binary(back)) => data.as_slice() == &**back,
            (Self::Fragments, Event::Text(back)) => back == TEXTS[2],
            (Self::Ping, Event::Pong(back)) => **back == *b"are you there?",
            _ => false,
        };
        let (sent, had) = (format!("{self:?}"), format!("{event:?}"));
        same.then_some(()).ok_or_else(|| format!("sent {sent:.80}, had {had:.80}").into())
    }
}

/// Runs one connection to its end.
fn converse(
    url: &str,
    mut handle: impl FnMut(Event<'_>, &mut Connection, &mut Output) -> Result<(), Box<dyn Error>>,
) -> Result<Closed, Box<dyn Error>> {
    let uri = Uri::parse(url)?;
    let mut tcp = TcpStream::connect((uri.host(), uri.port()))?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    tcp.set_nodelay(true)?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let config = Config::new().deflate(Deflate::new().threshold(0));
    let (mut buffer, mut output) = (vec![0; 16 << 10], Output::new());
    let mut ws = Connection::client(&ClientRequest::to(uri).subprotocol("chat"), config, seed, &mut output)?;
    loop {
        output.write_to(&mut tcp)?;
        let n = tcp.read(&mut buffer)?;
        let mut input = Input::new(&mut buffer[..n]);
        while let Some(event) = if n == 0 { ws.receive_eof() } else { ws.receive(&mut input, &mut output) } {
            if let Event::Closed(closed) = event {
                handle(Event::Closed(closed.clone()), &mut ws, &mut output)?;
                return Ok(closed);
            }
            handle(event, &mut ws, &mut output)?;
        }
    }
}
