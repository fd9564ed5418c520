//! `Session` in simulated time, over a transport in memory that takes any number of bytes, stalls, resets and closes.

mod edges;
#[path = "../shared/mod.rs"]
mod shared;

use std::io::{self, ErrorKind, Write};

use bytes::Buf;
use proptest::collection::vec;
use proptest::prelude::*;
use websocket_proto::handshake::Negotiated;
use websocket_proto::{
    Action, CloseCode, Config, Connection, ConnectionError, Output, Role, SendError, Session, Timeout,
};

use shared::harness::session::end::{
    CLOSING, Driver, End, GRACE, HANDSHAKE, Next, PONG, STALL, VALIDITY, deadlines, run,
};
use shared::harness::session::transport::{Wire, pair};

/// An open server and an open client, with this much room between them.
fn open(capacity: usize) -> (End, End) {
    let (server, client) = pair(capacity);
    (
        End::open(Role::Server, Config::new(), deadlines(), server),
        End::open(Role::Client, Config::new(), deadlines(), client),
    )
}

/// Runs the test for every kind of driver.
fn for_every_driver(test: impl Fn(Driver)) {
    Driver::ALL.into_iter().for_each(test);
}

/// One open end, and the wire of a peer that does nothing by itself.
fn alone(role: Role, config: Config, capacity: usize) -> (End, Wire) {
    let (own, peer) = pair(capacity);
    (End::open(role, config, deadlines(), own), peer)
}

#[test]
fn a_handshake_and_an_echo() {
    let (server, client) = pair(100);
    let (mut server, mut client) =
        (End::server(Config::new(), deadlines(), server), End::client(Config::new(), deadlines(), client));
    server.echoes = true;
    run(&mut [&mut server, &mut client], 0, 100);
    client.send("hello");
    client.send(&"long ".repeat(1000));
    run(&mut [&mut server, &mut client], 100, 200);
    assert_eq!(client.texts, ["hello".to_owned(), "long ".repeat(1000)]);
}

/// Rule 3: both ends push more than the transport and both backlogs take, and neither waits for the other.
#[test]
fn both_ends_push_at_once() {
    for_every_driver(|driver| {
        for messages in [1, 40] {
            let (mut server, mut client) = open(4 << 10);
            (server.driver, client.driver) = (driver, driver);
            let text = "x".repeat(1 << 20);
            for _ in 0..messages {
                server.send(&text);
                client.send(&text);
            }
            run(&mut [&mut server, &mut client], 0, 1_000_000);
            assert_eq!((server.texts.len(), client.texts.len()), (messages, messages));
            assert!(server.closed.is_empty() && client.closed.is_empty());
        }
    });
}

/// Rule 3: a server reads nothing while too much waits, and reads again afterwards. A client always reads.
#[test]
fn a_server_reads_below_its_backlog() {
    for (role, reads) in [(Role::Server, false), (Role::Client, true)] {
        let (mut end, _peer) = alone(role, Config::new(), 1000);
        end.send(&"x".repeat(300 << 10));
        run(&mut [&mut end], 0, 0);
        assert!(matches!(end.next, Next::Wait { read, write: true, .. } if (read > 0) == reads), "{role:?}");
        end.wire.set_capacity(1 << 20);
        run(&mut [&mut end], 0, 0);
        assert!(matches!(end.next, Next::Wait { read: 1.., write: false, .. }), "{role:?}");
    }
}

/// Rule 1: in the order in which they were sent, also between turns.
#[test]
fn the_backlog_is_written_first() {
    let (mut server, mut client) = open(1000);
    for number in 0..100 {
        server.send(&format!("{number} {}", "x".repeat(number * 10)));
        if number % 7 == 0 {
            run(&mut [&mut server, &mut client], 0, 0);
        }
    }
    run(&mut [&mut server, &mut client], 0, 0);
    let numbers: Vec<usize> =
        client.texts.iter().map(|text| text.split_once(' ').expect("a space").0.parse().expect("a number")).collect();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
}

/// Rule 4.
#[test]
fn reads_are_short_where_messages_may_be_compressed() {
    let (server, _client) = pair(1000);
    let mut connecting = End::server(Config::new(), deadlines(), server);
    run(&mut [&mut connecting], 0, 0);
    let (mut open, _peer) = alone(Role::Server, Config::new(), 1000);
    run(&mut [&mut open], 0, 0);
    let read = |end: &End| match end.next {
        Next::Wait { read, .. } => read,
        Next::Closed => 0,
    };
    assert_eq!((read(&connecting), read(&open)), (4 << 10, 64 << 10));
}

/// Rules 5 and 6: both ends are told once; the server shuts down first, and both read to the end before they close.
#[test]
fn a_closing_handshake_ends_in_order() {
    for_every_driver(|driver| {
        for closes_server in [true, false] {
            for capacity in [1, 7, 1000] {
                let (mut server, mut client) = open(capacity);
                (server.driver, client.driver) = (driver, driver);
                let text = "before the close ".repeat(100);
                server.send(&text);
                client.send(&text);
                (if closes_server { &mut server } else { &mut client }).close(CloseCode::GOING_AWAY);
                run(&mut [&mut server, &mut client], 0, 100);
                for end in [&server, &client] {
                    assert_eq!((end.closed.len(), end.texts.len()), (1, 1));
                    assert!(end.closed[0].was_clean() && end.is_over() && end.shut_down_at.is_some());
                    assert_eq!(end.wire.unread(), 0, "nothing was lost to a reset");
                }
            }
        }
    });
}

