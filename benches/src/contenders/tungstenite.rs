//! tungstenite 0.30: `WebSocket` over a stream.
//!
//! A read buffer of 64 KiB, half of its default: no read brings more, and it clears the buffer before each. Its own
//! buffer collects writes, which are flushed once per batch; for an echo once per read, as if it showed when the bytes
//! of a read are used up. Payloads are `Bytes`, so passing one costs a reference. std checks UTF-8. No compression.

use std::io::{self, Read, Write};

use tungstenite::handshake::server::NoCallback;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{HandshakeError, Message, ServerHandshake, WebSocket};

use super::batches::Batches;
use crate::contender::{Contender, Go, Run};
use crate::content::Payload;
use crate::socket::Socket;
use crate::work::{MAX_MESSAGE, READ, Task, Work};

pub struct Tungstenite;

impl Contender for Tungstenite {
    fn name(&self) -> &'static str {
        "tungstenite"
    }

    fn start(&self, work: &Work, socket: Socket) -> Option<Box<dyn Run>> {
        Some(match work.task {
            Task::Decode | Task::DecodeFragments => Box::new(Decode(open(Role::Server, socket))),
            Task::EncodeServer => Box::new(Encode::new(open(Role::Server, socket), work)),
            Task::EncodeClient => Box::new(Encode::new(open(Role::Client, socket), work)),
            Task::Echo => Box::new(Echo(open(Role::Server, socket))),
            Task::Handshake => Box::new(Handshake(socket)),
            Task::Deflate | Task::Inflate => return None,
        })
    }
}

fn open(role: Role, socket: Socket) -> WebSocket<Stream> {
    WebSocket::from_raw_socket(Stream { socket, has_read: false }, role, Some(config()))
}

fn config() -> WebSocketConfig {
    let limit = Some(MAX_MESSAGE);
    WebSocketConfig::default().read_buffer_size(READ).max_message_size(limit).max_frame_size(limit)
}

struct Stream {
    socket: Socket,
    has_read: bool,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.has_read = true;
        Ok(self.socket.read(buffer))
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Decode(WebSocket<Stream>);

impl Go for Decode {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        for _ in 0..messages {
            seen(payload(&self.0.read().expect("a message")));
        }
        messages
    }
}

struct Encode {
    ws: WebSocket<Stream>,
    batches: Batches<Message>,
}

impl Encode {
    fn new(ws: WebSocket<Stream>, work: &Work) -> Self {
        let form = |payload: Payload| {
            let bytes = payload.bytes().clone();
            if work.is_text() { Message::Text(bytes.try_into().expect("text")) } else { Message::Binary(bytes) }
        };
        Self { ws, batches: Batches::new(work, form) }
    }
}

impl Go for Encode {
    fn go(&mut self, messages: usize, _: impl FnMut(&[u8])) -> usize {
        let (count, messages) = self.batches.count(messages);
        for _ in 0..count {
            for message in self.batches.next() {
                self.ws.write(message.clone()).expect("an open connection");
            }
            self.ws.flush().expect("an open connection");
        }
        messages
    }
}

struct Echo(WebSocket<Stream>);

impl Go for Echo {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        for _ in 0..messages {
            let message = self.0.read().expect("a message");
            if std::mem::take(&mut self.0.get_mut().has_read) {
                self.0.flush().expect("an open connection");
            }
            seen(payload(&message));
            self.0.write(message).expect("an open connection");
        }
        // Once per `go`, which runs often only while results are verified.
        self.0.flush().expect("an open connection");
        messages
    }
}

struct Handshake(Socket);

impl Go for Handshake {
    fn go(&mut self, messages: usize, _: impl FnMut(&[u8])) -> usize {
        for _ in 0..messages {
            let stream = Stream { socket: self.0.clone(), has_read: false };
            let start = ServerHandshake::start(stream, NoCallback, Some(config()));
            match start.handshake() {
                Ok(open) => drop(std::hint::black_box(open)),
                Err(HandshakeError::Interrupted(_) | HandshakeError::Failure(_)) => panic!("a browser's request"),
            }
        }
        messages
    }
}

fn payload(message: &Message) -> &[u8] {
    match message {
        Message::Text(text) => text.as_bytes(),
        Message::Binary(data) => data,
        _ => panic!("only messages are on the tape"),
    }
}
