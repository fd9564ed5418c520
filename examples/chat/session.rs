//! [`Session`]: one connection to the chat, from its upgrade to its end. The loop waits for whatever comes first:
//! bytes, room to write, something said in the room, new prices, the clock.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use websocket_proto::{CloseCode, Connection, Event, Input, Output, PreparedMessage, State, Timeouts, Timers};

use crate::hub::{Hub, Outcome, Seat, Unheard};
use crate::log;
use crate::messages::{Body, FromPage, Id, ToPage, clean_text, is_key, is_room_name};
use crate::token::Tokens;

/// The most bytes of a message: what can be said, were each of its characters escaped.
pub(crate) const MAX_MESSAGE: usize = 16 << 10;

/// While so many bytes wait for a client, it is not read, and nothing more is put to them.
const MAX_WAITING: usize = 64 << 10;

/// How long a client may take not a byte while something waits.
const STALL: Duration = Duration::from_secs(5);

/// How long a client may take to join a room.
const JOINING: Duration = Duration::from_secs(10);

/// A client that is silent for 5 s is pinged, which also is how its latency is known.
const TIMEOUTS: Timeouts<Duration> = Timeouts::new().keep_alive(Duration::from_secs(5), Duration::from_secs(20));

pub(crate) struct Session<'c> {
    ws: Connection,
    output: Output,
    timers: Timers<Instant>,
    hub: &'c Arc<Hub>,
    tokens: &'c Tokens,
    /// Where it is, once it has joined a room.
    seat: Option<Seat>,
    prices: watch::Receiver<PreparedMessage>,
    /// Changes when all are to go, and come again.
    leaving: watch::Receiver<()>,
    /// What may be passed on, and what be refused.
    messages: Allowance,
    refusals: Allowance,
    /// When it is too late: to join, if it has not; to take something of what waits, if it does not.
    join_by: Instant,
    take_by: Option<Instant>,
    /// Whether the socket took less than there was.
    is_full: bool,
}

impl<'c> Session<'c> {
    /// For a connection that is open.
    pub(crate) fn new(ws: Connection, output: Output, hub: &'c Arc<Hub>, tokens: &'c Tokens) -> Self {
        let now = Instant::now();
        Self {
            ws,
            output,
            timers: Timers::new(now, TIMEOUTS),
            hub,
            tokens,
            seat: None,
            prices: hub.prices(),
            leaving: hub.leaving(),
            messages: Allowance::full(10.0, 2.0, now),
            refusals: Allowance::full(100.0, 10.0, now),
            join_by: now + JOINING,
            take_by: None,
            is_full: false,
        }
    }

    /// Serves it to its end, beginning with what came right behind the request.
    pub(crate) async fn serve(mut self, tcp: &mut TcpStream, mut ahead: Vec<u8>) -> io::Result<()> {
        let (mut reader, mut writer) = tcp.split();
        let mut buffer = vec![0; 4 << 10];
        self.receive(&mut ahead).await;
        drop(ahead);
        loop {
            self.look_at_the_clock(Instant::now())?;
            if self.ws.is_closed() && self.output.is_empty() {
                return Ok(());
            }
            let (is_open, waits) = (!self.ws.is_closed(), !self.output.is_empty());
            let has_room = is_open && self.output.len() < MAX_WAITING;
            let wake_at = self.wake_at();
            tokio::select! {
                // An error is an end of the stream like any other.
                read = reader.read(&mut buffer), if has_room => match read.unwrap_or(0) {
                    0 => while self.ws.receive_eof().is_some() {},
                    read => self.receive(&mut buffer[..read]).await,
                },
                written = writer.write_buf(&mut self.output), if waits => {
                    written?;
                    self.take_by = None;
                    // While much waits the client is not read, and cannot answer a ping that is behind all that. But a
                    // full socket has room again only if the client took something: it is there. (A socket with room
                    // proves nothing. Were that to count, prices alone would prove it every second.)
                    if self.is_full {
                        self.timers.note_activity(Instant::now());
                    }
                    self.is_full = !self.output.is_empty();
                }
                said = next(&mut self.seat), if has_room => match said {
                    // Of what was said when nobody heard it, a page asks for what came after the last that it has seen:
                    // it must not see what comes after that.
                    Ok(_) if self.leaving.has_changed().unwrap_or(true) => {}
                    Ok(message) => self.send(&message),
                    Err(Unheard) => self.close(CloseCode::POLICY_VIOLATION, "too slow"),
                },
                Ok(()) = self.prices.changed(), if has_room && self.seat.is_some() => {
                    let prices = self.prices.borrow_and_update().clone();
                    self.send(&prices);
                }
                Ok(()) = self.leaving.changed(), if is_open => {
                    self.ws.close(CloseCode::SERVICE_RESTART, "come again", &mut self.output);
                }
                () = sleep_until(wake_at) => {}
            }
        }
    }

    async fn receive(&mut self, read: &mut [u8]) {
        let mut input = Input::new(read);
        while let Some(event) = self.ws.receive(&mut input, &mut self.output) {
            // Who was sent away is not listened to, nor let in again; who is asked to come again may finish.
            let is_sent_away = self.seat.is_none() && self.ws.state() != State::Open;
            match event {
                Event::Text(_) if is_sent_away => {}
                Event::Text(text) => match serde_json::from_str(&text) {
                    Ok(FromPage::Join { token, room, last }) => self.join(&token, &room, last).await,
                    Ok(FromPage::Say { key, text }) => self.say(key, &text).await,
                    Err(_) => self.close(CloseCode::POLICY_VIOLATION, "not a message of chat.v1"),
                },
                Event::Binary(_) => self.close(CloseCode::UNSUPPORTED_DATA, "text only"),
                Event::Pong(payload) => {
                    if let Some(round_trip) = self.timers.pong(Instant::now(), &payload) {
                        let milliseconds = (round_trip.as_secs_f64() * 1e4).round() / 10.0;
                        self.tell(&ToPage::Latency { milliseconds });
                    }
                }
                _ => {}
            }
        }
    }

