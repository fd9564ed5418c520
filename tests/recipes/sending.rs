//! `broadcast`, with the peers of the event loop, and `huge_messages`, with the peer of the blocking recipe.

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use websocket_proto::handshake::Negotiated;
use websocket_proto::{
    CloseCode, Config, Connection, Event, Output, PreparedMessage, Role, SessionConfig, State, Timeouts,
};

use crate::broadcast::broadcast;
use crate::driven::{App, BLOCKING, Received, message};
use crate::peers::Peer;
use crate::{MORE_THAN_SOCKETS_HOLD, PATIENCE, Running, alone, blocking, connected, event_loop, huge_messages};

/// Two members read, the third does not: the two get everything, without waiting for the third.
#[test]
fn a_broadcast_reaches_the_members_that_read() {
    alone(|| {
        let (sockets, at_server): (Vec<_>, Vec<_>) = [(); 3].map(|()| connected()).into_iter().unzip();
        let server = Running::start(move || serve_room(at_server));
        let mut sockets = sockets.into_iter();
        let mut member = || sockets.next().expect("three sockets are left");
        let clients = [member(), member()].map(|tcp| {
            Running::start(move || {
                (BLOCKING.drive)(tcp, Role::Client, App::expecting(MORE_THAN_SOCKETS_HOLD), Timeouts::new())
            })
        });
        let silent = Peer::open(&BLOCKING, member(), Role::Client);
        for client in clients {
            let received = client.received();
            assert_eq!((received.messages, received.end().code()), (MORE_THAN_SOCKETS_HOLD, 1000));
        }
        let ends: Vec<_> = server.received().closed.iter().map(|closed| (closed.code(), closed.was_clean())).collect();
        assert_eq!(ends.len(), 3);
        assert_eq!(ends.iter().filter(|end| **end == (1000, true)).count(), 2);
        assert_eq!(ends.iter().filter(|end| **end == (1006, false)).count(), 1);
        drop(silent);
    });
}

/// An event loop with a room of three members; each message is sent when the reading members have the one before.
fn serve_room(sockets: Vec<TcpStream>) -> Received {
    const MOST: usize = 4 << 20;
    let (mut room, mut app) = (event_loop::Peers::new().expect("a poll"), App::default());
    for tcp in sockets {
        tcp.set_nonblocking(true).expect("the socket is open");
        let ws = Connection::server(Config::new().max_output(MOST));
        room.add(mio::net::TcpStream::from_std(tcp), ws, Output::new(), SessionConfig::new())
            .expect("the socket is open");
    }
    let mut messages = (0..MORE_THAN_SOCKETS_HOLD).map(|at| PreparedMessage::binary(&message(at)));
    while !room.all.is_empty() {
        // All members are connected, and two of them have written their output.
        let members = || room.all.values().map(|member| &member.session);
        let are_open = members().all(|session| session.connection().state() > State::Connecting);
        let ready = members().filter(|session| session.waiting() == 0).count();
        // A Close may exceed the limit.
        assert!(members().all(|session| session.waiting() <= MOST + 127));
        if let Some(message) = (are_open && ready >= 2).then(|| messages.next()).flatten() {
            broadcast(&message, room.each());
        }
        room.round(|event, ws, output| app.handle(event, ws, output)).expect("it goes on");
    }
    app.received
}

/// Thirty clients at once on one thread; some of them stall, some reset.
#[test]
fn the_loop_serves_all_clients() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.set_nonblocking(true).expect("the listener is bound");
    let address = listener.local_addr().expect("the listener is bound");
    thread::spawn(move || {
        let mut app = App::echoing_anything();
        let listener = mio::net::TcpListener::from_std(listener);
        event_loop::serve(listener, &Config::new(), |event, ws, output| app.handle(event, ws, output))
    });
    let connect = || TcpStream::connect(address).expect("the server listens");
    let silent: Vec<_> = (0..10).map(|_| Peer::open(&BLOCKING, connect(), Role::Client)).collect();
    let clients = [(); 10].map(|()| {
        Peer::open(&BLOCKING, connect(), Role::Client).reset();
        let tcp = connect();
        Running::start(move || (BLOCKING.drive)(tcp, Role::Client, App::sending(3), Timeouts::new()))
    });
    for client in clients {
        let received = client.received();
        assert_eq!((received.messages, received.end().code(), received.end().was_clean()), (3, 1000, true));
    }
    for mut peer in silent {
        peer.stream.write_all(b"\x88\x80\0\0\0\0").expect("the peer reads");
        assert_eq!(peer.read_to_end(), b"\x88\x00");
    }
}

/// A message of many megabytes in each direction at once; neither side ever buffers much of it.
#[test]
fn huge_messages_go_each_way() {
    alone(|| {
        let (at_client, at_server) = connected();
        let server = Running::start(move || exchange_films(at_server, Role::Server));
        let client = Running::start(move || exchange_films(at_client, Role::Client));
        for received in [client.received(), server.received()] {
            assert_eq!((received.messages, received.end().code(), received.end().was_clean()), (1, 1000, true));
        }
    });
}

fn exchange_films(mut tcp: TcpStream, role: Role) -> Received {
    const LEN: usize = MORE_THAN_SOCKETS_HOLD * 1_000_000;
    let film = vec![42; LEN];
    let config = Config::new().max_message_size(usize::MAX).part_size(16 << 10);
    let ws = Connection::upgraded(role, Negotiated::default(), config, [7; 32]);
    let config = SessionConfig::new().timeouts(Timeouts::new().closing(PATIENCE));
    let mut peer = blocking::Peer::new(&mut tcp, ws, Output::new(), config);
    let (mut film_out, mut received, mut len) = (huge_messages::message(&film), Received::default(), 0);
    loop {
        // While there is more to send, a turn does not wait for input.
        let until = (!film_out.is_finished()).then(Instant::now);
        let goes_on = peer.turn(until, |event, _, _| match event {
            Event::BinaryPart { data, first, last } => {
                assert!(data.len() <= 16 << 10 && data.iter().all(|byte| *byte == 42));
                assert!(first == (len == 0) && last == (len + data.len() == LEN));
                len += data.len();
                received.messages += usize::from(last);
            }
            // A client gets the server's Close before the end of the stream.
            Event::CloseReceived { .. } => assert_eq!(role, Role::Client),
            Event::Closed(closed) => received.closed.push(closed),
            event => panic!("{event:?}"),
        });
        if !goes_on {
            return received;
        }
        let (ws, output) = peer.session.parts();
        if ws.state() == State::Open {
            huge_messages::send_some(&mut film_out, ws, output).expect("the connection is open");
        }
        assert!(output.len() < 3 * (64 << 10), "{}", output.len());
        if role == Role::Client && film_out.is_finished() && received.messages == 1 {
            ws.close(CloseCode::NORMAL_CLOSURE, "", output);
        }
    }
}
