//! One end of a connection: a session, its wire and its application.

use std::io::{self, ErrorKind, Read, Write};

use bytes::{Buf, Bytes};
use websocket_proto::handshake::Negotiated;
use websocket_proto::{
    Action, ClientRequest, CloseCode, Closed, Config, Connection, Event, Input, Output, Role, Session, SessionConfig,
    Timeouts,
};

use super::transport::Wire;

/// Milliseconds.
pub type Time = u64;

pub const HANDSHAKE: Time = 10_000;
pub const VALIDITY: Time = 30_000;
pub const PONG: Time = 20_000;
pub const CLOSING: Time = 9_000;
pub const STALL: Time = 7_000;
pub const GRACE: Time = 2_000;

pub fn deadlines() -> SessionConfig<Time> {
    let timeouts = Timeouts::none().handshake(HANDSHAKE).keep_alive(VALIDITY, PONG).closing(CLOSING);
    SessionConfig::none().timeouts(timeouts).stall(STALL).grace(GRACE)
}

/// The result of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Wait { read: usize, write: bool, deadline: Option<Time> },
    Closed,
}

/// The kinds of driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// The session writes to a transport that sends at once.
    Unbuffered,
    /// The session writes to a transport that buffers, such as TLS.
    Buffered,
    /// The driver writes the backlog itself.
    Future,
    /// The driver takes owned chunks, and reports completions.
    Completion,
}

impl Driver {
    pub const ALL: [Self; 4] = [Self::Unbuffered, Self::Buffered, Self::Future, Self::Completion];
}

/// Accepts up to 100 bytes, and sends them when it is flushed.
struct Buffered<'e> {
    buffered: &'e mut Vec<u8>,
    wire: &'e mut Wire,
}

impl Write for Buffered<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let accepted = bytes.len().min(100);
        self.buffered.extend(&bytes[..accepted]);
        Ok(accepted)
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.buffered.is_empty() {
            let sent = self.wire.write(self.buffered)?;
            self.buffered.drain(..sent);
        }
        Ok(())
    }
}

pub struct End {
    pub session: Session<Time>,
    pub wire: Wire,
    pub next: Next,
    /// The texts received, and those sent.
    pub texts: Vec<String>,
    pub sent: Vec<String>,
    /// The last event, and how often it came.
    pub closed: Vec<Closed>,
    /// Whether the application sends every message back.
    pub echoes: bool,
    pub driver: Driver,
    /// What `Driver::Buffered` has accepted and not sent.
    buffered: Vec<u8>,
    /// What `Driver::Completion` has in flight.
    chunk: Bytes,
    /// The most bytes that a read brings.
    pub cut: usize,
    pub shut_down_at: Option<Time>,
    pub closed_at: Option<Time>,
}

impl End {
    pub fn open(role: Role, config: Config, limits: SessionConfig<Time>, wire: Wire) -> Self {
        let connection = Connection::upgraded(role, Negotiated::default(), config, [7; 32]);
        Self::of(Session::new(0, connection, limits), wire)
    }

    pub fn server(config: Config, limits: SessionConfig<Time>, wire: Wire) -> Self {
        Self::of(Session::new(0, Connection::server(config), limits), wire)
    }

    pub fn client(config: Config, limits: SessionConfig<Time>, wire: Wire) -> Self {
        let mut output = Output::new();
        let request = ClientRequest::new("ws://example.com/");
        let connection = Connection::client(&request, config, [7; 32], &mut output).expect("a valid request");
        let mut end = Self::of(Session::new(0, connection, limits), wire);
        end.session.parts().1.append(&mut output);
        end
    }

    fn of(session: Session<Time>, wire: Wire) -> Self {
        Self {
            session,
            wire,
            next: Next::Wait { read: 1, write: true, deadline: Some(0) },
            texts: Vec::new(),
            sent: Vec::new(),
            closed: Vec::new(),
            echoes: false,
            driver: Driver::Unbuffered,
            buffered: Vec::new(),
            chunk: Bytes::new(),
            cut: usize::MAX,
            shut_down_at: None,
            closed_at: None,
        }
    }

    pub fn send(&mut self, text: &str) {
        assert!(self.try_send(text) > 0, "the connection is open");
    }

    /// Sends a text, if the connection is open. Returns the number of bytes that now wait more than before.
    pub fn try_send(&mut self, text: &str) -> usize {
        let (ws, output) = self.session.parts();
        let before = output.len();
        if ws.send_text(text, output).is_ok() {
            self.sent.push(text.to_owned());
        }
        let len = output.len() - before;
        self.wake();
        len
    }

    pub fn close(&mut self, code: CloseCode) {
        let (ws, output) = self.session.parts();
        ws.close(code, "bye", output);
        self.wake();
    }

    /// Something was sent between turns: a turn writes it.
    pub fn wake(&mut self) {
        if let Next::Wait { deadline, .. } = &mut self.next {
            *deadline = Some(0);
        }
    }

