//! The blocking programs with slow peers, with resets, and with peers that continue to send after a fault.
//! (`tests/drivers` tests the servers that have the same command line.)

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::shared::frames::{ZERO_KEY, encode};
use crate::shared::sockets::{self, read_to_end, reset_on_close};

use crate::{REQUEST, accept, client, example, frames, listening, serve, serve_once};

/// Long enough for every expected event, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const LEN: usize = 1_000_000;
/// More messages of that length than two sockets buffer: with Linux's defaults, 4 MiB and 32 MiB.
const COUNT: usize = 45;

/// A binary message of a server.
fn message() -> Vec<u8> {
    encode(0x82, None, &vec![7; LEN])
}

/// A server's frame with a reserved opcode, and many bytes after it.
fn fault(tcp: &mut TcpStream) {
    tcp.write_all(b"\x83\x00").expect("the peer reads");
    send_on(tcp);
}

fn send_on(tcp: &mut TcpStream) {
    for _ in 0..4 {
        tcp.write_all(&vec![0; 512 << 10]).expect("the peer continues to read");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Sends messages and a Close before reading any echo.
fn send_before_reading(tcp: &mut TcpStream) {
    for _ in 0..COUNT {
        tcp.write_all(&message()).expect("the peer continues to read");
    }
    tcp.write_all(b"\x88\x02\x03\xe8").expect("the peer continues to read");
    let mut echo = frames(&read_to_end(tcp));
    assert_eq!(echo.pop().map(|(_, payload)| payload), Some(b"\x03\xe8".to_vec()));
    let expected = vec![7; LEN];
    assert!(echo.len() == COUNT && echo.iter().all(|(_, payload)| *payload == expected));
}

/// A server for one connection. The receiver gets the result of `answer`, for use after the client has ended.
fn serve_and_tell<T: Send + 'static>(
    answer: impl FnOnce(&str, &mut TcpStream) -> T + Send + 'static,
) -> (String, mpsc::Receiver<T>) {
    let (sender, told) = mpsc::channel();
    let url = serve_once(move |request, tcp| {
        let what = answer(request, tcp);
        let _ = sender.send(what);
    });
    (url, told)
}

#[test]
fn the_client_reads_while_it_writes() {
    let (url, told) = serve_and_tell(|request, tcp| {
        accept(request, tcp);
        send_before_reading(tcp);
    });
    let (mut lines, succeeded) = client(&url, &["--echo"]);
    told.recv_timeout(PATIENCE).expect("every message was echoed");
    assert_eq!((lines.remove(0), lines.pop()), ("OPEN".to_owned(), Some("CLOSED 1000".to_owned())));
    assert_eq!(lines, vec![format!("MSG binary {LEN}"); COUNT]);
    assert!(succeeded);
}

#[test]
fn the_client_drops_a_server_that_reads_nothing() {
    let (url, _told) = serve_and_tell(|request, tcp| {
        accept(request, tcp);
        for _ in 0..COUNT {
            tcp.write_all(&message()).expect("the peer continues to read");
        }
        thread::sleep(PATIENCE);
    });
    let (lines, _) = client(&url, &["--echo"]);
    assert_eq!(lines.len(), COUNT + 2);
    assert_eq!(lines.last().map(String::as_str), Some("CLOSED 1006"));
}

/// RFC 6455 §7.1.7: the client's Close must arrive, although many bytes are on their way to it.
#[test]
fn the_client_sends_its_close_to_a_server_that_sends_on_after_a_fault() {
    let (url, told) = serve_and_tell(|request, tcp| {
        accept(request, tcp);
        fault(tcp);
        frames(&read_to_end(tcp))
    });
    assert_eq!(client(&url, &[]), (vec!["OPEN".into(), "CLOSED 1006".into()], true));
    let told = told.recv_timeout(PATIENCE).expect("it ends in time");
    assert_eq!(told.into_iter().map(|(_, payload)| payload).collect::<Vec<_>>(), [b"\x03\xea"]);
}

#[test]
fn the_client_reports_a_reset_once() {
    for message in [&b""[..], &message()] {
        let message = message.to_vec();
        let url = serve_once(move |request, tcp| {
            accept(request, tcp);
            tcp.write_all(&message).expect("the peer reads");
            // So that it has arrived before the reset.
            tcp.set_read_timeout(Some(Duration::from_millis(500))).expect("the socket is open");
            let _ = tcp.read(&mut [0]);
            reset_on_close(tcp);
        });
        let (lines, succeeded) = client(&url, &["--echo"]);
        let ends: Vec<_> = lines.iter().map(String::as_str).filter(|line| line.starts_with("CLOSED")).collect();
        assert_eq!((ends, succeeded), (vec!["CLOSED 1006"], true), "{lines:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_client_limits_the_wait_for_a_server_that_does_not_accept() {
    let (listener, _waiting) = crate::full_listener();
    let url = format!("ws://{}/", listener.local_addr().expect("the listener is bound"));
    let (lines, succeeded) = client(&url, &[]);
    assert!(lines.len() == 1 && lines[0].starts_with("FAILED ") && !succeeded, "{lines:?}");
}

/// Replaces the suite's server, with a case for each of these.
#[test]
fn the_autobahn_client_reads_while_it_writes_and_continues_after_every_server() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}", listener.local_addr().expect("the listener is bound"));
    let mut autobahn = example("autobahn_client");
    let mut autobahn = autobahn.args([&url, "us"]).stdout(Stdio::null()).spawn().expect("cargo test builds it");
    let count = |tcp: &mut TcpStream| {
        tcp.write_all(b"\x81\x013\x88\x02\x03\xe8").expect("the peer reads");
        tcp.shutdown(Shutdown::Write).expect("the socket is open");
        read_to_end(tcp);
    };
    let told_of_its_fault = |tcp: &mut TcpStream| {
        fault(tcp);
        let told: Vec<_> = frames(&read_to_end(tcp)).into_iter().map(|(_, payload)| payload).collect();
        assert_eq!(told, [b"\x03\xea"]);
    };
    let reset = |tcp: &mut TcpStream| {
        reset_on_close(tcp);
    };
    let steps: [&dyn Fn(&mut TcpStream); 5] = [&count, &send_before_reading, &told_of_its_fault, &reset, &|_| ()];
    for step in steps {
        serve(&listener, |request, tcp| {
            accept(request, tcp);
            step(tcp);
        });
    }
    assert!(autobahn.wait().expect("it ends in time").success());
}

/// A Socket.IO client after the opening.
fn socketio(address: &str) -> TcpStream {
    let mut tcp = sockets::connect(address, PATIENCE);
    let request = str::from_utf8(REQUEST).expect("text").replace("/chat?x", "/socket.io/?EIO=4&transport=websocket");
    tcp.write_all(request.as_bytes()).expect("the peer reads");
    tcp
}

#[test]
fn the_socketio_server_sends_its_close_to_a_client_that_sends_on() {
    let (_server, address, _) = listening("socketio_server", &[]);
    let mut tcp = socketio(&address);
    tcp.write_all(b"\x83\x80\0\0\0\0").expect("the peer reads");
    send_on(&mut tcp);
    assert!(read_to_end(&mut tcp).ends_with(b"\x88\x02\x03\xea"));
}

#[test]
fn the_socketio_server_drops_a_client_that_reads_nothing() {
    let (_server, address, _) = listening("socketio_server", &["--patience", "500"]);
    let mut tcp = socketio(&address);
    let event = format!("42[\"{}\"]", "x".repeat(100_000));
    let event = encode(0x81, Some(ZERO_KEY), event.as_bytes());
    let start = Instant::now();
    while tcp.write_all(&event).is_ok() {
        assert!(start.elapsed() < PATIENCE, "the server reads without end");
    }
}
