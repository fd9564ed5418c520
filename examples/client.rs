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
//!
//! The loop is the guide's blocking recipe, and what is between it and the socket is the guide's TLS recipe.

#[path = "../src/guide/recipes/blocking.rs"]
mod blocking;
#[path = "shared/printable.rs"]
mod printable;
#[path = "../src/guide/recipes/tls.rs"]
mod tls;

use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use blocking::{Peer, Transport};
use printable::Printable;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tls::Tls;
use websocket_proto::uri::Uri;
use websocket_proto::{
    ClientRequest, CloseCode, Config, Connection, Deflate, DeflateParameter, Event, Output, SendError, Timeouts,
};

const USAGE: &str = "usage: client URL [--ca FILE] [--subprotocol NAME]... [--send TEXT]... [--echo]";

/// How long the server may take to accept, and to answer the request; and later to answer a Close and close the
/// transport.
const PATIENCE: Duration = Duration::from_secs(5);

/// The most bytes that may wait for a server that does not take its echo.
const MAX_WAITING: usize = 256 << 20;

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
        let deflate = Deflate::new().client_no_context_takeover(DeflateParameter::Prefer);
        let (config, mut output) = (Config::new().deflate(deflate).max_output(MAX_WAITING), Output::new());
        let ws = Connection::client(&request, config, seed, &mut output)?;
        let mut transport = connect(&uri, self.arguments.ca.as_deref())?;
        let timeouts = Timeouts::new().opening(PATIENCE).closing(PATIENCE);
        let mut peer = Peer::new(&mut *transport, ws, output, timeouts);
        while peer.turn(None, |event, ws, output| self.handle(event, ws, output)) {}
        Ok(())
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
                if self.arguments.echo && ws.send_text(&text, output) == Err(SendError::Full) {
                    give_up(ws, output);
                }
                self.count_reply(ws, output);
            }
            Event::Binary(data) => {
                report(format_args!("MSG binary {}", data.len()));
                if self.arguments.echo && ws.send_binary(&data, output) == Err(SendError::Full) {
                    give_up(ws, output);
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

fn give_up(ws: &mut Connection, output: &mut Output) {
    ws.close(CloseCode::POLICY_VIOLATION, "you take too little", output);
}

fn connect(uri: &Uri, ca: Option<&str>) -> Result<Box<dyn Transport>, Box<dyn std::error::Error>> {
    let tcp = connect_tcp(uri.host(), uri.port())?;
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
    let mut tls = Tls { conn: ClientConnection::new(Arc::new(config), name)?.into(), tcp };
    // The first turns would shake hands as well. Here, what TLS has against the server is not taken for the end of the
    // stream.
    tls.tcp.set_read_timeout(Some(PATIENCE))?;
    tls.tcp.set_write_timeout(Some(PATIENCE))?;
    tls.conn.complete_io(&mut tls.tcp)?;
    Ok(Box::new(tls))
}

/// Tries the host's addresses one after the other.
fn connect_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut connected = Err(io::ErrorKind::AddrNotAvailable.into());
    for address in (host, port).to_socket_addrs()? {
        connected = TcpStream::connect_timeout(&address, PATIENCE);
        if connected.is_ok() {
            break;
        }
    }
    connected
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
