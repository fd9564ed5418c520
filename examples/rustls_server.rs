//! A blocking echo server for `wss://`: `std::net` and rustls, one thread per connection.
//!
//! `cargo run --release --example rustls_server -- [ADDR] [--cert-file PATH]`
//!
//! At its start it makes a certificate for localhost, which `--cert-file` writes to a file that a client can trust:
//! `cargo run --release --example client -- wss://localhost:9443/ --ca PATH --send hello`. Two things differ from plain
//! TCP:
//! - **The end of the stream may be forged.** Without `close_notify`, an attacker on the network may have cut the
//!   stream, and rustls reports `UnexpectedEof`. Here it counts as the end of the stream: WebSocket has its own closing
//!   handshake, so a connection without a Close frame ends with 1006.
//! - **The end has one more step.** After the last frame the server sends `close_notify`.
//!
//! The loop is the guide's blocking recipe, on `Session`; the transport is the guide's TLS recipe.

#[path = "../src/guide/recipes/blocking.rs"]
mod blocking;
#[path = "../src/guide/recipes/tls.rs"]
mod tls;

use std::error::Error;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use blocking::Peer;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection};
use tls::Tls;
use websocket_proto::{Config, Connection, Event, Output, SessionConfig};

const USAGE: &str = "usage: rustls_server [ADDR] [--cert-file PATH]";

fn main() -> ExitCode {
    let Some((address, cert_file)) = arguments() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match listen(&address, cert_file.as_deref()) {
        Ok((listener, tls)) => accept_all(&listener, &tls),
        Err(error) => {
            eprintln!("cannot listen on {address}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn listen(address: &str, cert_file: Option<&str>) -> Result<(TcpListener, Arc<ServerConfig>), Box<dyn Error>> {
    // A real server loads the files of its certificate authority, with `CertificateDer::pem_file_iter` and
    // `PrivateKeyDer::from_pem_file` of `rustls::pki_types`.
    let certified = rcgen::generate_simple_self_signed(["localhost", "127.0.0.1", "::1"].map(String::from))?;
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let mut tls = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())?;
    // A client that supports only HTTP/2 fails in the TLS handshake.
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let listener = TcpListener::bind(address)?;
    if let Some(path) = cert_file {
        std::fs::write(path, certified.cert.pem())?;
    }
    let _ = writeln!(io::stdout(), "listening on wss://{}/", listener.local_addr()?);
    Ok((listener, Arc::new(tls)))
}

fn accept_all(listener: &TcpListener, tls: &Arc<ServerConfig>) -> ! {
    loop {
        let served = listener.accept().and_then(|(tcp, _)| {
            let tls = tls.clone();
            // A peer that resets the connection, or does not speak TLS, ends only its own thread.
            thread::Builder::new().spawn(move || drop(serve(tcp, tls)))
        });
        if let Err(error) = served {
            // The error stream may be closed.
            let _ = writeln!(io::stderr(), "cannot serve a connection: {error}");
            // Out of file descriptors or threads: wait until some are free again.
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn serve(tcp: TcpStream, tls: Arc<ServerConfig>) -> Result<(), rustls::Error> {
    // The first turns do the TLS handshake. If it fails, rustls sends an alert with the reason.
    let mut tls = Tls::new(ServerConnection::new(tls)?, tcp);
    let mut peer = Peer::new(&mut tls, Connection::server(Config::new()), Output::new(), SessionConfig::new());
    while peer.turn(None, echo) {}
    Ok(())
}

fn echo(event: Event<'_>, ws: &mut Connection, output: &mut Output) {
    // While the connection is closing, a message cannot be sent and is dropped.
    match event {
        Event::Request(request) => ws.accept(request, output),
        Event::Text(text) => drop(ws.send_text(&text, output)),
        Event::Binary(data) => drop(ws.send_binary(&data, output)),
        _ => {}
    }
}

fn arguments() -> Option<(String, Option<String>)> {
    let (mut address, mut cert_file) = (None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--cert-file" => cert_file = Some(arguments.next()?),
            _ if argument.starts_with('-') || address.is_some() => return None,
            _ => address = Some(argument),
        }
    }
    Some((address.unwrap_or_else(|| "127.0.0.1:9443".into()), cert_file))
}
