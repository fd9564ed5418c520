//! fastwebsockets 0.10: `FragmentCollector`, which returns whole messages, on one side of the connection.
//!
//! Defaults: UTF-8 by simdutf8; keys from `rand`; payloads over 1,024 bytes in one vectored write with their header,
//! smaller ones copied after it; one write per message, as it cannot collect them. A client masks the caller's own
//! buffer, so the payload is first copied into one, which costs less than the allocation for a borrowed one. hyper does
//! the server's handshake; no compression.

use fastwebsockets::Payload::{Borrowed, BorrowedMut};
use fastwebsockets::{FragmentCollector, Frame, OpCode, Role, WebSocket};

use super::always_ready::{AlwaysReady, now};
use super::batches::Batches;
use crate::aligned::Aligned;
use crate::contender::{Contender, Go, Run};
use crate::content::Payload;
use crate::copy::copy;
use crate::socket::Socket;
use crate::work::{MAX_MESSAGE, Task, Work};

pub struct Fastwebsockets;

impl Contender for Fastwebsockets {
    fn name(&self) -> &'static str {
        "fastwebsockets"
    }

    fn start(&self, work: &Work, socket: Socket) -> Option<Box<dyn Run>> {
        Some(match work.task {
            Task::Decode | Task::DecodeFragments => {
                Box::new(Decode(FragmentCollector::new(open(socket, Role::Server))))
            }
            Task::EncodeServer => Box::new(EncodeServer(Encode::new(open(socket, Role::Server), work))),
            Task::EncodeClient => {
                let encode = Encode::new(open(socket, Role::Client), work);
                Box::new(EncodeClient(encode, Aligned::new(work.size)))
            }
            Task::Echo => Box::new(Echo(FragmentCollector::new(open(socket, Role::Server)))),
            Task::Handshake | Task::Deflate | Task::Inflate => return None,
        })
    }
}

fn open(socket: Socket, role: Role) -> WebSocket<AlwaysReady> {
    let mut open = WebSocket::after_handshake(AlwaysReady(socket), role);
    open.set_max_message_size(MAX_MESSAGE);
    open
}

struct Decode(FragmentCollector<AlwaysReady>);

impl Go for Decode {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        now(async {
            for _ in 0..messages {
                seen(&self.0.read_frame().await.expect("a message").payload);
            }
        });
        messages
    }
}

struct Encode {
    open: WebSocket<AlwaysReady>,
    opcode: OpCode,
    batches: Batches<Payload>,
}

impl Encode {
    fn new(open: WebSocket<AlwaysReady>, work: &Work) -> Self {
        let opcode = if work.is_text() { OpCode::Text } else { OpCode::Binary };
        Self { open, opcode, batches: Batches::new(work, |payload| payload) }
    }
}

struct EncodeServer(Encode);

impl Go for EncodeServer {
    fn go(&mut self, messages: usize, _: impl FnMut(&[u8])) -> usize {
        let Encode { open, opcode, batches } = &mut self.0;
        let (count, messages) = batches.count(messages);
        now(async {
            for _ in 0..count {
                for message in batches.next() {
                    let frame = Frame::new(true, *opcode, None, Borrowed(message));
                    open.write_frame(frame).await.expect("an open connection");
                }
            }
        });
        messages
    }
}

struct EncodeClient(Encode, Aligned);

impl Go for EncodeClient {
    fn go(&mut self, messages: usize, _: impl FnMut(&[u8])) -> usize {
        let Self(Encode { open, opcode, batches }, masked) = self;
        let (count, messages) = batches.count(messages);
        now(async {
            for _ in 0..count {
                for message in batches.next() {
                    copy(message, masked);
                    let frame = Frame::new(true, *opcode, None, BorrowedMut(masked));
                    open.write_frame(frame).await.expect("an open connection");
                }
            }
        });
        messages
    }
}

struct Echo(FragmentCollector<AlwaysReady>);

impl Go for Echo {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        now(async {
            for _ in 0..messages {
                let frame = self.0.read_frame().await.expect("a message");
                seen(&frame.payload);
                self.0.write_frame(frame).await.expect("an open connection");
            }
        });
        messages
    }
}
