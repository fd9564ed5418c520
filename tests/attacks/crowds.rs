//! Crowds: many peers that follow the protocol and keep the server busy. Meanwhile new peers are served, deadlines are
//! kept, and a peer that sent a heavy message is not served worse afterwards.

use std::io::{ErrorKind, Read, Write};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use websocket_proto::{Config, Deflate};

use crate::PATIENCE;
use crate::bombs::{BACKLOG, HELD, message};
use crate::peer::{Peer, frame, frames};
use crate::shared::client::Client;
use crate::shared::data::Noise;
use crate::shared::program::own_driver;
use crate::stage::{Report, Stage, Tally, leave, visit};

/// 400 peers send 16 bytes each, again after each echo.
pub(crate) fn many_light_peers(stage: &Stage) -> Report {
    newcomers_during(stage, Crowd::light(stage), Duration::from_secs(1))
}

/// 100 peers send 1.3 KB each, which the server inflates to 110 KB and compresses again.
pub(crate) fn many_compressed_messages(stage: &Stage) -> Report {
    newcomers_during(stage, Crowd::compressed(stage), Duration::from_secs(2))
}

/// Asserts that new peers are served within `limit` during the crowd's traffic, half of them within a third of it.
fn newcomers_during(stage: &Stage, mut crowd: Crowd, limit: Duration) -> Report {
    let calm = newcomers(stage);
    let (visits, round_trips) = crowd.beside(stage, || {
        let (start, mut visits) = (Instant::now(), Vec::new());
        while start.elapsed() < stage.scale(Duration::from_millis(500), Duration::from_secs(5)) {
            visits.extend(newcomers(stage));
        }
        sorted(visits)
    });
    // At small scale the server is a debug build on a machine that runs other tests.
    let slack = stage.scale(4 * longest(&calm) + 4 * median(&round_trips), Duration::ZERO);
    assert!(longest(&visits) < limit + slack, "visits of up to {:?}; without a crowd {calm:?}", longest(&visits));
    assert!(median(&visits) < limit / 3 + slack, "visits of {visits:?}; without a crowd {calm:?}");
    let mut got = Tally::default();
    for _ in &round_trips {
        got.add("an echo");
    }
    for visit in &visits {
        got.add(within("a visit", *visit));
    }
    let sent = round_trips.len() * crowd.message.len();
    let (connections, at_once) = (crowd.members.len() + visits.len() + calm.len(), crowd.members.len() + calm.len());
    Report { connections, at_once, sent, each: HELD + BACKLOG, got }
}

/// The time that each of 60 new peers at once (120 at small scale) needs to connect, have a message echoed, and close;
/// sorted.
fn newcomers(stage: &Stage) -> Vec<Duration> {
    let newcomer = || {
        let start = Instant::now();
        visit(&stage.address, "newcomer");
        start.elapsed()
    };
    thread::scope(|scope| {
        let newcomers: Vec<_> = (0..stage.scale(120, 60)).map(|_| scope.spawn(newcomer)).collect();
        sorted(newcomers.into_iter().map(|newcomer| newcomer.join().expect("the newcomer is served")))
    })
}

/// During a crowd of heavy messages, a peer sends a heavy message and then light ones, which do not wait like the
/// crowd's.
pub(crate) fn light_messages_after_a_heavy_one(stage: &Stage) -> Report {
    let mut crowd = Crowd::compressed(stage);
    let (light, round_trips) = crowd.beside(stage, || {
        let mut client = Client::open(&stage.address, Config::new().deflate(Deflate::new()), PATIENCE);
        client.echo(&"x".repeat(stage.scale(1 << 17, 1 << 20)));
        let light = sorted((0..50).map(|_| {
            let start = Instant::now();
            client.echo("light");
            start.elapsed()
        }));
        leave(client);
        light
    });
    let (light, heavy) = (median(&light), median(&round_trips));
    // A runtime's scheduler serves all tasks in their order. `mio_server` knows which turns will be light.
    let limit = if own_driver().is_some() { 2 * heavy } else { heavy / 2 };
    assert!(light < limit, "light messages took {light:?}, heavy ones {heavy:?}");
    let mut got = Tally::default();
    for _ in &round_trips {
        got.add("an echo");
    }
    got.add(within("half of the light echoes", light));
    let (at_once, sent) = (crowd.members.len() + 1, round_trips.len() * crowd.message.len());
    Report { connections: at_once, at_once, sent, each: HELD + BACKLOG, got }
}

/// Silent sockets during each of the two crowds: each gets 408 when its time is over.
pub(crate) fn deadlines_during_a_crowd(stage: &Stage) -> Report {
    let (mut connections, mut at_once, mut sent, mut got) = (0, 0, 0, Tally::default());
    for open in [Crowd::light, Crowd::compressed] {
        let mut crowd = open(stage);
        let (late, round_trips) = crowd.beside(stage, || late_answers(stage));
        let slack = stage.scale(5 * median(&round_trips), Duration::ZERO);
        assert!(longest(&late) < Duration::from_millis(500) + slack, "up to {:?} late", longest(&late));
        for late in &late {
            got.add(within("408, late", *late));
        }
        at_once = at_once.max(crowd.members.len() + late.len());
        connections += crowd.members.len() + late.len();
        sent += round_trips.len() * crowd.message.len();
    }
    Report { connections, at_once, sent, each: HELD + BACKLOG, got }
}

