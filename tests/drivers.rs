//! The examples that join the crate to mio and tokio, as programs over loopback, against the crate's own client on a
//! blocking socket, and against peers that keep to no protocol.

use std::io::{BufRead, BufReader, ErrorKind, Lines, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use websocket_proto::{
    ClientRequest, CloseCode, CloseStatus, Closed, Config, Connection, Deflate, Event, Input, MessageKind, Output,
};

/// Each of these, for each server.
macro_rules! servers {
    ($($test:ident)*) => {
        mod mio {
            $(#[test] fn $test() { super::$test("mio_server"); })*

            #[test]
            #[ignore = "opens 10,000 sockets: run it alone, with `ulimit -n 20000`"]
            fn ten_thousand_idle_connections() {
                super::ten_thousand_idle_connections("mio_server", 1024);
            }
        }
        mod tokio {
            $(#[test] fn $test() { super::$test("tokio_server"); })*

            #[test]
            #[ignore = "opens 10,000 sockets: run it alone, with `ulimit -n 20000`"]
            fn ten_thousand_idle_connections() {
                super::ten_thousand_idle_connections("tokio_server", 2048);
            }
        }
    };
}

servers! {
    messages_come_back
    many_connections_at_once
    a_ping_is_answered
    a_close_is_answered_and_the_transport_closed
    what_is_too_large_is_refused_without_a_reset
    what_is_no_upgrade_is_answered
    a_half_closed_peer_gets_its_answer
    a_peer_that_does_not_read_is_not_read_from
    a_slow_reader_is_alive
    a_peer_that_takes_nothing_is_given_up
    a_peer_that_never_pauses_starves_nobody
    a_dead_peer_is_pinged_and_closed
    a_live_peer_is_pinged_and_kept
    a_slow_opening_ends
    resets_and_garbage_end_nothing_else
    without_descriptors_peers_wait
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

/// Long enough for anything that has to happen, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program that ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    #[cfg(unix)]
    fn interrupt(&self) {
        let status = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        assert!(status.expect("there is a kill").success());
    }

    /// The memory that is its own and not on disk, in KiB.
    fn resident(&self) -> Option<usize> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).ok()?;
        status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.split_whitespace().next()?.parse().ok())
    }
}

/// Cargo builds the examples beside the tests.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.ancestors().nth(2).expect("tests are in target/PROFILE/deps");
    profile.join("examples").join(name)
}

/// Starts a server and returns it with the address at which it listens.
fn start(mut command: Command, address: &str, arguments: &[&str]) -> (Program, String) {
    command.arg(address).args(arguments).stdout(Stdio::piped());
    let mut server = command.spawn().expect("cargo test builds the examples");
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("it is piped")).read_line(&mut line).expect("it says where it listens");
    let address = line.trim().strip_prefix("listening on ws://").and_then(|rest| rest.strip_suffix('/'));
    (Program(server), address.unwrap_or_else(|| panic!("{line:?}")).to_owned())
}

fn server(name: &str, arguments: &[&str]) -> (Program, String) {
    let mut command = Command::new(example(name));
    // One thread has to do, whoever is on it.
    command.env("TOKIO_WORKER_THREADS", "1");
    start(command, "127.0.0.1:0", arguments)
}

/// A socket that has sent the request and nothing more.
fn connect(address: &str) -> TcpStream {
    let mut tcp = TcpStream::connect(address).expect("it listens");
    tcp.set_nodelay(true).expect("an open socket");
    tcp.set_read_timeout(Some(PATIENCE)).expect("an open socket");
    tcp.set_write_timeout(Some(PATIENCE)).expect("an open socket");
    tcp.write_all(REQUEST).expect("it reads");
    tcp
}

/// A socket behind the opening handshake.
fn open(address: &str) -> TcpStream {
    let mut tcp = connect(address);
    read_head(&mut tcp);
    tcp
}

fn read_head(tcp: &mut TcpStream) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        tcp.read_exact(&mut byte).expect("a whole head comes");
        head.extend(byte);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
}

