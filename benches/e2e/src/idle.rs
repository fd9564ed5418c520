//! Measures the memory of idle connections.

use std::thread;
use std::time::Duration;

use crate::connection::Echoes;
use crate::contender::Contender;
use crate::cpu::{self, Processors};
use crate::error::Result;
use crate::load::{Load, Shape};
use crate::messages::Messages;
use crate::process::Process;

/// The numbers of connections.
pub const FULL: usize = 4_000;
pub const QUICK: usize = 200;

/// The payload of the message that every connection echoes before it is idle.
const SIZE: usize = 512;

/// The time for a server to become idle.
const PAUSE: Duration = Duration::from_millis(300);

/// The memory of the process for each of `count` connections that have echoed a message. The memory before is that of
/// a server which has already served one connection.
pub fn bytes_per_connection(contender: &Contender, processors: &Processors, count: usize) -> Result<u64> {
    cpu::allow_open_files(count + 100)?;
    let messages = Messages::new(SIZE, contender.kind);
    let server = Process::start(contender, processors)?;
    let open = |connections| -> Result<Load<'_>> {
        let shape = Shape { connections, in_flight: 1 };
        let mut load = Load::connect(server.address, contender.kind, &messages, shape)?;
        load.run(Duration::ZERO, Echoes::Compare)?;
        thread::sleep(PAUSE);
        Ok(load)
    };
    drop(open(1)?);
    let before = server.memory()?;
    let _idle = open(count)?;
    Ok(server.memory()?.saturating_sub(before) / count as u64)
}
