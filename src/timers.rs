//! [`Timers`]: the deadlines and the keep-alive of a connection, on the caller's clock.

use core::ops::{Add, Sub};
use core::time::Duration;

use crate::connection::{Connection, State};
use crate::error::Timeout;
use crate::output::Output;

/// The deadlines and the keep-alive of one [`Connection`]. The caller keeps them next to the connection.
///
/// They read no clock. `I` is an instant of any clock, and needs only comparison, addition and subtraction: `Instant`
/// of the standard library, of tokio or of embassy, a [`Duration`] since a fixed point, or a `u64` of milliseconds.
///
/// # The contract
/// 1. Once per turn of the loop, after the connection has [received](Connection::receive) all bytes read, call
///    [`handle_timeout`](Self::handle_timeout). It compares the connection with its state at the last call, so you
///    need not call it for every message. If the connection [is closed](Connection::is_closed) now,
///    [`receive_eof`](Connection::receive_eof) returns its last event.
/// 2. Write the [`Output`], then wait for input until [`poll_timeout`](Self::poll_timeout) at the latest.
///
/// If you call `handle_timeout` less often, only at the time of `poll_timeout`, it notices changes late. That gives a
/// peer more time, never less. It may then not notice that a connection without a keep-alive is closing.
///
/// # The three timeouts
/// - **Handshake**: the handshake must be complete within this time from [`new`](Self::new). Bytes that arrive do not
///   extend it, so a request sent byte by byte gains nothing.
/// - **Keep-alive**: any byte from the peer proves that it is alive. If no byte arrives for the time `validity` of
///   [`Timeouts::keep_alive`], one ping is sent; its payload is the number of pings so far, in eight bytes, big endian.
///   If no byte arrives for the time `pong` after that, the connection is failed.
/// - **Closing**: counted from the first call that finds the connection in [`State::Closing`]. Bytes that arrive do not
///   extend it. The keep-alive ends then.
///
/// [`Timeout`] documents how the connection ends and what is sent; [`Connection::time_out`] does it.
///
/// While you do not read, a peer cannot prove that it is alive. When you stop reading for backpressure, either do not
/// call the timers, or let them limit how long a peer may leave its responses unread. A peer that reads slowly cannot
/// answer a ping that waits in the output after bytes that the socket has not accepted. It proves that it is alive by
/// reading some of them: call [`note_activity`](Self::note_activity) then.
///
/// # Examples
/// On sockets, see the guide: [blocking](crate::guide::recipes::blocking) ones, in an
/// [event loop](crate::guide::recipes::event_loop), with [tokio](crate::guide::recipes::tokio).
///
/// In simulated time, where waiting is an assignment; the client never sends a request:
/// ```
/// use core::time::Duration;
/// use websocket_proto::{Config, Connection, Output, Timeouts, Timers};
///
/// let (mut server, mut output) = (Connection::server(Config::new()), Output::new());
/// let mut now = Duration::ZERO;
/// let mut timers = Timers::new(now, Timeouts::new());
/// while let Some(at) = timers.poll_timeout() {
///     now = at;
///     timers.handle_timeout(now, &mut server, &mut output);
/// }
/// assert!(server.is_closed());
/// assert_eq!(now, Duration::from_secs(10));
/// ```
#[derive(Clone, Debug)]
pub struct Timers<I: Sub> {
    keep_alive: Option<(I::Output, I::Output)>,
    closing: Option<I::Output>,
    /// The connection's state at the last call.
    state: State,
    /// Bytes that the connection had consumed at the last call.
    position: u64,
    /// The deadline in this state.
    deadline: Option<I>,
    /// In [`State::Open`]: whether the deadline is that of a pong. If not, it is that of the next byte.
    awaits_pong: bool,
    /// Whether the caller has reported, with `note_activity`, the bytes consumed since the last call.
    activity_noted: bool,
    /// Pings sent; also the payload of the last one.
    pings: u32,
    /// When the last ping was sent; `None` after its pong.
    ping_sent: Option<I>,
    round_trip: Option<I::Output>,
}

/// The difference of two instants.
type Span<I> = <I as Sub>::Output;

