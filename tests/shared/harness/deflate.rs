//! permessage-deflate: any bytes as compressed messages, and any messages through our own compressor.

use websocket_proto::{Config, Connection, Deflate, DeflateParameter, Event, Input, MessageKind, Output, Role};

use super::bytes::Bytes;
use super::parts::Parts;
use super::wired::{self, drain};

/// The bits of an input's first byte.
pub mod flag {
    /// Receives arbitrary bytes, instead of sending messages.
    pub const RECEIVE: u8 = 0x01;
    /// The receiver is a client.
    pub const CLIENT: u8 = 0x02;
    /// Limits that are soon reached.
    pub const SMALL: u8 = 0x04;
    /// The application sends every message back.
    pub const ECHO: u8 = 0x08;
}

/// The bits of the first byte of a received frame; its payload's length and its payload follow.
pub mod frame {
    /// A binary message instead of text, if a message starts here.
    pub const BINARY: u8 = 0x01;
    /// A ping instead of a part of a message.
    pub const PING: u8 = 0x02;
    /// The frame's first byte is the byte that follows, legal or not.
    pub const RAW: u8 = 0x04;
    pub const COMPRESSED: u8 = 0x40;
    pub const FIN: u8 = 0x80;
}

/// The bits of the first byte of a message to send; its payload's length and its payload follow.
pub mod operation {
    pub const BINARY: u8 = 0x01;
    pub const SERVER: u8 = 0x02;
    /// By the other pair, with the same outputs.
    pub const OTHER: u8 = 0x04;
    pub const UNCOMPRESSED: u8 = 0x08;
    /// The payload is repeated.
    pub const LONG: u8 = 0x10;
    /// In fragments; the byte that follows is their size.
    pub const FRAGMENTS: u8 = 0x20;
    /// With a ping after each fragment, or one before the message.
    pub const PING: u8 = 0x40;
}

/// How often a [`LONG`](operation::LONG) payload is repeated: at its longest it exceeds every window.
const REPEATED: usize = 300;

const SMALL_LIMIT: usize = 300;

/// The limit of [`Config::new`].
const DEFAULT_LIMIT: usize = 1 << 20;

/// The number of bytes that choose a [`Deflate`].
pub const WISH: usize = 6;

/// The first byte chooses the property; the client's and the server's `Deflate` and the cuts come next.
pub fn deflate(data: &[u8]) {
    let mut data = Bytes::new(data);
    let flags = data.byte();
    let wishes = [wish(data.array()), wish(data.array())];
    let cuts: [u8; 2] = data.array();
    if flags & flag::RECEIVE != 0 {
        receive_any_bytes(flags, wishes, cuts, &mut data);
    } else {
        round_trips(&wishes, cuts, &mut data);
    }
}

/// Level, memory level, window, the peer's window, threshold and whether it is shared, and the four parameters.
pub(super) fn wish([level, memory, own, peer, threshold, parameters]: [u8; WISH]) -> Deflate {
    let parameter = |shift: u8| match parameters >> shift & 3 {
        0 => DeflateParameter::Allow,
        1 => DeflateParameter::Prefer,
        2 => DeflateParameter::Require,
        _ => DeflateParameter::Reject,
    };
    let wish = Deflate::new()
        .level(level % 10)
        .memory_level(1 + memory % 9)
        .window_bits(8 + own % 8)
        .peer_window_bits(8 + peer % 8)
        .threshold((threshold >> 1).into())
        .server_no_context_takeover(parameter(0))
        .client_no_context_takeover(parameter(2))
        .server_max_window_bits(parameter(4))
        .client_max_window_bits(parameter(6));
    if threshold & 1 != 0 { wish.shared() } else { wish }
}

/// Both ends of an open connection, or `None` if the client fails the handshake.
fn open(wishes: &[Deflate; 2], config: &Config) -> Option<[Connection; 2]> {
    let [client, server] = wishes.clone().map(|wish| config.clone().deflate(wish));
    let (server, client) = wired::try_open(server, client).ok()?;
    assert_eq!(client.uses_deflate(), server.uses_deflate());
    Some([client, server])
}

