//! The guide's recipes over loopback, from the files that the guide shows: each at both ends and under load, and
//! against peers that stall, reset, or continue to send after a fault.

#[path = "../../src/guide/recipes/blocking.rs"]
mod blocking;
#[path = "../../src/guide/recipes/broadcast.rs"]
mod broadcast;
#[path = "../../src/guide/recipes/completion.rs"]
mod completion;
mod driven;
#[path = "../../src/guide/recipes/event_loop.rs"]
mod event_loop;
mod front_page;
#[path = "../../src/guide/recipes/huge_messages.rs"]
mod huge_messages;
#[path = "../../src/guide/recipes/no_std.rs"]
mod no_std;
mod peers;
#[path = "../../src/guide/recipes/proxies.rs"]
mod proxies;
#[path = "../../src/guide/recipes/pull.rs"]
mod pull;
mod pulling;
#[path = "../../src/guide/recipes/reconnecting.rs"]
mod reconnecting;
mod sending;
#[path = "../../src/guide/recipes/session.rs"]
mod session;
#[path = "../shared/mod.rs"]
mod shared;
mod staying;
#[cfg(unix)]
mod stopping;
#[path = "../../src/guide/recipes/tls.rs"]
mod tls;
#[path = "../../src/guide/recipes/tokio.rs"]
mod tokio_recipe;

use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use driven::{App, Driver, Received, message};
use peers::Peer;
use shared::wired::ROLES;
use websocket_proto::frame::Opcode;
use websocket_proto::{ConnectionError, ProtocolErrorKind, Role, Timeout, Timeouts};

/// Long enough for every expected event, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The recipes' timeout for a peer that reads nothing.
const STALL: Duration = Duration::from_secs(10);

/// A hundred messages of a megabyte each.
const COUNT: usize = 100;
/// More messages than two sockets buffer: with Linux's defaults, 4 MiB and 32 MiB.
const MORE_THAN_SOCKETS_HOLD: usize = 45;

/// Two connected sockets: the client's and the server's.
fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let client = TcpStream::connect(listener.local_addr().expect("the listener is bound")).expect("the server listens");
    let (server, _) = listener.accept().expect("a client has connected");
    (client, server)
}

/// A recipe that runs in another thread, and the receiver of its result.
struct Running(mpsc::Receiver<Received>);

impl Running {
    fn start(drive: impl FnOnce() -> Received + Send + 'static) -> Self {
        let (sender, received) = mpsc::channel();
        thread::spawn(move || sender.send(drive()));
        Self(received)
    }

    fn received(self) -> Received {
        self.0.recv_timeout(PATIENCE).expect("the recipe ends in time, without a panic")
    }
}

/// The recipe in this role, and a peer after the opening handshake.
fn with_peer(driver: &Driver, role: Role, app: App) -> (Running, Peer) {
    within(driver, role, app, Timeouts::new())
}

fn within(driver: &Driver, role: Role, app: App, timeouts: Timeouts<Duration>) -> (Running, Peer) {
    let (client, server) = connected();
    let (own, other) = if role == Role::Server { (server, client) } else { (client, server) };
    let drive = driver.drive;
    let running = Running::start(move || drive(own, role, app, timeouts));
    let of_peer = if role == Role::Server { Role::Client } else { Role::Server };
    (running, Peer::open(driver, other, of_peer))
}

/// Serialises tests that use hundreds of megabytes.
fn alone(run: impl FnOnce()) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    run();
}

