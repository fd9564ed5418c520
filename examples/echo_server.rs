//! A blocking echo server: `std::net`, a thread per connection.
//!
//! `cargo run --release --example echo_server -- [ADDR] [--max-message BYTES] [--no-deflate]`
//!
//! Compresses whatever a client that offers permessage-deflate sends, with the window and takeover that it offers.
//! Text and binary messages come back as they are. The subprotocol `chat` is selected when it is offered.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use websocket_proto::{Accept, Config, Connection, Deflate, Event, Input, Output};

const USAGE: &str = "usage: echo_server [ADDR] [--max-message BYTES] [--no-deflate]";

fn main() -> ExitCode {
    let Some((address, config)) = arguments() else {
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
            let config = config.clone();
            // A peer that resets, or stops reading, ends its own thread and nothing else.
            thread::Builder::new().spawn(move || drop(serve(tcp, config)))
        });
        if let Err(error) = served {
            // Whoever started this may have closed its error stream.
            let _ = writeln!(io::stderr(), "cannot serve a connection: {error}");
            // Out of file descriptors or threads: some will come back.
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn serve(mut tcp: TcpStream, config: Config) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let (mut buffer, mut output) = (vec![0; 16 << 10], Output::new());
    let mut ws = Connection::server(config);
    while !ws.is_closed() {
        let n = match tcp.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        let mut input = Input::new(&mut buffer[..n]);
        while let Some(event) = if n == 0 { ws.receive_eof() } else { ws.receive(&mut input, &mut output) } {
            echo(event, &mut ws, &mut output);
        }
        output.write_to(&mut tcp)?;
    }
    linger(&tcp, &mut buffer)
}

fn echo(event: Event<'_>, ws: &mut Connection, output: &mut Output) {
    // A message that cannot be sent, because the connection is closing, has nowhere else to go.
    match event {
        Event::Request(request) if request.subprotocols().any(|name| name == "chat") => {
            let accepted = ws.accept_with(request, &Accept::new().subprotocol("chat"), output);
            accepted.expect("the subprotocol was offered");
        }
        Event::Request(request) => ws.accept(request, output),
        Event::Text(text) => drop(ws.send_text(&text, output)),
        Event::Binary(data) => drop(ws.send_binary(&data, output)),
        _ => {}
    }
}

/// RFC 6455 §7.1.1: shut the sending side down, then read to the end. To close with input unread would reset the
/// connection, and could destroy the Close frame on its way.
fn linger(mut tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    tcp.shutdown(Shutdown::Write)?;
    tcp.set_read_timeout(Some(Duration::from_secs(1)))?;
    let deadline = Instant::now() + Duration::from_secs(2);
    while tcp.read(buffer)? > 0 && Instant::now() < deadline {}
    Ok(())
}

fn arguments() -> Option<(String, Config)> {
    let deflate = Deflate::new().window_bits(15).peer_window_bits(15).threshold(0);
    let (mut address, mut config, mut deflates) = (None, Config::new(), true);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--no-deflate" => deflates = false,
            "--max-message" => config = config.max_message_size(arguments.next()?.parse().ok()?),
            _ if argument.starts_with('-') || address.is_some() => return None,
            _ => address = Some(argument),
        }
    }
    if deflates {
        config = config.deflate(deflate);
    }
    Some((address.unwrap_or_else(|| "127.0.0.1:9001".into()), config))
}
