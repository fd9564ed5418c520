//! The echo servers to compare, and how each is started.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cpu::Processors;
use crate::error::{Error, Result};
use crate::process::Process;

/// The limit on the bytes of a message, which all servers have.
pub const MAX_MESSAGE: usize = 16 << 20;

/// An echo server.
#[derive(Clone, Copy, Debug)]
pub struct Contender {
    pub name: &'static str,
    pub kind: Kind,
    program: Program,
}

/// The kind of a contender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Echoes bytes, without any protocol: the lower limit.
    Reference,
    Ours,
    Peer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    /// An example of a crate in this repository, by the directory of the crate.
    Example(&'static str, &'static str),
    /// A server in this program.
    Own(&'static str),
}

/// All contenders, in the order of the tables.
pub const ALL: [Contender; 11] = [
    own("raw TCP", Kind::Reference, "raw-tcp"),
    example("mio_server", "", "mio_server"),
    example("io_uring_server", "", "io_uring_server"),
    example("tokio_server", "", "tokio_server"),
    example("tokio-websocket-proto", "tokio-websocket-proto", "echo_server"),
    own("tungstenite + mio", Kind::Peer, "tungstenite"),
    own("tokio-tungstenite", Kind::Peer, "tokio-tungstenite"),
    own("sockudo-ws", Kind::Peer, "sockudo-ws"),
    own("tokio-websockets", Kind::Peer, "tokio-websockets"),
    own("fastwebsockets", Kind::Peer, "fastwebsockets"),
    own("yawc", Kind::Peer, "yawc"),
];

const fn own(name: &'static str, kind: Kind, server: &'static str) -> Contender {
    Contender { name, kind, program: Program::Own(server) }
}

const fn example(name: &'static str, directory: &'static str, example: &'static str) -> Contender {
    Contender { name, kind: Kind::Ours, program: Program::Example(directory, example) }
}

/// The contenders with one of `names` in their name, or all, and always the reference. Leaves out those that this
/// machine cannot run: some forbid `io_uring`.
pub fn startable(names: &[String], processors: &Processors) -> Result<Vec<Contender>> {
    let mut contenders = Vec::new();
    for contender in ALL.into_iter().filter(|contender| contender.is_wanted(names)) {
        match Process::start(&contender, processors) {
            Err(error) if contender.name.starts_with("io_uring") && contender.is_built() => {
                eprintln!("left out: {error}");
            }
            started => drop((started?, contenders.push(contender))),
        }
    }
    Ok(contenders)
}

impl Contender {
    /// The command that starts the server on a free port.
    pub fn command(&self) -> Result<Command> {
        let address = "127.0.0.1:0";
        match self.program {
            Program::Own(server) => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["--serve", server, address]);
                Ok(command)
            }
            Program::Example(directory, example) => {
                if !self.is_built() {
                    return Err(not_built(directory, example));
                }
                let mut command = Command::new(path(directory, example));
                command.args([address, "--no-deflate", "--max-message", &MAX_MESSAGE.to_string()]);
                // One thread for the connections, as all servers have.
                command.env("TOKIO_WORKER_THREADS", "1");
                Ok(command)
            }
        }
    }

    fn is_wanted(&self, names: &[String]) -> bool {
        let own_name = self.name.to_lowercase();
        names.is_empty() || self.kind == Kind::Reference || names.iter().any(|name| own_name.contains(name))
    }

    fn is_built(&self) -> bool {
        match self.program {
            Program::Own(_) => true,
            Program::Example(directory, example) => path(directory, example).exists(),
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn path(directory: &str, example: &str) -> PathBuf {
    root().join(directory).join("target/release/examples").join(example)
}

fn not_built(directory: &str, example: &str) -> Error {
    let directory = if directory.is_empty() { "the root of the repository" } else { directory };
    format!("{example} is not built; in {directory}: cargo build --release --examples").into()
}
