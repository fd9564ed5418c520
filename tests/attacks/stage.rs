//! [`Stage`]: a server, an attack on it, and a well-behaved client during the attack.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use websocket_proto::{CloseCode, Config, Deflate};

use crate::peer::Peer;
use crate::shared::client::Client;
use crate::shared::program::{Program, own_driver};
use crate::{Attack, CONTEXT_TAKEOVER, PATIENCE};

/// A place in the server's table of connections, in its alarms and its queues, which keep their capacity. A
/// `Session` is 320 bytes, the rest of an entry a third of that; while a table grows, two copies exist.
const ENTRY: usize = 2 << 10;

/// The same for the server in `WS_DRIVER`: `WS_DRIVER_BYTES`, or four times as much.
fn entry() -> usize {
    if own_driver().is_none() {
        return ENTRY;
    }
    std::env::var("WS_DRIVER_BYTES").map_or(4 * ENTRY, |bytes| {
        bytes.parse().unwrap_or_else(|_| panic!("WS_DRIVER_BYTES must be a number of bytes, not {bytes:?}"))
    })
}

/// The memory that a server keeps after its first peer: an `Output` of up to 128 KiB, a compressor and a decompressor
/// of 208 KiB, and fragmentation in the allocator; and during a turn, one decompressed message and its echo.
const KEPT: usize = 1 << 20;
const AT_WORK: usize = 6 << 20;

pub(crate) struct Stage {
    server: Program,
    pub(crate) address: String,
    is_full: bool,
    /// The server's descriptors and memory before any attack.
    descriptors: usize,
    memory: usize,
    /// The most attackers at a time.
    places: usize,
}

/// The result of an attack.
pub(crate) struct Report {
    /// The number of connections, and the most at a time.
    pub(crate) connections: usize,
    pub(crate) at_once: usize,
    pub(crate) sent: usize,
    /// The documented bound on the memory of a connection.
    pub(crate) each: usize,
    pub(crate) got: Tally,
}

impl Stage {
    /// A server with timeouts of half a second.
    pub(crate) fn small(takes_context: bool) -> Self {
        Self::new(false, takes_context, &["--timeout", "500"])
    }

    /// A server with the default timeouts: 10 seconds for the handshake, 30 until a silent peer is pinged, 20 for its
    /// pong.
    pub(crate) fn full(takes_context: bool) -> Self {
        Self::new(true, takes_context, &[])
    }

    fn new(is_full: bool, takes_context: bool, timeouts: &[&str]) -> Self {
        let takeover: &[_] = if takes_context { &[CONTEXT_TAKEOVER] } else { &[] };
        let (server, address) = Program::start(&[timeouts, takeover].concat());
        // Makes the server allocate the memory that it keeps, so that the first attack starts with it.
        visit(&address, &"x".repeat(100_000));
        let mut stage = Self { server, address, is_full, descriptors: 0, memory: 0, places: 0 };
        stage.descriptors = stage.settled_descriptors();
        stage.memory = stage.server.memory();
        stage
    }

    /// One of two values, by the scale.
    pub(crate) fn scale<T>(&self, small: T, full: T) -> T {
        if self.is_full { full } else { small }
    }

    /// Waits until the server has ended all peers, which do not close their side, and has no connection but the
    /// well-behaved client's.
    pub(crate) fn wait_for_the_end(&self, peers: &mut [Peer]) {
        self.wait_for("the attackers are ended", || {
            peers.iter_mut().for_each(Peer::poll);
            peers.iter().all(Peer::is_over)
        });
        self.wait_for("their sockets are closed", || self.server.descriptors() <= self.descriptors + 1);
    }

    /// Runs an attack, and asserts the bounds on the server's memory and descriptors.
    pub(crate) fn perform(&mut self, attack: &Attack) -> Performance {
        self.server.forget_peak();
        let witness = Witness::new(&self.address);
        let report = (attack.run)(self);
        let service = witness.leave();
        self.wait_for("everybody goes", || self.server.descriptors() <= self.descriptors);
        let (peak, after) = (self.server.peak(), self.server.memory());
        self.places = self.places.max(report.at_once);
        let most = self.memory + self.places * entry() + report.at_once * report.each + AT_WORK;
        let allowed = format!("{} places of {} bytes (WS_DRIVER_BYTES)", self.places, entry());
        assert!(peak <= most, "{}: {peak} bytes at peak, of {most} with {allowed}", attack.name);
        let most = self.memory + self.places * entry() + KEPT;
        assert!(after <= most, "{}: {after} bytes after it, of {most} with {allowed}", attack.name);
        Performance { name: attack.name, report, before: self.memory, peak, after, service }
    }

