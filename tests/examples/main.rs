//! The programs in examples/, run as their documentation says, over loopback.

mod printing;
mod relay;
#[path = "../shared/mod.rs"]
mod shared;
mod transports;

/// Says which rows of the conformance table the test shows. `tests/conformance/coverage.rs` counts them.
macro_rules! rows {
    ($($id:literal),+ $(,)?) => {};
}
use rows;

use std::collections::HashSet;
use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{ChildStdout, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use shared::frames::decode;
use shared::handshake::response_to;
use shared::program::{Program, example};
use shared::sockets::{self, read_to_end};
use websocket_proto::frame::{FrameHeader, Opcode};

const REQUEST: &[u8] = b"GET /chat?x HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nX-Other: passes\r\n\r\n";

/// Starts a server on a free port; returns its address and the rest of its output.
fn listening(name: &str, arguments: &[&str]) -> (Program, String, BufReader<ChildStdout>) {
    shared::program::listening(example(name).arg("127.0.0.1:0").args(arguments), "ws")
}

fn echo_server(arguments: &[&str]) -> (Program, String) {
    let (server, address, _) = listening("echo_server", arguments);
    (server, address)
}

/// A listener whose queue is full, with the connections that fill it.
#[cfg(target_os = "linux")]
fn full_listener() -> (TcpListener, Vec<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("the listener is bound");
    // Called again, with a shorter queue.
    socket2::SockRef::from(&listener).listen(0).expect("it listens already");
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(500));
    let waiting = std::iter::from_fn(|| connect().ok()).collect();
    (listener, waiting)
}

/// The frames, unmasked.
fn frames(bytes: &[u8]) -> Vec<(FrameHeader, Vec<u8>)> {
    decode(bytes)
}

/// Runs the client to its end; returns its lines and whether it succeeded.
fn client(url: &str, arguments: &[&str]) -> (Vec<String>, bool) {
    let output = example("client").arg(url).args(arguments).output().expect("cargo test builds the examples");
    let lines = String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect();
    (lines, output.status.success())
}

/// Serves one connection: reads the request, and passes it to `answer`.
fn serve_once(answer: impl FnOnce(&str, &mut TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("the listener is bound"));
    thread::spawn(move || serve(&listener, answer));
    url
}

fn serve(listener: &TcpListener, answer: impl FnOnce(&str, &mut TcpStream)) {
    let (mut tcp, _) = listener.accept().expect("a client connects");
    let mut request = vec![0; 4096];
    let len = tcp.read(&mut request).expect("a request arrives");
    answer(str::from_utf8(&request[..len]).expect("a request is text"), &mut tcp);
}

fn accept(request: &str, tcp: &mut TcpStream) {
    tcp.write_all(&response_to(request, "")).expect("the client reads");
}

