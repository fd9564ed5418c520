//! permessage-deflate: no memory before its first use, and the documented amounts from then on.

use websocket_proto::{Deflate, DeflateParameter};

use super::attacks::attack;
use super::peer::{Backlog, KEPT, Noise, READERS, Reader, absorb, send_to};
use super::*;
use crate::shared::compression::{bomb, message};

pub(super) const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

/// The header line of a server that accepts such an offer.
pub(super) const ANSWER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

/// "Hello" (RFC 7692 §7.2.3.1).
pub(super) const HELLO: [u8; 7] = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];

/// The allocator's bookkeeping and the crate's own, beyond the memory that zlib requests.
const SLACK: isize = 1 << 10;

/// The memory of a decompressor, for every window size.
const INFLATING: isize = 47 << 10;

fn open_deflate(deflate: Deflate) -> Connection {
    open_with(Config::new().deflate(deflate))
}

pub(super) fn open_with(config: Config) -> Connection {
    let mut ws = Connection::server(config);
    let mut request = request_with(OFFER);
    deliver(&mut ws, &mut request, usize::MAX, &mut Output::new());
    assert!(ws.uses_deflate());
    ws
}

pub(super) fn compressed(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = frame(fin, opcode, Some(KEY), payload);
    frame[0] |= if opcode == Opcode::Continuation { 0 } else { 0x40 };
    frame
}

/// Receives without answering; returns the number of message bytes.
fn receive(ws: &mut Connection, bytes: &mut [u8], output: &mut Output) -> usize {
    let mut input = Input::new(bytes);
    let mut received = 0;
    while let Some(event) = ws.receive(&mut input, output) {
        match event {
            Event::Text(text) => received += text.len(),
            Event::Binary(data) => received += data.len(),
            Event::Ping(_) => {}
            event => panic!("{event:?}"),
        }
    }
    received
}

/// Sends a compressed message, and removes all bytes from the output.
fn send(ws: &mut Connection, payload: &[u8], output: &mut Output) {
    ws.send_binary(payload, output).expect("the connection is open");
    assert_eq!(output.chunk()[0], 0xc2, "it is compressed");
    output.advance(output.len());
}

/// Mostly new bytes, with repetitions.
fn content(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * i % 251 + i / 7 % 3) as u8).collect()
}

#[test]
fn no_memory_before_the_first_compressed_message() {
    for deflate in [Deflate::new(), Deflate::new().shared()] {
        let mut bytes = frame(true, Opcode::Binary, Some(KEY), &[1; 100]);
        let mut output = Output::new();
        let (mut ws, _, held, _) = measure(|| open_deflate(deflate.threshold(101)));
        assert_eq!(held, 0, "after the handshake");
        let (_, allocations, ..) = measure(|| receive(&mut ws, &mut bytes, &mut output));
        assert_eq!(allocations, 0, "uncompressed messages come in");
        let (.., held, _) = measure(|| {
            ws.send_binary(&[1; 100], &mut output).expect("the connection is open");
            output = Output::new();
        });
        assert_eq!(held, 0, "messages below the threshold go out");
    }
}

/// A buffer that is given back inside a message is not kept, from the end of the message's header on.
#[test]
fn a_buffer_given_back_inside_a_compressed_message_is_not_kept() {
    let bytes = compressed(true, Opcode::Binary, &message(b"a message", 6));
    for cut in 6..bytes.len() {
        let mut ws = open_deflate(Deflate::new());
        let mut output = Output::new();
        receive(&mut ws, &mut bytes[..cut].to_vec(), &mut output);
        let (.., held, _) = measure(|| ws.recycle(vec![0; 5000]));
        assert_eq!(held, 0, "cut at {cut}");
        assert_eq!(receive(&mut ws, &mut bytes[cut..].to_vec(), &mut output), 9);
    }
}

