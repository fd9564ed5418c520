//! `echo_server`, `mio_server`, `tokio_server`, `io_uring_server` and the server in `WS_DRIVER`, which must behave alike.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use websocket_proto::{CloseCode, CloseStatus, Config, Deflate, Event, MessageKind, Output, Role};

use crate::shared::client::Client;
use crate::shared::frames::frame;
use crate::shared::handshake::REQUEST;
use crate::shared::sockets::{read_head, read_to_end};
use crate::{PATIENCE, connect, is_skipped, open, program, server, start};

/// Runs each of these tests for each server.
macro_rules! servers {
    ($($(#[$only:meta])? $test:ident)*) => {
        servers! { blocking "echo_server" $($(#[$only])? $test)* }
        servers! { mio "mio_server" $($(#[$only])? $test)* }
        servers! { tokio "tokio_server" $($(#[$only])? $test)* }
        #[cfg(target_os = "linux")]
        servers! { io_uring "io_uring_server" $($(#[$only])? $test)* }
        servers! { own "WS_DRIVER" $($(#[$only])? $test)* }
    };
    ($module:ident $name:literal $($(#[$only:meta])? $test:ident)*) => {
        mod $module {
            $($(#[$only])? #[test] fn $test() { super::run($name, super::$test); })*
        }
    };
}

pub(crate) fn run(name: &str, test: fn(&str)) {
    if !is_skipped(name) {
        test(name);
    }
}

servers! {
    messages_are_echoed
    many_connections_at_once
    a_ping_is_answered
    a_close_is_answered_and_the_transport_closed
    a_message_above_the_limit_is_rejected_without_a_reset
    a_peer_that_sends_on_after_its_fault_gets_the_close
    requests_without_upgrade_are_answered
    a_half_closed_peer_gets_its_answer
    a_peer_that_does_not_read_is_not_read_from
    a_slow_reader_is_alive
    a_peer_that_reads_nothing_is_dropped
    a_peer_that_never_pauses_does_not_starve_others
    a_dead_peer_is_pinged_and_closed
    a_live_peer_is_pinged_and_kept
    #[cfg(unix)] a_pong_counts_although_the_server_was_stopped_past_its_deadline
    a_slow_handshake_times_out
    resets_and_garbage_affect_no_other_connection
    peers_wait_while_the_server_has_no_descriptors
}

fn messages_are_echoed(name: &str) {
    let large: String = ('a'..='z').cycle().take(200_000).collect();
    let noise: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    let compressed = Config::new().deflate(Deflate::new());
    for (arguments, config) in [(&[][..], &compressed), (&[], &Config::new()), (&["--no-deflate"], &compressed)] {
        let (_server, address) = server(name, arguments);
        let mut client = Client::open(&address, config.clone(), PATIENCE);
        client.echo("");
        client.echo("€");
        client.echo(&large);
        let Client { ws, output, .. } = &mut client;
        // Sent at once, so that the server reads whole messages and cut ones.
        for _ in 0..2 {
            ws.send_text(&large, output).expect("the connection is open");
            ws.send_binary(&noise, output).expect("the connection is open");
            for (at, piece) in noise.chunks(25_000).enumerate() {
                ws.send_fragment(MessageKind::Binary, piece, at == 3, output).expect("the connection is open");
            }
        }
        let (text, binary) = (large.clone().into_bytes(), noise.clone());
        let round = [(MessageKind::Text, text), (MessageKind::Binary, binary.clone()), (MessageKind::Binary, binary)];
        assert!(client.messages(6) == [&round[..], &round].concat());
        let traffic = client.ws.counters().received;
        // Only text gets shorter, because it repeats itself.
        let is_shorter = traffic.wire_bytes < (4 * noise.len() + large.len()) as u64;
        assert_eq!(is_shorter, arguments.is_empty() && config == &compressed, "{traffic:?}");
    }
}

fn many_connections_at_once(name: &str) {
    let (_server, address) = server(name, &[]);
    let mut clients: Vec<_> = (0..150).map(|_| Client::open(&address, Config::new(), PATIENCE)).collect();
    for round in 0..3 {
        for (at, client) in clients.iter_mut().enumerate() {
            let text = format!("{round} {at}");
            client.ws.send_text(&text, &mut client.output).expect("the connection is open");
            client.output.write_to(&mut client.tcp).expect("the peer reads");
        }
        for (at, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.messages(1), [(MessageKind::Text, format!("{round} {at}").into_bytes())]);
        }
        // Leaving clients make room for new ones.
        clients.drain(..50);
        clients.extend((0..50).map(|_| Client::open(&address, Config::new(), PATIENCE)));
    }
}

/// RFC 6455 §5.5.3: "A Pong frame sent in response to a Ping frame must have identical "Application data" as found in
/// the message body of the Ping frame being replied to."
fn a_ping_is_answered(name: &str) {
    let (_server, address) = server(name, &[]);
    let mut client = Client::open(&address, Config::new(), PATIENCE);
    client.ws.ping(b"are you there?", &mut client.output).expect("the connection is open");
    let mut pong = None;
    while pong.is_none() {
        client.read(|event, _, _| match event {
            Event::Pong(payload) => pong = Some(payload.into_owned()),
            event => panic!("{event:?}"),
        });
    }
    assert_eq!(pong.expect("it came"), b"are you there?");
}

/// RFC 6455 §5.5.1: "When sending a Close frame in response, the endpoint typically echos the status code it received."
/// §7.1.1: the server closes the transport first.
fn a_close_is_answered_and_the_transport_closed(name: &str) {
    let (_server, address) = server(name, &[]);
    let mut client = Client::open(&address, Config::new(), PATIENCE);
    client.echo("x");
    client.ws.close(CloseCode::new(4000).expect("a private code"), "bye", &mut client.output);
    let closed = client.closed();
    let is_clean = closed.was_clean() && closed.error().is_none();
    assert!(is_clean, "a Close must be answered with the same code, and the transport closed: {closed:?}");
    assert_eq!(closed.code(), 4000);
}

/// The rest of the rejected message is on its way: the answer arrives nevertheless.
fn a_message_above_the_limit_is_rejected_without_a_reset(name: &str) {
    let (_server, address) = server(name, &["--max-message", "1000"]);
    let mut tcp = open(&address);
    tcp.write_all(b"\x82\xff\0\0\0\0\0\x80\0\0\0\0\0\0").expect("the peer reads");
    for _ in 0..128 {
        tcp.write_all(&vec![0; 64 << 10]).expect("the peer continues to read");
    }
    let answer = read_to_end(&mut tcp);
    assert_eq!(answer, b"\x88\x02\x03\xf1", "a message above --max-message must be answered with a Close, 1009");
}

/// Closing the socket during the peer's sending would reset the connection.
fn a_peer_that_sends_on_after_its_fault_gets_the_close(name: &str) {
    let (_server, address) = server(name, &[]);
    let mut tcp = open(&address);
    tcp.write_all(b"\x83\x80\0\0\0\0").expect("the peer reads");
    for _ in 0..4 {
        tcp.write_all(&vec![0; 512 << 10]).expect("the peer continues to read");
        thread::sleep(Duration::from_millis(50));
    }
    let answer = read_to_end(&mut tcp);
    assert_eq!(answer, b"\x88\x02\x03\xea", "a reserved opcode must be answered with a Close, 1002");
}

fn requests_without_upgrade_are_answered(name: &str) {
    let (_server, address) = server(name, &[]);
    for (request, status) in [(&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], "426"), (b"\x16\x03\x01", "400")] {
        let mut tcp = TcpStream::connect(&address).expect("the server listens");
        tcp.set_read_timeout(Some(PATIENCE)).expect("the socket is open");
        tcp.write_all(request).expect("the peer reads");
        let answer = String::from_utf8(read_to_end(&mut tcp)).expect("text");
        let is_right = answer.starts_with(&format!("HTTP/1.1 {status} "));
        assert!(is_right, "{:?} must be answered with {status}: {answer}", request.escape_ascii());
    }
}

fn a_half_closed_peer_gets_its_answer(name: &str) {
    let (_server, address) = server(name, &["--no-deflate"]);
    let mut tcp = open(&address);
    tcp.write_all(b"\x81\x82\0\0\0\0hi").expect("the peer reads");
    tcp.shutdown(Shutdown::Write).expect("the socket is open");
    assert_eq!(read_to_end(&mut tcp), b"\x81\x02hi", "a peer that only reads must get its echo, and then the end");
}

/// The peer's writes block then, the server's memory does not grow, other peers are served meanwhile, and nothing is
/// lost.
fn a_peer_that_does_not_read_is_not_read_from(name: &str) {
    const LEN: usize = 60_000;
    let (program, address) = server(name, &["--no-deflate"]);
    let mut other = Client::open(&address, Config::new(), PATIENCE);
    other.echo("before");
    let before = program.resident();

    let Client { mut tcp, mut ws, mut output, .. } = Client::open(&address, Config::new(), PATIENCE);
    tcp.set_write_timeout(Some(Duration::from_millis(300))).expect("the socket is open");
    let mut sent = 0_u32;
    loop {
        let mut message = vec![0; LEN];
        message[..4].copy_from_slice(&sent.to_be_bytes());
        ws.send_binary(&message, &mut output).expect("the connection is open");
        sent += 1;
        assert!(sent < 4000, "{name} took 240 MB and echoed nothing");
        let written = output.write_to(&mut tcp);
        if written.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)) {
            break;
        }
    }
    other.echo("meanwhile");
    if let (Some(before), Some(now)) = (before, program.resident()) {
        // The limit of 256 KiB, the bytes that a turn reads beyond it, and the same for buffers that grow.
        assert!(now < before + 2048, "{name} grew from {before} to {now} KiB");
    }

    tcp.set_write_timeout(Some(PATIENCE)).expect("the socket is open");
    let mut reader =
        Client { tcp: tcp.try_clone().expect("a descriptor"), ws, output: Output::new(), read: Vec::new() };
    let writer = thread::spawn(move || output.write_to(&mut tcp).map(drop));
    let mut expected = 0_u32;
    while expected < sent {
        for (_, message) in reader.messages(1) {
            assert_eq!((message.len(), &message[..4]), (LEN, &expected.to_be_bytes()[..]));
            expected += 1;
        }
    }
    writer.join().expect("no panic").expect("the peer reads again");
}

const LARGE: usize = 16 << 20;

/// A socket to which an echo of 16 MiB is on its way, more than the operating system buffers.
fn with_a_large_echo_on_the_way(address: &str) -> TcpStream {
    let mut tcp = open(address);
    tcp.write_all(&[&b"\x82\xff"[..], &(LARGE as u64).to_be_bytes(), &[0; 4]].concat()).expect("the peer reads");
    tcp.write_all(&vec![0; LARGE]).expect("the peer reads");
    tcp
}

/// The server does not read from it meanwhile, and the peer sends no pong before it has read the ping.
fn a_slow_reader_is_alive(name: &str) {
    let (_server, address) = server(name, &["--no-deflate", "--max-message", "16777216", "--timeout", "500"]);
    let mut tcp = with_a_large_echo_on_the_way(&address);
    let mut header = [0; 10];
    tcp.read_exact(&mut header).expect("the echo arrives");
    let (start, mut read) = (Instant::now(), 0);
    // Longer than the server waits for a silent peer.
    while start.elapsed() < Duration::from_millis(1500) {
        tcp.read_exact(&mut vec![0; 256 << 10]).expect("it goes on");
        read += 256 << 10;
        thread::sleep(Duration::from_millis(100));
    }
    assert!(read < LARGE / 2);
    tcp.read_exact(&mut vec![0; LARGE - read]).expect("the whole message arrives");
    tcp.write_all(b"\x81\x81\0\0\0\0x").expect("the peer reads again");
    let mut ping = [0; 10];
    tcp.read_exact(&mut ping[..3]).expect("the connection is open");
    while ping[..2] == [0x89, 8] {
        tcp.read_exact(&mut ping[3..]).expect("a whole ping");
        tcp.read_exact(&mut ping[..3]).expect("the connection is open");
    }
    assert_eq!(&ping[..3], b"\x81\x01x");
}

/// The peer is pinged, then closed, and then the time for closing ends. Bytes that it sends do not help: the server
/// does not read them.
fn a_peer_that_reads_nothing_is_dropped(name: &str) {
    let (_server, address) = server(name, &["--no-deflate", "--max-message", "16777216", "--timeout", "200"]);
    let mut tcp = with_a_large_echo_on_the_way(&address);
    let start = Instant::now();
    // Writing to a socket that the other side has closed fails, the second time.
    while tcp.write_all(b"\x8a\x80\0\0\0\0").is_ok() {
        assert!(start.elapsed() < PATIENCE, "{name} still has the message");
        thread::sleep(Duration::from_millis(50));
    }
    Client::open(&address, Config::new(), PATIENCE).echo("alive");
}

fn a_peer_that_never_pauses_does_not_starve_others(name: &str) {
    let (_server, address) = server(name, &["--no-deflate"]);
    let (done, echoed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    // These messages cost the server more than their senders: 7 bytes each.
    let floods: Vec<_> = (0..2).map(|_| open(&address)).collect();
    for flood in &floods {
        let (mut writer, mut reader) =
            (flood.try_clone().expect("the socket is open"), flood.try_clone().expect("the socket is open"));
        let (done, echoed) = (done.clone(), echoed.clone());
        thread::spawn(move || {
            let chunk = b"\x82\x81\0\0\0\0x".repeat(20_000);
            while !done.load(Ordering::Relaxed) && writer.write_all(&chunk).is_ok() {}
        });
        thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                echoed.fetch_add(n, Ordering::Relaxed);
            }
        });
    }
    let start = Instant::now();
    while echoed.load(Ordering::Relaxed) < 1 << 20 {
        assert!(start.elapsed() < PATIENCE, "no echo arrives");
        thread::sleep(Duration::from_millis(1));
    }
    let (start, before) = (Instant::now(), echoed.load(Ordering::Relaxed));
    let mut client = Client::open(&address, Config::new(), PATIENCE);
    for round in 0..10 {
        client.echo(&round.to_string());
    }
    let (took, meanwhile) = (start.elapsed(), echoed.load(Ordering::Relaxed) - before);
    done.store(true, Ordering::Relaxed);
    for flood in &floods {
        let _ = flood.shutdown(Shutdown::Both);
    }
    assert!(took < PATIENCE / 2, "10 echoes took {took:?} and {meanwhile} bytes from the floods");
}

/// After the timeout a ping, whose payload is its number; after the next timeout the Close.
fn a_dead_peer_is_pinged_and_closed(name: &str) {
    let (_server, address) = server(name, &["--timeout", "200"]);
    let mut tcp = open(&address);
    let start = Instant::now();
    let received = read_to_end(&mut tcp);
    assert!(start.elapsed() >= Duration::from_millis(390), "closed before --timeout: {:?}", start.elapsed());
    let rest = received.strip_prefix(b"\x89\x08\0\0\0\0\0\0\0\x01").unwrap_or_else(|| {
        panic!("a silent peer must first be pinged, with the payload of `Timers`: {received:x?}");
    });
    // 3008, "Timeout".
    let is_close = rest[0] == 0x88 && rest[2..4] == [0x0b, 0xc0] && rest.len() == 2 + usize::from(rest[1]);
    assert!(is_close, "after the ping must come a Close, 3008: {rest:x?}");
}

fn a_live_peer_is_pinged_and_kept(name: &str) {
    let (_server, address) = server(name, &["--timeout", "400"]);
    let mut client = Client::open(&address, Config::new(), PATIENCE);
    let (start, mut pings) = (Instant::now(), 0);
    while pings < 3 {
        client.read(|event, _, _| match event {
            Event::Ping(_) => pings += 1,
            event => panic!("{event:?}"),
        });
    }
    assert!(start.elapsed() >= Duration::from_millis(1190), "{:?}", start.elapsed());
    client.echo("still here");
}

/// After a pause of the whole process, the deadline has passed, and the pong waits in the socket.
#[cfg(unix)]
fn a_pong_counts_although_the_server_was_stopped_past_its_deadline(name: &str) {
    let (server, address) = server(name, &["--timeout", "1000"]);
    let mut peers: Vec<_> = (0..16).map(|_| open(&address)).collect();
    let pings: Vec<_> = peers.iter_mut().map(read_frame).collect();
    server.signal("STOP");
    for (tcp, ping) in peers.iter_mut().zip(pings) {
        let pong = ping.strip_prefix(b"\x89\x08").expect("the server pings an idle peer");
        tcp.write_all(&frame(Role::Client, 0x8a, pong)).expect("the socket has room");
    }
    thread::sleep(Duration::from_millis(1500));
    server.signal("CONT");
    for mut tcp in peers {
        let next = read_frame(&mut tcp);
        assert_eq!(next[0], 0x89, "the next ping, not a Close, follows a pong: {next:x?}");
    }
}

/// An unmasked frame with a short payload.
fn read_frame(tcp: &mut TcpStream) -> Vec<u8> {
    let mut frame = vec![0; 2];
    tcp.read_exact(&mut frame).expect("a frame comes");
    frame.resize(2 + usize::from(frame[1]), 0);
    tcp.read_exact(&mut frame[2..]).expect("the payload comes");
    frame
}

/// RFC 9110 §15.5.9: 408, although bytes arrive.
fn a_slow_handshake_times_out(name: &str) {
    let (_server, address) = server(name, &["--timeout", "300"]);
    let mut silent = TcpStream::connect(&address).expect("the server listens");
    let mut slow = TcpStream::connect(&address).expect("the server listens");
    let mut writer = slow.try_clone().expect("a descriptor");
    thread::spawn(move || {
        for byte in REQUEST.iter().copied().cycle() {
            if writer.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    for tcp in [&mut silent, &mut slow] {
        tcp.set_read_timeout(Some(PATIENCE)).expect("the socket is open");
        let mut answer = [0; 13];
        tcp.read_exact(&mut answer).expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 408 ", "a handshake that is not complete after --timeout must be answered");
    }
}

fn resets_and_garbage_affect_no_other_connection(name: &str) {
    let (program, address) = server(name, &[]);
    let mut witness = Client::open(&address, Config::new(), PATIENCE);
    for round in 0..20 {
        let mut tcp = open(&address);
        tcp.write_all(&[&b"\x82\xfe\xff\xff\0\0\0\0"[..], &vec![0; 65_535]].concat()).expect("the peer reads");
        if round % 2 == 0 {
            // Closing with unread input resets the connection.
            tcp.peek(&mut [0]).expect("the echo arrives");
        }
        drop(tcp);
        drop(TcpStream::connect(&address));
        let mut tcp = TcpStream::connect(&address).expect("the server listens");
        let _ = tcp.write_all(&REQUEST[..round * 4]);
        drop(tcp);
        let mut tcp = open(&address);
        let _ = tcp.write_all(b"\xff\xff\xff\xff garbage");
        let answer = read_to_end(&mut tcp);
        assert_eq!(answer, b"\x88\x02\x03\xea", "a reserved opcode must be answered with a Close, 1002");
    }
    witness.echo("alive");
    drop(program);
}

/// The operating system keeps the new connections until another one has gone.
fn peers_wait_while_the_server_has_no_descriptors(name: &str) {
    if cfg!(not(unix)) {
        return;
    }
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 32; exec \"$0\" \"$@\""]).arg(program(name).get_program()).stderr(Stdio::null());
    let (_server, address) = start(command, "127.0.0.1:0", &[]);
    let peers: Vec<_> = (0..60).map(|_| connect(&address)).collect();
    for mut tcp in peers {
        read_head(&mut tcp);
    }
}

/// RFC 6455 §7.4.1: 1001 for "a server going down". The time for a peer's answer is limited.
#[cfg(unix)]
#[test]
fn the_tokio_server_closes_all_connections_on_interrupt() {
    if is_skipped("tokio_server") {
        return;
    }
    let (mut program, address) = server("tokio_server", &["--timeout", "1000"]);
    let mut opening = TcpStream::connect(&address).expect("the server listens");
    opening.set_read_timeout(Some(PATIENCE)).expect("the socket is open");
    opening.write_all(&REQUEST[..20]).expect("the peer reads");
    let mut silent = open(&address);
    let client = Client::open(&address, Config::new(), PATIENCE);
    let start = Instant::now();
    program.signal("INT");
    let closed = client.closed();
    assert_eq!((closed.status(), closed.was_clean()), (CloseStatus::Code(CloseCode::GOING_AWAY), true));
    assert_eq!(read_to_end(&mut opening), b"");
    assert_eq!(read_to_end(&mut silent), b"\x88\x02\x03\xe9");
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    drop((silent, opening));
    assert!(program.0.wait().expect("it ends in time").success());
    assert!(TcpStream::connect(&address).is_err());
}
