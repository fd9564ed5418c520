//! wtx 0.46: `WebSocket` over our stream.
//!
//! Messages are borrowed from its buffer where they can be (`Adaptive`); UTF-8 by simdutf8 (its feature
//! `optimization`); keys from its Xorshift64, the default; SHA-1 by ring, one of the backends to choose from. It
//! cannot collect writes: each message is one vectored write. It masks the caller's own buffer, so a client's payload
//! is copied into one before. Its permessage-deflate never takes context over, so it has no such rows.

use std::io::IoSlice;

use wtx::collection::Vector;
use wtx::rng::{Xorshift64, simple_seed};
use wtx::stream::{StreamReader, StreamWriter};
use wtx::web_socket::{Frame, OpCode, WebSocketAcceptor, WebSocketBuffer, WebSocketOwned, WebSocketPayloadOrigin};

use super::always_ready::{AlwaysReady, now};
use super::batches::Batches;
use crate::aligned::Aligned;
use crate::contender::{Contender, Go, Run};
use crate::copy::copy;
use crate::socket::Socket;
use crate::work::{MAX_MESSAGE, Task, Work};

pub struct Wtx;

impl Contender for Wtx {
    fn name(&self) -> &'static str {
        "wtx"
    }

    fn start(&self, work: &Work, socket: Socket) -> Option<Box<dyn Run>> {
        Some(match work.task {
            Task::Decode | Task::DecodeFragments => Box::new(Decode(open(socket), Vector::new())),
            Task::EncodeServer => Box::new(EncodeServer(Encode::new(socket, work))),
            Task::EncodeClient => Box::new(EncodeClient(Encode::new(socket, work), Aligned::new(work.size))),
            Task::Echo => Box::new(Echo(open(socket), Vector::new())),
            Task::Handshake => Box::new(Handshake(socket)),
            Task::Deflate | Task::Inflate => return None,
        })
    }
}

type Open<const IS_CLIENT: bool> = WebSocketOwned<(), Xorshift64, AlwaysReady, IS_CLIENT>;

fn open<const IS_CLIENT: bool>(socket: Socket) -> Open<IS_CLIENT> {
    let rng = Xorshift64::from(simple_seed());
    let mut open = WebSocketOwned::new((), false, rng, AlwaysReady(socket), WebSocketBuffer::new());
    open.set_max_payload_len(MAX_MESSAGE);
    open
}

struct Decode(Open<false>, Vector<u8>);

impl Go for Decode {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        let Self(open, buffer) = self;
        now(async {
            for _ in 0..messages {
                let frame = open.read_frame(buffer, WebSocketPayloadOrigin::Adaptive).await.expect("a message");
                seen(frame.payload());
            }
        });
        messages
    }
}

struct Encode<const IS_CLIENT: bool> {
    open: Open<IS_CLIENT>,
    opcode: OpCode,
    /// Mutable, as it requires, although it does not change a server's payloads.
    batches: Batches<Aligned>,
}

impl<const IS_CLIENT: bool> Encode<IS_CLIENT> {
    fn new(socket: Socket, work: &Work) -> Self {
        let opcode = if work.is_text() { OpCode::Text } else { OpCode::Binary };
        Self { open: open(socket), opcode, batches: Batches::new(work, |payload| Aligned::from(&*payload)) }
    }
}

struct EncodeServer(Encode<false>);

impl Go for EncodeServer {
    fn go(&mut self, messages: usize, _: impl FnMut(&[u8])) -> usize {
        let Encode { open, opcode, batches } = &mut self.0;
        let (count, messages) = batches.count(messages);
        now(async {
            for _ in 0..count {
                for message in batches.next() {
                    let mut frame = Frame::new_fin(*opcode, &mut **message);
                    open.write_frame(&mut frame).await.expect("an open connection");
                }
            }
        });
        messages
    }
}

struct EncodeClient(Encode<true>, Aligned);

impl Go for EncodeClient {
    fn go(&mut self, messages: usize, _: impl FnMut(&[u8])) -> usize {
        let Self(Encode { open, opcode, batches }, masked) = self;
        let (count, messages) = batches.count(messages);
        now(async {
            for _ in 0..count {
                for message in batches.next() {
                    copy(message, masked);
                    let mut frame = Frame::new_fin(*opcode, &mut **masked);
                    open.write_frame(&mut frame).await.expect("an open connection");
                }
            }
        });
        messages
    }
}

struct Echo(Open<false>, Vector<u8>);

impl Go for Echo {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        let Self(open, buffer) = self;
        let (mut common, mut reader, mut writer) = open.split_mut();
        now(async {
            for _ in 0..messages {
                let frame = reader.read_frame(buffer, &mut common, WebSocketPayloadOrigin::Adaptive).await;
                let mut frame = frame.expect("a message");
                seen(frame.payload());
                writer.write_frame(&mut common, &mut frame).await.expect("an open connection");
            }
        });
        messages
    }
}

struct Handshake(Socket);

impl Go for Handshake {
    fn go(&mut self, messages: usize, _: impl FnMut(&[u8])) -> usize {
        for _ in 0..messages {
            let accepted = now(WebSocketAcceptor::default().accept(AlwaysReady(self.0.clone())));
            std::hint::black_box(accepted.expect("a browser's request"));
        }
        messages
    }
}

impl StreamReader for AlwaysReady {
    async fn read(&mut self, bytes: &mut [u8]) -> wtx::Result<usize> {
        Ok(self.0.read(bytes))
    }
}

impl StreamWriter for AlwaysReady {
    async fn write_all(&mut self, bytes: &[u8]) -> wtx::Result<()> {
        self.0.write(bytes);
        Ok(())
    }

    async fn write_all_vectored(&mut self, bytes: &[&[u8]]) -> wtx::Result<()> {
        let mut slices = [IoSlice::new(&[]); 8];
        for (slice, bytes) in slices.iter_mut().zip(bytes) {
            *slice = IoSlice::new(bytes);
        }
        self.0.write_vectored(&slices[..bytes.len()]);
        Ok(())
    }
}
