//! The loop of the crate's front page, which the README shows as well.

use std::cell::RefCell;
use std::thread;

use websocket_proto::{Role, Timeouts};

use crate::driven::{App, BLOCKING, message};
use crate::peers::Peer;
use crate::{MORE_THAN_SOCKETS_HOLD, PATIENCE, Running, alone, connected};

thread_local! {
    /// The lines that the loop printed.
    static PRINTED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

macro_rules! println {
    ($($what:tt)*) => { PRINTED.with_borrow_mut(|printed| printed.push(format!($($what)*))) };
}

include!("../../src/guide/front_page.rs");

const FRONT_PAGE: &str = include_str!("../../src/guide/front_page.rs");

#[test]
fn the_readme_shows_the_front_pages_loop() {
    let readme = include_str!("../../README.md").replace("\n# ", "\n");
    let items = FRONT_PAGE.split_once("fn serve").expect("it is there").1;
    assert!(readme.contains(items), "the README shows another loop");
}

/// Starts the server; the receiver gets its output at the end.
fn start(tcp: TcpStream) -> std::sync::mpsc::Receiver<Vec<String>> {
    let (sender, printed) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let _ = serve(tcp);
        sender.send(PRINTED.take())
    });
    printed
}

#[test]
fn messages_are_echoed() {
    alone(|| {
        let (at_client, at_server) = connected();
        let printed = start(at_server);
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

#[test]
fn a_peer_that_reads_nothing_is_dropped() {
    let (at_client, at_server) = connected();
    let printed = start(at_server);
    let mut peer = Peer::open(&BLOCKING, at_client, Role::Client);
    for _ in 0..MORE_THAN_SOCKETS_HOLD {
        if peer.stream.write_all(&peer.message(&message(0))).is_err() {
            break;
        }
    }
    assert_eq!(printed.recv_timeout(PATIENCE), Ok(vec!["ended without a Close frame (RFC 6455 §7.1.5)".to_owned()]));
}

#[test]
fn a_peer_that_sends_on_after_its_fault_gets_the_close() {
    let (at_client, at_server) = connected();
    let printed = start(at_server);
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

#[test]
fn a_reset_is_reported_once() {
    let (at_client, at_server) = connected();
    let printed = start(at_server);
    Peer::open(&BLOCKING, at_client, Role::Client).reset();
    assert_eq!(printed.recv_timeout(PATIENCE), Ok(vec!["ended without a Close frame (RFC 6455 §7.1.5)".to_owned()]));
}
