use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use websocket_proto::{Action, Connection, Event, Input, Output, Session, SessionConfig};

/// How long to wait for input while bytes wait to be written.
const PAUSE: Duration = Duration::from_millis(2);

/// TCP, or TLS over TCP. A read that fails with [`ErrorKind::InvalidData`] is a fault of TLS; later reads return the
/// bytes of TCP.
pub(crate) trait Transport: Read + Write {
    fn tcp(&self) -> &TcpStream;

    /// Shuts down the sending side.
    fn shut_down(&mut self);
}

impl Transport for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }

    fn shut_down(&mut self) {
        // This fails if the peer has reset the connection.
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// A connection and its transport.
pub(crate) struct Peer<'t> {
    pub(crate) session: Session<Instant>,
    transport: &'t mut dyn Transport,
    output: Output,
    buffer: Vec<u8>,
    /// The session's wait at the end of the last turn.
    wait: Option<Wait>,
}

/// The size of the next read, whether bytes wait to be written, and the deadline.
type Wait = (usize, bool, Option<Instant>);

impl<'t> Peer<'t> {
    /// A client's request is in `output`.
    pub(crate) fn new(
        transport: &'t mut dyn Transport,
        ws: Connection,
        output: Output,
        config: SessionConfig<Duration>,
    ) -> Self {
        // If the socket is already closed, the next read fails.
        let _ = transport.tcp().set_nodelay(true);
        let session = Session::new(Instant::now(), ws, config);
        Self { session, transport, output, buffer: vec![0; 64 << 10], wait: None }
    }

    /// Writes, waits for input until the next deadline or `until`, passes the events to `handle`, and writes again. Returns
    /// `false` when the session is over: `handle` has had `Event::Closed`, and the transport must be dropped.
    pub(crate) fn turn(
        &mut self,
        until: Option<Instant>,
        mut handle: impl FnMut(Event<'_>, &mut Connection, &mut Output),
    ) -> bool {
        // If the application has done nothing since the last turn, the session waits for the same. To poll it again
        // would check the deadlines before bytes that have arrived are read.
        let is_unchanged = self.session.waiting() == 0 && !self.session.connection().is_closed();
        let wait = self.wait.take().filter(|_| is_unchanged);
        let Some((most, write, deadline)) = wait.or_else(|| self.poll(&mut handle)) else { return false };
        // `std` cannot wait for both directions.
        let due = if write { Some(Instant::now() + PAUSE) } else { deadline.into_iter().chain(until).min() };
        self.receive(most, due, &mut handle);
        self.wait = self.poll(&mut handle);
        self.wait.is_some()
    }

    /// Writes, until the session waits. `None` if it is over.
    fn poll(&mut self, handle: &mut impl FnMut(Event<'_>, &mut Connection, &mut Output)) -> Option<Wait> {
        let _ = self.transport.tcp().set_nonblocking(true);
        loop {
            match self.session.poll_writer(Instant::now(), &mut self.output, self.transport) {
                Action::Event(event) => handle(event, self.session.connection_mut(), &mut self.output),
                Action::ShutDown => self.transport.shut_down(),
                Action::Wait { read, write, deadline } => return Some((read, write, deadline)),
                _ => return None,
            }
        }
    }

    /// Waits until `due` for at most `most` bytes.
    fn receive(
        &mut self,
        most: usize,
        due: Option<Instant>,
        handle: &mut impl FnMut(Event<'_>, &mut Connection, &mut Output),
    ) {
        let Self { session, transport, output, buffer, .. } = self;
        if most == 0 {
            return thread::sleep(PAUSE);
        }
        let n = match read_until(*transport, due, &mut buffer[..most]).map_err(|error| error.kind()) {
            Err(ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => return,
            Err(ErrorKind::InvalidData) => {
                // Ends the connection. The session then reads and discards the bytes of TCP: closing with unread input
                // would reset the connection, which could destroy the alert in transit.
                while let Some(event) = session.connection_mut().receive_eof() {
                    handle(event, session.connection_mut(), output);
                }
                return;
            }
            // Another error is the end of the stream.
            read => read.unwrap_or(0),
        };
        let mut input = Input::from_read(&mut buffer[..n]);
        while let Some(event) = session.receive(&mut input, output) {
            handle(event, session.connection_mut(), output);
        }
    }
}

/// Reads from a nonblocking socket. Waits for bytes until `due`; if that has passed, it does not block.
fn read_until(transport: &mut dyn Transport, due: Option<Instant>, buffer: &mut [u8]) -> io::Result<usize> {
    let wait = due.map(|due| due.saturating_duration_since(Instant::now()));
    if wait != Some(Duration::ZERO) {
        transport.tcp().set_nonblocking(false)?;
        transport.tcp().set_read_timeout(wait)?;
    }
    let read = transport.read(buffer);
    if read.as_ref().is_err_and(|error| error.kind() == ErrorKind::Interrupted) {
        // The process was stopped, perhaps past a deadline: bytes that have arrived are read before it is checked.
        transport.tcp().set_nonblocking(true)?;
        return transport.read(buffer);
    }
    read
}
