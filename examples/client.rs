//! A blocking client for `ws` and `wss`.
//!
//! `cargo run --release --example client -- URL [--ca FILE] [--subprotocol NAME]… [--send TEXT]… [--echo]`
//!
//! For a `wss` URL, rustls encrypts the stream. It trusts the platform's certificate authorities, or only those in the
//! PEM file FILE.
//!
//! Prints `OPEN [subprotocol]`, `MSG text|binary LENGTH` for each message (LENGTH in bytes), and `CLOSED CODE`; or
//! `FAILED REASON` if the connection did not open, the only case with an exit status other than 0. Each is one line,
//! whatever the server sent. Closes with 1000 after one reply for each sent message; if it sends none, the server
//! closes.
//!
//! The loop is the guide's blocking recipe, on `Session`; for `wss`, the transport is the guide's TLS recipe.

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
    ClientRequest, CloseCode, Config, Connection, Deflate, DeflateParameter, Event, Output, SendError, SessionConfig,
    Timeouts,
};

const USAGE: &str = "usage: client URL [--ca FILE] [--subprotocol NAME]... [--send TEXT]... [--echo]";

/// The time for connecting, for the TLS handshake, for the opening handshake, and for the closing handshake.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The limit on bytes that wait for a server that does not read its echoes.
const MAX_WAITING: usize = 256 << 20;

fn main() -> ExitCode {
    let Some(arguments) = Arguments::parse() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let mut client = Client { arguments, opened: false, rejected: false, replies: 0 };
    if let Err(error) = client.run() {
        report(format_args!("FAILED {error}"));
    }
    if client.opened { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Client {
    arguments: Arguments,
    opened: bool,
    rejected: bool,
    replies: usize,
}

impl Client {
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
        let timeouts = Timeouts::new().handshake(TIMEOUT).closing(TIMEOUT);
        let mut peer = Peer::new(&mut *transport, ws, output, SessionConfig::new().timeouts(timeouts));
        while peer.turn(None, |event, ws, output| self.handle(event, ws, output)) {}
        Ok(())
    }

    fn handle(&mut self, event: Event<'_>, ws: &mut Connection, output: &mut Output) {
        // While the connection is closing, a message cannot be sent and is dropped.
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
                self.rejected = true;
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
            Event::Closed(closed) if !self.rejected => report(format_args!("FAILED {closed}")),
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
    let mut tcp = connect_tcp(uri.host(), uri.port())?;
    if !uri.is_secure() {
        return Ok(Box::new(tcp));
    }
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca {
        for certificate in CertificateDer::pem_file_iter(path)? {
            roots.add(certificate?)?;
        }
    } else {
        // The platform's store may contain invalid certificates, or be empty: then no server is trusted.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    // So that a server with HTTP/2 does not choose it.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(uri.host().to_owned())?;
    let mut conn = ClientConnection::new(Arc::new(config), name)?;
    // `Peer::turn` would do the TLS handshake, too, but would report its error as the end of the stream.
    tcp.set_read_timeout(Some(TIMEOUT))?;
    tcp.set_write_timeout(Some(TIMEOUT))?;
    conn.complete_io(&mut tcp)?;
    Ok(Box::new(Tls::new(conn, tcp)))
}

/// Tries the host's addresses in order.
fn connect_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut connected = Err(io::ErrorKind::AddrNotAvailable.into());
    for address in (host, port).to_socket_addrs()? {
        connected = TcpStream::connect_timeout(&address, TIMEOUT);
        if connected.is_ok() {
            break;
        }
    }
    connected
}

fn report(line: std::fmt::Arguments<'_>) {
    let mut stdout = io::stdout().lock();
    // Standard output may be closed; the connection must still end in order.
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
