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
        let n = if read == 0 { Err(ErrorKind::WouldBlock.into()) } else { tcp.read(&mut buffer[..read]) };
        if n.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            let patience = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            match ready.poll(&mut events, patience) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => continue,
            }
        }
        // A failed read is the end of the stream.
        let mut input = Input::from_read(&mut buffer[..n.unwrap_or(0)]);
        while let Some(event) = session.receive(&mut input, &mut output) {
            handle(event, session.connection_mut(), &mut output);
        }
    }
}
