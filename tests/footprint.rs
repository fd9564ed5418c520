//! What a connection costs in memory, counted by the allocator.
#![expect(unsafe_code, reason = "a global allocator that counts is an unsafe trait's implementation")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Buf;
use websocket_proto::frame::{FrameHeader, Opcode};
use websocket_proto::{Accept, ClientRequest, Config, Connection, Event, Input, Output, Reject, Role, State};

/// Counts what the current thread allocates: tests run beside each other.
struct Counting;

#[derive(Clone, Copy)]
struct Heap {
    allocations: usize,
    live: isize,
    peak: isize,
}

thread_local! {
    static HEAP: Cell<Heap> = const { Cell::new(Heap { allocations: 0, live: 0, peak: 0 }) };
}

fn count(grown: isize) {
    // A thread that is ending has nothing left to count.
    let _ = HEAP.try_with(|heap| {
        let mut now = heap.get();
        now.allocations += usize::from(grown > 0);
        now.live += grown;
        now.peak = now.peak.max(now.live);
        heap.set(now);
    });
}

// SAFETY: every call goes to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `work`; returns what it gave, how many allocations it made, the bytes it still holds and the most it held.
fn measure<T>(work: impl FnOnce() -> T) -> (T, usize, isize, isize) {
    let before = HEAP.get();
    HEAP.set(Heap { peak: before.live, ..before });
    let result = work();
    let after = HEAP.get();
    (result, after.allocations - before.allocations, after.live - before.live, after.peak - before.live)
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const KEY: [u8; 4] = [1, 2, 3, 4];

fn frame(fin: bool, opcode: Opcode, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader { fin, rsv: 0, opcode, mask, payload_len: payload.len() as u64 };
    let masked = payload.iter().enumerate().map(|(i, byte)| byte ^ mask.map_or(0, |key| key[i % 4]));
    header.encode().as_ref().iter().copied().chain(masked).collect()
}

/// Gives the bytes to the connection in pieces of at most `piece`; owned messages are dropped at once.
fn deliver(ws: &mut Connection, bytes: &mut [u8], piece: usize, output: &mut Output) -> usize {
    let mut events = 0;
    for piece in bytes.chunks_mut(piece) {
        let mut input = Input::new(piece);
        while let Some(event) = ws.receive(&mut input, output) {
            events += 1;
            match event {
                Event::Request(request) => ws.accept(request, output),
                Event::Text(text) => ws.send_text(&text, output).expect("open"),
                Event::Binary(data) => ws.send_binary(&data, output).expect("open"),
                _ => {}
            }
        }
    }
    events
}

fn open_server(config: Config) -> Connection {
    let mut ws = Connection::server(config);
    deliver(&mut ws, &mut REQUEST.to_vec(), usize::MAX, &mut Output::new());
    assert_eq!(ws.state(), State::Open);
    ws
}

fn open_client() -> Connection {
    open_client_with(Config::new())
}

fn open_client_with(config: Config) -> Connection {
    let mut output = Output::new();
    let request = ClientRequest::new("ws://localhost/");
    let mut ws = Connection::client(&request, config, [0; 32], &mut output).expect("the request is valid");
    let head = output.copy_to_bytes(output.remaining());
    let head = std::str::from_utf8(&head).expect("a request is text");
    let key = head.split_once("Sec-WebSocket-Key: ").and_then(|(_, rest)| rest.split_once("\r\n")).expect("a key").0;
    let accept = websocket_proto::handshake::accept_key(key.as_bytes());
    let mut response = b"HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ".to_vec();
    response.extend_from_slice(&accept);
    response.extend_from_slice(b"\r\n\r\n");
    deliver(&mut ws, &mut response, usize::MAX, &mut output);
    assert_eq!(ws.state(), State::Open);
    ws
}

#[test]
fn sizes() {
    fn can_cross_threads<T: Send + Sync + 'static>() {}
    can_cross_threads::<(Connection, Output, Event<'static>, Config, ClientRequest)>();
    assert!(size_of::<Connection>() <= 128, "Connection: {}", size_of::<Connection>());
    assert!(size_of::<Option<Event<'_>>>() <= 32, "Option<Event>: {}", size_of::<Option<Event<'_>>>());
    assert!(size_of::<Output>() <= 64, "Output: {}", size_of::<Output>());
}

/// Receiving and echoing messages that lie whole in the input allocates nothing, whatever their size and kind.
#[test]
fn whole_messages_allocate_nothing() {
    for (mut ws, mask) in [(open_server(Config::new()), Some(KEY)), (open_client(), None)] {
        let text = "aé€😀".repeat(10_000);
        let mut bytes = Vec::new();
        for len in [0, 1, 125, 126, 1000, 65_535, 65_536, 100_000] {
            bytes.extend(frame(true, Opcode::Binary, mask, &vec![0xff; len]));
            bytes.extend(frame(true, Opcode::Text, mask, &text.as_bytes()[..len - len % 10]));
            bytes.extend(frame(true, Opcode::Ping, mask, b"ping"));
            bytes.extend(frame(true, Opcode::Pong, mask, b""));
        }
        let mut output = Output::new();
        // The output grows once and keeps what it has until it is drained.
        deliver(&mut ws, &mut bytes.clone(), usize::MAX, &mut output);
        output.advance(output.len() - 1);
        let (events, allocations, held, _) = measure(|| deliver(&mut ws, &mut bytes, usize::MAX, &mut output));
        assert_eq!((events, allocations, held), (32, 0, 0), "{:?}", ws.role());
    }
}

/// A server holds nothing on the heap between messages, whatever came before and however it was cut.
#[test]
fn an_idle_server_holds_nothing() {
    let mut session = REQUEST.to_vec();
    session.extend(frame(false, Opcode::Text, Some(KEY), "€uro".as_bytes()));
    session.extend(frame(true, Opcode::Ping, Some(KEY), &[7; 125]));
    session.extend(frame(true, Opcode::Continuation, Some(KEY), &[b'x'; 5000]));
    session.extend(frame(true, Opcode::Binary, Some(KEY), &[1; 5000]));
    for piece in [1, 2, 7, 100, usize::MAX] {
        let mut bytes = session.clone();
        let (ws, allocations, held, _) = measure(|| {
            let (mut ws, mut output) = (Connection::server(Config::new()), Output::new());
            assert_eq!(deliver(&mut ws, &mut bytes, piece, &mut output), 4);
            ws
        });
        assert_eq!(ws.state(), State::Open);
        assert_eq!(held, 0, "in pieces of {piece}");
        assert!(allocations > 0, "the counter counts");
    }
}

/// With a subprotocol there is a place for its name, and the name.
#[test]
fn an_idle_server_with_a_subprotocol_holds_its_name() {
    const NAME: &str = "chat";
    let offer = format!("Sec-WebSocket-Protocol: {NAME}\r\n\r\n");
    let mut head = [&REQUEST[..REQUEST.len() - 2], offer.as_bytes()].concat();
    let (ws, _, held, _) = measure(|| {
        let (mut ws, mut output) = (Connection::server(Config::new()), Output::new());
        let mut input = Input::new(&mut head);
        let Some(Event::Request(request)) = ws.receive(&mut input, &mut output) else { panic!("no request") };
        ws.accept_with(request, &Accept::new().subprotocol(NAME), &mut output).expect("it was offered");
        assert_eq!(ws.receive(&mut input, &mut output), None);
        ws
    });
    assert_eq!(ws.subprotocol(), Some(NAME));
    assert!(held <= (200 + NAME.len()).cast_signed(), "{held}");
}

/// A client holds its generator of mask keys, and nothing else.
#[test]
fn an_idle_client_holds_its_keys() {
    let (ws, _, held, _) = measure(|| {
        let mut ws = open_client();
        deliver(&mut ws, &mut frame(true, Opcode::Binary, None, &[1; 5000]), 100, &mut Output::new());
        ws
    });
    assert!(held <= 520, "{held} bytes, {:?}", ws.state());
}

/// After the end nothing is held but what the last event says, and a buffer given back too late is not kept.
#[test]
fn an_ended_connection_holds_nothing() {
    let mut session = frame(false, Opcode::Binary, None, &[1; 5000]);
    session.extend(frame(true, Opcode::Close, None, b"\x03\xe8"));
    let (ws, _, held, _) = measure(|| {
        let mut ws = open_client();
        deliver(&mut ws, &mut session, 1000, &mut Output::new());
        assert_eq!(ws.state(), State::Closing);
        assert!(matches!(ws.receive_eof(), Some(Event::Closed(_))));
        ws.recycle(vec![0; 5000]);
        ws
    });
    assert_eq!(held, 0, "{:?}", ws.state());
}

/// A buffer grows by doubling, and never beyond what the limit lets arrive.
#[test]
fn a_growing_message_moves_seldom_and_keeps_to_the_limit() {
    const LIMIT: usize = 64 << 10;
    for opcode in [Opcode::Text, Opcode::Binary] {
        let mut ws = open_server(Config::new().max_message_size(LIMIT));
        let mut bytes = frame(false, opcode, Some(KEY), &vec![b'x'; LIMIT / 2 + 1]);
        bytes.extend(frame(false, Opcode::Continuation, Some(KEY), b"x").repeat(LIMIT / 2 - 1));
        let (_, allocations, held, peak) = measure(|| deliver(&mut ws, &mut bytes, 1, &mut Output::new()));
        assert!(allocations < 40, "{allocations}");
        assert!(held <= (LIMIT + 256).cast_signed() && peak <= (2 * LIMIT + 256).cast_signed(), "{held}, {peak}");
    }
}

/// A drained output keeps a buffer that is worth keeping, and frees a larger one.
#[test]
fn a_drained_output_frees_what_is_large() {
    let mut ws = open_server(Config::new());
    for (len, kept) in [(60_000, true), (200_000, false)] {
        let data = vec![0; len];
        let (output, _, held, _) = measure(|| {
            let mut output = Output::new();
            ws.send_binary(&data, &mut output).expect("open");
            output.advance(output.len());
            output
        });
        assert_eq!(held > 0, kept, "{len}: {held} held, {} waiting", output.len());
    }
}

/// An output that is never quite empty, as the backlog of a slow peer, holds what waits and not what was written.
#[test]
fn what_is_written_does_not_pile_up() {
    let extensions = b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let mut request = [&REQUEST[..REQUEST.len() - 2], extensions].concat();
    #[cfg(feature = "deflate")]
    let config = Config::new().deflate(websocket_proto::Deflate::new());
    #[cfg(not(feature = "deflate"))]
    let config = Config::new();
    for (mut ws, len) in [(open_server(Config::new()), 1002), (Connection::server(config), 200)] {
        let mut output = Output::new();
        if ws.state() == State::Connecting {
            deliver(&mut ws, &mut request, usize::MAX, &mut output);
        }
        ws.send_binary(&[7; 1000], &mut output).expect("open");
        let ((), _, held, _) = measure(|| {
            for _ in 0..10_000 {
                ws.send_binary(&[7; 1000], &mut output).expect("open");
                output.advance(output.len() - 1);
            }
        });
        assert!(held <= 4 * (len + 1000), "{held}");
    }
}

/// A recycled buffer is used for the next message that is gathered.
#[test]
fn a_recycled_buffer_serves_again() {
    for opcode in [Opcode::Text, Opcode::Binary] {
        let mut ws = open_server(Config::new());
        let mut bytes = frame(true, opcode, Some(KEY), &[1; 5000]);
        let (head, tail) = bytes.split_at_mut(2500);
        let mut output = Output::new();
        let mut receive = |head: &mut [u8], tail: &mut [u8]| {
            assert!(ws.receive(&mut Input::new(head), &mut output).is_none());
            match ws.receive(&mut Input::new(tail), &mut output) {
                Some(Event::Text(text)) => ws.recycle(text.into_owned().into_bytes()),
                Some(Event::Binary(data)) => ws.recycle(data.into_owned()),
                event => panic!("{event:?}"),
            }
        };
        receive(&mut head.to_vec(), &mut tail.to_vec());
        let (mut head, mut tail) = (head.to_vec(), tail.to_vec());
        let ((), _, held, peak) = measure(|| receive(&mut head, &mut tail));
        assert_eq!(held, 0, "the buffer went in and came back");
        assert!(peak < 256, "only the message's own bookkeeping is new: {peak}");
    }
}

/// Where nothing is given back, nothing is kept.
#[test]
fn no_buffer_is_no_spare() {
    let mut ws = open_server(Config::new());
    let ((), allocations, _, _) = measure(|| ws.recycle(Vec::new()));
    assert_eq!(allocations, 0);
}

/// The header of a control frame announces bytes, too, and brings none.
#[test]
fn a_header_alone_holds_nothing() {
    let mut ws = open_server(Config::new());
    let mut header = frame(true, Opcode::Ping, Some(KEY), &[1; 125])[..6].to_vec();
    let (_, allocations, _, _) = measure(|| deliver(&mut ws, &mut header, usize::MAX, &mut Output::new()));
    assert_eq!(allocations, 0);
}

/// Nothing is reserved for bytes that were only announced, in a frame, over fragments, or in a head.
#[test]
fn memory_follows_what_arrived() {
    // Much, and no more than the address space has for it where addresses have 32 bits.
    const ANNOUNCED: u64 = 1 << 28;
    for (opcode, received) in
        [Opcode::Text, Opcode::Binary].into_iter().flat_map(|o| [0, 1, 100, 10_000].map(|n| (o, n)))
    {
        let mut ws = open_server(Config::new().max_message_size(usize::MAX));
        let header = FrameHeader { fin: true, rsv: 0, opcode, mask: Some([0; 4]), payload_len: ANNOUNCED };
        let mut bytes = header.encode().as_ref().to_vec();
        bytes.resize(bytes.len() + received, b'x');
        for piece in [1, 1000, usize::MAX] {
            let (_, _, held, _) = measure(|| deliver(&mut ws, &mut bytes.clone(), piece, &mut Output::new()));
            let most = 2 * received + 256;
            assert!(held <= most.cast_signed(), "{opcode:?}: {received} bytes received, {held} held");
            assert_eq!(ws.state(), State::Open, "it waits for more");
            ws = open_server(Config::new().max_message_size(usize::MAX));
        }
    }
}

#[path = "footprint/attacks.rs"]
mod attacks;

#[path = "footprint/backpressure.rs"]
mod backpressure;

#[cfg(feature = "deflate")]
#[path = "footprint/deflate.rs"]
mod deflate;

#[path = "footprint/endings.rs"]
mod endings;
