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
//! For deadlines and backpressure see `tokio_server`.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use websocket_proto::{Config, Connection, Event, Input, Output};

const USAGE: &str = "usage: rustls_server [ADDR] [--cert-file PATH]";

type Tls = StreamOwned<ServerConnection, TcpStream>;

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

fn serve(tcp: TcpStream, tls: Arc<ServerConfig>) -> Result<(), Box<dyn Error>> {
    tcp.set_nodelay(true)?;
    let mut tls = StreamOwned::new(ServerConnection::new(tls)?, tcp);
    // The first read shakes hands. Where that fails, rustls has told the peer why, in an alert that has to arrive.
    let served = drive(&mut tls);
    tls.conn.send_close_notify();
    // Not `flush`: if the hands were not shaken it would go on with that, and wait for the peer.
    while tls.conn.wants_write() {
        tls.conn.write_tls(&mut tls.sock)?;
    }
    linger(&tls.sock)?;
    Ok(served?)
}

fn drive(tls: &mut Tls) -> io::Result<()> {
    let (mut buffer, mut output) = (vec![0; 16 << 10], Output::new());
    let mut ws = Connection::server(Config::new());
    while !ws.is_closed() {
        let n = match tls.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => 0,
            read => read?,
        };
        let mut input = Input::new(&mut buffer[..n]);
        while let Some(event) = if n == 0 { ws.receive_eof() } else { ws.receive(&mut input, &mut output) } {
            // A message that cannot be sent, because the connection is closing, has nowhere else to go.
            match event {
                Event::Request(request) => ws.accept(request, &mut output),
                Event::Text(text) => drop(ws.send_text(&text, &mut output)),
                Event::Binary(data) => drop(ws.send_binary(&data, &mut output)),
                _ => {}
            }
        }
        output.write_to(tls)?;
        // What rustls took in `write` but could not send, it says here.
        tls.flush()?;
    }
    Ok(())
}

/// RFC 6455 §7.1.1: shut the sending side down, then read to the end. To close with input unread would reset the
/// connection, and could destroy on its way what was sent last.
fn linger(mut tcp: &TcpStream) -> io::Result<()> {
    tcp.shutdown(Shutdown::Write)?;
    tcp.set_read_timeout(Some(Duration::from_secs(1)))?;
    let deadline = Instant::now() + Duration::from_secs(2);
    while tcp.read(&mut [0; 4096])? > 0 && Instant::now() < deadline {}
    Ok(())
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
