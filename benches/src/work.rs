//! What is measured: a row of the table, and the messages that it goes over.

use std::fmt;

use crate::content::{Content, Payload, payloads};

/// What a contender is asked to do with one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// As a server: take masked messages out of what is read.
    Decode,
    /// As a server: the same, each message in 16 fragments of `size` bytes.
    DecodeFragments,
    /// As a server: put messages, as many as are in [`Work::batch`], and write them at once.
    EncodeServer,
    /// As a client: the same, masked.
    EncodeClient,
    /// As a server: send each message back that is read; what the messages of one read call for is written at once.
    Echo,
    /// As a server: take a browser's request and answer it, with a new connection each time.
    Handshake,
    /// As a server with permessage-deflate and context takeover: compress messages and write them.
    Deflate,
    /// As a server with permessage-deflate and context takeover: take compressed, masked messages out of what is read.
    Inflate,
}

/// How much one read brings at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    UpTo(usize),
    /// 1 to 1,500 bytes, evenly distributed, from a fixed seed.
    Random,
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    pub task: Task,
    pub content: Content,
    /// Bytes of a message's payload, of a fragment's for [`Task::DecodeFragments`].
    pub size: usize,
    pub reads: Reads,
}

/// The longest message that any contender has to take.
pub const MAX_MESSAGE: usize = 16 << 20;

/// A read, unless the row says otherwise, and the read buffer of those who choose its size.
pub const READ: usize = 64 << 10;

/// What every contender compresses with, as far as it can be told. Most cannot be told another memory level than zlib's
/// default.
pub const DEFLATE_LEVEL: u8 = 6;
pub const WINDOW_BITS: u8 = 12;
pub const MEMORY_LEVEL: u8 = 8;

impl Work {
    /// How many messages are put before they are written: as many as make some 4 KiB, at least one.
    pub fn batch(&self) -> usize {
        (4096 / self.size.max(1)).clamp(1, 64)
    }

    /// Bytes of a whole message's payload.
    pub fn message_size(&self) -> usize {
        if self.task == Task::DecodeFragments { self.size * 16 } else { self.size }
    }

    pub fn is_text(&self) -> bool {
        self.content != Content::Binary
    }

    /// Whether there is anything to read.
    pub fn reads_messages(&self) -> bool {
        matches!(self.task, Task::Decode | Task::DecodeFragments | Task::Echo | Task::Inflate)
    }

    /// The messages, in the order in which they are on the tape or to be sent; then again from the first. Each is
    /// different, and their number is a multiple of [`batch`](Self::batch). What is read comes to some 256 KiB, to lie
    /// in the second-level cache, as what a kernel copies does; what is sent to some 32 KiB, as an application has just
    /// made it.
    pub fn payloads(&self) -> Vec<Payload> {
        let total = if self.reads_messages() { 256 << 10 } else { 32 << 10 };
        let count = (total / self.message_size()).max(2).next_multiple_of(self.batch());
        payloads(self.content, self.message_size(), count)
    }
}

/// As the table shows it.
impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = match self.content {
            Content::Binary => "binary",
            Content::Ascii => "ASCII",
            Content::Cjk => "CJK",
            Content::Json => "JSON",
        };
        let size = match self.size {
            size if size >= 1 << 20 => format!("{} MiB", size >> 20),
            size if size >= 1 << 10 => format!("{} KiB", size >> 10),
            size => format!("{size} B"),
        };
        match self.task {
            Task::Decode => write!(f, "decode {content} {size}")?,
            Task::DecodeFragments => write!(f, "fragments {content} 16 × {size}")?,
            Task::EncodeServer => write!(f, "encode server {content} {size}")?,
            Task::EncodeClient => write!(f, "encode client {content} {size}")?,
            Task::Echo => write!(f, "echo {content} {size}")?,
            Task::Handshake => write!(f, "handshake")?,
            Task::Deflate => write!(f, "deflate {content} {size}")?,
            Task::Inflate => write!(f, "inflate {content} {size}")?,
        }
        match self.reads {
            Reads::Random => write!(f, ", reads of 1 to 1,500 B"),
            Reads::UpTo(1) => write!(f, ", 1-byte reads"),
            Reads::UpTo(1500) => write!(f, ", 1,500-byte reads"),
            Reads::UpTo(_) => Ok(()),
        }
    }
}
