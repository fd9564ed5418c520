//! What a contender has to be able to do.

use std::hint::black_box;

use crate::socket::Socket;
use crate::work::Work;

/// A WebSocket implementation.
pub trait Contender {
    fn name(&self) -> &'static str;

    /// A connection that is open (but for a handshake) and ready for the work, over this socket; `None` if it cannot do
    /// that work at all.
    fn start(&self, work: &Work, socket: Socket) -> Option<Box<dyn Run>>;

    /// For those that leave buffers to their user, who can have one for many connections: what a connection holds
    /// without them.
    fn idle(&self) -> Option<Idle> {
        None
    }
}

/// What a server's connection holds after a message, when there is nothing to do.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// Bytes of the value itself.
    pub state: usize,
    /// Bytes that it has allocated.
    pub heap: usize,
}

/// A connection at work. Reading never ends: the socket repeats its tape.
pub trait Run {
    /// Handles at least this many messages, and says how many. Each received message's slice goes through
    /// `std::hint::black_box`; what is encoded goes into the socket. This is what is timed: no indirect call for a
    /// message.
    fn run(&mut self, messages: usize) -> usize;

    /// As [`run`](Self::run), through the same code, but every received message is seen.
    fn verify(&mut self, messages: usize, seen: &mut dyn FnMut(&[u8])) -> usize;
}

/// What both methods of [`Run`] go through.
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
