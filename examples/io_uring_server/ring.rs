//! A safe interface of `io_uring`, for one read and one write at a time on each socket.

#![expect(unsafe_code, reason = "the kernel reads and writes memory, and returns descriptors as integers")]

use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::mem::ManuallyDrop;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::ptr;
use std::time::Duration;

use bytes::Bytes;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode};

/// The buffers for reads: small ones where messages may be compressed, and large ones, each in its group.
pub(super) const COUNT: usize = 16;
const SMALL: usize = 4 << 10;
const LARGE: usize = 64 << 10;

/// The kinds of operations, in the lower bits of what names them. Above are the key of a socket, or the number of a
/// buffer.
const READ: u64 = 0;
const AWAIT: u64 = 1;
const WRITE: u64 = 2;
const PROVIDE: u64 = 3;
const ACCEPT: u64 = 4;

pub(super) struct Ring {
    uring: IoUring,
    /// Operations for the kernel. It starts them in this order, the reads last: then all buffers are provided.
    operations: VecDeque<Entry>,
    reads: VecDeque<Entry>,
    /// The buffers that the kernel has, by their numbers. Dropped never, because the kernel may write to them.
    buffers: ManuallyDrop<Vec<Vec<u8>>>,
    /// The bytes that the kernel writes, by the keys of their sockets. Dropped when the write is complete.
    chunks: ManuallyDrop<HashMap<usize, Bytes>>,
}

/// A buffer that the kernel does not have.
pub(super) struct Buffer {
    number: usize,
    pub(super) bytes: Vec<u8>,
}

/// An operation that the kernel has completed.
pub(super) enum Completion {
    /// `is_last`: call `accept` again.
    Accepted {
        result: io::Result<TcpStream>,
        is_last: bool,
    },
    /// At the end of the stream, 0 bytes. The bytes are at the front of the buffer.
    Read {
        key: usize,
        result: io::Result<usize>,
        buffer: Option<Buffer>,
    },
    Readable {
        key: usize,
    },
    /// `chunk`: all bytes of the write, also those that were not written.
    Written {
        key: usize,
        result: io::Result<usize>,
        chunk: Bytes,
    },
}

impl Ring {
    pub(super) fn new() -> io::Result<Self> {
        let mut ring = Self {
            // The flag is one of Linux 5.19, as is accepting many connections with one operation. The queue has room for
            // all sockets that may be ready at once: an alarm is for a peer whose read is not complete.
            uring: IoUring::builder().setup_coop_taskrun().setup_cqsize(1 << 16).build(256)?,
            operations: VecDeque::new(),
            reads: VecDeque::new(),
            buffers: ManuallyDrop::new(vec![Vec::new(); 2 * COUNT]),
            chunks: ManuallyDrop::new(HashMap::new()),
        };
        for number in 0..2 * COUNT {
            let size = if number < COUNT { SMALL } else { LARGE };
            ring.provide(Buffer { number, bytes: vec![0; size] });
        }
        Ok(ring)
    }

    /// Accepts connections, until a completion is the last.
    pub(super) fn accept(&mut self, listener: &TcpListener) {
        let accept = opcode::AcceptMulti::new(Fd(listener.as_raw_fd())).flags(libc::SOCK_CLOEXEC);
        self.operations.push_back(accept.build().user_data(name(ACCEPT, 0)));
    }

    /// Gives a buffer to the kernel.
    pub(super) fn provide(&mut self, Buffer { number, mut bytes }: Buffer) {
        let (start, group) = (bytes.as_mut_ptr(), group(bytes.len()));
        let size = i32::try_from(bytes.len()).expect("buffers are small");
        self.buffers[number] = bytes;
        let provide = opcode::ProvideBuffers::new(start, size, 1, group, number as u16);
        self.operations.push_back(provide.build().flags(Flags::SKIP_SUCCESS).user_data(name(PROVIDE, number)));
    }

