//! Counts allocations and writes per message, and measures the memory of a connection between messages.

use std::rc::Rc;

use crate::aligned::Aligned;
use crate::allocator;
use crate::contender::{Contender, Idle};
use crate::content::Content;
use crate::socket::Socket;
use crate::tape::tape;
use crate::work::{Reads, Task, Work, Writes};

/// Counts per message.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    pub allocations: f64,
    pub writes: f64,
}

/// Counts allocations and writes after a warm-up.
pub fn cost(work: &Work, by: &dyn Contender) -> Option<Cost> {
    let socket = Socket::new(tape(work), work.reads);
    let mut run = by.start(work, socket.clone())?;
    let round = work.payloads().len();
    run.run(round);
    let before = (allocator::allocations(), socket.writes());
    let messages = run.run(round * 4) as f64;
    Some(Cost {
        allocations: (allocator::allocations() - before.0) as f64 / messages,
        writes: (socket.writes() - before.1) as f64 / messages,
    })
}

/// The resident memory of this process, in bytes.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    kib.map_or(0, |kib: u64| kib << 10)
}

/// The memory of a server's connection after one message of 16 bytes.
pub fn idle(by: &dyn Contender) -> Option<Idle> {
    by.idle().or_else(|| {
        let (reads, writes) = (Reads::UpTo(one_message().len()), Writes::Batches);
        let work = Work { task: Task::Decode, content: Content::Binary, size: 16, reads, writes };
        let socket = Socket::new(Rc::new(one_message()), work.reads);
        let before = allocator::live();
        let mut run = by.start(&work, socket)?;
        assert_eq!(run.run(1), 1);
        let state = size_of_val(&*run);
        Some(Idle { state, heap: (allocator::live() - before) as usize - state })
    })
}

/// One masked frame with 16 bytes of payload.
pub fn one_message() -> Aligned {
    b"\x82\x90\x01\x02\x03\x04hello, websocket".as_slice().into()
}
