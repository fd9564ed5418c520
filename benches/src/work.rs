//! What is measured: the rows of the table, and the bytes that each of them goes over.

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

/// What the payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    Binary,
    Ascii,
    /// Chinese, three bytes a character.
    Cjk,
    /// Compressible, as an application would send it.
    Json,
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

impl Work {
    /// How many messages are put before they are written: as many as make some 4 KiB, at least one.
    pub fn batch(&self) -> usize {
        (4096 / self.size.max(1)).clamp(1, 64)
    }
}
