//! [`Timers`]: what becomes of a connection because time passes, told by the caller what time it is.

use core::ops::{Add, Sub};
use core::time::Duration;

use crate::connection::{Connection, State};
use crate::error::Timeout;
use crate::output::Output;

/// The deadlines of one [`Connection`] and its keep-alive, beside it.
///
/// It has no clock: `I` is any clock's instant, of which only the operators are asked for. `Instant` of the standard
/// library, of tokio and of embassy will do, and so will a [`Duration`] since some beginning or a `u64` of
/// milliseconds.
///
/// # The contract
/// 1. Once a turn of the loop, when everything that was read has been [received](Connection::receive), call
///    [`handle_timeout`](Self::handle_timeout). It sees in the connection what happened since: a message costs no look
///    at the clock.
/// 2. Write the [`Output`], then wait for input until [`poll_timeout`](Self::poll_timeout) at the latest.
///
/// Called less often, only when the time of `poll_timeout` comes, it sees things later than they were: it gives a peer
/// more time, never less. It may then miss that a connection without a keep-alive is closing.
///
/// # What it does
/// - **Opening**: the handshake has to be over when its time is, counted from [`new`](Self::new) whatever arrives: a
///   request that comes byte by byte gains nothing by it.
/// - **Keep-alive**: any byte from the peer proves that it is alive. If the last proof is older than the validity, one
///   ping is sent, whose payload is their count in eight bytes, big endian; if then not a byte arrives within the wait
///   for the pong, the connection is failed.
/// - **Closing**: counted from when the connection is first seen in [`State::Closing`], whatever arrives. The
///   keep-alive is over then.
///
/// How the connection ends, and what the peer is told, [`Timeout`] says; [`Connection::time_out`] does it.
///
/// A peer cannot prove anything to a caller who does not read: while you hold back reading for backpressure, either
/// leave the timers alone, or mean them as a limit on how long a peer may fail to take what it asked for. Nor can a
/// ping be answered that is not written: a slow reader's waits behind what the socket does not take. That such a peer
/// is alive, it proves by taking some of it: tell the timers by [`note_activity`](Self::note_activity).
///
/// # Examples
/// On sockets, see the guide: [blocking](crate::guide::recipes::blocking) ones, in an
/// [event loop](crate::guide::recipes::event_loop), with [tokio](crate::guide::recipes::tokio).
///
/// In simulated time, where waiting is an assignment: nobody ever sends a request.
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
    timeouts: Timeouts<I::Output>,
    /// The connection as it was last seen: its state, and how many bytes it had consumed.
    state: State,
    position: u64,
    /// When the time is up for what this state waits for.
    deadline: Option<I>,
    /// Whether that is the answer to a ping; else, while open, it is the last proof's validity.
    is_pinged: bool,
    /// Whether the caller said when the bytes came that were not seen yet.
    is_told: bool,
    /// How many pings were sent; the payload of the last one.
    pings: u64,
    /// When the last one was, until its pong comes.
    unanswered: Option<I>,
    round_trip: Option<I::Output>,
}

/// What subtracting two instants gives.
type Span<I> = <I as Sub>::Output;

