//! Runs the examples for mio and tokio as programs over loopback, against this crate's client on a blocking socket and
//! against peers that violate the protocol.

mod client;
#[path = "../program/mod.rs"]
mod program;
mod servers;
mod tokio_client;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use program::{Program, example, listening};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";

/// Long enough for every expected event, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

impl Program {
    #[cfg(unix)]
    fn interrupt(&self) {
        let status = Command::new("sh").args(["-c", "kill -INT $0", &self.0.id().to_string()]).status();
        assert!(status.expect("there is a kill").success());
    }

    /// The memory of the process that is not backed by a file, in KiB.
    fn resident(&self) -> Option<usize> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).ok()?;
        status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.split_whitespace().next()?.parse().ok())
    }
}

/// Starts a server; returns it with its address.
fn start(mut command: Command, address: &str, arguments: &[&str]) -> (Program, String) {
    let (server, address, _) = listening(command.arg(address).args(arguments), "ws");
    (server, address)
}

fn server(name: &str, arguments: &[&str]) -> (Program, String) {
    let mut command = example(name);
    // One thread must be enough, whichever peer it serves.
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

/// A socket after the opening handshake.
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
