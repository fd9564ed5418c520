use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use websocket_proto::{Connection, Event, Input, Output, Role, Timeouts, Timers};

/// A server reads from a client only while fewer bytes than this wait to be written to it.
const MAX_WAITING: usize = 256 << 10;
/// Gives up on a peer that reads none of the waiting bytes for this long.
const STALL: Duration = Duration::from_secs(10);
/// The same limit after the connection's end, and the limit for the peer to close its side of the transport.
const GRACE: Duration = Duration::from_secs(2);
/// The pause after a turn in which a full socket accepted no bytes and had none to read.
const PAUSE: Duration = Duration::from_millis(2);

/// TCP, or TLS over TCP.
pub(crate) trait Transport: Read + Write {
    fn tcp(&self) -> &TcpStream;

    /// Sends the transport's own end of stream, if it has one: `close_notify` in TLS.
    fn goodbye(&mut self) {}
}

impl Transport for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

/// A connection and its transport.
pub(crate) struct Peer<'t> {
    pub(crate) ws: Connection,
    pub(crate) output: Output,
    transport: &'t mut dyn Transport,
    timers: Timers<Instant>,
    buffer: Vec<u8>,
    /// Whether the socket did not accept all bytes of the last write.
    is_full: bool,
    /// When the socket last accepted bytes or none waited, or when the connection ended.
    progress: Instant,
    /// Whether the stream has ended.
    has_ended: bool,
}

impl<'t> Peer<'t> {
    pub(crate) fn new(
        transport: &'t mut dyn Transport,
        ws: Connection,
        output: Output,
        timeouts: Timeouts<Duration>,
    ) -> Self {
        // If the socket is already closed, the next read fails.
        let _ = transport.tcp().set_nodelay(true);
        let (now, buffer) = (Instant::now(), vec![0; 16 << 10]);
        let (timers, is_full, has_ended) = (Timers::new(now, timeouts), false, false);
        Self { ws, output, transport, timers, buffer, is_full, progress: now, has_ended }
    }

    /// Writes, waits for input until the next deadline or `until`, and passes the events to `handle`. Returns `false`
    /// when the connection has ended: `handle` has had `Event::Closed`, and the transport was closed in order.
    pub(crate) fn turn(
        &mut self,
        until: Option<Instant>,
        mut handle: impl FnMut(Event<'_>, &mut Connection, &mut Output),
    ) -> bool {
        let was_closed = self.ws.is_closed();
        self.write();
        if (was_closed && !self.is_full) || self.progress.elapsed() >= if was_closed { GRACE } else { STALL } {
            // The application gets `Event::Closed` however the connection ended.
            while let Some(event) = self.ws.receive_eof() {
                handle(event, &mut self.ws, &mut self.output);
            }
            self.end();
            return false;
        }
        let n = self.read(until);
        self.has_ended |= n == Some(0);
        let Self { ws, output, .. } = self;
        let mut input = Input::new(&mut self.buffer[..n.unwrap_or(0)]);
        while let Some(event) = if n == Some(0) { ws.receive_eof() } else { ws.receive(&mut input, output) } {
            handle(event, ws, output);
        }
        let now = Instant::now();
        self.timers.handle_timeout(now, ws, output);
        if ws.is_closed() && !was_closed {
            self.progress = now;
        }
        true
    }

    /// Writes the bytes that the socket accepts without blocking.
    fn write(&mut self) {
        let (was_full, before) = (self.is_full, self.output.len());
        let _ = self.transport.tcp().set_nonblocking(true);
        // TLS buffers bytes until they are flushed.
        let written = self.output.write_to(self.transport).and_then(|_| self.transport.flush());
        let is_kept = |kind| matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted);
        if written.as_ref().is_err_and(|error| !is_kept(error.kind())) {
            // The peer's last bytes may still be unread: reading goes on until it reports the end of the stream.
            self.output = Output::new();
        }
        self.is_full = !self.output.is_empty() || written.is_err_and(|error| is_kept(error.kind()));
        let (now, has_taken) = (Instant::now(), self.output.len() < before);
        if has_taken && was_full {
            // The socket has room again only because the peer read bytes: the peer is alive.
            self.timers.note_activity(now);
        }
        if has_taken || !was_full {
            self.progress = now;
        }
    }

    /// Reads. Returns `None` if no bytes arrived, 0 at the end of the stream. Blocks only if no bytes wait to be
    /// written.
    fn read(&mut self, until: Option<Instant>) -> Option<usize> {
        // If both ends stopped reading, each would wait for the other. So a client never stops.
        let has_room = self.ws.role() == Role::Client || self.output.len() < MAX_WAITING;
        if self.has_ended || !(has_room || self.ws.is_closed()) {
            thread::sleep(PAUSE);
            return None;
        }
        let due = until.into_iter().chain(self.timers.poll_timeout()).min();
        let patience = due.map(|due| due.saturating_duration_since(Instant::now()));
        let is_hurried = self.is_full || patience.is_some_and(|patience| patience.is_zero());
        let tcp = self.transport.tcp();
        let ready = tcp.set_nonblocking(is_hurried);
        let ready = ready.and_then(|()| tcp.set_read_timeout(patience.filter(|_| !is_hurried)));
        match ready.and_then(|()| self.transport.read(&mut self.buffer)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => None,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if self.is_full {
                    thread::sleep(PAUSE);
                }
                None
            }
            // Treats an error as the end of the stream.
            read => Some(read.unwrap_or(0)),
        }
    }

    /// RFC 6455 §7.1.1: shuts down the sending side and reads to the end of the stream. Closing with unread input would
    /// reset the connection, which could destroy the last bytes in transit.
    fn end(&mut self) {
        let deadline = Instant::now() + GRACE;
        let tcp = self.transport.tcp();
        let _ = tcp.set_nonblocking(false).and_then(|()| tcp.set_write_timeout(Some(GRACE)));
        self.transport.goodbye();
        let mut tcp = self.transport.tcp();
        let _ = tcp.shutdown(Shutdown::Write);
        // A timeout of zero is an error: then the grace period is over.
        while tcp.set_read_timeout(Some(deadline.saturating_duration_since(Instant::now()))).is_ok() {
            match tcp.read(&mut self.buffer) {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }
}