    /// Waits for a condition, at most as long as the server's timeouts and a busy machine may take.
    pub(crate) fn wait_for(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let mut patience = PATIENCE + self.scale(Duration::ZERO, Duration::from_secs(60));
        if own_driver().is_some() {
            // A server may leave a peer that reads nothing to its stall limit, which `--timeout` does not change.
            patience += PATIENCE;
        }
        let start = Instant::now();
        while !is_so() {
            let (now, idle) = (self.server.descriptors(), self.descriptors);
            assert!(start.elapsed() < patience, "{what}: {now} descriptors after {patience:?}, {idle} when idle");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The number of descriptors after the last connection has gone.
    fn settled_descriptors(&self) -> usize {
        let (mut last, mut since) = (0, Instant::now());
        while since.elapsed() < Duration::from_millis(100) {
            let now = self.server.descriptors();
            if now != last {
                (last, since) = (now, Instant::now());
            }
            thread::sleep(Duration::from_millis(2));
        }
        last
    }
}

/// Connects, has a message echoed, and closes cleanly.
pub(crate) fn visit(address: &str, text: &str) {
    let mut client = Client::open(address, Config::new().deflate(Deflate::new()), PATIENCE);
    client.echo(text);
    leave(client);
}

pub(crate) fn leave(mut client: Client) {
    client.ws.close(CloseCode::NORMAL_CLOSURE, "", &mut client.output);
    let closed = client.closed();
    assert!(closed.was_clean() && closed.error().is_none(), "{closed:?}");
}

/// Well-behaved clients, one that stays and others that come and go: the server closes on none, and every echo is
/// right.
struct Witness {
    is_over: Arc<AtomicBool>,
    /// One thread each: the staying client answers the server's pings even during a long visit.
    staying: JoinHandle<(usize, Duration)>,
    visiting: JoinHandle<Duration>,
}

/// How the server served them: the number of echoes and visits, the longest round trip of the client that stays, and
/// the longest visit of another (handshake, round trip and closing).
struct Service {
    round_trips: usize,
    round_trip: Duration,
    visit: Duration,
}

impl Witness {
    fn new(address: &str) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut client = Client::open(address, Config::new(), PATIENCE);
        let (address, visits_are_over) = (address.to_owned(), is_over.clone());
        let visiting = thread::spawn(move || {
            let (mut visits, mut longest) = (0, Duration::ZERO);
            while !visits_are_over.load(Ordering::Relaxed) || visits < 1 {
                let start = Instant::now();
                visit(&address, &text(visits));
                longest = longest.max(start.elapsed());
                visits += 1;
                thread::sleep(Duration::from_millis(100));
            }
            longest
        });
        let stay_is_over = is_over.clone();
        let staying = thread::spawn(move || {
            let (mut round_trips, mut longest) = (0, Duration::ZERO);
            // The attack may be short: at least five round trips.
            while !stay_is_over.load(Ordering::Relaxed) || round_trips < 5 {
                let start = Instant::now();
                client.echo(&text(round_trips));
                longest = longest.max(start.elapsed());
                round_trips += 1;
                thread::sleep(Duration::from_millis(5));
            }
            leave(client);
            (round_trips, longest)
        });
        Self { is_over, staying, visiting }
    }

    fn leave(self) -> Service {
        self.is_over.store(true, Ordering::Relaxed);
        let (round_trips, round_trip) = self.staying.join().expect("the client that stays is served");
        let visit = self.visiting.join().expect("the clients that come and go are served");
        Service { round_trips, round_trip, visit }
    }
}

/// Texts of different lengths.
fn text(number: usize) -> String {
    format!("{number:05} ").repeat(1 + number % 500)
}

/// The attackers' verdicts, and the number of each.
#[derive(Default)]
pub(crate) struct Tally(BTreeMap<String, usize>);

impl Tally {
    pub(crate) fn add(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }

    /// Asserts that every verdict is one of these.
    #[track_caller]
    pub(crate) fn is_only(&self, allowed: &[&str]) {
        assert!(
            self.0.keys().all(|what| allowed.contains(&what.as_str())),
            "{self}, but only {allowed:?} are expected"
        );
        assert!(!self.0.is_empty(), "no attacker has a verdict");
    }

    /// Asserts that some attacker got this verdict.
    #[track_caller]
    pub(crate) fn has(&self, what: &str) {
        assert!(self.0.contains_key(what), "no attacker got {what}: {self}");
    }
}

impl FromIterator<String> for Tally {
    fn from_iter<T: IntoIterator<Item = String>>(all: T) -> Self {
        let mut tally = Self::default();
        for what in all {
            tally.add(what);
        }
        tally
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.0.iter().map(|(what, count)| format!("{what}: {count}")).collect();
        f.write_str(&all.join(", "))
    }
}

/// A row of the table.
pub(crate) struct Performance {
    name: &'static str,
    report: Report,
    before: usize,
    peak: usize,
    after: usize,
    service: Service,
}

pub(crate) const HEADING: &str = "\
| attack | connections | MB sent | MiB before, at peak, after | round trips, the worst, a newcomer's | what the attackers got |
|---|--:|--:|--:|--:|---|";

impl fmt::Display for Performance {
    #[expect(clippy::cast_precision_loss, reason = "nobody looks at the sixteenth digit")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { connections, sent, got, .. } = &self.report;
        let mebibytes = |bytes| bytes as f64 / f64::from(1 << 20);
        write!(f, "| {} | {connections} | {:.1} |", self.name.replace('_', " "), *sent as f64 / 1e6)?;
        let (before, peak, after) = (mebibytes(self.before), mebibytes(self.peak), mebibytes(self.after));
        write!(f, " {before:.1}, {peak:.1}, {after:.1} |")?;
        let Service { round_trips, round_trip, visit } = self.service;
        write!(f, " {round_trips}, {} ms, {} ms | {got} |", round_trip.as_millis(), visit.as_millis())
    }
}
