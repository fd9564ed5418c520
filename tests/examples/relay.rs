//! The relay over loopback: the bytes that it forwards or changes, and the faults for which it closes.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ChildStdout;
use std::thread;
use std::time::{Duration, Instant};

use websocket_proto::frame::{FrameHeader, Opcode};
use websocket_proto::mask::apply_mask;

use crate::shared::sockets::read_to_end;
use crate::{Program, REQUEST, client, echo_server, frames, listening, rows, serve_once};

/// The relay in front of a server.
struct Relay {
    _program: Program,
    address: String,
    lines: BufReader<ChildStdout>,
}

impl Relay {
    fn to(upstream: &str, arguments: &[&str]) -> Self {
        let (program, address, lines) = listening("relay", &[&[upstream], arguments].concat());
        Self { _program: program, address, lines }
    }

    /// Its report on the two directions of a connection, without the addresses: to the client, to the server.
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

/// A client's socket and, after a relay, the server's, both after the handshake. They agreed on an extension that the
/// relay does not know.
fn through_relay(arguments: &[&str]) -> (Relay, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let relay = Relay::to(&listener.local_addr().expect("the listener is bound").to_string(), arguments);
    let mut client = TcpStream::connect(&relay.address).expect("the server listens");
    let extension = &b"Sec-WebSocket-Extensions: x-unknown; level=3\r\n\r\n"[..];
    let request = [&REQUEST[..REQUEST.len() - 2], extension].concat();
    client.write_all(&request).expect("the peer reads");
    let (mut server, _) = listener.accept().expect("the relay connects");
    for tcp in [&client, &server] {
        tcp.set_nodelay(true).expect("the socket is open");
        tcp.set_read_timeout(Some(Duration::from_secs(5))).expect("the socket is open");
    }
    assert_eq!(read_exactly(&mut server, request.len()), request, "as it is");
    let response = [
        &b"HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\nHTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"[..],
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        extension,
    ];
    let response = response.concat();
    server.write_all(&response).expect("the peer reads");
    assert_eq!(read_exactly(&mut client, response.len()), response, "as it is");
    (relay, client, server)
}

fn read_exactly(tcp: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    tcp.read_exact(&mut bytes).expect("the bytes arrive");
    bytes
}

#[test]
fn the_relay_forwards_messages_both_ways() {
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
            // Compression, if negotiated, is end to end: the relay forwards fewer bytes.
            let is_compressed = arguments.is_empty();
            assert_eq!(payload < 1000, is_compressed, "{direction}");
            assert!(is_compressed || payload == 70_005, "{direction}");
        }
    }
}

/// RFC 6455 §5.4, §5.3: the relay changes neither fragmentation nor RSV bits, also with control frames in between; each
/// frame gets another key.
#[test]
fn the_relay_changes_only_the_mask() {
    rows!("6455-5.4-15", "6455-5.4-16", "6455-5.4-17");
    let key = [1, 2, 3, 4];
    let long = vec![9; 70_000];
    let payloads = [&b"Hel"[..], b"ping", b"", &[7; 300], b"", b"lo", &[7; 125], &long].repeat(8);
    // A message in fragments, with control frames between them, and one in one frame; with each set of RSV bits.
    let firsts = [0x01, 0x89, 0x8a, 0x00, 0x00, 0x80, 0x89, 0x82];
    let firsts: Vec<u8> = (0..8).flat_map(|rsv| firsts.map(|first| first | rsv << 4)).chain([0x88]).collect();
    let payloads = [payloads, vec![b""]].concat();
    let frame = |mask: Option<[u8; 4]>, first: u8, payload: &[u8]| {
        let (opcode, payload_len) = (Opcode::new(first & 0xf).expect("known"), payload.len() as u64);
        let header = FrameHeader { fin: first & 0x80 != 0, rsv: first >> 4 & 7, opcode, mask, payload_len };
        let mut masked = payload.to_vec();
        apply_mask(mask.unwrap_or_default(), &mut masked);
        [header.encode().as_ref(), &masked].concat()
    };
    let stream = |mask| {
        let frames = firsts.iter().zip(&payloads).map(|(first, payload)| frame(mask, *first, payload));
        frames.collect::<Vec<_>>().concat()
    };
    let write = |mut tcp: &TcpStream, bytes: &[u8]| {
        // Cut inside headers and keys.
        let (head, rest) = bytes.split_at(40);
        for piece in head.chunks(3).chain(rest.chunks(4099)) {
            tcp.write_all(piece).expect("the peer reads");
            thread::sleep(Duration::from_millis(1));
        }
    };
    let (mut relay, mut client, mut server) = through_relay(&[]);
    let (to_server, to_client) = (stream(Some(key)), stream(None));

    write(&client, &to_server);
    let arrived = frames(&read_exactly(&mut server, to_server.len()));
    let unmasked = |frames: &[(FrameHeader, Vec<u8>)]| {
        let frames = frames.iter().map(|(header, payload)| (FrameHeader { mask: None, ..*header }, payload.clone()));
        frames.collect::<Vec<_>>()
    };
    assert!(unmasked(&arrived) == unmasked(&frames(&to_server)));
    let keys: HashSet<_> = arrived.iter().map(|(header, _)| header.mask.expect("a client masks")).collect();
    assert!(keys.len() == firsts.len() && !keys.contains(&key), "{keys:?}");

    write(&server, &to_client);
    assert!(read_exactly(&mut client, to_client.len()) == to_client);
    drop(server);
    assert_eq!(client.read(&mut [0]).expect("it ends in time"), 0);
    drop(client);
    let bytes: usize = payloads.iter().map(|payload| payload.len()).sum();
    let counts = format!("Continuation 24, Text 8, Binary 8, Close 1, Ping 16, Pong 8, {bytes} bytes of payload");
    assert_eq!(relay.counts(), ["to the client", "to the server"].map(|name| format!("{name}: {counts}")));
}

