//! Two sessions on the ends of a transport in memory, in simulated time, and any schedule of their turns.

pub mod end;
pub mod transport;

use websocket_proto::{CloseCode, Config, Output, Role, State};

use self::end::{Driver, End, Time, deadlines, run};
use self::transport::pair;
use super::bytes::Bytes;

/// The low bits of a step's first byte; its argument is the next byte.
pub mod step {
    /// An end sends a text of this length.
    pub const SEND: u8 = 0;
    /// An end has a turn, ready or not.
    pub const TURN: u8 = 1;
    /// The room in the direction that an end writes to.
    pub const CAPACITY: u8 = 2;
    /// Both ends have turns for this time.
    pub const WAIT: u8 = 3;
    /// An end closes the connection.
    pub const CLOSE: u8 = 4;
    /// An end's reads bring at most this many bytes.
    pub const CUT: u8 = 5;
    /// An end sends a ping.
    pub const PING: u8 = 6;
    /// The transport fails: by a reset, or because an end shuts down its sending side in the middle.
    pub const FAIL: u8 = 7;

    /// The server acts, instead of the client.
    pub const SERVER: u8 = 0x80;
    /// The argument counts 200 times.
    pub const LONG: u8 = 0x40;
}

/// The bits of the first byte: the drivers of the client and of the server, and whether the server sends every message
/// back.
pub const ECHOES: u8 = 0x10;

/// However the ends take turns, nothing is lost, nothing waits forever, what waits is bounded, and each end is told
/// once, at last, that the connection is over. The first byte chooses the drivers, the second the transport's room, the
/// others are steps.
pub fn session(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut schedule = Schedule::new(bytes.byte(), usize::from(bytes.byte()) + 1);
    // More would only take longer.
    for _ in 0..200 {
        let Some(first) = bytes.next() else { break };
        schedule.take(first, bytes.byte());
    }
    schedule.finish();
}

struct Schedule {
    client: End,
    server: End,
    now: Time,
    /// The scratch output of both sessions.
    output: Output,
    /// The bytes that the server's application sent between turns.
    pushed: usize,
    /// The number of long texts that may still be sent: enough to see their effect, few enough to be fast.
    long: u8,
    has_failed: bool,
}

impl Schedule {
    fn new(traits: u8, capacity: usize) -> Self {
        let (server, client) = pair(capacity);
        let (mut server, mut client) =
            (End::server(Config::new(), deadlines(), server), End::client(Config::new(), deadlines(), client));
        client.driver = Driver::ALL[usize::from(traits & 3)];
        server.driver = Driver::ALL[usize::from(traits >> 2 & 3)];
        server.echoes = traits & ECHOES != 0;
        let now = run(&mut [&mut server, &mut client], 0, 0);
        for end in [&server, &client] {
            assert_eq!(end.session.connection().state(), State::Open);
        }
        Self { client, server, now, output: Output::new(), pushed: 0, long: 4, has_failed: false }
    }

    fn take(&mut self, first: u8, argument: u8) {
        let is_server = first & step::SERVER != 0;
        let end = if is_server { &mut self.server } else { &mut self.client };
        let is_long = first & step::LONG != 0;
        let size = usize::from(argument) * if is_long { 200 } else { 1 };
        match first & 7 {
            step::SEND => {
                let is_long = is_long && self.long > 0;
                self.long -= u8::from(is_long);
                let text = char::from(b'a' + argument % 26).to_string();
                let len = end.try_send(&text.repeat(if is_long { size } else { argument.into() }));
                self.pushed += if is_server { len } else { 0 };
            }
            step::TURN => end.turn(self.now, &mut self.output),
            step::CAPACITY => end.wire.set_capacity(size + 1),
            step::WAIT => self.run(size as Time),
            step::CLOSE => end.close(CloseCode::NORMAL_CLOSURE),
            step::CUT => end.cut = size + 1,
            step::PING => {
                let (ws, output) = end.session.parts();
                // A connection that is closing drops it.
                let _ = ws.ping(&[argument], output);
                end.wake();
            }
            _ => {
                match argument & 1 {
                    0 => end.wire.reset(),
                    _ => end.wire.shut_down(),
                }
                self.has_failed = true;
            }
        }
        self.check();
    }

    fn run(&mut self, span: Time) {
        let until = self.now + span;
        self.now = run(&mut [&mut self.server, &mut self.client], self.now, until).max(until);
    }

    fn check(&self) {
        assert!(self.output.is_empty(), "the next session's output");
        // The backlog at which nothing is read, the responses to one read, and what the application sent.
        let limit = (256 << 10) + 3 * (64 << 10) + 512 + self.pushed;
        assert!(self.server.session.waiting() <= limit, "{}", self.server.session.waiting());
        assert!(self.server.closed.len() <= 1 && self.client.closed.len() <= 1);
    }

    /// An end closes, and everything ends by itself.
    fn finish(mut self) {
        self.server.close(CloseCode::GOING_AWAY);
        // A byte at a time would only take longer.
        self.server.wire.set_capacity(1000);
        self.client.wire.set_capacity(1000);
        self.run(1_000_000);
        self.check();
        for (end, other) in [(&self.client, &self.server), (&self.server, &self.client)] {
            assert!(end.is_over() && end.session.connection().is_closed());
            assert_eq!(end.closed.len(), 1);
            if !self.has_failed {
                assert!(end.closed[0].was_clean(), "{:?}", end.closed);
                assert!(end.texts == other.sent, "{} of {} texts", end.texts.len(), other.sent.len());
            }
        }
        assert_eq!(self.client.session.connection().role(), Role::Client);
    }
}
