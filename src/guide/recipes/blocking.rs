use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use websocket_proto::{Connection, Event, Input, Output, Role, Timeouts, Timers};

/// A server reads from a client only while fewer bytes than this wait for it.
const MAX_WAITING: usize = 256 << 10;
/// A peer that takes none of the waiting bytes for this long is given up.
const STALL: Duration = Duration::from_secs(10);
/// The same once the connection is over, and how long the peer may then take to close its side.
const GRACE: Duration = Duration::from_secs(2);
/// How long to wait before a full socket is tried again, if nothing comes from it either.
const PAUSE: Duration = Duration::from_millis(2);

/// TCP, or TLS over TCP.
pub(crate) trait Transport: Read + Write {
    fn tcp(&self) -> &TcpStream;

    /// Says goodbye, if the transport has a word for it.
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
    /// Whether the last write left bytes that the socket did not take.
    is_full: bool,
    /// When it last took some, or there were none; or when the connection was found to be over.
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
        // A socket that is gone already says so when it is read.
        let _ = transport.tcp().set_nodelay(true);
        let (now, buffer) = (Instant::now(), vec![0; 16 << 10]);
        let (timers, is_full, has_ended) = (Timers::new(now, timeouts), false, false);
        Self { ws, output, transport, timers, buffer, is_full, progress: now, has_ended }
    }

    /// Writes, waits for input until something is due, or `until`, and gives the events to `handle`. Returns whether
    /// the connection goes on. If not, `handle` has had `Event::Closed`, and the transport was ended in order.
    pub(crate) fn turn(
        &mut self,
        until: Option<Instant>,
        mut handle: impl FnMut(Event<'_>, &mut Connection, &mut Output),
    ) -> bool {
        let was_closed = self.ws.is_closed();
        self.write();
        if (was_closed && !self.is_full) || self.progress.elapsed() >= if was_closed { GRACE } else { STALL } {
            // However it ended, the application hears of it.
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

    /// Writes what the socket takes at once.
    fn write(&mut self) {
        let (was_full, before) = (self.is_full, self.output.len());
        let _ = self.transport.tcp().set_nonblocking(true);
        // TLS holds back what is not flushed.
        let written = self.output.write_to(self.transport).and_then(|_| self.transport.flush());
        let is_kept = |kind| matches!(kind, ErrorKind::WouldBlock | ErrorKind::Interrupted);
        if written.as_ref().is_err_and(|error| !is_kept(error.kind())) {
            // What the peer said last may still be unread: the next read tells, and then that the stream has ended.
            self.output = Output::new();
        }
        self.is_full = !self.output.is_empty() || written.is_err_and(|error| is_kept(error.kind()));
        let (now, has_taken) = (Instant::now(), self.output.len() < before);
        if has_taken && was_full {
            // It has room again only because the peer took something: the peer is alive.
            self.timers.note_activity(now);
        }
        if has_taken || !was_full {
            self.progress = now;
        }
    }

    /// Reads: `None` if nothing came, 0 at the end of the stream. Waits only if nothing waits to be written.
    fn read(&mut self, until: Option<Instant>) -> Option<usize> {
        // Were both ends to stop reading, each would wait for the other. So a client never does.
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
            // An error is an end of the stream like any other.
            read => Some(read.unwrap_or(0)),
        }
    }

    /// RFC 6455 §7.1.1: shuts the sending side down and reads to the end. To close with input unread would reset the
    /// connection, and could destroy the last bytes on their way.
    fn end(&mut self) {
        let deadline = Instant::now() + GRACE;
        let tcp = self.transport.tcp();
        let _ = tcp.set_nonblocking(false).and_then(|()| tcp.set_write_timeout(Some(GRACE)));
        self.transport.goodbye();
        let mut tcp = self.transport.tcp();
        let _ = tcp.shutdown(Shutdown::Write);
        // A timeout of zero is refused, as an error: then the grace is over.
        while tcp.set_read_timeout(Some(deadline.saturating_duration_since(Instant::now()))).is_ok() {
            match tcp.read(&mut self.buffer) {
                Ok(1..) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    }
}
