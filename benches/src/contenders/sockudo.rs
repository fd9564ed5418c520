//! sockudo-ws 3.1: `Protocol` and `CorkBuffer`, which its streams use on every runtime.
//!
//! Used like its tokio stream uses them, without that stream's state machine, which costs more: a read buffer of 64
//! KiB, reused when it is empty; replies collected, and payloads from 8 KiB on written without a copy. Fragments go
//! through the stream, which is faster there because it handles one message at a time. Default features: SIMD detected
//! at run time, keys from fastrand. Compression is at zlib's default memory level, which flate2 cannot change. The
//! handshake is its own, for tokio.

use std::io::IoSlice;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use sockudo_ws::cork::{CorkBuffer, ZERO_COPY_MIN};
use sockudo_ws::frame::encode_frame_header;
use sockudo_ws::protocol::{CompressedProtocol, Message, Protocol, Role};
use sockudo_ws::{Config, DeflateConfig, DeflateWindowBits, OpCode, RECV_BUFFER_SIZE, WebSocketStream, handshake};

use super::always_ready::{AlwaysReady, context, now, ready};
use super::batches::Batches;
use crate::contender::{Contender, Go, Run};
use crate::socket::Socket;
use crate::work::{DEFLATE_LEVEL, MAX_MESSAGE, Task, WINDOW_BITS, Work};

pub struct Sockudo;

impl Contender for Sockudo {
    fn name(&self) -> &'static str {
        "sockudo-ws"
    }

    fn start(&self, work: &Work, socket: Socket) -> Option<Box<dyn Run>> {
        Some(match work.task {
            Task::Decode => Box::new(Decode(Reader::new(open(Role::Server), socket))),
            Task::DecodeFragments => Box::new(Fragments(stream(socket))),
            Task::EncodeServer => Box::new(Encode::new(open(Role::Server), work, socket)),
            Task::EncodeClient => Box::new(Encode::new(Masked(open(Role::Client)), work, socket)),
            Task::Echo => Box::new(Echo { reader: Reader::new(open(Role::Server), socket), cork: CorkBuffer::new() }),
            Task::Handshake => Box::new(Handshake(socket)),
            Task::Deflate => Box::new(Encode::new(compressed(), work, socket)),
            Task::Inflate => Box::new(Decode(Reader::new(compressed(), socket))),
        })
    }
}

fn open(role: Role) -> Protocol {
    Protocol::new(role, MAX_MESSAGE, MAX_MESSAGE)
}

/// A stream without timers, which would read a clock.
fn stream(socket: Socket) -> WebSocketStream<AlwaysReady> {
    let config = Config::builder().max_payload_length(MAX_MESSAGE).auto_ping(false).idle_timeout(0).build();
    WebSocketStream::server(AlwaysReady(socket), config)
}

fn compressed() -> CompressedProtocol {
    let bits = DeflateWindowBits::try_from(WINDOW_BITS).expect("a size that zlib has");
    let config = DeflateConfig {
        server_max_window_bits: bits,
        client_max_window_bits: bits,
        compression_level: DEFLATE_LEVEL.into(),
        ..DeflateConfig::default()
    };
    CompressedProtocol::server(MAX_MESSAGE, MAX_MESSAGE, config)
}

struct Decode<P>(Reader<P>);

impl<P: Parse> Go for Decode<P> {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        let mut done = 0;
        while done < messages {
            for message in self.0.read() {
                seen(message.as_bytes());
                done += 1;
            }
        }
        done
    }
}

struct Fragments(WebSocketStream<AlwaysReady>);

impl Go for Fragments {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        for _ in 0..messages {
            let message = ready(Pin::new(&mut self.0).poll_next(&mut context()));
            seen(message.expect("no end").expect("a message").as_bytes());
        }
        messages
    }
}

struct Encode<P> {
    protocol: P,
    socket: Socket,
    cork: CorkBuffer,
    batches: Batches<Message>,
}

impl<P> Encode<P> {
    fn new(protocol: P, work: &Work, socket: Socket) -> Self {
        let form = if work.is_text() { Message::Text } else { Message::Binary };
        let batches = Batches::new(work, |payload| form(payload.bytes().clone()));
        Self { protocol, socket, cork: CorkBuffer::new(), batches }
    }
}

