//! [`Driver`]: a recipe that drives a connection, wrapped for a test; [`App`]: the application that it serves.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use tokio::sync::mpsc;
use websocket_proto::{
    ClientRequest, CloseCode, Closed, Config, Connection, Event, Output, Role, Session, SessionConfig, Timeouts,
};

use crate::peers::Stream;
use crate::{blocking, completion, event_loop, no_std, session, tls, tokio_recipe};

pub(crate) struct Driver {
    /// Drives a connection to its end.
    pub(crate) drive: fn(TcpStream, Role, App, Timeouts<Duration>) -> Received,
    /// Turns the socket into the stream that a peer of this role reads and writes.
    pub(crate) peer: fn(TcpStream, Role) -> Box<dyn Stream>,
}

pub(crate) const BLOCKING: Driver = Driver { drive: drive_blocking, peer: |tcp, _| Box::new(tcp) };
pub(crate) const TLS: Driver = Driver { drive: drive_tls, peer: tls_peer };
pub(crate) const EVENT_LOOP: Driver = Driver { drive: drive_event_loop, peer: |tcp, _| Box::new(tcp) };
pub(crate) const SESSION: Driver = Driver { drive: drive_session, peer: |tcp, _| Box::new(tcp) };
pub(crate) const COMPLETION: Driver = Driver { drive: drive_by_completion, peer: |tcp, _| Box::new(tcp) };
pub(crate) const NO_STD: Driver = Driver { drive: drive_without_std, peer: |tcp, _| Box::new(tcp) };
pub(crate) const TOKIO: Driver = Driver { drive: drive_tokio, peer: |tcp, _| Box::new(tcp) };

/// Everything that the application received.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) messages: usize,
    pub(crate) closed: Vec<Closed>,
}

impl Received {
    /// The only last event.
    pub(crate) fn end(&self) -> &Closed {
        let [closed] = &self.closed[..] else { panic!("not exactly one end: {:?}", self.closed) };
        closed
    }
}

/// Sends its messages as soon as the connection is open; echoes messages, if asked to; as a client it closes after the
/// last expected message.
#[derive(Default)]
pub(crate) struct App {
    sends: usize,
    echoes: bool,
    expects: usize,
    /// Whether messages of several peers arrive, in any order.
    is_shared: bool,
    pub(crate) received: Received,
}

impl App {
    /// An application that sends the messages of [`message`].
    pub(crate) fn sending(count: usize) -> Self {
        Self { sends: count, expects: count, ..Self::default() }
    }

    pub(crate) fn expecting(count: usize) -> Self {
        Self { expects: count, ..Self::default() }
    }

    pub(crate) fn echoing() -> Self {
        Self { echoes: true, ..Self::default() }
    }

    /// An application that echoes, for several connections at once.
    pub(crate) fn echoing_anything() -> Self {
        Self { echoes: true, is_shared: true, ..Self::default() }
    }

    pub(crate) fn handle(&mut self, event: Event<'_>, ws: &mut Connection, output: &mut Output) {
        match event {
            Event::Request(request) => {
                ws.accept(request, output);
                self.send(ws, output);
            }
            Event::Open(_) => self.send(ws, output),
            Event::Binary(data) => {
                assert!(
                    self.is_shared || data == message(self.received.messages),
                    "message {}",
                    self.received.messages
                );
                self.received.messages += 1;
                if self.echoes {
                    let _ = ws.send_binary(&data, output);
                }
                if self.received.messages == self.expects && ws.role() == Role::Client {
                    ws.close(CloseCode::NORMAL_CLOSURE, "", output);
                }
            }
            Event::Closed(closed) => self.received.closed.push(closed),
            _ => {}
        }
    }

    fn send(&self, ws: &mut Connection, output: &mut Output) {
        for at in 0..self.sends {
            ws.send_binary(&message(at), output).expect("the connection is open");
        }
    }
}

/// A megabyte that differs from message to message.
pub(crate) fn message(at: usize) -> Vec<u8> {
    vec![u8::try_from(at % 251).expect("it is small"); 1_000_000]
}

pub(crate) fn start(role: Role) -> (Connection, Output) {
    let mut output = Output::new();
    let ws = match role {
        Role::Server => Connection::server(Config::new()),
        Role::Client => {
            let request = ClientRequest::new("ws://localhost/");
            Connection::client(&request, Config::new(), [7; 32], &mut output).expect("the request is valid")
        }
    };
    (ws, output)
}

fn drive_blocking(mut tcp: TcpStream, role: Role, app: App, timeouts: Timeouts<Duration>) -> Received {
    turn_by_turn(&mut tcp, role, app, timeouts)
}

fn turn_by_turn(
    transport: &mut dyn blocking::Transport,
    role: Role,
    mut app: App,
    timeouts: Timeouts<Duration>,
) -> Received {
    let (ws, output) = start(role);
    let mut peer = blocking::Peer::new(transport, ws, output, SessionConfig::new().timeouts(timeouts));
    while peer.turn(None, |event, ws, output| app.handle(event, ws, output)) {}
    app.received
}