/// Makes each of these a test for each recipe that drives a connection.
macro_rules! drivers {
    ($($test:ident)*) => {
        mod of_blocking { $(#[test] fn $test() { crate::$test(&crate::driven::BLOCKING); })* }
        mod of_tls { $(#[test] fn $test() { crate::$test(&crate::driven::TLS); })* }
        mod of_event_loop { $(#[test] fn $test() { crate::$test(&crate::driven::EVENT_LOOP); })* }
        mod of_session { $(#[test] fn $test() { crate::$test(&crate::driven::SESSION); })* }
        mod of_completion { $(#[test] fn $test() { crate::$test(&crate::driven::COMPLETION); })* }
        mod of_no_std { $(#[test] fn $test() { crate::$test(&crate::driven::NO_STD); })* }
        mod of_tokio { $(#[test] fn $test() { crate::$test(&crate::driven::TOKIO); })* }
    };
}

drivers! {
    a_hundred_messages_come_back
    a_hundred_messages_go_each_way
    a_server_that_sends_before_it_reads_gets_its_echo
    a_peer_that_reads_nothing_is_dropped
    a_peer_that_sends_on_after_its_fault_gets_the_close
    a_reset_is_reported_once
    an_idle_peer_is_served_again
    a_silent_peer_is_pinged_and_closed
    a_slow_reader_is_alive
}

/// Runs the recipe at both ends.
fn both_ends(driver: &Driver, client: App, server: App) {
    let ((at_client, at_server), drive) = (connected(), driver.drive);
    // The Close is sent after all earlier messages of its side.
    let timeouts = Timeouts::new().closing(PATIENCE);
    let server = Running::start(move || drive(at_server, Role::Server, server, timeouts));
    let client = Running::start(move || drive(at_client, Role::Client, client, timeouts));
    for received in [client.received(), server.received()] {
        assert_eq!(received.messages, COUNT);
        assert_eq!((received.end().code(), received.end().was_clean()), (1000, true));
    }
}

fn a_hundred_messages_come_back(driver: &Driver) {
    alone(|| both_ends(driver, App::sending(COUNT), App::echoing()));
}

fn a_hundred_messages_go_each_way(driver: &Driver) {
    alone(|| both_ends(driver, App::sending(COUNT), App::sending(COUNT)));
}

fn a_server_that_sends_before_it_reads_gets_its_echo(driver: &Driver) {
    alone(|| {
        let (client, mut peer) = with_peer(driver, Role::Client, App::echoing());
        for at in 0..MORE_THAN_SOCKETS_HOLD {
            peer.stream.write_all(&peer.message(&message(at))).expect("the peer continues to read");
        }
        peer.stream.write_all(b"\x88\x02\x03\xe8").expect("the peer continues to read");
        let mut frames = peer.frames_to_end();
        assert_eq!(frames.pop(), Some((Opcode::Close, b"\x03\xe8".to_vec())));
        assert_eq!(frames.len(), MORE_THAN_SOCKETS_HOLD);
        for (at, (opcode, payload)) in frames.iter().enumerate() {
            assert!(*opcode == Opcode::Binary && *payload == message(at), "message {at}");
        }
        drop(peer);
        assert_eq!(client.received().end().code(), 1000);
    });
}

fn a_peer_that_reads_nothing_is_dropped(driver: &Driver) {
    let give_up = |role| {
        let app = if role == Role::Server { App::echoing() } else { App::sending(MORE_THAN_SOCKETS_HOLD) };
        let (running, mut peer) = with_peer(driver, role, app);
        let (start, mut at) = (Instant::now(), 0);
        // Writes until the recipe stops reading, and then until the connection is cut.
        while role == Role::Server && peer.stream.write_all(&peer.message(&message(at))).is_ok() {
            assert!(start.elapsed() < PATIENCE, "the recipe reads without end");
            at += 1;
        }
        let received = running.received();
        assert_eq!((received.end().code(), received.end().was_clean()), (1006, false));
        assert!(start.elapsed() >= STALL, "{:?}", start.elapsed());
        drop(peer);
    };
    thread::scope(|scope| {
        for role in ROLES {
            scope.spawn(move || give_up(role));
        }
    });
}

/// The Close must arrive, and no reset may destroy it: the recipe reads the bytes that the peer sends after its fault.
fn a_peer_that_sends_on_after_its_fault_gets_the_close(driver: &Driver) {
    for role in ROLES {
        let (running, mut peer) = with_peer(driver, role, App::default());
        peer.stream.write_all(&peer.fault()).expect("the peer reads");
        for _ in 0..4 {
            peer.stream.write_all(&vec![0; 512 << 10]).expect("the peer continues to read");
            thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(peer.frames_to_end(), [(Opcode::Close, b"\x03\xea".to_vec())]);
        drop(peer);
        let received = running.received();
        let Some(ConnectionError::Protocol(error)) = received.end().error() else { panic!("{received:?}") };
        assert_eq!(error.kind(), ProtocolErrorKind::ReservedOpcode(3));
    }
}

fn a_reset_is_reported_once(driver: &Driver) {
    for role in ROLES {
        // With an empty output, and with more than the socket takes.
        for app in [App::default(), App::sending(MORE_THAN_SOCKETS_HOLD)] {
            let (running, peer) = with_peer(driver, role, app);
            peer.reset();
            let received = running.received();
            assert_eq!((received.end().code(), received.end().was_clean()), (1006, false));
        }
    }
}

/// A silent peer differs from one that does not read.
fn an_idle_peer_is_served_again(driver: &Driver) {
    let (server, mut peer) = with_peer(driver, Role::Server, App::echoing_anything());
    thread::sleep(STALL + Duration::from_secs(1));
    peer.stream.write_all(b"\x82\x85\0\0\0\0Hello").expect("the peer reads");
    let mut echo = [0; 7];
    peer.stream.read_exact(&mut echo).expect("the echo arrives");
    assert_eq!(&echo, b"\x82\x05Hello");
    peer.stream.write_all(b"\x88\x80\0\0\0\0").expect("the peer reads");
    assert_eq!(peer.frames_to_end(), [(Opcode::Close, Vec::new())]);
    drop(peer);
    assert_eq!(server.received().end().code(), 1005);
}

/// A ping after half of the time, and a Close with 3008 after all of it.
fn a_silent_peer_is_pinged_and_closed(driver: &Driver) {
    let span = Duration::from_millis(400);
    for role in ROLES {
        let start = Instant::now();
        let (running, mut peer) = within(driver, role, App::default(), Timeouts::new().keep_alive(span, span));
        let frames = peer.frames_to_end();
        let opcodes: Vec<_> = frames.iter().map(|(opcode, _)| *opcode).collect();
        assert_eq!(opcodes, [Opcode::Ping, Opcode::Close]);
        assert!(frames[1].1.starts_with(b"\x0b\xc0"), "{frames:x?}");
        assert!(start.elapsed() >= 2 * span, "{:?}", start.elapsed());
        drop(peer);
        assert_eq!(running.received().end().error(), Some(&ConnectionError::Timeout(Timeout::KeepAlive)));
    }
}

/// For longer than the timeout of a silent peer, it reads slowly and sends nothing.
fn a_slow_reader_is_alive(driver: &Driver) {
    let span = Duration::from_secs(1);
    alone(|| {
        let app = App::sending(MORE_THAN_SOCKETS_HOLD);
        let (server, mut peer) = within(driver, Role::Server, app, Timeouts::new().keep_alive(span, span));
        let (start, mut buffer) = (Instant::now(), vec![0; 256 << 10]);
        while start.elapsed() < 4 * span {
            peer.stream.read_exact(&mut buffer).expect("it goes on");
            thread::sleep(Duration::from_millis(50));
        }
        peer.stream.write_all(b"\x88\x80\0\0\0\0").expect("the peer reads");
        peer.read_to_end();
        drop(peer);
        assert_eq!(server.received().end().code(), 1005);
    });
}