/// A shared decompressor serves the next connection after a message that was no DEFLATE.
#[test]
fn a_shared_decompressor_survives_a_fault() {
    let (mut output, good) = (Output::new(), compressed(true, Opcode::Binary, &message(b"a message", 6)));
    for bad in [&[0xff; 20][..], &message(b"cut short", 6)[..4]] {
        let mut failing = open_deflate(Deflate::new().shared());
        receive(&mut failing, &mut good.clone(), &mut output);
        deliver(&mut failing, &mut compressed(true, Opcode::Binary, bad), usize::MAX, &mut output);
        assert!(failing.is_closed());
        let mut next = open_deflate(Deflate::new().shared());
        let (received, _, _, peak) = measure(|| receive(&mut next, &mut good.clone(), &mut output));
        assert_eq!(received, 9);
        assert!(peak < 10_000, "{peak}: a new decompressor takes 47 KiB");
    }
}

/// Each direction allocates on its first message, and no more on later ones.
#[test]
fn dedicated_compressors_have_bounded_memory() {
    for (bits, level, most) in [(9, 1, 134), (12, 5, 162), (15, 8, 372)] {
        let deflate =
            Deflate::new().window_bits(bits).memory_level(level).server_max_window_bits(DeflateParameter::Require);
        let mut ws = open_deflate(deflate);
        // An output that has grown already.
        let mut output = grown();
        let (.., inflating, _) =
            measure(|| receive(&mut ws, &mut compressed(true, Opcode::Binary, &HELLO), &mut output));
        let (.., deflating, peak) = measure(|| send(&mut ws, &content(20_000), &mut output));
        println!(
            "window {bits}, memory level {level}: {deflating} to compress, {inflating} to decompress, {peak} at peak"
        );
        assert!(inflating > 0 && inflating <= INFLATING + SLACK, "{inflating} held to decompress");
        assert!(deflating > 0 && deflating <= (most << 10) + SLACK, "{deflating} held to compress");
        let (.., further, _) = measure(|| {
            for _ in 0..20 {
                receive(&mut ws, &mut compressed(true, Opcode::Binary, &HELLO), &mut output);
                send(&mut ws, &content(20_000), &mut output);
            }
        });
        assert_eq!(further, 0, "it grows from message to message");
        let ((), _, freed, _) = measure(|| drop(ws));
        assert_eq!(freed, -(inflating + deflating), "the connection freed all of it");
    }
}

/// An empty output that has a buffer.
fn grown() -> Output {
    let mut output = Output::new();
    let mut ws = open_server(Config::new());
    ws.send_binary(&content(40_000), &mut output).expect("the connection is open");
    output.advance(output.len());
    output
}

/// The output has one pair for any number of connections, which have nothing between messages.
#[test]
fn shared_compressors_exist_once() {
    let deflate = Deflate::new().shared().threshold(0);
    let mut output = Output::new();
    let ((), _, pair, _) = measure(|| {
        let mut ws = open_deflate(deflate.clone());
        receive(&mut ws, &mut compressed(true, Opcode::Binary, &HELLO), &mut output);
        send(&mut ws, b"Hello", &mut output);
    });
    assert!(pair > 0, "the output holds the pair");
    let (sessions, _, held, _) = measure(|| {
        let mut sessions = Vec::with_capacity(100);
        sessions.extend((0..100).map(|_| open_deflate(deflate.clone())));
        for ws in &mut sessions {
            assert_eq!(receive(ws, &mut compressed(true, Opcode::Text, &HELLO), &mut output), 5);
            send(ws, b"Hello", &mut output);
            assert_eq!(receive(ws, &mut compressed(true, Opcode::Text, &HELLO), &mut output), 5);
        }
        sessions
    });
    let vector = (100 * size_of::<Connection>()).cast_signed();
    assert_eq!(held - vector, 0, "100 idle connections hold nothing, beside {}", sessions.len());

    // While a message is in progress, its decompressor belongs to the connection, afterwards to the output again.
    let mut ws = open_deflate(deflate);
    let (start, end) = HELLO.split_at(3);
    let (mut start, mut end) = (compressed(false, Opcode::Binary, start), compressed(true, Opcode::Continuation, end));
    let ((), _, during, _) = measure(|| assert_eq!(receive(&mut ws, &mut start, &mut output), 0));
    assert!(during < SLACK, "the output lends its decompressor: {during}");
    let ((), _, after, _) = measure(|| assert_eq!(receive(&mut ws, &mut end, &mut output), 5));
    assert_eq!(during + after, 0, "given back");

    // A backlog takes the bytes, but not the pair, whether it was empty or not.
    let mut backlog = Output::new();
    for _ in 0..2 {
        ws.send_binary(b"Hello", &mut output).expect("the connection is open");
        backlog.append(&mut output);
    }
    let ((), _, dropped, _) = measure(|| drop(backlog));
    assert!(dropped > -SLACK, "the backlog has the pair: {dropped}");
    let ((), _, dropped, _) = measure(|| drop(output));
    assert!(dropped <= -pair, "the output does not have the pair: {dropped}, {pair}");
}

