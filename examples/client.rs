//! A blocking client.
//!
//! `cargo run --release --example client -- URL [--ca FILE] [--subprotocol NAME]… [--send TEXT]… [--echo]`
//!
//! For a `wss` URL, rustls stands between TCP and the connection. It trusts the certificate authorities that the
//! platform does or, instead of them, those in the PEM file after `--ca`.
//!
//! Prints `OPEN [subprotocol]`, `MSG text|binary LENGTH` for each message (LENGTH in bytes), and `CLOSED CODE`, or
//! `FAILED WHY` if the connection never opened, which is also the only case with an exit status other than 0. Each is
//! one line, whatever the server sent. Closes with 1000 after as many replies as it sent messages, otherwise when the
//! server does.

#[path = "shared/printable.rs"]
mod printable;

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use printable::Printable;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use websocket_proto::uri::Uri;
use websocket_proto::{ClientRequest, CloseCode, Config, Connection, Deflate, Event, Input, Output, Parameter, State};

const USAGE: &str = "usage: client URL [--ca FILE] [--subprotocol NAME]... [--send TEXT]... [--echo]";

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
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let mut request = ClientRequest::to(uri.clone());
        for name in &self.arguments.subprotocols {
            request = request.subprotocol(name);
        }
        let deflate = Deflate::new().client_no_context_takeover(Parameter::Prefer);
        let (config, mut output) = (Config::new().deflate(deflate), Output::new());
        let mut ws = Connection::client(&request, config, seed, &mut output)?;
        let mut transport = connect(&uri, self.arguments.ca.as_deref())?;

        let mut buffer = vec![0; 16 << 10];
        let mut deadline = Some(Instant::now() + PATIENCE);
        loop {
            // A server that reads no more may have said something last.
            if output.write_to(&mut transport).and_then(|_| transport.flush()).is_err() {
                output = Output::new();
            }
            if ws.is_closed() {
                transport.end();
                return Ok(());
            }
            deadline = match ws.state() {
                State::Open => None,
                _ => deadline.or(Some(Instant::now() + PATIENCE)),
            };
            let n = read(&mut *transport, &mut buffer, deadline);
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

/// Whatever carries the connection's bytes.
trait Transport: Read + Write {
    /// The socket underneath, for its timeouts.
    fn tcp(&self) -> &TcpStream;

    /// Says goodbye, where the transport has a word for it.
    fn end(&mut self) {}
}

impl Transport for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Transport for StreamOwned<ClientConnection, TcpStream> {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }

    fn end(&mut self) {
        self.conn.send_close_notify();
        // The server, which closes first, may be gone.
        let _ = self.flush();
    }
}

fn connect(uri: &Uri, ca: Option<&str>) -> Result<Box<dyn Transport>, Box<dyn std::error::Error>> {
    let tcp = TcpStream::connect((uri.host(), uri.port()))?;
    tcp.set_nodelay(true)?;
    if !uri.is_secure() {
        return Ok(Box::new(tcp));
    }
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca {
        for certificate in CertificateDer::pem_file_iter(path)? {
            roots.add(certificate?)?;
        }
    } else {
        // A platform's store may have some that cannot be read, or none at all: then no server is trusted.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    // A server that has HTTP/2, too, is not to choose it.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(uri.host().to_owned())?;
    let mut tls = StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, tcp);
    // Reads and writes would shake hands as well. Here, what TLS has against the server is not taken for the end of the
    // stream.
    tls.sock.set_read_timeout(Some(PATIENCE))?;
    tls.conn.complete_io(&mut tls.sock)?;
    Ok(Box::new(tls))
}

/// Reads what there is; 0 for the end of the stream, whether the server made it, or a fault, or our patience.
fn read(transport: &mut dyn Transport, buffer: &mut [u8], deadline: Option<Instant>) -> usize {
    loop {
        let patience = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // A timeout of zero is refused, as an error like any other: then patience has ended.
        match transport.tcp().set_read_timeout(patience).and_then(|()| transport.read(buffer)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read.unwrap_or(0),
        }
    }
}

fn report(line: std::fmt::Arguments<'_>) {
    let mut stdout = io::stdout().lock();
    // Nobody may be listening any more; the connection is to end properly all the same.
    let line = line.to_string();
    let _ = writeln!(stdout, "{}", Printable(&line)).and_then(|()| stdout.flush());
}

#[derive(Default)]
struct Arguments {
    url: String,
    ca: Option<String>,
    subprotocols: Vec<String>,
    send: Vec<String>,
    echo: bool,
}

impl Arguments {
    fn parse() -> Option<Self> {
        let mut parsed = Self::default();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--ca" => parsed.ca = Some(arguments.next()?),
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