/// Whatever is received, cuts make no difference, no message is longer than the limit, and other connections work on.
fn receive_any_bytes(flags: u8, wishes: [Deflate; 2], cuts: [u8; 2], data: &mut Bytes<'_>) {
    let role = if flags & flag::CLIENT != 0 { Role::Client } else { Role::Server };
    let limit = if flags & flag::SMALL != 0 { SMALL_LIMIT } else { DEFAULT_LIMIT };
    let setup = Setup { role, is_echoing: flags & flag::ECHO != 0, wishes, limit };
    let stream = frames(role == Role::Server, data);
    let Some((whole, _)) = setup.run(&[&stream], 0) else { return };
    let part_size = 4 + usize::from(cuts[0]) * 8;
    let (in_parts, unfinished) = setup.run(&[&stream], part_size).expect("the handshake succeeded before");
    assert!(in_parts == whole, "in parts of {part_size}: {in_parts:x?}\nwhole: {whole:x?}");
    for pieces in [super::stream::pieces(&stream, &cuts), stream.chunks(1).collect()] {
        let (cut, _) = setup.run(&pieces, 0).expect("the handshake succeeded before");
        assert!(cut == whole, "in pieces: {pieces:x?}\n{cut:x?}\nwhole: {whole:x?}");
        let (cut, rest) = setup.run(&pieces, part_size).expect("the handshake succeeded before");
        assert!(cut == whole, "in pieces: {pieces:x?}, parts of {part_size}\n{cut:x?}\nwhole: {whole:x?}");
        assert_eq!(rest, unfinished, "in pieces: {pieces:x?}, parts of {part_size}");
    }
}

pub fn frames(masked: bool, data: &mut Bytes<'_>) -> Vec<u8> {
    let (mut stream, mut is_inside) = (Vec::new(), false);
    while let Some(kind) = data.next() {
        let first = if kind & frame::RAW != 0 {
            data.byte()
        } else if kind & frame::PING != 0 {
            0x89
        } else {
            let start = (1 + (kind & frame::BINARY)) | kind & frame::COMPRESSED;
            let is_continued = std::mem::replace(&mut is_inside, kind & frame::FIN == 0);
            kind & frame::FIN | if is_continued { 0 } else { start }
        };
        let payload = data.string();
        let payload = if kind & frame::PING != 0 { &payload[..payload.len().min(125)] } else { payload };
        stream.push(first);
        let mask = if masked { 0x80 } else { 0 };
        match payload.len() as u8 {
            len @ ..126 => stream.push(mask | len),
            len => stream.extend([mask | 0x7e, 0, len]),
        }
        // A key of zeros changes nothing.
        stream.extend(masked.then_some([0; 4]).into_iter().flatten());
        stream.extend(payload);
    }
    stream
}

struct Setup {
    role: Role,
    is_echoing: bool,
    wishes: [Deflate; 2],
    limit: usize,
}

/// The result of an input.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    events: Vec<Event<'static>>,
    output: Vec<u8>,
}

impl Setup {
    /// Also returns the message that is incomplete at the end. A `part_size` of 0 means whole messages.
    fn run(&self, pieces: &[&[u8]], part_size: usize) -> Option<(Outcome, Option<Event<'static>>)> {
        let mut config = Config::new().max_message_size(self.limit);
        if part_size > 0 {
            config = config.part_size(part_size);
        }
        let [client, server] = open(&self.wishes, &config)?;
        let mut parts = Parts::new(part_size);
        let mut ws = if self.role == Role::Client { client } else { server };
        let (mut output, mut events) = (Output::new(), Vec::new());
        for piece in pieces {
            let mut piece = piece.to_vec();
            let mut input = Input::new(&mut piece);
            while let Some(event) = ws.receive(&mut input, &mut output) {
                let Some(event) = parts.reassemble(event) else { continue };
                self.take(&mut ws, &event, &mut output);
                events.push(event.into_owned());
            }
            assert!(input.is_empty(), "None means that every byte was consumed");
        }
        events.extend(ws.receive_eof());
        assert!(ws.is_closed());
        let written = drain(&mut output);
        self.check_neighbour(&mut output);
        Some((Outcome { events, output: written }, parts.unfinished))
    }

    fn take(&self, ws: &mut Connection, event: &Event<'_>, output: &mut Output) {
        let (len, sent) = match event {
            Event::Text(text) if self.is_echoing => (text.len(), ws.send_text(text, output)),
            Event::Binary(data) if self.is_echoing => (data.len(), ws.send_binary(data, output)),
            Event::Text(text) => (text.len(), Ok(())),
            Event::Binary(data) => (data.len(), Ok(())),
            _ => return,
        };
        sent.expect("messages arrive before the end");
        assert!(len <= self.limit, "a message of {len} bytes, and the limit is {}", self.limit);
    }

