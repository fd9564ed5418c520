//! `tokio_client`, at its console, against the servers and against a scripted server.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use websocket_proto::Role;

use crate::shared::frames::frame;
use crate::shared::handshake::response_to;
use crate::shared::sockets::{read_to_end, reset_on_close};
use crate::{PATIENCE, Program, example, is_skipped, server, start};

/// The client with its standard input and output.
struct Console {
    program: Program,
    input: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Console {
    fn start(url: &str, arguments: &[&str]) -> Self {
        let mut command = example("tokio_client");
        command.arg(url).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = command.spawn().expect("cargo test builds the examples");
        let (input, output) = (client.stdin.take(), client.stdout.take().expect("the stream is piped"));
        Self { program: Program(client), input, lines: BufReader::new(output).lines() }
    }

    fn type_in(&mut self, text: &str) {
        self.input.as_mut().expect("it is not ended").write_all(text.as_bytes()).expect("the peer reads");
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("it goes on").expect("text")
    }

    /// The next line, which is `RETRY` and milliseconds.
    fn retry(&mut self) -> u64 {
        let line = self.line();
        line.strip_prefix("RETRY ").and_then(|rest| rest.parse().ok()).unwrap_or_else(|| panic!("{line}"))
    }

    /// Ends its input; returns its remaining output, and whether it succeeded.
    fn end(mut self) -> (Vec<String>, bool) {
        drop(self.input.take());
        let lines = self.lines.by_ref().map(|line| line.expect("text")).collect();
        (lines, self.program.0.wait().expect("it ends in time").success())
    }
}

/// A listener, and its URL.
fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("the listener is bound"));
    (listener, url)
}

/// Accepts the next client and reads its request; answers with `rejection`, or else with 101.
fn serve(listener: &TcpListener, rejection: Option<&str>) -> TcpStream {
    let (mut tcp, _) = listener.accept().expect("a client connects");
    tcp.set_read_timeout(Some(PATIENCE)).expect("the socket is open");
    let mut request = vec![0; 4096];
    let len = tcp.read(&mut request).expect("a request arrives");
    if let Some(rejection) = rejection {
        tcp.write_all(rejection.as_bytes()).expect("the client reads");
        return tcp;
    }
    let request = std::str::from_utf8(&request[..len]).expect("a request is text");
    tcp.write_all(&response_to(request, "")).expect("the client reads");
    tcp
}