/// The delays after the deadline with which silent sockets are answered, sorted.
fn late_answers(stage: &Stage) -> Vec<Duration> {
    let patience = stage.scale(Duration::from_millis(500), Duration::from_secs(10));
    let connect = |_| (Instant::now(), Peer::connect(stage));
    let mut silent: Vec<_> = (0..stage.scale(100, 500)).map(connect).collect();
    let mut late = Vec::new();
    stage.wait_for("the silent sockets are answered", || {
        silent.retain_mut(|(start, peer)| {
            peer.poll();
            if !peer.is_over() {
                return true;
            }
            assert_eq!(peer.verdict(), "408", "a socket without a request must be answered after --timeout");
            late.push(start.elapsed().checked_sub(patience).expect("no socket is answered early"));
            false
        });
        silent.is_empty()
    });
    sorted(late)
}

fn within(what: &str, span: Duration) -> String {
    format!("{what} within {} ms", (span.as_millis() / 100 + 1) * 100)
}

fn sorted(spans: impl IntoIterator<Item = Duration>) -> Vec<Duration> {
    let mut spans: Vec<_> = spans.into_iter().collect();
    spans.sort_unstable();
    spans
}

fn median(sorted: &[Duration]) -> Duration {
    sorted[sorted.len() / 2]
}

fn longest(sorted: &[Duration]) -> Duration {
    sorted[sorted.len() - 1]
}

/// Peers that send the same message again after each echo.
struct Crowd {
    members: Vec<Member>,
    message: Vec<u8>,
}

struct Member {
    tcp: TcpStream,
    sent: Instant,
    received: Vec<u8>,
    /// Whether it has had an echo.
    is_known: bool,
}

impl Crowd {
    fn light(stage: &Stage) -> Self {
        Self::new((0..400).map(|_| Peer::open(stage)), frame(0x82, b"sixteen letters."))
    }

    fn compressed(stage: &Stage) -> Self {
        let message = message(&Noise(7).bytes(600).repeat(183));
        assert!((1200..1400).contains(&message.len()), "{} bytes", message.len());
        Self::new((0..stage.scale(10, 100)).map(|_| Peer::open_compressed(stage)), message)
    }

    fn new(peers: impl Iterator<Item = Peer>, message: Vec<u8>) -> Self {
        let member =
            |peer: Peer| Member { tcp: peer.into_mio(), sent: Instant::now(), received: Vec::new(), is_known: false };
        Self { members: peers.map(member).collect(), message }
    }

    /// Keeps the server busy, and calls `act` as soon as every member has had an echo. Also returns the round trips,
    /// sorted.
    fn beside<T>(&mut self, stage: &Stage, act: impl FnOnce() -> T) -> (T, Vec<Duration>) {
        // Several threads, so that the server is the bottleneck.
        const THREADS: usize = 8;
        let (is_over, known) = (AtomicBool::new(false), AtomicUsize::new(0));
        let Self { members, message } = self;
        let count = members.len();
        let members_each = count.div_ceil(THREADS);
        thread::scope(|scope| {
            let share = |members| scope.spawn(|| echo_until(members, message, &known, &is_over));
            let shares: Vec<_> = members.chunks_mut(members_each).map(share).collect();
            let done = panic::catch_unwind(AssertUnwindSafe(|| {
                stage.wait_for("each gets an echo", || known.load(Ordering::Relaxed) == count);
                act()
            }));
            is_over.store(true, Ordering::Relaxed);
            let round_trips = shares.into_iter().flat_map(|share| share.join().expect("every member has had an echo"));
            let round_trips = sorted(round_trips);
            (done.unwrap_or_else(|panicked| panic::resume_unwind(panicked)), round_trips)
        })
    }
}

fn echo_until(members: &mut [Member], message: &[u8], known: &AtomicUsize, is_over: &AtomicBool) -> Vec<Duration> {
    let (mut poll, mut events) = (Poll::new().expect("a poll"), Events::with_capacity(1024));
    let mut round_trips = Vec::new();
    for (key, member) in members.iter_mut().enumerate() {
        poll.registry().register(&mut member.tcp, Token(key), Interest::READABLE).expect("the socket is open");
        member.send(message);
    }
    while !is_over.load(Ordering::Relaxed) {
        poll.poll(&mut events, Some(Duration::from_millis(100))).expect("a poll");
        for event in &events {
            let member = &mut members[event.token().0];
            member.read();
            // A ping may arrive as well.
            if frames(&member.received).0.iter().any(|(first, _)| first & 0x0f == 2) {
                round_trips.push(member.sent.elapsed());
                member.send(message);
                if !std::mem::replace(&mut member.is_known, true) {
                    known.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
    round_trips
}

impl Member {
    fn send(&mut self, message: &[u8]) {
        self.sent = Instant::now();
        self.received.clear();
        self.tcp.write_all(message).expect("the socket takes a message");
    }

    fn read(&mut self) {
        let mut buffer = [0; 4 << 10];
        loop {
            match self.tcp.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Ok(0) => panic!("the server closes: {}", self.received.escape_ascii()),
                read => self.received.extend(&buffer[..read.expect("the server does not close")]),
            }
        }
    }
}