/// While a message is in progress, memory is at most twice its inflated bytes so far, or eight times its compressed
/// bytes.
#[test]
fn memory_follows_the_inflated_bytes() {
    let stored = |content: &[u8]| {
        let len = (content.len() as u16).to_le_bytes();
        [&[0], &len[..], &[!len[0], !len[1]], content, &[0]].concat()
    };
    for (opcode, len) in [Opcode::Binary, Opcode::Text].into_iter().flat_map(|o| [0, 1, 100, 60_000].map(|n| (o, n))) {
        for piece in [1, 1000, usize::MAX] {
            let (mut ws, mut output) = (open_deflate(Deflate::new()), Output::new());
            // Messages that inflate to a thousand times their size, and then one that deflates.
            assert_eq!(receive(&mut ws, &mut compressed(true, Opcode::Binary, &bomb(500_000)), &mut output), 500_000);
            let mut message = compressed(false, opcode, &stored(&vec![b'x'; len]));
            let received = message.len();
            let ((), _, held, _) = measure(|| {
                for piece in message.chunks_mut(piece) {
                    assert_eq!(receive(&mut ws, piece, &mut output), 0);
                }
            });
            let most = (2 * len).max(8 * received) + 512;
            assert!(held <= most.cast_signed(), "{opcode:?}, {len} in pieces of {piece}: {held} held");
        }
    }
}

/// As for any output, memory follows the waiting bytes, plus room for one message while it is compressed.
#[test]
fn compressed_messages_use_memory_for_waiting_bytes() {
    for (len, compressible) in [100, 5000, 300_000].into_iter().flat_map(|len| [(len, true), (len, false)]) {
        let mut noise = Noise(42);
        let message: Vec<u8> = (0..len).map(|_| if compressible { 0 } else { noise.below(256) as u8 }).collect();
        for (reader, limit) in READERS.into_iter().flat_map(|reader| [1000, 1_000_000].map(|limit| (reader, limit))) {
            let mut ws = open_deflate(Deflate::new());
            ws.send_binary(&message, &mut Output::new()).expect("the connection is open");
            let rounds = (1_500_000 / len).min(100);
            let (backlog, held, peak) = send_to(reader, rounds, limit, |output| {
                ws.send_binary(&message, output).expect("the connection is open");
            });
            let (waiting, most) = (backlog.output.len(), backlog.most);
            assert!(peak <= (most + len) * 11 / 4 + 500, "{reader:?}, {len}: {peak} at peak, for {most}");
            let kept = KEPT.min((most + len) * 3 / 2 + 500).max(2 * waiting);
            assert!(held <= kept, "{reader:?}, {len}: {held} held, for {waiting}, at most {most}");
        }
    }
}