/// Rule 5: a reset, a write error and a lost stream end the connection like the end of the stream.
#[test]
fn a_failure_is_the_end_of_the_stream() {
    for_every_driver(|driver| {
        for role in [Role::Server, Role::Client] {
            for fail in [Wire::reset as fn(&Wire), Wire::shut_down, Wire::close] {
                for waits in [false, true] {
                    let (mut end, peer) = alone(role, Config::new(), 1000);
                    end.driver = driver;
                    if waits {
                        end.send(&"x".repeat(5000));
                    }
                    run(&mut [&mut end], 0, 0);
                    fail(&peer);
                    run(&mut [&mut end], 0, 100_000);
                    assert_eq!(end.closed.len(), 1, "{role:?}");
                    assert_eq!(end.closed[0].error(), Some(&ConnectionError::TransportLost));
                    assert!(end.is_over());
                }
            }
        }
    });
}

/// Rule 7, and rule 5: a peer that takes nothing is given up.
#[test]
fn a_peer_that_takes_nothing_is_given_up() {
    for_every_driver(|driver| {
        for role in [Role::Server, Role::Client] {
            let (mut end, _peer) = alone(role, Config::new(), 1000);
            end.driver = driver;
            end.send(&"x".repeat(2000));
            let over = run(&mut [&mut end], 0, 1_000_000);
            assert_eq!((end.closed.len(), end.closed[0].error()), (1, Some(&ConnectionError::TransportLost)));
            assert_eq!(over, STALL + GRACE, "{role:?}");
        }
    });
}

/// Rule 2: a peer that reads slowly, and sends nothing, is alive. Once it reads nothing, it is not.
#[test]
fn a_slow_reader_is_alive() {
    for_every_driver(|driver| {
        let (mut end, mut peer) = alone(Role::Server, Config::new(), 1000);
        end.driver = driver;
        end.send(&"x".repeat(50_000));
        let mut now = 0;
        for _ in 0..40 {
            now = run(&mut [&mut end], now, now + STALL - 1).max(now + STALL - 1);
            let mut buffer = [0; 1000];
            io::Read::read(&mut peer, &mut buffer).expect("bytes wait");
        }
        assert!(now > VALIDITY + PONG && end.closed.is_empty());
        let over = run(&mut [&mut end], now, now + 1_000_000);
        assert_eq!((over, end.closed.len()), (now + STALL + GRACE, 1));
    });
}

/// Rule 2: a transport with room proves nothing: a dead peer is noticed although messages are sent to it.
#[test]
fn writes_to_a_transport_with_room_prove_nothing() {
    for_every_driver(|driver| {
        let (mut end, _peer) = alone(Role::Server, Config::new(), 1 << 20);
        end.driver = driver;
        for second in 0..1000 {
            if end.closed.is_empty() {
                end.send("tick");
            }
            run(&mut [&mut end], second * 1000, second * 1000 + 999);
        }
        assert_eq!(end.closed[0].error(), Some(&ConnectionError::Timeout(Timeout::KeepAlive)));
        assert_eq!(end.closed.len(), 1);
        let at = end.closed_at.expect("it is closed");
        assert!((VALIDITY + PONG..VALIDITY + PONG + GRACE + 2000).contains(&at), "{at}");
    });
}

/// Rule 8: each deadline fires at its time, and once.
#[test]
fn deadlines_fire_once_at_their_time() {
    let (server, client) = pair(1000);
    let mut silent = End::server(Config::new(), deadlines(), server);
    let over = run(&mut [&mut silent], 0, 1_000_000);
    assert_eq!(silent.closed[0].error(), Some(&ConnectionError::Timeout(Timeout::Handshake)));
    assert_eq!((over, silent.closed.len(), client.is_readable()), (HANDSHAKE + GRACE, 1, true));

    let (mut unanswered, _peer) = alone(Role::Server, Config::new(), 1000);
    unanswered.close(CloseCode::NORMAL_CLOSURE);
    let over = run(&mut [&mut unanswered], 0, 1_000_000);
    assert_eq!(unanswered.closed[0].error(), Some(&ConnectionError::Timeout(Timeout::Closing)));
    assert_eq!((over, unanswered.closed.len()), (CLOSING + GRACE, 1));
}