fn read_to_end(tcp: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    tcp.read_to_end(&mut bytes).expect("it ends, without a reset");
    bytes
}

/// The crate's own client on a blocking socket.
struct Client {
    tcp: TcpStream,
    ws: Connection,
    output: Output,
    read: Vec<u8>,
}

impl Client {
    fn open(address: &str, config: Config) -> Self {
        let tcp = TcpStream::connect(address).expect("it listens");
        tcp.set_nodelay(true).expect("an open socket");
        tcp.set_read_timeout(Some(PATIENCE)).expect("an open socket");
        tcp.set_write_timeout(Some(PATIENCE)).expect("an open socket");
        let (request, mut output) = (ClientRequest::new(&format!("ws://{address}/")), Output::new());
        let ws = Connection::client(&request, config, [7; 32], &mut output).expect("a good request");
        let mut client = Self { tcp, ws, output, read: Vec::new() };
        let mut is_open = false;
        while !is_open {
            client.read(|event, _, _| is_open |= matches!(event, Event::Open(_)));
        }
        client
    }

    /// Writes what waits, reads once, and tells of what that brought.
    fn read(&mut self, mut tell: impl FnMut(Event<'_>, &mut Connection, &mut Output)) {
        self.output.write_to(&mut self.tcp).expect("it reads");
        self.read.resize(64 << 10, 0);
        let n = self.tcp.read(&mut self.read).expect("something comes in time");
        let Self { ws, output, .. } = self;
        let mut input = Input::new(&mut self.read[..n]);
        while let Some(event) = if n == 0 { ws.receive_eof() } else { ws.receive(&mut input, output) } {
            tell(event, ws, output);
        }
    }

    /// The next messages, as text or binary; pings are answered on the way.
    fn messages(&mut self, count: usize) -> Vec<(MessageKind, Vec<u8>)> {
        let mut messages = Vec::new();
        while messages.len() < count {
            self.read(|event, _, _| match event {
                Event::Text(text) => messages.push((MessageKind::Text, text.into_owned().into_bytes())),
                Event::Binary(data) => messages.push((MessageKind::Binary, data.into_owned())),
                Event::Closed(closed) => panic!("{closed}"),
                _ => {}
            });
        }
        messages
    }

    fn echo(&mut self, text: &str) {
        self.ws.send_text(text, &mut self.output).expect("it is open");
        assert_eq!(self.messages(1), [(MessageKind::Text, text.as_bytes().to_vec())]);
    }

    /// The last event, and nothing but pongs before it.
    fn closed(mut self) -> Closed {
        let mut last = None;
        while !self.ws.is_closed() {
            self.read(|event, _, _| match event {
                Event::Closed(closed) => last = Some(closed),
                event => assert!(matches!(event, Event::Pong(_) | Event::Ping(_)), "{event:?}"),
            });
        }
        last.expect("Closed is the last event")
    }
}

fn messages_come_back(name: &str) {
    let large: String = ('a'..='z').cycle().take(300_000).collect();
    let noise: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    let compressed = Config::new().deflate(Deflate::new());
    for (arguments, config) in [(&[][..], &compressed), (&[], &Config::new()), (&["--no-deflate"], &compressed)] {
        let (_server, address) = server(name, arguments);
        let mut client = Client::open(&address, config.clone());
        client.echo("");
        client.echo("€");
        client.echo(&large);
        let Client { ws, output, .. } = &mut client;
        // All in one go, so that messages lie whole and cut in what the server reads.
        for _ in 0..2 {
            ws.send_text(&large, output).expect("it is open");
            ws.send_binary(&noise, output).expect("it is open");
            for (at, piece) in noise.chunks(50_000).enumerate() {
                ws.send_fragment(MessageKind::Binary, piece, at == 3, output).expect("it is open");
            }
        }
        let (text, binary) = (large.clone().into_bytes(), noise.clone());
        let round = [(MessageKind::Text, text), (MessageKind::Binary, binary.clone()), (MessageKind::Binary, binary)];
        assert!(client.messages(6) == [&round[..], &round].concat());
        let traffic = client.ws.counters().received;
        // Only text gets shorter: it repeats itself.
        let is_shorter = traffic.wire_bytes < (4 * noise.len() + large.len()) as u64;
        assert_eq!(is_shorter, arguments.is_empty() && config == &compressed, "{traffic:?}");
    }
}

fn many_connections_at_once(name: &str) {
    let (_server, address) = server(name, &[]);
    let mut clients: Vec<_> = (0..150).map(|_| Client::open(&address, Config::new())).collect();
    for round in 0..3 {
        for (at, client) in clients.iter_mut().enumerate() {
            let text = format!("{round} {at}");
            client.ws.send_text(&text, &mut client.output).expect("it is open");
            client.output.write_to(&mut client.tcp).expect("it reads");
        }
        for (at, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.messages(1), [(MessageKind::Text, format!("{round} {at}").into_bytes())]);
        }
        // Those who go make room for those who come.
        clients.drain(..50);
        clients.extend((0..50).map(|_| Client::open(&address, Config::new())));
    }
}

