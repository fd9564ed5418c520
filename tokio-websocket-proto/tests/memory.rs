//! The memory of idle connections.
#![cfg(target_os = "linux")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use tokio_websocket_proto::{WebSocket, connect};

/// A server that is killed at the end.
struct Program(Child);

impl Program {
    /// The memory of the process that is not backed by a file, in bytes.
    fn memory(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a line");
        line.split_whitespace().next().expect("a number").parse::<usize>().expect("a number") << 10
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The example `echo_server`, which Cargo builds beside the tests, and its URL.
fn echo_server() -> (Program, String) {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.ancestors().nth(2).expect("tests are in target/PROFILE/deps");
    let mut command = Command::new(profile.join("examples/echo_server"));
    let mut child = command.arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().expect("cargo test builds the examples");
    let mut line = String::new();
    let output = child.stdout.take().expect("the stream is piped");
    BufReader::new(output).read_line(&mut line).expect("it says where it listens");
    (Program(child), line.trim().strip_prefix("listening on ").expect("a URL").to_owned())
}

/// A task, a socket, the session, its timer: about 2 KiB. A message in between leaves nothing.
#[tokio::test]
async fn an_idle_connection_takes_two_kilobytes() {
    const COUNT: usize = 400;

    async fn open(url: &str) -> WebSocket<tokio_websocket_proto::Transport> {
        let (mut ws, _) = connect(url).await.expect("a handshake");
        ws.send("hello").await.expect("the connection is open");
        assert!(ws.recv().await.is_some_and(|message| message.is_ok()));
        ws
    }

    let (server, url) = echo_server();
    // The memory that the process needs once.
    let mut open_connections = Vec::new();
    for _ in 0..50 {
        open_connections.push(open(&url).await);
    }
    let before = server.memory();
    for _ in 0..COUNT {
        open_connections.push(open(&url).await);
    }
    let each = (server.memory() - before) / COUNT;
    println!("{each} bytes for each idle connection");
    assert!(each < 3 << 10, "{each} bytes");
}
