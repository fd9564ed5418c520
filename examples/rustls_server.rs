//! A blocking echo server for `wss://`: `std::net`, a thread per connection, and rustls between the two.
//!
//! `cargo run --release --example rustls_server -- [ADDR] [--cert-file PATH]`
//!
//! The certificate, for localhost, is made at the start, and `--cert-file` writes it where a client can learn to trust
//! it: `cargo run --release --example client -- wss://localhost:9443/ --ca PATH --send hello`. What TLS changes:
//! - **A stream that ends is not always over.** Without TLS's own goodbye, `close_notify`, anybody on the way may have
//!   cut it off, and rustls says so: `UnexpectedEof`. Here it is an end like any other, because WebSocket has a goodbye
//!   of its own: without a Close frame the connection ends with 1006.
//! - **The end has one step more.** After the last frame comes `close_notify`, then the end of the sending side, then
//!   what the peer still sends is read and thrown away.
//!
//! The loop is the guide's blocking recipe, and what is between it and the socket is the guide's TLS recipe.

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
use websocket_proto::{Config, Connection, Event, Output, Timeouts};

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
    // A real server loads what its certificate authority gave it: `CertificateDer::pem_file_iter` and
    // `PrivateKeyDer::from_pem_file`, of `rustls::pki_types`.
    let made = rcgen::generate_simple_self_signed(["localhost", "127.0.0.1", "::1"].map(String::from))?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut tls =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key.into())?;
    // Whoever would speak only HTTP/2 is told so before it starts to.
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let listener = TcpListener::bind(address)?;
    if let Some(path) = cert_file {
        std::fs::write(path, made.cert.pem())?;
    }
    let _ = writeln!(io::stdout(), "listening on wss://{}/", listener.local_addr()?);
    Ok((listener, Arc::new(tls)))
}

fn accept_all(listener: &TcpListener, tls: &Arc<ServerConfig>) -> ! {
    loop {
        let served = listener.accept().and_then(|(tcp, _)| {
            let tls = tls.clone();
            // A peer that resets, or speaks no TLS, ends its own thread and nothing else.
            thread::Builder::new().spawn(move || drop(serve(tcp, tls)))
        });
        if let Err(error) = served {
            // Whoever started this may have closed its error stream.
            let _ = writeln!(io::stderr(), "cannot serve a connection: {error}");
            // Out of file descriptors or threads: some will come back.
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn serve(tcp: TcpStream, tls: Arc<ServerConfig>) -> Result<(), rustls::Error> {
    // The first turns shake hands. Where that fails, rustls tells the peer why, in an alert.
    let mut tls = Tls { conn: ServerConnection::new(tls)?.into(), tcp };
    let mut peer = Peer::new(&mut tls, Connection::server(Config::new()), Output::new(), Timeouts::new());
    while peer.turn(None, echo) {}
    Ok(())
}

fn echo(event: Event<'_>, ws: &mut Connection, output: &mut Output) {
    // A message that cannot be sent, because the connection is closing, has nowhere else to go.
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
