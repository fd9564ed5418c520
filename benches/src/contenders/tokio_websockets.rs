//! tokio-websockets 0.13: `WebSocketStream`, a tokio `FramedRead` with a queue of frames to write.
//!
//! As in its own benchmarks: messages are not split into frames, keys come from fastrand, SIMD is detected at run time.
//! SHA-1 is `sha1_smol`, which it recommends without TLS. It writes each frame alone, header and payload in one
//! vectored write, and writes the queue before it reads the next message: it does not collect replies. No compression.

use std::pin::Pin;

use futures_util::{Sink, Stream};
use tokio_websockets::{ClientBuilder, Config, Limits, Message, ServerBuilder, WebSocketStream};

use super::always_ready::{AlwaysReady, context, now, ready};
use super::batches::Batches;
use crate::contender::{Contender, Go, Run};
use crate::socket::Socket;
use crate::work::{MAX_MESSAGE, Task, Work};

pub struct TokioWebsockets;

impl Contender for TokioWebsockets {
    fn name(&self) -> &'static str {
        "tokio-websockets"
    }

    fn start(&self, work: &Work, socket: Socket) -> Option<Box<dyn Run>> {
        let open = || server().serve(AlwaysReady(socket.clone()));
        Some(match work.task {
            Task::Decode | Task::DecodeFragments => Box::new(Decode(open())),
            Task::EncodeServer => Box::new(Encode::new(open(), work)),
            Task::EncodeClient => {
                let client = ClientBuilder::new().config(config()).limits(limits());
                Box::new(Encode::new(client.take_over(AlwaysReady(socket)), work))
            }
            Task::Echo => Box::new(Echo(open())),
            Task::Handshake => Box::new(Handshake(socket)),
            Task::Deflate | Task::Inflate => return None,
        })
    }
}

type Open = WebSocketStream<AlwaysReady>;

fn server() -> ServerBuilder {
    ServerBuilder::new().config(config()).limits(limits())
}

fn config() -> Config {
    Config::default().frame_size(usize::MAX)
}

fn limits() -> Limits {
    Limits::default().max_payload_len(Some(MAX_MESSAGE))
}

struct Decode(Open);

impl Go for Decode {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        for _ in 0..messages {
            seen(next(&mut self.0).as_payload());
        }
        messages
    }
}

struct Encode {
    open: Open,
    batches: Batches<Message>,
}

impl Encode {
    fn new(open: Open, work: &Work) -> Self {
        let form = if work.is_text() { Message::text } else { Message::binary };
        Self { open, batches: Batches::new(work, |payload| form(payload.bytes().clone())) }
    }
}

impl Go for Encode {
    fn go(&mut self, messages: usize, _: impl FnMut(&[u8])) -> usize {
        let (batches, messages) = self.batches.count(messages);
        for _ in 0..batches {
            self.batches.next().iter().for_each(|message| feed(&mut self.open, message.clone()));
            flush(&mut self.open);
        }
        messages
    }
}

struct Echo(Open);

impl Go for Echo {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        for _ in 0..messages {
            let message = next(&mut self.0);
            seen(message.as_payload());
            feed(&mut self.0, message);
        }
        flush(&mut self.0);
        messages
    }
}

struct Handshake(Socket);

impl Go for Handshake {
    fn go(&mut self, messages: usize, _: impl FnMut(&[u8])) -> usize {
        for _ in 0..messages {
            let accepted = now(server().accept(AlwaysReady(self.0.clone())));
            std::hint::black_box(accepted.expect("a browser's request"));
        }
        messages
    }
}

fn next(open: &mut Open) -> Message {
    ready(Pin::new(open).poll_next(&mut context())).expect("no end").expect("a message")
}

fn feed(open: &mut Open, message: Message) {
    ready(Pin::new(&mut *open).poll_ready(&mut context())).expect("room");
    Pin::new(open).start_send(message).expect("an open connection");
}

fn flush(open: &mut Open) {
    ready(Pin::new(open).poll_flush(&mut context())).expect("an open connection");
}