    /// Another connection that uses the same output, and with it the shared compressor, works as before.
    fn check_neighbour(&self, output: &mut Output) {
        let Some([client, server]) = open(&self.wishes, &Config::new()) else { return };
        let (mut ws, mut peer) = if self.role == Role::Client { (client, server) } else { (server, client) };
        let text = "a message that is well, a message that is well, a message that is well, a message";
        let mut sent = Output::new();
        peer.send_text(text, &mut sent).expect("the connection is open");
        let event = ws.receive(&mut Input::new(&mut drain(&mut sent)), output).map(Event::into_owned);
        assert_eq!(event, Some(Event::Text(text.into())), "after another's fault");
    }
}

/// Messages arrive unchanged over two pairs of connections, which share their compressors if configured to.
fn round_trips(wishes: &[Deflate; 2], cuts: [u8; 2], data: &mut Bytes<'_>) {
    let config = Config::new().max_fragments(u32::MAX);
    let (Some(pair), Some(other)) = (open(wishes, &config), open(wishes, &config)) else { return };
    let (mut pairs, mut outputs) = ([pair, other], [Output::new(), Output::new()]);
    // Enough long payloads to see their effect, few enough to be fast.
    let mut long = 4;
    while let Some(operation) = data.next() {
        let has = |flag| operation & flag != 0;
        let size = if has(operation::FRAGMENTS) { data.byte() } else { 0 };
        let is_long = has(operation::LONG) && long > 0;
        long -= u8::from(is_long);
        let payload = data.string().repeat(if is_long { REPEATED } else { 1 });
        let [client, server] = &mut pairs[usize::from(has(operation::OTHER))];
        let [to_server, to_client] = &mut outputs;
        // Each side has one output for everything that it sends and receives.
        let (sender, receiver, out, back) = if has(operation::SERVER) {
            (server, client, to_client, to_server)
        } else {
            (client, server, to_server, to_client)
        };
        let message = send(sender, operation, size, &payload, out);
        let received = receive(receiver, &drain(out), &cuts, back);
        assert!(received == [message], "{} messages, of {} bytes", received.len(), payload.len());
        drain(back);
    }
}

/// Sends a message; returns it as it must arrive.
fn send(ws: &mut Connection, operation: u8, size: u8, payload: &[u8], output: &mut Output) -> Event<'static> {
    let has = |flag| operation & flag != 0;
    let text = String::from_utf8_lossy(payload).into_owned();
    let (kind, payload) =
        if has(operation::BINARY) { (MessageKind::Binary, payload) } else { (MessageKind::Text, text.as_bytes()) };
    if has(operation::PING) {
        ws.ping(b"?", output).expect("the connection is open");
    }
    let sent = match (kind, has(operation::UNCOMPRESSED)) {
        _ if has(operation::FRAGMENTS) => {
            // A long message in tiny fragments costs more time than it shows.
            let size = usize::from(size).max(1 + payload.len() / 64);
            let fragments = payload.chunks(size);
            fragments.for_each(|fragment| {
                ws.send_fragment(kind, fragment, false, output).expect("the connection is open");
                if has(operation::PING) {
                    ws.ping(fragment.get(..9).unwrap_or_default(), output).expect("the connection is open");
                }
            });
            ws.send_fragment(kind, b"", true, output)
        }
        (MessageKind::Text, false) => ws.send_text(&text, output),
        (MessageKind::Text, true) => ws.send_text_uncompressed(&text, output),
        (MessageKind::Binary, false) => ws.send_binary(payload, output),
        (MessageKind::Binary, true) => ws.send_binary_uncompressed(payload, output),
    };
    sent.expect("the connection is open");
    match kind {
        MessageKind::Text => Event::Text(text.into()),
        MessageKind::Binary => Event::Binary(payload.to_vec().into()),
    }
}

/// The messages received from these bytes; pings are ignored, and any other event panics.
fn receive(ws: &mut Connection, bytes: &[u8], cuts: &[u8], output: &mut Output) -> Vec<Event<'static>> {
    let mut messages = Vec::new();
    // Short inputs are cut; long ones arrive in few reads.
    let pieces = if bytes.len() < 1000 { super::stream::pieces(bytes, cuts) } else { bytes.chunks(4096).collect() };
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut input = Input::new(&mut piece);
        while let Some(event) = ws.receive(&mut input, output) {
            match event {
                Event::Ping(_) => {}
                Event::Text(_) | Event::Binary(_) => messages.push(event.into_owned()),
                event => panic!("{event:?}"),
            }
        }
    }
    messages
}