impl<I> Timers<I>
where
    I: Copy + Ord + Sub + Add<Span<I>, Output = I>,
    Span<I>: Copy,
{
    /// Timers for a connection that begins now.
    #[must_use]
    pub fn new(now: I, timeouts: Timeouts<Span<I>>) -> Self {
        Self {
            timeouts,
            state: State::Connecting,
            position: 0,
            deadline: timeouts.opening.map(|span| now + span),
            is_pinged: false,
            is_told: false,
            pings: 0,
            unanswered: None,
            round_trip: None,
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest; `None` if nothing is due at any time.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<I> {
        self.deadline
    }

    /// Looks at what the connection did since the last call and does what is due: sends a ping, or ends the connection.
    ///
    /// Call it when the time of [`poll_timeout`](Self::poll_timeout) comes, and as often as you like: once a turn of
    /// the loop. After it, `poll_timeout` is later than now, or `None`, unless a span of no length was asked for. A
    /// clock that stands still or goes back makes things happen later, and nothing else.
    pub fn handle_timeout(&mut self, now: I, connection: &mut Connection, output: &mut Output) {
        self.look(now, connection);
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        match self.state {
            State::Connecting => connection.time_out(Timeout::Opening, output),
            State::Open if self.is_pinged => connection.time_out(Timeout::KeepAlive, output),
            State::Open => self.ping(now, connection, output),
            State::Closing => connection.time_out(Timeout::Closing, output),
            State::Closed => {}
        }
        self.look(now, connection);
    }

    /// Notes that bytes came from the peer now, for callers who know it better than the next
    /// [`handle_timeout`](Self::handle_timeout): from the socket's time stamps, or because they call that only when it
    /// is due. Call it when the bytes are read, before they are received.
    ///
    /// Call it, too, when a socket that was full takes bytes again: it has room only because the peer took some, so a
    /// slow reader is alive. Only then. What a socket takes that was not full proves nothing, since it would take as
    /// much for a peer that is gone; and who calls this at every write will hardly send a ping, because each call puts
    /// the next one off, and will not find out that the peer is dead until the socket is full.
    pub fn note_activity(&mut self, now: I) {
        self.hear(now);
        self.is_told = true;
    }

    /// Takes the payload of an [`Event::Pong`](crate::Event::Pong), and returns the round-trip time if it answers the
    /// last ping of these timers, for the first time.
    ///
    /// Counted from the `handle_timeout` that put the ping into the output, so the time that it waited there is in it.
    /// A pong to an earlier ping, which comes late because other bytes proved the peer alive, has no part in it. A peer
    /// can make it shorter than it is, by guessing, and longer.
    pub fn pong(&mut self, now: I, payload: &[u8]) -> Option<Span<I>> {
        let sent = self.unanswered.take_if(|_| payload == self.pings.to_be_bytes())?;
        // A later instant cannot be subtracted: the clock went back.
        let round_trip = (sent <= now).then(|| now - sent)?;
        self.round_trip = Some(round_trip);
        self.round_trip
    }

    /// The last round-trip time that [`pong`](Self::pong) returned.
    #[must_use]
    pub fn round_trip(&self) -> Option<Span<I>> {
        self.round_trip
    }

    /// Notes what the connection did since it was last looked at.
    fn look(&mut self, now: I, connection: &Connection) {
        // Nothing is due any more when it is over, whether or not its last event was given.
        let state = if connection.is_closed() { State::Closed } else { connection.state() };
        let position = connection.position();
        if state != self.state {
            self.state = state;
            let span = match state {
                State::Open => self.timeouts.validity(),
                State::Closing => self.timeouts.closing,
                State::Connecting | State::Closed => None,
            };
            self.deadline = span.map(|span| now + span);
        } else if position != self.position && !self.is_told {
            self.hear(now);
        }
        self.position = position;
        self.is_told = false;
    }

    /// The peer proved that it is alive.
    fn hear(&mut self, now: I) {
        if self.state == State::Open {
            self.is_pinged = false;
            self.deadline = self.timeouts.validity().map(|validity| now + validity);
        }
    }

    fn ping(&mut self, now: I, connection: &mut Connection, output: &mut Output) {
        self.pings = self.pings.wrapping_add(1);
        // Whatever waits: if `max_output` held it back, a live peer would be failed for want of its pong.
        connection.write_ping(&self.pings.to_be_bytes(), output);
        self.unanswered = Some(now);
        self.is_pinged = true;
        self.deadline = self.timeouts.keep_alive.map(|(_, pong)| now + pong);
    }
}

/// How long [`Timers`] wait for what. `D` is the span between two instants of the clock: what subtracting them gives.
///
/// What is not set is waited for without end. For `Duration`, [`new`](Self::new) has defaults; of any other span,
/// [`none`](Self::none) has none. A span added to the clock has to give an instant that the clock can express.
///
/// # Examples
/// ```
/// use core::time::Duration;
/// use websocket_proto::Timeouts;
///
/// const PATIENT: Timeouts<Duration> = Timeouts::new().opening(Duration::from_secs(60));
/// const MILLISECONDS: Timeouts<u64> = Timeouts::none().opening(10_000).closing(5_000);
/// # let _ = (PATIENT, MILLISECONDS);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a builder: pass it to Timers"]
pub struct Timeouts<D> {
    opening: Option<D>,
    /// How long a proof of life is valid, and the wait for a pong after that.
    keep_alive: Option<(D, D)>,
    closing: Option<D>,
}

impl Timeouts<Duration> {
    /// The defaults, which every method below states.
    pub const fn new() -> Self {
        let seconds = Duration::from_secs;
        Self::none().opening(seconds(10)).keep_alive(seconds(30), seconds(20)).closing(seconds(10))
    }
}

impl<D: Copy> Timeouts<D> {
    /// No timeout at all.
    pub const fn none() -> Self {
        Self { opening: None, keep_alive: None, closing: None }
    }

    /// How long the opening handshake may take, the caller's decision about a request included. Default 10 s: a few
    /// round trips on the worst of networks, with a lost packet among them.
    pub const fn opening(mut self, span: D) -> Self {
        self.opening = Some(span);
        self
    }

    /// How long what the peer sent proves that it is alive, and how long to wait after the ping that follows. Default
    /// 30 s, then 20 s: proxies and address translators forget a connection that is idle for a minute, and 20 s is time
    /// for several retransmissions. So a peer that vanishes is found out after 50 s.
    pub const fn keep_alive(mut self, validity: D, pong: D) -> Self {
        self.keep_alive = Some((validity, pong));
        self
    }

    /// How long the closing handshake may take. Default 10 s: the Close waits behind all that was sent before it.
    pub const fn closing(mut self, span: D) -> Self {
        self.closing = Some(span);
        self
    }

    fn validity(&self) -> Option<D> {
        self.keep_alive.map(|(validity, _)| validity)
    }
}

impl Default for Timeouts<Duration> {
    fn default() -> Self {
        Self::new()
    }
}
