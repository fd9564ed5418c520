//! [`Driver`]: a session on a transport. The rules are the session's; the driver reads, writes and sleeps as it says.

use std::fmt;
use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::has_budget_remaining;
use tokio::time::Instant;
use websocket_proto::{Action, Closed, Connection, Event, Input, Output, Session, SessionConfig};

use crate::alarm::Alarm;
use crate::message::Message;
use crate::queue::Queue;
use crate::scratch::{self, Unread};
use crate::wakers::{Side, Wakers};

/// How long the runtime needs to look at its transports.
const LOOK: Duration = Duration::from_millis(1);

/// A session on a transport.
pub(crate) struct Driver<S> {
    pub(super) io: S,
    pub(super) session: Session<Instant>,
    alarm: Alarm,
    /// The most bytes to read, and the deadline, after the last turn.
    wait: (usize, Option<Instant>),
    /// After a deadline: when the runtime has looked at the transport.
    looked: Option<Instant>,
    /// Messages sent since the application received.
    sends: usize,
    wakers: Arc<Wakers>,
    /// Wakes all of `wakers`. The transport and the alarm get no other one.
    waker: Waker,
    pub(super) unread: Option<Unread>,
    pub(super) queue: Queue,
    /// The request, or the answer to it.
    pub(super) handshake: Option<Box<Event<'static>>>,
    pub(super) closed: Option<Closed>,
    /// Whether the last message or error was received.
    pub(super) is_reported: bool,
    /// Whether messages are dropped.
    pub(super) discards: bool,
    pub(super) sending: Sending,
    stage: Stage,
}

/// The state of the messages that were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    Written,
    /// Some of it waits for the transport.
    Waiting,
    /// A write failed: the waiting bytes are lost.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Messages may come and go, or the last bytes.
    Active,
    /// The transport's sending side is being shut down.
    ShuttingDown,
    /// It is shut down, and the peer has not closed its side.
    ShutDown,
    /// Nothing more is read or written.
    Over,
}

impl<S> Driver<S> {
    /// A driver. A client's request is in `output`.
    pub(crate) fn new(io: S, connection: Connection, mut output: Output, config: SessionConfig<Duration>) -> Box<Self> {
        let mut session = Session::new(Instant::now(), connection, config);
        let has_waiting = !output.is_empty();
        if has_waiting {
            session.backlog().append(&mut output);
        }
        let wakers = Arc::new(Wakers::default());
        Box::new(Self {
            io,
            session,
            alarm: Alarm::default(),
            wait: (0, None),
            looked: None,
            sends: 0,
            waker: wakers.clone().into(),
            wakers,
            unread: None,
            queue: Queue::default(),
            handshake: None,
            closed: None,
            is_reported: false,
            discards: false,
            sending: if has_waiting { Sending::Waiting } else { Sending::Written },
            stage: Stage::Active,
        })
    }

    pub(crate) fn connection(&self) -> &Connection {
        self.session.connection()
    }

    /// Whether the transport is done with.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Drops all messages from now on.
    pub(crate) fn discard(&mut self) {
        self.discards = true;
        self.queue = Queue::default();
        self.wakers.wake(Side::Sender);
        self.wakers.wake(Side::Receiver);
    }

    /// The application receives.
    pub(super) fn note_receiving(&mut self) {
        self.sends = 0;
    }

    pub(super) fn wake(&self, side: Side) {
        self.wakers.wake(side);
    }

    /// Takes notice of an event; returns the message in it.
    pub(super) fn note(&mut self, event: Event<'_>) -> Option<Message> {
        match event {
            Event::Closed(closed) => self.closed = Some(closed),
            Event::Request(_) | Event::Open(_) | Event::Rejected(_) => {
                self.handshake = Some(Box::new(event.into_owned()));
            }
            event => {
                if let Event::Pong(payload) = &event {
                    self.session.timers().pong(Instant::now(), payload);
                }
                return if self.discards { None } else { Message::from_event(event) };
            }
        }
        None
    }

    /// The next message among the bytes that were read. (Not those after it: once the peer's Close is received, the
    /// application could not answer them.)
    pub(super) fn next_unread(&mut self) -> Option<Message> {
        let mut unread = self.unread.take()?;
        let mut output = scratch::take_output();
        let mut input = unread.input();
        let mut message = None;
        let mut is_drained = false;
        while !is_drained && message.is_none() && self.handshake.is_none() {
            match self.session.receive(&mut input, &mut output) {
                Some(event) => message = self.note(event),
                None => is_drained = true,
            }
        }
        let rest = input.len();
        if is_drained || rest == 0 {
            unread.give_back();
        } else {
            unread.keep(rest);
            self.unread = Some(unread);
        }
        // With an empty output, the turn may go on with the next message.
        if !output.is_empty() {
            let action = self.session.poll_queued(Instant::now(), &mut output);
            self.note_action(action);
        }
        scratch::give_back_output(output);
        message
    }