/// A server's configuration, and a client's that trusts it.
fn tls_configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    static MADE: OnceLock<(Arc<ServerConfig>, Arc<ClientConfig>)> = OnceLock::new();
    let make = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let certificate: CertificateDer<'static> = made.cert.der().clone();
        let key: PrivateKeyDer<'static> = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
        let server = ServerConfig::builder().with_no_client_auth();
        let server = server.with_single_cert(vec![certificate.clone()], key).expect("the key fits the certificate");
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("a certificate");
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        (Arc::new(server), Arc::new(client))
    };
    MADE.get_or_init(make).clone()
}

fn tls_server() -> ServerConnection {
    ServerConnection::new(tls_configs().0).expect("the configuration is valid")
}

fn tls_client() -> ClientConnection {
    let name = ServerName::try_from("localhost").expect("a name");
    ClientConnection::new(tls_configs().1, name).expect("the configuration is valid")
}

fn drive_tls(tcp: TcpStream, role: Role, app: App, timeouts: Timeouts<Duration>) -> Received {
    let conn: rustls::Connection = match role {
        Role::Server => tls_server().into(),
        Role::Client => tls_client().into(),
    };
    turn_by_turn(&mut tls::Tls::new(conn, tcp), role, app, timeouts)
}

fn tls_peer(tcp: TcpStream, role: Role) -> Box<dyn Stream> {
    match role {
        Role::Server => Box::new(StreamOwned::new(tls_server(), tcp)),
        Role::Client => Box::new(StreamOwned::new(tls_client(), tcp)),
    }
}

/// An event loop with one connection.
fn drive_event_loop(tcp: TcpStream, role: Role, mut app: App, timeouts: Timeouts<Duration>) -> Received {
    tcp.set_nonblocking(true).expect("the socket is open");
    let (mut peers, (ws, backlog)) = (event_loop::Peers::new().expect("a poll"), start(role));
    let config = SessionConfig::new().timeouts(timeouts);
    peers.add(mio::net::TcpStream::from_std(tcp), ws, backlog, config).expect("the socket is open");
    while !peers.all.is_empty() {
        peers.round(|event, ws, output| app.handle(event, ws, output)).expect("it goes on");
    }
    app.received
}

fn drive_session(tcp: TcpStream, role: Role, mut app: App, timeouts: Timeouts<Duration>) -> Received {
    tcp.set_nonblocking(true).expect("the socket is open");
    let (tcp, (ws, output)) = (mio::net::TcpStream::from_std(tcp), start(role));
    let config = SessionConfig::new().timeouts(timeouts);
    session::drive(tcp, ws, output, config, |event, ws, output| app.handle(event, ws, output)).expect("a poll");
    app.received
}

fn drive_by_completion(tcp: TcpStream, role: Role, mut app: App, timeouts: Timeouts<Duration>) -> Received {
    let ((ws, output), config) = (start(role), SessionConfig::new().timeouts(timeouts));
    completion::drive(tcp, ws, output, config, |event, ws, output| app.handle(event, ws, output));
    app.received
}

/// A socket in the place of a transport without an operating system.
struct Bare(TcpStream);

impl no_std::Transport for Bare {
    fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        match self.0.read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            read => Some(read.unwrap_or(0)),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Option<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Some(0),
            written => written.ok(),
        }
    }

    fn shut_down(&mut self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }
}

fn drive_without_std(tcp: TcpStream, role: Role, mut app: App, timeouts: Timeouts<Duration>) -> Received {
    tcp.set_nonblocking(true).expect("the socket is open");
    let ((ws, mut output), begin) = (start(role), Instant::now());
    let mut session = Session::new(Duration::ZERO, ws, SessionConfig::new().timeouts(timeouts));
    let (mut bare, mut most, mut buffer) = (Bare(tcp), 0, vec![0; 16 << 10]);
    let mut turn = || {
        let handle = |event: Event<'_>, ws: &mut _, output: &mut _| app.handle(event, ws, output);
        no_std::turn(begin.elapsed(), &mut session, &mut bare, &mut most, &mut buffer, &mut output, handle)
    };
    while turn().is_some() {
        // Nothing tells when the transport is ready.
        thread::sleep(Duration::from_millis(1));
    }
    app.received
}

fn drive_tokio(tcp: TcpStream, role: Role, mut app: App, timeouts: Timeouts<Duration>) -> Received {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        tcp.set_nonblocking(true).expect("the socket is open");
        let tcp = tokio::net::TcpStream::from_std(tcp).expect("the socket is open");
        let ((ws, output), (_news, received)) = (start(role), mpsc::channel(1));
        let config = SessionConfig::new().timeouts(timeouts);
        tokio_recipe::drive(tcp, ws, output, config, received, |event, ws, output| app.handle(event, ws, output)).await;
    });
    app.received
}
