//! websocket-sans-io 0.1: `WebsocketFrameDecoder` and `WebsocketFrameEncoder`. This file adds the rest: it reassembles
//! messages that a read or fragments cut, and borrows the others; it checks UTF-8 with simdutf8 over the whole message;
//! its keys come from a fast generator that is no CSPRNG.
//!
//! The read buffer has 64 KiB. Messages below 1 KiB, and those of a batch, are collected; longer ones are written without a copy, with their
//! header in one vectored write, unless they have to be masked. No handshake, no compression.

use std::io::IoSlice;

use websocket_sans_io::{FrameInfo, Opcode, WebsocketFrameDecoder, WebsocketFrameEncoder, WebsocketFrameEvent};

use super::batches::Batches;
use crate::aligned::Aligned;
use crate::contender::{Contender, Go, Idle, Run};
use crate::content::Payload;
use crate::content::Random;
use crate::socket::Socket;
use crate::work::{MAX_MESSAGE, READ, Task, Work, Writes};

pub struct WebsocketSansIo;

impl Contender for WebsocketSansIo {
    fn name(&self) -> &'static str {
        "websocket-sans-io"
    }

    fn start(&self, work: &Work, socket: Socket) -> Option<Box<dyn Run>> {
        Some(match work.task {
            Task::Decode | Task::DecodeFragments => Box::new(Decode(Reader::new(socket))),
            Task::EncodeServer => Box::new(Encode::new(work, socket, None)),
            Task::EncodeClient => Box::new(Encode::new(work, socket, Some(Random(7)))),
            Task::Echo => Box::new(Echo { reader: Reader::new(socket), writer: Writer::default() }),
            Task::Handshake | Task::Deflate | Task::Inflate => return None,
        })
    }

    fn idle(&self) -> Option<Idle> {
        Some(Idle { state: size_of::<WebsocketFrameDecoder>() + size_of::<WebsocketFrameEncoder>(), heap: 0 })
    }
}

struct Reader {
    socket: Socket,
    buffer: Aligned,
    decoder: WebsocketFrameDecoder,
    /// The available part of a message that is not in the buffer in one frame.
    reassembled: Vec<u8>,
    payload_length: u64,
    fin: bool,
}

impl Reader {
    fn new(socket: Socket) -> Self {
        let decoder = WebsocketFrameDecoder::new();
        Self { socket, buffer: Aligned::new(READ), decoder, reassembled: Vec::new(), payload_length: 0, fin: false }
    }

    /// Reads once and handles every complete message.
    #[inline]
    fn read(&mut self, mut handle: impl FnMut(Opcode, &[u8])) {
        let Self { socket, buffer, decoder, reassembled, payload_length, fin } = self;
        let count = socket.read(buffer);
        let mut rest = &mut buffer[..count];
        loop {
            let result = decoder.add_data(rest).expect("infallible with large frames");
            let (taken, behind) = std::mem::take(&mut rest).split_at_mut(result.consumed_bytes);
            rest = behind;
            match result.event {
                Some(WebsocketFrameEvent::Start { frame_info, .. }) => {
                    assert!(frame_info.is_reasonable() && frame_info.mask.is_some(), "only messages are on the tape");
                    assert!(frame_info.payload_length + reassembled.len() as u64 <= MAX_MESSAGE as u64);
                    (*payload_length, *fin) = (frame_info.payload_length, frame_info.fin);
                }
                Some(WebsocketFrameEvent::PayloadChunk { original_opcode }) => {
                    if *fin && reassembled.is_empty() && taken.len() as u64 == *payload_length {
                        deliver(original_opcode, taken, &mut handle);
                    } else {
                        reassembled.extend_from_slice(taken);
                    }
                }
                Some(WebsocketFrameEvent::End { frame_info, original_opcode })
                    if frame_info.fin && !reassembled.is_empty() =>
                {
                    deliver(original_opcode, reassembled, &mut handle);
                    reassembled.clear();
                }
                None if result.consumed_bytes == 0 => break,
                Some(WebsocketFrameEvent::End { .. }) | None => {}
            }
        }
    }
}

#[inline]
fn deliver(opcode: Opcode, message: &[u8], handle: &mut impl FnMut(Opcode, &[u8])) {
    if opcode == Opcode::Text {
        simdutf8::basic::from_utf8(message).expect("text");
    }
    handle(opcode, message);
}

#[derive(Default)]
struct Writer {
    encoder: WebsocketFrameEncoder,
    keys: Option<Random>,
    /// Whether long messages are collected, too.
    collects: bool,
    reassembled: Vec<u8>,
}

impl Writer {
    #[inline]
    fn put(&mut self, opcode: Opcode, payload: &[u8], socket: &Socket) {
        let mask = self.keys.as_mut().map(|keys| (keys.next() as u32).to_ne_bytes());
        let info = FrameInfo { opcode, payload_length: payload.len() as u64, mask, fin: true, reserved: 0 };
        let header = self.encoder.start_frame(&info);
        let is_collected = self.collects || payload.len() < 1 << 10;
        if !is_collected && !self.encoder.transform_needed() {
            self.flush(socket);
            socket.write_vectored(&[IoSlice::new(&header), IoSlice::new(payload)]);
            return;
        }
        self.reassembled.extend_from_slice(&header);
        let start = self.reassembled.len();
        self.reassembled.extend_from_slice(payload);
        self.encoder.transform_frame_payload(&mut self.reassembled[start..]);
    }

    #[inline]
    fn flush(&mut self, socket: &Socket) {
        if !self.reassembled.is_empty() {
            socket.write(&self.reassembled);
            self.reassembled.clear();
        }
    }
}

struct Decode(Reader);

impl Go for Decode {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        let mut done = 0;
        while done < messages {
            self.0.read(|_, message| {
                seen(message);
                done += 1;
            });
        }
        done
    }
}

struct Echo {
    reader: Reader,
    writer: Writer,
}

impl Go for Echo {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        let (writer, socket) = (&mut self.writer, self.reader.socket.clone());
        let mut done = 0;
        while done < messages {
            self.reader.read(|opcode, message| {
                seen(message);
                writer.put(opcode, message, &socket);
                done += 1;
            });
            writer.flush(&socket);
        }
        done
    }
}

struct Encode {
    socket: Socket,
    writer: Writer,
    opcode: Opcode,
    batches: Batches<Payload>,
}

impl Encode {
    fn new(work: &Work, socket: Socket, keys: Option<Random>) -> Self {
        let opcode = if work.is_text() { Opcode::Text } else { Opcode::Binary };
        let writer = Writer { keys, collects: work.writes == Writes::Batches, ..Writer::default() };
        Self { socket, writer, opcode, batches: Batches::new(work, |payload| payload) }
    }
}

impl Go for Encode {
    fn go(&mut self, messages: usize, _: impl FnMut(&[u8])) -> usize {
        let Self { socket, writer, opcode, batches } = self;
        let (count, messages) = batches.count(messages);
        for _ in 0..count {
            batches.next().iter().for_each(|payload| writer.put(*opcode, payload, socket));
            writer.flush(socket);
        }
        messages
    }
}