/// RFC 6455 §5.5.3: "A Pong frame sent in response to a Ping frame must have identical "Application data" as found in
/// the message body of the Ping frame being replied to."
fn a_ping_is_answered(name: &str) {
    let (_server, address) = server(name, &[]);
    let mut client = Client::open(&address, Config::new());
    client.ws.ping(b"are you there?", &mut client.output).expect("it is open");
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
    let mut client = Client::open(&address, Config::new());
    client.echo("x");
    client.ws.close(CloseCode::new(4000).expect("a private code"), "bye", &mut client.output);
    let closed = client.closed();
    assert!(closed.was_clean() && closed.error().is_none(), "{closed:?}");
    assert_eq!(closed.code(), 4000);
}

/// The rest of what was refused is on its way: the answer has to arrive all the same.
fn what_is_too_large_is_refused_without_a_reset(name: &str) {
    let (_server, address) = server(name, &["--max-message", "1000"]);
    let mut tcp = open(&address);
    tcp.write_all(b"\x82\xff\0\0\0\0\0\x80\0\0\0\0\0\0").expect("it reads");
    for _ in 0..128 {
        tcp.write_all(&[0; 64 << 10]).expect("it reads on");
    }
    assert_eq!(read_to_end(&mut tcp), b"\x88\x02\x03\xf1");
}

fn what_is_no_upgrade_is_answered(name: &str) {
    let (_server, address) = server(name, &[]);
    for (request, status) in [(&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], "426"), (b"\x16\x03\x01", "400")] {
        let mut tcp = TcpStream::connect(&address).expect("it listens");
        tcp.set_read_timeout(Some(PATIENCE)).expect("an open socket");
        tcp.write_all(request).expect("it reads");
        let answer = String::from_utf8(read_to_end(&mut tcp)).expect("text");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

fn a_half_closed_peer_gets_its_answer(name: &str) {
    let (_server, address) = server(name, &[]);
    let mut tcp = open(&address);
    tcp.write_all(b"\x81\x82\0\0\0\0hi").expect("it reads");
    tcp.shutdown(Shutdown::Write).expect("an open socket");
    assert_eq!(read_to_end(&mut tcp), b"\x81\x02hi");
}

/// Its own writes block then, the server's memory does not grow, others are served meanwhile, and nothing is lost.
fn a_peer_that_does_not_read_is_not_read_from(name: &str) {
    const LEN: usize = 60_000;
    let (program, address) = server(name, &["--no-deflate"]);
    let mut other = Client::open(&address, Config::new());
    other.echo("before");
    let before = program.resident();

    let Client { mut tcp, mut ws, mut output, .. } = Client::open(&address, Config::new());
    tcp.set_write_timeout(Some(Duration::from_millis(300))).expect("an open socket");
    let mut sent = 0_u32;
    loop {
        let mut message = [0; LEN];
        message[..4].copy_from_slice(&sent.to_be_bytes());
        ws.send_binary(&message, &mut output).expect("it is open");
        sent += 1;
        assert!(sent < 4000, "{name} took 240 MB and gave nothing back");
        let written = output.write_to(&mut tcp);
        if written.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)) {
            break;
        }
    }
    other.echo("meanwhile");
    if let (Some(before), Some(now)) = (before, program.resident()) {
        // Its limit of 256 KiB, what a turn reads beyond that, and as much again for buffers that grow.
        assert!(now < before + 2048, "{name} grew from {before} to {now} KiB");
    }

    tcp.set_write_timeout(Some(PATIENCE)).expect("an open socket");
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
    writer.join().expect("no panic").expect("it reads again");
}

