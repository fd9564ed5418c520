//! The programs in examples/, as processes that end with their test.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A process that is killed when the test ends.
pub struct Program(pub Child);

impl Program {
    /// Sends a signal, such as `INT`.
    #[cfg(unix)]
    pub fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.0.id());
        let status = Command::new("sh").args(["-c", &command]).status();
        assert!(status.expect("sh can be run").success());
    }

    /// Kills the process without a graceful shutdown.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The command that runs an example. Cargo builds the examples beside the tests.
pub fn example(name: &str) -> Command {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.ancestors().nth(2).expect("tests are in target/PROFILE/deps");
    Command::new(profile.join("examples").join(name))
}

/// The echo server in the environment variable `WS_DRIVER`, which is tested instead of the examples.
pub fn own_driver() -> Option<Command> {
    std::env::var_os("WS_DRIVER").map(Command::new)
}

/// Starts a server, whose first line is its URL. Returns it with the address in the URL, and with its further output.
pub fn listening(command: &mut Command, scheme: &str) -> (Program, String, BufReader<ChildStdout>) {
    try_listening(command, scheme).unwrap_or_else(|why| panic!("{why}"))
}

/// The same; the error says what was demanded and what happened.
pub fn try_listening(command: &mut Command, scheme: &str) -> Result<(Program, String, BufReader<ChildStdout>), String> {
    let child = command.stdout(Stdio::piped()).spawn();
    let child = child.map_err(|error| format!("{command:?} does not start: {error}"));
    let mut server = Program(child?);
    let mut lines = BufReader::new(server.0.stdout.take().expect("the stream is piped"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("the stream is text");
    let url = line.trim().strip_prefix(&format!("listening on {scheme}://"));
    if let Some(address) = url.and_then(|rest| rest.strip_suffix('/')) {
        let address = address.to_owned();
        return Ok((server, address, lines));
    }
    let status = if line.is_empty() { format!(", and ended: {:?}", server.0.wait()) } else { String::new() };
    Err(format!("{command:?} must print \"listening on {scheme}://ADDRESS/\" first; it printed {line:?}{status}"))
}
