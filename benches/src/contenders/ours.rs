//! This crate, used as its README says: a read buffer of 64 KiB and one `Output`, which an event loop shares between
//! its connections; recycled buffers for reassembled messages. Payloads from 16 KiB on are sent by reference.

use std::borrow::Cow;
use std::io::IoSlice;

use bytes::Buf;
use websocket_proto::handshake::Negotiated;
use websocket_proto::{Config, Connection, Deflate, Event, Input, MessageKind, Output, Role};

use super::batches::Batches;
use crate::aligned::Aligned;
use crate::allocator;
use crate::contender::{Contender, Go, Idle, Run};
use crate::content::Payload;
use crate::memory::one_message;
use crate::socket::Socket;
use crate::work::{DEFLATE_LEVEL, MAX_MESSAGE, MEMORY_LEVEL, READ, Task, WINDOW_BITS, Work};

pub struct Ours;

impl Contender for Ours {
    fn name(&self) -> &'static str {
        "websocket-proto"
    }

    fn start(&self, work: &Work, socket: Socket) -> Option<Box<dyn Run>> {
        Some(match work.task {
            Task::Decode | Task::DecodeFragments => Box::new(Decode(Reader::new(open(Role::Server), socket))),
            Task::EncodeServer => Box::new(Encode::new(open(Role::Server), work, socket)),
            Task::EncodeClient => Box::new(Encode::new(open(Role::Client), work, socket)),
            Task::Echo => Box::new(Echo(Reader::new(open(Role::Server), socket))),
            Task::Handshake => Box::new(Handshake(Reader::new(Connection::server(config()), socket))),
            Task::Deflate => Box::new(Encode::new(compressing(), work, socket)),
            Task::Inflate => Box::new(Decode(Reader::new(compressing(), socket))),
        })
    }

    fn idle(&self) -> Option<Idle> {
        let (mut frame, mut output) = (one_message(), Output::new());
        let before = allocator::live();
        let mut ws = open(Role::Server);
        let mut input = Input::new(&mut frame);
        assert!(matches!(ws.receive(&mut input, &mut output), Some(Event::Binary(_))));
        assert!(ws.receive(&mut input, &mut output).is_none());
        Some(Idle { state: size_of_val(&ws), heap: (allocator::live() - before) as usize })
    }
}

fn open(role: Role) -> Connection {
    Connection::upgraded(role, Negotiated::default(), config(), [7; 32])
}

fn config() -> Config {
    Config::new().max_message_size(MAX_MESSAGE)
}

/// A server that negotiated compression with a client.
fn compressing() -> Connection {
    const REQUEST: &str = "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
    let deflate = Deflate::new()
        .level(DEFLATE_LEVEL)
        .window_bits(WINDOW_BITS)
        .peer_window_bits(WINDOW_BITS)
        .memory_level(MEMORY_LEVEL);
    let mut ws = Connection::server(config().deflate(deflate));
    let mut request = REQUEST.to_owned().into_bytes();
    let (mut input, mut output) = (Input::new(&mut request), Output::new());
    while let Some(event) = ws.receive(&mut input, &mut output) {
        let Event::Request(request) = event else { panic!("{event:?}") };
        ws.accept(request, &mut output);
    }
    ws
}

/// A connection, and the buffers that an event loop lends it.
struct Reader {
    ws: Connection,
    socket: Socket,
    buffer: Aligned,
    output: Output,
}

impl Reader {
    fn new(ws: Connection, socket: Socket) -> Self {
        Self { ws, socket, buffer: Aligned::new(READ), output: Output::new() }
    }

    /// Reads once and handles every complete message.
    #[inline]
    fn read(&mut self, mut handle: impl FnMut(&mut Connection, MessageKind, &[u8], &mut Output)) {
        let Self { ws, socket, buffer, output } = self;
        let count = socket.read(buffer);
        let mut input = Input::new(&mut buffer[..count]);
        while let Some(event) = ws.receive(&mut input, output) {
            match event {
                Event::Text(text) => {
                    handle(ws, MessageKind::Text, text.as_bytes(), output);
                    if let Cow::Owned(text) = text {
                        ws.recycle(text.into_bytes());
                    }
                }
                Event::Binary(data) => {
                    handle(ws, MessageKind::Binary, &data, output);
                    if let Cow::Owned(data) = data {
                        ws.recycle(data);
                    }
                }
                event => panic!("only messages are on the tape, not {event:?}"),
            }
        }
        write(output, socket);
    }
}

struct Decode(Reader);

impl Go for Decode {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        let mut done = 0;
        while done < messages {
            self.0.read(|_, _, message, _| {
                seen(message);
                done += 1;
            });
        }
        done
    }
}

struct Echo(Reader);

impl Go for Echo {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        let mut done = 0;
        while done < messages {
            self.0.read(|ws, kind, message, output| {
                seen(message);
                done += 1;
                let sent = match kind {
                    // SAFETY: text messages are UTF-8.
                    MessageKind::Text => ws.send_text(unsafe { str::from_utf8_unchecked(message) }, output),
                    MessageKind::Binary => ws.send_binary(message, output),
                };
                sent.expect("an open connection");
            });
        }
        done
    }
}

struct Encode {
    ws: Connection,
    socket: Socket,
    output: Output,
    is_text: bool,
    batches: Batches<Payload>,
}

impl Encode {
    fn new(ws: Connection, work: &Work, socket: Socket) -> Self {
        let batches = Batches::new(work, |payload| payload);
        Self { ws, socket, output: Output::new(), is_text: work.is_text(), batches }
    }
}

impl Go for Encode {
    fn go(&mut self, messages: usize, _: impl FnMut(&[u8])) -> usize {
        let Self { ws, socket, output, is_text, batches } = self;
        let (count, messages) = batches.count(messages);
        for _ in 0..count {
            for payload in batches.next() {
                let sent = if payload.len() >= 16 << 10 {
                    let kind = if *is_text { MessageKind::Text } else { MessageKind::Binary };
                    ws.send_bytes(kind, payload.bytes().clone(), output)
                } else if *is_text {
                    ws.send_text(payload.text(), output)
                } else {
                    ws.send_binary(payload, output)
                };
                sent.expect("an open connection");
            }
            write(output, socket);
        }
        messages
    }
}

struct Handshake(Reader);

impl Go for Handshake {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        let Reader { ws, socket, buffer, output } = &mut self.0;
        for _ in 0..messages {
            *ws = Connection::server(config());
            let count = socket.read(buffer);
            let mut input = Input::new(&mut buffer[..count]);
            while let Some(event) = ws.receive(&mut input, output) {
                let Event::Request(request) = event else { panic!("{event:?}") };
                seen(request.path().as_bytes());
                ws.accept(request, output);
            }
            write(output, socket);
        }
        messages
    }
}

/// Writes the whole output at once.
#[inline]
fn write(output: &mut Output, socket: &Socket) {
    if !output.is_empty() {
        write_all(output, socket);
    }
}

fn write_all(output: &mut Output, socket: &Socket) {
    let all = output.len();
    if output.chunk().len() == all {
        socket.write(output.chunk());
    } else {
        let mut slices = [IoSlice::new(&[]); 16];
        let filled = output.chunks_vectored(&mut slices);
        assert_eq!(slices[..filled].iter().map(|slice| slice.len()).sum::<usize>(), all);
        socket.write_vectored(&slices[..filled]);
    }
    output.advance(all);
}