    /// Takes notice of an action.
    fn note_action(&mut self, action: Action<Instant>) {
        let (_, before) = std::mem::take(&mut self.wait);
        match action {
            Action::Event(event) => {
                if let Some(message) = self.note(event) {
                    self.queue.push(message);
                }
            }
            Action::Wait { read, write, deadline } => {
                if self.sending != Sending::Failed {
                    self.sending = if write { Sending::Waiting } else { Sending::Written };
                }
                self.wait = (read, deadline);
                self.looked = self.looked.filter(|_| deadline == before);
            }
            Action::ShutDown => self.stage = Stage::ShuttingDown,
            // `Action::Close`.
            _ => {
                self.stage = Stage::Over;
                self.alarm = Alarm::default();
            }
        }
    }

    /// The values that the other half may wait to see changed.
    fn progress(&self) -> (usize, Sending, bool, usize, bool, Stage) {
        let is_closed = self.closed.is_some();
        (self.session.waiting(), self.sending, self.unread.is_some(), self.queue.len(), is_closed, self.stage)
    }

    /// Whether the application has to receive before more is read.
    fn is_paused(&self) -> bool {
        self.closed.is_none() && (self.unread.is_some() || self.queue.is_full())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    /// Writes, keeps the deadlines, and reads once. `Ready` after anything happened: then look what did, and call it
    /// again.
    pub(super) fn poll_turn(&mut self, side: Side, cx: &Context<'_>) -> Poll<()> {
        self.wakers.register(side, cx);
        if !has_budget_remaining() {
            // A transport without budget would look full.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = self.progress();
        let turned = self.turn();
        if self.progress() != before {
            self.wakers.wake(side.other());
        }
        turned
    }

    fn turn(&mut self) -> Poll<()> {
        // The session closes the transport as soon as the peer does.
        self.shut_down();
        let now = Instant::now();
        let has_read = self.before_poll(now);
        if !has_read && self.must_look(now) {
            return self.alarm.poll(self.looked, &self.waker);
        }
        let mut output = scratch::take_output();
        let action = self.write(now, &mut output);
        scratch::give_back_output(output);
        let waits = matches!(action, Action::Wait { .. });
        self.note_action(action);
        self.shut_down();
        if has_read || !waits || self.alarm.poll(self.wait.1, &self.waker).is_ready() {
            return Poll::Ready(());
        }
        self.poll_read()
    }

    fn shut_down(&mut self) {
        if self.stage == Stage::ShuttingDown {
            let shut_down = Pin::new(&mut self.io).poll_shutdown(&mut Context::from_waker(&self.waker));
            if shut_down.is_ready() {
                self.stage = Stage::ShutDown;
            }
        }
    }

    /// Nothing may time out for bytes that the application has not received, or that this driver has not read. Returns
    /// whether it has read.
    fn before_poll(&mut self, now: Instant) -> bool {
        let has_read = self.is_due(now) && self.poll_read().is_ready();
        if self.is_paused() {
            self.session.timers().note_activity(now);
        }
        has_read
    }

    fn is_due(&self, now: Instant) -> bool {
        self.wait.1.is_some_and(|deadline| deadline <= now)
    }

    /// Whether to leave the session alone, because a deadline is over and the runtime may not have looked at the transport
    /// since: the process may have been stopped. A timer that is set now does not fire before it has looked.
    fn must_look(&mut self, now: Instant) -> bool {
        self.is_due(now) && now < *self.looked.get_or_insert(now + LOOK)
    }

    fn write(&mut self, now: Instant, output: &mut Output) -> Action<Instant> {
        let cx = Context::from_waker(&self.waker);
        let mut writer = Writer { io: Pin::new(&mut self.io), cx, has_failed: false };
        let action = self.session.poll_writer(now, output, &mut writer);
        if writer.has_failed {
            self.sending = Sending::Failed;
        }
        action
    }

    /// Reads once, if the session allows it and the application receives.
    fn poll_read(&mut self) -> Poll<()> {
        if self.wait.0 == 0 || self.is_paused() {
            return Poll::Pending;
        }
        let mut unread = Unread::take_buffer();
        let mut buffer = ReadBuf::new(unread.space(self.wait.0));
        let read = Pin::new(&mut self.io).poll_read(&mut Context::from_waker(&self.waker), &mut buffer);
        let len = buffer.filled().len();
        match read {
            Poll::Ready(Ok(())) if len > 0 => {
                unread.set_len(len);
                self.unread = Some(unread);
                return Poll::Ready(());
            }
            Poll::Ready(_) => self.receive_end(),
            Poll::Pending => {}
        }
        unread.give_back();
        read.map(drop)
    }

    /// A failed read is the end of the stream.
    fn receive_end(&mut self) {
        let mut output = scratch::take_output();
        while let Some(event) = self.session.receive(&mut Input::from_read(&mut []), &mut output) {
            if let Some(message) = self.note(event) {
                self.queue.push(message);
            }
        }
        let action = self.session.poll_queued(Instant::now(), &mut output);
        self.note_action(action);
        scratch::give_back_output(output);
    }

    /// Lets `send` write to the session's output, and writes that to the transport if `writes`.
    pub(super) fn send<R>(&mut self, writes: bool, send: impl FnOnce(&mut Connection, &mut Output) -> R) -> R {
        self.read_aside();
        let now = Instant::now();
        let must_look = !self.before_poll(now) && self.must_look(now);
        #[cfg(feature = "deflate")]
        let has_compressor = self.connection().uses_deflate();
        #[cfg(not(feature = "deflate"))]
        let has_compressor = false;
        if must_look || (!writes && !has_compressor) {
            // The next turn writes it. (The compressor is in the turn's output.)
            let (connection, output) = self.session.parts();
            let result = send(connection, output);
            if self.sending != Sending::Failed && self.session.waiting() > 0 {
                self.sending = Sending::Waiting;
            }
            if must_look {
                let _ = self.alarm.poll(self.looked, &self.waker);
            }
            return result;
        }
        let mut output = scratch::take_output();
        // Begins a turn: `Config::max_output` counts all bytes that wait.
        let event = self.session.receive(&mut Input::default(), &mut output);
        if let Some(message) = event.and_then(|event| self.note(event)) {
            self.queue.push(message);
        }
        let result = send(self.session.connection_mut(), &mut output);
        let action = if writes && has_budget_remaining() {
            self.write(now, &mut output)
        } else {
            self.session.poll_queued(now, &mut output)
        };
        self.note_action(action);
        scratch::give_back_output(output);
        result
    }

    /// Reads for an application that only sends.
    fn read_aside(&mut self) {
        self.sends += 1;
        if self.sends > 1 && !self.wakers.is_waiting(Side::Receiver) {
            // A failure is found by the next turn.
            let _ = self.poll_read();
            self.fill_queue();
        }
    }

    /// Receives bytes that were read, so that more can be read.
    pub(super) fn fill_queue(&mut self) {
        while self.unread.is_some() && (!self.queue.is_full() || self.closed.is_some()) {
            if let Some(message) = self.next_unread() {
                self.queue.push(message);
            }
        }
    }

    /// Runs turns until `is_done` returns a value.
    pub(super) fn poll_until<R>(
        &mut self,
        side: Side,
        cx: &Context<'_>,
        mut is_done: impl FnMut(&mut Self) -> Option<R>,
    ) -> Poll<R> {
        loop {
            if let Some(result) = is_done(self) {
                return Poll::Ready(result);
            }
            if self.poll_turn(side, cx).is_pending() {
                // The turn may have written what was to be written.
                return is_done(self).map_or(Poll::Pending, Poll::Ready);
            }
        }
    }
}

impl<S> fmt::Debug for Driver<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("session", &self.session).finish_non_exhaustive()
    }
}

/// A transport as a writer that never waits.
struct Writer<'d, S> {
    io: Pin<&'d mut S>,
    cx: Context<'d>,
    has_failed: bool,
}

impl<S> Writer<'_, S> {
    fn note<T>(&mut self, polled: Poll<io::Result<T>>) -> io::Result<T> {
        match polled {
            Poll::Ready(Err(error)) => {
                // The session tries again after these.
                use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
                self.has_failed |= !matches!(error.kind(), Interrupted | TimedOut | WouldBlock);
                Err(error)
            }
            Poll::Ready(Ok(done)) => Ok(done),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S: AsyncWrite> Write for Writer<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let polled = self.io.as_mut().poll_write(&mut self.cx, bytes);
        self.note(polled)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let polled = self.io.as_mut().poll_write_vectored(&mut self.cx, slices);
        self.note(polled)
    }

    fn flush(&mut self) -> io::Result<()> {
        let polled = self.io.as_mut().poll_flush(&mut self.cx);
        self.note(polled)
    }
}
