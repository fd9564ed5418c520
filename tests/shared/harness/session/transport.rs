//! A transport in memory, between two sessions in simulated time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;

/// The bytes on their way in one direction.
#[derive(Debug, Default)]
struct Direction {
    bytes: VecDeque<u8>,
    /// The most bytes that wait here: what kernels buffer.
    capacity: usize,
    is_finished: bool,
    is_reset: bool,
}

/// One end of a transport.
#[derive(Clone, Debug)]
pub struct Wire {
    incoming: Rc<RefCell<Direction>>,
    outgoing: Rc<RefCell<Direction>>,
}

/// Two ends, with this much room in each direction.
pub fn pair(capacity: usize) -> (Wire, Wire) {
    let direction = || Rc::new(RefCell::new(Direction { capacity, ..Direction::default() }));
    let (there, back) = (direction(), direction());
    (Wire { incoming: back.clone(), outgoing: there.clone() }, Wire { incoming: there, outgoing: back })
}

impl Wire {
    pub fn is_readable(&self) -> bool {
        let incoming = self.incoming.borrow();
        !incoming.bytes.is_empty() || incoming.is_finished || incoming.is_reset
    }

    pub fn is_writable(&self) -> bool {
        let outgoing = self.outgoing.borrow();
        outgoing.bytes.len() < outgoing.capacity || outgoing.is_reset
    }

    /// The number of bytes that wait to be read.
    pub fn readable(&self) -> usize {
        self.incoming.borrow().bytes.len()
    }

    /// Whether a write fails.
    pub fn is_broken(&self) -> bool {
        let outgoing = self.outgoing.borrow();
        outgoing.is_reset || outgoing.is_finished
    }

    /// The bytes that the other end has not read.
    pub fn unread(&self) -> usize {
        self.outgoing.borrow().bytes.len()
    }

    pub fn shut_down(&self) {
        self.outgoing.borrow_mut().is_finished = true;
    }

    /// As TCP: a close with unread input resets the connection, and destroys the bytes on their way.
    pub fn close(&self) {
        let is_unread = !self.incoming.borrow().bytes.is_empty();
        self.shut_down();
        if is_unread {
            self.reset();
        }
    }

    pub fn reset(&self) {
        for direction in [&self.incoming, &self.outgoing] {
            let mut direction = direction.borrow_mut();
            direction.bytes.clear();
            direction.is_reset = true;
        }
    }

    pub fn set_capacity(&self, capacity: usize) {
        self.outgoing.borrow_mut().capacity = capacity;
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut incoming = self.incoming.borrow_mut();
        if incoming.is_reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if incoming.bytes.is_empty() && !incoming.is_finished {
            return Err(ErrorKind::WouldBlock.into());
        }
        incoming.bytes.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut outgoing = self.outgoing.borrow_mut();
        if outgoing.is_reset || outgoing.is_finished {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let room = outgoing.capacity.saturating_sub(outgoing.bytes.len()).min(bytes.len());
        if room == 0 && !bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        outgoing.bytes.extend(&bytes[..room]);
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
