//! [`Visit`]: one client in the chat, from its upgrade to its end. The loop waits for whichever comes first: a socket that
//! is ready, a message in the room, prices, or a deadline.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep, sleep_until};
use websocket_proto::{
    Action, CloseCode, Connection, Event, Input, Output, PreparedMessage, Session, SessionConfig, State, Timeouts,
};

use crate::hub::{Hub, Member, MissedMessages, Outcome};
use crate::log;
use crate::messages::{Body, FromPage, Id, ToPage, clean_text, is_key, is_room_name};
use crate::token::Tokens;

/// The limit on a message, in bytes: the longest text with every character escaped.
pub(crate) const MAX_MESSAGE: usize = 16 << 10;

/// While this many bytes wait for a client, it is neither read from nor sent more.
const MAX_WAITING: usize = 64 << 10;

/// A client is dropped if it reads nothing for this long while bytes wait.
const STALL: Duration = Duration::from_secs(5);

/// The time in which a client must join a room.
const JOINING: Duration = Duration::from_secs(10);

/// A client that is silent for 5 s is pinged; the pong gives its latency, too.
const TIMEOUTS: Timeouts<Duration> = Timeouts::new().keep_alive(Duration::from_secs(5), Duration::from_secs(20));

/// How long tokio needs to look at its sockets.
const LOOK: Duration = Duration::from_millis(1);
/// The longest read: a message of the chat is short.
const READ_SIZE: usize = 4 << 10;

const LIMITS: SessionConfig<Duration> = SessionConfig::new().timeouts(TIMEOUTS).stall(STALL).max_backlog(MAX_WAITING);

pub(crate) struct Visit<'c> {
    session: Session<Instant>,
    /// The messages of a turn.
    output: Output,
    hub: &'c Arc<Hub>,
    tokens: &'c Tokens,
    /// The room that it has joined.
    member: Option<Member>,
    prices: watch::Receiver<PreparedMessage>,
    /// Changes when all clients must disconnect and come again.
    disconnects: watch::Receiver<()>,
    /// Limits on the rates of messages and of rejections.
    messages: RateLimit,
    rejections: RateLimit,
    /// The deadline for joining a room.
    join_by: Instant,
}

impl<'c> Visit<'c> {
    /// A visit on an open connection.
    pub(crate) fn new(ws: Connection, output: Output, hub: &'c Arc<Hub>, tokens: &'c Tokens) -> Self {
        let now = Instant::now();
        Self {
            session: Session::new(now, ws, LIMITS),
            output,
            hub,
            tokens,
            member: None,
            prices: hub.prices(),
            disconnects: hub.disconnects(),
            messages: RateLimit::full(10.0, 2.0, now),
            rejections: RateLimit::full(100.0, 10.0, now),
            join_by: now + JOINING,
        }
    }

    /// Serves the connection to its end, starting with `early_data`, the bytes read after the request.
    pub(crate) async fn serve(mut self, tcp: &TcpStream, mut early_data: Vec<u8>) {
        let mut buffer = vec![0; READ_SIZE];
        self.receive(Input::new(&mut early_data)).await;
        drop(early_data);
        loop {
            let (read, write, deadline) = loop {
                match self.session.poll(Instant::now(), &mut self.output, |slices| tcp.try_write_vectored(slices)) {
                    Action::Wait { read, write, deadline } => break (read.min(READ_SIZE), write, deadline),
                    Action::Event(event) => self.handle(event).await,
                    Action::ShutDown => drop(SockRef::from(tcp).shutdown(Shutdown::Write)),
                    _ => return,
                }
            };
            // Waiting for a socket that is already ready consumes none of the task budget.
            consume_budget().await;
            let is_open = !self.session.connection().is_closed();
            let has_room = is_open && self.session.waiting() < MAX_WAITING;
            let deadline = deadline.into_iter().chain(self.join_by()).min().unwrap_or_else(Instant::now);
            tokio::select! {
                _ = tcp.readable(), if read > 0 => {}
                _ = tcp.writable(), if write => {}
                message = next(&mut self.member), if has_room => match message {
                    // No message is sent once clients must reconnect, because some may be missing before it: the page
                    // asks for the messages after the last that it has seen.
                    Ok(_) if self.disconnects.has_changed().unwrap_or(true) => {}
                    Ok(message) => self.send(&message),
                    Err(MissedMessages) => self.close(CloseCode::POLICY_VIOLATION, "too slow"),
                },
                Ok(()) = self.prices.changed(), if has_room && self.member.is_some() => {
                    let prices = self.prices.borrow_and_update().clone();
                    self.send(&prices);
                }
                Ok(()) = self.disconnects.changed(), if is_open => {
                    self.session.connection_mut().close(CloseCode::SERVICE_RESTART, "come again", &mut self.output);
                }
                // After a pause of the process, tokio may fire an alarm before it has looked at the sockets.
                () = sleep_until(deadline) => sleep(LOOK).await,
            }
            // Bytes that have arrived are read before the deadlines are checked, whatever ended the wait.
            let n = if read > 0 { tcp.try_read(&mut buffer[..read]) } else { Err(ErrorKind::WouldBlock.into()) };
            match n {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // A failed read is the end of the stream.
                n => self.receive(Input::from_read(&mut buffer[..n.unwrap_or(0)])).await,
            }
            if self.join_by().is_some_and(|join_by| join_by <= Instant::now()) {
                self.close(CloseCode::TIMEOUT, "join a room");
            }
        }
    }

