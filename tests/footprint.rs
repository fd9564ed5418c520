//! The memory of connections and outputs, counted by the allocator.

mod shared;

#[cfg(feature = "std")]
use std::{io::Write, time::Instant};

use bytes::Buf;
use shared::allocator::{Allocator, measure};
use shared::frames::encode;
use shared::handshake::{self, OFFER, REQUEST, request_with};
use shared::wired::drain;
use websocket_proto::frame::{FrameHeader, Opcode};
#[cfg(feature = "std")]
use websocket_proto::handshake::Negotiated;
use websocket_proto::{Accept, ClientRequest, Config, Connection, Event, Input, Output, Reject, Role, State, Timeout};
#[cfg(feature = "std")]
use websocket_proto::{Action, PreparedMessage, Session, SessionConfig, Timers};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

const KEY: [u8; 4] = [1, 2, 3, 4];

fn frame(fin: bool, opcode: Opcode, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
    encode(u8::from(fin) << 7 | opcode as u8, mask, payload)
}

/// Gives the bytes to the connection in pieces of at most `piece`, and echoes messages; returns the number of events.
fn deliver(ws: &mut Connection, bytes: &mut [u8], piece: usize, output: &mut Output) -> usize {
    let mut events = 0;
    for piece in bytes.chunks_mut(piece) {
        let mut input = Input::new(piece);
        while let Some(event) = ws.receive(&mut input, output) {
            events += 1;
            match event {
                Event::Request(request) => ws.accept(request, output),
                Event::Text(text) => ws.send_text(&text, output).expect("the connection is open"),
                Event::Binary(data) => ws.send_binary(&data, output).expect("the connection is open"),
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

fn start_client(config: Config, output: &mut Output) -> Connection {
    let request = ClientRequest::new("ws://localhost/");
    Connection::client(&request, config, [0; 32], output).expect("the request is valid")
}

fn open_client_with(config: Config) -> Connection {
    open_client_answered(config, "", &mut Output::new())
}

/// An open client whose response had these additional headers.
fn open_client_answered(config: Config, headers: &str, output: &mut Output) -> Connection {
    let mut ws = start_client(config, output);
    let mut response = response_to(output, headers);
    deliver(&mut ws, &mut response, usize::MAX, output);
    assert_eq!(ws.state(), State::Open);
    ws
}

/// The response that opens the connection of the client whose request waits in the output.
fn response_to(output: &mut Output, headers: &str) -> Vec<u8> {
    handshake::response_to(str::from_utf8(&drain(output)).expect("a request is text"), headers)
}

#[test]
fn types_have_at_most_their_documented_sizes() {
    fn can_cross_threads<T: Send + Sync + 'static>() {}
    can_cross_threads::<(Connection, Output, Event<'static>, Config, ClientRequest)>();
    assert!(size_of::<Connection>() <= 128, "Connection: {}", size_of::<Connection>());
    assert!(size_of::<Option<Event<'_>>>() <= 32, "Option<Event>: {}", size_of::<Option<Event<'_>>>());
    assert!(size_of::<Output>() <= 64, "Output: {}", size_of::<Output>());
}

/// A session with traffic behind it, and with a backlog that was written, holds nothing; the output is the loop's.
#[cfg(feature = "std")]
#[test]
fn an_idle_session_holds_nothing() {
    let mut output = Output::new();
    output.append(&mut start_output());
    let (session, _, held, _) = measure(|| {
        let ws = Connection::upgraded(Role::Server, Negotiated::default(), Config::new(), [0; 32]);
        let mut session = Session::new(0_u64, ws, SessionConfig::none());
        let mut full = Full { room: 100 };
        for payload in [&[b'x'; 1000][..], b"short"] {
            let mut bytes = frame(true, Opcode::Text, Some(KEY), payload);
            let mut input = Input::from_read(&mut bytes);
            while let Some(Event::Text(text)) = session.receive(&mut input, &mut output) {
                session.connection_mut().send_text(&text, &mut output).expect("the connection is open");
            }
            assert!(matches!(
                session.poll(0, &mut output, |slices| full.write_vectored(slices)),
                Action::Wait { write: true, .. }
            ));
        }
        assert!(matches!(session.poll_writer(1, &mut output, &mut std::io::sink()), Action::Wait { write: false, .. }));
        session
    });
    assert!(!session.connection().is_closed() && output.is_empty());
    assert!(held <= 0, "{held}");
    let replaces = size_of::<(Connection, Timers<Instant>, Output)>();
    assert!(size_of::<Session<Instant>>() <= replaces + 16, "{} {replaces}", size_of::<Session<Instant>>());
}

/// However large the buffer was in which a backlog was written, it keeps at most twice the bytes that wait.
#[cfg(feature = "std")]
#[test]
fn a_backlog_keeps_no_more_than_its_bytes_need() {
    for room in [0, 1, 60_000, 65_000] {
        let (session, _, held, _) = measure(|| {
            let ws = Connection::upgraded(Role::Server, Negotiated::default(), Config::new(), [0; 32]);
            let mut session = Session::new(0_u64, ws, SessionConfig::none());
            let (mut full, mut output) = (Full { room: 100 }, Output::new());
            session.connection_mut().send_text(&"x".repeat(64 << 10), &mut output).expect("the connection is open");
            for room in [100, room] {
                full.room = room;
                let action = session.poll(0, &mut output, |slices| full.write_vectored(slices));
                assert!(matches!(action, Action::Wait { write: true, .. }));
            }
            session
        });
        let (held, allowed) = (held.unsigned_abs(), (2 * session.waiting()).max(1 << 10) + 64);
        assert!(held <= allowed, "{held} bytes for {}", session.waiting());
    }
}

/// A prepared message that waits is one reference, however long it is, in the backlog's lists.
#[cfg(feature = "std")]
#[test]
fn a_waiting_prepared_message_takes_its_documented_bytes() {
    for len in [1 << 10, 1 << 20] {
        let message = PreparedMessage::binary(&vec![7; len]);
        // The first reference allocates the count of all.
        open_server(Config::new()).send_prepared(&message, &mut Output::new()).expect("the connection is open");
        let (session, _, held, _) = measure(|| {
            let ws = Connection::upgraded(Role::Server, Negotiated::default(), Config::new(), [0; 32]);
            let mut session = Session::new(0_u64, ws, SessionConfig::none());
            let (mut full, mut output) = (Full { room: 100 }, Output::new());
            output.append(&mut start_output());
            session.connection_mut().send_prepared(&message, &mut output).expect("the connection is open");
            let action = session.poll(0, &mut output, |slices| full.write_vectored(slices));
            assert!(matches!(action, Action::Wait { write: true, .. }));
            session
        });
        assert!(session.waiting() > len - 100);
        assert!(held <= 248, "{held} bytes");
    }
}

/// A socket that accepts `room` bytes.
#[cfg(feature = "std")]
struct Full {
    room: usize,
}

#[cfg(feature = "std")]
impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let accepted = bytes.len().min(self.room);
        self.room -= accepted;
        if accepted > 0 { Ok(accepted) } else { Err(std::io::ErrorKind::WouldBlock.into()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An output with a buffer, as a loop has it after its first turns.
#[cfg(feature = "std")]
fn start_output() -> Output {
    let (mut ws, mut output) = (open_server(Config::new()), Output::new());
    ws.send_binary(&[0; 10_000], &mut output).expect("the connection is open");
    output.advance(10_000);
    output
}

/// Whole messages in the input, of any size and kind, are received and echoed without an allocation. The peer leaves
/// one byte unread.
#[test]
fn whole_messages_allocate_nothing() {
    for (mut ws, mask) in [(open_server(Config::new()), Some(KEY)), (open_client(), None)] {
        let text = "aé€😀".repeat(10_000);
        let mut frames = Vec::new();
        for len in [0, 1, 125, 126, 1000, 65_535, 65_536, 100_000] {
            frames.push(frame(true, Opcode::Binary, mask, &vec![0xff; len]));
            frames.push(frame(true, Opcode::Text, mask, &text.as_bytes()[..len - len % 10]));
            frames.push(frame(true, Opcode::Ping, mask, b"ping"));
            frames.push(frame(true, Opcode::Pong, mask, b""));
        }
        let mut output = Output::new();
        let mut echo = |frames: &mut [Vec<u8>]| {
            frames.iter_mut().fold(0, |events, frame| {
                let events = events + deliver(&mut ws, frame, usize::MAX, &mut output);
                output.advance(output.len() - 1);
                events
            })
        };
        // The output grows once and keeps its buffer.
        echo(&mut frames.clone());
        let (events, allocations, held, _) = measure(|| echo(&mut frames));
        assert_eq!((events, allocations, held), (32, 0, 0), "{:?}", ws.role());
    }
}

/// A server has nothing on the heap between messages, whatever it received before and however the input was cut.
#[test]
fn an_idle_server_has_nothing_on_the_heap() {
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

/// With a subprotocol the heap has a box for its name, and the name.
#[test]
fn an_idle_server_with_a_subprotocol_has_its_name_on_the_heap() {
    const NAME: &str = "chat";
    let offer = format!("Sec-WebSocket-Protocol: {NAME}\r\n");
    let mut head = request_with(&offer);
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

/// A client has its generator of mask keys on the heap, and nothing else.
#[test]
fn an_idle_client_has_only_its_mask_keys_on_the_heap() {
    let (ws, _, held, _) = measure(|| {
        let mut ws = open_client();
        deliver(&mut ws, &mut frame(true, Opcode::Binary, None, &[1; 5000]), 100, &mut Output::new());
        ws
    });
    assert!(held <= 520, "{held} bytes, {:?}", ws.state());
}

/// After the end, the status and reason of the peer's Close remain, and nothing else; a recycled buffer is freed.
#[test]
fn an_ended_connection_keeps_only_the_peers_close() {
    /// The box for the Close's status and reason.
    const PLACE: isize = 240;
    let longest = [b"\x03\xe8".as_slice(), &[b'r'; 123]].concat();
    for (body, most) in [(b"".as_slice(), PLACE), (b"\x03\xe8", PLACE), (&longest, PLACE + 123)] {
        for role in [Role::Server, Role::Client] {
            let mask = (role == Role::Server).then_some(KEY);
            let mut session = frame(false, Opcode::Binary, mask, &[1; 5000]);
            session.extend(frame(true, Opcode::Close, mask, body));
            let end = |ws: &mut Connection| {
                let mut piece = session.clone();
                deliver(ws, &mut piece, 1000, &mut Output::new());
                while ws.receive_eof().is_some() {}
                ws.recycle(vec![0; 5000]);
            };
            let (ws, _, held, _) = measure(|| {
                let mut ws = if role == Role::Server { open_server(Config::new()) } else { open_client() };
                end(&mut ws);
                ws
            });
            assert_eq!(ws.received_close().map(|(_, reason)| reason.len()), Some(body.len().saturating_sub(2)));
            assert!(held <= most, "{held} bytes as {role:?} after {body:x?}");
        }
    }
}

/// After an end without the peer's Close, nothing remains on the heap.
#[test]
fn a_failed_connection_has_nothing_on_the_heap() {
    let ends: [fn(&mut Connection); 3] = [
        |_| {},
        |ws| assert_eq!(deliver(ws, &mut b"\x83\x80\0\0\0\0".to_vec(), 1, &mut Output::new()), 1),
        |ws| ws.time_out(Timeout::KeepAlive, &mut Output::new()),
    ];
    for (end, role) in ends.into_iter().flat_map(|end| [(end, Role::Server), (end, Role::Client)]) {
        let (ws, _, held, _) = measure(|| {
            let mut ws = if role == Role::Server { open_server(Config::new()) } else { open_client() };
            end(&mut ws);
            while ws.receive_eof().is_some() {}
            ws
        });
        assert_eq!((held, ws.state()), (0, State::Closed));
    }
}

/// A message's buffer grows by doubling, up to the message limit.
#[test]
fn a_growing_message_doubles_its_buffer_up_to_the_limit() {
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

/// A drained output keeps a small buffer, and frees a large one.
#[test]
fn a_drained_output_frees_a_large_buffer() {
    let mut ws = open_server(Config::new());
    for (len, kept) in [(60_000, true), (200_000, false)] {
        let data = vec![0; len];
        let (output, _, held, _) = measure(|| {
            let mut output = Output::new();
            ws.send_binary(&data, &mut output).expect("the connection is open");
            output.advance(output.len());
            output
        });
        assert_eq!(held > 0, kept, "{len}: {held} held, {} waiting", output.len());
    }
}

/// An output that is never quite empty, like the backlog of a slow peer, has memory for its waiting bytes, not for
/// written ones.
#[test]
fn written_bytes_use_no_memory() {
    let mut request = request_with(OFFER);
    #[cfg(feature = "deflate")]
    let config = Config::new().deflate(websocket_proto::Deflate::new());
    #[cfg(not(feature = "deflate"))]
    let config = Config::new();
    for (mut ws, len) in [(open_server(Config::new()), 1002), (Connection::server(config), 200)] {
        let mut output = Output::new();
        if ws.state() == State::Connecting {
            deliver(&mut ws, &mut request, usize::MAX, &mut output);
        }
        ws.send_binary(&[7; 1000], &mut output).expect("the connection is open");
        let ((), _, held, _) = measure(|| {
            for _ in 0..10_000 {
                ws.send_binary(&[7; 1000], &mut output).expect("the connection is open");
                output.advance(output.len() - 1);
            }
        });
        assert!(held <= 4 * (len + 1000), "{held}");
    }
}

/// The next message that is reassembled uses the recycled buffer.
#[test]
fn the_next_message_uses_a_recycled_buffer() {
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
        assert_eq!(held, 0, "the message uses the recycled buffer");
        assert!(peak < 256, "only the message's own bookkeeping is new: {peak}");
    }
}

/// Recycling a `Vec` without a buffer allocates nothing.
#[test]
fn recycling_an_empty_vec_allocates_nothing() {
    let mut ws = open_server(Config::new());
    let ((), allocations, _, _) = measure(|| ws.recycle(Vec::new()));
    assert_eq!(allocations, 0);
}

/// The header of a control frame alone allocates nothing for the announced payload.
#[test]
fn a_control_header_alone_allocates_nothing() {
    let mut ws = open_server(Config::new());
    let mut header = frame(true, Opcode::Ping, Some(KEY), &[1; 125])[..6].to_vec();
    let (_, allocations, _, _) = measure(|| deliver(&mut ws, &mut header, usize::MAX, &mut Output::new()));
    assert_eq!(allocations, 0);
}

/// Memory is reserved for received bytes, not for announced ones: in a frame, over fragments, and in a head.
#[test]
fn announced_bytes_reserve_no_memory() {
    // Large, but within an address space of 32 bits.
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

#[path = "footprint/heads.rs"]
mod heads;

#[path = "footprint/peer.rs"]
mod peer;

#[path = "footprint/random.rs"]
mod random;

#[path = "footprint/worst.rs"]
mod worst;
