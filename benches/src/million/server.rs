//! [`Server`]: the state of an event loop for many sessions, and a session's turn.

use std::time::{Duration, Instant};

use websocket_proto::{
    Action, Config, Connection, Deflate, Event, Input, Output, PreparedMessage, Session, SessionConfig,
};

use super::alarms::CountedAlarms;
use super::network::{Network, ROUND_TRIP};
use crate::{allocator, memory};

/// The longest read that a session asks for.
const READ: usize = 64 << 10;

/// An echo server on one thread, with the default deadlines. It compresses messages of peers that offer it, with one
/// compressor and one decompressor for all.
pub struct Server {
    config: Config,
    limits: SessionConfig<Duration>,
    slots: Vec<Option<Slot>>,
    alarms: CountedAlarms,
    /// Shared by all sessions. The output is empty after every turn.
    buffer: Vec<u8>,
    output: Output,
    pongs: usize,
    /// Bytes allocated, and the process's resident memory, before the server was made.
    before: (u64, u64),
}

struct Slot {
    session: Session<Instant>,
    /// The most bytes to read.
    read: usize,
}

/// Bytes held by a server, all of its sessions together.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// The table.
    pub slots: u64,
    /// The heap of all sessions.
    pub heap: u64,
    pub alarms: u64,
    /// The read buffer, the output, and its compressor and decompressor.
    pub shared: u64,
    /// The process's, with the allocator's own.
    pub resident: u64,
}

impl Memory {
    pub fn sum(&self) -> u64 {
        self.slots + self.heap + self.alarms + self.shared
    }
}

impl Server {
    /// The size of a slot: a session, and what the loop knows of its transport.
    pub const SLOT: usize = size_of::<Option<Slot>>();

    /// A server with `count` vacant slots.
    pub fn new(count: usize) -> Self {
        let before = (allocator::live(), memory::resident());
        Self {
            config: Config::new().deflate(Deflate::new().shared()),
            limits: SessionConfig::new(),
            slots: (0..count).map(|_| None).collect(),
            alarms: CountedAlarms::default(),
            buffer: vec![0; READ],
            output: Output::new(),
            pongs: 0,
            before,
        }
    }

    /// Starts a session in a vacant slot.
    pub fn accept(&mut self, key: usize, now: Instant, network: &mut Network) {
        let session = Session::new(now, Connection::server(self.config.clone()), self.limits);
        self.slots[key] = Some(Slot { session, read: 0 });
        self.turn(key, now, network);
    }

    /// Sends a message between two turns, and has the next turn.
    pub fn send(&mut self, key: usize, message: &PreparedMessage, now: Instant, network: &mut Network) {
        let slot = self.slots[key].as_mut().expect("an open session");
        slot.session.connection_mut().send_prepared(message, &mut self.output).expect("an open connection");
        self.turn(key, now, network);
    }

    /// A session's turn: reads, answers and writes what it can, and sets its alarm.
    pub fn turn(&mut self, key: usize, now: Instant, network: &mut Network) {
        let slot = self.slots[key].as_mut().expect("an open session");
        let deadline = loop {
            if slot.read > 0 && network.is_readable(key) {
                let count = network.read(key, &mut self.buffer[..slot.read]);
                let mut input = Input::from_read(&mut self.buffer[..count]);
                while let Some(event) = slot.session.receive(&mut input, &mut self.output) {
                    self.pongs += usize::from(matches!(event, Event::Pong(_)));
                    answer(event, &mut slot.session, now, &mut self.output);
                }
            }
            match slot.session.poll(now, &mut self.output, |slices| network.write(key, slices, now)) {
                Action::Wait { read, deadline, .. } => {
                    slot.read = read;
                    if read == 0 || !network.is_readable(key) {
                        break deadline;
                    }
                }
                action => panic!("no session ends: {action:?}"),
            }
        };
        self.alarms.set(key, deadline);
    }

    /// The time of the first alarm.
    pub fn next_alarm(&self) -> Option<Instant> {
        self.alarms.next()
    }

    /// A session whose alarm is due.
    pub fn pop_alarm(&mut self, now: Instant) -> Option<usize> {
        self.alarms.pop(now)
    }

    pub fn set_alarm(&mut self, key: usize, at: Instant) {
        self.alarms.set(key, Some(at));
    }
}

/// Echoes a message. Checks a pong.
fn answer(event: Event<'_>, session: &mut Session<Instant>, now: Instant, output: &mut Output) {
    match event {
        Event::Request(request) => session.connection_mut().accept(request, output),
        Event::Text(text) => session.connection_mut().send_text(&text, output).expect("an open connection"),
        Event::Pong(payload) => assert_eq!(session.timers().pong(now, &payload), Some(ROUND_TRIP)),
        event => panic!("peers cause no such event: {event:?}"),
    }
}

/// # Getters
impl Server {
    /// The number of pongs received.
    pub fn pongs(&self) -> usize {
        self.pongs
    }

    pub fn sessions(&self) -> impl Iterator<Item = &Session<Instant>> {
        self.slots.iter().flatten().map(|slot| &slot.session)
    }

    /// Counts all memory. Frees that of the output, to learn how much it was.
    pub fn memory(&mut self) -> Memory {
        let all = allocator::live() - self.before.0;
        self.output = Output::new();
        let output = all + self.before.0 - allocator::live();
        let resident = memory::resident().saturating_sub(self.before.1);
        let slots = (self.slots.capacity() * Self::SLOT) as u64;
        let (alarms, shared) = (self.alarms.bytes(), self.buffer.capacity() as u64 + output);
        Memory { slots, heap: all - slots - alarms - shared, alarms, shared, resident }
    }
}