    /// Waits until the socket has bytes to read. Keep it open until then.
    pub(super) fn await_bytes(&mut self, key: usize, tcp: &TcpStream) {
        let poll = opcode::PollAdd::new(Fd(tcp.as_raw_fd()), libc::POLLIN as u32);
        self.operations.push_back(poll.build().user_data(name(AWAIT, key)));
    }

    /// Reads at most `most` bytes when the socket has some. Keep the socket open until the read is complete.
    pub(super) fn read(&mut self, key: usize, tcp: &TcpStream, most: usize) {
        let group = group(most);
        let most = if group == 0 { most.min(SMALL) } else { LARGE };
        let read = opcode::Recv::new(Fd(tcp.as_raw_fd()), ptr::null_mut(), most as u32).buf_group(group);
        self.reads.push_back(read.build().flags(Flags::BUFFER_SELECT).user_data(name(READ, key)));
    }

    /// Writes some bytes when the socket accepts them. Keep the socket open until the write is complete.
    pub(super) fn write(&mut self, key: usize, tcp: &TcpStream, chunk: Bytes) {
        let len = chunk.len().min(1 << 30) as u32;
        let write = opcode::Send::new(Fd(tcp.as_raw_fd()), chunk.as_ptr(), len);
        assert!(self.chunks.insert(key, chunk).is_none(), "a socket has one write at a time");
        self.operations.push_back(write.build().user_data(name(WRITE, key)));
    }

    /// Starts all operations, and waits until one is complete, or until the time is over. Returns the number of
    /// completions.
    pub(super) fn wait(&mut self, time: Option<Duration>) -> io::Result<usize> {
        self.operations.append(&mut self.reads);
        let mut submission = self.uring.submission();
        while let Some(entry) = self.operations.front() {
            // SAFETY: `buffers` and `chunks` keep the memory of an operation in place until it is complete, and
            // nothing else accesses it.
            if unsafe { submission.push(entry) }.is_err() {
                break;
            }
            self.operations.pop_front();
        }
        drop(submission);
        // The queue was too short for all.
        let time = if self.operations.is_empty() { time } else { Some(Duration::ZERO) };
        let time = time.map(Timespec::from);
        let arguments = time.iter().fold(SubmitArgs::new(), SubmitArgs::timespec);
        match self.uring.submitter().submit_with_args(1, &arguments) {
            Err(error) if error.raw_os_error() == Some(libc::ETIME) => {}
            // Out of memory, for now.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ResourceBusy) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            submitted => drop(submitted?),
        }
        Ok(self.uring.completion().len())
    }

    /// The next completion.
    pub(super) fn next(&mut self) -> Option<Completion> {
        loop {
            let entry = self.uring.completion().next()?;
            let (data, flags) = (entry.user_data(), entry.flags());
            let result = usize::try_from(entry.result()).map_err(|_| io::Error::from_raw_os_error(-entry.result()));
            let key = (data >> 3) as usize;
            return Some(match data & 7 {
                PROVIDE => {
                    // Only a failure is reported: the kernel has no memory, for now.
                    let buffer = self.take(key);
                    self.provide(buffer);
                    continue;
                }
                ACCEPT => {
                    // SAFETY: the kernel has opened this descriptor, for this completion alone.
                    let result = result.map(|_| unsafe { TcpStream::from_raw_fd(entry.result()) });
                    Completion::Accepted { result, is_last: !cqueue::more(flags) }
                }
                AWAIT => Completion::Readable { key },
                WRITE => {
                    let chunk = self.chunks.remove(&key).expect("the write was in progress");
                    Completion::Written { key, result, chunk }
                }
                _ => {
                    let buffer = cqueue::buffer_select(flags).map(|number| self.take(number.into()));
                    Completion::Read { key, result, buffer }
                }
            });
        }
    }

    /// Takes a buffer that the kernel has given back.
    fn take(&mut self, number: usize) -> Buffer {
        Buffer { number, bytes: std::mem::take(&mut self.buffers[number]) }
    }
}

fn name(kind: u64, key: usize) -> u64 {
    (key as u64) << 3 | kind
}

/// The group of the buffers for reads of this size.
fn group(size: usize) -> u16 {
    u16::from(size >= LARGE)
}
