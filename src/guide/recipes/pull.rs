use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::ops::Range;
use std::time::{Duration, Instant};

use websocket_proto::{Action, Closed, Connection, Event, EventKind, Input, Output, Session, SessionConfig};

/// While bytes wait, the socket is tried in both directions in turn.
const PAUSE: Duration = Duration::from_millis(10);

/// A message that borrows the read buffer, or the end.
#[derive(Debug)]
pub(crate) enum Pulled<'b> {
    Text(&'b str),
    Binary(&'b [u8]),
    Closed(Closed),
}

/// A server's connection on a blocking socket, with a method that returns the next message.
pub(crate) struct WebSocket {
    tcp: TcpStream,
    pub(crate) session: Session<Instant>,
    buffer: Vec<u8>,
    /// The bytes of the buffer that were read and not received.
    unread: Range<usize>,
    /// A message that was reassembled or decompressed.
    owned: Vec<u8>,
    /// The last event, until the transport is closed.
    closed: Option<Closed>,
    output: Output,
}

/// The result of a step.
enum Step {
    /// A message, and the place of its payload in the buffer.
    Message(EventKind, Range<usize>),
    /// Another event, or a message that is not in the buffer.
    Event(Event<'static>),
    Nothing,
    Over,
}

impl WebSocket {
    pub(crate) fn new(tcp: TcpStream, ws: Connection, config: SessionConfig<Duration>) -> Self {
        let _ = tcp.set_write_timeout(Some(PAUSE));
        let session = Session::new(Instant::now(), ws, config);
        Self {
            tcp,
            session,
            buffer: vec![0; 64 << 10],
            unread: 0..0,
            owned: Vec::new(),
            closed: None,
            output: Output::new(),
        }
    }

    /// The next message; or the end, once the transport is closed in order; after that, `None`.
    pub(crate) fn next(&mut self) -> Option<Pulled<'_>> {
        // Events borrow the buffer. One that is returned from this loop would borrow it in every round.
        let (kind, place) = loop {
            match self.receive().unwrap_or_else(|| self.wait()) {
                Step::Message(kind, range) => break (kind, Some(range)),
                Step::Event(Event::Request(request)) => {
                    self.session.connection_mut().accept(request, &mut self.output);
                }
                Step::Event(Event::Closed(closed)) => self.closed = Some(closed),
                Step::Event(event) => {
                    if let (kind @ (EventKind::Text | EventKind::Binary), Some(payload)) =
                        (event.kind(), event.payload())
                    {
                        self.owned = payload.to_vec();
                        break (kind, None);
                    }
                }
                Step::Nothing => {}
                Step::Over => return self.closed.take().map(Pulled::Closed),
            }
        };
        let payload = place.map_or(&*self.owned, |range| &self.buffer[range]);
        Some(match kind {
            EventKind::Text => Pulled::Text(std::str::from_utf8(payload).expect("a text is UTF-8")),
            _ => Pulled::Binary(payload),
        })
    }

    /// The next event of the bytes that were read.
    fn receive(&mut self) -> Option<Step> {
        let Range { start, end } = self.unread;
        if start == end {
            return None;
        }
        let mut input = Input::new(&mut self.buffer[start..end]);
        let event = self.session.receive(&mut input, &mut self.output);
        self.unread.start = end - input.len();
        let event = event?;
        let range = event.payload().and_then(|payload| input.range_of(payload));
        Some(match (event.kind(), range) {
            (kind @ (EventKind::Text | EventKind::Binary), Some(range)) => {
                Step::Message(kind, start + range.start..start + range.end)
            }
            _ => Step::Event(event.into_owned()),
        })
    }

    /// Writes, waits for bytes, and reads them.
    fn wait(&mut self) -> Step {
        let now = Instant::now();
        match self.session.poll(now, &mut self.output, |slices| self.tcp.write_vectored(slices)) {
            Action::Event(event) => Step::Event(event),
            Action::Wait { read: 0, .. } => Step::Nothing,
            Action::Wait { read, write, deadline } => {
                let _ = self.tcp.set_read_timeout(if write { Some(PAUSE) } else { deadline.map(|at| at - now) });
                let Some(n) = read_some(&mut self.tcp, &mut self.buffer[..read]) else { return Step::Nothing };
                self.unread = 0..n;
                if n > 0 {
                    return Step::Nothing;
                }
                let event = self.session.receive(&mut Input::from_read(&mut []), &mut self.output);
                event.map_or(Step::Nothing, Step::Event)
            }
            Action::ShutDown => {
                let _ = self.tcp.shutdown(Shutdown::Write);
                Step::Nothing
            }
            _ => Step::Over,
        }
    }

    /// Sends a message with the next turn.
    pub(crate) fn send_binary(&mut self, data: &[u8]) {
        let _ = self.session.connection_mut().send_binary(data, &mut self.output);
    }
}

/// Waits for bytes. A failed read is the end of the stream.
fn read_some(tcp: &mut TcpStream, buffer: &mut [u8]) -> Option<usize> {
    let mut read = tcp.read(buffer);
    if read.as_ref().is_err_and(|error| error.kind() == Interrupted) {
        // The process was stopped, perhaps past a deadline: bytes that have arrived are read before it is checked.
        read = tcp.set_read_timeout(Some(PAUSE)).and_then(|()| tcp.read(buffer));
    }
    match read.map_err(|error| error.kind()) {
        Err(WouldBlock | TimedOut | Interrupted) => None,
        read => Some(read.unwrap_or(0)),
    }
}
