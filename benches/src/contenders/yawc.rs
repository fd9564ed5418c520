//! yawc 0.5: `WebSocket`, a tokio `Framed`.
//!
//! Buffers and batches as in its own benchmarks: a read buffer of 128 KiB, writes at 64 KiB, and a server that flushes
//! after 32 messages that were ready. UTF-8 is checked, by simdutf8, because the others check it; it does not by
//! default. Keys come from `rand`, its only choice. Compression by zlib-rs at zlib's default memory level, which flate2
//! cannot change. hyper does the server's handshake.

use std::pin::Pin;

use futures_util::Sink;
use yawc::{CompressionLevel, Frame, Options, Role, WebSocket};

use super::always_ready::{AlwaysReady, context, ready};
use super::batches::Batches;
use crate::contender::{Contender, Go, Run};
use crate::socket::Socket;
use crate::work::{DEFLATE_LEVEL, MAX_MESSAGE, Task, WINDOW_BITS, Work};

pub struct Yawc;

impl Contender for Yawc {
    fn name(&self) -> &'static str {
        "yawc"
    }

    fn start(&self, work: &Work, socket: Socket) -> Option<Box<dyn Run>> {
        Some(match work.task {
            Task::Decode | Task::DecodeFragments => Box::new(Decode(open(socket, Role::Server))),
            Task::EncodeServer => Box::new(Encode::new(open(socket, Role::Server), work)),
            Task::EncodeClient => Box::new(Encode::new(open(socket, Role::Client), work)),
            Task::Echo => Box::new(Echo(open(socket, Role::Server))),
            Task::Handshake => return None,
            Task::Deflate => Box::new(Encode::new(compressed(socket), work)),
            Task::Inflate => Box::new(Decode(compressed(socket))),
        })
    }
}

type Open = WebSocket<AlwaysReady>;

fn open(socket: Socket, role: Role) -> Open {
    WebSocket::from_stream(AlwaysReady(socket), role, options()).expect("no extensions")
}

fn compressed(socket: Socket) -> Open {
    let options = options().with_compression_level(CompressionLevel::new(DEFLATE_LEVEL.into()));
    let agreed =
        format!("permessage-deflate; server_max_window_bits={WINDOW_BITS}; client_max_window_bits={WINDOW_BITS}");
    WebSocket::from_stream_with_extensions(AlwaysReady(socket), Role::Server, Some(&agreed), options).expect("agreed")
}

fn options() -> Options {
    Options::default()
        .with_limits(MAX_MESSAGE, MAX_MESSAGE)
        .with_read_buffer_capacity(128 << 10)
        .with_backpressure_boundary(64 << 10)
        .with_utf8()
}

struct Decode(Open);

impl Go for Decode {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        for _ in 0..messages {
            seen(next(&mut self.0).payload());
        }
        messages
    }
}

struct Encode {
    open: Open,
    batches: Batches<Frame>,
}

impl Encode {
    fn new(open: Open, work: &Work) -> Self {
        let form = if work.is_text() { Frame::text } else { Frame::binary };
        Self { open, batches: Batches::new(work, |payload| form(payload.bytes().clone())) }
    }
}

impl Go for Encode {
    fn go(&mut self, messages: usize, _: impl FnMut(&[u8])) -> usize {
        let (batches, messages) = self.batches.count(messages);
        for _ in 0..batches {
            self.batches.next().iter().for_each(|frame| feed(&mut self.open, frame.clone()));
            flush(&mut self.open);
        }
        messages
    }
}

struct Echo(Open);

impl Go for Echo {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        for _ in 0..messages.div_ceil(32) {
            for _ in 0..32 {
                let frame = next(&mut self.0);
                seen(frame.payload());
                feed(&mut self.0, frame);
            }
            flush(&mut self.0);
        }
        messages.next_multiple_of(32)
    }
}

fn next(open: &mut Open) -> Frame {
    ready(open.poll_next_frame(&mut context())).expect("a message")
}

fn feed(open: &mut Open, frame: Frame) {
    ready(Pin::new(&mut *open).poll_ready(&mut context())).expect("room");
    Pin::new(open).start_send(frame).expect("an open connection");
}

fn flush(open: &mut Open) {
    ready(Pin::new(open).poll_flush(&mut context())).expect("an open connection");
}
