//! [`Simulation`]: the steps, in order, and the simulated clock.

use std::io::IoSlice;
use std::time::{Duration, Instant};

use websocket_proto::{PreparedMessage, Session};

use super::alarms::CountedAlarms;
use super::cost::Cost;
use super::crowd::{Crowd, Kind};
use super::network::{Network, ROUND_TRIP};
use super::peer::Peer;
use super::script::{Act, MESSAGES, announcement};
use super::server::{Memory, Server};
use crate::content::Random;

/// The times of the steps, in seconds from the start. With the default deadlines, sessions ping after 30 s of silence,
/// and each step is over before the next one begins.
const OPENED: u64 = 5;
const IDLE: u64 = 20;
const BROADCAST: u64 = 45;
const ROOM_AGAIN: u64 = 48;
const TALK: u64 = 60;

/// The most bytes of heap for a session's backlog of a few bytes, or of a message by reference.
const MAX_BACKLOG: u64 = 1 << 10;

pub struct Simulation {
    crowd: Crowd,
    network: Network,
    server: Server,
    start: Instant,
}

/// The result of each step.
pub struct Results {
    pub count: usize,
    /// The opening handshakes, by kind.
    pub handshakes: [Cost; 2],
    /// After a handshake and an echo for each, while nothing happens.
    pub idle: Memory,
    /// Each alarm goes off, and causes a ping; its pong arrives.
    pub keep_alive: Cost,
    /// The alarms of the awaited pongs go off, early.
    pub early_alarms: Cost,
    /// A message to all, by kind.
    pub broadcast: [Cost; 2],
    pub backlogs: Backlogs,
    /// The transports that were full accept the rest.
    pub rest: Cost,
    /// The echoes of a minute, by kind.
    pub echoes: [Cost; 2],
    /// Everything else in that minute: the keep-alive of all.
    pub others: Cost,
    /// At the end, while nothing happens.
    pub end: Memory,
    /// The alarms' part of a turn: an alarm goes off and is set again.
    pub alarms: Cost,
    /// The simulation's part of a keep-alive: a ping is written to the transport, and the pong read.
    pub transports: Cost,
}

/// The bytes that wait after the broadcast.
pub struct Backlogs {
    pub sessions: usize,
    pub bytes: usize,
    /// The memory that these sessions hold for them.
    pub heap: u64,
}

impl Simulation {
    pub fn new(count: usize) -> Self {
        let crowd = Crowd::new(count);
        let network = Network::new(&crowd);
        Self { crowd, network, server: Server::new(count), start: Instant::now() }
    }

    pub fn run(mut self) -> Results {
        let handshakes = self.open();
        let idle = self.idle_memory();
        let keep_alive = self.keep_alive();
        let broadcast = self.broadcast();
        let backlogs = self.backlogs();
        let rest = self.drain();
        let early_alarms = self.early_alarms();
        let (echoes, others) = self.talk();
        let end = self.idle_memory();
        self.check_counters();
        Results {
            count: self.crowd.len(),
            handshakes,
            idle,
            keep_alive,
            early_alarms,
            broadcast,
            backlogs,
            rest,
            echoes,
            others,
            end,
            alarms: self.alarms_alone(),
            transports: self.transports_alone(),
        }
    }

