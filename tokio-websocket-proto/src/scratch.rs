//! The output and the read buffer of a thread, which its connections share: an idle connection has neither.

use std::cell::Cell;

use websocket_proto::{Input, Output};

thread_local! {
    static OUTPUT: Cell<Option<Output>> = const { Cell::new(None) };
    static BUFFER: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// The most bytes that a session reads at once.
const BUFFER_LEN: usize = 64 << 10;

/// The thread's output, for one turn. [Give it back](give_back_output) when it is empty again.
pub(crate) fn take_output() -> Output {
    OUTPUT.take().unwrap_or_default()
}

pub(crate) fn give_back_output(output: Output) {
    OUTPUT.set(Some(output));
}

/// Bytes that were read and that the connection has not received yet. Keeps the thread's buffer until then.
#[derive(Debug)]
pub(crate) struct Unread {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Unread {
    /// The thread's buffer, for a read of up to `len` bytes.
    pub(crate) fn take_buffer() -> Self {
        let buffer = BUFFER.take().unwrap_or_else(|| vec![0; BUFFER_LEN].into());
        Self { buffer, start: 0, end: 0 }
    }

    /// The space for a read of up to `len` bytes.
    pub(crate) fn space(&mut self, len: usize) -> &mut [u8] {
        let len = len.min(self.buffer.len());
        &mut self.buffer[..len]
    }

    pub(crate) fn set_len(&mut self, len: usize) {
        (self.start, self.end) = (0, len);
    }

    pub(crate) fn input(&mut self) -> Input<'_> {
        Input::new(&mut self.buffer[self.start..self.end])
    }

    /// Keeps the last `rest` bytes.
    pub(crate) fn keep(&mut self, rest: usize) {
        self.start = self.end - rest;
    }

    pub(crate) fn give_back(self) {
        BUFFER.set(Some(self.buffer));
    }
}
