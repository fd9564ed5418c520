//! [`Contender`] and [`Run`]: the interface of everything that is measured.

use std::hint::black_box;

use crate::socket::Socket;
use crate::work::Work;

/// A WebSocket implementation.
pub trait Contender {
    fn name(&self) -> &'static str;

    /// An open connection (except for a handshake), ready for the work, over this socket; `None` if the contender cannot
    /// do it.
    fn start(&self, work: &Work, socket: Socket) -> Option<Box<dyn Run>>;

    /// The memory of an idle connection. Buffers that the user owns, and can share between connections, do not count.
    fn idle(&self) -> Option<Idle> {
        None
    }
}

/// The memory of a server's connection between messages.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// Bytes of the value itself.
    pub state: usize,
    /// Bytes that it has allocated.
    pub heap: usize,
}

/// A connection that is being measured. Reading never ends: the socket repeats its tape.
pub trait Run {
    /// Handles at least this many messages and returns the number. Each received message's slice goes through
    /// `std::hint::black_box`; encoded bytes go into the socket. This method is timed: it makes no indirect call for each
    /// message.
    fn run(&mut self, messages: usize) -> usize;

    /// As [`run`](Self::run), through the same code, and shows every received message.
    fn verify(&mut self, messages: usize, seen: &mut dyn FnMut(&[u8])) -> usize;
}

/// The code that both methods of [`Run`] share.
pub trait Go {
    fn go(&mut self, messages: usize, seen: impl FnMut(&[u8])) -> usize;
}

impl<G: Go> Run for G {
    fn run(&mut self, messages: usize) -> usize {
        self.go(messages, |message| {
            black_box(message);
        })
    }

    fn verify(&mut self, messages: usize, seen: &mut dyn FnMut(&[u8])) -> usize {
        self.go(messages, seen)
    }
}
