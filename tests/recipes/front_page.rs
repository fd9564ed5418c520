//! The two loops of the crate's front page, which the README shows as well.

use std::cell::RefCell;
use std::io::{self, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use websocket_proto::{Role, Timeouts};

use crate::driven::{App, BLOCKING, message};
use crate::peers::Peer;
use crate::{MORE_THAN_SOCKETS_HOLD, PATIENCE, Running, alone, connected};

thread_local! {
    /// The lines that the loop printed.
    static PRINTED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

macro_rules! println {
    ($($what:tt)*) => { crate::front_page::PRINTED.with_borrow_mut(|printed| printed.push(format!($($what)*))) };
}

mod session {
    include!("../../src/guide/front_page.rs");

    pub(super) const CODE: &str = include_str!("../../src/guide/front_page.rs");
    pub(super) const SERVE: super::Serve = serve;
}

mod bare_connection {
    include!("../../src/guide/bare_connection.rs");

    pub(super) const CODE: &str = include_str!("../../src/guide/bare_connection.rs");
    pub(super) const SERVE: super::Serve = serve;
}

type Serve = fn(TcpStream) -> io::Result<()>;

/// Runs each of these tests for both loops.
macro_rules! loops {
    ($($test:ident)*) => {
        mod of_session {
            $(#[test] fn $test() { super::$test(super::session::SERVE); })*
        }
        mod of_bare_connection {
            $(#[test] fn $test() { super::$test(super::bare_connection::SERVE); })*
        }
    };
}

loops! {
    messages_are_echoed
    a_peer_that_reads_nothing_is_dropped
    a_peer_that_sends_on_after_its_fault_gets_the_close
    a_reset_is_reported_once
}

#[test]
fn the_readme_shows_the_front_pages_loops() {
    let readme = include_str!("../../README.md").replace("\n# ", "\n");
    for code in [session::CODE, bare_connection::CODE] {
        let items = code.split_once("fn serve").expect("it is there").1;
        assert!(readme.contains(items), "the README shows another loop");
    }
}

/// The loop of the first page stays short.
#[test]
fn the_session_loop_has_at_most_25_lines() {
    let (_, from_serve) = session::CODE.split_once("fn serve").expect("it is there");
    let (serve, _) = from_serve.split_once("\n}\n").expect("it ends");
    let lines = serve.lines().filter(|line| !line.trim_start().starts_with("//")).count() + 1;
    assert!(lines <= 25, "{lines}");
}

/// Starts the server; the receiver gets its output at the end.
fn start(serve: Serve, tcp: TcpStream) -> std::sync::mpsc::Receiver<Vec<String>> {
    let (sender, printed) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let _ = serve(tcp);
        sender.send(PRINTED.take())
    });
    printed
}

fn messages_are_echoed(serve: Serve) {
    alone(|| {
        let (at_client, at_server) = connected();
        let printed = start(serve, at_server);
        let client = Running::start(move || {
            (BLOCKING.drive)(at_client, Role::Client, App::sending(MORE_THAN_SOCKETS_HOLD), Timeouts::new())
        });
        let received = client.received();
        assert_eq!((received.messages, received.end().code()), (MORE_THAN_SOCKETS_HOLD, 1000));
        assert_eq!(
            printed.recv_timeout(PATIENCE),
            Ok(vec!["closed cleanly, the peer's Close has code 1000".to_owned()])
        );
    });
}

fn a_peer_that_reads_nothing_is_dropped(serve: Serve) {
    let (at_client, at_server) = connected();
    let printed = start(serve, at_server);
    let mut peer = Peer::open(&BLOCKING, at_client, Role::Client);
    for _ in 0..MORE_THAN_SOCKETS_HOLD {
        if peer.stream.write_all(&peer.message(&message(0))).is_err() {
            break;
        }
    }
    assert_eq!(printed.recv_timeout(PATIENCE), Ok(vec!["ended without a Close frame (RFC 6455 §7.1.5)".to_owned()]));
}

fn a_peer_that_sends_on_after_its_fault_gets_the_close(serve: Serve) {
    let (at_client, at_server) = connected();
    let printed = start(serve, at_server);
    let mut peer = Peer::open(&BLOCKING, at_client, Role::Client);
    peer.stream.write_all(&peer.fault()).expect("the peer reads");
    for _ in 0..4 {
        peer.stream.write_all(&vec![0; 512 << 10]).expect("the peer continues to read");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(peer.read_to_end(), b"\x88\x02\x03\xea");
    drop(peer);
    let [line] = &printed.recv_timeout(PATIENCE).expect("it ends in time")[..] else { panic!("not exactly one line") };
    assert!(line.starts_with("reserved opcode 3 "), "{line}");
}

fn a_reset_is_reported_once(serve: Serve) {
    let (at_client, at_server) = connected();
    let printed = start(serve, at_server);
    Peer::open(&BLOCKING, at_client, Role::Client).reset();
    assert_eq!(printed.recv_timeout(PATIENCE), Ok(vec!["ended without a Close frame (RFC 6455 §7.1.5)".to_owned()]));
}
