//! `reconnecting` and `proxies`, with the blocking recipe.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::shared::sockets::{read_head, reset_on_close};
use websocket_proto::uri::Uri;
use websocket_proto::{Backoff, Connection, Event, Output, Role, SessionConfig, Timeouts};

use crate::driven::{App, BLOCKING, start};
use crate::peers::Peer;
use crate::proxies::tunnel;
use crate::reconnecting::{End, Next, next};
use crate::{MORE_THAN_SOCKETS_HOLD, PATIENCE, Running, alone, blocking, connected};

/// One attempt, to its end.
fn attempt(address: &str) -> End {
    let Ok(mut tcp) = TcpStream::connect(address) else { return End::Unreached };
    let (ws, output) = start(Role::Client);
    let (mut end, mut opened) = (End::Unreached, None);
    let mut peer = blocking::Peer::new(&mut tcp, ws, output, SessionConfig::new());
    while peer.turn(None, |event, _: &mut Connection, _: &mut Output| match event {
        Event::Open(_) => opened = Some(Instant::now()),
        Event::Rejected(rejection) => end = End::Rejected(rejection),
        Event::Closed(closed) => {
            if let Some(opened) = opened {
                end = End::Closed(opened.elapsed(), closed.code());
            }
        }
        _ => {}
    }) {}
    end
}

/// A server that resets before its answer, rejects for a while, resets again, restarts, and finally closes for good.
#[test]
fn a_client_reconnects_until_a_final_close() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("the listener is bound").to_string();
    let server = thread::spawn(move || {
        let reset = |tcp: &TcpStream| {
            reset_on_close(tcp);
        };
        let accept = || listener.accept().expect("a client connects").0;
        reset(&accept());
        let mut tcp = accept();
        assert!(tcp.read(&mut [0; 1024]).expect("a request arrives") > 0);
        tcp.write_all(b"HTTP/1.1 503 Later\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n").expect("the peer reads");
        drop(tcp);
        reset(&Peer::open(&BLOCKING, accept(), Role::Server).tcp);
        for close in [b"\x88\x02\x03\xf4", b"\x88\x02\x03\xf5", b"\x88\x02\x03\xe8"] {
            let mut peer = Peer::open(&BLOCKING, accept(), Role::Server);
            peer.stream.write_all(close).expect("the peer reads");
            peer.tcp.shutdown(Shutdown::Write).expect("the socket is open");
            peer.read_to_end();
        }
    });
    let seconds = Duration::from_secs;
    let mut backoff = Backoff::new([7; 32]);
    let mut restart = Backoff::new([8; 32]).base(seconds(25)).cap(seconds(25));
    // The next delay, after one attempt.
    let mut go_on = || next(&attempt(&address), &mut backoff, &mut restart);
    assert!(matches!(go_on(), Next::After(delay) if delay <= seconds(1)));
    assert!(matches!(go_on(), Next::After(delay) if delay >= seconds(120) && delay <= seconds(122)));
    assert!(matches!(go_on(), Next::After(delay) if delay <= seconds(4)));
    assert!(matches!(go_on(), Next::After(delay) if delay >= seconds(5) && delay <= seconds(30)));
    assert!(matches!(go_on(), Next::Elsewhere(delay) if delay <= seconds(8)));
    assert_eq!(go_on(), Next::Never);
    server.join().expect("no panic");
    assert!(matches!(go_on(), Next::After(_)), "no server listens any more");
}

#[test]
fn messages_are_echoed_through_a_tunnel() {
    alone(|| {
        let ((mut at_client, mut proxied), (mut proxying, at_server)) = (connected(), connected());
        let proxy = thread::spawn(move || {
            let asked = read_head(&mut proxied);
            proxied.write_all(b"HTTP/1.1 200 Connection established\r\nVia: proxy\r\n\r\n").expect("the peer reads");
            let [mut back_from, mut back_to] = [&proxying, &proxied].map(|tcp| tcp.try_clone().expect("a descriptor"));
            thread::spawn(move || {
                let _ = std::io::copy(&mut back_from, &mut back_to);
                let _ = back_to.shutdown(Shutdown::Write);
            });
            let _ = std::io::copy(&mut proxied, &mut proxying);
            let _ = proxying.shutdown(Shutdown::Write);
            asked
        });
        let server = Running::start(move || (BLOCKING.drive)(at_server, Role::Server, App::echoing(), Timeouts::new()));
        tunnel(&mut at_client, &Uri::parse("ws://example.com/chat").expect("a URI"), PATIENCE).expect("a tunnel");
        let client = Running::start(move || {
            (BLOCKING.drive)(at_client, Role::Client, App::sending(MORE_THAN_SOCKETS_HOLD), Timeouts::new())
        });
        for received in [client.received(), server.received()] {
            assert_eq!((received.messages, received.end().code()), (MORE_THAN_SOCKETS_HOLD, 1000));
        }
        let asked = proxy.join().expect("no panic");
        assert_eq!(asked, "CONNECT example.com:80 HTTP/1.1\r\nHost: example.com:80\r\n\r\n");
    });
}

#[test]
fn no_byte_after_the_proxys_answer_is_read() {
    let (mut client, mut proxy) = connected();
    proxy.write_all(b"HTTP/1.0 200 OK\r\n\r\n\x81\x05Hello").expect("the peer reads");
    tunnel(&mut client, &Uri::parse("wss://[::1]/").expect("a URI"), PATIENCE).expect("a tunnel");
    assert_eq!(read_head(&mut proxy), "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n");
    let mut next = [0; 7];
    client.read_exact(&mut next).expect("it comes");
    assert_eq!(&next, b"\x81\x05Hello");
}

/// One proxy rejects, one is silent, and one sends a head without end.
#[test]
fn a_proxys_answer_is_limited_in_time_and_size() {
    let uri = Uri::parse("ws://example.com/").expect("a URI");
    let (mut client, mut proxy) = connected();
    proxy.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").expect("the peer reads");
    assert_eq!(tunnel(&mut client, &uri, PATIENCE).expect_err("407").kind(), ErrorKind::ConnectionRefused);

    let (mut client, mut proxy) = connected();
    proxy.write_all(&vec![b'x'; 20 << 10]).expect("the peer reads");
    assert_eq!(tunnel(&mut client, &uri, PATIENCE).expect_err("too long").kind(), ErrorKind::InvalidData);

    // It ends when the client has gone.
    let (mut trickled, mut trickling) = connected();
    thread::spawn(move || {
        while trickling.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let (mut unanswered, _silent) = connected();
    for client in [&mut trickled, &mut unanswered] {
        let start = Instant::now();
        tunnel(client, &uri, Duration::from_millis(300)).expect_err("the proxy's time is over");
        assert!(start.elapsed() >= Duration::from_millis(300) && start.elapsed() < PATIENCE);
    }
}