#[test]
fn the_tokio_client_sends_its_input() {
    if is_skipped("tokio_client") {
        return;
    }
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

/// Every event is one line, without control characters for the terminal, even if the server sends some.
#[test]
fn the_tokio_client_prints_a_line_for_each_event() {
    if is_skipped("tokio_client") {
        return;
    }
    let frame = |first: u8, payload: &[u8]| [&[first, u8::try_from(payload.len()).expect("short")], payload].concat();
    let shown = [
        ("x\nCLOSED 1000", r"x\u{a}CLOSED 1000"),
        ("\r\n", r"\u{d}\u{a}"),
        ("\x1b[2J\x1b]0;title\x07\t", r"\u{1b}[2J\u{1b}]0;title\u{7}\u{9}"),
        ("\u{9b}31m\u{85}\x7f", r"\u{9b}31m\u{85}\u{7f}"),
        ("\u{2028}\u{2029}\u{202e}cod.exe\u{2066}", r"\u{2028}\u{2029}\u{202e}cod.exe\u{2066}"),
        (r"\u{a}", r"\u{5c}u{a}"),
        (r#"Grüße \n "世界" \u00e9 🦀"#, r#"Grüße \n "世界" \u00e9 🦀"#),
        ("", ""),
    ];
    let (listener, url) = listen();
    let mut client = Console::start(&url, &[]);
    let mut tcp = serve(&listener, None);
    for (sent, _) in shown {
        tcp.write_all(&frame(0x81, sent.as_bytes())).expect("the client reads");
    }
    tcp.write_all(&frame(0x82, b"\nCLOSED 1000\n\x1b[2J")).expect("the client reads");
    tcp.write_all(&frame(0x88, b"\x0f\xa0\nCLOSED 1000\n\x1b[2J")).expect("the client reads");
    drop(tcp);
    assert_eq!(client.line(), "OPEN");
    for (_, line) in shown {
        assert_eq!(client.line(), format!("TEXT {line}"));
    }
    assert_eq!([client.line(), client.line()], ["BINARY 17", "CLOSED 4000"]);
    client.retry();
    // The phrase, headers and body of a rejection.
    drop(serve(&listener, Some("HTTP/1.1 403 No\u{9b}2J\u{2028}\r\nX: \u{202e}\r\nContent-Length: 5\r\n\r\n\nOPEN")));
    assert_eq!(client.end(), (vec!["FAILED HTTP status 403".into()], false));
}

/// More bytes than sockets buffer, both ways at once.
#[test]
fn the_tokio_client_sends_a_hundred_messages_of_a_megabyte() {
    if is_skipped("tokio_client") {
        return;
    }
    for name in ["echo_server", "mio_server", "tokio_server"] {
        let (_server, address) = server(name, &["--no-deflate"]);
        let mut client = Console::start(&format!("ws://{address}/"), &[]);
        let mut input = client.input.take().expect("the stream is piped");
        let line = |at: usize| char::from(b'a' + u8::try_from(at % 26).expect("small")).to_string().repeat(1_000_000);
        let typed = thread::spawn(move || {
            (0..100).try_for_each(|at| writeln!(input, "{}", line(at))).expect("the peer reads");
            input
        });
        assert_eq!(client.line(), "OPEN");
        for at in 0..100 {
            assert!(client.line().strip_prefix("TEXT ") == Some(&line(at)), "{name}: message {at}");
        }
        // Only now, because the time for closing starts at the end of its input.
        drop(typed.join().expect("no panic"));
        assert_eq!(client.end(), (vec!["CLOSED 1000".into()], true));
    }
}

/// A server that sends an invalid frame and continues to send gets a Close with the fault's code; the client reports
/// one `Closed`.
#[test]
fn the_tokio_client_sends_its_close_to_a_server_that_sends_on_after_a_fault() {
    if is_skipped("tokio_client") {
        return;
    }
    let (listener, url) = listen();
    let mut client = Console::start(&url, &[]);
    let mut tcp = serve(&listener, None);
    tcp.write_all(b"\x83\x00").expect("the client reads");
    for _ in 0..4 {
        tcp.write_all(&vec![0; 512 << 10]).expect("the client reads on");
        thread::sleep(Duration::from_millis(50));
    }
    let close = read_to_end(&mut tcp);
    let code = [close[6] ^ close[2], close[7] ^ close[3]];
    assert_eq!((close.len(), &close[..2], u16::from_be_bytes(code)), (8, &[0x88, 0x82][..], 1002));
    drop(tcp);
    assert_eq!([client.line(), client.line()], ["OPEN", "CLOSED 1006"]);
    client.retry();
}

#[test]
fn the_tokio_client_reports_a_reset_once() {
    if is_skipped("tokio_client") {
        return;
    }
    let (listener, url) = listen();
    let mut client = Console::start(&url, &[]);
    let tcp = serve(&listener, None);
    assert_eq!(client.line(), "OPEN");
    reset_on_close(&tcp);
    drop(tcp);
    assert_eq!(client.line(), "CLOSED 1006");
    client.retry();
}

/// The server answers pings, so that it is alive, but reads no messages.
#[test]
fn the_tokio_client_drops_a_server_that_reads_nothing() {
    if is_skipped("tokio_client") {
        return;
    }
    let (listener, url) = listen();
    let mut client = Console::start(&url, &["--timeout", "1000"]);
    let mut tcp = serve(&listener, None);
    assert_eq!(client.line(), "OPEN");
    let mut input = client.input.take().expect("the stream is piped");
    let typed = thread::spawn(move || {
        let line = "x".repeat(1_000_000);
        while writeln!(input, "{line}").is_ok() {}
    });
    let start = Instant::now();
    while tcp.write_all(b"\x8a\x00").is_ok() {
        assert!(start.elapsed() < PATIENCE, "it is still there");
        thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(client.line(), "CLOSED 1006");
    drop(client);
    typed.join().expect("no panic");
}

#[test]
fn the_tokio_client_reconnects_after_its_server_restarts() {
    if is_skipped("tokio_client") {
        return;
    }
    for name in ["mio_server", "tokio_server"] {
        let (program, address) = server(name, &[]);
        let mut client = Console::start(&format!("ws://{address}/"), &[]);
        client.type_in("one\n");
        assert_eq!([client.line(), client.line()], ["OPEN", "TEXT one"]);
        drop(program);
        assert_eq!(client.line(), "CLOSED 1006");
        assert!(client.retry() <= 1000);
        let (_program, _) = start(example(name), &address, &[]);
        // The client may have tried before.
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
fn the_tokio_client_obeys_retry_after() {
    if is_skipped("tokio_client") {
        return;
    }
    let (listener, url) = listen();
    let mut client = Console::start(&url, &[]);
    drop(serve(&listener, Some("HTTP/1.1 503 Later\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")));
    let rejected = Instant::now();
    assert_eq!(client.line(), "FAILED HTTP status 503");
    assert!((1000..=2000).contains(&client.retry()));
    let _tcp = serve(&listener, None);
    assert!(rejected.elapsed() >= Duration::from_millis(990), "{:?}", rejected.elapsed());
    assert_eq!(client.line(), "OPEN");
}

#[test]
fn the_tokio_client_ends_on_a_permanent_rejection() {
    if is_skipped("tokio_client") {
        return;
    }
    let (listener, url) = listen();
    let client = Console::start(&url, &[]);
    drop(serve(&listener, Some("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")));
    assert_eq!(client.end(), (vec!["FAILED HTTP status 403".into()], false));
}

#[test]
fn the_tokio_client_pings_and_closes_a_dead_server() {
    if is_skipped("tokio_client") {
        return;
    }
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

/// After a pause of the whole process, the deadline has passed, and the pong waits in the socket.
#[cfg(unix)]
#[test]
fn a_pong_counts_although_the_tokio_client_was_stopped_past_its_deadline() {
    if is_skipped("tokio_client") {
        return;
    }
    for _ in 0..4 {
        let (listener, url) = listen();
        let mut client = Console::start(&url, &["--timeout", "600"]);
        let mut tcp = serve(&listener, None);
        assert_eq!(client.line(), "OPEN");
        let mut ping = [0; 14];
        tcp.read_exact(&mut ping).expect("the client pings an idle server");
        assert_eq!(ping[0], 0x89);
        client.program.signal("STOP");
        let payload: Vec<_> = ping[6..].iter().zip(ping[2..6].iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        tcp.write_all(&frame(Role::Server, 0x8a, &payload)).expect("the socket has room");
        thread::sleep(Duration::from_secs(1));
        client.program.signal("CONT");
        tcp.read_exact(&mut ping).expect("the next ping, not a Close, follows a pong");
        assert_eq!(ping[0], 0x89, "the next ping, not a Close, follows a pong");
    }
}

#[cfg(unix)]
#[test]
fn the_tokio_client_closes_when_it_is_interrupted() {
    if is_skipped("tokio_client") {
        return;
    }
    let (listener, url) = listen();
    let mut client = Console::start(&url, &[]);
    let mut tcp = serve(&listener, None);
    assert_eq!(client.line(), "OPEN");
    client.program.signal("INT");
    let mut close = [0; 8];
    tcp.read_exact(&mut close).expect("a Close comes");
    let code = [close[6] ^ close[2], close[7] ^ close[3]];
    assert_eq!((&close[..2], u16::from_be_bytes(code)), (&[0x88, 0x82][..], 1001));
    tcp.write_all(b"\x88\x02\x03\xe9").expect("the client reads");
    drop(tcp);
    assert_eq!(client.end(), (vec!["CLOSED 1001".into()], true));
    // The same while it waits to connect again.
    let (listener, url) = listen();
    drop(listener);
    let mut client = Console::start(&url, &[]);
    assert!(client.line().starts_with("FAILED "));
    client.retry();
    client.program.signal("INT");
    assert!(client.program.0.wait().expect("it ends in time").success());
}