    async fn join(&mut self, token: &str, room: &str, last: Option<Id>) {
        let Some(name) = self.tokens.name(token) else {
            return self.close(CloseCode::UNAUTHORIZED, "log in first");
        };
        if !is_room_name(room) || !self.messages.take(Instant::now()) {
            return self.close(CloseCode::POLICY_VIOLATION, "no such room, or too many messages");
        }
        // A welcome is long: who asks for many at once and reads none gets no more.
        if self.output.len() >= MAX_WAITING {
            return self.close(CloseCode::POLICY_VIOLATION, "too slow");
        }
        // Out of the old room before it is in the next.
        self.seat = None;
        match self.hub.join(room, &name, last).await {
            Ok((seat, messages, missing)) => {
                self.tell(&ToPage::Welcome { room, name: &name, node: self.hub.node(), messages: &messages, missing });
                self.seat = Some(seat);
                self.prices.mark_changed();
            }
            Err(error) => {
                log(format_args!("cannot join {room}: {error}"));
                self.close(CloseCode::TRY_AGAIN_LATER, "not now");
            }
        }
    }

    async fn say(&mut self, key: String, text: &str) {
        let Some(seat) = &self.seat else {
            return self.close(CloseCode::POLICY_VIOLATION, "join a room first");
        };
        if !is_key(&key) {
            return self.close(CloseCode::POLICY_VIOLATION, "not a message of chat.v1");
        }
        let Some(text) = clean_text(text) else {
            return self.refuse(&key, "1 to 1000 characters, please, and none that cannot be shown");
        };
        if !self.messages.take(Instant::now()) {
            return self.refuse(&key, "too fast: two messages a second");
        }
        let body = Body { name: seat.name().to_owned(), text, key };
        match self.hub.say(seat.room(), &body).await {
            Ok(Outcome::Said) => {}
            Ok(Outcome::Known) => self.tell(&ToPage::Known { key: &body.key }),
            Err(error) => {
                log(format_args!("cannot pass a message on: {error}"));
                // It may have been passed on all the same: the page comes back, and says again what the history lacks.
                self.close(CloseCode::TRY_AGAIN_LATER, "not now");
            }
        }
    }

    fn refuse(&mut self, key: &str, why: &str) {
        // Compressed, a message of 16 KiB comes in some 30 bytes: to read those at any pace would be much work for
        // little.
        if self.refusals.take(Instant::now()) {
            self.tell(&ToPage::Refused { key, why });
        } else {
            self.close(CloseCode::POLICY_VIOLATION, "far too many messages");
        }
    }

    fn tell(&mut self, message: &ToPage<'_>) {
        self.send(&PreparedMessage::text(&message.json()));
    }

    /// Everything is sent prepared, so that no connection ever holds a compressor.
    fn send(&mut self, message: &PreparedMessage) {
        // Who is leaving misses it.
        let _ = self.ws.send_prepared(message, &mut self.output);
    }

    fn close(&mut self, code: CloseCode, reason: &str) {
        self.seat = None;
        self.ws.close(code, reason, &mut self.output);
    }

    /// Does what is due.
    fn look_at_the_clock(&mut self, now: Instant) -> io::Result<()> {
        self.timers.handle_timeout(now, &mut self.ws, &mut self.output);
        if self.join_by().is_some_and(|join_by| join_by <= now) {
            self.close(CloseCode::TIMEOUT, "join a room");
        }
        if self.output.is_empty() {
            self.take_by = None;
        } else if *self.take_by.get_or_insert(now + STALL) <= now {
            // A Close would wait behind the rest.
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }

    /// When to do so again at the latest.
    fn wake_at(&self) -> Instant {
        let soonest = [self.timers.poll_timeout(), self.join_by(), self.take_by].into_iter().flatten().min();
        soonest.unwrap_or_else(|| Instant::now() + STALL)
    }

    fn join_by(&self) -> Option<Instant> {
        (self.seat.is_none() && self.ws.state() == State::Open).then_some(self.join_by)
    }
}

/// What comes next in the room; nothing ever, outside one.
async fn next(seat: &mut Option<Seat>) -> Result<PreparedMessage, Unheard> {
    match seat {
        Some(seat) => seat.next().await,
        None => std::future::pending().await,
    }
}

/// So many messages at once, then so many a second.
struct Allowance {
    most: f64,
    a_second: f64,
    left: f64,
    counted: Instant,
}

impl Allowance {
    fn full(most: f64, a_second: f64, now: Instant) -> Self {
        Self { most, a_second, left: most, counted: now }
    }

    /// Whether one more may pass.
    fn take(&mut self, now: Instant) -> bool {
        let grown = self.left + self.a_second * (now - self.counted).as_secs_f64();
        self.counted = now;
        let may_pass = grown >= 1.0;
        self.left = grown.min(self.most) - f64::from(u8::from(may_pass));
        may_pass
    }
}