/// Rule 6: the grace period starts again when the peer takes some of the last bytes.
#[test]
fn progress_restarts_the_grace_period() {
    for_every_driver(|driver| {
        let (mut end, mut peer) = alone(Role::Server, Config::new(), 1000);
        end.driver = driver;
        end.send(&"x".repeat(10_000));
        peer.write_all(b"\x83\x80\0\0\0\0").expect("room for an invalid frame");
        let mut now = 0;
        for _ in 0..10 {
            now = run(&mut [&mut end], now, now + GRACE - 1).max(now + GRACE - 1);
            assert!(!end.is_over() && end.shut_down_at.is_none());
            io::Read::read(&mut peer, &mut [0; 1000]).expect("bytes wait");
        }
        let over = run(&mut [&mut end], now, now + 1_000_000);
        assert_eq!(end.closed.len(), 1);
        assert!(end.shut_down_at.is_some() && over <= now + GRACE + 1);
    });
}

/// Rule 9: the limit counts the bytes that wait, wherever they are.
#[test]
fn the_output_limit_counts_the_backlog() {
    let (mut end, _peer) = alone(Role::Server, Config::new().max_output(3000), 1000);
    end.send(&"x".repeat(2900));
    run(&mut [&mut end], 0, 0);
    let (ws, output) = end.session.parts();
    assert_eq!(ws.send_text(&"x".repeat(1500), output), Err(SendError::Full));
    assert_eq!(ws.send_text(&"x".repeat(900), output), Ok(()));
}

/// Rules 9 and 10: bytes that were given away count until they are written, for the limit and for the backlog.
#[test]
fn bytes_in_flight_wait() {
    let (mut end, _peer) = alone(Role::Server, Config::new().max_output(400 << 10), 1000);
    let mut output = Output::new();
    end.send(&"x".repeat(300 << 10));
    let mut chunk = end.session.take_chunk();
    assert!(end.session.take_chunk().is_empty(), "a chunk is in flight");
    assert_eq!((end.session.waiting(), end.session.backlog().len()), (chunk.len(), 0));
    let read = |action| match action {
        Action::Wait { read, write: true, .. } => read,
        action => panic!("{action:?}"),
    };
    assert_eq!(read(end.session.poll_queued(0, &mut output)), 0);
    let (ws, output) = end.session.parts();
    assert_eq!(ws.send_text(&"x".repeat(100 << 10), output), Err(SendError::Full));
    let written = 60 << 10;
    end.session.wrote(1, written);
    chunk.advance(written);
    assert_eq!(end.session.waiting(), chunk.len());
    let mut output = Output::new();
    assert!(read(end.session.poll_queued(1, &mut output)) > 0);
    let (ws, output) = end.session.parts();
    assert_eq!(ws.send_text(&"x".repeat(100 << 10), output), Ok(()));
    assert!(end.session.take_chunk().is_empty(), "the rest of the chunk is in flight");
    end.session.wrote(2, chunk.len());
    assert_eq!(end.session.take_chunk().len(), (100 << 10) + 10);
}

/// A write that the session has given up may still be completed.
#[test]
fn a_late_completion_changes_nothing() {
    let (mut end, _peer) = alone(Role::Server, Config::new(), 1000);
    let mut output = Output::new();
    end.send("hello");
    let chunk = end.session.take_chunk();
    end.session.write_failed();
    end.session.wrote(1, chunk.len());
    end.send("lost");
    assert!(matches!(end.session.poll_queued(1, &mut output), Action::Wait { write: false, .. }));
}

/// A message that came before the request was accepted is reported without another read.
#[test]
fn early_data_needs_no_read() {
    let (server, mut client) = pair(10_000);
    let mut end = End::server(Config::new(), deadlines(), server);
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    client.write_all(&[&request[..], b"\x81\x84\0\0\0\0fast"].concat()).expect("room for the request");
    run(&mut [&mut end], 0, 0);
    assert_eq!(end.texts, ["fast"]);
}

proptest! {
    #[test]
    fn nothing_is_lost_or_stuck(schedule in vec(any::<u8>(), 0..150)) {
        shared::harness::session(&schedule);
    }
}

/// A transport with bytes of its own, such as those of TLS's handshake.
struct OwnBytes {
    unsent: usize,
    room: usize,
}

impl Write for OwnBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let sent = self.unsent.min(self.room);
        (self.unsent, self.room) = (self.unsent - sent, self.room - sent);
        if self.unsent == 0 { Ok(()) } else { Err(ErrorKind::WouldBlock.into()) }
    }
}

#[test]
fn a_transports_own_bytes_are_flushed_and_wait() {
    let ws = Connection::upgraded(Role::Server, Negotiated::default(), Config::new(), [7; 32]);
    let (mut session, mut output) = (Session::new(0, ws, deadlines()), Output::new());
    let mut transport = OwnBytes { unsent: 5, room: 3 };
    let mut poll = |now, room| {
        transport.room = room;
        let Action::Wait { write, deadline, .. } = session.poll_writer(now, &mut output, &mut transport) else {
            panic!("the connection is open");
        };
        (write, deadline, transport.unsent)
    };
    assert_eq!(poll(0, 3), (true, Some(STALL), 2));
    assert_eq!(poll(1, 1), (true, Some(STALL), 1));
    // Only a peer that reads makes room in a full transport, so it is alive.
    assert_eq!(poll(2, 1), (false, Some(2 + VALIDITY), 0));
}
