//! Attacks on memory: what each makes a connection hold is within the sum that `Config`'s docs state.

use super::*;

/// Every limit at its own size, so that no other hides behind it.
const SMALL: Config =
    Config::new().max_message_size(64 << 10).max_head_size(8 << 10).max_headers(50).max_pending_pongs(2 << 10);

/// How `bytes` are cut into reads.
const PIECES: [usize; 4] = [1, 100, 4 << 10, usize::MAX];

/// Runs an attack: returns what it gave and the most bytes that it held, which are within the connection's budget.
pub(super) fn peak<T>(config: &Config, attack: impl FnOnce() -> T) -> (T, usize) {
    let (result, _, _, peak) = measure(attack);
    let peak = peak.cast_unsigned();
    assert!(peak <= config.max_memory(), "{peak} at peak, of {} allowed", config.max_memory());
    (result, peak)
}

/// Receives, accepts every request, drops every other event and sends nothing; returns how many bytes of messages came.
pub(super) fn absorb(ws: &mut Connection, bytes: &mut [u8], piece: usize, output: &mut Output) -> usize {
    let mut received = 0;
    for piece in bytes.chunks_mut(piece) {
        let mut input = Input::new(piece);
        while let Some(event) = ws.receive(&mut input, output) {
            match event {
                Event::Request(request) => ws.accept(request, output),
                Event::Text(text) | Event::TextPart { text, .. } => received += text.len(),
                Event::Binary(data) | Event::BinaryPart { data, .. } => received += data.len(),
                _ => {}
            }
        }
    }
    received
}

/// Ten thousand pings, of every length, at a peer that does not read: the pongs keep to their budget.
#[test]
fn pings_at_a_peer_that_does_not_read() {
    for len in [0, 1, 125] {
        let pings = |mask| frame(true, Opcode::Ping, mask, &vec![7; len]).repeat(10_000);
        let mut at_server = pings(Some(KEY));
        for piece in PIECES {
            let mut bytes = at_server.clone();
            let (waiting, most) = peak(&SMALL, || {
                let (mut ws, mut output) = (open_server(SMALL), Output::new());
                absorb(&mut ws, &mut bytes, piece, &mut output);
                output.len()
            });
            let budget = (2 << 10) + 131;
            assert!(waiting > budget / 2 && waiting <= budget, "{waiting} bytes of pongs of {len}");
            assert!(most <= 3 * budget + (2 << 10), "{most} at peak");
        }
        // A client's pongs are masked, and longer than the pings by that.
        at_server = pings(None);
        let mut ws = open_client();
        let (waiting, most) = peak(&Config::new(), || {
            let mut output = Output::new();
            absorb(&mut ws, &mut at_server, 1000, &mut output);
            output.len()
        });
        let budget = (16 << 10) + 131;
        assert!(waiting <= budget && most <= 3 * budget + (2 << 10), "{waiting} wait, {most} at peak");
    }
}

/// A million empty fragments cost what one does, alone and with a ping between them.
#[test]
fn empty_fragments() {
    let config = SMALL.max_fragments(u32::MAX);
    for opcode in [Opcode::Text, Opcode::Binary] {
        let mut flood = frame(false, opcode, Some(KEY), b"");
        flood.extend(frame(false, Opcode::Continuation, Some(KEY), b"").repeat(1_000_000));
        let (ws, most) = peak(&config, || {
            let (mut ws, mut output) = (open_server(config.clone()), Output::new());
            absorb(&mut ws, &mut flood, 64 << 10, &mut output);
            ws
        });
        assert!(ws.state() == State::Open && most <= 2 << 10, "{most} at peak, {:?}", ws.state());
    }
}

