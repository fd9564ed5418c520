//! The lower limits of a row: handles its bytes without any protocol.

use std::rc::Rc;

use crate::aligned::Aligned;
use crate::contender::{Contender, Go, Run};
use crate::content::Payload;
use crate::copy::copy;
use crate::socket::Socket;
use crate::work::{READ, Reads, Task, Work};

/// The work on the bytes; each variant adds to the previous one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// One copy for each read and each write.
    Copy,
    /// Each message is also unmasked, in place.
    Xor,
    /// simdutf8 also validates each message.
    Utf8,
}

impl Limit {
    /// The lower limit of a row.
    pub fn of(work: &Work) -> Option<Self> {
        match work.task {
            Task::Decode | Task::DecodeFragments | Task::Echo if work.is_text() => Some(Self::Utf8),
            Task::Decode | Task::DecodeFragments | Task::Echo | Task::EncodeClient => Some(Self::Xor),
            Task::EncodeServer | Task::Handshake => Some(Self::Copy),
            Task::Deflate | Task::Inflate => None,
        }
    }
}

impl Contender for Limit {
    fn name(&self) -> &'static str {
        match self {
            Self::Copy => "memcpy",
            Self::Xor => "copy + XOR",
            Self::Utf8 => "copy + XOR + simdutf8",
        }
    }

    fn start(&self, work: &Work, socket: Socket) -> Option<Box<dyn Run>> {
        if *self > Self::of(work)? {
            return None;
        }
        if matches!(work.task, Task::EncodeServer | Task::EncodeClient) {
            return Some(Box::new(Put::new(*self, work, socket)));
        }
        if work.task == Task::Handshake {
            return Some(Box::new(Answer(socket, Aligned::new(READ))));
        }
        Some(Box::new(Take::new(*self, work, &socket)))
    }
}

/// Receives messages without headers.
struct Take {
    limit: Limit,
    /// The socket with the payloads: masked, or unmasked for [`Limit::Copy`].
    bare: Socket,
    /// The socket for replies, for [`Task::Echo`].
    echo: Option<Socket>,
    buffer: Aligned,
    size: usize,
    filled: usize,
}

const KEY: u64 = u64::from_ne_bytes(*b"maskmask");

impl Take {
    fn new(limit: Limit, work: &Work, socket: &Socket) -> Self {
        let mut tape: Vec<u8> = work.payloads().iter().flat_map(|payload| payload.to_vec()).collect();
        if limit > Limit::Copy {
            tape.chunks_mut(work.message_size()).for_each(xor);
        }
        // The same reads, except that a full read has complete messages.
        let size = work.message_size();
        let reads = match work.reads {
            Reads::UpTo(READ) if size <= READ => Reads::UpTo(READ / size * size),
            reads => reads,
        };
        let bare = Socket::new(Rc::new(tape.as_slice().into()), reads);
        let echo = (work.task == Task::Echo).then(|| socket.clone());
        let buffer = Aligned::new(if size > READ { size } else { 2 * READ });
        Self { limit, bare, echo, buffer, size, filled: 0 }
    }
}

impl Go for Take {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        let Self { limit, bare, echo, buffer, size, filled } = self;
        let mut done = 0;
        while done < messages {
            let room = buffer.len();
            *filled += bare.read(&mut buffer[*filled..room]);
            if *filled < *size {
                continue;
            }
            let whole = *filled / *size * *size;
            for message in buffer[..whole].chunks_exact_mut(*size) {
                if *limit >= Limit::Xor {
                    xor(message);
                }
                if *limit == Limit::Utf8 {
                    assert!(simdutf8::basic::from_utf8(message).is_ok());
                }
                seen(message);
                done += 1;
            }
            if let Some(echo) = &echo {
                echo.write(&buffer[..whole]);
            }
            if whole < *filled {
                buffer.copy_within(whole..*filled, 0);
            }
            *filled -= whole;
        }
        done
    }
}

/// Sends payloads without headers.
struct Put {
    limit: Limit,
    socket: Socket,
    payloads: Vec<Payload>,
    batch: usize,
    buffer: Aligned,
}

impl Put {
    fn new(limit: Limit, work: &Work, socket: Socket) -> Self {
        let (payloads, batch) = (work.payloads(), work.batch());
        let buffer = Aligned::new(work.size.max(1 << 16));
        Self { limit, socket, payloads, batch, buffer }
    }
}

impl Go for Put {
    fn go(&mut self, messages: usize, _: impl FnMut(&[u8])) -> usize {
        let mut done = 0;
        while done < messages {
            for batch in self.payloads.chunks(self.batch) {
                // A single message is copied only to mask it.
                if let (Limit::Copy, [payload]) = (self.limit, batch) {
                    self.socket.write(payload);
                } else {
                    let mut at = 0;
                    for payload in batch {
                        let place = &mut self.buffer[at..at + payload.len()];
                        copy(payload, place);
                        if self.limit == Limit::Xor {
                            xor(place);
                        }
                        at += payload.len();
                    }
                    self.socket.write(&self.buffer[..at]);
                }
                done += batch.len();
            }
        }
        done
    }
}

/// Reads a request and writes a block as long as a typical answer.
struct Answer(Socket, Aligned);

impl Go for Answer {
    fn go(&mut self, messages: usize, _: impl FnMut(&[u8])) -> usize {
        const ANSWER: usize = 129;
        for _ in 0..messages {
            self.0.read(&mut self.1);
            self.0.write(&self.1[..ANSWER]);
        }
        messages
    }
}

/// Masks or unmasks with a fixed key.
#[inline]
fn xor(bytes: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if bytes.len() >= 128 && std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2.
        return unsafe { xor_avx2(bytes) };
    }
    xor_words(bytes);
}

/// Like [`xor_words`], compiled with wider instructions.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn xor_avx2(bytes: &mut [u8]) {
    xor_words(bytes);
}

#[inline]
fn xor_words(bytes: &mut [u8]) {
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ KEY).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(KEY.to_ne_bytes()) {
        *byte ^= key;
    }
}
