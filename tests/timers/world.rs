//! Two endpoints in memory, the wires between them, and a clock that jumps to the next due action.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Buf;
use websocket_proto::handshake::Request;
use websocket_proto::{ClientRequest, Closed, Config, Connection, Event, Input, Output, Role, State, Timeouts, Timers};

/// The time that bytes are in flight.
pub(crate) const LATENCY: Duration = Duration::from_millis(40);

pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) server: End,
    pub(crate) client: End,
    /// The number of jumps of the clock.
    pub(crate) turns: u128,
}

pub(crate) struct End {
    pub(crate) ws: Connection,
    pub(crate) timers: Timers<Duration>,
    pub(crate) output: Output,
    /// Bytes in flight to this endpoint, with their time of arrival; `None` is the end of the stream.
    inbox: VecDeque<(Duration, Option<Vec<u8>>)>,
    /// Whether everything that it sends is lost.
    pub(crate) is_mute: bool,
    /// Whether it leaves the transport open after the connection is closed.
    pub(crate) keeps_transport: bool,
    /// Whether it leaves the request undecided.
    pub(crate) hesitates: bool,
    pub(crate) request: Option<Request>,
    /// The number of bytes that it has written.
    pub(crate) written: usize,
    pub(crate) pings: u128,
    pub(crate) messages: u128,
    pub(crate) round_trips: Vec<Duration>,
    pub(crate) rejected: Option<u16>,
    /// The last event, and its time.
    pub(crate) last: Option<(Duration, Closed)>,
}

impl World {
    /// A client that connects to a server; nothing is delivered yet.
    pub(crate) fn new(server: Timeouts<Duration>, client: Timeouts<Duration>) -> Self {
        let mut output = Output::new();
        let request = ClientRequest::new("ws://example.com/");
        let ws = Connection::client(&request, Config::new(), [7; 32], &mut output).unwrap();
        let client = End::new(ws, output, client);
        let server = End::new(Connection::server(Config::new()), Output::new(), server);
        let mut world = Self { now: Duration::ZERO, server, client, turns: 0 };
        world.turn();
        world
    }

    /// The endpoint with this role, and its peer.
    pub(crate) fn ends(&mut self, role: Role) -> (&mut End, &mut End) {
        match role {
            Role::Server => (&mut self.server, &mut self.client),
            Role::Client => (&mut self.client, &mut self.server),
        }
    }

    /// Runs everything that is due until `until`.
    pub(crate) fn run(&mut self, until: Duration) {
        loop {
            let next = [self.server.next(), self.client.next()].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            assert!(next > self.now, "the clock does not advance at {next:?}");
            self.now = next;
            self.turn();
        }
        self.now = until;
    }

    /// One turn of both event loops, without moving the clock.
    pub(crate) fn turn(&mut self) {
        self.turns += 1;
        self.server.turn(self.now, &mut self.client);
        self.client.turn(self.now, &mut self.server);
    }
}

impl End {
    fn new(ws: Connection, output: Output, timeouts: Timeouts<Duration>) -> Self {
        Self {
            ws,
            timers: Timers::new(Duration::ZERO, timeouts),
            output,
            inbox: VecDeque::new(),
            is_mute: false,
            keeps_transport: false,
            hesitates: false,
            request: None,
            written: 0,
            pings: 0,
            messages: 0,
            round_trips: Vec::new(),
            rejected: None,
            last: None,
        }
    }

    /// When this endpoint has something to do next.
    fn next(&self) -> Option<Duration> {
        let arrival = self.inbox.front().map(|(at, _)| *at);
        [arrival, self.timers.poll_timeout()].into_iter().flatten().min()
    }

    fn turn(&mut self, now: Duration, peer: &mut Self) {
        while self.inbox.front().is_some_and(|(at, _)| *at <= now) {
            let (_, bytes) = self.inbox.pop_front().unwrap();
            self.receive(now, bytes);
        }
        self.timers.handle_timeout(now, &mut self.ws, &mut self.output);
        if self.ws.is_closed() {
            self.receive(now, None);
        }
        self.write(now, peer);
    }

    fn receive(&mut self, now: Duration, bytes: Option<Vec<u8>>) {
        let is_eof = bytes.is_none();
        let mut bytes = bytes.unwrap_or_default();
        let mut input = Input::new(&mut bytes);
        while let Some(event) =
            if is_eof { self.ws.receive_eof() } else { self.ws.receive(&mut input, &mut self.output) }
        {
            assert!(self.last.is_none(), "{event:?} after the last event");
            match event {
                Event::Request(request) if self.hesitates => self.request = Some(request),
                Event::Request(request) => self.ws.accept(request, &mut self.output),
                Event::Rejected(response) => self.rejected = Some(response.status()),
                Event::Text(_) => self.messages += 1,
                Event::Ping(_) => self.pings += 1,
                Event::Pong(payload) => self.round_trips.extend(self.timers.pong(now, &payload)),
                Event::Closed(closed) => self.last = Some((now, closed)),
                _ => {}
            }
        }
    }

    fn write(&mut self, now: Duration, peer: &mut Self) {
        let bytes = self.output.copy_to_bytes(self.output.remaining()).to_vec();
        self.written += bytes.len();
        if self.is_mute {
            return;
        }
        let at = now + LATENCY;
        if !bytes.is_empty() {
            peer.inbox.push_back((at, Some(bytes)));
        }
        let closes = self.ws.state() == State::Closed && !self.keeps_transport;
        if closes && peer.last.is_none() && !matches!(peer.inbox.back(), Some((_, None))) {
            peer.inbox.push_back((at, None));
        }
    }
}
