use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use websocket_proto::{Action, Connection, Event, Input, Output, Session, SessionConfig};

/// Drives a connection to its end. A client's request is in `output`.
pub(crate) fn drive(
    mut tcp: TcpStream,
    ws: Connection,
    mut output: Output,
    config: SessionConfig<Duration>,
    mut handle: impl FnMut(Event<'_>, &mut Connection, &mut Output),
) -> io::Result<()> {
    let (mut ready, mut events, mut buffer) = (Poll::new()?, Events::with_capacity(8), vec![0; 64 << 10]);
    ready.registry().register(&mut tcp, Token(0), Interest::READABLE | Interest::WRITABLE)?;
    let mut session = Session::new(Instant::now(), ws, config);
    loop {
        let (read, deadline) = loop {
            match session.poll(Instant::now(), &mut output, |slices| tcp.write_vectored(slices)) {
                Action::Wait { read, deadline, .. } => break (read, deadline),
                Action::Event(event) => handle(event, session.connection_mut(), &mut output),
                Action::ShutDown => drop(tcp.shutdown(Shutdown::Write)),
                _ => return Ok(()),
            }
        };
        let mut n = read_some(&mut tcp, &mut buffer[..read]);
        if n.is_none() {
            let patience = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            match ready.poll(&mut events, patience) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                // Bytes that have arrived are read before the deadlines are checked.
                _ => n = read_some(&mut tcp, &mut buffer[..read]),
            }
        }
        let Some(n) = n else { continue };
        let mut input = Input::from_read(&mut buffer[..n]);
        while let Some(event) = session.receive(&mut input, &mut output) {
            handle(event, session.connection_mut(), &mut output);
        }
    }
}

/// Reads available bytes. A failed read is the end of the stream. `None`: nothing is available, or may be read.
fn read_some(tcp: &mut TcpStream, buffer: &mut [u8]) -> Option<usize> {
    match tcp.read(buffer) {
        Ok(_) if buffer.is_empty() => None,
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => None,
        n => Some(n.unwrap_or(0)),
    }
}
