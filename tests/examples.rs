//! The programs in examples/, run as their documentation says, over loopback.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use websocket_proto::Input;
use websocket_proto::frame::{FrameHeader, FramePiece, FrameReader, Opcode};
use websocket_proto::mask::apply_mask;

const REQUEST: &[u8] = b"GET /chat?x HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nX-Other: passes\r\n\r\n";

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Cargo builds the examples beside the tests.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.ancestors().nth(2).expect("tests are in target/PROFILE/deps").to_owned();
    let program: PathBuf = profile.join("examples").join(name);
    Command::new(program)
}

/// Starts a program that listens, on a port of its own; returns its address and what else it prints, too.
fn listening(name: &str, arguments: &[&str]) -> (Running, String, BufReader<ChildStdout>) {
    let mut command = example(name);
    command.arg("127.0.0.1:0").args(arguments).stdout(Stdio::piped());
    let mut server = command.spawn().expect("cargo test builds the examples");
    let mut lines = BufReader::new(server.stdout.take().expect("it is piped"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("it says where it listens");
    let address = line.trim().strip_prefix("listening on ws://").and_then(|rest| rest.strip_suffix('/'));
    (Running(server), address.unwrap_or_else(|| panic!("{line:?}")).to_owned(), lines)
}

fn echo_server(arguments: &[&str]) -> (Running, String) {
    let (server, address, _) = listening("echo_server", arguments);
    (server, address)
}

/// The relay in front of a server.
struct Relay {
    _program: Running,
    address: String,
    lines: BufReader<ChildStdout>,
}

impl Relay {
    fn to(upstream: &str, arguments: &[&str]) -> Self {
        let (program, address, lines) = listening("relay", &[&[upstream], arguments].concat());
        Self { _program: program, address, lines }
    }

    /// What it says of the two directions of a connection: to the client, to the server, without the addresses.
    fn counts(&mut self) -> [String; 2] {
        let mut lines = [(); 2].map(|()| {
            let mut line = String::new();
            self.lines.read_line(&mut line).expect("it reports each direction");
            line.trim().split_once(' ').expect("an address is first").1.to_owned()
        });
        lines.sort();
        lines
    }
}

/// A client's socket and, behind a relay, the server's: both as they are after the handshake.
fn behind_relay(arguments: &[&str]) -> (Relay, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let relay = Relay::to(&listener.local_addr().expect("it is bound").to_string(), arguments);
    let mut client = TcpStream::connect(&relay.address).expect("it listens");
    client.write_all(REQUEST).expect("it reads");
    let (mut server, _) = listener.accept().expect("the relay comes");
    for tcp in [&client, &server] {
        tcp.set_nodelay(true).expect("an open socket");
        tcp.set_read_timeout(Some(Duration::from_secs(5))).expect("an open socket");
    }
    assert_eq!(read_exactly(&mut server, REQUEST.len()), REQUEST, "as it is");
    let hints = b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n";
    server.write_all(hints).expect("it reads");
    accept(str::from_utf8(REQUEST).expect("text"), &mut server);
    let head = read_exactly(&mut client, hints.len() + 129);
    assert!(head.starts_with(hints) && head.ends_with(b"=\r\n\r\n"), "{head:?}");
    (relay, client, server)
}

fn read_exactly(tcp: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    tcp.read_exact(&mut bytes).expect("so much comes");
    bytes
}

fn read_to_end(tcp: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    tcp.read_to_end(&mut bytes).expect("it ends");
    bytes
}

/// The frames, unmasked.
fn frames(mut bytes: Vec<u8>) -> Vec<(FrameHeader, Vec<u8>)> {
    let (mut input, mut reader, mut frames) = (Input::new(&mut bytes), FrameReader::new(), Vec::new());
    while let Some(piece) = reader.next(&mut input).expect("legal frames") {
        match (piece, frames.last_mut()) {
            (FramePiece::Header(header), _) => frames.push((header, Vec::new())),
            (FramePiece::Payload { bytes, .. }, Some((_, payload))) => payload.extend_from_slice(bytes),
            (piece, None) => panic!("{piece:?} before a header"),
        }
    }
    assert!(reader.is_between_frames());
    frames
}

/// Runs the client to its end; returns its lines and whether it succeeded.
fn client(url: &str, arguments: &[&str]) -> (Vec<String>, bool) {
    let output = example("client").arg(url).args(arguments).output().expect("cargo test builds the examples");
    let lines = String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect();
    (lines, output.status.success())
}

/// Serves one connection: reads a request, and answers with what `answer` makes of it.
fn serve_once(answer: impl FnOnce(&str, &mut TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("it is bound"));
    thread::spawn(move || {
        let (mut tcp, _) = listener.accept().expect("a client comes");
        let mut request = vec![0; 4096];
        let len = tcp.read(&mut request).expect("a request comes");
        answer(std::str::from_utf8(&request[..len]).expect("a request is text"), &mut tcp);
    });
    url
}

fn accept(request: &str, tcp: &mut TcpStream) {
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("it has a key");
    let accept = websocket_proto::handshake::accept_key(key.as_bytes());
    let head =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
    tcp.write_all(&[head.as_bytes(), &accept, b"\r\n\r\n"].concat()).expect("the client reads");
}

#[test]
fn messages_come_back() {
    let (_server, address) = echo_server(&[]);
    let url = format!("ws://{address}/");
    let offered = client(&url, &["--subprotocol", "other", "--subprotocol", "chat", "--send", "hi", "--send", "€"]);
    assert_eq!(
        offered,
        (vec!["OPEN chat".into(), "MSG text 2".into(), "MSG text 3".into(), "CLOSED 1000".into()], true)
    );
    assert_eq!(client(&url, &["--send", ""]), (vec!["OPEN".into(), "MSG text 0".into(), "CLOSED 1000".into()], true));
    let large = "x".repeat(70_000);
    let expected = vec!["OPEN".into(), "MSG text 70000".into(), "CLOSED 1000".into()];
    assert_eq!(client(&url, &["--subprotocol", "other", "--send", &large]), (expected, true));
}

#[test]
fn too_large_a_message_is_refused() {
    let (_server, address) = echo_server(&["--max-message", "3"]);
    let url = format!("ws://{address}/");
    let expected = vec!["OPEN".into(), "MSG text 3".into(), "CLOSED 1009".into()];
    assert_eq!(client(&url, &["--send", "abc", "--send", "abcd"]), (expected, true));
}

#[test]
fn the_server_answers_what_is_no_upgrade_and_survives_every_peer() {
    let (_server, address) = echo_server(&[]);
    let exchange = |bytes: &[u8]| {
        let mut tcp = TcpStream::connect(&address).expect("it listens");
        tcp.write_all(bytes).expect("it reads");
        let mut answer = Vec::new();
        // It may also reset what it has refused.
        let _ = tcp.shutdown(Shutdown::Write).and_then(|()| tcp.read_to_end(&mut answer));
        String::from_utf8_lossy(&answer).into_owned()
    };
    let page = exchange(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(page.starts_with("HTTP/1.1 426 "), "{page}");
    assert!(page.contains("\r\nSec-WebSocket-Version: 13\r\n") && page.contains("\r\nConnection: close\r\n"), "{page}");
    assert!(exchange(b"\x16\x03\x01").starts_with("HTTP/1.1 400 "));
    assert_eq!(exchange(b""), "");
    assert_eq!(exchange(b"GET / HT"), "");
    drop(TcpStream::connect(&address).expect("it listens"));
    assert_eq!(client(&format!("ws://{address}/"), &["--send", "alive"]).0.last().expect("lines"), "CLOSED 1000");
}

#[test]
fn the_client_reports_a_close_by_the_server() {
    let url = serve_once(|request, tcp| {
        accept(request, tcp);
        tcp.write_all(b"\x82\x03abc\x81\x02de\x88\x02\x0f\xa0").expect("the client reads");
        let mut frames = Vec::new();
        // Both messages come back, then the Close: masked, 9 + 8 + 8 bytes.
        tcp.take(25).read_to_end(&mut frames).expect("the client answers");
        assert_eq!((frames.len(), frames[0], frames[9], frames[17]), (25, 0x82, 0x81, 0x88));
    });
    let expected = vec!["OPEN".into(), "MSG binary 3".into(), "MSG text 2".into(), "CLOSED 4000".into()];
    assert_eq!(client(&url, &["--echo"]), (expected, true));
}

#[test]
fn the_client_reports_an_end_without_a_close() {
    let url = serve_once(accept);
    assert_eq!(client(&url, &[]), (vec!["OPEN".into(), "CLOSED 1006".into()], true));
}

/// A server that answers no Close is waited for only so long.
#[test]
fn the_client_has_an_end_to_its_patience() {
    let url = serve_once(|request, tcp| {
        accept(request, tcp);
        tcp.write_all(b"\x81\x00").expect("the client reads");
        thread::sleep(Duration::from_secs(60));
    });
    let expected = vec!["OPEN".into(), "MSG text 0".into(), "CLOSED 1006".into()];
    assert_eq!(client(&url, &["--send", "x"]), (expected, true));
}

#[test]
fn the_client_says_why_it_never_opened() {
    let failed = |(lines, succeeded): (Vec<String>, bool)| {
        assert!(!succeeded && lines.len() == 1 && lines[0].starts_with("FAILED "), "{lines:?}");
        lines[0].clone()
    };
    for response in
        ["HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"]
    {
        let line = failed(client(&serve_once(move |_, tcp| tcp.write_all(response.as_bytes()).unwrap()), &[]));
        assert_eq!(line.as_bytes().last_chunk(), response.as_bytes()[9..].first_chunk::<3>(), "{line}");
    }
    failed(client(&serve_once(|_, tcp| tcp.write_all(b"SSH-2.0-x\r\n\r\n").unwrap()), &[]));
    failed(client(&serve_once(|_, _| ()), &[]));
    failed(client("http://127.0.0.1/", &[]));
    failed(client("ws://127.0.0.1:9/", &["--subprotocol", "not a token"]));
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
    failed(client(&format!("ws://127.0.0.1:{port}/"), &[]));
}

#[test]
fn the_socketio_server_speaks_to_those_who_ask_for_engine_io() {
    let (_server, address, _) = listening("socketio_server", &["--ping", "20"]);
    let url = format!("ws://{address}/socket.io/?transport=websocket&EIO=4");
    let output = example("interop_client").arg(&url).output().expect("cargo test builds the examples");
    let words = str::from_utf8(&output.stdout).expect("text");
    assert!(output.status.success(), "{words} {:?}", str::from_utf8(&output.stderr));
    // Pings come at any time.
    let words: HashSet<&str> = words.lines().collect();
    assert_eq!(words, HashSet::from(["connect", "event", "acknowledgement", "attachment", "ping", "close"]));

    for path in ["", "socket.io/?EIO=3&transport=websocket", "socket.io/?EIO=4&transport=polling"] {
        let url = format!("ws://{address}/{path}");
        assert_eq!(client(&url, &[]), (vec!["FAILED HTTP status 400".into()], false), "{path}");
    }
    // No packet of Engine.IO, none of Socket.IO, an event without a name, two attachments.
    for packet in ["", "9", "4", "42", "42[]", r#"42{"a":1}"#, r#"452-["a",1]"#] {
        let (lines, _) = client(&url, &["--send", packet]);
        assert_eq!(lines.last().map(String::as_str), Some("CLOSED 1008"), "{packet}");
    }
}

/// A client that answers no Close, and talks on: pongs of Engine.IO, and what would be closed for once more.
#[test]
fn the_socketio_server_waits_for_the_answer_to_its_close_only_so_long() {
    let (_server, address, _) = listening("socketio_server", &["--ping", "100", "--patience", "1000"]);
    let mut tcp = TcpStream::connect(&address).expect("it listens");
    tcp.set_read_timeout(Some(Duration::from_secs(20))).expect("an open socket");
    let request = str::from_utf8(REQUEST).expect("text").replace("/chat?x", "/socket.io/?EIO=4&transport=websocket");
    let packet_frame = |packet: &[u8; 1]| [b"\x81\x81\0\0\0\0", &packet[..]].concat();
    // No packet begins with a 9.
    tcp.write_all(&[request.as_bytes(), &packet_frame(b"9")].concat()).expect("it reads");
    let mut talking = tcp.try_clone().expect("a descriptor");
    let talked = thread::spawn(move || {
        for packet in [b"3", b"9"].into_iter().cycle().take(400) {
            thread::sleep(Duration::from_millis(50));
            if talking.write_all(&packet_frame(packet)).is_err() {
                return true;
            }
        }
        false
    });
    let mut answer = Vec::new();
    // To its end, which may be a reset: what has come until then is there.
    let _ = tcp.read_to_end(&mut answer);
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("a response") + 4;
    let opcodes: Vec<_> = frames(answer.split_off(head)).into_iter().map(|(header, _)| header.opcode).collect();
    assert_eq!(opcodes, [Opcode::Text, Opcode::Close]);
    assert!(talked.join().expect("it does not panic"), "it was still listened to after 20 s");
}

#[test]
fn messages_come_back_through_the_relay() {
    for arguments in [&[][..], &["--no-deflate"]] {
        let (_server, address) = echo_server(arguments);
        let mut relay = Relay::to(&address, &[]);
        let url = format!("ws://{}/", relay.address);
        let large = "x".repeat(70_000);
        let offered = client(&url, &["--subprotocol", "chat", "--send", "€", "--send", "", "--send", &large]);
        let lines = ["OPEN chat", "MSG text 3", "MSG text 0", "MSG text 70000", "CLOSED 1000"];
        assert_eq!(offered, (lines.map(str::to_owned).to_vec(), true));
        for direction in relay.counts() {
            let (_, counts) = direction.split_once(": ").expect("counts");
            assert!(counts.starts_with("Text 3, Close 1, ") && counts.ends_with(" bytes of payload"), "{direction}");
            let payload: u32 =
                counts.rsplit(", ").next().and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap();
            // Compression, where it was negotiated, is the ends' own: the relay passes fewer bytes.
            let is_compressed = arguments.is_empty();
            assert_eq!(payload < 1000, is_compressed, "{direction}");
            assert!(is_compressed || payload == 70_005, "{direction}");
        }
    }
}

/// RFC 6455 §5.4, §5.3: fragmentation and RSV bits stay as they are, with control frames in between; each frame has
/// another key.
#[test]
fn the_relay_changes_nothing_but_the_mask() {
    let key = [1, 2, 3, 4];
    let long = vec![9; 70_000];
    let payloads = [&b"Hel"[..], b"ping", b"", &[7; 300], b"lo", &long, b""];
    let firsts = [0x41, 0x89, 0x8a, 0x00, 0x80, 0xb2, 0x88];
    let frame = |mask: Option<[u8; 4]>, first: u8, payload: &[u8]| {
        let (opcode, payload_len) = (Opcode::new(first & 0xf).expect("known"), payload.len() as u64);
        let header = FrameHeader { fin: first & 0x80 != 0, rsv: first >> 4 & 7, opcode, mask, payload_len };
        let mut masked = payload.to_vec();
        apply_mask(mask.unwrap_or_default(), &mut masked);
        [header.encode().as_ref(), &masked].concat()
    };
    let stream = |mask| {
        let frames = firsts.into_iter().zip(payloads).map(|(first, payload)| frame(mask, first, payload));
        frames.collect::<Vec<_>>().concat()
    };
    let write = |mut tcp: &TcpStream, bytes: &[u8]| {
        // At odd places: inside headers and keys too.
        let (head, rest) = bytes.split_at(40);
        for piece in head.chunks(3).chain(rest.chunks(4099)) {
            tcp.write_all(piece).expect("it reads");
            thread::sleep(Duration::from_millis(1));
        }
    };
    let (mut relay, mut client, mut server) = behind_relay(&[]);
    let (to_server, to_client) = (stream(Some(key)), stream(None));

    write(&client, &to_server);
    let arrived = frames(read_exactly(&mut server, to_server.len()));
    let unmasked = |frames: &[(FrameHeader, Vec<u8>)]| {
        let frames = frames.iter().map(|(header, payload)| (FrameHeader { mask: None, ..*header }, payload.clone()));
        frames.collect::<Vec<_>>()
    };
    assert!(unmasked(&arrived) == unmasked(&frames(to_server)));
    let keys: HashSet<_> = arrived.iter().map(|(header, _)| header.mask.expect("a client masks")).collect();
    assert!(keys.len() == firsts.len() && !keys.contains(&key), "{keys:?}");

    write(&server, &to_client);
    assert!(read_exactly(&mut client, to_client.len()) == to_client);
    drop(server);
    assert_eq!(client.read(&mut [0]).expect("it ends"), 0);
    drop(client);
    let counts = "Continuation 2, Text 1, Binary 1, Close 1, Ping 1, Pong 1, 70309 bytes of payload";
    assert_eq!(relay.counts(), ["to the client", "to the server"].map(|name| format!("{name}: {counts}")));
}

/// RFC 6455 §10.4: on the header alone, and what goes the other way is not cut.
#[test]
fn the_relay_closes_both_sides_for_a_frame_that_is_too_long() {
    let (mut relay, mut client, mut server) = behind_relay(&["--max-frame", "125"]);
    server.write_all(b"\x82\x05ab").expect("it reads");
    assert_eq!(read_exactly(&mut client, 4), b"\x82\x05ab");
    client.write_all(&[b"\x82\xfd\0\0\0\0", &[b'x'; 125][..], b"\x82\xfe\0\x7e\0\0\0\0"].concat()).expect("it reads");
    let arrived = frames(read_to_end(&mut server));
    let seen: Vec<_> = arrived.iter().map(|(header, payload)| (header.opcode, &payload[..])).collect();
    assert_eq!(seen, [(Opcode::Binary, &[b'x'; 125][..]), (Opcode::Close, b"\x03\xf1")]);
    assert!(arrived.iter().all(|(header, _)| header.mask.is_some()));
    // The frame under way comes to its end before the Close; the next one is not passed on.
    server.write_all(b"cde\x82\x01f").expect("it reads");
    assert_eq!(read_to_end(&mut client), b"cde\x88\x02\x03\xf1");
    drop((client, server));
    let [to_client, to_server] = relay.counts();
    assert!(to_client.starts_with("to the client: Binary 1, 5 bytes of payload"), "{to_client}");
    assert_eq!(to_server, "to the server: Binary 1, 125 bytes of payload, frame larger than allowed");
}

#[test]
fn a_client_behind_the_relay_is_told_what_was_too_long() {
    let (_server, address) = echo_server(&["--no-deflate"]);
    let relay = Relay::to(&address, &["--max-frame", "3"]);
    let expected = vec!["OPEN".into(), "CLOSED 1009".into()];
    assert_eq!(client(&format!("ws://{}/", relay.address), &["--send", "abcd"]), (expected, true));
}

#[test]
fn the_relay_closes_both_sides_for_a_frame_that_is_none() {
    // A reserved opcode, a frame from a client without a mask, one from a server with it.
    for (from_client, frame) in
        [(true, &b"\x83\x80\0\0\0\0"[..]), (true, b"\x81\x00"), (false, b"\x81\x80\0\0\0\0"), (false, b"\x09\x00")]
    {
        let (_relay, mut client, mut server) = behind_relay(&[]);
        (if from_client { &client } else { &server }).write_all(frame).expect("it reads");
        assert_eq!(read_to_end(&mut client), b"\x88\x02\x03\xea", "{frame:x?}");
        let seen = frames(read_to_end(&mut server));
        let [(header, payload)] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!((header.opcode, &payload[..]), (Opcode::Close, &b"\x03\xea"[..]), "{frame:x?}");
    }
}

#[test]
fn the_relay_passes_a_refusal_on_and_refuses_what_is_no_upgrade() {
    let refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
    let url = serve_once(|_, tcp| tcp.write_all(refusal).expect("the relay reads"));
    let relay = Relay::to(url.trim_start_matches("ws://").trim_end_matches('/'), &[]);
    let exchange = |bytes: &[u8]| {
        let mut tcp = TcpStream::connect(&relay.address).expect("it listens");
        tcp.write_all(bytes).expect("it reads");
        String::from_utf8(read_to_end(&mut tcp)).expect("text")
    };
    let page = exchange(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(page.starts_with("HTTP/1.1 426 "), "{page}");
    // A second request is none of the server's business.
    assert_eq!(exchange(&[REQUEST, REQUEST].concat()).as_bytes(), refusal);
    // Nobody listens there any more.
    let page = exchange(REQUEST);
    assert!(page.starts_with("HTTP/1.1 502 "), "{page}");
}
