//! [`Program`]: `mio_server` as a process, and what it holds.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A server that ends with the test.
pub(crate) struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    /// Starts `mio_server`, and returns it with the address at which it listens.
    pub(crate) fn start(arguments: &[&str]) -> (Self, String) {
        // Cargo builds the examples beside the tests.
        let test = std::env::current_exe().expect("a test has a path");
        let profile = test.ancestors().nth(2).expect("tests are in target/PROFILE/deps");
        let mut command = Command::new(profile.join("examples/mio_server"));
        command.arg("127.0.0.1:0").args(arguments).stdout(Stdio::piped());
        // What is freed goes back to the operating system at once, so that what is measured is what the server holds.
        // By default glibc keeps some of what it once had.
        command.env("MALLOC_MMAP_THRESHOLD_", "2048");
        let mut server = command.spawn().expect("cargo test builds the examples");
        let mut line = String::new();
        let stdout = server.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
        let address = line.trim().strip_prefix("listening on ws://").and_then(|rest| rest.strip_suffix('/'));
        (Self(server), address.unwrap_or_else(|| panic!("{line:?}")).to_owned())
    }

    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(self.file("fd")).expect("it runs").count()
    }

    /// The memory that is its own and not on disk, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.kibibytes("smaps_rollup", "Anonymous:") << 10
    }

    /// The most of it since the program began, or the peak was forgotten. (What is on disk does not come and go.)
    pub(crate) fn peak(&self) -> usize {
        (self.kibibytes("status", "VmHWM:") - self.kibibytes("status", "RssFile:")) << 10
    }

    pub(crate) fn forget_peak(&self) {
        fs::write(self.file("clear_refs"), "5").expect("its owner may");
    }

    fn kibibytes(&self, file: &str, key: &str) -> usize {
        let text = fs::read_to_string(self.file(file)).expect("it runs");
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok());
        value.unwrap_or_else(|| panic!("{key} in {text}"))
    }

    fn file(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.0.id())
    }
}
