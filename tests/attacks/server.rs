//! The server as a process, and the memory and descriptors that it uses.

use std::fs;
use std::process::Stdio;

use crate::shared::program::{Program, example, listening, own_driver, try_listening};

impl Program {
    /// Starts `mio_server`, or the server in `WS_DRIVER`; returns it with its address.
    pub(crate) fn start(arguments: &[&str]) -> (Self, String) {
        let mut command = own_driver().unwrap_or_else(|| example("mio_server"));
        // Freed memory returns to the operating system at once, so that the measurement shows what the server uses. By
        // default glibc keeps some of it.
        command.arg("127.0.0.1:0").args(arguments).env("MALLOC_MMAP_THRESHOLD_", "2048");
        let (server, address, _) = listening(&mut command, "ws");
        (server, address)
    }

    /// Whether the server in `WS_DRIVER` has this option; if there is none, `mio_server` has.
    pub(crate) fn has_option(option: &str) -> bool {
        own_driver().is_none_or(|mut command| {
            try_listening(command.args(["127.0.0.1:0", option]).stderr(Stdio::null()), "ws").is_ok()
        })
    }

    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(self.file("fd")).expect("the process runs").count()
    }

    /// The memory of the process that is not backed by a file, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.kibibytes("smaps_rollup", "Anonymous:") << 10
    }

    /// The peak of that memory since the process began, or since `forget_peak`. (File-backed memory stays constant.)
    pub(crate) fn peak(&self) -> usize {
        (self.kibibytes("status", "VmHWM:") - self.kibibytes("status", "RssFile:")) << 10
    }

    pub(crate) fn forget_peak(&self) {
        fs::write(self.file("clear_refs"), "5").expect("the owner may write it");
    }

    fn kibibytes(&self, file: &str, key: &str) -> usize {
        let text = fs::read_to_string(self.file(file)).expect("the process runs");
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok());
        value.unwrap_or_else(|| panic!("{key} in {text}"))
    }

    fn file(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.0.id())
    }
}
