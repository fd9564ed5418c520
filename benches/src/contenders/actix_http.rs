//! actix-http 3.20: `ws::Codec` over `BytesMut`, as in its dispatcher.
//!
//! `actix-ws` and applications reassemble fragments and check UTF-8, so this file does both: with simdutf8, over the
//! whole message. The read buffer has 64 KiB and is reused when it is empty; one buffer collects the writes of a batch,
//! or of a read. Payloads are `Bytes`, so that passing one costs a reference. Its handshake needs its runtime, so it is
//! not measured; no compression.

use actix_http::ws::{Codec, Frame, Item, Message};
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use tokio_util::codec::{Decoder, Encoder};

use super::always_ready::AlwaysReady;
use super::batches::Batches;
use crate::contender::{Contender, Go, Idle, Run};
use crate::socket::Socket;
use crate::work::{MAX_MESSAGE, READ, Task, Work};

pub struct ActixHttp;

impl Contender for ActixHttp {
    fn name(&self) -> &'static str {
        "actix-http"
    }

    fn start(&self, work: &Work, socket: Socket) -> Option<Box<dyn Run>> {
        let server = Codec::new().max_size(MAX_MESSAGE);
        Some(match work.task {
            Task::Decode | Task::DecodeFragments => Box::new(Decode(Reader::new(server, socket))),
            Task::EncodeServer => Box::new(Encode::new(server, work, socket)),
            Task::EncodeClient => Box::new(Encode::new(server.client_mode(), work, socket)),
            Task::Echo => Box::new(Echo(Reader::new(server, socket), BytesMut::new())),
            Task::Handshake | Task::Deflate | Task::Inflate => return None,
        })
    }

    fn idle(&self) -> Option<Idle> {
        Some(Idle { state: size_of::<Codec>(), heap: 0 })
    }
}

struct Reader {
    codec: Codec,
    socket: AlwaysReady,
    buffer: BytesMut,
    /// The fragments of the message in progress, and whether it is text.
    fragments: Vec<u8>,
    is_text: bool,
}

impl Reader {
    fn new(codec: Codec, socket: Socket) -> Self {
        let buffer = BytesMut::with_capacity(READ);
        Self { codec, socket: AlwaysReady(socket), buffer, fragments: Vec::new(), is_text: false }
    }

    /// Reads once and handles every complete message.
    #[inline]
    fn read(&mut self, mut handle: impl FnMut(&mut Codec, Message)) {
        let reclaimed = self.buffer.is_empty() && self.buffer.try_reclaim(READ);
        if !reclaimed && self.buffer.capacity() - self.buffer.len() < 4096 {
            self.buffer.reserve(READ);
        }
        let count = self.socket.read(self.buffer.spare_capacity_mut());
        // SAFETY: the socket has written to these bytes.
        unsafe { self.buffer.set_len(self.buffer.len() + count) };
        while let Some(frame) = self.codec.decode(&mut self.buffer).expect("frames") {
            let (is_text, whole) = match frame {
                Frame::Text(text) => (true, text),
                Frame::Binary(data) => (false, data),
                Frame::Continuation(item) => match self.gather(item) {
                    Some(whole) => (self.is_text, whole),
                    None => continue,
                },
                Frame::Ping(_) | Frame::Pong(_) | Frame::Close(_) => panic!("only messages are on the tape"),
            };
            let message = if is_text {
                simdutf8::basic::from_utf8(&whole).expect("text");
                // SAFETY: it was just validated.
                Message::Text(unsafe { ByteString::from_bytes_unchecked(whole) })
            } else {
                Message::Binary(whole)
            };
            handle(&mut self.codec, message);
        }
    }

    fn gather(&mut self, item: Item) -> Option<Bytes> {
        let (fragment, is_last) = match item {
            Item::FirstText(fragment) => {
                self.is_text = true;
                (fragment, false)
            }
            Item::FirstBinary(fragment) => {
                self.is_text = false;
                (fragment, false)
            }
            Item::Continue(fragment) => (fragment, false),
            Item::Last(fragment) => (fragment, true),
        };
        assert!(self.fragments.len() + fragment.len() <= MAX_MESSAGE);
        self.fragments.extend_from_slice(&fragment);
        is_last.then(|| std::mem::take(&mut self.fragments).into())
    }
}

struct Decode(Reader);

impl Go for Decode {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        let mut done = 0;
        while done < messages {
            self.0.read(|_, message| {
                seen(payload(&message));
                done += 1;
            });
        }
        done
    }
}

struct Echo(Reader, BytesMut);

impl Go for Echo {
    fn go(&mut self, messages: usize, mut seen: impl FnMut(&[u8])) -> usize {
        let Self(reader, out) = self;
        let mut done = 0;
        while done < messages {
            reader.read(|codec, message| {
                seen(payload(&message));
                codec.encode(message, out).expect("a message");
                done += 1;
            });
            if !out.is_empty() {
                reader.socket.0.write(out);
                out.clear();
            }
        }
        done
    }
}

struct Encode {
    codec: Codec,
    socket: Socket,
    out: BytesMut,
    batches: Batches<Bytes>,
}

impl Encode {
    fn new(codec: Codec, work: &Work, socket: Socket) -> Self {
        assert!(!work.is_text(), "no row has text for it to send");
        let batches = Batches::new(work, |payload| payload.bytes().clone());
        Self { codec, socket, out: BytesMut::new(), batches }
    }
}

impl Go for Encode {
    fn go(&mut self, messages: usize, _: impl FnMut(&[u8])) -> usize {
        let (count, messages) = self.batches.count(messages);
        for _ in 0..count {
            for payload in self.batches.next() {
                self.codec.encode(Message::Binary(payload.clone()), &mut self.out).expect("a message");
            }
            self.socket.write(&self.out);
            self.out.clear();
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
