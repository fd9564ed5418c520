//! [`Work`]: a row of the table and its messages.

use std::fmt;

use crate::content::{Content, Payload, payloads};

/// The work for one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// As a server: receive masked messages.
    Decode,
    /// As a server: receive masked messages, each in 16 fragments of `size` bytes.
    DecodeFragments,
    /// As a server: send [`Work::batch`] messages and write them at once.
    EncodeServer,
    /// As a client: send [`Work::batch`] messages, masked, and write them at once.
    EncodeClient,
    /// As a server: send each message back; the replies to the messages of one read are written at once.
    Echo,
    /// As a server: receive a browser's request and accept it, with a new connection each time.
    Handshake,
    /// As a server with permessage-deflate and context takeover: compress messages and write them.
    Deflate,
    /// As a server with permessage-deflate and context takeover: receive compressed, masked messages.
    Inflate,
}

/// The limit on bytes per read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    UpTo(usize),
    /// 1 to 1,500 bytes, evenly distributed, from a fixed seed.
    Random,
}

/// How messages that are sent are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// Some 64 KiB at once.
    Batches,
    /// Each message at once.
    Each,
}

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    pub task: Task,
    pub content: Content,
    /// Bytes of a message's payload, of a fragment's for [`Task::DecodeFragments`].
    pub size: usize,
    pub reads: Reads,
    pub writes: Writes,
}

/// The limit on messages for all contenders.
pub const MAX_MESSAGE: usize = 16 << 20;

/// The size of a read, unless the row has another, and of read buffers whose size can be chosen.
pub const READ: usize = 64 << 10;

/// The compression settings of all contenders. Most of them support only zlib's default memory level.
pub const DEFLATE_LEVEL: u8 = 6;
pub const WINDOW_BITS: u8 = 12;
pub const MEMORY_LEVEL: u8 = 8;

impl Work {
    /// The number of messages between two writes.
    pub fn batch(&self) -> usize {
        match self.writes {
            Writes::Batches => ((64 << 10) / self.size.max(1)).max(1),
            Writes::Each => 1,
        }
    }

    /// Bytes of a message's payload, over all its fragments.
    pub fn message_size(&self) -> usize {
        if self.task == Task::DecodeFragments { self.size * 16 } else { self.size }
    }

    pub fn is_text(&self) -> bool {
        self.content != Content::Binary
    }

    /// Whether the work reads messages.
    pub fn reads_messages(&self) -> bool {
        matches!(self.task, Task::Decode | Task::DecodeFragments | Task::Echo | Task::Inflate)
    }

    /// The messages, in the order in which they are received or sent, over and over. All are different, and their
    /// number is a multiple of [`batch`](Self::batch). Received messages make up some 256 KiB, which stay in the
    /// second-level cache like bytes that a kernel has copied; sent ones some 32 KiB or a batch, like bytes that an application
    /// has just made.
    pub fn payloads(&self) -> Vec<Payload> {
        let total = if self.reads_messages() { 256 << 10 } else { 32 << 10 };
        let count = (total / self.message_size()).max(2).next_multiple_of(self.batch());
        payloads(self.content, self.message_size(), count)
    }
}

/// The name in the table.
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
        }?;
        if self.writes == Writes::Each { write!(f, ", each written") } else { Ok(()) }
    }
}
