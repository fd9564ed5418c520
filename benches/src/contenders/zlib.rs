//! zlib-rs alone, as this crate configures it: the lower limit of permessage-deflate. No frames, no masks, no UTF-8.

use std::rc::Rc;

use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush};

use super::batches::Batches;
use crate::aligned::Aligned;
use crate::contender::{Contender, Go, Run};
use crate::content::Payload;
use crate::socket::Socket;
use crate::tape::{compressed, deflate_config};
use crate::work::{READ, Reads, Task, Work};

pub struct Zlib;

impl Contender for Zlib {
    fn name(&self) -> &'static str {
        "zlib-rs"
    }

    fn start(&self, work: &Work, socket: Socket) -> Option<Box<dyn Run>> {
        match work.task {
            Task::Deflate => Some(Box::new(Compress {
                socket,
                deflate: Deflate::new_with_config(deflate_config()),
                batches: Batches::new(work, |payload| payload),
                buffer: Aligned::new(work.size + 64),
            })),
            Task::Inflate => Some(Box::new(Decompress::new(work))),
            _ => None,
        }
    }
}

/// The empty stored block at the end of every message, which is not sent.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

struct Compress {
    socket: Socket,
    deflate: Deflate,
    batches: Batches<Payload>,
    buffer: Aligned,
}

impl Go for Compress {
    fn go(&mut self, messages: usize, _: impl FnMut(&[u8])) -> usize {
        let Self { socket, deflate, batches, buffer } = self;
        let (count, messages) = batches.count(messages);
        for _ in 0..count {
            for payload in batches.next() {
                let before = deflate.total_out();
                deflate.compress(payload, buffer, DeflateFlush::SyncFlush).expect("a valid state");
                let len = (deflate.total_out() - before) as usize;
                socket.write(&buffer[..len - TAIL.len()]);
            }
        }
        messages
    }
}

struct Decompress {
    /// The socket with the messages, each with its tail.
    bare: Socket,
    /// The lengths of the messages.
    lens: Vec<usize>,
    next: usize,
    inflate: Inflate,
    compressed: Aligned,
    message: Aligned,
}

impl Decompress {
    fn new(work: &Work) -> Self {
        let messages = compressed(&work.payloads()).into_iter().map(|message| [message, TAIL.into()].concat());
        let messages: Vec<_> = messages.collect();
        Self {
            bare: Socket::new(Rc::new(messages.concat().as_slice().into()), Reads::UpTo(READ)),
            lens: messages.iter().map(Vec::len).collect(),
            next: 0,
            inflate: Inflate::new(false, 15),
            compressed: Aligned::new(READ),
            message: Aligned::new(work.size + 64),
        }
    }
}

impl Go for Decompress {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        let Self { bare, lens, next, inflate, compressed, message } = self;
        for _ in 0..messages {
            let compressed = &mut compressed[..lens[*next]];
            *next = (*next + 1) % lens.len();
            bare.read(compressed);
            let before = inflate.total_out();
            inflate.decompress(compressed, message, InflateFlush::NoFlush).expect("DEFLATE");
            seen(&message[..(inflate.total_out() - before) as usize]);
        }
        messages
    }
}