/// 16 MiB of zeros in 16 KiB: memory stays within the message limit, and half of it more while the buffer grows.
#[test]
fn a_bomb_stays_within_the_limit() {
    const LIMIT: usize = 1 << 20;
    let bomb = bomb(16 << 20);
    let config = Config::new().max_message_size(LIMIT).deflate(Deflate::new());
    for (opcode, piece) in [Opcode::Binary, Opcode::Text].into_iter().flat_map(|o| [100, usize::MAX].map(|n| (o, n))) {
        let mut bytes = compressed(true, opcode, &bomb);
        let outcome = attack(&config, Role::Server, || {
            let mut ws = open_with(config.clone());
            let received = absorb(&mut ws, &mut bytes, piece, &mut Backlog::of(Reader::Nothing));
            (ws, received)
        });
        let ((ws, received), peak) = (outcome.result, outcome.peak);
        assert!(ws.is_closed() && received == 0, "{received} received");
        assert!(peak > LIMIT, "it was decompressed up to the limit: {peak}");
        assert!(peak <= LIMIT * 3 / 2 + (64 << 10), "{opcode:?} in pieces of {piece}: {peak} at peak");
    }
}

/// In parts the whole bomb is delivered, with memory for one part.
#[test]
fn a_bomb_in_parts_uses_memory_for_one_part() {
    const PART: usize = 32 << 10;
    const LEN: usize = 16 << 20;
    let bomb = bomb(LEN);
    let config = Config::new().max_message_size(usize::MAX).part_size(PART).deflate(Deflate::new());
    for (opcode, piece) in [Opcode::Binary, Opcode::Text].into_iter().flat_map(|o| [100, usize::MAX].map(|n| (o, n))) {
        let mut bytes = compressed(true, opcode, &bomb);
        let outcome = attack(&config, Role::Server, || {
            let mut ws = open_with(config.clone());
            let received = absorb(&mut ws, &mut bytes, piece, &mut Backlog::of(Reader::Nothing));
            (ws, received)
        });
        let ((ws, received), peak) = (outcome.result, outcome.peak);
        assert_eq!((ws.state(), received), (State::Open, LEN));
        assert!(peak <= PART * 3 / 2 + (64 << 10), "{opcode:?} in pieces of {piece}: {peak} at peak");
    }
}

/// The guide's claim about the stack; an overflow ends the process.
#[test]
fn a_small_stack_is_enough() {
    // The minimum for a thread, if optimised; otherwise 52 KiB, and the thread's own needs.
    let size = if cfg!(debug_assertions) { 64 << 10 } else { 16 << 10 };
    let thread = std::thread::Builder::new().stack_size(size).spawn(|| {
        for level in 0..=9 {
            let deflate = Deflate::new().level(level).window_bits(15).memory_level(9);
            let (mut ws, mut output) = (open_deflate(deflate), Output::new());
            assert_eq!(receive(&mut ws, &mut compressed(true, Opcode::Text, &HELLO), &mut output), 5);
            send(&mut ws, &content(100_000), &mut output);
            assert_eq!(receive(&mut ws, &mut compressed(true, Opcode::Binary, &bomb(100_000)), &mut output), 100_000);
        }
    });
    thread.expect("it starts").join().expect("no panic");
}

/// A message that a shared compressor compressed between turns leaves no compressor with its session.
#[cfg(feature = "std")]
#[test]
fn a_backlog_keeps_no_compressor() {
    let mut output = Output::new();
    let (session, _, held, _) = measure(|| {
        let mut session = Session::new(0_u64, open_deflate(Deflate::new().shared()), SessionConfig::none());
        let (ws, backlog) = session.parts();
        ws.send_text(&"na ".repeat(1000), backlog).expect("the connection is open");
        let mut full = Full { room: 0 };
        let _ = session.poll(0, &mut output, |slices| full.write_vectored(slices));
        session
    });
    assert!(session.waiting() > 0 && held <= 2 << 10, "{held} bytes for {}", session.waiting());
}
