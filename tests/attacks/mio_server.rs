//! `mio_server` as a process, and what it holds.

use std::fs;

use crate::program::{Program, example, listening};

impl Program {
    /// Starts `mio_server`, and returns it with the address at which it listens.
    pub(crate) fn start(arguments: &[&str]) -> (Self, String) {
        let mut command = example("mio_server");
        // What is freed goes back to the operating system at once, so that what is measured is what the server holds.
        // By default glibc keeps some of what it once had.
        command.arg("127.0.0.1:0").args(arguments).env("MALLOC_MMAP_THRESHOLD_", "2048");
        let (server, address, _) = listening(&mut command, "ws");
        (server, address)
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
