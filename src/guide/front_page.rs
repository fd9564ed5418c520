use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use websocket_proto::{Action, Config, Connection, Event, Input, Output, Session, SessionConfig};

/// While bytes wait, the socket is tried in both directions in turn.
const PAUSE: Duration = Duration::from_millis(10);

fn serve(mut tcp: TcpStream) -> io::Result<()> {
    tcp.set_write_timeout(Some(PAUSE))?;
    let (mut buffer, mut output) = (vec![0; 64 << 10], Output::new());
    let mut session = Session::new(Instant::now(), Connection::server(Config::new()), SessionConfig::new());
    loop {
        let now = Instant::now();
        match session.poll(now, &mut output, |slices| tcp.write_vectored(slices)) {
            Action::Event(event) => echo(event, session.connection_mut(), &mut output),
            // Too many bytes wait: write again, and read nothing.
            Action::Wait { read: 0, .. } => {}
            Action::Wait { read, write, deadline } => {
                let _ = tcp.set_read_timeout(if write { Some(PAUSE) } else { deadline.map(|at| at - now) });
                let Some(n) = read_some(&mut tcp, &mut buffer[..read]) else { continue };
                let mut input = Input::from_read(&mut buffer[..n]);
                while let Some(event) = session.receive(&mut input, &mut output) {
                    echo(event, session.connection_mut(), &mut output);
                }
            }
            Action::ShutDown => tcp.shutdown(Shutdown::Write).unwrap_or_default(),
            _ => return Ok(()),
        }
    }
}

fn read_some(tcp: &mut TcpStream, buffer: &mut [u8]) -> Option<usize> {
    let mut read = tcp.read(buffer);
    if read.as_ref().is_err_and(|error| error.kind() == Interrupted) {
        // A stop signal: bytes that have arrived meanwhile are read before the deadline is checked.
        read = tcp.set_read_timeout(Some(PAUSE)).and_then(|()| tcp.read(buffer));
    }
    match read.map_err(|error| error.kind()) {
        Err(WouldBlock | TimedOut | Interrupted) => None,
        // Another error is the end of the stream.
        read => Some(read.unwrap_or(0)),
    }
}

fn echo(event: Event<'_>, ws: &mut Connection, output: &mut Output) {
    match event {
        Event::Request(request) => ws.accept(request, output),
        Event::Text(text) => drop(ws.send_text(&text, output)),
        Event::Binary(data) => drop(ws.send_binary(&data, output)),
        Event::Closed(closed) => println!("{closed}"),
        _ => {}
    }
}