const LARGE: usize = 16 << 20;

/// A socket to which a message of 16 MiB is on its way back, which is more than the operating system takes.
fn behind_a_large_message(address: &str) -> TcpStream {
    let mut tcp = open(address);
    tcp.write_all(&[&b"\x82\xff"[..], &(LARGE as u64).to_be_bytes(), &[0; 4]].concat()).expect("it reads");
    tcp.write_all(&vec![0; LARGE]).expect("it reads");
    tcp
}

/// It is not read from meanwhile, and no pong can come before it has read the ping.
fn a_slow_reader_is_alive(name: &str) {
    let (_server, address) = server(name, &["--no-deflate", "--max-message", "16777216", "--timeout", "500"]);
    let mut tcp = behind_a_large_message(&address);
    let (start, mut read) = (Instant::now(), 0);
    // Longer than the server waits for a peer that is silent.
    while start.elapsed() < Duration::from_millis(1500) {
        tcp.read_exact(&mut [0; 256 << 10]).expect("it goes on");
        read += 256 << 10;
        thread::sleep(Duration::from_millis(100));
    }
    assert!(read < LARGE / 2);
    tcp.read_exact(&mut vec![0; 10 + LARGE - read]).expect("all of it comes");
    let mut frame = [0; 2];
    tcp.read_exact(&mut frame).expect("the ping that waited");
    assert_eq!(frame[0], 0x89);
}

/// First it is pinged, then closed, and then its grace is over. What it sends is no excuse: nobody reads that.
fn a_peer_that_takes_nothing_is_given_up(name: &str) {
    let (_server, address) = server(name, &["--no-deflate", "--max-message", "16777216", "--timeout", "200"]);
    let mut tcp = behind_a_large_message(&address);
    let start = Instant::now();
    // To write to a socket that the other side has closed fails, the second time.
    while tcp.write_all(b"\x8a\x80\0\0\0\0").is_ok() {
        assert!(start.elapsed() < PATIENCE, "{name} still has the message");
        thread::sleep(Duration::from_millis(50));
    }
    Client::open(&address, Config::new()).echo("alive");
}