/// A message that arrives byte by byte, fragment by fragment, up to the limit: old and new buffer are 1.5 times that.
#[test]
fn a_message_up_to_the_limit() {
    const LIMIT: usize = 64 << 10;
    for opcode in [Opcode::Text, Opcode::Binary] {
        let mut one_frame = frame(true, opcode, Some(KEY), &vec![b'x'; LIMIT]);
        let mut fragments = frame(false, opcode, Some(KEY), b"x");
        fragments.extend(frame(false, Opcode::Continuation, Some(KEY), b"x").repeat(LIMIT - 2));
        fragments.extend(frame(true, Opcode::Continuation, Some(KEY), b"x"));
        for (bytes, piece) in [(&mut one_frame, 1), (&mut fragments, 7)] {
            let (received, most) = peak(&SMALL, || {
                let (mut ws, mut output) = (open_server(SMALL), Output::new());
                absorb(&mut ws, bytes, piece, &mut output)
            });
            assert!(received == LIMIT && most <= LIMIT * 3 / 2 + (2 << 10), "{opcode:?}: {received}, {most} at peak");
        }
    }
}

/// 2^62 bytes are announced and a few come: refused on the header, or handed out as they come.
#[test]
fn an_announced_length() {
    let unlimited = Config::new().max_message_size(usize::MAX);
    let in_parts = unlimited.clone().part_size(4 << 10);
    // What is to be gathered in one piece has to fit into memory, even without a limit.
    for (config, closes) in [(SMALL, true), (unlimited, true), (in_parts, false)] {
        for (opcode, received) in
            [Opcode::Text, Opcode::Binary].into_iter().flat_map(|o| [0, 1, 10_000].map(|n| (o, n)))
        {
            let header = FrameHeader { fin: true, rsv: 0, opcode, mask: Some([0; 4]), payload_len: 1 << 62 };
            let mut announced = header.encode().as_ref().to_vec();
            announced.resize(announced.len() + received, b'x');
            for piece in PIECES {
                let mut bytes = announced.clone();
                let (ws, most) = peak(&config, || {
                    let (mut ws, mut output) = (open_server(config.clone()), Output::new());
                    absorb(&mut ws, &mut bytes, piece, &mut output);
                    ws
                });
                assert_eq!(ws.is_closed(), closes, "{config:?}: {opcode:?}, {received} in pieces of {piece}");
                assert!(most <= 2 << 10, "{opcode:?}: {received} received, {most} at peak");
            }
        }
    }
}

/// A head without end, in few lines and in many, is refused at its limit.
#[test]
fn an_endless_head() {
    for line in [&b"X: y\r\n"[..], b"X-Header: value\r\n", b"xxxxxxxx"] {
        let config = SMALL.max_headers(u16::MAX);
        for piece in PIECES {
            let mut endless = [b"GET / HTTP/1.1\r\nA: ", &line.repeat(10_000)[..]].concat();
            let (ws, most) = peak(&config, || {
                let (mut ws, mut output) = (Connection::server(config.clone()), Output::new());
                absorb(&mut ws, &mut endless, piece, &mut output);
                ws
            });
            assert!(ws.is_closed() && most <= 3 * (8 << 10) + (2 << 10), "{most} at peak");
        }
    }
}

/// A client is held to the same: by a head, by interim responses, and by the body of a refusal.
#[test]
fn an_endless_response() {
    let head = "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\nX: ".to_owned() + &"x".repeat(4000) + "\r\n\r\n";
    let refusal = head + &"1\r\nx\r\n".repeat(10_000);
    let long = "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n2000\r\n".to_owned() + &"x".repeat(20_000);
    let endless = "HTTP/1.1 101 \r\nX: ".to_owned() + &"x".repeat(20_000);
    let unframed = "HTTP/1.1 200 \r\n\r\n".to_owned() + &"x".repeat(20_000);
    let folded = "HTTP/1.1 403 \r\nX: y\r\n".to_owned() + &" z\r\n".repeat(40) + &"\tz".repeat(3900) + "\r\n\r\n";
    let folded = folded + &"x".repeat(20_000);
    for response in [refusal, long, endless, unframed, folded, "HTTP/1.1 100 \r\n\r\n".repeat(10_000)] {
        for piece in PIECES {
            let mut bytes = response.clone().into_bytes();
            let (ws, _) = peak(&SMALL, || {
                let mut output = Output::new();
                let request = ClientRequest::new("ws://localhost/");
                let mut ws = Connection::client(&request, SMALL, [0; 32], &mut output).expect("the request is valid");
                absorb(&mut ws, &mut bytes, piece, &mut output);
                ws
            });
            assert!(ws.is_closed(), "in pieces of {piece}");
        }
    }
}