/// RFC 6455 §10.4: on the header alone, without cutting the other direction.
#[test]
fn a_frame_above_the_limit_closes_both_sides() {
    let (mut relay, mut client, mut server) = through_relay(&["--max-frame", "125"]);
    server.write_all(b"\x82\x05ab").expect("the peer reads");
    assert_eq!(read_exactly(&mut client, 4), b"\x82\x05ab");
    client
        .write_all(&[b"\x82\xfd\0\0\0\0", &[b'x'; 125][..], b"\x82\xfe\0\x7e\0\0\0\0"].concat())
        .expect("the peer reads");
    let arrived = frames(&read_to_end(&mut server));
    let seen: Vec<_> = arrived.iter().map(|(header, payload)| (header.opcode, &payload[..])).collect();
    assert_eq!(seen, [(Opcode::Binary, &[b'x'; 125][..]), (Opcode::Close, b"\x03\xf1")]);
    assert!(arrived.iter().all(|(header, _)| header.mask.is_some()));
    // The frame in progress is completed before the Close; the next one is not forwarded.
    server.write_all(b"cde\x82\x01f").expect("the peer reads");
    assert_eq!(read_to_end(&mut client), b"cde\x88\x02\x03\xf1");
    drop((client, server));
    let [to_client, to_server] = relay.counts();
    assert!(to_client.starts_with("to the client: Binary 1, 5 bytes of payload"), "{to_client}");
    assert_eq!(to_server, "to the server: Binary 1, 125 bytes of payload, frame larger than allowed");
}

#[test]
fn a_client_of_the_relay_gets_the_close_for_a_long_frame() {
    let (_server, address) = echo_server(&["--no-deflate"]);
    let relay = Relay::to(&address, &["--max-frame", "3"]);
    let expected = vec!["OPEN".into(), "CLOSED 1009".into()];
    assert_eq!(client(&format!("ws://{}/", relay.address), &["--send", "abcd"]), (expected, true));
}

#[test]
fn an_invalid_frame_closes_both_sides() {
    // A reserved opcode, a frame from a client without a mask, one from a server with it.
    for (from_client, frame) in
        [(true, &b"\x83\x80\0\0\0\0"[..]), (true, b"\x81\x00"), (false, b"\x81\x80\0\0\0\0"), (false, b"\x09\x00")]
    {
        let (_relay, mut client, mut server) = through_relay(&[]);
        (if from_client { &client } else { &server }).write_all(frame).expect("the peer reads");
        assert_eq!(read_to_end(&mut client), b"\x88\x02\x03\xea", "{frame:x?}");
        let seen = frames(&read_to_end(&mut server));
        let [(header, payload)] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!((header.opcode, &payload[..]), (Opcode::Close, &b"\x03\xea"[..]), "{frame:x?}");
    }
}