    /// Whether a turn can do anything now.
    pub fn is_ready(&self, now: Time) -> bool {
        match self.next {
            Next::Wait { read, write, deadline } => {
                (read > 0 && self.wire.is_readable())
                    || (write && self.wire.is_writable())
                    || deadline.is_some_and(|at| at <= now)
            }
            Next::Closed => false,
        }
    }

    /// A turn with the scratch output that both ends share.
    pub fn turn(&mut self, now: Time, output: &mut Output) {
        if self.is_over() {
            return;
        }
        if let Next::Wait { read: read @ 1.., .. } = self.next {
            let mut buffer = vec![0; read.min(self.cut).min(self.wire.readable().max(1))];
            let read = match self.wire.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => None,
                read => Some(read.unwrap_or(0)),
            };
            if let Some(n) = read {
                let mut input = Input::from_read(&mut buffer[..n]);
                while let Some(event) = self.session.receive(&mut input, output) {
                    self.handle(event, output);
                }
            }
        }
        self.poll(now, output);
        assert!(output.is_empty(), "the next session's output");
    }

    fn poll(&mut self, now: Time, output: &mut Output) {
        // An end of a turn that is never reached would spin.
        for _ in 0..100 {
            let action = match self.driver {
                Driver::Unbuffered => self.session.poll(now, output, |slices| self.wire.write_vectored(slices)),
                Driver::Buffered => {
                    let Self { buffered, wire, .. } = self;
                    self.session.poll_writer(now, output, &mut Buffered { buffered, wire })
                }
                Driver::Future | Driver::Completion => self.poll_queued(now, output),
            };
            match action {
                Action::Event(event) => self.handle(event, output),
                Action::ShutDown => {
                    assert_eq!(self.shut_down_at.replace(now), None, "shut down once");
                    let is_written = self.buffered.is_empty() && self.chunk.is_empty();
                    let is_lost = self.wire.is_broken() || self.closed.iter().any(|closed| !closed.was_clean());
                    assert!(is_written || is_lost, "the end is after all bytes");
                    self.wire.shut_down();
                }
                Action::Close => {
                    self.closed_at.get_or_insert(now);
                    self.wire.close();
                    self.next = Next::Closed;
                    return;
                }
                Action::Wait { read, write, deadline } => {
                    assert!(deadline.is_none_or(|at| at > now), "a deadline in the past would spin");
                    self.next = Next::Wait { read, write, deadline };
                    return;
                }
                action => panic!("{action:?}"),
            }
        }
        panic!("the turn does not end");
    }

    /// Writes what the wire accepts now, and says so.
    fn poll_queued(&mut self, now: Time, output: &mut Output) -> Action<Time> {
        let before = self.session.waiting();
        let written = match self.driver {
            Driver::Completion => {
                if self.chunk.is_empty() {
                    self.chunk = self.session.take_chunk();
                }
                assert_eq!(self.session.waiting(), before, "a chunk in flight waits");
                let written = self.wire.write(&self.chunk);
                written.inspect(|count| self.chunk.advance(*count))
            }
            _ => self.session.backlog().write_to(&mut self.wire),
        };
        match written {
            Ok(0) => {}
            Ok(count) => {
                self.session.wrote(now, count);
                assert_eq!(self.session.waiting(), before - count);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => assert_eq!(self.session.waiting(), before),
            Err(_) => {
                self.session.write_failed();
                self.chunk = Bytes::new();
            }
        }
        let action = self.session.poll_queued(now, output);
        // The action counts what is not written yet: what this turn sent is written before the wait.
        let has_room = self.wire.is_writable() && self.session.waiting() > 0;
        if matches!(action, Action::Wait { .. }) && has_room { self.poll_queued(now, output) } else { action }
    }

    fn handle(&mut self, event: Event<'_>, output: &mut Output) {
        match event {
            Event::Request(request) => self.session.connection_mut().accept(request, output),
            Event::Text(text) => {
                if self.echoes {
                    // A connection that is closing drops it.
                    let is_sent = self.session.connection_mut().send_text(&text, output).is_ok();
                    self.sent.extend(is_sent.then(|| text.to_string()));
                }
                self.texts.push(text.into_owned());
            }
            Event::Closed(closed) => self.closed.push(closed),
            _ => {}
        }
    }

    pub fn is_over(&self) -> bool {
        self.next == Next::Closed
    }
}

/// Lets both ends take turns until the time is up or both are over. Returns the time.
pub fn run(ends: &mut [&mut End], mut now: Time, until: Time) -> Time {
    let mut output = Output::new();
    let mut turns = 0;
    while now <= until && ends.iter().any(|end| !end.is_over()) {
        let mut is_idle = true;
        for end in ends.iter_mut().filter(|end| end.is_ready(now)) {
            end.turn(now, &mut output);
            is_idle = false;
            turns += 1;
            assert!(turns < 1_000_000, "it spins");
        }
        if is_idle {
            let deadlines = ends.iter().filter_map(|end| match end.next {
                Next::Wait { deadline, .. } => deadline,
                Next::Closed => None,
            });
            match deadlines.min() {
                Some(at) => now = at.max(now),
                None => break,
            }
        }
    }
    now.min(until)
}
