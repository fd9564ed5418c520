//! Attacks on the memory of the opening handshake and of early data, in both roles.

use super::attacks::{BESIDE, PIECES, SMALL, attack};
use super::peer::{Backlog, READERS, Reader, absorb};
use super::*;

/// A head without end, in few lines and in many, is rejected at its limit.
#[test]
fn an_endless_head_is_rejected_at_its_limit() {
    for line in [&b"X: y\r\n"[..], b"X-Header: value\r\n", b"xxxxxxxx"] {
        let config = SMALL.max_headers(u16::MAX);
        for piece in PIECES {
            let mut endless = [b"GET / HTTP/1.1\r\nA: ", &line.repeat(10_000)[..]].concat();
            let outcome = attack(&config, Role::Server, || {
                let (mut ws, mut backlog) = (Connection::server(config.clone()), Backlog::of(Reader::Sips));
                absorb(&mut ws, &mut endless, piece, &mut backlog);
                (ws, backlog)
            });
            let peak = outcome.peak;
            assert!(outcome.result.0.is_closed() && peak <= 3 * (8 << 10) / 2 + 2 * BESIDE, "{peak} at peak");
            assert!(outcome.held <= BESIDE, "{} held", outcome.held);
        }
    }
}

/// A client has the same limits: for a head, interim responses, and the body of a rejection.
#[test]
fn an_endless_response_is_rejected_at_its_limit() {
    let head = "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\nX: ".to_owned() + &"x".repeat(4000) + "\r\n\r\n";
    let rejection = head + &"1\r\nx\r\n".repeat(10_000);
    let long = "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n2000\r\n".to_owned() + &"x".repeat(20_000);
    let endless = "HTTP/1.1 101 \r\nX: ".to_owned() + &"x".repeat(20_000);
    let unframed = "HTTP/1.1 200 \r\n\r\n".to_owned() + &"x".repeat(20_000);
    let folded = "HTTP/1.1 403 \r\nX: y\r\n".to_owned() + &" z\r\n".repeat(40) + &"\tz".repeat(3900) + "\r\n\r\n";
    let folded = folded + &"x".repeat(20_000);
    for response in [rejection, long, endless, unframed, folded, "HTTP/1.1 100 \r\n\r\n".repeat(10_000)] {
        for piece in PIECES {
            let mut bytes = response.clone().into_bytes();
            let outcome = attack(&SMALL, Role::Client, || {
                let mut backlog = Backlog::of(Reader::Sips);
                let mut ws = start_client(SMALL, &mut backlog.output);
                absorb(&mut ws, &mut bytes, piece, &mut backlog);
                ws
            });
            assert!(outcome.result.is_closed(), "in pieces of {piece}");
            assert!(outcome.held <= BESIDE, "{} held", outcome.held);
        }
    }
}

/// The body of a rejection takes memory of its own size, although its chunks arrive with additional lines.
#[test]
fn a_rejections_body_takes_its_own_size() {
    let mut response =
        ("HTTP/1.1 403 \r\nTransfer-Encoding: chunked\r\n\r\n".to_owned() + &"1\r\nx\r\n".repeat(1000) + "0\r\n\r\n")
            .into_bytes();
    let mut output = Output::new();
    let mut ws = start_client(Config::new(), &mut output);
    let (rejection, _, held, _) =
        measure(|| response.chunks_mut(100).find_map(|piece| ws.receive(&mut Input::new(piece), &mut output)));
    let Some(Event::Rejected(rejection)) = rejection else { panic!("{rejection:?}") };
    assert_eq!(rejection.body(), [b'x'; 1000]);
    assert!(held <= 2 * 1000 + 256, "{held} held");
}

/// Frames before the decision: buffered up to the limit, and reassembled like others after it.
#[test]
fn early_data_is_limited_and_reassembled() {
    let message = |len| frame(false, Opcode::Binary, Some(KEY), &vec![1; len]);
    let pings = |count| frame(true, Opcode::Ping, Some(KEY), b"ping").repeat(count);
    for (early, rejected) in [(message(8000), false), (message(20_000), true), (pings(800), false), (pings(2000), true)]
    {
        for (piece, reader) in PIECES.into_iter().flat_map(|piece| READERS.map(|reader| (piece, reader))) {
            let mut bytes = early.clone();
            let outcome = attack(&SMALL, Role::Server, || {
                let (mut ws, mut backlog) = (Connection::server(SMALL), Backlog::of(reader));
                let mut head = REQUEST.to_vec();
                let mut input = Input::new(&mut head);
                let Some(Event::Request(request)) = ws.receive(&mut input, &mut backlog.output) else {
                    panic!("no request")
                };
                absorb(&mut ws, &mut bytes, piece, &mut backlog);
                assert_eq!(ws.is_closed(), rejected, "in pieces of {piece}");
                ws.accept(request, &mut backlog.output);
                absorb(&mut ws, &mut [0x8a, 0x80, 0, 0, 0, 0], 6, &mut backlog);
                assert_eq!(ws.is_closed(), rejected);
                (ws, backlog)
            });
            let peak = outcome.peak;
            assert!(peak <= 3 * (8 << 10) + 4 * BESIDE, "{peak} at peak");
            // A growing message has a buffer of at most twice its bytes.
            assert!(outcome.held <= 2 * (8 << 10) + BESIDE, "{} held", outcome.held);
        }
    }
}

/// Delivered early data is freed once it is longer than the rest.
#[test]
fn delivered_early_data_is_freed() {
    const COUNT: usize = 15;
    let message = frame(true, Opcode::Binary, Some(KEY), &[1; 1000]);
    let (mut ws, mut output) = (Connection::server(Config::new()), Output::new());
    let Some(Event::Request(request)) = ws.receive(&mut Input::new(&mut REQUEST.to_vec()), &mut output) else {
        panic!("no request")
    };
    let mut early = message.repeat(COUNT);
    let ((), _, mut held, _) = measure(|| {
        assert_eq!(ws.receive(&mut Input::new(&mut early), &mut output), None);
    });
    ws.accept(request, &mut output);
    for left in (0..COUNT).rev() {
        let (event, _, freed, peak) = measure(|| ws.receive(&mut Input::default(), &mut output).map(drop));
        assert_eq!(event, Some(()));
        held += freed;
        let most = (2 * left + 1) * message.len();
        assert!(held <= most.cast_signed(), "{held} held, when {left} messages are left");
        assert!(peak <= most.cast_signed(), "{peak} at peak, when {left} messages are left");
    }
}

/// Lists in a head of the maximum length: each element takes more memory than its bytes.
#[test]
fn lists_in_headers_stay_within_the_bound() {
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
            let outcome = attack(&SMALL, Role::Server, || {
                let (mut ws, mut backlog) = (Connection::server(SMALL), Backlog::of(Reader::Nothing));
                absorb(&mut ws, &mut bytes, piece, &mut backlog);
                ws
            });
            let rejected = (3..5).contains(&index);
            assert_eq!(outcome.result.is_closed(), rejected, "list {index}, in pieces of {piece}");
            assert!(outcome.held <= BESIDE, "{} held", outcome.held);
        }
    }
}
