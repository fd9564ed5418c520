//! A blocking echo server: `std::net`, one thread per connection.
//!
//! `cargo run --release --example echo_server -- [ADDR] [--max-message BYTES] [--no-deflate] [--timeout MILLISECONDS]`
//!
//! Text and binary messages are sent back. A client that offers permessage-deflate gets compressed messages, with the
//! window and context takeover of its offer; one that offers the subprotocol `chat` gets it. `--timeout` replaces every
//! default of `Timeouts`: the time for the handshake, the silence before a ping, the wait for its pong, and the time
//! for the closing handshake.
//!
//! The loop is the guide's blocking recipe, with deadlines, keep-alive, backpressure and an orderly end.

#[path = "../src/guide/recipes/blocking.rs"]
mod blocking;

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use blocking::Peer;
use websocket_proto::{Accept, Config, Connection, Deflate, Event, Output, Timeouts};

const USAGE: &str = "usage: echo_server [ADDR] [--max-message BYTES] [--no-deflate] [--timeout MILLISECONDS]";

fn main() -> ExitCode {
    let Some((address, config, timeouts)) = arguments() else {
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
            // A peer that resets the connection, or stops reading, ends only its own thread.
            thread::Builder::new().spawn(move || serve(tcp, config, timeouts))
        });
        if let Err(error) = served {
            // The error stream may be closed.
            let _ = writeln!(io::stderr(), "cannot serve a connection: {error}");
            // Out of file descriptors or threads: wait until some are free again.
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn serve(mut tcp: TcpStream, config: Config, timeouts: Timeouts<Duration>) {
    let mut peer = Peer::new(&mut tcp, Connection::server(config), Output::new(), timeouts);
    while peer.turn(None, echo) {}
}

fn echo(event: Event<'_>, ws: &mut Connection, output: &mut Output) {
    // While the connection is closing, a message cannot be sent and is dropped.
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

fn arguments() -> Option<(String, Config, Timeouts<Duration>)> {
    let deflate = Deflate::new().window_bits(15).peer_window_bits(15).threshold(0);
    let (mut address, mut config, mut compresses) = (None, Config::new(), true);
    let mut timeouts = Timeouts::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--no-deflate" => compresses = false,
            "--max-message" => config = config.max_message_size(arguments.next()?.parse().ok()?),
            "--timeout" => {
                let span = Duration::from_millis(arguments.next()?.parse().ok()?);
                timeouts = timeouts.handshake(span).keep_alive(span, span).closing(span);
            }
            _ if argument.starts_with('-') || address.is_some() => return None,
            _ => address = Some(argument),
        }
    }
    if compresses {
        config = config.deflate(deflate);
    }
    Some((address.unwrap_or_else(|| "127.0.0.1:9001".into()), config, timeouts))
}