impl<P: Put> Go for Encode<P> {
    fn go(&mut self, messages: usize, _: impl FnMut(&[u8])) -> usize {
        let (batches, messages) = self.batches.count(messages);
        for _ in 0..batches {
            self.batches.next().iter().for_each(|message| self.protocol.put(message, &mut self.cork));
            flush(&mut self.cork, &self.socket);
        }
        messages
    }
}

struct Echo {
    reader: Reader<Protocol>,
    cork: CorkBuffer,
}

impl Go for Echo {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        let mut done = 0;
        while done < messages {
            self.reader.fill();
            for message in &self.reader.messages {
                seen(message.as_bytes());
                self.reader.protocol.put(message, &mut self.cork);
                done += 1;
            }
            flush(&mut self.cork, &self.reader.socket.0);
        }
        done
    }
}

struct Handshake(Socket);

impl Go for Handshake {
    fn go(&mut self, messages: usize, _: impl FnMut(&[u8])) -> usize {
        for _ in 0..messages {
            let mut socket = AlwaysReady(self.0.clone());
            let shaken = now(handshake::server_handshake(&mut socket)).expect("a browser's request");
            std::hint::black_box((shaken, Reader::new(open(Role::Server), self.0.clone())));
        }
        messages
    }
}

/// The read state of its stream.
struct Reader<P> {
    protocol: P,
    socket: AlwaysReady,
    buffer: BytesMut,
    messages: Vec<Message>,
}

impl<P> Reader<P> {
    fn new(protocol: P, socket: Socket) -> Self {
        let buffer = BytesMut::with_capacity(RECV_BUFFER_SIZE);
        Self { protocol, socket: AlwaysReady(socket), buffer, messages: Vec::new() }
    }
}

impl<P: Parse> Reader<P> {
    fn read(&mut self) -> &[Message] {
        self.fill();
        &self.messages
    }

    /// Reads once and handles every complete message.
    fn fill(&mut self) {
        self.messages.clear();
        let reclaimed = self.buffer.is_empty() && self.buffer.try_reclaim(RECV_BUFFER_SIZE);
        if !reclaimed && self.buffer.capacity() - self.buffer.len() < 4096 {
            self.buffer.reserve(RECV_BUFFER_SIZE);
        }
        let count = self.socket.read(self.buffer.spare_capacity_mut());
        // SAFETY: the socket has written to these bytes.
        unsafe { self.buffer.set_len(self.buffer.len() + count) };
        self.protocol.parse(&mut self.buffer, &mut self.messages);
    }
}

trait Parse {
    fn parse(&mut self, buffer: &mut BytesMut, messages: &mut Vec<Message>);
}

impl Parse for Protocol {
    fn parse(&mut self, buffer: &mut BytesMut, messages: &mut Vec<Message>) {
        self.process_into(buffer, messages).expect("messages");
    }
}

impl Parse for CompressedProtocol {
    fn parse(&mut self, buffer: &mut BytesMut, messages: &mut Vec<Message>) {
        self.process_into(buffer, messages).expect("messages");
    }
}

trait Put {
    fn put(&mut self, message: &Message, cork: &mut CorkBuffer);
}

impl Put for Protocol {
    fn put(&mut self, message: &Message, cork: &mut CorkBuffer) {
        let (opcode, payload) = match message {
            Message::Text(payload) => (OpCode::Text, payload),
            Message::Binary(payload) => (OpCode::Binary, payload),
            _ => unreachable!("only data on the tape"),
        };
        if payload.len() >= ZERO_COPY_MIN {
            encode_frame_header(cork.buffer_mut(), opcode, payload.len(), true, None);
            cork.push_segment(Bytes::clone(payload));
        } else {
            self.encode_message(message, cork.buffer_mut()).expect("room");
        }
    }
}

/// A client, which must copy every payload to mask it.
struct Masked(Protocol);

impl Put for Masked {
    fn put(&mut self, message: &Message, cork: &mut CorkBuffer) {
        self.0.encode_message(message, cork.buffer_mut()).expect("room");
    }
}

impl Put for CompressedProtocol {
    fn put(&mut self, message: &Message, cork: &mut CorkBuffer) {
        self.encode_message(message, cork.buffer_mut()).expect("room");
    }
}

fn flush(cork: &mut CorkBuffer, socket: &Socket) {
    while cork.has_data() {
        let mut slices = [IoSlice::new(&[]); 16];
        let count = cork.fill_write_slices(&mut slices);
        socket.write_vectored(&slices[..count]);
        cork.consume(slices[..count].iter().map(|slice| slice.len()).sum());
    }
}
