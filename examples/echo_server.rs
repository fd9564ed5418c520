//! A blocking echo server: `std::net`, one thread per connection.
//!
//! `cargo run --release --example echo_server -- [ADDR] [--max-message BYTES] [--no-deflate] [--timeout MILLISECONDS]`
//!
//! Text and binary messages are sent back. A client that offers permessage-deflate gets compressed messages, with the
//! window and context takeover of its offer; one that offers the subprotocol `chat` gets it. `--timeout` replaces every
//! default of `Timeouts`: the time for the handshake, the silence before a ping, the wait for its pong, and the time
//! for the closing handshake.
//!
//! `serve` is the whole loop: `Session` has the deadlines, the keep-alive, the backpressure, and the orderly end. `std`
//! cannot wait until a socket is readable or writable. So while bytes wait to be written, the loop waits for input only
//! for `PAUSE`, and then writes again.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use websocket_proto::{
    Accept, Action, Config, Connection, Deflate, Event, Input, Output, Session, SessionConfig, Timeouts,
};

const USAGE: &str = "usage: echo_server [ADDR] [--max-message BYTES] [--no-deflate] [--timeout MILLISECONDS]";

const PAUSE: Duration = Duration::from_millis(2);

fn main() -> ExitCode {
    let Some((address, config, session)) = arguments() else {
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
            let ws = Connection::server(config.clone());
            // This fails if the peer is gone, which the first read finds out.
            let _ = tcp.set_nodelay(true);
            // A peer that resets the connection, or stops reading, ends only its own thread.
            thread::Builder::new().spawn(move || serve(tcp, ws, session))
        });
        if let Err(error) = served {
            // The error stream may be closed.
            let _ = writeln!(io::stderr(), "cannot serve a connection: {error}");
            // Out of file descriptors or threads: wait until some are free again.
            thread::sleep(Duration::from_millis(50));
        }
    }
}

fn serve(mut tcp: TcpStream, ws: Connection, config: SessionConfig<Duration>) {
    let mut session = Session::new(Instant::now(), ws, config);
    let (mut buffer, mut output) = (vec![0; 64 << 10], Output::new());
    loop {
        let now = Instant::now();
        let _ = tcp.set_nonblocking(true);
        match session.poll(now, &mut output, |slices| tcp.write_vectored(slices)) {
            Action::Event(event) => echo(event, session.connection_mut(), &mut output),
            Action::Wait { read: 0, .. } => thread::sleep(PAUSE),
            Action::Wait { read, write, deadline } => {
                let wait = if write { Some(PAUSE) } else { deadline.map(|at| (at - now).max(PAUSE)) };
                let Some(n) = read_within(wait, &mut tcp, &mut buffer[..read]) else { continue };
                let mut input = Input::from_read(&mut buffer[..n]);
                while let Some(event) = session.receive(&mut input, &mut output) {
                    echo(event, session.connection_mut(), &mut output);
                }
            }
            Action::ShutDown => tcp.shutdown(Shutdown::Write).unwrap_or_default(),
            _ => return,
        }
    }
}

/// Waits for bytes. A failed read is the end of the stream.
fn read_within(wait: Option<Duration>, tcp: &mut TcpStream, buffer: &mut [u8]) -> Option<usize> {
    let ready = tcp.set_nonblocking(false).and_then(|()| tcp.set_read_timeout(wait));
    let mut read = ready.and_then(|()| tcp.read(buffer));
    if read.as_ref().is_err_and(|error| error.kind() == ErrorKind::Interrupted) {
        // The process was stopped, perhaps past a deadline: bytes that have arrived are read before it is checked.
        read = tcp.set_nonblocking(true).and_then(|()| tcp.read(buffer));
    }
    match read.map_err(|error| error.kind()) {
        Err(ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => None,
        read => Some(read.unwrap_or(0)),
    }
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

fn arguments() -> Option<(String, Config, SessionConfig<Duration>)> {
    let deflate = Deflate::new().window_bits(15).peer_window_bits(15).threshold(0);
    let (mut address, mut config, mut compresses) = (None, Config::new(), true);
    let mut session = SessionConfig::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--no-deflate" => compresses = false,
            "--max-message" => config = config.max_message_size(arguments.next()?.parse().ok()?),
            "--timeout" => {
                let span = Duration::from_millis(arguments.next()?.parse().ok()?);
                session = session.timeouts(Timeouts::new().handshake(span).keep_alive(span, span).closing(span));
            }
            _ if argument.starts_with('-') || address.is_some() => return None,
            _ => address = Some(argument),
        }
    }
    if compresses {
        config = config.deflate(deflate);
    }
    Some((address.unwrap_or_else(|| "127.0.0.1:9001".into()), config, session))
}