fn a_peer_that_never_pauses_starves_nobody(name: &str) {
    let (_server, address) = server(name, &["--no-deflate"]);
    let (done, echoed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    // The server has more to do for them than they have to do themselves: 7 bytes a message.
    let floods: Vec<_> = (0..2).map(|_| open(&address)).collect();
    for flood in &floods {
        let (mut writer, mut reader) = (flood.try_clone().expect("a socket"), flood.try_clone().expect("a socket"));
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
    while echoed.load(Ordering::Relaxed) < 1 << 20 {
        thread::sleep(Duration::from_millis(1));
    }
    let (start, before) = (Instant::now(), echoed.load(Ordering::Relaxed));
    let mut client = Client::open(&address, Config::new());
    for round in 0..10 {
        client.echo(&round.to_string());
    }
    let (took, meanwhile) = (start.elapsed(), echoed.load(Ordering::Relaxed) - before);
    done.store(true, Ordering::Relaxed);
    floods.iter().for_each(|flood| drop(flood.shutdown(Shutdown::Both)));
    assert!(took < PATIENCE / 2, "10 echoes took {took:?} and {meanwhile} bytes of others");
}

/// After the timeout a ping, whose payload is the count, after the next one the Close.
fn a_dead_peer_is_pinged_and_closed(name: &str) {
    let (_server, address) = server(name, &["--timeout", "200"]);
    let mut tcp = open(&address);
    let start = Instant::now();
    let received = read_to_end(&mut tcp);
    assert!(start.elapsed() >= Duration::from_millis(390), "{:?}", start.elapsed());
    let rest = received.strip_prefix(b"\x89\x08\0\0\0\0\0\0\0\x01").unwrap_or_else(|| panic!("{received:x?}"));
    // 3008, "Timeout".
    assert!(rest[0] == 0x88 && rest[2..4] == [0x0b, 0xc0] && rest.len() == 2 + usize::from(rest[1]), "{rest:x?}");
}

fn a_live_peer_is_pinged_and_kept(name: &str) {
    let (_server, address) = server(name, &["--timeout", "400"]);
    let mut client = Client::open(&address, Config::new());
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

/// RFC 9110 §15.5.9, whatever arrives meanwhile.
fn a_slow_opening_ends(name: &str) {
    let (_server, address) = server(name, &["--timeout", "300"]);
    let mut silent = TcpStream::connect(&address).expect("it listens");
    let mut slow = TcpStream::connect(&address).expect("it listens");
    let mut writer = slow.try_clone().expect("a descriptor");
    thread::spawn(move || {
        for byte in REQUEST.iter().cycle() {
            if writer.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    for tcp in [&mut silent, &mut slow] {
        tcp.set_read_timeout(Some(PATIENCE)).expect("an open socket");
        let mut answer = [0; 13];
        tcp.read_exact(&mut answer).expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 408 ");
    }
}

fn resets_and_garbage_end_nothing_else(name: &str) {
    let (program, address) = server(name, &[]);
    let mut witness = Client::open(&address, Config::new());
    for round in 0..20 {
        let mut tcp = open(&address);
        tcp.write_all(&[&b"\x82\xfe\xff\xff\0\0\0\0"[..], &[0; 65_535]].concat()).expect("it reads");
        if round % 2 == 0 {
            // To close with input unread is to reset.
            tcp.peek(&mut [0]).expect("the echo comes");
        }
        drop(tcp);
        drop(TcpStream::connect(&address));
        let mut tcp = TcpStream::connect(&address).expect("it listens");
        let _ = tcp.write_all(&REQUEST[..round * 4]);
        drop(tcp);
        let mut tcp = open(&address);
        let _ = tcp.write_all(b"\xff\xff\xff\xff garbage");
        assert_eq!(read_to_end(&mut tcp), b"\x88\x02\x03\xea");
    }
    witness.echo("alive");
    drop(program);
}

/// The operating system keeps them until somebody else has gone.
fn without_descriptors_peers_wait(name: &str) {
    if cfg!(not(unix)) {
        return;
    }
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 32; exec \"$0\" \"$@\""]).arg(example(name)).stderr(Stdio::null());
    let (_server, address) = start(command, "127.0.0.1:0", &[]);
    let peers: Vec<_> = (0..60).map(|_| connect(&address)).collect();
    for mut tcp in peers {
        read_head(&mut tcp);
    }
}

fn ten_thousand_idle_connections(name: &str, at_most: usize) {
    const COUNT: usize = 10_000;
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 10100 && exec \"$0\" \"$@\""]).arg(example(name));
    let (program, address) = start(command, "127.0.0.1:0", &["--timeout", "600000"]);
    let echo = |mut tcp: &TcpStream| {
        // Long enough that it comes back compressed.
        tcp.write_all(&[&b"\x81\xfe\x01\0\0\0\0\0"[..], &[b'x'; 256]].concat()).expect("it reads");
        let mut header = [0; 2];
        tcp.read_exact(&mut header).expect("it comes back");
        assert_eq!(header[0], 0xc1);
        tcp.read_exact(&mut vec![0; header[1].into()]).expect("it comes back");
    };
    let open_and_echo = || {
        let tcp = open(&address);
        echo(&tcp);
        tcp
    };
    // What does not depend on how many there are: code, buffers, the compressor.
    drop((0..100).map(|_| open_and_echo()).collect::<Vec<_>>());
    let before = program.resident().expect("there is /proc");
    let peers: Vec<_> = (0..COUNT).map(|_| open_and_echo()).collect();
    let each = (program.resident().expect("there is /proc") - before) * 1024 / COUNT;
    println!("{name}: {each} bytes for each of {COUNT} connections, beside {before} KiB");
    assert!(each <= at_most, "{name}: {each} bytes for a connection");
    peers.iter().step_by(100).for_each(echo);
}

/// RFC 6455 §7.4.1: 1001 for "a server going down". Who does not answer is waited for only so long.
#[cfg(unix)]
#[test]
fn the_tokio_server_ends_in_order() {
    let (mut program, address) = server("tokio_server", &["--timeout", "1000"]);
    let mut opening = TcpStream::connect(&address).expect("it listens");
    opening.set_read_timeout(Some(PATIENCE)).expect("an open socket");
    opening.write_all(&REQUEST[..20]).expect("it reads");
    let mut silent = open(&address);
    let mut client = Client::open(&address, Config::new());
    let start = Instant::now();
    program.interrupt();
    let closed = client.closed();
    assert_eq!((closed.status(), closed.was_clean()), (CloseStatus::Code(CloseCode::GOING_AWAY), true));
    assert_eq!(read_to_end(&mut opening), b"");
    assert_eq!(read_to_end(&mut silent), b"\x88\x02\x03\xe9");
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    drop((silent, opening));
    assert!(program.0.wait().expect("it ends").success());
    assert!(TcpStream::connect(&address).is_err());
}

/// The client with its standard input and output.
struct Console {
    program: Program,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Console {
    fn start(url: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(example("tokio_client"));
        command.arg(url).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = command.spawn().expect("cargo test builds the examples");
        let (input, output) = (client.stdin.take(), client.stdout.take().expect("it is piped"));
        Self { program: Program(client), input, lines: BufReader::new(output).lines() }
    }

    fn type_in(&mut self, text: &str) {
        self.input.as_mut().expect("it is not ended").write_all(text.as_bytes()).expect("it reads");
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("it goes on").expect("text")
    }

    /// The next line, which is `RETRY` and milliseconds.
    fn retry(&mut self) -> u64 {
        let line = self.line();
        line.strip_prefix("RETRY ").and_then(|rest| rest.parse().ok()).unwrap_or_else(|| panic!("{line}"))
    }

    /// Ends its input; returns what else it says, and whether it succeeded.
    fn end(mut self) -> (Vec<String>, bool) {
        drop(self.input.take());
        let lines = self.lines.by_ref().map(|line| line.expect("text")).collect();
        (lines, self.program.0.wait().expect("it ends").success())
    }
}

/// A listener, and its URL.
fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("it is bound"));
    (listener, url)
}

/// Takes the next client and its request, and answers with this, or else with 101.
fn serve(listener: &TcpListener, refusal: Option<&str>) -> TcpStream {
    let (mut tcp, _) = listener.accept().expect("a client comes");
    tcp.set_read_timeout(Some(PATIENCE)).expect("an open socket");
    let mut request = vec![0; 4096];
    let len = tcp.read(&mut request).expect("a request comes");
    if let Some(refusal) = refusal {
        tcp.write_all(refusal.as_bytes()).expect("the client reads");
        return tcp;
    }
    let request = std::str::from_utf8(&request[..len]).expect("a request is text");
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("it has a key");
    let accept = websocket_proto::handshake::accept_key(key.as_bytes());
    let head =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
    tcp.write_all(&[head.as_bytes(), &accept, b"\r\n\r\n"].concat()).expect("the client reads");
    tcp
}

#[test]
fn the_tokio_client_sends_its_input() {
    for name in ["mio_server", "tokio_server"] {
        let (_server, address) = server(name, &[]);
        let mut client = Console::start(&format!("ws://{address}/"), &["--subprotocol", "chat"]);
        let long = "x".repeat(100_000);
        client.type_in(&format!("hello\n€\n{long}\n"));
        let expected =
            ["OPEN chat".into(), "TEXT hello".into(), "TEXT €".into(), format!("TEXT {long}"), "CLOSED 1000".into()];
        assert_eq!(client.end(), (expected.to_vec(), true));
    }
}

#[test]
fn the_tokio_client_comes_back_when_its_server_does() {
    for name in ["mio_server", "tokio_server"] {
        let (program, address) = server(name, &[]);
        let mut client = Console::start(&format!("ws://{address}/"), &[]);
        client.type_in("one\n");
        assert_eq!([client.line(), client.line()], ["OPEN", "TEXT one"]);
        drop(program);
        assert_eq!(client.line(), "CLOSED 1006");
        assert!(client.retry() <= 1000);
        let (_program, _) = start(Command::new(example(name)), &address, &[]);
        // It may have tried before.
        let mut line = client.line();
        while line.starts_with("FAILED ") {
            client.retry();
            line = client.line();
        }
        assert_eq!(line, "OPEN");
        client.type_in("two\n");
        assert_eq!(client.line(), "TEXT two");
        assert_eq!(client.end(), (vec!["CLOSED 1000".into()], true));
    }
}

#[test]
fn the_tokio_client_waits_as_long_as_it_is_asked_to() {
    let (listener, url) = listen();
    let mut client = Console::start(&url, &[]);
    drop(serve(&listener, Some("HTTP/1.1 503 Later\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")));
    let refused = Instant::now();
    assert_eq!(client.line(), "FAILED HTTP status 503");
    assert!((1000..=2000).contains(&client.retry()));
    let _tcp = serve(&listener, None);
    assert!(refused.elapsed() >= Duration::from_millis(990), "{:?}", refused.elapsed());
    assert_eq!(client.line(), "OPEN");
}

#[test]
fn the_tokio_client_ends_when_it_is_refused_for_good() {
    let (listener, url) = listen();
    let client = Console::start(&url, &[]);
    drop(serve(&listener, Some("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")));
    assert_eq!(client.end(), (vec!["FAILED HTTP status 403".into()], false));
}

#[test]
fn the_tokio_client_gives_a_dead_server_up() {
    let (listener, url) = listen();
    let mut client = Console::start(&url, &["--timeout", "200"]);
    let mut tcp = serve(&listener, None);
    assert_eq!(client.line(), "OPEN");
    let frames = read_to_end(&mut tcp);
    // A ping of eight bytes, masked, and a Close.
    assert_eq!((frames[0], frames[1], frames[14]), (0x89, 0x88, 0x88), "{frames:x?}");
    assert_eq!(client.line(), "CLOSED 1006");
    client.retry();
    let _tcp = serve(&listener, None);
    assert_eq!(client.line(), "OPEN");
}

#[cfg(unix)]
#[test]
fn the_tokio_client_closes_when_it_is_interrupted() {
    let (listener, url) = listen();
    let mut client = Console::start(&url, &[]);
    let mut tcp = serve(&listener, None);
    assert_eq!(client.line(), "OPEN");
    client.program.interrupt();
    let mut close = [0; 8];
    tcp.read_exact(&mut close).expect("a Close comes");
    let code = [close[6] ^ close[2], close[7] ^ close[3]];
    assert_eq!((&close[..2], u16::from_be_bytes(code)), (&[0x88, 0x82][..], 1001));
    tcp.write_all(b"\x88\x02\x03\xe9").expect("the client reads");
    drop(tcp);
    assert_eq!(client.end(), (vec!["CLOSED 1001".into()], true));
    // And while it waits to connect again.
    let (listener, url) = listen();
    drop(listener);
    let mut client = Console::start(&url, &[]);
    assert!(client.line().starts_with("FAILED "));
    client.retry();
    client.program.interrupt();
    assert!(client.program.0.wait().expect("it ends").success());
}