#[test]
fn messages_are_echoed() {
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
fn a_message_above_the_limit_is_rejected() {
    let (_server, address) = echo_server(&["--max-message", "3"]);
    let url = format!("ws://{address}/");
    let expected = vec!["OPEN".into(), "MSG text 3".into(), "CLOSED 1009".into()];
    assert_eq!(client(&url, &["--send", "abc", "--send", "abcd"]), (expected, true));
}

#[test]
fn other_requests_are_answered_and_every_peer_is_survived() {
    let (_server, address) = echo_server(&[]);
    let exchange = |bytes: &[u8]| {
        let mut tcp = TcpStream::connect(&address).expect("the server listens");
        tcp.write_all(bytes).expect("the peer reads");
        let mut answer = Vec::new();
        // The server may also reset a connection that it has rejected.
        let _ = tcp.shutdown(Shutdown::Write).and_then(|()| tcp.read_to_end(&mut answer));
        String::from_utf8_lossy(&answer).into_owned()
    };
    let page = exchange(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(page.starts_with("HTTP/1.1 426 "), "{page}");
    assert!(page.contains("\r\nSec-WebSocket-Version: 13\r\n") && page.contains("\r\nConnection: close\r\n"), "{page}");
    assert!(exchange(b"\x16\x03\x01").starts_with("HTTP/1.1 400 "));
    assert_eq!(exchange(b""), "");
    assert_eq!(exchange(b"GET / HT"), "");
    drop(TcpStream::connect(&address).expect("the server listens"));
    assert_eq!(client(&format!("ws://{address}/"), &["--send", "alive"]).0.last().expect("lines"), "CLOSED 1000");
}

/// RFC 9110 §9.3.2. The servers that answer other requests themselves are tested in `tests/axum.rs` and `tests/chat`.
#[test]
fn no_server_answers_head_with_content() {
    // The relay rejects these requests itself: its upstream is a port without a listener.
    for (name, arguments) in [
        ("echo_server", &[][..]),
        ("mio_server", &[]),
        ("tokio_server", &[]),
        ("socketio_server", &[]),
        ("interop_server", &[]),
        ("relay", &["127.0.0.1:9"]),
    ] {
        let (_server, address, _lines) = listening(name, arguments);
        let opening = str::from_utf8(REQUEST).expect("text").replace("GET", "HEAD");
        for request in ["HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", &opening, "HEAD / HTTP/1.1\nHost: a\r\n\r\n"] {
            let exchange = |request: &str| {
                let mut tcp = TcpStream::connect(&address).expect("the server listens");
                tcp.write_all(request.as_bytes()).expect("the peer reads");
                let answer = String::from_utf8(read_to_end(&mut tcp)).expect("text");
                let (head, content) = answer.split_once("\r\n\r\n").expect("a whole head");
                (head.to_owned(), content.to_owned())
            };
            let (head, content) = exchange(request);
            assert!(head.starts_with("HTTP/1.1 40") && content.is_empty(), "{name}: {head}{content}");
            assert!(!head.contains("Content-Length"), "{name}: {head}");
            assert!(!exchange(&request.replace("HEAD", "POST")).1.is_empty(), "{name}: other methods are told why");
        }
    }
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

/// The client's patience with a server that answers no Close is limited.
#[test]
fn the_client_limits_the_wait_for_a_close() {
    let url = serve_once(|request, tcp| {
        accept(request, tcp);
        tcp.write_all(b"\x81\x00").expect("the client reads");
        thread::sleep(Duration::from_secs(60));
    });
    let expected = vec!["OPEN".into(), "MSG text 0".into(), "CLOSED 1006".into()];
    assert_eq!(client(&url, &["--send", "x"]), (expected, true));
}

#[test]
fn the_client_reports_why_the_handshake_failed() {
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
fn the_socketio_server_serves_engine_io_clients_only() {
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
    // Neither a packet of Engine.IO, nor one of Socket.IO, an event without a name, two attachments.
    for packet in ["", "9", "4", "42", "42[]", r#"42{"a":1}"#, r#"452-["a",1]"#] {
        let (lines, _) = client(&url, &["--send", packet]);
        assert_eq!(lines.last().map(String::as_str), Some("CLOSED 1008"), "{packet}");
    }
}

/// A client that does not answer the Close, and continues to send: pongs of Engine.IO, and another invalid packet.
#[test]
fn the_socketio_server_limits_the_wait_for_a_close() {
    let (_server, address, _) = listening("socketio_server", &["--ping", "100", "--patience", "1000"]);
    let mut tcp = sockets::connect(&address, Duration::from_secs(20));
    let request = str::from_utf8(REQUEST).expect("text").replace("/chat?x", "/socket.io/?EIO=4&transport=websocket");
    let packet_frame = |packet: &[u8; 1]| [b"\x81\x81\0\0\0\0", &packet[..]].concat();
    // No packet starts with a 9.
    tcp.write_all(&[request.as_bytes(), &packet_frame(b"9")].concat()).expect("the peer reads");
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
    let mut answer = read_to_end(&mut tcp);
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("a response") + 4;
    let opcodes: Vec<_> = frames(&answer.split_off(head)).into_iter().map(|(header, _)| header.opcode).collect();
    assert_eq!(opcodes, [Opcode::Text, Opcode::Close]);
    assert!(talked.join().expect("it does not panic"), "it was still listened to after 20 s");
}

/// Replaces the suite's server, with two cases: each connection sends "2" and closes, and gets both back.
#[test]
fn the_autobahn_client_runs_every_case_and_requests_the_report() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}", listener.local_addr().expect("the listener is bound"));
    let (sender, asked) = mpsc::channel();
    thread::spawn(move || {
        loop {
            serve(&listener, |request, tcp| {
                accept(request, tcp);
                tcp.write_all(b"\x81\x012\x88\x02\x03\xe8").expect("the client reads");
                tcp.shutdown(Shutdown::Write).expect("the socket is open");
                let sent: Vec<_> = frames(&read_to_end(tcp)).into_iter().map(|(_, payload)| payload).collect();
                assert_eq!(sent, [&b"2"[..], b"\x03\xe8"], "{request}");
                let path = request.split(' ').nth(1).expect("a request has a path");
                sender.send(path.to_owned()).expect("the test waits");
            });
        }
    });
    let client = example("autobahn_client").args([&url, "us"]).stdout(Stdio::null()).status();
    assert!(client.expect("cargo test builds the examples").success());
    let asked =
        [(); 4].map(|()| asked.recv_timeout(Duration::from_secs(20)).expect("the client opens four connections"));
    assert_eq!(
        asked,
        ["/getCaseCount", "/runCase?case=1&agent=us", "/runCase?case=2&agent=us", "/updateReports?agent=us"]
    );
}