/// Frames that come while the request is undecided: kept up to the limit, and gathered as any others once it is
/// accepted.
#[test]
fn early_data() {
    let early = |len| frame(false, Opcode::Binary, Some(KEY), &vec![1; len]);
    for (mut bytes, refused) in [(early(8000), false), (early(20_000), true)] {
        for piece in PIECES {
            let ((), most) = peak(&SMALL, || {
                let (mut ws, mut output) = (Connection::server(SMALL), Output::new());
                let mut head = REQUEST.to_vec();
                let mut input = Input::new(&mut head);
                let Some(Event::Request(request)) = ws.receive(&mut input, &mut output) else { panic!("no request") };
                absorb(&mut ws, &mut bytes, piece, &mut output);
                assert_eq!(ws.is_closed(), refused, "in pieces of {piece}");
                ws.accept(request, &mut output);
                absorb(&mut ws, &mut [0x8a, 0x80, 0, 0, 0, 0], 6, &mut output);
                assert_eq!(ws.is_closed(), refused);
            });
            assert!(most <= 4 * (8 << 10) + (4 << 10), "{most} at peak");
            bytes = early(if refused { 20_000 } else { 8000 });
        }
    }
}

/// Lists in a head that is as long as it may be: each element takes more memory than its bytes.
#[test]
fn header_lists() {
    let extensions = "a;b,".repeat(49);
    let parameters = "a".to_owned() + &";b".repeat(98);
    let quoted = format!("a;b=\"{}\"", "x".repeat(6000));
    let names = (0..99).map(|n| n.to_string()).collect::<Vec<_>>().join(",") + ",";
    let lines = [
        format!("Sec-WebSocket-Protocol: {names}\r\nSec-WebSocket-Extensions: {extensions}"),
        format!("Sec-WebSocket-Protocol: {names}\r\nSec-WebSocket-Extensions: {parameters}"),
        format!("Sec-WebSocket-Protocol: {names}\r\nSec-WebSocket-Extensions: {quoted}"),
        format!("Sec-WebSocket-Extensions: {}", "a;a,".repeat(2000)),
        format!("Sec-WebSocket-Protocol: {}", "a,".repeat(4000)),
        format!("X: {}", "x".repeat(7000)),
        ["X:"; 45].join("\r\n"),
    ];
    let request = str::from_utf8(REQUEST).expect("text");
    for (index, lines) in lines.iter().enumerate() {
        for piece in PIECES {
            let mut bytes = request.replace("\r\n\r\n", &format!("\r\n{lines}\r\n\r\n")).into_bytes();
            assert!(bytes.len() <= 9 << 10);
            let (ws, _) = peak(&SMALL, || {
                let (mut ws, mut output) = (Connection::server(SMALL), Output::new());
                absorb(&mut ws, &mut bytes, piece, &mut output);
                ws
            });
            let refused = (3..5).contains(&index);
            assert_eq!(ws.is_closed(), refused, "list {index}, in pieces of {piece}");
        }
    }
}

/// `Config`'s docs state one formula.
#[test]
fn the_sum_is_the_documented_one() {
    let sum = |head: usize, headers: usize, gathered: usize, pongs: usize| {
        6 * head + 40 * (headers + 3) + (gathered + 3) * 3 / 2 + 3 * (pongs + 131) + (24 << 10)
    };
    assert_eq!(Config::new().max_memory(), sum(16 << 10, 100, 1 << 20, 16 << 10));
    assert_eq!(SMALL.max_memory(), sum(8 << 10, 50, 64 << 10, 2 << 10));
    assert_eq!(SMALL.part_size(4).max_memory(), sum(8 << 10, 50, 4, 2 << 10));
    #[cfg(feature = "deflate")]
    assert_eq!(SMALL.deflate(websocket_proto::Deflate::new()).max_memory(), SMALL.max_memory() + (48 << 10));
    // No message is too long to be counted.
    assert_eq!(SMALL.max_message_size(usize::MAX).max_memory(), usize::MAX);
}