    async fn receive(&mut self, mut input: Input<'_>) {
        while let Some(event) = self.session.receive(&mut input, &mut self.output) {
            self.handle(event).await;
        }
    }

    async fn handle(&mut self, event: Event<'_>) {
        // A client that was disconnected for an error is ignored, and not admitted again; one that was asked to
        // reconnect may finish.
        let is_expelled = self.member.is_none() && self.session.connection().state() != State::Open;
        match event {
            Event::Text(_) if is_expelled => {}
            Event::Text(text) => match serde_json::from_str(&text) {
                Ok(FromPage::Join { token, room, last }) => self.join(&token, &room, last).await,
                Ok(FromPage::Say { key, text }) => self.say(key, &text).await,
                Err(_) => self.close(CloseCode::POLICY_VIOLATION, "not a message of chat.v1"),
            },
            Event::Binary(_) => self.close(CloseCode::UNSUPPORTED_DATA, "text only"),
            Event::Pong(payload) => {
                if let Some(round_trip) = self.session.timers().pong(Instant::now(), &payload) {
                    let milliseconds = (round_trip.as_secs_f64() * 1e4).round() / 10.0;
                    self.send_json(&ToPage::Latency { milliseconds });
                }
            }
            Event::Closed(_) => self.member = None,
            _ => {}
        }
    }

    async fn join(&mut self, token: &str, room: &str, last: Option<Id>) {
        let Some(name) = self.tokens.name(token) else {
            return self.close(CloseCode::UNAUTHORIZED, "log in first");
        };
        if !is_room_name(room) || !self.messages.allow(Instant::now()) {
            return self.close(CloseCode::POLICY_VIOLATION, "no such room, or too many messages");
        }
        // Limits the memory of a client that joins often and reads nothing, because a welcome is long.
        if self.output.len() >= MAX_WAITING {
            return self.close(CloseCode::POLICY_VIOLATION, "too slow");
        }
        // Leaves the old room before it enters the next.
        self.member = None;
        match self.hub.join(room, &name, last).await {
            Ok((member, messages, missing)) => {
                self.send_json(&ToPage::Welcome {
                    room,
                    name: &name,
                    node: self.hub.node(),
                    messages: &messages,
                    missing,
                });
                self.member = Some(member);
                self.prices.mark_changed();
            }
            Err(error) => {
                log(format_args!("cannot join {room}: {error}"));
                self.close(CloseCode::TRY_AGAIN_LATER, "not now");
            }
        }
    }

    async fn say(&mut self, key: String, text: &str) {
        let Some(member) = &self.member else {
            return self.close(CloseCode::POLICY_VIOLATION, "join a room first");
        };
        if !is_key(&key) {
            return self.close(CloseCode::POLICY_VIOLATION, "not a message of chat.v1");
        }
        let Some(text) = clean_text(text) else {
            return self.reject(&key, "1 to 1000 characters, please, and none that cannot be shown");
        };
        if !self.messages.allow(Instant::now()) {
            return self.reject(&key, "too fast: two messages a second");
        }
        let body = Body { name: member.name().to_owned(), text, key };
        match self.hub.say(member.room(), &body).await {
            Ok(Outcome::Sent) => {}
            Ok(Outcome::Duplicate) => self.send_json(&ToPage::Known { key: &body.key }),
            Err(error) => {
                log(format_args!("cannot pass a message on: {error}"));
                // The message may have been sent all the same. After it reconnects, the page sends messages again that
                // the history lacks.
                self.close(CloseCode::TRY_AGAIN_LATER, "not now");
            }
        }
    }

    fn reject(&mut self, key: &str, reason: &str) {
        // Limits the rate of rejections: 30 compressed bytes can be a message of 16 KiB, so reading them at any rate
        // would be much work.
        if self.rejections.allow(Instant::now()) {
            self.send_json(&ToPage::Refused { key, why: reason });
        } else {
            self.close(CloseCode::POLICY_VIOLATION, "far too many messages");
        }
    }

    fn send_json(&mut self, message: &ToPage<'_>) {
        self.send(&PreparedMessage::text(&message.json()));
    }

    /// All messages are prepared, so that no connection has a compressor.
    fn send(&mut self, message: &PreparedMessage) {
        // While the connection is closing, a message cannot be sent and is dropped.
        let _ = self.session.connection_mut().send_prepared(message, &mut self.output);
    }

    fn close(&mut self, code: CloseCode, reason: &str) {
        self.member = None;
        self.session.connection_mut().close(code, reason, &mut self.output);
    }

    fn join_by(&self) -> Option<Instant> {
        (self.member.is_none() && self.session.connection().state() == State::Open).then_some(self.join_by)
    }
}

/// The next message in the room; waits forever if there is no room.
async fn next(member: &mut Option<Member>) -> Result<PreparedMessage, MissedMessages> {
    match member {
        Some(member) => member.next().await,
        None => std::future::pending().await,
    }
}

/// A rate limit: `burst` messages at once, then `per_second`.
struct RateLimit {
    burst: f64,
    per_second: f64,
    left: f64,
    counted: Instant,
}

impl RateLimit {
    fn full(burst: f64, per_second: f64, now: Instant) -> Self {
        Self { burst, per_second, left: burst, counted: now }
    }

    /// Counts one more message; returns whether it is allowed.
    fn allow(&mut self, now: Instant) -> bool {
        let refilled = self.left + self.per_second * (now - self.counted).as_secs_f64();
        self.counted = now;
        let may_pass = refilled >= 1.0;
        self.left = refilled.min(self.burst) - f64::from(u8::from(may_pass));
        may_pass
    }
}
