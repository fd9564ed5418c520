//! A blocking client.
//!
//! `cargo run --release --example client -- URL [--subprotocol NAME]… [--send TEXT]… [--echo]`
//!
//! Prints `OPEN [subprotocol]`, `MSG text|binary LENGTH` for each message (LENGTH in bytes), and `CLOSED CODE`, or
//! `FAILED WHY` if the connection never opened, which is also the only case with an exit status other than 0. Closes
//! with 1000 after as many replies as it sent messages, otherwise when the server does.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use websocket_proto::uri::Uri;
use websocket_proto::{ClientRequest, CloseCode, Config, Connection, Deflate, Event, Input, Output, Parameter, State};

const USAGE: &str = "usage: client URL [--subprotocol NAME]... [--send TEXT]... [--echo]";

/// How long the server may take to answer the request; and later to answer a Close and close the transport.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let Some(arguments) = Arguments::parse() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let mut session = Session { arguments, opened: false, refused: false, replies: 0 };
    if let Err(error) = session.run() {
        report(format_args!("FAILED {error}"));
    }
    if session.opened { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Session {
    arguments: Arguments,
    opened: bool,
    refused: bool,
    replies: usize,
}

impl Session {
    fn run(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        let uri = Uri::parse(&self.arguments.url)?;
        if uri.is_secure() {
            return Err("wss needs TLS between the transport and the connection, which is not in this example".into());
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let address = (uri.host().to_owned(), uri.port());
        let mut request = ClientRequest::to(uri);
        for name in &self.arguments.subprotocols {
            request = request.subprotocol(name);
        }
        let deflate = Deflate::new().client_no_context_takeover(Parameter::Prefer);
        let (config, mut output) = (Config::new().deflate(deflate), Output::new());
        let mut ws = Connection::client(&request, config, seed, &mut output)?;
        let mut tcp = TcpStream::connect((address.0.as_str(), address.1))?;
        tcp.set_nodelay(true)?;

        let mut buffer = vec![0; 16 << 10];
        let mut deadline = Some(Instant::now() + PATIENCE);
        loop {
            // A server that reads no more may have said something last.
            if output.write_to(&mut tcp).is_err() {
                output = Output::new();
            }
            if ws.is_closed() {
                return Ok(());
            }
            deadline = match ws.state() {
                State::Open => None,
                _ => deadline.or(Some(Instant::now() + PATIENCE)),
            };
            let n = read(&mut tcp, &mut buffer, deadline);
            let mut input = Input::new(&mut buffer[..n]);
            while let Some(event) = if n == 0 { ws.receive_eof() } else { ws.receive(&mut input, &mut output) } {
                self.handle(event, &mut ws, &mut output);
            }
        }
    }

    fn handle(&mut self, event: Event<'_>, ws: &mut Connection, output: &mut Output) {
        // What cannot be sent because the connection is closing is lost, as it would be on the wire.
        match event {
            Event::Open(response) => {
                self.opened = true;
                match response.subprotocol() {
                    Some(name) => report(format_args!("OPEN {name}")),
                    None => report(format_args!("OPEN")),
                }
                for text in &self.arguments.send {
                    let _ = ws.send_text(text, output);
                }
            }
            Event::Rejected(response) => {
                self.refused = true;
                report(format_args!("FAILED HTTP status {}", response.status()));
            }
            Event::Text(text) => {
                report(format_args!("MSG text {}", text.len()));
                if self.arguments.echo {
                    let _ = ws.send_text(&text, output);
                }
                self.count_reply(ws, output);
            }
            Event::Binary(data) => {
                report(format_args!("MSG binary {}", data.len()));
                if self.arguments.echo {
                    let _ = ws.send_binary(&data, output);
                }
                self.count_reply(ws, output);
            }
            Event::Closed(closed) if self.opened => report(format_args!("CLOSED {}", closed.code())),
            Event::Closed(closed) if !self.refused => report(format_args!("FAILED {closed}")),
            _ => {}
        }
    }

    fn count_reply(&mut self, ws: &mut Connection, output: &mut Output) {
        self.replies += 1;
        if self.replies == self.arguments.send.len() {
            ws.close(CloseCode::NORMAL_CLOSURE, "", output);
        }
    }
}

/// Reads what there is; 0 for the end of the stream, whether the server made it, or a fault, or our patience.
fn read(tcp: &mut TcpStream, buffer: &mut [u8], deadline: Option<Instant>) -> usize {
    loop {
        let patience = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // A timeout of zero is refused, as an error like any other: then patience has ended.
        match tcp.set_read_timeout(patience).and_then(|()| tcp.read(buffer)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read.unwrap_or(0),
        }
    }
}

fn report(line: std::fmt::Arguments<'_>) {
    let mut stdout = io::stdout().lock();
    // Nobody may be listening any more; the connection is to end properly all the same.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

struct Arguments {
    url: String,
    subprotocols: Vec<String>,
    send: Vec<String>,
    echo: bool,
}

impl Arguments {
    fn parse() -> Option<Self> {
        let mut parsed = Self { url: String::new(), subprotocols: Vec::new(), send: Vec::new(), echo: false };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--subprotocol" => parsed.subprotocols.push(arguments.next()?),
                "--send" => parsed.send.push(arguments.next()?),
                "--echo" => parsed.echo = true,
                _ if argument.starts_with('-') || !parsed.url.is_empty() => return None,
                _ => parsed.url = argument,
            }
        }
        (!parsed.url.is_empty()).then_some(parsed)
    }
}
