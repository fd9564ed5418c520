//! A server as a child process: its address, CPU time and memory.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Stdio};

use crate::contender::Contender;
use crate::cpu::{self, Processors};
use crate::error::Result;

/// A running server, which ends when this is dropped.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
    /// Open, so that the server can still write to it.
    _stdout: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a server on its processor, and waits until it listens.
    pub fn start(contender: &Contender, processors: &Processors) -> Result<Self> {
        let mut command = contender.command()?;
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = processors.start_server(&mut command)?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let mut line = String::new();
        let read = stdout.read_line(&mut line);
        let address = parse_address(&line);
        // From here on, dropping it ends the child.
        let process = Self { child, address: address.unwrap_or(([0; 4], 0).into()), _stdout: stdout };
        read?;
        address.ok_or_else(|| format!("{} does not listen", contender.name))?;
        Ok(process)
    }

    /// The CPU time of the process so far, in nanoseconds.
    pub fn cpu_time(&self) -> io::Result<u64> {
        cpu::time_of(self.child.id())
    }

    /// The resident anonymous memory of the process, in bytes: heap and stacks.
    pub fn memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kibibytes = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
        Ok(kibibytes.ok_or("the kernel reports no RssAnon")?.parse::<u64>()? << 10)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse_address(line: &str) -> Option<SocketAddr> {
    line.trim_end().strip_prefix("listening on ws://")?.strip_suffix('/')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_listening_server_has_its_address() {
        assert_eq!(parse_address("listening on ws://127.0.0.1:9001/\n"), Some(([127, 0, 0, 1], 9001).into()));
        assert_eq!(parse_address("cannot listen\n"), None);
        assert_eq!(parse_address(""), None);
    }
}