impl<I> Timers<I>
where
    I: Copy + Ord + Sub + Add<Span<I>, Output = I>,
    Span<I>: Copy,
{
    /// Timers for a connection that starts now.
    #[must_use]
    pub fn new(now: I, timeouts: Timeouts<Span<I>>) -> Self {
        Self {
            keep_alive: timeouts.keep_alive,
            closing: timeouts.closing,
            state: State::Connecting,
            position: 0,
            deadline: timeouts.handshake.map(|span| now + span),
            awaits_pong: false,
            activity_noted: false,
            pings: 0,
            ping_sent: None,
            round_trip: None,
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest; `None` if no deadline is set.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<I> {
        self.deadline
    }

    /// Notices the connection's changes since the last call, then sends a ping or ends the connection if that is due.
    ///
    /// Call it once per turn of the loop, and at the time of [`poll_timeout`](Self::poll_timeout); more calls do no
    /// harm. Afterwards `poll_timeout` is later than `now`, or `None`, unless a timeout is zero. A clock that stops or
    /// goes back only delays the timeouts.
    pub fn handle_timeout(&mut self, now: I, connection: &mut Connection, output: &mut Output) {
        self.observe(now, connection);
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.state {
            State::Connecting => connection.time_out(Timeout::Handshake, output),
            State::Open if self.awaits_pong => connection.time_out(Timeout::KeepAlive, output),
            State::Open => self.ping(now, connection, output),
            State::Closing => connection.time_out(Timeout::Closing, output),
            State::Closed => {}
        }
        self.observe(now, connection);
    }

    /// Notes that bytes from the peer arrived at `now`. Use it if you know that time better than the next
    /// [`handle_timeout`](Self::handle_timeout) does: from the socket's time stamps, or because you call
    /// `handle_timeout` only when it is due. Call it after reading the bytes and before the connection receives them.
    ///
    /// Call it also when a socket that was full accepts bytes again: it has room only because the peer read some bytes,
    /// so the peer is alive. Do not call it for other writes. A socket that was not full would accept the bytes for a
    /// dead peer, too. Each call delays the next ping, so after calls at every write a dead peer goes unnoticed until
    /// the socket is full.
    pub fn note_activity(&mut self, now: I) {
        self.extend_keep_alive(now);
        self.activity_noted = true;
    }

    /// Returns the round-trip time if `payload`, from an [`Event::Pong`](crate::Event::Pong), is the first answer to
    /// the last ping of these timers.
    ///
    /// The time starts at the `handle_timeout` that wrote the ping to the output, so it includes the ping's wait there.
    /// A late pong to an earlier ping is ignored. A peer can shorten the time, because it can guess the payload, and
    /// lengthen it.
    pub fn pong(&mut self, now: I, payload: &[u8]) -> Option<Span<I>> {
        let is_answer = payload == self.ping_payload();
        let sent = self.ping_sent.take_if(|_| is_answer)?;
        // If `now` is earlier than `sent`, the clock went back.
        let round_trip = (sent <= now).then(|| now - sent)?;
        self.round_trip = Some(round_trip);
        self.round_trip
    }

    /// The last round-trip time that [`pong`](Self::pong) returned.
    #[must_use]
    pub fn round_trip(&self) -> Option<Span<I>> {
        self.round_trip
    }

    /// Updates the deadline for the connection's changes since the last call.
    fn observe(&mut self, now: I, connection: &Connection) {
        // A connection that has ended needs no deadline, even if its last event is not reported yet.
        let state = if connection.is_closed() { State::Closed } else { connection.state() };
        let position = connection.position();
        if state != self.state {
            self.state = state;
            let span = match state {
                State::Open => self.validity(),
                State::Closing => self.closing,
                State::Connecting | State::Closed => None,
            };
            self.deadline = span.map(|span| now + span);
        } else if position != self.position && !self.activity_noted {
            self.extend_keep_alive(now);
        }
        self.position = position;
        self.activity_noted = false;
    }

    /// Restarts the keep-alive, because the peer proved that it is alive.
    fn extend_keep_alive(&mut self, now: I) {
        if self.state == State::Open {
            self.awaits_pong = false;
            self.deadline = self.validity().map(|validity| now + validity);
        }
    }

    /// How long received bytes prove that the peer is alive.
    fn validity(&self) -> Option<Span<I>> {
        self.keep_alive.map(|(validity, _)| validity)
    }

    fn ping_payload(&self) -> [u8; 8] {
        u64::from(self.pings).to_be_bytes()
    }

    fn ping(&mut self, now: I, connection: &mut Connection, output: &mut Output) {
        self.pings = self.pings.wrapping_add(1);
        // Ignores `max_output`: without the ping, a live peer would be failed for a pong that it was not asked for.
        connection.write_ping(&self.ping_payload(), output);
        self.ping_sent = Some(now);
        self.awaits_pong = true;
        self.deadline = self.keep_alive.map(|(_, pong)| now + pong);
    }
}

/// The timeouts of [`Timers`]. `D` is the difference of two instants of the clock.
///
/// A timeout that is not set never expires. With `Duration`, [`new`](Self::new) sets the defaults; other types start
/// from [`none`](Self::none), without timeouts. The clock must be able to express the sum of an instant and each
/// timeout.
///
/// # Examples
/// ```
/// use core::time::Duration;
/// use websocket_proto::Timeouts;
///
/// const PATIENT: Timeouts<Duration> = Timeouts::new().handshake(Duration::from_secs(60));
/// const MILLISECONDS: Timeouts<u64> = Timeouts::none().handshake(10_000).closing(5_000);
/// # let _ = (PATIENT, MILLISECONDS);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a builder: pass it to Timers"]
pub struct Timeouts<D> {
    handshake: Option<D>,
    /// How long received bytes prove that the peer is alive (`validity`), and then the wait for a pong.
    keep_alive: Option<(D, D)>,
    closing: Option<D>,
}

impl Timeouts<Duration> {
    /// The defaults; each method below states its own.
    pub const fn new() -> Self {
        let seconds = Duration::from_secs;
        Self::none().handshake(seconds(10)).keep_alive(seconds(30), seconds(20)).closing(seconds(10))
    }
}

impl<D: Copy> Timeouts<D> {
    /// No timeouts.
    pub const fn none() -> Self {
        Self { handshake: None, keep_alive: None, closing: None }
    }

    /// Sets the timeout of the opening handshake, including the caller's decision about a request. Default 10 s: a few
    /// round trips on a very slow network, with one lost packet.
    pub const fn handshake(mut self, span: D) -> Self {
        self.handshake = Some(span);
        self
    }

    /// Sets how long received bytes prove that the peer is alive (`validity`), and how long to wait for the `pong` to
    /// the ping that follows. Default 30 s, then 20 s: proxies and address translators drop a connection that is idle
    /// for a minute, and 20 s allow several retransmissions. So a peer that vanishes is detected after 50 s.
    pub const fn keep_alive(mut self, validity: D, pong: D) -> Self {
        self.keep_alive = Some((validity, pong));
        self
    }

    /// Sets the timeout of the closing handshake. Default 10 s: the peer receives the Close only after everything that
    /// was sent before it.
    pub const fn closing(mut self, span: D) -> Self {
        self.closing = Some(span);
        self
    }
}

impl Default for Timeouts<Duration> {
    fn default() -> Self {
        Self::new()
    }
}
