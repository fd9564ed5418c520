//! [`Contender`] and [`Run`]: the interface of every measured implementation.

use std::hint::black_box;

use crate::socket::Socket;
use crate::work::Work;

/// A WebSocket implementation.
pub trait Contender {
    fn name(&self) -> &'static str;

    /// Starts the work on an open connection over this socket (for a handshake, on a new one); `None` if the contender
    /// does not support it.
    fn start(&self, work: &Work, socket: Socket) -> Option<Box<dyn Run>>;

    /// The memory of an idle connection, without buffers that the user owns and can share between connections.
    fn idle(&self) -> Option<Idle> {
        None
    }
}

/// The memory of a server's connection between messages.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// The size of the value itself, in bytes.
    pub state: usize,
    /// The bytes that it has allocated.
    pub heap: usize,
}

/// A connection under measurement. Reading never ends: the socket repeats its tape.
pub trait Run {
    /// Handles at least this many messages and returns their number. Passes the slice of each received message to
    /// `std::hint::black_box`, and writes encoded bytes to the socket. This method is timed: it makes no indirect call
    /// for each message.
    fn run(&mut self, messages: usize) -> usize;

    /// Like [`run`](Self::run), with the same code, and passes every received message to the caller.
    fn verify(&mut self, messages: usize, seen: &mut dyn FnMut(&[u8])) -> usize;
}

/// The code shared by both methods of [`Run`].
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
