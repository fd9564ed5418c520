//! Runs the example servers and `tokio_client` as programs over loopback, against this crate's client on a blocking
//! socket and against peers that violate the protocol. `WS_DRIVER=PROGRAM` runs another echo server instead: see the
//! guide's page "Writing a driver".

mod servers;
#[path = "../shared/mod.rs"]
mod shared;
mod ten_thousand_idle_connections;
mod tokio_client;

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use shared::handshake::{OFFER, request_with};
use shared::program::{Program, example, listening, own_driver, try_listening};
use shared::sockets::{self, read_head};

/// Long enough for every expected event, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

impl Program {
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

/// The name of the server in the environment variable `WS_DRIVER`.
const OWN: &str = "WS_DRIVER";

/// The tests of `WS_DRIVER`, or those of the examples: whichever are not asked for end at once.
fn is_skipped(name: &str) -> bool {
    let is_skipped = own_driver().is_some() != (name == OWN);
    if is_skipped {
        println!("skipped: WS_DRIVER is {}set", if name == OWN { "not " } else { "" });
    }
    is_skipped || (name == "io_uring_server" && !has_io_uring())
}

/// Whether the kernel has `io_uring` and permits it.
fn has_io_uring() -> bool {
    // Not an address: the server ends in any case.
    let output = example("io_uring_server").arg("nowhere").output().expect("cargo test builds the examples");
    let reason = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(77) => println!("skipped: {reason}"),
        Some(1) => return true,
        status => panic!("{status:?}: {reason}"),
    }
    false
}

fn program(name: &str) -> Command {
    if name == OWN { own_driver().expect("the test is not skipped") } else { example(name) }
}

fn server(name: &str, arguments: &[&str]) -> (Program, String) {
    let mut command = program(name);
    // One thread must be enough, whichever peer it serves.
    command.env("TOKIO_WORKER_THREADS", "1");
    start(command, "127.0.0.1:0", arguments)
}

/// A socket that has sent the request and nothing more.
fn connect(address: &str) -> TcpStream {
    let mut tcp = sockets::connect(address, PATIENCE);
    tcp.write_all(&request_with(OFFER)).expect("the server reads");
    tcp
}

/// A socket after the opening handshake.
fn open(address: &str) -> TcpStream {
    let mut tcp = connect(address);
    let head = read_head(&mut tcp);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    tcp
}

/// A program that is no driver is named, with what it must do.
#[cfg(unix)]
#[test]
fn a_program_that_does_not_listen_is_named() {
    for (program, why) in
        [("/nonexistent", "does not start"), ("false", "must print \"listening on ws://ADDRESS/\" first")]
    {
        let error = try_listening(Command::new(program).arg("127.0.0.1:0"), "ws").err().expect("it does not listen");
        assert!(error.contains(program) && error.contains(why), "{error}");
    }
}