#[test]
fn the_relay_forwards_rejections_and_rejects_other_requests() {
    let rejection = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
    let url = serve_once(|_, tcp| tcp.write_all(rejection).expect("the relay reads"));
    let relay = Relay::to(url.trim_start_matches("ws://").trim_end_matches('/'), &[]);
    let exchange = |bytes: &[u8]| {
        let mut tcp = TcpStream::connect(&relay.address).expect("the server listens");
        tcp.write_all(bytes).expect("the peer reads");
        String::from_utf8(read_to_end(&mut tcp)).expect("text")
    };
    let page = exchange(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(page.starts_with("HTTP/1.1 426 "), "{page}");
    // A second request is not forwarded.
    assert_eq!(exchange(&[REQUEST, REQUEST].concat()).as_bytes(), rejection);
    // The server does not listen any more.
    let page = exchange(REQUEST);
    assert!(page.starts_with("HTTP/1.1 502 "), "{page}");
}

/// A server that does not accept, one that does not answer, and one that sends half an answer.
#[test]
fn the_relay_limits_the_duration_of_a_handshake() {
    let rejected = |upstream: &str| {
        let relay = Relay::to(upstream, &["--timeout", "500"]);
        let mut tcp = TcpStream::connect(&relay.address).expect("the server listens");
        tcp.set_read_timeout(Some(Duration::from_secs(60))).expect("the socket is open");
        tcp.write_all(REQUEST).expect("the peer reads");
        let answer = String::from_utf8(read_to_end(&mut tcp)).expect("text");
        assert!(answer.contains("HTTP/1.1 502 "), "{answer}");
    };
    #[cfg(target_os = "linux")]
    {
        let (listener, _waiting) = crate::full_listener();
        rejected(&listener.local_addr().expect("the listener is bound").to_string());
    }
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    rejected(&silent.local_addr().expect("the listener is bound").to_string());
    let url = serve_once(|_, tcp| {
        while tcp.write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n").is_ok() {
            thread::sleep(Duration::from_millis(10));
        }
    });
    rejected(url.trim_start_matches("ws://").trim_end_matches('/'));

    // A client that sends no request (RFC 9110 §15.5.9).
    let relay = Relay::to(&silent.local_addr().expect("the listener is bound").to_string(), &["--timeout", "500"]);
    let mut tcp = TcpStream::connect(&relay.address).expect("the server listens");
    tcp.set_read_timeout(Some(Duration::from_secs(60))).expect("the socket is open");
    let answer = read_to_end(&mut tcp);
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", answer.escape_ascii());
}

/// A frame from either side keeps both connections open.
#[test]
fn the_relay_closes_both_sides_when_both_are_silent() {
    let (_relay, mut client, mut server) = through_relay(&["--timeout", "2000"]);
    for _ in 0..30 {
        thread::sleep(Duration::from_millis(100));
        server.write_all(b"\x89\x00").expect("the peer reads");
        assert_eq!(read_exactly(&mut client, 2), b"\x89\x00");
    }
    assert_eq!(read_to_end(&mut client), b"\x88\x02\x0b\xc0");
    let seen = frames(&read_to_end(&mut server));
    assert_eq!(seen.iter().map(|(_, payload)| &payload[..]).collect::<Vec<_>>(), [b"\x0b\xc0"]);
}

/// The server's connection is closed then as well.
#[test]
fn the_relay_drops_a_client_that_reads_nothing() {
    let (_relay, client, mut server) = through_relay(&["--timeout", "500"]);
    let start = Instant::now();
    while server.write_all(&[&b"\x82\x7e\xff\xff"[..], &vec![0; 65_535]].concat()).is_ok() {
        assert!(start.elapsed() < Duration::from_secs(60), "the relay reads without end");
    }
    drop(client);
}

/// Both get a Close, although one continues to send and much is on its way to the relay.
#[test]
fn the_relay_closes_both_sides_with_a_close_while_one_sends_on() {
    let (_relay, mut client, mut server) = through_relay(&[]);
    client.write_all(b"\x83\x80\0\0\0\0").expect("the peer reads");
    for _ in 0..4 {
        client.write_all(&vec![0; 512 << 10]).expect("the peer continues to read");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(read_to_end(&mut client), b"\x88\x02\x03\xea");
    let seen = frames(&read_to_end(&mut server));
    assert_eq!(seen.iter().map(|(_, payload)| &payload[..]).collect::<Vec<_>>(), [b"\x03\xea"]);
}