    /// The memory while nothing happens: as much as the guide's page on memory computes.
    fn idle_memory(&mut self) -> Memory {
        let (memory, count) = (self.server.memory(), self.crowd.len() as u64);
        assert_eq!(memory.heap, 0, "an idle session has nothing on the heap");
        assert_eq!(memory.slots, count * Server::SLOT as u64);
        let alarm = count * CountedAlarms::ENTRIES as u64;
        assert!((alarm..=2 * alarm).contains(&memory.alarms), "{} bytes for {count} alarms", memory.alarms);
        memory
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    /// Opens all sessions, in 5 s, and echoes a first message to each, in the next 5 s.
    fn open(&mut self) -> [Cost; 2] {
        let Self { crowd, network, server, start } = self;
        let interval = Duration::from_secs(OPENED) / crowd.len() as u32;
        network.begin(Act::Opening);
        let mut now = *start;
        let handshakes = Kind::ALL.map(|kind| {
            Cost::of(|| {
                for key in crowd.of(kind) {
                    server.accept(key, now, network);
                    network.send(key);
                    server.turn(key, now, network);
                    now += interval;
                }
                crowd.of(kind).count()
            })
        });
        for key in crowd.all() {
            network.send(key);
            server.turn(key, now, network);
            now += interval;
        }
        network.finish(crowd.all());
        // The alarms of the handshakes go off, early.
        self.run_until(self.at(IDLE));
        let compressing = self.server.sessions().filter(|session| session.connection().uses_deflate()).count();
        assert_eq!(compressing, self.crowd.of(Kind::Deflate).count());
        handshakes
    }

    /// One ping and one pong for each session.
    fn keep_alive(&mut self) -> Cost {
        let cost = Cost::of(|| self.run_until(self.at(BROADCAST)));
        assert_eq!(self.server.pongs(), self.crowd.len());
        assert!(self.crowd.all().all(|key| self.network.pings(key) == 1));
        assert_eq!(cost.count, 2 * self.crowd.len(), "an alarm and a pong for each");
        Cost { count: self.crowd.len(), ..cost }
    }

    /// Sends a message to all. The transports of slow peers accept only some of it, or nothing.
    fn broadcast(&mut self) -> [Cost; 2] {
        let now = self.at(BROADCAST);
        let Self { crowd, network, server, .. } = self;
        network.begin(Act::Broadcast);
        let mut random = Random(2);
        for key in crowd.all_slow() {
            network.set_room(key, random.below(100) as u32);
        }
        let mut message = None;
        Kind::ALL.map(|kind| {
            Cost::of(|| {
                let message = message.get_or_insert_with(|| PreparedMessage::text(announcement().text()));
                for key in crowd.of(kind) {
                    server.send(key, message, now, network);
                }
                crowd.of(kind).count()
            })
        })
    }

    fn backlogs(&mut self) -> Backlogs {
        let waiting = self.server.sessions().map(Session::waiting).filter(|bytes| *bytes > 0);
        let (sessions, bytes) = waiting.fold((0, 0), |(sessions, bytes), waiting| (sessions + 1, bytes + waiting));
        assert_eq!(sessions, self.crowd.all_slow().count());
        let heap = self.server.memory().heap;
        assert!(heap <= sessions as u64 * MAX_BACKLOG, "{heap} bytes for {sessions} backlogs");
        Backlogs { sessions, bytes, heap }
    }

    /// The transports of slow peers accept bytes again. Now every peer has received the message.
    fn drain(&mut self) -> Cost {
        let now = self.at(ROOM_AGAIN);
        self.run_until(now);
        let Self { crowd, network, server, .. } = self;
        for key in crowd.all_slow() {
            network.set_room(key, Peer::EMPTY);
        }
        let cost = Cost::of(|| crowd.all_slow().map(|key| server.turn(key, now, network)).count());
        network.finish(crowd.all());
        assert!(server.sessions().all(|session| session.waiting() == 0));
        self.idle_memory();
        cost
    }

    /// The alarm that a ping sets is due when its pong is. After the pong it is early.
    fn early_alarms(&mut self) -> Cost {
        let cost = Cost::of(|| self.run_until(self.at(TALK)));
        assert_eq!(cost.count, self.crowd.len());
        assert_eq!(self.server.pongs(), self.crowd.len(), "no ping");
        cost
    }

    /// One peer in a hundred sends a message per second, which is echoed. The keep-alive of all goes on.
    fn talk(&mut self) -> ([Cost; 2], Cost) {
        self.network.begin(Act::Talk);
        let (mut echoes, mut others) = ([Cost::default(); 2], Cost::default());
        for second in TALK..TALK + MESSAGES as u64 {
            let now = self.at(second);
            for kind in Kind::ALL {
                echoes[kind as usize] += self.echo(kind, now);
            }
            others += Cost::of(|| self.run_until(self.at(second + 1)));
        }
        let Self { crowd, network, server, .. } = self;
        network.finish(crowd.all_talkers());
        let pings = || crowd.all().map(|key| network.pings(key));
        assert_eq!(server.pongs(), pings().map(|pings| pings as usize).sum(), "every ping was answered");
        // Two in this minute.
        let silent = pings().filter(|pings| *pings == 3).count();
        assert_eq!(silent, crowd.len() - crowd.all_talkers().count());
        assert!(crowd.all_talkers().all(|key| network.pings(key) < 3), "a message proves that a peer is alive");
        (echoes, others)
    }

    /// Each session has received and sent what it was to, by its own count.
    fn check_counters(&self) {
        let counters = || self.server.sessions().map(|session| session.connection().counters());
        let (all, echoed) = (self.crowd.len(), self.crowd.all_talkers().count() * MESSAGES);
        let received: u64 = counters().map(|counters| counters.received.messages).sum();
        assert_eq!(received as usize, all + echoed, "the first message, and those of the minute");
        let sent: u64 = counters().map(|counters| counters.sent.messages).sum();
        assert_eq!(sent as usize, 2 * all + echoed, "the same, and the broadcast");
    }

    fn alarms_alone(&mut self) -> Cost {
        let Self { crowd, server, .. } = self;
        Cost::of(|| {
            for _ in 0..crowd.len() {
                let at = server.next_alarm().expect("an alarm for each session");
                let key = server.pop_alarm(at).expect("it is due");
                server.set_alarm(key, at + Duration::from_secs(30));
            }
            crowd.len()
        })
    }

    fn transports_alone(&mut self) -> Cost {
        let Self { crowd, network, start, .. } = self;
        let (interval, mut now) = (Duration::from_secs(OPENED) / crowd.len() as u32, *start);
        let read = |network: &mut Network, now| {
            while let Some(key) = network.pop_pong(now) {
                network.read(key, &mut [0; 14]);
            }
        };
        Cost::of(|| {
            for key in crowd.all() {
                let ping = network.next_ping(key);
                network.write(key, &[IoSlice::new(&ping)], now).expect("room for all");
                read(network, now);
                now += interval;
            }
            read(network, now + ROUND_TRIP);
            crowd.len()
        })
    }

    fn echo(&mut self, kind: Kind, now: Instant) -> Cost {
        let Self { crowd, network, server, .. } = self;
        Cost::of(|| {
            let talkers = crowd.talkers(kind);
            talkers
                .map(|key| {
                    network.send(key);
                    server.turn(key, now, network);
                })
                .count()
        })
    }

    /// Gives turns to sessions with pongs and alarms before this time. Returns the number of turns.
    fn run_until(&mut self, end: Instant) -> usize {
        let Self { network, server, .. } = self;
        let mut turns = 0;
        while let Some(now) = [network.next_pong(), server.next_alarm()].into_iter().flatten().min()
            && now < end
        {
            while let Some(key) = network.pop_pong(now) {
                server.turn(key, now, network);
                turns += 1;
            }
            while let Some(key) = server.pop_alarm(now) {
                server.turn(key, now, network);
                turns += 1;
            }
        }
        turns
    }
}
