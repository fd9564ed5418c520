//! [`Driver`]: a session on a transport. The rules are the session's; the driver reads, writes and sleeps as it says.

use std::fmt;
use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep, sleep_until};
use websocket_proto::{Action, Closed, Connection, Event, Input, Output, Session, SessionConfig};

use crate::message::Message;
use crate::queue::Queue;
use crate::scratch::{self, Unread};
use crate::wakers::{Side, Wakers};

/// A session on a transport.
pub(crate) struct Driver<S> {
    pub(super) io: S,
    pub(super) session: Session<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
    /// Whether the alarm will wake this driver.
    alarm_is_set: bool,
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
    /// Whether bytes wait for the transport.
    pub(super) has_waiting: bool,
    shutdown: Shutdown,
    /// Whether the transport is done with.
    pub(super) is_over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shutdown {
    No,
    Begun,
    Done,
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
            alarm: None,
            alarm_is_set: false,
            waker: wakers.clone().into(),
            wakers,
            unread: None,
            queue: Queue::default(),
            handshake: None,
            closed: None,
            is_reported: false,
            discards: false,
            has_waiting,
            shutdown: Shutdown::No,
            is_over: false,
        })
    }

    pub(crate) fn connection(&self) -> &Connection {
        self.session.connection()
    }

    /// Drops all messages from now on.
    pub(crate) fn discard(&mut self) {
        self.discards = true;
        self.queue = Queue::default();
        self.wakers.wake(Side::Sender);
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

    /// The next message among the bytes that were read.
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

    /// Takes notice of an action; returns the most bytes to read and the deadline.
    fn note_action(&mut self, action: Action<Instant>) -> Option<(usize, Option<Instant>)> {
        match action {
            Action::Event(event) => {
                if let Some(message) = self.note(event) {
                    self.queue.push(message);
                }
            }
            Action::Wait { read, write, deadline } => {
                self.has_waiting = write;
                return Some((read, deadline));
            }
            Action::ShutDown => self.shutdown = Shutdown::Begun,
            // `Action::Close`.
            _ => {
                self.is_over = true;
                self.alarm = None;
            }
        }
        None
    }

    /// What the other half may wait for.
    fn progress(&self) -> (usize, bool, bool, usize, bool, bool) {
        let is_closed = self.closed.is_some();
        (self.session.waiting(), self.has_waiting, self.unread.is_some(), self.queue.len(), is_closed, self.is_over)
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
        let now = Instant::now();
        if self.is_paused() {
            // The peer cannot prove that it is alive while nothing is read.
            self.session.timers().note_activity(now);
        }
        let mut output = scratch::take_output();
        let action = self.write(now, &mut output);
        scratch::give_back_output(output);
        let Some((read, deadline)) = self.note_action(action) else { return Poll::Ready(()) };
        if self.poll_alarm(deadline).is_ready() {
            return Poll::Ready(());
        }
        let mut cx = Context::from_waker(&self.waker);
        if self.shutdown == Shutdown::Begun && Pin::new(&mut self.io).poll_shutdown(&mut cx).is_ready() {
            self.shutdown = Shutdown::Done;
        }
        if read == 0 || self.is_paused() { Poll::Pending } else { self.poll_read(read) }
    }

    fn write(&mut self, now: Instant, output: &mut Output) -> Action<Instant> {
        let mut writer = Writer { io: Pin::new(&mut self.io), cx: Context::from_waker(&self.waker) };
        self.session.poll_writer(now, output, &mut writer)
    }

    fn poll_read(&mut self, len: usize) -> Poll<()> {
        let mut unread = Unread::take_buffer();
        let mut buffer = ReadBuf::new(unread.space(len));
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

    /// `Ready` if the deadline is over.
    fn poll_alarm(&mut self, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        // An alarm that is too early finds nothing due, and is set again: most deadlines are postponed before.
        if alarm.is_elapsed() || deadline < alarm.deadline() {
            alarm.as_mut().reset(deadline);
            self.alarm_is_set = false;
        }
        if self.alarm_is_set {
            return Poll::Pending;
        }
        // Without budget, the runtime would not set it.
        self.alarm_is_set = has_budget_remaining();
        alarm.as_mut().poll(&mut Context::from_waker(&self.waker))
    }

    /// Lets `send` write to the session's output, and writes that to the transport if `writes`.
    pub(super) fn send<R>(&mut self, writes: bool, send: impl FnOnce(&mut Connection, &mut Output) -> R) -> R {
        let mut output = scratch::take_output();
        // Begins a turn: `Config::max_output` counts all bytes that wait.
        let event = self.session.receive(&mut Input::default(), &mut output);
        if let Some(message) = event.and_then(|event| self.note(event)) {
            self.queue.push(message);
        }
        let result = send(self.session.connection_mut(), &mut output);
        let now = Instant::now();
        let action = if writes && has_budget_remaining() {
            self.write(now, &mut output)
        } else {
            self.session.poll_queued(now, &mut output)
        };
        self.note_action(action);
        scratch::give_back_output(output);
        result
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
            ready!(self.poll_turn(side, cx));
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
}

impl<S: AsyncWrite> Write for Writer<'_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        or_would_block(self.io.as_mut().poll_write(&mut self.cx, bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        or_would_block(self.io.as_mut().poll_write_vectored(&mut self.cx, slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        or_would_block(self.io.as_mut().poll_flush(&mut self.cx))
    }
}

fn or_would_block<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
